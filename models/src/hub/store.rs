//! Files of artifacts on disk: where they lie, whether their bytes are right,
//! and how a new one appears whole or not at all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

use super::manifest::ArtifactFile;
use crate::{Error, ErrorKind, Result};

const COPY_BUFFER_BYTES: usize = 1 << 20;

/// Names of what a pull leaves behind when it is killed begin like this.
const TEMPORARY: &str = ".partial-";

/// The folder for models: `CAIRN_MODELS_DIR`, else `cairn/models` in the user's
/// cache folder.
pub(super) fn default_folder() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = set("CAIRN_MODELS_DIR") {
        return Ok(folder);
    }
    let cache = if cfg!(windows) {
        set("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        std::env::home_dir().map(|home| home.join("Library/Caches"))
    } else {
        set("XDG_CACHE_HOME").or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
    };
    cache
        .map(|cache| cache.join("cairn").join("models"))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Machine,
                "there is no home folder to keep models in; set CAIRN_MODELS_DIR to a folder",
            )
        })
}

/// Whether a file is there with the right length; its bytes are not read.
pub(super) fn has_right_size(path: &Path, file: &ArtifactFile) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == file.size)
}

/// Reads a whole file and compares its SHA-256.
///
/// # Errors
/// `NotFound` when it is missing, `Corrupt` when its bytes are others.
pub(super) fn verify(path: &Path, file: &ArtifactFile) -> Result<()> {
    let mut reader = File::open(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => Error::new(
            ErrorKind::NotFound,
            format!("{} is missing", path.display()),
        ),
        _ => unreadable(path, cause),
    })?;
    let (bytes, sha256) =
        copy_and_hash(&mut reader, &mut io::sink()).map_err(|cause| unreadable(path, cause))?;
    check(file, bytes, &sha256)
        .map_err(|message| Error::new(ErrorKind::Corrupt, format!("{}: {message}", path.display())))
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> Result<String> {
    let hash = |path: &Path| copy_and_hash(&mut File::open(path)?, &mut io::sink());
    hash(path)
        .map(|(_, sha256)| sha256)
        .map_err(|cause| unreadable(path, cause))
}

/// SHA-256 of bytes in memory, in hexadecimal.
pub(super) fn sha256_of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Moves a finished temporary file to its place if its bytes are right.
///
/// # Errors
/// `Corrupt` when they are not (the file is thrown away), `Machine` when the
/// disk refuses.
pub(super) fn place(mut partial: NamedTempFile, target: &Path, file: &ArtifactFile) -> Result<()> {
    use std::io::Seek;
    let here = |cause| disk_error(target, cause);
    let handle = partial.as_file_mut();
    handle.flush().map_err(here)?;
    handle.rewind().map_err(here)?;
    let (bytes, sha256) = copy_and_hash(handle, &mut io::sink()).map_err(here)?;
    check(file, bytes, &sha256)
        .map_err(|message| Error::new(ErrorKind::Corrupt, format!("{}: {message}", file.name)))?;
    publish(partial, target)
}

/// Makes a temporary file durable and moves it to its place.
pub(super) fn publish(partial: NamedTempFile, target: &Path) -> Result<()> {
    let here = |cause| disk_error(target, cause);
    make_readable_by_all(partial.as_file()).map_err(here)?;
    cairn_files::publish(partial, target).map_err(here)
}

/// A temporary file alongside `target`, so that moving it there is one rename.
pub(super) fn partial_beside(target: &Path) -> Result<NamedTempFile> {
    let folder = target.parent().unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(folder)
        .map_err(|cause| disk_error(target, cause))
}

/// A temporary folder on the disk of the models.
pub(super) fn scratch_in(folder: &Path) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempdir_in(folder)
        .map_err(|cause| disk_error(folder, cause))
}

/// Removes what killed pulls left in a folder; only for the holder of its lock.
pub(super) fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            let path = entry.path();
            // What cannot be removed costs room and nothing else.
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
    }
}

