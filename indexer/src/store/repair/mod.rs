//! Salvages what is whole of a damaged collection.
//!
//! - Words, lists of occurrences and lengths of a segment are made again from its stored
//!   chunks; what needs them is a document that is *read again*.
//! - A lost vector is copied from a chunk that was embedded from the same text, or embedded
//!   again, under the id that its chunk names: the word index is not touched for it.
//! - A document of which text or record is lost is lost as a whole: half a document would
//!   answer questions with half the truth, and one without its labels would be everybody's.
//! - If it is unknown which rows of a segment were deleted, its documents are lost,
//!   unless all that were deleted are known to be replaced: a deletion is never taken back.
//! - Without the description of the last commit what the folder holds is read again.
//!
//! Files that are whole are not written to. The new commit is put together alongside the
//! collection (`stage`) and named last, by one rename.

#[cfg(test)]
mod derived_tests;
mod documents;
mod parts;
mod report;
mod stage;
#[cfg(test)]
mod tests;
mod vectors;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cairn_models::{Cancel, Embedder};
use tantivy::directory::ManagedDirectory;

pub use report::{LostDocument, Prognosis, Repaired};

use super::directory::{self, MANAGED_FILE, WordsDirectory};
use super::index::{META_FILE, STATES_DIR, VECTORS_DIR, WORDS_DIR};
use super::lock::{self, WriterLock};
use super::payload::{EmbedderEntry, FORMAT, Payload, first_analysis};
use super::schema::schema;
use super::{IndexSettings, fault};
use crate::{DocumentId, Error, ErrorKind, Result, states};
use documents::{Documents, assemble};
use parts::{Listed, Part};
use stage::Stage;
use vectors::{Missing, VectorInputs, Vectors};

/// How long a repair waits for another writer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a repair needs from outside.
pub struct Means<'a> {
    /// The settings of a collection whose own are lost.
    pub settings: IndexSettings,
    /// Gives the embedder, where vectors have to be made again.
    pub embedder: &'a mut dyn FnMut() -> Result<Arc<dyn Embedder>>,
    /// Told before anything is written what the repair comes to.
    pub on_start: &'a mut dyn FnMut(&Prognosis),
    /// Told how many more of the lost vectors were made.
    pub on_vectors: &'a mut dyn FnMut(usize),
}

/// What [`repair`] would do with the collection in `dir`; `None` if nothing is damaged.
/// Changes nothing.
///
/// # Errors
/// `Mismatch` for a collection of another version, `Machine` for files that cannot be read
/// for another reason than damage.
pub fn prognosis(dir: &Path) -> Result<Option<Prognosis>> {
    let state = State::read(dir)?;
    Ok(state.is_damaged().then(|| state.prognosis()))
}

/// Repairs the collection in `dir`; `None` if nothing is damaged. A kill at any moment
/// leaves the collection as it was, or repaired.
///
/// # Errors
/// As [`prognosis`]; `Locked` while another process writes; `Corrupt` where nothing is left;
/// `Mismatch` if vectors were lost and the embedder is another one; `Cancelled`, `Model`,
/// and those of the disk.
pub fn repair(dir: &Path, mut means: Means<'_>, cancel: &Cancel) -> Result<Option<Repaired>> {
    let _lock = lock::wait_in_line(dir, PATIENCE, cancel, || WriterLock::acquire(dir))?;
    let state = State::read(dir)?;
    if !state.is_damaged() {
        return Ok(None);
    }
    let outcome = state.prognosis();
    if state.payload.is_none() && outcome.kept() == 0 {
        let message = "nothing of the collection can be put together; restore a backup, or \
                       delete its folder and index again";
        return Err(Error::new(ErrorKind::Corrupt, message).at(dir));
    }
    (means.on_start)(&outcome);
    let generation = state.repair(dir, &mut means, cancel)?;
    Ok(Some(Repaired {
        outcome,
        generation,
    }))
}

/// What of a collection was made again or removed because it follows from the rest.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Derived {
    /// Damaged files of what the re-ranker has read of passages, now removed.
    pub states: Vec<PathBuf>,
    /// The list of the word index's own files, if it was written again.
    pub list: Option<PathBuf>,
}

/// Puts right what follows from the rest of the collection in `dir`: damaged states are
/// removed, and a damaged or missing list of the word index's files is written again.
///
/// # Errors
/// `Locked` while another process writes, and those of the disk.
pub fn repair_derived(dir: &Path, cancel: &Cancel) -> Result<Derived> {
    let mut derived = Derived {
        states: states::remove_damaged(&dir.join(STATES_DIR))?,
        list: None,
    };
    let words = dir.join(WORDS_DIR);
    if directory::managed_list_fault(&words).is_some() {
        let _lock = lock::wait_in_line(dir, PATIENCE, cancel, || WriterLock::acquire(dir))?;
        // A writer may have finished its own meanwhile.
        if directory::managed_list_fault(&words).is_some() {
            let list = words.join(MANAGED_FILE);
            directory::write_managed_list(&words).map_err(|error| Error::from(error).at(&list))?;
            derived.list = Some(list);
        }
    }
    Ok(derived)
}

