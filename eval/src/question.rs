//! A question, what is relevant to it, and how a retrieved passage is counted.

use std::collections::HashSet;

use crate::Span;

/// A question of a dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Its id, as the judgements name it.
    pub id: String,
    /// The question.
    pub text: String,
    /// Answers that are right, where the dataset has them.
    pub answers: Vec<String>,
    /// Passages and spans that are relevant. Empty where whole documents are
    /// judged.
    pub targets: Vec<Target>,
    /// Whether the corpus has this question as a document of the same id, as where
    /// arguments are asked for counter-arguments. It is not found by itself.
    pub is_document: bool,
}

/// Something smaller than a document that is relevant; its id is what the
/// judgements name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A whole document, by its URI, alongside smaller ones.
    Document(String),
    /// A passage of the index, by its id.
    Passage(String),
    /// A part of a document.
    Span(Span),
}

impl Target {
    /// Its name in judgements, runs and reports.
    pub fn id(&self) -> String {
        match self {
            Self::Document(uri) => uri.clone(),
            Self::Passage(id) => id.clone(),
            Self::Span(span) => format!("{}#{}-{}", span.uri, span.start, span.end),
        }
    }

    /// Whether `passage` brings it: a span by at least half, or, where it is
    /// longer than the passage, by at least half of the passage.
    fn is_in(&self, passage: &Passage<'_>) -> bool {
        match self {
            Self::Document(uri) => uri == passage.uri,
            Self::Passage(id) => id == passage.id,
            Self::Span(span) => {
                let own = passage.span();
                let shorter = span.len().min(own.len());
                shorter > 0 && span.shared(&own) * 2 >= shorter
            }
        }
    }
}

/// A retrieved passage.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    /// Its id in the index.
    pub id: &'a str,
    /// Its document.
    pub uri: &'a str,
    /// Its first byte in the document's text.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
}

impl Passage<'_> {
    /// Where it stands.
    pub fn span(&self) -> Span {
        Span {
            uri: self.uri.to_owned(),
            start: self.start,
            end: self.end,
        }
    }
}

impl Question {
    /// What `passage` counts as in the ranking: its document where documents are
    /// judged; else each target that it brings, or itself when it brings none.
    /// `seen` holds what stands higher in the ranking: nothing counts twice.
    pub fn units(&self, passage: &Passage<'_>, seen: &mut HashSet<String>) -> Vec<String> {
        if self.is_document && passage.uri == self.id {
            return Vec::new();
        }
        if self.targets.is_empty() {
            let uri = passage.uri.to_owned();
            return seen
                .insert(uri.clone())
                .then_some(uri)
                .into_iter()
                .collect();
        }
        let brought: Vec<String> = self
            .targets
            .iter()
            .filter(|target| target.is_in(passage))
            .map(Target::id)
            .collect();
        if brought.is_empty() {
            let id = passage.id.to_owned();
            return seen.insert(id.clone()).then_some(id).into_iter().collect();
        }
        brought
            .into_iter()
            .filter(|id| seen.insert(id.clone()))
            .collect()
    }

    /// The relevant spans; empty if documents or passages are judged.
    pub fn spans(&self) -> Vec<Span> {
        let span = |target: &Target| match target {
            Target::Span(span) => Some(span.clone()),
            _ => None,
        };
        self.targets.iter().filter_map(span).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage<'a>(id: &'a str, uri: &'a str, start: usize, end: usize) -> Passage<'a> {
        Passage {
            id,
            uri,
            start,
            end,
        }
    }

    fn ranked(question: &Question, passages: &[Passage<'_>]) -> Vec<String> {
        let mut seen = HashSet::new();
        passages
            .iter()
            .flat_map(|passage| question.units(passage, &mut seen))
            .collect()
    }

    #[test]
    fn a_document_counts_by_its_best_passage() {
        let found = ranked(
            &Question::default(),
            &[
                passage("a-0", "a", 0, 9),
                passage("b-0", "b", 0, 9),
                passage("a-1", "a", 9, 20),
            ],
        );
        assert_eq!(found, ["a", "b"]);
    }

    #[test]
    fn a_question_does_not_find_itself() {
        let passages = [passage("a-0", "a", 0, 9), passage("b-0", "b", 0, 9)];
        let mut question = Question {
            id: "a".into(),
            ..Question::default()
        };
        assert_eq!(ranked(&question, &passages), ["a", "b"]);
        question.is_document = true;
        assert_eq!(ranked(&question, &passages), ["b"]);
    }

    #[test]
    fn a_span_counts_when_half_of_it_is_there() {
        let span = |start, end| {
            Target::Span(Span {
                uri: "a".into(),
                start,
                end,
            })
        };
        let question = Question {
            targets: vec![span(0, 10), span(12, 20), Target::Passage("c-3".into())],
            ..Question::default()
        };
        let found = ranked(
            &question,
            &[
                passage("b-0", "b", 0, 20),
                passage("a-1", "a", 8, 14),
                passage("a-0", "a", 4, 20),
                passage("a-2", "a", 0, 30),
                passage("c-3", "c", 0, 5),
            ],
        );
        assert_eq!(found, ["b-0", "a-1", "a#0-10", "a#12-20", "c-3"]);
    }
}
