//! Files that clients have uploaded, on their way into collections: bytes on the disk, and
//! alongside them what is known of each.
//!
//! A file is the document that becomes of it: its name is the document's id, so that it is
//! found in each collection without a table. Only the key that uploaded a file sees it here.

mod examine;
mod record;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cairn_files::private;
use cairn_indexer::DocumentId;
use serde::{Deserialize, Serialize};

pub(crate) use examine::{back_up, examine, set_aside};

/// The folder in the data folder.
const FOLDER: &str = "uploads";

/// Most files of all keys together: what is known of each is in memory.
const MAX_FILES: usize = 10_000;

const DAY_SECONDS: i64 = 86_400;

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UploadedFile {
    /// The URI of the document that becomes of it.
    pub(crate) uri: String,
    /// What its owner calls it.
    pub(crate) name: String,
    /// Its media type, if the client said one.
    pub(crate) content_type: Option<String>,
    /// Its size.
    pub(crate) bytes: u64,
    /// Seconds since 1970, UTC.
    pub(crate) created_at: i64,
    /// What the client says it is for.
    pub(crate) purpose: String,
    /// The key that uploaded it; `None` if the service has no keys.
    pub(crate) key: Option<String>,
    /// The last job that put it into a collection, by collection.
    pub(crate) jobs: BTreeMap<String, String>,
    /// BLAKE3 of its bytes, hexadecimal; `None` if it was uploaded before that was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) blake3: Option<String>,
}

impl UploadedFile {
    /// Its name, and its document's.
    pub(crate) fn id(&self) -> DocumentId {
        DocumentId::of_uri(&self.uri)
    }
}

/// Why a file is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// Bounds are reached.
    #[error("{0}")]
    Full(String),
    /// The disk.
    #[error("the file cannot be stored: the disk is full, or the data folder cannot be written")]
    Disk(#[from] io::Error),
}

/// Bounds of what is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of all keys together.
    pub(crate) bytes: u64,
    /// Bytes of one key.
    pub(crate) bytes_of_a_key: u64,
    /// Days after which a file is removed.
    pub(crate) days: u64,
}

/// The files of a data folder.
#[derive(Debug)]
pub(crate) struct Uploads {
    dir: PathBuf,
    bounds: Bounds,
    /// None until the folder was read.
    known: Mutex<Option<BTreeMap<DocumentId, UploadedFile>>>,
}

impl Uploads {
    /// Those of `data_dir`. Nothing is read yet.
    pub(crate) fn new(data_dir: &Path, bounds: Bounds) -> Self {
        Self {
            dir: data_dir.join(FOLDER),
            bounds,
            known: Mutex::default(),
        }
    }

    /// Keeps a file, durably. Blocks.
    ///
    /// # Errors
    /// [`KeepError`] says which bound it is.
    pub(crate) fn keep(&self, mut upload: UploadedFile, bytes: &[u8]) -> Result<(), KeepError> {
        upload.blake3 = Some(record::hash(bytes));
        let mut known = self.known()?;
        let files = known.get_or_insert_default();
        let size = |upload: &UploadedFile| upload.bytes;
        let all: u64 = files.values().map(size).sum();
        let own = files.values().filter(|other| other.key == upload.key);
        let own: u64 = own.map(size).sum();
        let megabytes = |bytes: u64| bytes >> 20;
        if own.saturating_add(upload.bytes) > self.bounds.bytes_of_a_key {
            return Err(KeepError::Full(format!(
                "the files of this API key would have more than {} MB, which is \
                 uploads.max_mb_per_key; delete some",
                megabytes(self.bounds.bytes_of_a_key)
            )));
        }
        if files.len() >= MAX_FILES || all.saturating_add(upload.bytes) > self.bounds.bytes {
            return Err(KeepError::Full(format!(
                "there are {MAX_FILES} files, or they would have more than {} MB, which is \
                 uploads.max_mb; delete some, or ask the operator",
                megabytes(self.bounds.bytes)
            )));
        }
        // First the bytes: a file is there when its record is.
        self.write(&self.bytes_path(upload.id()), bytes)?;
        self.record(&upload)?;
        files.insert(upload.id(), upload);
        Ok(())
    }

