//! A dataset in BEIR's layout: `corpus.jsonl`, `queries.jsonl` and
//! `qrels/SPLIT.tsv`, each plain or gzipped.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::lines::{self, Lines};
use crate::{Error, Qrels, Result};

/// A document of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalDocument {
    /// Its id, as the judgements name it.
    pub id: String,
    /// Its title, often empty.
    pub title: String,
    /// Its text, sometimes empty where the title says all.
    pub text: String,
}

/// A question that has judgements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its id, as the judgements name it.
    pub id: String,
    /// The question.
    pub text: String,
}

/// Questions and judgements of one split; the corpus is read when it is asked
/// for, since it may be larger than the memory.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The folder's name.
    pub name: String,
    /// The split, such as `test`.
    pub split: String,
    /// The questions with judgements, in the order of the file.
    pub questions: Vec<Question>,
    /// The judgements.
    pub qrels: Qrels,
    corpus: PathBuf,
}

#[derive(Deserialize)]
struct CorpusLine {
    #[serde(rename = "_id")]
    id: Value,
    #[serde(default)]
    title: Option<String>,
    text: String,
}

#[derive(Deserialize)]
struct QuestionLine {
    #[serde(rename = "_id")]
    id: Value,
    text: String,
}

impl Dataset {
    /// Reads questions and judgements of `split` from the folder `dir`.
    ///
    /// # Errors
    ///
    /// Names the file, the line and the reason: a missing file or field, an id
    /// that comes twice, a judged question that is not among the questions.
    pub fn load(dir: &Path, split: &str) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::dataset(
                dir,
                "no such folder; it holds corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv",
            ));
        }
        let corpus = lines::find(&dir.join("corpus.jsonl"))?;
        let questions_file = lines::find(&dir.join("queries.jsonl"))?;
        let qrels_file = qrels_file(dir, split)?;
        let qrels = Qrels::read(&qrels_file)?;
        let questions = read_questions(&questions_file, &qrels)?;
        if questions.len() < qrels.questions.len() {
            let known: BTreeMap<_, _> = questions.iter().map(|q| (&q.id, ())).collect();
            let missing = qrels.questions.keys().find(|id| !known.contains_key(id));
            return Err(Error::dataset(
                &qrels_file,
                format!(
                    "question {} is judged, but {} does not have it",
                    missing.map_or("?", String::as_str),
                    questions_file.display()
                ),
            ));
        }
        let name = dir
            .canonicalize()
            .ok()
            .and_then(|dir| Some(dir.file_name()?.to_string_lossy().into_owned()));
        Ok(Self {
            name: name.unwrap_or_else(|| dir.display().to_string()),
            split: split.to_owned(),
            questions,
            qrels,
            corpus,
        })
    }

    /// The file of the corpus.
    pub fn corpus_path(&self) -> &Path {
        &self.corpus
    }

    /// Keeps the first `count` questions and their judgements.
    pub fn limit(&mut self, count: usize) {
        self.questions.truncate(count);
        let kept: BTreeMap<_, _> = self.questions.iter().map(|q| (&q.id, ())).collect();
        self.qrels.questions.retain(|id, _| kept.contains_key(id));
    }

    /// Reads the corpus from its beginning.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened; the iterator yields the other errors.
    pub fn documents(&self) -> Result<Documents> {
        Ok(Documents {
            lines: Lines::open(&self.corpus)?,
            seen: HashMap::new(),
        })
    }
}

/// The documents of a corpus, one line at a time.
pub struct Documents {
    lines: Lines,
    seen: HashMap<String, usize>,
}

impl Iterator for Documents {
    type Item = Result<EvalDocument>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.lines.next()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        Some(self.document(&line))
    }
}

impl Documents {
    fn document(&mut self, line: &str) -> Result<EvalDocument> {
        let line: CorpusLine = parse(line, &self.lines)?;
        let id = text_of(&line.id, &self.lines)?;
        once(&mut self.seen, &id, &self.lines)?;
        Ok(EvalDocument {
            id,
            title: line.title.unwrap_or_default(),
            text: line.text,
        })
    }
}

/// `qrels/SPLIT.tsv`; an error that lists the splits that are there.
fn qrels_file(dir: &Path, split: &str) -> Result<PathBuf> {
    let folder = dir.join("qrels");
    let path = folder.join(format!("{split}.tsv"));
    lines::find(&path).map_err(|_| {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
        let mut splits: Vec<String> = entries
            .filter_map(name)
            .filter_map(|name| {
                let name = name.strip_suffix(".gz").unwrap_or(&name);
                name.strip_suffix(".tsv").map(str::to_owned)
            })
            .collect();
        splits.sort();
        let there = match splits.is_empty() {
            true => "there are no splits".to_owned(),
            false => format!("the splits here are {}", splits.join(", ")),
        };
        Error::dataset(&path, format!("no such file, plain or with .gz; {there}"))
    })
}

fn read_questions(path: &Path, qrels: &Qrels) -> Result<Vec<Question>> {
    let mut lines = Lines::open(path)?;
    let mut seen = HashMap::new();
    let mut questions = Vec::with_capacity(qrels.questions.len());
    while let Some(line) = lines.next() {
        let line: QuestionLine = parse(&line?, &lines)?;
        let id = text_of(&line.id, &lines)?;
        once(&mut seen, &id, &lines)?;
        if !qrels.questions.contains_key(&id) {
            continue;
        }
        if line.text.trim().is_empty() {
            return Err(lines.wrong(format!("question {id} has no text")));
        }
        let text = line.text;
        questions.push(Question { id, text });
    }
    Ok(questions)
}

fn parse<T: DeserializeOwned>(line: &str, lines: &Lines) -> Result<T> {
    let parsed = serde_json::from_str(line).or_else(|error| {
        // Python writes NaN into metadata, and reads it; JSON has no such word.
        let mended = without_nan(line).ok_or(error)?;
        serde_json::from_str(&mended)
    });
    parsed.map_err(|error| {
        // serde_json counts lines of the text that it was given: always 1.
        let reason = error.to_string().replace(" at line 1 column", " at column");
        lines.wrong(reason)
    })
}

/// `line` with `null` in the place of Python's NaN and infinities, which stand
/// outside strings; none when it has none.
fn without_nan(line: &str) -> Option<String> {
    let mut mended = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '"' => string_end(rest)?,
            _ => match ["NaN", "-Infinity", "Infinity"]
                .iter()
                .find(|w| rest.starts_with(**w))
            {
                Some(word) => {
                    mended.push_str("null");
                    rest = &rest[word.len()..];
                    continue;
                }
                None => c.len_utf8(),
            },
        };
        mended.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    (mended != line).then_some(mended)
}

/// Where the string that `text` begins with is over.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// An id is a text or a whole number.
fn text_of(id: &Value, lines: &Lines) -> Result<String> {
    match id {
        Value::String(text) if !text.trim().is_empty() => Ok(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        _ => Err(lines.wrong(format!("`_id` must be a text or a whole number, not {id}"))),
    }
}

fn once(seen: &mut HashMap<String, usize>, id: &str, lines: &Lines) -> Result<()> {
    match seen.insert(id.to_owned(), lines.number()) {
        Some(earlier) => Err(lines.wrong(format!("the id {id} is also that of line {earlier}"))),
        None => Ok(()),
    }
}
