//! A copy of the last commit, taken while another process may be writing.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use cairn_models::Cancel;
use tantivy::Index;
use tantivy::index::SegmentComponent;

use crate::{Error, ErrorKind, Result};

use super::directory::{MANAGED_FILE, WordsDirectory};
use super::fault;
use super::index::{META_FILE, VECTORS_DIR, WORDS_DIR};
use super::payload::Payload;

/// A writer removes files of older commits; more commits than this while one is copied
/// mean that something else is wrong.
const MAX_ATTEMPTS: usize = 20;

const BUFFER_BYTES: usize = 1 << 20;

/// The files of one commit, relative to the collection's folder.
struct Commit {
    /// `meta.json`, byte for byte.
    meta: Vec<u8>,
    generation: u64,
    words: Vec<PathBuf>,
    vectors: Vec<PathBuf>,
}

/// Copies the last commit of the collection in `dir` into the empty folder `target` and
/// flushes it. Returns the commit's generation; `None` if nothing was committed yet.
/// `on_bytes` is told how many more bytes were copied.
///
/// # Errors
/// `Corrupt` if a file that the commit names is missing or the description of the commit
/// cannot be read, `Cancelled`, and those of the disk.
pub fn copy_commit(
    dir: &Path,
    target: &Path,
    cancel: &Cancel,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Option<u64>> {
    for part in [WORDS_DIR, VECTORS_DIR] {
        let part = target.join(part);
        cairn_files::create_folders(&part).map_err(|error| Error::from(error).at(&part))?;
    }
    let mut last_missing = None;
    for _ in 0..MAX_ATTEMPTS {
        let Some(commit) = Commit::read(dir)? else {
            return Ok(None);
        };
        match commit.copy(dir, target, cancel, on_bytes)? {
            None => {
                commit.finish(target)?;
                return Ok(Some(commit.generation));
            }
            // A writer removed it after another commit; or none did, and it is lost.
            Some(missing) if last_missing.as_ref() == Some(&missing) => {
                let message = "a file of the last commit is missing; run `cairn doctor`";
                return Err(Error::new(ErrorKind::Corrupt, message).at(missing));
            }
            missing => last_missing = missing,
        }
    }
    Err(Error::new(
        ErrorKind::Machine,
        "the collection changes faster than it can be copied",
    )
    .at(dir))
}

impl Commit {
    fn read(dir: &Path) -> Result<Option<Self>> {
        let words = dir.join(WORDS_DIR);
        let file = words.join(META_FILE);
        loop {
            let meta = match std::fs::read(&file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                read => read.map_err(|error| Error::from(error).at(&file))?,
            };
            let load = || -> tantivy::Result<_> {
                Index::open(WordsDirectory::open(&words)?)?.load_metas()
            };
            let loaded = load().map_err(|error| fault::convert(error, &words))?;
            // Tantivy read the file once more: both must have seen the same commit.
            if std::fs::read(&file).is_ok_and(|again| again != meta) {
                continue;
            }
            let payload = loaded.payload.as_deref();
            let payload = payload.map(|json| Payload::read(json, &file)).transpose()?;
            let Some(payload) = payload else {
                return Ok(None);
            };
            let segments = loaded.segments.iter();
            return Ok(Some(Self {
                meta,
                generation: payload.generation,
                words: segments.flat_map(files).collect(),
                vectors: payload
                    .vectors
                    .iter()
                    .map(|segment| PathBuf::from(&segment.file))
                    .collect(),
            }));
        }
    }

    /// Copies what is not there yet. Files never change once a commit names them. Returns
    /// the first file that has gone.
    fn copy(
        &self,
        dir: &Path,
        target: &Path,
        cancel: &Cancel,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<Option<PathBuf>> {
        let parts = [(WORDS_DIR, &self.words), (VECTORS_DIR, &self.vectors)];
        for (part, files) in parts {
            for file in files {
                let from = dir.join(part).join(file);
                let to = target.join(part).join(file);
                if to.exists() {
                    continue;
                }
                match copy_file(&from, &to, cancel, on_bytes) {
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(from)),
                    copied => copied?,
                }
            }
        }
        Ok(None)
    }

    /// Removes what earlier attempts copied in vain, and names the commit.
    fn finish(&self, target: &Path) -> Result<()> {
        let write = || -> io::Result<()> {
            for (part, kept) in [(WORDS_DIR, &self.words), (VECTORS_DIR, &self.vectors)] {
                for file in std::fs::read_dir(target.join(part))? {
                    let file = file?;
                    if !kept.contains(&PathBuf::from(file.file_name())) {
                        std::fs::remove_file(file.path())?;
                    }
                }
                cairn_files::sync_folder(&target.join(part))?;
            }
            let words = target.join(WORDS_DIR);
            let mut managed = self.words.clone();
            managed.push(META_FILE.into());
            write_file(&words.join(MANAGED_FILE), &serde_json::to_vec(&managed)?)?;
            write_file(&words.join(META_FILE), &self.meta)?;
            cairn_files::sync_folder(&words)
        };
        write().map_err(|error| Error::from(error).at(target))
    }
}

/// The files that a segment of the word index must have.
pub(super) fn files(segment: &tantivy::index::SegmentMeta) -> Vec<PathBuf> {
    use SegmentComponent::{Delete, FastFields, FieldNorms, Positions, Postings, Store, Terms};
    let mut components = vec![Postings, Positions, FastFields, FieldNorms, Terms, Store];
    if segment.has_deletes() {
        components.push(Delete);
    }
    components
        .into_iter()
        .map(|component| segment.relative_path(component))
        .collect()
}

fn copy_file(from: &Path, to: &Path, cancel: &Cancel, on_bytes: &mut dyn FnMut(u64)) -> Result<()> {
    let mut source = File::open(from).map_err(|error| Error::from(error).at(from))?;
    let at_target = |error: io::Error| Error::from(error).at(to);
    let mut out = File::create(to).map_err(at_target)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        cancel.check()?;
        let read = source.read(&mut buffer);
        let read = read.map_err(|error| Error::from(error).at(from))?;
        if read == 0 {
            break;
        }
        out.write_all(&buffer[..read]).map_err(at_target)?;
        on_bytes(read as u64);
    }
    out.sync_all().map_err(at_target)
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut out = File::create(path)?;
    out.write_all(bytes)?;
    out.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::writer;
    use crate::{Access, Document, IndexSettings};

    fn put(index: &crate::Index, numbers: std::ops::Range<u32>) {
        let mut writer = writer(index);
        for number in numbers {
            let document = Document {
                uri: format!("doc-{number}"),
                text: format!("stone number {number}"),
                ..Document::default()
            };
            writer
                .put(vec![(document, None)], &Cancel::never())
                .unwrap();
            writer.commit().unwrap();
        }
    }

    #[test]
    fn a_copy_taken_beside_a_writer_is_one_of_its_commits() {
        let (place, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let index = crate::Index::open(place.path(), IndexSettings::default()).unwrap();
        put(&index, 0..1);
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| put(&index, 1..40));
            let mut taken = 0;
            while !writing.is_finished() || taken == 0 {
                let target = copies.path().join(taken.to_string());
                let mut bytes = 0;
                let generation =
                    copy_commit(place.path(), &target, &Cancel::never(), &mut |more| {
                        bytes += more
                    })
                    .unwrap()
                    .unwrap();
                let copy = crate::Index::open(&target, IndexSettings::default()).unwrap();
                // The n-th commit has n documents.
                assert_eq!(copy.snapshot().generation(), generation);
                assert_eq!(copy.snapshot().document_count() as u64, generation);
                let diagnosis = crate::doctor::check(&target).unwrap();
                assert!(diagnosis.findings.is_empty(), "{diagnosis:?}");
                assert!(bytes > 0);
                taken += 1;
            }
        });
        // A copy is a collection like any other.
        let copy = crate::Index::open(&copies.path().join("0"), IndexSettings::default()).unwrap();
        put(&copy, 100..103);
        assert!(
            copy.snapshot()
                .documents(0, 100, &Access::All)
                .unwrap()
                .iter()
                .any(|document| document.uri == "doc-102")
        );
    }

    #[test]
    fn a_commit_without_one_of_its_files_is_not_copied() {
        let (place, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let index = crate::Index::open(place.path(), IndexSettings::default()).unwrap();
        assert_eq!(
            copy_commit(place.path(), copy.path(), &Cancel::never(), &mut |_| {}).unwrap(),
            None
        );
        put(&index, 0..1);
        let positions = std::fs::read_dir(place.path().join(WORDS_DIR)).unwrap();
        let positions = positions
            .flatten()
            .map(|file| file.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "pos"));
        std::fs::remove_file(positions.unwrap()).unwrap();
        let error = copy_commit(place.path(), copy.path(), &Cancel::never(), &mut |_| {});
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
