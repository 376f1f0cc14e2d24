//! That API keys are required, noted alongside the database that holds them.
//!
//! A service whose keys are lost must not become one that never had any. So the first key
//! leaves a file in the data folder, and from then on a database that is missing, empty
//! or without a key is an error and not an open door.

use std::io::Write as _;
use std::path::Path;

use super::database;
use super::error::AccountsError;
use super::keys::{Keys, KeysState};
use cairn_files::private;

/// The file in the data folder.
pub(super) const FILE: &str = "keys-required";

const TEXT: &str = "API keys are required for the documents in this folder. This file says so also when \
    gateway.sqlite, which holds the keys, is lost. `cairn keys open --yes` removes both.\n";

/// Whether keys are required. Where that cannot be found out, they are.
pub(super) fn is_set(folder: &Path) -> bool {
    match std::fs::symlink_metadata(folder.join(FILE)) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Requires keys from now on; on the disk when it returns.
pub(super) fn set(folder: &Path) -> Result<(), AccountsError> {
    if is_set(folder) {
        return Ok(());
    }
    let path = folder.join(FILE);
    let write = || -> std::io::Result<()> {
        private::data_folder(folder)?;
        private::file(&path)?;
        let mut file = std::fs::OpenOptions::new().write(true).open(&path)?;
        file.write_all(TEXT.as_bytes())?;
        file.sync_all()?;
        cairn_files::sync_folder(folder)
    };
    write().map_err(|cause| {
        // A note that could not be written would close a service that has no key. A whole one
        // is another process's.
        if std::fs::metadata(&path).is_ok_and(|note| note.len() < TEXT.len() as u64) {
            std::fs::remove_file(&path).ok();
        }
        AccountsError::Marker { path, cause }
    })
}

/// Notes that keys are required for `data_dir`, durably, if that is not noted yet.
///
/// # Errors
/// [`AccountsError::Marker`] if the note cannot be written.
pub fn require_keys(data_dir: &Path) -> Result<(), AccountsError> {
    if is_set(data_dir) && !is_whole(data_dir) {
        let path = data_dir.join(FILE);
        let written = cairn_files::write(&path, TEXT.as_bytes());
        return written.map_err(|cause| AccountsError::Marker { path, cause });
    }
    set(data_dir)
}

fn is_whole(folder: &Path) -> bool {
    std::fs::read(folder.join(FILE)).is_ok_and(|text| text == TEXT.as_bytes())
}

/// What is wrong with the note that keys are required for `data_dir`, if there are keys: should
/// they be lost along with it, the service would open to everybody.
pub fn fault_of_note(data_dir: &Path) -> Option<&'static str> {
    let fault = match is_set(data_dir) {
        false => "is missing",
        true if is_whole(data_dir) => return None,
        true => "is damaged",
    };
    matches!(Keys::state(data_dir), KeysState::Required { .. }).then_some(fault)
}

/// Requires keys no longer.
pub(super) fn clear(folder: &Path) -> Result<(), AccountsError> {
    let path = folder.join(FILE);
    let removed = match std::fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => cairn_files::sync_folder(folder),
    };
    removed.map_err(|cause| AccountsError::Marker { path, cause })
}

/// Fails where keys are required and their database is not there: opening it would make
/// a new one.
pub(super) fn check_database(folder: &Path) -> Result<(), AccountsError> {
    let path = folder.join(database::FILE);
    let problem = match std::fs::metadata(&path) {
        _ if !is_set(folder) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is missing",
        Ok(meta) if meta.len() == 0 => "is empty",
        Ok(meta) if !meta.is_file() => "is not a file",
        // Whoever opens it says what is wrong.
        Ok(_) | Err(_) => return Ok(()),
    };
    Err(AccountsError::KeysLost { path, problem })
}