/// A lock that other processes respect; released when dropped.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code, reason = "held for its drop")] File);

/// Takes the lock at `path`; calls `waiting` once if somebody else has it.
pub(super) fn lock(path: &Path, waiting: impl FnOnce()) -> Result<Lock> {
    let here = |cause| disk_error(path, cause);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(here)?;
    if file.try_lock().is_err() {
        waiting();
        file.lock().map_err(here)?;
    }
    Ok(Lock(file))
}

/// Creates a folder and those above it.
pub(super) fn create_folder(path: &Path) -> Result<()> {
    cairn_files::create_folders(path).map_err(|cause| disk_error(path, cause))
}

/// Copies everything and returns the number of bytes and their SHA-256.
pub(super) fn copy_and_hash(
    reader: &mut dyn Read,
    writer: &mut dyn Write,
) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hex(&hasher.finalize()))),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                writer.write_all(&buffer[..read])?;
                bytes += read as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
}

/// What to say when the disk refuses to take a file.
pub(super) fn disk_error(path: &Path, cause: io::Error) -> Error {
    let path = path.display();
    let message = match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
            "no space left for {path}; free some, or set CAIRN_MODELS_DIR to a folder on another disk"
        ),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => format!(
            "{path} cannot be written; make its folder writable, fill it on another machine, or set CAIRN_MODELS_DIR to another folder"
        ),
        _ => format!("{path} cannot be written"),
    };
    Error::new(ErrorKind::Machine, message).because(cause)
}

fn unreadable(path: &Path, cause: io::Error) -> Error {
    Error::new(
        ErrorKind::Machine,
        format!("{} cannot be read", path.display()),
    )
    .because(cause)
}

fn check(file: &ArtifactFile, bytes: u64, sha256: &str) -> std::result::Result<(), String> {
    if sha256 == file.sha256 {
        return Ok(());
    }
    Err(format!(
        "wrong bytes: {bytes} bytes with SHA-256 {sha256}, expected {} bytes with {}",
        file.size, file.sha256
    ))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Temporary files are private to their owner; models are shared.
fn make_readable_by_all(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abc() -> ArtifactFile {
        ArtifactFile {
            name: "abc".to_owned(),
            size: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
        }
    }

    #[test]
    fn a_file_with_other_bytes_of_the_same_length_is_corrupt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        assert_eq!(
            verify(&path, &abc()).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        std::fs::write(&path, "abc").unwrap();
        verify(&path, &abc()).unwrap();
        std::fs::write(&path, "abd").unwrap();
        assert!(has_right_size(&path, &abc()));
        assert_eq!(
            verify(&path, &abc()).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
    }

    #[test]
    fn wrong_bytes_never_reach_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("abc");
        let mut partial = partial_beside(&target).unwrap();
        partial.write_all(b"abcd").unwrap();
        assert_eq!(
            place(partial, &target, &abc()).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        let mut partial = partial_beside(&target).unwrap();
        partial.write_all(b"abc").unwrap();
        place(partial, &target, &abc()).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"abc");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_says_what_to_do() {
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        let cause = copy_and_hash(&mut &b"abc"[..], &mut full).unwrap_err();
        let error = disk_error(Path::new("models/abc"), cause);
        assert_eq!(error.kind(), ErrorKind::Machine);
        assert!(
            error
                .to_string()
                .starts_with("no space left for models/abc"),
            "{error}"
        );
    }

    #[test]
    fn the_second_holder_of_a_lock_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock(&path, || panic!("nobody has it")).unwrap();
        let (told, waiting) = std::sync::mpsc::channel();
        let second = {
            let path = path.clone();
            std::thread::spawn(move || lock(&path, || told.send(()).unwrap()).unwrap())
        };
        waiting.recv().unwrap();
        drop(first);
        second.join().unwrap();
    }
}
