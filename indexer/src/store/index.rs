//! A collection: where it is, what was committed last, and who may write.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use cairn_models::{Cancel, Embedder};
use tantivy::{IndexReader, ReloadPolicy, Searcher};

use crate::states::States;
use crate::words::Analyzer;
use crate::{Error, ErrorKind, Result};

use super::directory::WordsDirectory;
use super::payload::Payload;
use super::schema::{ANALYZER, Fields, schema};
use super::{IndexSettings, Snapshot, Writer, doctor, fault, lock};
use cairn_files::private;

/// Folder of the word index inside a collection.
pub(super) const WORDS_DIR: &str = "words";
/// Folder of the vector segments inside a collection.
pub(super) const VECTORS_DIR: &str = "vectors";
/// Folder of what a re-ranker has read of chunks.
pub(super) const STATES_DIR: &str = "states";
/// Tantivy's description of its last commit, with our payload inside.
pub(super) const META_FILE: &str = "meta.json";

/// A commit that lands between our reads makes us read again; more often than
/// this in a row means that something else is wrong.
const MAX_OPEN_ATTEMPTS: usize = 20;

/// What names of folders begin with that hold removed collections.
const REMOVED: &str = ".removed-";

/// Whether a folder of this name holds nothing but what is left of a removed collection.
pub fn is_removed(name: &str) -> bool {
    name.starts_with(REMOVED)
}

/// One collection. Cheap to clone; any number of readers, one writer.
#[derive(Clone)]
pub struct Index {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) settings: IndexSettings,
    current: ArcSwap<Snapshot>,
    /// The word index, once it is on disk. Held while a snapshot is opened.
    words: Mutex<Option<WordIndex>>,
    /// Those that were asked for last.
    states: Mutex<Option<Arc<States>>>,
    /// Set by [`Index::remove`].
    removed: AtomicBool,
}

/// The word index of a collection.
#[derive(Clone)]
pub(super) struct WordIndex {
    pub(super) index: tantivy::Index,
    pub(super) fields: Fields,
    reader: IndexReader,
}

impl Index {
    /// Opens the collection in `dir`; a folder that does not exist yet is an
    /// empty collection, and stays so until something is written.
    ///
    /// # Errors
    /// `InvalidInput` for settings out of range, `Corrupt` for damaged files
    /// (run `cairn doctor`), `Mismatch` for a format of another version.
    pub fn open(dir: &Path, settings: IndexSettings) -> Result<Self> {
        settings.check()?;
        let shared = Shared {
            dir: dir.to_owned(),
            settings,
            current: ArcSwap::from_pointee(Snapshot::empty()),
            words: Mutex::new(None),
            states: Mutex::default(),
            removed: AtomicBool::new(false),
        };
        let index = Self {
            shared: Arc::new(shared),
        };
        index.refresh()?;
        Ok(index)
    }

    /// The last commit that this handle knows.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.current.load_full()
    }

    /// Looks for commits of other processes; true when there was one.
    pub fn refresh(&self) -> Result<bool> {
        self.shared.refresh()
    }

    /// Takes the writer lock, or fails with kind `Locked`. The embedder's id
    /// and the settings must be those of the commits that are there, else the
    /// error's kind is `Mismatch`.
    pub fn writer(&self, embedder: Arc<dyn Embedder>) -> Result<Writer> {
        Writer::new(Arc::clone(&self.shared), embedder)
    }

    /// As [`Index::writer`], but waits up to `patience` for another writer to end or to give
    /// way, which folder runs do. Fails with kind `Cancelled` when `cancel` fires meanwhile.
    pub fn writer_within(
        &self,
        embedder: &Arc<dyn Embedder>,
        patience: Duration,
        cancel: &Cancel,
    ) -> Result<Writer> {
        lock::wait_in_line(&self.shared.dir, patience, cancel, || {
            self.writer(Arc::clone(embedder))
        })
    }

    /// Removes the collection from the disk, once no writer has it, for which it waits up to
    /// `patience`. Its folder goes in one step: after a power cut it is there whole or not at
    /// all, or under a name that [`is_removed`] knows. Snapshots stay readable; whoever writes
    /// with this handle afterwards fails.
    ///
    /// # Errors
    /// `Locked`, and those of the disk.
    pub fn remove(&self, patience: Duration) -> Result<()> {
        let dir = &self.shared.dir;
        let lock = lock::wait_in_line(dir, patience, &Cancel::never(), || {
            lock::WriterLock::acquire(dir)
        })?;
        let parent = dir.parent().unwrap_or(Path::new("."));
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let grave = tempfile::Builder::new()
            .prefix(&format!("{REMOVED}{name}."))
            .tempdir_in(parent)
            .and_then(|grave| {
                std::fs::rename(dir, grave.path().join("collection"))?;
                self.shared.removed.store(true, Ordering::Release);
                cairn_files::sync_folder(parent)?;
                Ok(grave)
            });
        let grave = grave.map_err(|error| Error::from(error).at(dir))?;
        drop(lock);
        grave.close().map_err(|error| Error::from(error).at(dir))
    }

    /// What was stored of chunks as `model` packs it; `None` if nothing has been committed
    /// yet.
    pub fn states(&self, snapshot: &Snapshot, model: &str) -> Option<Arc<States>> {
        let created_ns = snapshot.payload()?.created_ns;
        let mut slot = self
            .shared
            .states
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = slot
            .take()
            .filter(|states| states.belongs_to(created_ns, model));
        let open = || Arc::new(States::open(self.dir().join(STATES_DIR), created_ns, model));
        Some(Arc::clone(slot.insert(known.unwrap_or_else(open))))
    }

    pub(super) fn settings(&self) -> &IndexSettings {
        &self.shared.settings
    }

    /// Where it lives.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }
}