/// Brings the note in line with a database that was opened: `any` says whether it holds
/// a key. One from before there was such a note, or from a backup, gets it now.
pub(super) fn check_keys(folder: &Path, any: bool) -> Result<(), AccountsError> {
    match (is_set(folder), any) {
        (true, false) => Err(AccountsError::KeysLost {
            path: folder.join(database::FILE),
            problem: "holds no key",
        }),
        (false, true) => set(folder),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Accounts, Keys, KeysState, NewKey, Scope};
    use super::*;
    use cairn_settings::config::Config;

    /// A data folder with one key, and its configuration.
    fn closed() -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.data_dir = dir.path().join("data");
        create(&config);
        (dir, config)
    }

    fn create(config: &Config) {
        let new = NewKey {
            name: "one".into(),
            scopes: [Scope::Admin].into_iter().collect(),
            ..NewKey::default()
        };
        let keys = Keys::open(&config.storage.data_dir).unwrap();
        keys.create(&new).unwrap();
    }

    #[test]
    fn a_key_that_could_not_be_made_closes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path()).unwrap();
        // As a full disk would: the row cannot be written.
        rusqlite::Connection::open(dir.path().join(database::FILE))
            .unwrap()
            .execute_batch("DROP TABLE keys")
            .unwrap();
        let new = NewKey {
            name: "one".into(),
            scopes: [Scope::Admin].into_iter().collect(),
            ..NewKey::default()
        };
        assert!(keys.create(&new).is_err());
        assert!(!is_set(dir.path()));
    }

    fn files(config: &Config) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(&config.storage.data_dir).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let database = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(database::FILE)
        };
        paths.filter(database).collect()
    }

    fn error(config: &Config) -> String {
        match Accounts::open(config) {
            Ok(_) => panic!("a service without its keys opened"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn keys_that_are_lost_are_an_error_and_the_way_back_works() {
        type Lose = fn(&std::path::Path);
        let gone: Lose = |path| std::fs::remove_file(path).unwrap();
        let empty: Lose = |path| std::fs::write(path, "").unwrap();
        let garbage: Lose = |path| std::fs::write(path, [7; 9000]).unwrap();
        for (lose, said) in [
            (gone, "is missing"),
            (empty, "is empty"),
            (garbage, "backup"),
        ] {
            let (_dir, config) = closed();
            assert!(Accounts::open(&config).unwrap().requires_keys());
            files(&config).iter().for_each(|path| lose(path));
            let message = error(&config);
            assert!(message.contains(said), "{message}");
            for way in ["gateway.sqlite", "backup", "keys create"] {
                assert!(message.contains(way), "{way}: {message}");
            }
            let state = Keys::state(&config.storage.data_dir);
            assert!(matches!(state, KeysState::Lost(_)), "{said}: {state:?}");
            // Asking twice does not make an empty database that looks well.
            assert!(error(&config).contains(said));
            for path in files(&config) {
                std::fs::remove_file(path).unwrap();
            }
            create(&config);
            assert!(Accounts::open(&config).unwrap().requires_keys());
        }
    }

    #[test]
    fn a_database_without_keys_is_as_bad_as_none() {
        let (_dir, config) = closed();
        let folder = &config.storage.data_dir;
        let connection = database::open(folder).unwrap();
        connection.execute("DELETE FROM keys", []).unwrap();
        drop(connection);
        assert!(error(&config).contains("holds no key"));
        assert!(matches!(Keys::state(folder), KeysState::Lost(_)));
        Keys::open(folder).unwrap().open_to_everybody().unwrap();
        assert!(!Accounts::open(&config).unwrap().requires_keys());
        assert!(matches!(Keys::state(folder), KeysState::Open));
    }

    #[test]
    fn keys_from_before_the_note_get_it() {
        let (_dir, config) = closed();
        let folder = &config.storage.data_dir;
        std::fs::remove_file(folder.join(FILE)).unwrap();
        assert!(matches!(Keys::state(folder), KeysState::Required { .. }));
        drop(Accounts::open(&config).unwrap());
        assert!(is_set(folder));
    }

    #[test]
    fn a_running_service_does_not_open_when_its_keys_go() {
        let (_dir, config) = closed();
        let accounts = Accounts::open(&config).unwrap();
        let connection = database::open(&config.storage.data_dir).unwrap();
        connection.execute("DELETE FROM keys", []).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1200));
        assert!(accounts.requires_keys());
    }

    #[test]
    fn a_running_service_closes_with_a_key_that_it_cannot_see() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.data_dir = dir.path().join("data");
        let accounts = Accounts::open(&config).unwrap();
        assert!(!accounts.requires_keys());
        // Its database is replaced under it, and the key is in the new one.
        files(&config)
            .iter()
            .for_each(|path| std::fs::remove_file(path).unwrap());
        create(&config);
        let start = std::time::Instant::now();
        while !accounts.requires_keys() {
            assert!(start.elapsed().as_secs() < 60, "it stayed open");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    #[cfg(unix)]
    #[test]
    fn every_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_dir, config) = closed();
        let folder = &config.storage.data_dir;
        let _accounts = Accounts::open(&config).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder), 0o700);
        let entries: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
        assert!(
            entries.len() >= 4,
            "database, journal, index of it and note"
        );
        for entry in entries {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}
