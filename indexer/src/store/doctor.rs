//! Examines a collection on disk and says what is wrong with it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::states;
use crate::vectors::{Segment, SegmentMeta};
use crate::{Access, Error, ErrorKind, Result};
use cairn_parse::catch;

use super::directory::{self, MANAGED_FILE, WordsDirectory};
use super::index::{META_FILE, STATES_DIR, VECTORS_DIR, WORDS_DIR};
use super::lock::WriterLock;
use super::payload::Payload;
use super::repair::{Prognosis, prognosis};
use super::segments::MAX_DEAD_SHARE;
use super::{Index, Snapshot, copy, fault};

const REPAIR: &str = "`cairn doctor --repair` saves what is whole";

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is to be done.
    Note,
    /// It works, and could be better.
    Warning,
    /// Data is damaged or missing.
    Error,
}

/// One thing that was found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub what: String,
    /// The file it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// The state of a collection.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Diagnosis {
    /// The last commit; 0 where there is none or it cannot be read.
    pub generation: u64,
    /// Documents in it.
    pub documents: usize,
    /// Chunks in it.
    pub chunks: usize,
    /// What was found, in the order of the examination.
    pub findings: Vec<Finding>,
    /// What a repair would come to, where something is damaged that it can see to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<Prognosis>,
}

impl Diagnosis {
    /// Whether nothing is damaged or missing.
    pub fn is_healthy(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.severity < Severity::Error)
    }

    fn add(
        &mut self,
        severity: Severity,
        what: impl Into<String>,
        file: Option<PathBuf>,
        advice: &str,
    ) {
        let advice = (!advice.is_empty()).then(|| advice.to_owned());
        self.findings.push(Finding {
            severity,
            what: what.into(),
            file,
            advice,
        });
    }

    fn add_error(&mut self, error: &Error) {
        let file = error.path().map(Path::to_owned);
        let known = file.is_some()
            && self
                .findings
                .iter()
                .any(|finding| finding.severity == Severity::Error && finding.file == file);
        if !known {
            let advice = match error.kind() {
                // Not damage, and the message says what to do.
                ErrorKind::Mismatch => "",
                ErrorKind::Machine => "see to the disk or the permissions and try again",
                _ => REPAIR,
            };
            self.add(Severity::Error, error.message(), file, advice);
        }
    }
}

/// Examines the collection in `dir`: reads every file, compares checksums, and
/// puts every document together from its chunks. Changes nothing.
///
/// # Errors
/// `NotFound` when there is no such folder. Everything else is a finding.
pub fn check(dir: &Path) -> Result<Diagnosis> {
    std::fs::read_dir(dir).map_err(|error| Error::from(error).at(dir))?;
    let mut found = examine(dir);
    if !found.is_healthy()
        && let Ok(Ok(repair)) = catch(|| prognosis(dir))
    {
        found.repair = repair;
    }
    Ok(found)
}

fn examine(dir: &Path) -> Diagnosis {
    let mut found = Diagnosis::default();
    if let Some(process) = WriterLock::holder(dir) {
        let who = process.map_or_else(|| "a process".into(), |id| format!("process {id}"));
        let what = format!("{who} is writing to the collection");
        found.add(
            Severity::Note,
            what,
            None,
            "what it has not committed is not examined",
        );
    }
    let words = dir.join(WORDS_DIR);
    if !words.join(META_FILE).exists() {
        let holds = |folder: &Path, ending: &str| {
            let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
            files
                .map(|file| file.file_name())
                .any(|name| name.to_string_lossy().ends_with(ending))
        };
        if holds(&dir.join(VECTORS_DIR), ".vec") || holds(&words, ".store") {
            let what = "there is data, but the description of the last commit is missing";
            found.add(Severity::Error, what, Some(words.join(META_FILE)), REPAIR);
        } else {
            found.add(Severity::Note, "nothing has been committed yet", None, "");
        }
        return found;
    }
    guarded(&mut found, |found| check_words(&words, found));
    let payload = guarded(&mut found, |_| read_payload(&words)).flatten();
    if let Some(payload) = payload {
        found.generation = payload.generation;
        check_vectors(&dir.join(VECTORS_DIR), &payload.vectors, &mut found);
        guarded(&mut found, |found| check_documents(dir, &payload, found));
    }
    found
}

/// Runs one examination; its error, or its panic over damaged bytes, is a
/// finding.
fn guarded<T>(
    found: &mut Diagnosis,
    examine: impl FnOnce(&mut Diagnosis) -> Result<T>,
) -> Option<T> {
    match catch(|| examine(found)) {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            found.add_error(&error);
            None
        }
        Err(_) => {
            if found.is_healthy() {
                found.add(Severity::Error, "the index cannot be read", None, REPAIR);
            }
            None
        }
    }
}

fn open_words(dir: &Path) -> Result<tantivy::Index> {
    WordsDirectory::open(dir)
        .and_then(tantivy::Index::open)
        .map_err(|error| fault::convert(error, dir))
}

