//! Questions of one's own: `questions.jsonl`, one question a line.
//!
//! ```text
//! {"question": "How long are backups kept?",
//!  "relevant": ["docs/backup.md", "6f1d0c2ab3e44f05-0003",
//!               {"uri": "docs/backup.md", "start": 120, "end": 180},
//!               {"text": "Backups are kept for thirty days"}],
//!  "answer": "thirty days"}
//! {"question": "Who wrote the anthem?", "unanswerable": true}
//! ```
//!
//! What is relevant is named by a document's URI or id, a passage's id, bytes of
//! a document's text, or an exact text. What they mean is looked up in the
//! [`Library`] that the questions are asked of, so a name that is not there is
//! an error of its line and not a question that nothing can answer.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::{self, Corpus};
use crate::lines::Lines;
use crate::question::Target;
use crate::{Dataset, Error, Qrels, Question, Result, Span};

/// The indexed documents that questions are about.
pub trait Library {
    /// The URI of the document that is called `name`, by URI or id.
    fn document(&self, name: &str) -> Option<String>;

    /// Whether there is a passage with this id.
    fn has_passage(&self, id: &str) -> bool;

    /// The text of a document, by its URI.
    fn text(&self, uri: &str) -> Option<String>;

    /// Every place at which an exact text stands, in one document or in all.
    fn find(&self, uri: Option<&str>, text: &str) -> Vec<Span>;
}

/// A line of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomQuestion {
    /// Its id; the number of the line if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The question.
    pub question: String,
    /// What is relevant to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relevant: Vec<Relevant>,
    /// A right answer, or several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answers>,
    /// Whether the documents do not answer it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswerable: bool,
    /// For people; nothing reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One thing that is relevant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Relevant {
    /// A document's URI or id, or a passage's id.
    Name(String),
    /// Bytes of a document's text.
    Bytes {
        /// The document.
        uri: String,
        /// The first byte.
        start: usize,
        /// The byte after the last one.
        end: usize,
    },
    /// A text as it stands in the documents, ignoring white space.
    Text {
        /// The document; every one if none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uri: Option<String>,
        /// The text.
        text: String,
    },
}

/// One answer or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answers {
    /// The only one.
    One(String),
    /// Each of them is right.
    Many(Vec<String>),
}

impl Answers {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(answer) => vec![answer],
            Self::Many(answers) => answers,
        }
    }
}

/// Reads `path` as a dataset over `library`.
///
/// # Errors
///
/// Names the file, the line and the reason: no JSON, an unknown field, a
/// question without anything relevant, a document that is not indexed, a text
/// that stands nowhere.
pub fn read(path: &Path, library: &impl Library) -> Result<Dataset> {
    let mut lines = Lines::open(path)?;
    let mut questions = Vec::new();
    let mut unanswerable = Vec::new();
    let mut qrels = Qrels::default();
    let mut seen = BTreeMap::new();
    while let Some(line) = lines.next() {
        let own: CustomQuestion = dataset::parse(&line?, &lines)?;
        let number = lines.number();
        let id = own.id.clone().unwrap_or_else(|| format!("line-{number}"));
        if let Some(earlier) = seen.insert(id.clone(), number) {
            return Err(lines.wrong(format!("the id {id} is also that of line {earlier}")));
        }
        if own.question.trim().is_empty() {
            return Err(lines.wrong("the question has no text"));
        }
        let targets = targets(&own, library).map_err(|reason| lines.wrong(reason))?;
        let question = Question {
            id: id.clone(),
            text: own.question,
            answers: own.answer.map(Answers::into_vec).unwrap_or_default(),
            targets,
            is_document: false,
        };
        if own.unanswerable {
            unanswerable.push(question);
            continue;
        }
        let judged = question.targets.iter().map(|target| (target.id(), 1));
        qrels.questions.insert(id, judged.collect());
        questions.push(plain(question));
    }
    if questions.is_empty() && unanswerable.is_empty() {
        return Err(Error::dataset(path, "no question in this file"));
    }
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    Ok(Dataset {
        name: stem.unwrap_or_default(),
        split: "own".into(),
        questions,
        unanswerable,
        qrels,
        notes: Vec::new(),
        corpus: Corpus::Elsewhere,
    })
}

/// A question that names documents alone is judged by documents.
fn plain(mut question: Question) -> Question {
    let is_document = |target: &Target| matches!(target, Target::Document(_));
    if question.targets.iter().all(is_document) {
        question.targets.clear();
    }
    question
}

