//! The collections of one data folder, each opened once and shared.
//!
//! A collection is a folder `collections/NAME` of the data folder. Names are
//! lower-case, so that they stay distinct on file systems that ignore case.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_indexer::{Index, IndexSettings, is_removed};

use super::cell::{Cell, Due};
use super::error::{SearchError, SearchErrorKind};
use cairn_files::private;

/// How long a request waits for a collection that is being opened.
const PATIENCE: Duration = Duration::from_secs(20);

/// The folder of the collections in the data folder.
const FOLDER: &str = "collections";

/// Longest name of a collection, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Opens, creates and lists collections by name.
pub(super) struct Collections {
    data_dir: PathBuf,
    dir: PathBuf,
    settings: IndexSettings,
    /// Locked only to find a cell, never while one is opened.
    cells: Mutex<HashMap<String, Arc<Cell>>>,
}

impl Collections {
    pub(super) fn new(data_dir: &Path, settings: IndexSettings) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            dir: data_dir.join(FOLDER),
            settings,
            cells: Mutex::default(),
        }
    }

    /// The collection `name`, which must exist.
    pub(super) fn get(&self, name: &str) -> Result<Index, SearchError> {
        self.get_within(name, PATIENCE)
    }

    /// The collection `name`, which must exist, if it is open within `patience`.
    pub(super) fn get_within(&self, name: &str, patience: Duration) -> Result<Index, SearchError> {
        check_name(name)?;
        self.open(name, false, patience)
    }

    /// The collection `name`, created if it does not exist.
    pub(super) fn create(&self, name: &str) -> Result<Index, SearchError> {
        check_name(name)?;
        match self.open(name, true, PATIENCE) {
            // Another request looked for it just before it was created.
            Err(error) if error.kind() == SearchErrorKind::NotFound => {
                self.open(name, true, PATIENCE)
            }
            opened => opened,
        }
    }

    /// Forgets the collection `name`, which was removed, and deletes the remains of removed
    /// collections from disk.
    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(is_removed)
                && let Err(error) = std::fs::remove_dir_all(entry.path())
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "a removed collection still takes up disk space");
            }
        }
    }

    /// The collection `name`, if it is open.
    pub(super) fn opened(&self, name: &str) -> Option<Index> {
        self.lock().get(name)?.opened()
    }

    /// All that are open, sorted by name.
    pub(super) fn all_opened(&self) -> Vec<(String, Index)> {
        let open = |(name, cell): (&String, &Arc<Cell>)| Some((name.clone(), cell.opened()?));
        let mut all: Vec<_> = self.lock().iter().filter_map(open).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// The folder of the collection `name`, whether it exists or not.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, SearchError> {
        check_name(name)?;
        Ok(self.dir.join(name))
    }

    /// The names of all collections, sorted.
    pub(super) fn list(&self) -> Result<Vec<String>, SearchError> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cairn_indexer::Error::from(error).at(&self.dir).into()),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| check_name(name).is_ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The collection, if it is time to look for commits of other processes.
    pub(super) fn due_for_refresh(&self, name: &str) -> Option<Due> {
        self.lock().get(name)?.due_for_refresh()
    }

    fn open(&self, name: &str, create: bool, patience: Duration) -> Result<Index, SearchError> {
        let cell = {
            let mut cells = self.lock();
            match cells.get(name) {
                Some(cell) => Arc::clone(cell),
                None => {
                    let cell = Arc::new(Cell::new());
                    cells.insert(name.to_owned(), Arc::clone(&cell));
                    cell
                }
            }
        };
        let (data_dir, settings) = (self.data_dir.clone(), self.settings.clone());
        let named = name.to_owned();
        let opened = cell.get(patience, move || open(&data_dir, settings, &named, create));
        if matches!(&opened, Err(error) if error.kind() == SearchErrorKind::NotFound) {
            // Names of collections that do not exist are not kept.
            let mut cells = self.lock();
            let same = |other: &Arc<Cell>| Arc::ptr_eq(other, &cell) && other.is_unused();
            if cells.get(name).is_some_and(same) {
                cells.remove(name);
            }
        }
        opened
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Cell>>> {
        // Every statement leaves the map consistent, even in a thread that died.
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the collection `name`; with `create`, a missing one is created.
fn open(
    data_dir: &Path,
    settings: IndexSettings,
    name: &str,
    create: bool,
) -> Result<Index, SearchError> {
    let collections = data_dir.join(FOLDER);
    let dir = collections.join(name);
    if create {
        private::data_folder(data_dir)
            .and_then(|()| private::folder(&collections))
            .and_then(|()| private::folder(&dir))
            .map_err(|error| cairn_indexer::Error::from(error).at(&dir))?;
    } else if !dir.is_dir() {
        return Err(SearchError::new(
            SearchErrorKind::NotFound,
            format!(
                "there is no collection `{name}`; \
                 `cairn index PATH --collection {name}` makes it"
            ),
        ));
    }
    Ok(Index::open(&dir, settings)?)
}

/// A name is also a folder name, so it must not lead outside the data folder.
pub(super) fn check_name(name: &str) -> Result<(), SearchError> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let whole = name.len() <= MAX_NAME_BYTES
        && name.bytes().next().is_some_and(inner)
        && name
            .bytes()
            .all(|byte| inner(byte) || matches!(byte, b'-' | b'_'));
    if whole {
        return Ok(());
    }
    Err(SearchError::bad_request(
        "collection",
        format!(
            "a collection's name has 1 to {MAX_NAME_BYTES} characters of a-z, 0-9, `-` and `_`, \
             and starts with a letter or digit"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        for name in ["main", "a", "docs-2", "team_a", "0"] {
            check_name(name).unwrap();
        }
        let long = "x".repeat(65);
        for name in [
            "", ".", "..", "../x", "a/b", "a\\b", "-x", "_x", "A", "ä", "a b", "a\0", &long,
        ] {
            let error = check_name(name).unwrap_err();
            assert_eq!(error.kind(), SearchErrorKind::BadRequest, "{name:?}");
            assert_eq!(error.param(), Some("collection"));
        }
    }

    #[test]
    fn an_unknown_collection_is_not_made_by_asking() {
        let dir = tempfile::tempdir().unwrap();
        let collections = Collections::new(dir.path(), IndexSettings::default());
        let Err(error) = collections.get("nowhere") else {
            panic!("opened a collection that is not there");
        };
        assert_eq!(error.kind(), SearchErrorKind::NotFound);
        assert!(!error.to_string().contains(dir.path().to_str().unwrap()));
        assert!(collections.list().unwrap().is_empty());
        collections.create("b").unwrap();
        collections.create("a").unwrap();
        collections.get("a").unwrap();
        assert_eq!(collections.list().unwrap(), ["a", "b"]);
        let opened: Vec<_> = collections
            .all_opened()
            .into_iter()
            .map(|it| it.0)
            .collect();
        assert_eq!(opened, ["a", "b"]);
    }

    #[test]
    fn a_removed_collection_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let collections = Collections::new(dir.path(), IndexSettings::default());
        collections.create("kept").unwrap();
        let old = collections.create("gone").unwrap();
        // Remains of another one after a power cut.
        std::fs::create_dir(dir.path().join("collections/.removed-x.1")).unwrap();
        old.remove(Duration::ZERO).unwrap();
        collections.forget("gone");
        assert_eq!(collections.list().unwrap(), ["kept"]);
        let left = std::fs::read_dir(dir.path().join("collections")).unwrap();
        assert_eq!(left.count(), 1);
        let error = collections.get("gone").err().unwrap();
        assert_eq!(error.kind(), SearchErrorKind::NotFound);
        // A caller that still holds it cannot create it again.
        let embedder: Arc<dyn cairn_models::Embedder> =
            Arc::new(cairn_models::testing::HashEmbedder);
        assert!(old.writer(Arc::clone(&embedder)).is_err());
        assert_eq!(collections.list().unwrap(), ["kept"]);
        collections
            .create("gone")
            .unwrap()
            .writer(embedder)
            .unwrap();
    }

    #[test]
    fn names_that_were_only_asked_for_are_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let collections = Collections::new(dir.path(), IndexSettings::default());
        for n in 0..100 {
            assert!(collections.get(&format!("c{n}")).is_err());
        }
        assert!(collections.lock().is_empty());
    }

    #[test]
    fn a_damaged_collection_leaves_the_others_alone() {
        let dir = tempfile::tempdir().unwrap();
        let collections = Collections::new(dir.path(), IndexSettings::default());
        collections.create("good").unwrap();
        let words = dir.path().join("collections/bad/words");
        std::fs::create_dir_all(&words).unwrap();
        std::fs::write(words.join("meta.json"), "{ nope").unwrap();
        for _ in 0..3 {
            let error = collections.get("bad").err().unwrap();
            assert_ne!(error.kind(), SearchErrorKind::NotFound, "{error}");
            assert!(!error.to_string().contains(dir.path().to_str().unwrap()));
            collections.get("good").unwrap();
        }
        assert!(collections.opened("bad").is_none());
    }
}
