//! The collections of one data folder, each opened once and shared.
//!
//! A collection is a folder `collections/NAME` of the data folder. Names are
//! lower-case, so that they stay distinct on file systems that ignore case.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cairn_indexer::{Index, IndexSettings};

use super::error::{SearchError, SearchErrorKind};
use cairn_files::private;

/// How long the commits of another process may stay unseen.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// When nobody has looked for so long, whoever comes waits for the look: what is known may
/// name documents that its reader may not read any more.
const OVERDUE: Duration = Duration::from_secs(3);

/// Longest name of a collection, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// A collection in which it is time to look for commits of other processes.
pub(super) struct Due {
    pub(super) index: Index,
    /// Whether that cannot be done beside what is asked.
    pub(super) now: bool,
}

struct Open {
    index: Index,
    looked_at: Instant,
}

/// Opens, creates and lists collections by name.
pub(super) struct Collections {
    data_dir: PathBuf,
    dir: PathBuf,
    settings: IndexSettings,
    open: Mutex<HashMap<String, Open>>,
}

impl Collections {
    pub(super) fn new(data_dir: &std::path::Path, settings: IndexSettings) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            dir: data_dir.join("collections"),
            settings,
            open: Mutex::default(),
        }
    }

    /// The collection `name`, which must exist.
    pub(super) fn get(&self, name: &str) -> Result<Index, SearchError> {
        check_name(name)?;
        self.open(name, false)
    }

    /// The collection `name`, made when there is none.
    pub(super) fn create(&self, name: &str) -> Result<Index, SearchError> {
        check_name(name)?;
        self.open(name, true)
    }

    /// Where the collection `name` lies, or would.
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
        let mut open = self.lock();
        let entry = open.get_mut(name)?;
        let age = entry.looked_at.elapsed();
        if age < REFRESH_EVERY {
            return None;
        }
        entry.looked_at = Instant::now();
        Some(Due {
            index: entry.index.clone(),
            now: age >= OVERDUE,
        })
    }

    fn open(&self, name: &str, create: bool) -> Result<Index, SearchError> {
        // The lock is held while an index opens, so that it is opened once.
        let mut open = self.lock();
        if let Some(entry) = open.get(name) {
            return Ok(entry.index.clone());
        }
        let dir = self.dir.join(name);
        if create {
            private::data_folder(&self.data_dir)
                .and_then(|()| private::folder(&self.dir))
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
        let index = Index::open(&dir, self.settings.clone())?;
        let entry = Open {
            index: index.clone(),
            looked_at: Instant::now(),
        };
        open.insert(name.to_owned(), entry);
        Ok(index)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Open>> {
        // The map is whole after every statement, also of a thread that died.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name is also a folder: nothing in it may leave the data folder.
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
    }
}