fn targets(own: &CustomQuestion, library: &impl Library) -> Result<Vec<Target>, String> {
    if own.unanswerable {
        return match own.relevant.is_empty() {
            true => Ok(Vec::new()),
            false => Err("an unanswerable question has nothing relevant".into()),
        };
    }
    if own.relevant.is_empty() {
        return Err(
            "`relevant` names nothing; name a document, or say \"unanswerable\": true".into(),
        );
    }
    let mut targets = Vec::new();
    for relevant in &own.relevant {
        match relevant {
            Relevant::Name(name) => targets.push(named(name, library)?),
            Relevant::Bytes { uri, start, end } => {
                targets.push(bytes(uri, *start, *end, library)?);
            }
            Relevant::Text { uri, text } => {
                let within = uri.as_deref().map(|uri| known(uri, library)).transpose()?;
                let spans = library.find(within.as_deref(), text);
                if spans.is_empty() {
                    let start: String = text.chars().take(60).collect();
                    return Err(format!("no indexed document has the text `{start}`"));
                }
                targets.extend(spans.into_iter().map(Target::Span));
            }
        }
    }
    Ok(targets)
}

fn named(name: &str, library: &impl Library) -> Result<Target, String> {
    if library.has_passage(name) {
        return Ok(Target::Passage(name.to_owned()));
    }
    known(name, library).map(Target::Document)
}

fn known(name: &str, library: &impl Library) -> Result<String, String> {
    library
        .document(name)
        .ok_or_else(|| format!("`{name}` is neither a document nor a passage of the collection"))
}

fn bytes(uri: &str, start: usize, end: usize, library: &impl Library) -> Result<Target, String> {
    let uri = known(uri, library)?;
    let length = library.text(&uri).map_or(0, |text| text.len());
    if start >= end || end > length {
        return Err(format!(
            "{start}..{end} is not part of {uri}, which has {length} bytes"
        ));
    }
    Ok(Target::Span(Span { uri, start, end }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spans::places;

    struct Shelf;

    const TEXT: &str = "Backups are kept\nfor thirty days. Then they go.";

    impl Library for Shelf {
        fn document(&self, name: &str) -> Option<String> {
            (name == "docs/a.md").then(|| name.to_owned())
        }
        fn has_passage(&self, id: &str) -> bool {
            id == "a-0000"
        }
        fn text(&self, uri: &str) -> Option<String> {
            self.document(uri).map(|_| TEXT.to_owned())
        }
        fn find(&self, _: Option<&str>, text: &str) -> Vec<Span> {
            let span = |place: std::ops::Range<usize>| Span {
                uri: "docs/a.md".into(),
                start: place.start,
                end: place.end,
            };
            places(TEXT, text).into_iter().map(span).collect()
        }
    }

    fn load(text: &str) -> Result<Dataset> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path(), &Shelf)
    }

    #[test]
    fn every_way_to_name_what_is_relevant() {
        let set = load(concat!(
            r#"{"question": "a?", "relevant": ["docs/a.md"], "answer": "x"}"#,
            "\n",
            r#"{"id": "p", "question": "b?", "relevant": ["a-0000", "docs/a.md"], "answer": ["x", "y"]}"#,
            "\n",
            r#"{"question": "c?", "relevant": [{"uri": "docs/a.md", "start": 0, "end": 7}, {"text": "kept for thirty"}]}"#,
            "\n",
            r#"{"question": "d?", "unanswerable": true, "note": "nobody knows"}"#,
        ))
        .unwrap();
        assert!(set.questions[0].targets.is_empty());
        assert_eq!(set.questions[0].answers, ["x"]);
        assert!(set.qrels.questions["line-1"].contains_key("docs/a.md"));
        assert_eq!(set.questions[1].targets.len(), 2);
        assert_eq!(set.questions[1].answers, ["x", "y"]);
        let spans = set.questions[2].spans();
        assert_eq!((spans[1].start, spans[1].end), (12, 27));
        assert_eq!(set.unanswerable[0].text, "d?");
        assert_eq!(set.qrels.questions.len(), 3);
    }

    #[test]
    fn what_is_wrong_is_named_by_line() {
        for (line, expected) in [
            ("{", ":2: EOF"),
            (r#"{"question": "x"}"#, ":2: `relevant` names nothing"),
            (
                r#"{"question": " ", "relevant": ["docs/a.md"]}"#,
                ":2: the question has no text",
            ),
            (
                r#"{"question": "x", "relevant": ["gone.md"]}"#,
                "`gone.md` is neither",
            ),
            (
                r#"{"question": "x", "relevent": []}"#,
                "unknown field `relevent`",
            ),
            (
                r#"{"question": "x", "relevant": [{"uri": "docs/a.md", "start": 9, "end": 900}]}"#,
                "9..900 is not part",
            ),
            (
                r#"{"question": "x", "relevant": [{"text": "forty"}]}"#,
                "no indexed document has",
            ),
            (
                r#"{"question": "x", "relevant": ["docs/a.md"], "unanswerable": true}"#,
                "has nothing relevant",
            ),
            (
                r#"{"id": "1", "question": "x", "relevant": ["docs/a.md"]}"#,
                "also that of line 1",
            ),
        ] {
            let first = r#"{"id": "1", "question": "a?", "relevant": ["docs/a.md"]}"#;
            let message = load(&format!("{first}\n{line}\n")).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert!(load("\n").unwrap_err().to_string().contains("no question"));
    }
}