fn check_words(dir: &Path, found: &mut Diagnosis) -> Result<()> {
    // A writer names its files there before it makes them, and later when it removes them.
    if WriterLock::holder(dir.parent().unwrap_or(Path::new(""))).is_none()
        && let Some(what) = directory::managed_list_fault(dir)
    {
        let advice = "`cairn doctor --repair` writes it again from the folder";
        found.add(
            Severity::Warning,
            what,
            Some(dir.join(MANAGED_FILE)),
            advice,
        );
    }
    let index = open_words(dir)?;
    for file in damaged_files(&index, dir)? {
        let what = match file.exists() {
            true => "the file's checksum is wrong",
            false => "the file is missing",
        };
        found.add(Severity::Error, what, Some(file), REPAIR);
    }
    Ok(())
}

/// Files of the last commit of a word index that are missing or whose checksum is wrong.
pub(super) fn damaged_files(index: &tantivy::Index, dir: &Path) -> Result<Vec<PathBuf>> {
    let convert = |error| fault::convert(error, dir);
    let segments = index.searchable_segment_metas().map_err(convert)?;
    let files: BTreeSet<PathBuf> = segments.iter().flat_map(copy::files).collect();
    Ok(files
        .into_iter()
        // Too short to hold a checksum is an error.
        .filter(|file| !matches!(index.directory().validate_checksum(file), Ok(true)))
        .map(|file| dir.join(file))
        .collect())
}

fn read_payload(words: &Path) -> Result<Option<Payload>> {
    let index = open_words(words)?;
    let meta = index
        .load_metas()
        .map_err(|error| fault::convert(error, words))?;
    meta.payload
        .map(|json| Payload::read(&json, &words.join(META_FILE)))
        .transpose()
}

fn check_vectors(dir: &Path, listed: &[SegmentMeta], found: &mut Diagnosis) {
    for meta in listed {
        guarded(found, |_| Segment::open(dir, meta)?.verify());
    }
    let Ok(files) = std::fs::read_dir(dir) else {
        return;
    };
    let unlisted = files.flatten().filter(|file| {
        !listed
            .iter()
            .any(|meta| file.file_name().to_str() == Some(&meta.file))
    });
    let count = unlisted.count();
    if count > 0 {
        let what = format!("{count} files in the folder of vectors belong to no commit");
        let advice = "the next `cairn index` removes them";
        found.add(Severity::Note, what, Some(dir.to_owned()), advice);
    }
}

/// States are read again where they are missing: nothing here is an error.
fn check_states(dir: &Path, payload: &Payload, snapshot: &Snapshot, found: &mut Diagnosis) {
    if !dir.is_dir() {
        return;
    }
    let live: BTreeSet<u64> = snapshot.by_vector_id().iter().map(|(id, _)| *id).collect();
    let examined = states::examine(dir, payload.created_ns, &live);
    for (file, what) in &examined.damaged {
        let what = format!("what the re-ranker has read of passages is damaged ({what})");
        let advice = "questions read those passages themselves, which takes longer; `cairn doctor \
                      --repair` removes the file, and a running service or the next `cairn index` \
                      reads them again";
        found.add(Severity::Warning, what, Some(file.clone()), advice);
    }
    let missing = live.len() - examined.stored;
    if missing > 0 && examined.damaged.is_empty() && !states::is_locked(dir) {
        let what = format!(
            "the re-ranker has not read {missing} of {} chunks yet",
            live.len()
        );
        let advice = "questions read those passages themselves, which takes longer; a running \
                      service or the next `cairn index` reads them ahead";
        found.add(Severity::Note, what, Some(dir.to_owned()), advice);
    }
}

fn check_documents(dir: &Path, payload: &Payload, found: &mut Diagnosis) -> Result<()> {
    let snapshot = Index::open(dir, payload.settings.clone())?.snapshot();
    check_states(&dir.join(STATES_DIR), payload, &snapshot, found);
    found.documents = snapshot.document_count();
    found.chunks = snapshot.chunk_count();
    let broken = snapshot
        .documents(0, usize::MAX, &Access::All)?
        .into_iter()
        .filter(|document| {
            let text = snapshot.document_text(document.id, &Access::All);
            !text
                .is_ok_and(|text| text.is_some_and(|text| text.len() as u64 == document.text_bytes))
        })
        .count();
    if broken > 0 {
        let what = format!("{broken} documents cannot be put together from their chunks");
        found.add(Severity::Error, what, Some(dir.join(WORDS_DIR)), REPAIR);
    }
    if snapshot.words_are_outdated() {
        let what = "the words were read by another version, which finds fewer spellings";
        let advice = "run `cairn index` once, for any file: the words are read again";
        found.add(Severity::Warning, what, None, advice);
    }
    let (rows, alive) = snapshot.loads().iter().fold((0, 0), |(rows, alive), load| {
        (rows + load.rows, alive + load.alive)
    });
    let dead = rows - alive;
    if dead as f64 > MAX_DEAD_SHARE * rows as f64 {
        let what = format!("{dead} of {rows} stored vectors belong to deleted chunks");
        found.add(
            Severity::Warning,
            what,
            Some(dir.join(VECTORS_DIR)),
            "the next `cairn index` clears them",
        );
    }
    Ok(())
}