/// A collection as it is on the disk.
struct State {
    /// What the last commit says; `None` if that is lost.
    payload: Option<Payload>,
    /// The number of Tantivy's last operation.
    opstamp: u64,
    parts: Vec<Part>,
    documents: Documents,
    vectors: Vectors,
    missing: Vec<Missing>,
    words: PathBuf,
}

/// What `meta.json` says.
enum Description {
    Commit {
        payload: Box<Payload>,
        opstamp: u64,
        segments: Vec<Listed>,
    },
    /// That nothing was committed yet.
    Nothing,
    Lost,
}

impl State {
    fn read(dir: &Path) -> Result<Self> {
        let words = dir.join(WORDS_DIR);
        let vectors_dir = dir.join(VECTORS_DIR);
        let mut state = Self {
            payload: None,
            opstamp: 0,
            parts: Vec::new(),
            documents: Documents::default(),
            vectors: Vectors::default(),
            missing: Vec::new(),
            words,
        };
        if !state.words.is_dir() {
            state.vectors = Vectors::of_folder(&vectors_dir)?;
            return Ok(state);
        }
        match describe(&state.words)? {
            Description::Nothing => return Ok(state),
            Description::Commit {
                payload,
                opstamp,
                segments,
            } => {
                state.vectors = Vectors::of_commit(&vectors_dir, &payload.vectors)?;
                state.opstamp = opstamp;
                state.parts = read_parts(&state.words, segments)?;
                state.payload = Some(*payload);
            }
            Description::Lost => {
                state.vectors = Vectors::of_folder(&vectors_dir)?;
                state.parts = read_parts(&state.words, Listed::of_folder(&state.words)?)?;
            }
        }
        state.documents = assemble(&state.parts, schema().1, state.payload.is_none());
        state.missing = state.vectors.missing(&state.parts, &state.documents.kept);
        Ok(state)
    }

    fn is_damaged(&self) -> bool {
        let is_empty = self.parts.is_empty() && self.vectors.whole.is_empty();
        (self.payload.is_none() && !is_empty)
            || self.parts.iter().any(|part| !part.is_whole())
            || !self.vectors.damaged.is_empty()
            || !self.missing.is_empty()
            || !self.documents.lost.is_empty()
            || self.documents.kept.iter().any(|kept| kept.is_read_again)
    }

    fn prognosis(&self) -> Prognosis {
        let damaged = self.parts.iter().flat_map(|part| &part.damaged);
        let mut files: Vec<PathBuf> = damaged.map(|file| self.words.join(file)).collect();
        files.extend(self.vectors.damaged.iter().cloned());
        if self.payload.is_none() {
            files.push(self.words.join(META_FILE));
        }
        let kept = &self.documents.kept;
        let read_again = kept.iter().filter(|kept| kept.is_read_again).count();
        let roots = self
            .payload
            .iter()
            .flat_map(|payload| payload.roots.values());
        Prognosis {
            files,
            untouched: kept.len() - read_again,
            read_again,
            vectors_lost: self.missing.len(),
            lost: self.documents.lost.clone(),
            nameless_chunks: self.parts.iter().map(|part| part.nameless).sum(),
            without_description: self.payload.is_none(),
            sources: roots.map(|root| root.path.clone()).collect(),
        }
    }

    /// Makes the new commit and returns its generation.
    fn repair(&self, dir: &Path, means: &mut Means<'_>, cancel: &Cancel) -> Result<u64> {
        let mut payload = match &self.payload {
            Some(payload) => payload.clone(),
            None => self.guess(means)?,
        };
        let stage = Stage::new(dir)?;
        let source = VectorInputs {
            parts: &self.parts,
            kept: &self.documents.kept,
            vectors: &self.vectors,
            settings: &payload.settings,
            fields: schema().1,
        };
        let wanted = payload.embedder.clone();
        let mut embedder = || {
            let embedder = (means.embedder)()?;
            check_embedder(&wanted, embedder.as_ref())?;
            Ok(embedder)
        };
        let made = source.make_again(
            &self.missing,
            &stage.vectors(),
            &mut embedder,
            cancel,
            means.on_vectors,
        )?;
        for (meta, _) in &self.vectors.whole {
            stage.take(VECTORS_DIR, Path::new(&meta.file))?;
        }
        let whole = self.vectors.whole.iter().map(|(meta, _)| meta.clone());
        payload.vectors = whole.chain(made).collect();
        payload.generation += 1;
        let mut segments = Vec::new();
        if self.payload.is_some() {
            for part in self.parts.iter().filter(|part| part.is_whole()) {
                for file in part.listed.files() {
                    stage.take(WORDS_DIR, file)?;
                }
                segments.extend(part.listed.described.clone());
            }
        }
        stage.describe(&segments, self.opstamp)?;
        let lost = self.documents.lost.iter().map(|lost| lost.id);
        let lost: Vec<DocumentId> = lost.collect();
        cancel.check()?;
        stage.commit(&self.parts, &self.documents.kept, &lost, &payload)?;
        stage.publish()?;
        Ok(payload.generation)
    }

