//! The folder of Chroma's evaluation of chunking: `corpora/NAME.md`, and
//! `questions.jsonl` whose `references` are exact spans, in characters of those
//! files as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::dataset::{self, Corpus};
use crate::lines::Lines;
use crate::question::Target;
use crate::{Dataset, Error, Qrels, Question, Result, Span};

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_id")]
    id: String,
    text: String,
    corpus: String,
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    start_index: usize,
    end_index: usize,
}

/// Whether `dir` is such a folder.
pub(crate) fn is_here(dir: &Path) -> bool {
    dir.join("corpora").is_dir() && dir.join("questions.jsonl").is_file()
}

/// Reads it. Every text is a document whose id is its file's name.
pub(crate) fn load(dir: &Path, name: String) -> Result<Dataset> {
    let texts = texts(&dir.join("corpora"))?;
    let mut offsets = BTreeMap::new();
    for path in &texts {
        let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
        let starts: Vec<usize> = text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .collect();
        offsets.insert(stem(path), starts);
    }
    let mut lines = Lines::open(&dir.join("questions.jsonl"))?;
    let mut questions = Vec::new();
    let mut qrels = Qrels::default();
    while let Some(line) = lines.next() {
        let line: Line = dataset::parse(&line?, &lines)?;
        let Some(starts) = offsets.get(&line.corpus) else {
            return Err(lines.wrong(format!("there is no corpora/{}.md", line.corpus)));
        };
        let mut targets = Vec::with_capacity(line.references.len());
        for Reference {
            start_index,
            end_index,
        } in line.references
        {
            let (Some(&start), Some(&end)) = (starts.get(start_index), starts.get(end_index))
            else {
                return Err(lines.wrong(format!(
                    "{start_index}..{end_index} is not part of {}, which has {} characters",
                    line.corpus,
                    starts.len() - 1
                )));
            };
            let uri = line.corpus.clone();
            targets.push(Target::Span(Span { uri, start, end }));
        }
        let judged = targets.iter().map(|target| (target.id(), 1)).collect();
        if qrels.questions.insert(line.id.clone(), judged).is_some() {
            return Err(lines.wrong(format!("the id {} comes twice", line.id)));
        }
        questions.push(Question {
            id: line.id,
            text: line.text,
            answers: Vec::new(),
            targets,
            is_document: false,
        });
    }
    Ok(Dataset {
        name,
        split: "test".into(),
        questions,
        unanswerable: Vec::new(),
        qrels,
        notes: Vec::new(),
        corpus: Corpus::Texts(texts),
    })
}

fn texts(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).map_err(|error| Error::file(dir, error))?;
    let mut texts: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    texts.sort();
    Ok(texts)
}

/// The name of a text's document.
pub(crate) fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