    /// The file `id`, if `key` uploaded it. Blocks the first time.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn get(
        &self,
        id: DocumentId,
        key: Option<&str>,
    ) -> io::Result<Option<UploadedFile>> {
        let known = self.known()?;
        let found = known.as_ref().and_then(|files| files.get(&id));
        Ok(found.filter(|upload| upload.key.as_deref() == key).cloned())
    }

    /// The files that `key` uploaded. Blocks the first time.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn of(&self, key: Option<&str>) -> io::Result<Vec<UploadedFile>> {
        let known = self.known()?;
        let files = known.iter().flat_map(BTreeMap::values);
        Ok(files
            .filter(|upload| upload.key.as_deref() == key)
            .cloned()
            .collect())
    }

    /// Remembers which job puts `ids` into `collection`. Blocks.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn attach(&self, ids: &[DocumentId], collection: &str, job: &str) -> io::Result<()> {
        let mut known = self.known()?;
        for id in ids {
            if let Some(upload) = known.get_or_insert_default().get_mut(id) {
                upload.jobs.insert(collection.to_owned(), job.to_owned());
                self.record(upload)?;
            }
        }
        Ok(())
    }

    /// Removes the file `id`. Blocks.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn remove(&self, id: DocumentId) -> io::Result<()> {
        let mut known = self.known()?;
        known.get_or_insert_default().remove(&id);
        self.erase(id)
    }

    /// The bytes of a file. Blocks.
    ///
    /// # Errors
    /// `InvalidData` if they are not what was uploaded; those of the disk.
    pub(crate) fn bytes(&self, upload: &UploadedFile) -> io::Result<Vec<u8>> {
        let bytes = std::fs::read(self.bytes_path(upload.id()))?;
        record::check_bytes(upload, &bytes)?;
        Ok(bytes)
    }

    fn bytes_path(&self, id: DocumentId) -> PathBuf {
        self.dir.join(id.to_string())
    }

    fn record_path(&self, id: DocumentId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    fn record(&self, upload: &UploadedFile) -> io::Result<()> {
        self.write(&self.record_path(upload.id()), &record::write(upload)?)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        private::folder(&self.dir)?;
        cairn_files::write(path, bytes)
    }

    /// First the record, as [`Uploads::keep`] writes it last.
    fn erase(&self, id: DocumentId) -> io::Result<()> {
        cairn_files::remove(&self.record_path(id))?;
        cairn_files::remove(&self.bytes_path(id))
    }

    /// What is known, without what is too old.
    fn known(&self) -> io::Result<MutexGuard<'_, Option<BTreeMap<DocumentId, UploadedFile>>>> {
        // Each statement leaves the map whole.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = Some(read_all(&self.dir)?);
        }
        let days = i64::try_from(self.bounds.days).unwrap_or(i64::MAX);
        let oldest = now().saturating_sub(days.saturating_mul(DAY_SECONDS));
        let files = known.get_or_insert_default();
        let old: Vec<DocumentId> = files
            .iter()
            .filter(|(_, upload)| upload.created_at < oldest)
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            files.remove(&id);
            self.erase(id)?;
        }
        Ok(known)
    }
}

/// What is known of all files in `dir`. Bytes without a record are of an upload that was not
/// finished: they are removed. Those whose record is damaged stay, for whoever repairs it.
fn read_all(dir: &Path) -> io::Result<BTreeMap<DocumentId, UploadedFile>> {
    let mut files = BTreeMap::new();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error),
    };
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let is_record = |path: &&PathBuf| path.extension().is_some_and(|end| end == "json");
    for path in paths.iter().filter(is_record) {
        match record::read(&std::fs::read(path)?) {
            Ok(upload) => drop(files.insert(upload.id(), upload)),
            Err(error) => {
                tracing::warn!(
                    %error,
                    file = %path.display(),
                    "what is known of an uploaded file is damaged; run `cairn doctor`"
                );
            }
        }
    }
    for path in paths.iter().filter(|path| !is_record(path)) {
        if !path.with_extension("json").exists() {
            std::fs::remove_file(path)?;
        }
    }
    Ok(files)
}

