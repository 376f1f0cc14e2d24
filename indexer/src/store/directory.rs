//! The folder of the word index, as Tantivy sees it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_files::private;
use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    DirectoryLock, FileHandle, Lock, META_LOCK, MmapDirectory, WatchCallback, WatchHandle, WritePtr,
};

use super::index::META_FILE;

/// Tantivy's memory-mapped folder, but for three things that 0.27 leaves open:
///
/// - It renames `meta.json`, which is the commit, without flushing the folder: a power cut
///   after the commit could bring the last one back, whose files may be deleted already.
/// - A reader takes a lock by creating a file: what nobody may write to could not be
///   searched.
/// - Its files may be read by everybody on the machine.
#[derive(Clone, Debug)]
pub(super) struct WordsDirectory {
    files: MmapDirectory,
    path: PathBuf,
}

impl WordsDirectory {
    pub(super) fn open(path: &Path) -> tantivy::Result<Self> {
        Ok(Self {
            files: MmapDirectory::open(path)?,
            path: path.to_owned(),
        })
    }
}

impl Directory for WordsDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.files.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.files.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.files.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let out = self.files.open_write(path)?;
        // It is empty still, in a folder that is closed already.
        private::close(&self.path.join(path));
        #[cfg(test)]
        let out = observed::writer(out, self.path.join(path));
        Ok(out)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.files.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.files.atomic_write(path, data)?;
        private::close(&self.path.join(path));
        #[cfg(test)]
        observed::file(&self.path.join(path));
        match path == Path::new(META_FILE) {
            true => self.sync_directory(),
            false => Ok(()),
        }
    }

    fn sync_directory(&self) -> io::Result<()> {
        cairn_files::sync_folder(&self.path)
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        match self.files.acquire_lock(lock) {
            // Readers take this lock so that no writer deletes what they are opening. Where
            // this process may not write, they do without: a file that is deleted meanwhile
            // is an error, after which they read the next commit.
            Err(LockError::IoError(error))
                if lock.filepath == META_LOCK.filepath && is_read_only(&error) =>
            {
                Ok(DirectoryLock::from(Box::new(())))
            }
            taken => {
                let taken = taken?;
                private::close(&self.path.join(&lock.filepath));
                Ok(taken)
            }
        }
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.files.watch(callback)
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

#[cfg(test)]
mod observed {
    use std::io::{self, BufWriter, Write};
    use std::path::{Path, PathBuf};

    use cairn_files::observe::{Event, tell};
    use tantivy::directory::{AntiCallToken, TerminatingWrite, WritePtr};

    pub(super) fn file(path: &Path) {
        tell(Event::File(path));
    }

    /// `out`, telling when the file is flushed.
    pub(super) fn writer(out: WritePtr, path: PathBuf) -> WritePtr {
        BufWriter::new(Box::new(Observed { out, path }))
    }

    struct Observed {
        out: WritePtr,
        path: PathBuf,
    }

    impl Write for Observed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.out.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.out.flush()
        }
    }

    impl TerminatingWrite for Observed {
        fn terminate_ref(&mut self, token: AntiCallToken) -> io::Result<()> {
            self.out.terminate_ref(token)?;
            file(&self.path);
            Ok(())
        }
    }
}
