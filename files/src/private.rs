//! Folders and files that only their owner may read: what is indexed, asked and
//! answered is for no other user of this machine.
//!
//! On systems without Unix permissions everything here makes and checks nothing more
//! than the plain calls would.

use std::io;
use std::path::Path;

/// What a data folder may hold, by the beginnings of the names: a folder with anything
/// else in it is somebody's own, and its permissions stay as they are.
const OWN_NAMES: [&str; 10] = [
    "collections",
    "jobs.sqlite",
    "gateway.sqlite",
    "cache.sqlite",
    "keys-required",
    "spool",
    "uploads",
    "workers",
    ".cairn-",
    ".tmp",
];

/// Makes the folder `path`, and those above it that are missing, durably and for their
/// owner alone. One that is there is closed to others, with the files in it.
///
/// # Errors
/// When it cannot be made or read. Permissions that cannot be changed are not an error: the
/// file system may have none.
pub fn folder(path: &Path) -> io::Result<()> {
    super::create(path, 0o700)?;
    restrict(path, 0o700);
    for entry in std::fs::read_dir(path)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            restrict(&entry.path(), 0o600);
        }
    }
    Ok(())
}

/// Makes the data folder `path`. One that is there is closed to others if it holds
/// nothing but what Cairn keeps: the home folder, or a project's, is not Cairn's to close.
///
/// # Errors
/// Those of [`folder`].
pub fn data_folder(path: &Path) -> io::Result<()> {
    super::create(path, 0o700)?;
    if holds_only_our_own(path) {
        restrict(path, 0o700);
    }
    Ok(())
}

/// Makes the file `path` where it is missing, for its owner alone. One that is there
/// keeps its bytes and is closed to others.
///
/// # Errors
/// When it cannot be made.
pub fn file(path: &Path) -> io::Result<()> {
    options().append(true).create(true).open(path)?;
    restrict(path, 0o600);
    Ok(())
}

/// Whether `folder` is there and nothing can be made in it: its file system is mounted so,
/// or it is somebody else's.
pub fn is_read_only(folder: &Path) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    folder.is_dir()
        && tempfile::tempfile_in(folder)
            .is_err_and(|error| matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem))
}

/// How a file is made that only its owner may read.
pub fn options() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Closes the file or folder `path`, which may not be there, to everybody but its owner.
pub fn close(path: &Path) {
    restrict(path, 0o700);
}

fn holds_only_our_own(folder: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.all(|entry| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            OWN_NAMES.iter().any(|own| name.starts_with(own))
        })
    })
}

/// Takes from others what `path` allows them beyond `mode`.
#[cfg(unix)]
fn restrict(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(meta) = std::fs::symlink_metadata(path) else {
        return;
    };
    let now = meta.permissions().mode();
    // A sticky folder is shared on purpose, and a link is somebody's own choice.
    let shared = now & 0o1000 != 0 || meta.is_symlink();
    if now & 0o077 != 0 && !shared {
        // A file system without permissions is not worth failing for.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(now & mode)).ok();
    }
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: u32) {}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_made_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        folder(&deep).unwrap();
        assert_eq!((mode(&dir.path().join("a")), mode(&deep)), (0o700, 0o700));
        let path = deep.join("x");
        file(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::write(&path, "kept").unwrap();
        set(&path, 0o664);
        file(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        assert!(!is_read_only(&deep) && !is_read_only(&deep.join("nowhere")));
    }

    #[test]
    fn only_folders_of_our_own_are_closed() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other, shared) = (
            dir.path().join("own"),
            dir.path().join("other"),
            dir.path().join("shared"),
        );
        for folder in [&own, &other, &shared] {
            fs::create_dir(folder).unwrap();
            set(folder, 0o755);
        }
        set(&shared, 0o1777);
        fs::create_dir(own.join("collections")).unwrap();
        fs::write(own.join("gateway.sqlite-wal"), "").unwrap();
        fs::write(other.join("thesis.md"), "").unwrap();
        for folder in [&own, &other, &shared] {
            data_folder(folder).unwrap();
        }
        assert_eq!(
            (mode(&own), mode(&other), mode(&shared)),
            (0o700, 0o755, 0o1777)
        );
    }
}
