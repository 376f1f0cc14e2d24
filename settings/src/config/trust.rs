//! Which configuration files the user has vouched for.
//!
//! A `cairn.toml` in the current folder may have come with the folder: a repository, an
//! archive, a share. It could send any variable of the environment to any address as the
//! "key" of a provider, or documents to a collector of traces. So it is used once its
//! reader has said so, for the very bytes that were read.
//!
//! The records are in the user's own state folder and not in the data folder, which the
//! file itself could name. One record is one file, named by the hash of the path, so that
//! two processes never write the same one in parts.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use cairn_files::private;

/// Names a folder for the records instead of the user's state folder.
const FOLDER_VARIABLE: &str = "CAIRN_STATE_DIR";

/// A file that is trusted as long as it has these bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TrustedFile {
    /// Its canonical path.
    pub path: PathBuf,
    /// BLAKE3 of its bytes.
    pub hash: String,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Somebody vouched for these bytes.
    Yes,
    /// Somebody vouched for other bytes.
    Changed,
    /// Nobody did.
    No,
}

/// The records of one user.
#[derive(Clone, Debug)]
pub struct TrustStore {
    folder: PathBuf,
}

impl TrustStore {
    /// The records of the user who runs this process; `None` if there is no home to
    /// keep them in.
    ///
    /// Only absolute folders count: a relative one would be where the file itself is.
    pub fn of_user() -> Option<Self> {
        let set = |name: &str| {
            let value = std::env::var_os(name).map(PathBuf::from);
            value.filter(|path| path.is_absolute())
        };
        let home = || std::env::home_dir().filter(|home| home.is_absolute());
        let state = if let Some(folder) = set(FOLDER_VARIABLE) {
            Some(folder)
        } else if cfg!(windows) {
            set("LOCALAPPDATA").map(|folder| folder.join("cairn"))
        } else if cfg!(target_os = "macos") {
            home().map(|home| home.join("Library/Application Support/cairn"))
        } else {
            set("XDG_STATE_HOME")
                .or_else(|| home().map(|home| home.join(".local/state")))
                .map(|folder| folder.join("cairn"))
        };
        state.map(|state| Self::at(state.join("trusted")))
    }

    /// The records in `folder`, which need not exist.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Whether somebody vouched for the file at the canonical `path` with these bytes.
    /// A record that cannot be read vouches for nothing.
    pub fn check(&self, path: &Path, bytes: &[u8]) -> Trust {
        match self.read(&self.record_of(path)) {
            Some(record) if record.path != path => Trust::No,
            Some(record) if record.hash == hash(bytes) => Trust::Yes,
            Some(_) => Trust::Changed,
            None => Trust::No,
        }
    }

    /// Vouches for the file at the canonical `path` as long as it has these bytes.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn add(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        let record = TrustedFile {
            path: path.to_owned(),
            hash: hash(bytes),
        };
        let text = serde_json::to_vec(&record).context("this path cannot be recorded")?;
        let write = || -> std::io::Result<()> {
            private::folder(&self.folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&text)?;
            file.as_file().sync_all()?;
            file.persist(self.record_of(path))?;
            Ok(())
        };
        write().with_context(|| format!("trust cannot be recorded in {}", self.folder.display()))
    }

    /// Vouches no longer for the file at the canonical `path`; false if it was not vouched for.
    ///
    /// # Errors
    /// When the record cannot be removed.
    pub fn remove(&self, path: &Path) -> anyhow::Result<bool> {
        let record = self.record_of(path);
        match std::fs::remove_file(&record) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| record.display().to_string()),
        }
    }

    /// Every file that somebody vouched for, by path.
    pub fn list(&self) -> Vec<TrustedFile> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let mut files: Vec<_> = entries
            .flatten()
            .filter_map(|entry| self.read(&entry.path()))
            .collect();
        files.sort();
        files
    }

    fn record_of(&self, path: &Path) -> PathBuf {
        let name = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        self.folder.join(format!("{}.json", &name[..32]))
    }

    fn read(&self, record: &Path) -> Option<TrustedFile> {
        serde_json::from_slice(&std::fs::read(record).ok()?).ok()
    }
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_in_one_path_and_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let store = TrustStore::at(dir.path().join("trusted"));
        let (one, other) = (Path::new("/a/cairn.toml"), Path::new("/b/cairn.toml"));
        assert_eq!(store.check(one, b"x"), Trust::No);
        assert!(!store.remove(one).unwrap());
        store.add(one, b"x").unwrap();
        assert_eq!(store.check(one, b"x"), Trust::Yes);
        assert_eq!(store.check(one, b"x "), Trust::Changed);
        assert_eq!(store.check(other, b"x"), Trust::No);
        store.add(one, b"y").unwrap();
        assert_eq!(store.check(one, b"x"), Trust::Changed);
        let listed = store.list();
        assert_eq!((listed.len(), &*listed[0].path), (1, one));
        assert!(store.remove(one).unwrap());
        assert_eq!(store.check(one, b"y"), Trust::No);
    }

    #[test]
    fn a_damaged_record_vouches_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = TrustStore::at(dir.path().to_owned());
        let path = Path::new("/a/cairn.toml");
        store.add(path, b"x").unwrap();
        let record = store.record_of(path);
        std::fs::write(&record, "{").unwrap();
        assert_eq!(store.check(path, b"x"), Trust::No);
        assert!(store.list().is_empty());
        // One that was copied under another name is for its own path alone.
        store.add(Path::new("/b"), b"x").unwrap();
        std::fs::copy(store.record_of(Path::new("/b")), &record).unwrap();
        assert_eq!(store.check(path, b"x"), Trust::No);
    }
}
