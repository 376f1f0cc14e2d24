//! What is wrong with a dataset and does not stop an evaluation: each thing once, with
//! its first places.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::{Dataset, EvalDocument};

/// Names of a kind that a note gives.
const SHOWN: usize = 5;

/// `names`, the first of them where there are many.
pub(crate) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(SHOWN);
    match more {
        0 => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `1 question is`, `2 questions are`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

/// What reading a corpus shows about itself and about the questions.
pub struct CorpusCheck {
    /// Words of each question, by its id.
    questions: BTreeMap<String, HashSet<String>>,
    /// Relevant documents that were not seen yet, and a question each.
    missing: BTreeMap<String, String>,
    documents: usize,
    without_text: Vec<String>,
    without_title: Vec<String>,
    empty: Vec<String>,
    /// Questions that are documents too.
    own: BTreeSet<String>,
}

impl CorpusCheck {
    /// A check of the corpus of `dataset`.
    pub fn new(dataset: &Dataset) -> Self {
        let questions = dataset.questions.iter().chain(&dataset.unanswerable);
        // Where a document is judged to answer the question of its id, it is not that.
        let is_judged = |id: &String| {
            let judged = dataset.qrels.questions.get(id);
            judged
                .and_then(|judged| judged.get(id))
                .is_some_and(|grade| *grade > 0)
        };
        let mut missing = BTreeMap::new();
        for (question, judgements) in &dataset.qrels.questions {
            let relevant = judgements.iter().filter(|(_, grade)| **grade > 0);
            for (document, _) in relevant {
                missing.insert(document.clone(), question.clone());
            }
        }
        Self {
            questions: questions
                .filter(|question| !is_judged(&question.id))
                .map(|question| (question.id.clone(), words(&question.text).collect()))
                .collect(),
            missing,
            documents: 0,
            without_text: Vec::new(),
            without_title: Vec::new(),
            empty: Vec::new(),
            own: BTreeSet::new(),
        }
    }

    /// Takes note of one document.
    pub fn see(&mut self, document: &EvalDocument) {
        self.documents += 1;
        self.missing.remove(&document.id);
        let id = || document.id.clone();
        if document.text.trim().is_empty() && document.title.trim().is_empty() {
            self.empty.push(id());
        } else if !document.has_text {
            self.without_text.push(id());
        }
        if !document.has_title {
            self.without_title.push(id());
        }
        if let Some(question) = self.questions.get(&document.id)
            && is_own(document, question)
        {
            self.own.insert(id());
        }
    }

    /// Marks the questions that are documents, and adds what is to be said.
    pub fn apply(self, dataset: &mut Dataset) {
        for question in dataset
            .questions
            .iter_mut()
            .chain(&mut dataset.unanswerable)
        {
            question.is_document = self.own.contains(&question.id);
        }
        let mut say = |names: &[String], one: &str, many: &str, what: &str| {
            if !names.is_empty() {
                let count = counted(names.len(), one, many);
                dataset
                    .notes
                    .push(format!("{count} {what}: {}", listed(names)));
            }
        };
        say(
            &self.without_text,
            "document has",
            "documents have",
            "no text, and the title stands for it",
        );
        // Whole corpora have none, and nothing is wrong with them.
        if self.without_title.len() < self.documents {
            say(
                &self.without_title,
                "document has",
                "documents have",
                "no title",
            );
        }
        say(
            &self.empty,
            "document has",
            "documents have",
            "neither title nor text, and cannot be found",
        );
        let own: Vec<String> = self.own.into_iter().collect();
        say(
            &own,
            "question is a document",
            "questions are documents",
            "of the corpus too, which does not count as found for the question itself",
        );
        let missing: Vec<String> = self
            .missing
            .iter()
            .map(|(document, question)| format!("{document} (of {question})"))
            .collect();
        say(
            &missing,
            "relevant document is",
            "relevant documents are",
            "not in the corpus, and so not found",
        );
    }
}

/// Whether the document of a question's id is the question. Plain numbers are the same
/// in many datasets by chance (there are a question 1 and a document 1): there, the
/// document must say nothing that the question does not.
fn is_own(document: &EvalDocument, question: &HashSet<String>) -> bool {
    let is_number = document.id.bytes().all(|byte| byte.is_ascii_digit());
    !is_number || words(&document.text).all(|word| question.contains(&word))
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}
