//! A dataset: questions, judgements and a corpus. In BEIR's layout these are
//! `queries.jsonl`, `qrels/SPLIT.tsv` and `corpus.jsonl`, each plain or gzipped,
//! and `unanswerable.tsv` where there are questions without an answer.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::lines::{self, Lines};
use crate::notes::{counted, listed};
use crate::{Error, Qrels, Question, Result, chroma};

/// Draws samples and halves; any fixed number will do.
const SEED: u64 = 20_240_611;

/// A document of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalDocument {
    /// Its id, as the judgements name it.
    pub id: String,
    /// Its title, often empty.
    pub title: String,
    /// Its text, sometimes empty where the title says all.
    pub text: String,
    /// Whether the file has a text for it, be it empty; not where it is null or missing.
    pub has_text: bool,
    /// The same of the title.
    pub has_title: bool,
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
    /// Questions that the corpus does not answer.
    pub unanswerable: Vec<Question>,
    /// The judgements.
    pub qrels: Qrels,
    /// What is wrong with the files and left something out, in words.
    pub notes: Vec<String>,
    pub(crate) corpus: Corpus,
}

/// Where the documents come from.
#[derive(Clone, Debug)]
pub(crate) enum Corpus {
    /// One document a line.
    Lines(PathBuf),
    /// One document a file, as it is; its id is the file's name.
    Texts(Vec<PathBuf>),
    /// A collection that is indexed already.
    Elsewhere,
}

