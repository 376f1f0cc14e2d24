//! Which API key made which collection, so that no key makes too many.
//!
//! Kept in a file of its own in the data folder: what a key made counts for as long as
//! the collection is there. Losing the file loses the count and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::{ApiError, Code, Result};
use cairn_gateway::accounts::KeyId;

/// The file in the data folder.
const FILE: &str = "collection-owners.json";

/// Collections and the keys that made them.
#[derive(Debug)]
pub(super) struct Owners {
    path: PathBuf,
    /// None until the file was read.
    known: Mutex<Option<BTreeMap<String, KeyId>>>,
}

/// Most collections that may be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// In all.
    pub(super) all: usize,
    /// By one key.
    pub(super) of_a_key: usize,
}

impl Owners {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join(FILE),
            known: Mutex::default(),
        }
    }

    /// Whether `key` may have the collection `name`, which is made when it is not among
    /// those that are `there`; then it is the key's from now on. Blocks.
    ///
    /// # Errors
    /// `invalid_request` names the collection and the bound.
    pub(super) fn claim(
        &self,
        name: &str,
        key: Option<&KeyId>,
        there: &[String],
        most: Most,
    ) -> Result<()> {
        if there.iter().any(|other| other == name) {
            return Ok(());
        }
        if there.len() >= most.all {
            let all = most.all;
            let message = format!(
                "there are {all} collections already, which is server.max_collections; use one of \
                 those, or ask the operator"
            );
            return Err(ApiError::invalid("collection", message));
        }
        let Some(key) = key else { return Ok(()) };
        // Only one collection is claimed at a time, so that two requests do not both
        // take the last place.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let owned = known.get_or_insert_with(|| self.read());
        let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
        let own = owned
            .iter()
            .filter(|(other, owner)| *owner == key && there.contains(other.as_str()));
        if own.count() >= most.of_a_key {
            let of_a_key = most.of_a_key;
            let message = format!(
                "this API key made {of_a_key} collections already, which is \
                 server.max_collections_per_key; use one of those, or ask the operator"
            );
            return Err(ApiError::invalid("collection", message));
        }
        let mut next = owned.clone();
        next.retain(|other, _| there.contains(other.as_str()));
        next.insert(name.to_owned(), key.clone());
        self.write(&next)?;
        *owned = next;
        Ok(())
    }

    /// Whether `key` made the collection `name`. Blocks.
    pub(super) fn is_of(&self, name: &str, key: &KeyId) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let owned = known.get_or_insert_with(|| self.read());
        owned.get(name) == Some(key)
    }

    fn read(&self) -> BTreeMap<String, KeyId> {
        let read = std::fs::read(&self.path);
        match read.map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(owned)) => owned,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Ok(Err(error)) => self.lost(&error),
            Err(error) => self.lost(&error),
        }
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> BTreeMap<String, KeyId> {
        tracing::warn!(%error, file = %self.path.display(), "which key made which collection is lost; counting from zero");
        BTreeMap::new()
    }

    /// Replaces the file as a whole.
    fn write(&self, owned: &BTreeMap<String, KeyId>) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let dir = self.path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(dir)?;
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            serde_json::to_writer(&mut file, owned)?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            Ok(())
        };
        write().map_err(|error| {
            tracing::error!(%error, file = %self.path.display(), "the owner of a collection cannot be stored");
            let message = "the collection cannot be made: the disk is full, or the data folder \
                           cannot be written";
            ApiError::new(Code::Storage, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_made_counts_as_long_as_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let most = Most {
            all: 4,
            of_a_key: 2,
        };
        let (a, b) = (KeyId::new("a"), KeyId::new("b"));
        let mut there: Vec<String> = Vec::new();
        let owners = Owners::new(dir.path());
        let claim = |owners: &Owners, name: &str, key: Option<&KeyId>, there: &[String]| {
            owners
                .claim(name, key, there, most)
                .map_err(|error| error.message)
        };
        for name in ["one", "two"] {
            claim(&owners, name, Some(&a), &there).unwrap();
            there.push(name.to_owned());
        }
        let refused = claim(&owners, "three", Some(&a), &there).unwrap_err();
        assert!(refused.contains("max_collections_per_key"), "{refused}");
        assert!(owners.is_of("one", &a) && !owners.is_of("one", &b) && !owners.is_of("x", &a));
        // What is there already may be used, and others have places of their own.
        claim(&owners, "one", Some(&a), &there).unwrap();
        claim(&owners, "three", Some(&b), &there).unwrap();
        there.push("three".to_owned());

        // Another process knows as much; one that is deleted does not count.
        let owners = Owners::new(dir.path());
        claim(&owners, "four", Some(&a), &there).unwrap_err();
        there.retain(|name| name != "two");
        claim(&owners, "four", Some(&a), &there).unwrap();
        there.push("four".to_owned());
        claim(&owners, "five", None, &there).unwrap();
        there.push("five".to_owned());
        let refused = claim(&owners, "six", None, &there).unwrap_err();
        assert!(refused.contains("server.max_collections;"), "{refused}");
    }

    #[test]
    fn a_damaged_file_is_counted_anew() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "nope").unwrap();
        let owners = Owners::new(dir.path());
        let most = Most {
            all: 4,
            of_a_key: 2,
        };
        let key = KeyId::new("a");
        owners.claim("one", Some(&key), &[], most).unwrap();
    }
}
