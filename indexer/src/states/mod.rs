//! What a late interaction model has read of chunks, so that a question compares instead
//! of reading.
//!
//! States follow from the text of a chunk and from the model: they may be missing,
//! damaged or deleted at any time, and are read again. So no commit names them, and they
//! name the chunk: by its vector id, which never stands for another text within one
//! collection. Files are immutable, written alongside the commits and not with them, by
//! whoever holds the lock of their folder; small ones are merged, and what belongs to no
//! live chunk is left out then. A list of the files tells a lost one from passages that are
//! still to be read.

mod examine;
mod list;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use cairn_files::private;

pub(crate) use self::examine::{examine, remove_damaged};
use self::segment::{Owner, SUFFIX, Segment, Unusable};
use crate::store::lock;
use crate::{Error, ErrorKind, Result};

/// As many files of about one size are merged.
const FILES_IN_TIER: usize = 4;

/// A file of which this share is dead is written again without them.
const MAX_DEAD_SHARE: f64 = 0.3;

const LOCK_FILE: &str = "lock";

/// A child process, such as one that parses, holds the locks of its parent for a moment,
/// until it runs its own program: so long a lock is waited for.
const A_CHILD_STARTS: Duration = Duration::from_millis(200);

/// The stored states of one collection, as one model packs them. Calls from several
/// threads and processes are safe.
#[derive(Debug)]
pub struct States {
    dir: PathBuf,
    owner: Owner,
    segments: ArcSwap<Vec<Arc<Segment>>>,
    /// Files in which something was found damaged: not opened again, and removed by the
    /// next writer.
    damaged: Mutex<BTreeSet<String>>,
}

impl States {
    /// The states in the folder `dir`, which may not be there, of the collection whose
    /// first commit was made at `created_ns`, as `model` packs them. Files that cannot be
    /// used are left out.
    pub(crate) fn open(dir: PathBuf, created_ns: u64, model: &str) -> Self {
        let owner = Owner {
            created_ns,
            model: *blake3::hash(model.as_bytes()).as_bytes(),
        };
        let states = Self {
            dir,
            owner,
            segments: ArcSwap::default(),
            damaged: Mutex::default(),
        };
        states.refresh();
        states
    }

    pub(crate) fn belongs_to(&self, created_ns: u64, model: &str) -> bool {
        let model = *blake3::hash(model.as_bytes()).as_bytes();
        self.owner == Owner { created_ns, model }
    }

    /// Looks for files that other processes have written or removed.
    pub fn refresh(&self) {
        let old = self.segments.load_full();
        let names = self.names();
        if names.iter().eq(old.iter().map(|segment| &segment.name)) {
            return;
        }
        let mut known: BTreeMap<&str, &Arc<Segment>> = old
            .iter()
            .map(|segment| (&*segment.name, segment))
            .collect();
        let mut segments = Vec::with_capacity(names.len());
        for name in &names {
            match known.remove(&**name) {
                Some(segment) => segments.push(Arc::clone(segment)),
                None => match Segment::open(&self.dir, name, &self.owner) {
                    Ok(segment) => segments.push(Arc::new(segment)),
                    Err(Unusable::Foreign) => self.set_aside(name),
                    // Merged away by another process.
                    Err(Unusable::Damaged(error)) if error.kind() == ErrorKind::NotFound => {}
                    Err(Unusable::Damaged(error)) => {
                        self.report(name, &error);
                        self.set_aside(name);
                    }
                },
            }
        }
        self.segments.store(Arc::new(segments));
    }

    /// The packed states of the chunk with this vector id. Damaged ones are as if they had
    /// not been stored.
    pub fn get(&self, vector_id: u64) -> Option<Vec<u8>> {
        for segment in self.segments.load().iter() {
            match segment.get(vector_id) {
                Ok(None) => {}
                Ok(found) => return found,
                Err(error) => self.drop_damaged(segment, &error),
            }
        }
        None
    }

    /// Those of `vector_ids` that have no states, in their order.
    pub fn missing(&self, vector_ids: impl Iterator<Item = u64>) -> Vec<u64> {
        let segments = self.segments.load();
        let is_stored = |id: &u64| segments.iter().any(|segment| segment.contains(*id));
        vector_ids.filter(|id| !is_stored(id)).collect()
    }

