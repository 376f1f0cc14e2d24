//! The folder of the word index, as Tantivy sees it.

use std::collections::BTreeSet;
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

/// The files that Tantivy made and may remove once no commit needs them.
pub(super) const MANAGED_FILE: &str = ".managed.json";

/// Tantivy's memory-mapped folder, but for four things that 0.27 leaves open:
///
/// - It renames `meta.json`, which is the commit, without flushing the folder: a power cut
///   after the commit could bring the last one back, whose files may be deleted already.
/// - A reader takes a lock by creating a file: a folder that is read-only could not be
///   searched.
/// - Its files may be read by everybody on the machine.
/// - It opens nothing if the list of its own files is damaged, which can be told from the
///   folder.
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

    /// What `.managed.json` says when it is whole: the files that Tantivy made, which it may
    /// remove once no commit needs them.
    fn managed_files(&self) -> Vec<u8> {
        serde_json::to_vec(&files_of_words(&self.path)).unwrap_or_default()
    }
}

/// Names of the files in the folder `words` that Tantivy made.
fn files_of_words(words: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(words).into_iter().flatten();
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

/// What is wrong with the list of Tantivy's files in the folder `words`: files that it does not
/// name would never be removed. Call while nothing writes there.
pub(super) fn managed_list_fault(words: &Path) -> Option<String> {
    let files = files_of_words(words);
    let bytes = match std::fs::read(words.join(MANAGED_FILE)) {
        Err(_) if files.is_empty() => return None,
        Err(_) => {
            return Some("the list of the word index's own files is missing".into());
        }
        Ok(bytes) => bytes,
    };
    let Ok(listed) = serde_json::from_slice::<BTreeSet<String>>(&bytes) else {
        return Some("the list of the word index's own files is damaged".into());
    };
    // That it names files which are gone changes nothing.
    match files.difference(&listed).count() {
        0 => None,
        unnamed => Some(format!(
            "the list of the word index's own files does not name {unnamed} of them, which would \
             never be removed"
        )),
    }
}

/// Writes that list again, as the folder has it. Call with the writer's lock.
///
/// # Errors
/// Those of the disk.
pub(super) fn write_managed_list(words: &Path) -> io::Result<()> {
    let list = serde_json::to_vec(&files_of_words(words))?;
    cairn_files::write(&words.join(MANAGED_FILE), &list)
}

/// Whether `bytes` are a list of files that Tantivy can read.
pub(super) fn is_managed_list(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Vec<PathBuf>>(bytes).is_ok()
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
        let bytes = self.files.atomic_read(path)?;
        if path == Path::new(MANAGED_FILE) && !is_managed_list(&bytes) {
            // The next writer writes it again.
            return Ok(self.managed_files());
        }
        Ok(bytes)
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

#[cfg(test)]
mod tests {
    use cairn_models::Cancel;

    use super::*;
    use crate::store::index::WORDS_DIR;
    use crate::store::tests::writer;
    use crate::{Document, Index, IndexSettings, doctor};

    #[test]
    fn a_damaged_list_of_files_is_told_from_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let put = |uri: &str| {
            let index = Index::open(place.path(), IndexSettings::default()).unwrap();
            let mut writer = writer(&index);
            let document = Document {
                uri: uri.into(),
                text: format!("the stone of {uri}"),
                ..Document::default()
            };
            let work = vec![(document, None)];
            writer.put(work, &Cancel::never()).unwrap();
            writer.commit().unwrap();
        };
        put("a");
        let managed = place.path().join(WORDS_DIR).join(MANAGED_FILE);
        let whole = std::fs::read(&managed).unwrap();
        for damage in [vec![0; whole.len()], whole[..whole.len() / 2].to_vec()] {
            std::fs::write(&managed, damage).unwrap();
            let index = Index::open(place.path(), IndexSettings::default()).unwrap();
            assert_eq!(index.snapshot().document_count(), 1);
            let found = doctor::check(place.path()).unwrap();
            assert!(found.is_healthy(), "{found:?}");
            assert!(found.findings.iter().any(|finding| {
                finding.severity == doctor::Severity::Warning
                    && finding.file.as_ref() == Some(&managed)
            }));
            put("a");
            assert!(is_managed_list(&std::fs::read(&managed).unwrap()));
            let found = doctor::check(place.path()).unwrap();
            assert!(found.findings.is_empty(), "{found:?}");
        }
    }
}