#[derive(Deserialize)]
struct CorpusLine {
    #[serde(rename = "_id")]
    id: Value,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
struct QuestionLine {
    #[serde(rename = "_id")]
    id: Value,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    metadata: Option<Value>,
}

impl QuestionLine {
    /// `metadata.answers` or `metadata.answer`, one text or several.
    fn answers(&self) -> Vec<String> {
        let found = self.metadata.as_ref().and_then(|metadata| {
            let found = metadata.get("answers").or_else(|| metadata.get("answer"));
            found.filter(|found| !found.is_null())
        });
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match found {
            Some(Value::Array(answers)) => answers.iter().filter_map(text).collect(),
            Some(answer) => text(answer).into_iter().collect(),
            None => Vec::new(),
        }
    }
}

impl Dataset {
    /// Reads questions and judgements of `split` from the folder `dir`. A judged
    /// question that is not among the questions, or has no text, is left out and noted.
    ///
    /// # Errors
    ///
    /// Names the file, the line and the reason: a missing file, an id that comes twice,
    /// a line that cannot be read; and questions of which none is left.
    pub fn load(dir: &Path, split: &str) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::dataset(
                dir,
                "no such folder; it holds corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv",
            ));
        }
        let name = dir
            .canonicalize()
            .ok()
            .and_then(|dir| Some(dir.file_name()?.to_string_lossy().into_owned()))
            .unwrap_or_else(|| dir.display().to_string());
        if chroma::is_here(dir) {
            return chroma::load(dir, name);
        }
        let corpus = lines::find(&dir.join("corpus.jsonl"))?;
        let questions_file = lines::find(&dir.join("queries.jsonl"))?;
        let qrels_file = qrels_file(dir, split)?;
        let mut qrels = Qrels::read(&qrels_file)?;
        let without_answer = match lines::find(&dir.join("unanswerable.tsv")) {
            Ok(path) => Qrels::read(&path)?,
            Err(_) => Qrels::default(),
        };
        let Questions {
            answered: questions,
            unanswerable,
            without_text,
        } = Questions::read(&questions_file, &qrels, &without_answer)?;
        let known: HashSet<&String> = questions.iter().map(|q| &q.id).collect();
        let mut missing = without_text.clone();
        missing.extend(
            qrels
                .questions
                .keys()
                .filter(|id| !known.contains(id))
                .cloned(),
        );
        let notes = left_out(&without_text, &missing, &questions_file);
        if questions.is_empty()
            && let Some(reason) = notes.first()
        {
            return Err(Error::dataset(&qrels_file, reason));
        }
        qrels.questions.retain(|id, _| known.contains(id));
        Ok(Self {
            name,
            split: split.to_owned(),
            questions,
            unanswerable,
            qrels,
            notes,
            corpus: Corpus::Lines(corpus),
        })
    }

    /// Whether `dir` has judgements for `split`.
    pub fn has_split(dir: &Path, split: &str) -> bool {
        qrels_file(dir, split).is_ok()
    }

    /// The files of the corpus; empty if it is indexed already.
    pub fn corpus_files(&self) -> &[PathBuf] {
        match &self.corpus {
            Corpus::Lines(path) => std::slice::from_ref(path),
            Corpus::Texts(paths) => paths,
            Corpus::Elsewhere => &[],
        }
    }

    /// Keeps the first `count` questions, answerable and not, and their
    /// judgements.
    pub fn limit(&mut self, count: usize) {
        self.questions.truncate(count);
        self.unanswerable.truncate(count);
        self.forget_judgements();
    }

    /// Keeps `count` questions, answerable and not, that a fixed seed draws, in
    /// the order of the file.
    pub fn sample(&mut self, count: usize) {
        for questions in [&mut self.questions, &mut self.unanswerable] {
            let mut drawn = shuffled(questions.len());
            drawn.truncate(count);
            drawn.sort_unstable();
            *questions = drawn.into_iter().map(|at| questions[at].clone()).collect();
        }
        self.forget_judgements();
    }

    /// Two datasets over the same corpus: a half of the questions that a fixed
    /// seed draws, and the rest.
    pub fn halves(&self) -> (Self, Self) {
        let order = shuffled(self.questions.len());
        let (first, second) = order.split_at(order.len() / 2);
        let part = |chosen: &[usize], name: &str| {
            let mut chosen = chosen.to_vec();
            chosen.sort_unstable();
            let mut part = self.clone();
            part.split = format!("{}, {name}", self.split);
            part.questions = chosen
                .iter()
                .map(|&at| self.questions[at].clone())
                .collect();
            part.forget_judgements();
            part
        };
        (part(first, "tuning half"), part(second, "held-out half"))
    }

    fn forget_judgements(&mut self) {
        let kept: BTreeMap<_, _> = self.questions.iter().map(|q| (&q.id, ())).collect();
        self.qrels.questions.retain(|id, _| kept.contains_key(id));
    }

    /// Reads the corpus from its beginning.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened; the iterator yields the other errors.
    pub fn documents(&self) -> Result<Documents> {
        Ok(Documents(match &self.corpus {
            Corpus::Lines(path) => CorpusFiles::Lines {
                lines: Lines::open(path)?,
                seen: HashMap::new(),
            },
            Corpus::Texts(paths) => CorpusFiles::Texts(paths.clone().into_iter()),
            Corpus::Elsewhere => CorpusFiles::Texts(Vec::new().into_iter()),
        }))
    }
}

/// The documents of a corpus, one at a time.
pub struct Documents(CorpusFiles);

enum CorpusFiles {
    Lines {
        lines: Lines,
        seen: HashMap<String, usize>,
    },
    Texts(std::vec::IntoIter<PathBuf>),
}

impl Iterator for Documents {
    type Item = Result<EvalDocument>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            CorpusFiles::Lines { lines, seen } => {
                let line = match lines.next()? {
                    Ok(line) => line,
                    Err(error) => return Some(Err(error)),
                };
                Some(document(&line, lines, seen))
            }
            CorpusFiles::Texts(paths) => {
                let path = paths.next()?;
                let text = std::fs::read_to_string(&path);
                Some(
                    text.map_err(|error| Error::file(&path, error))
                        .map(|text| EvalDocument {
                            id: chroma::stem(&path),
                            title: String::new(),
                            text,
                            has_text: true,
                            has_title: false,
                        }),
                )
            }
        }
    }
}

