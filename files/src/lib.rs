//! Files and folders that survive a power cut.
//!
//! Flushing a file makes its bytes durable, not its name: a file that was created or
//! renamed is found after a power cut only if the folder that names it was flushed too.
//! Whoever acknowledges a write calls these functions before the reply.

#[cfg(feature = "observe")]
pub mod observe;
pub mod private;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Makes what was created, renamed or removed in `folder` durable.
///
/// # Errors
/// Those of the disk.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // Windows cannot open a folder as a file, and needs no such call.
    if cfg!(unix) {
        // The parent of a relative name is the empty path.
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        File::open(folder)?.sync_all()?;
        #[cfg(feature = "observe")]
        observe::tell(observe::Event::Folder(folder));
    }
    Ok(())
}

/// Creates `folder` and the parents that are missing, durably. That it exists already is
/// no error.
///
/// # Errors
/// Those of the disk, and that something on the way is not a folder.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    create(folder, 0o777)
}

/// As [`create_folders`]; new folders get `mode`, less what the umask takes.
fn create(folder: &Path, mode: u32) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.is_dir())
        .collect();
    for path in missing.iter().rev() {
        match builder.create(path) {
            // Another process may have been faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            other => other?,
        }
        sync_folder(path.parent().unwrap_or(Path::new("")))?;
    }
    Ok(())
}

/// Flushes `temporary`, moves it to `target` in one step, replacing what is there, and
/// flushes the folder. Both must be on one file system.
///
/// # Errors
/// Those of the disk; then `target` is as it was, or the new file whose name is not
/// durable yet.
pub fn publish(temporary: NamedTempFile, target: &Path) -> io::Result<()> {
    temporary.as_file().sync_all()?;
    temporary.persist(target).map_err(|failed| failed.error)?;
    #[cfg(feature = "observe")]
    observe::tell(observe::Event::File(target));
    sync_folder(target.parent().unwrap_or(Path::new("")))
}

/// Writes `bytes` to `target` in one step, durably, replacing what is there. Its folder must
/// be there.
///
/// # Errors
/// Those of [`publish`].
pub fn write(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = NamedTempFile::new_in(target.parent().unwrap_or(Path::new("")))?;
    temporary.write_all(bytes)?;
    publish(temporary, target)
}

/// Removes the file `path`. That it is not there is not an error.
///
/// # Errors
/// Those of the disk.
pub fn remove(path: &Path) -> io::Result<()> {
    unless_missing(std::fs::remove_file(path))
}

/// Moves the files `names` of `folder` into the folder `aside`, in this order, durably. One
/// that is not there is passed over.
///
/// # Errors
/// Those of the disk; then some may be moved.
pub fn move_aside(
    folder: &Path,
    aside: &Path,
    names: impl IntoIterator<Item = impl AsRef<Path>>,
) -> io::Result<()> {
    private::folder(aside)?;
    for name in names {
        unless_missing(std::fs::rename(folder.join(&name), aside.join(&name)))?;
    }
    sync_folder(folder)?;
    sync_folder(aside)
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_folders_are_made_and_existing_ones_stay() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("a/b/c");
        create_folders(&deep).unwrap();
        std::fs::write(deep.join("file"), "kept").unwrap();
        create_folders(&deep).unwrap();
        assert_eq!(std::fs::read_to_string(deep.join("file")).unwrap(), "kept");
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a"), "").unwrap();
        create_folders(&place.path().join("a/b")).unwrap_err();
        create_folders(&place.path().join("a")).unwrap_err();
    }

    #[test]
    fn publishing_replaces_what_is_there() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("file");
        for text in ["old", "new"] {
            let temporary = NamedTempFile::new_in(place.path()).unwrap();
            std::fs::write(temporary.path(), text).unwrap();
            publish(temporary, &target).unwrap();
            assert_eq!(std::fs::read_to_string(&target).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
