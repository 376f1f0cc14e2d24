//! Which workers live: each holds a lock on a file of its own, which the system lets go of
//! however the worker ends. A worker that starts finds the jobs of those that have gone.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use cairn_files::private;
use uuid::Uuid;

/// The folder in the data folder.
const FOLDER: &str = "workers";

/// Says that a worker lives, for as long as it is held.
#[derive(Debug)]
pub(super) struct Alive {
    name: String,
    path: PathBuf,
    _lock: File,
}

impl Alive {
    /// A new worker below `data_dir`.
    ///
    /// # Errors
    /// When its file cannot be made or locked.
    pub(super) fn new(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        private::folder(&folder)?;
        let name = Uuid::now_v7().to_string();
        let path = folder.join(&name);
        let lock = private::options()
            .write(true)
            .create_new(true)
            .open(&path)?;
        lock.try_lock().map_err(io::Error::from)?;
        Ok(Self {
            name,
            path,
            _lock: lock,
        })
    }

    /// Its name, which no other worker ever has.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // It gave its jobs back, so they need not be found.
        std::fs::remove_file(&self.path).ok();
    }
}

/// Names of workers whose processes have ended without giving their jobs back. Call
/// [`forget`] once their jobs are taken from them.
pub(super) fn dead(data_dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(data_dir.join(FOLDER)) else {
        return Vec::new();
    };
    let is_free = |path: PathBuf| match File::open(path).map(|file| file.try_lock()) {
        Ok(Ok(())) => true,
        Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => false,
    };
    entries
        .flatten()
        .filter(|entry| is_free(entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.parse::<Uuid>().is_ok())
        .collect()
}

/// Forgets a dead worker.
pub(super) fn forget(data_dir: &Path, name: &str) {
    std::fs::remove_file(data_dir.join(FOLDER).join(name)).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_whose_lock_is_free_are_dead() {
        let dir = tempfile::tempdir().unwrap();
        assert!(dead(dir.path()).is_empty());
        let alive = Alive::new(dir.path()).unwrap();
        let gone = Uuid::now_v7().to_string();
        std::fs::write(dir.path().join(FOLDER).join(&gone), "").unwrap();
        std::fs::write(dir.path().join(FOLDER).join("notes.txt"), "").unwrap();
        assert_eq!(dead(dir.path()), std::slice::from_ref(&gone));
        forget(dir.path(), &gone);
        assert!(dead(dir.path()).is_empty());
        drop(alive);
        assert_eq!(
            std::fs::read_dir(dir.path().join(FOLDER)).unwrap().count(),
            1
        );
    }
}