/// What is known of the file `id` in `data_dir`, and its bytes; `None` if there is no such
/// file. For jobs, which may run in another process.
///
/// # Errors
/// `InvalidData` if one of them is damaged; those of the disk.
pub(super) fn read(data_dir: &Path, id: DocumentId) -> io::Result<Option<(UploadedFile, Vec<u8>)>> {
    let dir = data_dir.join(FOLDER);
    let read = || -> io::Result<(UploadedFile, Vec<u8>)> {
        let upload = record::read(&std::fs::read(dir.join(format!("{id}.json")))?)?;
        let bytes = std::fs::read(dir.join(id.to_string()))?;
        record::check_bytes(&upload, &bytes)?;
        Ok((upload, bytes))
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Seconds since 1970, UTC.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 10,
        bytes_of_a_key: 6,
        days: 1,
    };

    fn upload(uri: &str, key: Option<&str>, bytes: u64) -> UploadedFile {
        UploadedFile {
            uri: uri.into(),
            name: uri.into(),
            content_type: None,
            bytes,
            created_at: now(),
            purpose: "assistants".into(),
            key: key.map(Into::into),
            jobs: BTreeMap::new(),
            blake3: None,
        }
    }

    #[test]
    fn files_are_their_owners_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(dir.path(), BOUNDS);
        let file = upload("a", Some("k"), 3);
        let id = file.id();
        uploads.keep(file.clone(), b"abc").unwrap();
        uploads.attach(&[id], "main", "job-1").unwrap();
        std::fs::write(dir.path().join("uploads/unfinished"), "x").unwrap();
        let uploads = Uploads::new(dir.path(), BOUNDS);
        let found = uploads.get(id, Some("k")).unwrap().unwrap();
        assert_eq!(found.jobs["main"], "job-1");
        assert_eq!(uploads.get(id, Some("other")).unwrap(), None);
        assert_eq!(uploads.get(id, None).unwrap(), None);
        assert!(uploads.of(None).unwrap().is_empty());
        assert_eq!(uploads.bytes(&found).unwrap(), b"abc");
        assert_eq!(read(dir.path(), id).unwrap().unwrap().1, b"abc");
        assert_eq!(
            std::fs::read_dir(dir.path().join("uploads"))
                .unwrap()
                .count(),
            2
        );
        uploads.remove(id).unwrap();
        assert!(uploads.of(Some("k")).unwrap().is_empty());
        assert!(read(dir.path(), id).unwrap().is_none());
    }

    #[test]
    fn damage_to_each_byte_is_noticed_and_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(dir.path(), BOUNDS);
        let file = upload("a", Some("k"), 3);
        let id = file.id();
        uploads.keep(file, b"abc").unwrap();
        uploads.attach(&[id], "main", "job-1").unwrap();
        let found = examine(dir.path()).unwrap();
        assert!(found.whole == 1 && found.damaged.is_empty() && found.has_keys);
        for path in [uploads.record_path(id), uploads.bytes_path(id)] {
            let whole = std::fs::read(&path).unwrap();
            for at in 0..=whole.len() {
                let mut bytes = whole.clone();
                match bytes.get_mut(at) {
                    Some(byte) => *byte ^= 4,
                    None => bytes.truncate(at / 2),
                }
                std::fs::write(&path, bytes).unwrap();
                let found = examine(dir.path()).unwrap();
                assert!(
                    found.whole == 0 && found.damaged.len() == 1,
                    "{path:?} {at}"
                );
                let error = read(dir.path(), id).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{path:?} {at}");
            }
            // The service neither serves nor deletes what somebody may want to look at.
            assert!(Uploads::new(dir.path(), BOUNDS).of(Some("k")).is_ok());
            assert!(uploads.bytes_path(id).exists());
            std::fs::write(&path, whole).unwrap();
        }
        std::fs::remove_file(uploads.bytes_path(id)).unwrap();
        let damaged = examine(dir.path()).unwrap().damaged;
        assert!(damaged[0].what.contains("missing") && damaged[0].name.as_deref() == Some("a"));
        let aside = set_aside(dir.path(), &damaged).unwrap();
        assert!(aside.join(format!("{id}.json")).exists());
        assert!(examine(dir.path()).unwrap().damaged.is_empty());
        assert!(read(dir.path(), id).unwrap().is_none());
    }

    #[test]
    fn a_copy_taken_while_files_come_and_go_holds_whole_files() {
        let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let bounds = Bounds {
            bytes: 1 << 20,
            bytes_of_a_key: 1 << 20,
            days: 1,
        };
        let uploads = Uploads::new(dir.path(), bounds);
        uploads.keep(upload("stays", None, 5), b"stays").unwrap();
        std::thread::scope(|scope| {
            let working = scope.spawn(|| {
                for n in 0..60 {
                    let file = upload(&format!("file {n}"), Some("k"), 1000);
                    let id = file.id();
                    uploads.keep(file, &[b'x'; 1000]).unwrap();
                    uploads.attach(&[id], "main", "job").unwrap();
                    if n % 2 == 0 {
                        uploads.remove(id).unwrap();
                    }
                }
            });
            let mut taken = 0;
            while !working.is_finished() || taken == 0 {
                let copy = copies.path().join(taken.to_string());
                back_up(dir.path(), &copy).unwrap();
                let found = examine(&copy).unwrap();
                assert!(found.damaged.is_empty(), "{found:?}");
                assert!(found.whole >= 1);
                taken += 1;
            }
        });
        let copy = copies.path().join("last");
        back_up(dir.path(), &copy).unwrap();
        let copy = Uploads::new(&copy, bounds);
        assert_eq!(copy.of(Some("k")).unwrap(), uploads.of(Some("k")).unwrap());
        let stays = copy.of(None).unwrap().remove(0);
        assert_eq!(copy.bytes(&stays).unwrap(), b"stays");
    }

    #[test]
    fn a_file_from_before_there_were_checksums_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let file = upload("a", None, 3);
        let id = file.id();
        let folder = dir.path().join(FOLDER);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(id.to_string()), b"abc").unwrap();
        let record = serde_json::to_vec(&file).unwrap();
        std::fs::write(folder.join(format!("{id}.json")), record).unwrap();
        assert_eq!(examine(dir.path()).unwrap().whole, 1);
        assert_eq!(
            read(dir.path(), id).unwrap().unwrap(),
            (file, b"abc".to_vec())
        );
    }

    #[test]
    fn bounds_hold_for_a_key_and_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(dir.path(), BOUNDS);
        uploads.keep(upload("a", Some("k"), 4), b"aaaa").unwrap();
        let refused = |file: UploadedFile| {
            let bytes = vec![b'x'; usize::try_from(file.bytes).unwrap()];
            uploads.keep(file, &bytes).unwrap_err().to_string()
        };
        assert!(refused(upload("b", Some("k"), 3)).contains("uploads.max_mb_per_key"));
        uploads.keep(upload("b", Some("l"), 5), b"bbbbb").unwrap();
        assert!(refused(upload("c", None, 2)).contains("uploads.max_mb;"));
    }

    #[test]
    fn old_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(dir.path(), BOUNDS);
        let old = UploadedFile {
            created_at: now() - DAY_SECONDS - 1,
            ..upload("old", None, 1)
        };
        uploads.keep(old, b"x").unwrap();
        assert!(uploads.of(None).unwrap().is_empty());
        assert_eq!(
            std::fs::read_dir(dir.path().join("uploads"))
                .unwrap()
                .count(),
            0
        );
    }
}