    /// The payload of a collection whose own is lost, as the configuration has it.
    fn guess(&self, means: &mut Means<'_>) -> Result<Payload> {
        let embedder = (means.embedder)()?;
        let source = VectorInputs {
            parts: &self.parts,
            kept: &self.documents.kept,
            vectors: &self.vectors,
            settings: &means.settings,
            fields: schema().1,
        };
        let dimension = embedder.dimension();
        let fits = self.vectors.dimension().is_none_or(|own| own == dimension)
            && source.was_made_by(embedder.as_ref())?;
        if !fits {
            let message = format!(
                "the description of the last commit is lost, and the collection was not made by \
                 {} with the configured chunking; configure what it was made with and repair it \
                 then",
                embedder.id()
            );
            return Err(Error::new(ErrorKind::Mismatch, message));
        }
        let ids = self.documents.kept.iter().flat_map(|kept| &kept.chunks);
        let ids = ids.filter_map(|place| vectors::vector_id(&self.parts, *place));
        let next = ids.max().map_or(0, |id| id + 1);
        let now = super::writer::now_ns();
        Ok(Payload {
            format: FORMAT,
            created_ns: now,
            // Above all that there were, since answers are cached by it.
            generation: now / 1_000_000_000,
            embedder: EmbedderEntry {
                id: embedder.id().to_owned(),
                dimension,
            },
            settings: means.settings.clone(),
            // Whatever it was: the next writer reads the words again where that is needed.
            analysis: first_analysis(),
            vectors: Vec::new(),
            next_vector_id: next.max(self.vectors.next_id()),
            roots: std::collections::BTreeMap::new(),
        })
    }
}

fn check_embedder(wanted: &EmbedderEntry, embedder: &dyn Embedder) -> Result<()> {
    if wanted.id == embedder.id() && wanted.dimension == embedder.dimension() {
        return Ok(());
    }
    let message = format!(
        "vectors of {} are lost and have to be made again, and {} is configured; configure the \
         other one for the repair",
        wanted.id,
        embedder.id()
    );
    Err(Error::new(ErrorKind::Mismatch, message))
}

/// Reads segments. One whose files are all gone while another looks like it, which no commit
/// names, is that one.
fn read_parts(words: &Path, listed: Vec<Listed>) -> Result<Vec<Part>> {
    let directory = WordsDirectory::open(words)
        .and_then(|words| ManagedDirectory::wrap(Box::new(words)))
        .map_err(|error| fault::convert(error, words))?;
    let read = |listed: Listed| Part::read(&directory, listed, words);
    let names: Vec<String> = listed.iter().map(|listed| listed.name.clone()).collect();
    let mut unnamed = Vec::new();
    if listed.iter().any(|listed| listed.is_gone(words)) {
        let others = Listed::of_folder(words)?.into_iter();
        let others = others.filter(|other| !names.contains(&other.name));
        unnamed = others.map(read).collect::<Result<_>>()?;
    }
    let mut parts = Vec::with_capacity(listed.len());
    for listed in listed {
        let is_it = |part: &Part| part.is_whole() && listed.looks_like(part);
        let found = match listed.is_gone(words) {
            true => unnamed.iter().position(is_it),
            false => None,
        };
        parts.push(match found {
            Some(at) => {
                let mut part = unnamed.swap_remove(at);
                part.damaged.push(META_FILE.into());
                part
            }
            None => read(listed)?,
        });
    }
    Ok(parts)
}

/// What `meta.json` in `words` says.
fn describe(words: &Path) -> Result<Description> {
    let file = words.join(META_FILE);
    let read = || {
        let index = WordsDirectory::open(words).and_then(tantivy::Index::open);
        let index = index.map_err(|error| fault::convert(error, words))?;
        let metas = index.load_metas();
        let metas = metas.map_err(|error| fault::convert(error, words))?;
        if metas.schema != schema().0 {
            let message = "the word index was written by another version of Cairn; use that one";
            return Err(Error::new(ErrorKind::Mismatch, message).at(&file));
        }
        let Some(json) = &metas.payload else {
            return Ok(Description::Nothing);
        };
        Ok(Description::Commit {
            payload: Box::new(Payload::read(json, &file)?),
            opstamp: metas.opstamp,
            segments: metas.segments.iter().map(Listed::of_commit).collect(),
        })
    };
    match fault::guarded(words, read) {
        Err(error) if matches!(error.kind(), ErrorKind::Mismatch | ErrorKind::Machine) => {
            Err(error)
        }
        read => Ok(read.unwrap_or(Description::Lost)),
    }
}