impl Shared {
    /// Fails for a collection that was removed, which is not made again by who still has it.
    pub(super) fn check_there(&self) -> Result<()> {
        match self.removed.load(Ordering::Acquire) {
            true => Err(Error::new(
                ErrorKind::NotFound,
                "the collection was removed",
            )),
            false => Ok(()),
        }
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    pub(super) fn vectors_dir(&self) -> PathBuf {
        self.dir.join(VECTORS_DIR)
    }

    /// Opens the last commit if it is not the one that is known.
    pub(super) fn refresh(&self) -> Result<bool> {
        let mut slot = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let words_dir = self.dir.join(WORDS_DIR);
        if slot.is_none() {
            if !words_dir.join(META_FILE).exists() {
                return Ok(false);
            }
            let index = WordsDirectory::open(&words_dir).and_then(tantivy::Index::open);
            let index = locate(index, &words_dir)?;
            let open = || WordIndex::new(index.clone(), &self.settings.language);
            let words = fault::guarded(&words_dir, open);
            *slot = Some(words.map_err(|error| name_damage(error, &index, &words_dir))?);
        }
        let Some(words) = slot.as_ref() else {
            return Ok(false);
        };
        let last = || fault::guarded(&words_dir, || words.last_commit(&words_dir));
        let named = |error| name_damage(error, &words.index, &words_dir);
        let Some(mut commit) = last().map_err(named)? else {
            return Ok(false);
        };
        // Not the generation alone: the folder may have been deleted and filled
        // again.
        if self.current.load().payload() == Some(&commit.0) {
            return Ok(false);
        }
        for _ in 0..MAX_OPEN_ATTEMPTS {
            let generation = commit.0.generation;
            words.register(&commit.0.settings.language)?;
            let (payload, searcher) = commit;
            let open = || Snapshot::open(payload, searcher, words.fields, &self.dir);
            let error = match fault::guarded(&words_dir, open) {
                Ok(snapshot) => {
                    self.current.store(Arc::new(snapshot));
                    return Ok(true);
                }
                Err(error) => error,
            };
            // A file may be gone because a newer commit has replaced it.
            match last().map_err(named)? {
                Some(newer) if newer.0.generation != generation => commit = newer,
                _ => return Err(named(error)),
            }
        }
        Err(Error::new(
            ErrorKind::Machine,
            "the collection changes faster than it can be opened",
        )
        .at(&self.dir))
    }

    /// The word index, made if it is not there. Call with the writer lock.
    pub(super) fn create_words(&self) -> Result<WordIndex> {
        let mut slot = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(words) = slot.as_ref() {
            return Ok(words.clone());
        }
        let dir = self.dir.join(WORDS_DIR);
        private::folder(&dir).map_err(|error| Error::from(error).at(&dir))?;
        let directory = locate(WordsDirectory::open(&dir), &dir)?;
        let index = locate(tantivy::Index::open_or_create(directory, schema().0), &dir)?;
        let words = WordIndex::new(index, &self.settings.language)?;
        *slot = Some(words.clone());
        Ok(words)
    }
}

impl WordIndex {
    fn new(index: tantivy::Index, language: &str) -> Result<Self> {
        let (expected, fields) = schema();
        if index.schema() != expected {
            return Err(Error::new(
                ErrorKind::Mismatch,
                "the word index was written by another version of Cairn; use that one, or index \
                 into a new collection",
            ));
        }
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        let words = Self {
            index,
            fields,
            reader,
        };
        words.register(language)?;
        Ok(words)
    }

    /// Makes `language` the one that new text is analyzed in.
    pub(super) fn register(&self, language: &str) -> Result<()> {
        self.index
            .tokenizers()
            .register(ANALYZER, Analyzer::new(language)?.text_analyzer());
        Ok(())
    }

    /// Payload and searcher of the last commit; none before the first one.
    fn last_commit(&self, dir: &Path) -> Result<Option<(Payload, Searcher)>> {
        for _ in 0..MAX_OPEN_ATTEMPTS {
            let before = locate(self.index.load_metas(), dir)?;
            let Some(json) = &before.payload else {
                return Ok(None);
            };
            let payload = Payload::read(json, &dir.join(META_FILE))?;
            let reloaded = self.reader.reload();
            let after = locate(self.index.load_metas(), dir)?;
            if before.payload == after.payload {
                locate(reloaded, dir)?;
                return Ok(Some((payload, self.reader.searcher())));
            }
        }
        Err(Error::new(
            ErrorKind::Machine,
            "the collection changes faster than it can be opened",
        )
        .at(dir))
    }
}

/// An error of Tantivy with the whole path of its file.
fn locate<T>(result: tantivy::Result<T>, dir: &Path) -> Result<T> {
    result.map_err(|error| fault::convert(error, dir))
}

/// The same error, with the file that is to blame. A file that a commit names
/// and that is not there was lost.
fn name_damage(error: Error, index: &tantivy::Index, dir: &Path) -> Error {
    match (error.kind(), error.path().map(Path::to_owned)) {
        (ErrorKind::NotFound, Some(path)) => {
            let message = "a file of the index is missing; run `cairn doctor`";
            Error::new(ErrorKind::Corrupt, message)
                .at(path)
                .because(error)
        }
        (ErrorKind::Corrupt, None) => {
            let damaged = fault::guarded(dir, || doctor::damaged_files(index, dir));
            let first = damaged.ok().and_then(|files| files.into_iter().next());
            error.at(first.unwrap_or_else(|| dir.to_owned()))
        }
        _ => error,
    }
}