    /// The right to add, which one process has at a time; `None` if another has it, or the
    /// collection can only be read. Makes the folder if it is not there.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn writer(&self) -> Result<Option<StatesWriter<'_>>> {
        let lock = match self.lock() {
            Err(_) if self.is_read_only() => None,
            lock => lock?,
        };
        Ok(lock.map(|lock| {
            self.refresh();
            StatesWriter {
                states: self,
                _lock: lock,
            }
        }))
    }

    fn merge(&self, alive: &dyn Fn(u64) -> bool) -> Result<()> {
        loop {
            let segments = self.segments.load_full();
            let chosen = plan(&segments, alive);
            if chosen.is_empty() {
                return Ok(());
            }
            let sources: Vec<&Arc<Segment>> = chosen.iter().map(|&at| &segments[at]).collect();
            let mut ids: Vec<u64> = sources
                .iter()
                .flat_map(|source| source.ids())
                .copied()
                .collect();
            ids.sort_unstable();
            ids.dedup();
            ids.retain(|id| alive(*id));
            let merged = self.write(ids, |id| {
                let row = sources.iter().find_map(|source| source.get(id).transpose());
                // A damaged row is read again later.
                Ok(row.and_then(Result::ok))
            })?;
            for source in sources
                .iter()
                .filter(|source| merged.as_ref() != Some(&source.name))
            {
                self.set_aside(&source.name);
            }
            self.refresh();
        }
    }

    fn write(
        &self,
        ids: Vec<u64>,
        row: impl FnMut(u64) -> Result<Option<Vec<u8>>>,
    ) -> Result<Option<String>> {
        let written = segment::write(&self.dir, &self.owner, ids.into_iter(), row)?;
        if let Some(name) = &written {
            // The same rows have the same name, and take the place of a damaged file.
            self.damaged().remove(name);
        }
        Ok(written)
    }

    /// Removes what was set aside, and what killed writers left.
    fn remove_useless(&self) {
        let useless = std::mem::take(&mut *self.damaged());
        let left = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let left = left.filter_map(|file| file.file_name().into_string().ok());
        let left = left.filter(|name| name.starts_with(".tmp-"));
        for name in useless.into_iter().chain(left) {
            let path = self.dir.join(&name);
            if let Err(error) = cairn_files::remove(&path) {
                tracing::warn!(file = %path.display(), %error, "an old file of states cannot be removed");
                self.set_aside(&name);
            }
        }
    }

    /// The lock of the folder, which is made if it is not there; `None` if another holds it.
    fn lock(&self) -> Result<Option<File>> {
        // A collection that was removed meanwhile is not made again.
        if !self.dir.parent().is_none_or(Path::is_dir) {
            return Err(Error::new(
                ErrorKind::NotFound,
                "the collection was removed",
            ));
        }
        private::folder(&self.dir).map_err(|error| Error::from(error).at(&self.dir))?;
        let path = self.dir.join(LOCK_FILE);
        let file = private::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Error::from(error).at(&path))?;
        let taken = lock::wait(A_CHILD_STARTS, || match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                let message = "another process stores states";
                Err(Error::new(ErrorKind::Locked, message).at(&path))
            }
            Err(TryLockError::Error(error)) => Err(Error::from(error).at(&path)),
        });
        match taken {
            Err(error) if error.kind() == ErrorKind::Locked => Ok(None),
            taken => taken.map(|()| Some(file)),
        }
    }

    fn is_read_only(&self) -> bool {
        let collection = self.dir.parent();
        private::is_read_only(&self.dir) || collection.is_some_and(private::is_read_only)
    }

    /// Files that may be of use, sorted.
    fn names(&self) -> Vec<String> {
        let aside = self.damaged();
        let mut names: Vec<String> = file_names(&self.dir);
        names.retain(|name| !aside.contains(name));
        names
    }

    fn set_aside(&self, name: &str) {
        self.damaged().insert(name.to_owned());
    }

    fn drop_damaged(&self, segment: &Segment, error: &Error) {
        self.report(&segment.name, error);
        self.set_aside(&segment.name);
        self.refresh();
    }

    fn report(&self, name: &str, error: &Error) {
        let file = self.dir.join(name);
        tracing::warn!(file = %file.display(), %error, "stored states are left out and read again");
    }

    fn damaged(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a process has the right to write in `dir`.
pub(crate) fn is_locked(dir: &Path) -> bool {
    let lock = File::open(dir.join(LOCK_FILE)).map(|file| file.try_lock_shared());
    matches!(lock, Ok(Err(TryLockError::WouldBlock)))
}

/// Adds states, and keeps their files in order. Dropping it lets others write.
#[derive(Debug)]
pub struct StatesWriter<'a> {
    states: &'a States,
    _lock: File,
}

impl StatesWriter<'_> {
    /// Stores `rows`, by vector id, durably; merges small files, without rows that are not
    /// `alive`, and removes those that are of no use.
    ///
    /// # Errors
    /// `InvalidInput` for a row that is too long; those of the disk.
    pub fn add(
        &mut self,
        mut rows: BTreeMap<u64, Vec<u8>>,
        alive: &dyn Fn(u64) -> bool,
    ) -> Result<()> {
        let states = self.states;
        let known = states.segments.load_full();
        rows.retain(|id, _| !known.iter().any(|segment| segment.contains(*id)));
        let ids: Vec<u64> = rows.keys().copied().collect();
        let row = |id| Ok(rows.remove(&id));
        states.write(ids, row)?;
        states.refresh();
        states.merge(alive)?;
        // Before files are removed: the list never names one that is not needed.
        list::write(&states.dir, &states.names())?;
        states.remove_useless();
        Ok(())
    }

    /// Whether [`StatesWriter::add`] would write a file again that is mostly of dead chunks.
    pub fn is_wasteful(&self, alive: &dyn Fn(u64) -> bool) -> bool {
        let segments = self.states.segments.load();
        segments.iter().any(|segment| is_wasteful(segment, alive))
    }
}

/// The files of states in `dir`, sorted.
fn file_names(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| name.ends_with(SUFFIX) && !name.starts_with('.'))
        .collect();
    names.sort_unstable();
    names
}

/// The files that should become one; empty when all is well.
fn plan(segments: &[Arc<Segment>], alive: &dyn Fn(u64) -> bool) -> Vec<usize> {
    let tier = |at: usize| segments[at].ids().len().max(1).ilog(FILES_IN_TIER);
    for first in 0..segments.len() {
        let peers: Vec<usize> = (0..segments.len())
            .filter(|&at| tier(at) == tier(first))
            .collect();
        if peers.len() >= FILES_IN_TIER {
            return peers;
        }
    }
    let wasteful = segments
        .iter()
        .position(|segment| is_wasteful(segment, alive));
    wasteful.into_iter().collect()
}

fn is_wasteful(segment: &Segment, alive: &dyn Fn(u64) -> bool) -> bool {
    let dead = segment.ids().iter().filter(|id| !alive(**id)).count();
    dead as f64 > MAX_DEAD_SHARE * segment.ids().len() as f64
}