fn document(line: &str, lines: &Lines, seen: &mut HashMap<String, usize>) -> Result<EvalDocument> {
    let line: CorpusLine = parse(line, lines)?;
    let id = text_of(&line.id, lines)?;
    once(seen, &id, lines)?;
    Ok(EvalDocument {
        id,
        has_text: line.text.is_some(),
        has_title: line.title.is_some(),
        title: line.title.unwrap_or_default(),
        text: line.text.unwrap_or_default(),
    })
}

/// `0..count` in an order that a fixed seed gives.
fn shuffled(count: usize) -> Vec<usize> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut random);
    order
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

/// What the file of questions holds of those that are judged.
#[derive(Default)]
struct Questions {
    answered: Vec<Question>,
    unanswerable: Vec<Question>,
    /// Ids of those that cannot be asked.
    without_text: Vec<String>,
}

impl Questions {
    fn read(path: &Path, qrels: &Qrels, without_answer: &Qrels) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        let mut seen = HashMap::new();
        let mut questions = Self::default();
        while let Some(line) = lines.next() {
            let line: QuestionLine = parse(&line?, &lines)?;
            let id = text_of(&line.id, &lines)?;
            once(&mut seen, &id, &lines)?;
            let list = match (
                qrels.questions.contains_key(&id),
                without_answer.questions.contains_key(&id),
            ) {
                (true, _) => &mut questions.answered,
                (false, true) => &mut questions.unanswerable,
                (false, false) => continue,
            };
            let answers = line.answers();
            match line.text {
                Some(text) if !text.trim().is_empty() => list.push(Question {
                    answers,
                    id,
                    text,
                    ..Question::default()
                }),
                _ => questions.without_text.push(id),
            }
        }
        Ok(questions)
    }
}

/// Notes about questions that are not asked. `missing` has those without text too.
fn left_out(without_text: &[String], missing: &[String], questions: &Path) -> Vec<String> {
    let (untold, absent): (Vec<&String>, Vec<&String>) =
        missing.iter().partition(|id| without_text.contains(id));
    let untold: BTreeSet<&String> = untold.into_iter().collect();
    let untold: Vec<&String> = untold.into_iter().collect();
    let file = questions.file_name().unwrap_or_default().to_string_lossy();
    let mut notes = Vec::new();
    if !absent.is_empty() {
        let count = counted(absent.len(), "question is", "questions are");
        notes.push(format!(
            "{count} judged and left out, since {file} does not ask: {}",
            listed(&absent)
        ));
    }
    if !untold.is_empty() {
        let count = counted(untold.len(), "question has", "questions have");
        notes.push(format!(
            "{count} no text and cannot be asked: {}",
            listed(&untold)
        ));
    }
    notes
}

pub(crate) fn parse<T: DeserializeOwned>(line: &str, lines: &Lines) -> Result<T> {
    let parsed = serde_json::from_str(line).or_else(|error| {
        // Python writes NaN into metadata, and reads it; JSON has no such word.
        let repaired = without_nan(line).ok_or(error)?;
        serde_json::from_str(&repaired)
    });
    parsed.map_err(|error| {
        // serde_json counts lines of the text that it was given: always 1.
        let reason = error.to_string().replace(" at line 1 column", " at column");
        lines.wrong(reason)
    })
}

/// `line` with `null` in the place of Python's NaN and infinities, which stand
/// outside strings; `None` if it has none.
fn without_nan(line: &str) -> Option<String> {
    let mut repaired = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '"' => string_end(rest)?,
            _ => match ["NaN", "-Infinity", "Infinity"]
                .iter()
                .find(|w| rest.starts_with(**w))
            {
                Some(word) => {
                    repaired.push_str("null");
                    rest = &rest[word.len()..];
                    continue;
                }
                None => c.len_utf8(),
            },
        };
        repaired.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    (repaired != line).then_some(repaired)
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
