//! The repaired commit is made alongside the collection, examined, and then put into its place
//! by one rename: a kill before that leaves what was there.

use std::path::{Path, PathBuf};

use tantivy::Term;
use tantivy::indexer::NoMergePolicy;
use tempfile::TempDir;

use crate::chunk::{again, context};
use crate::store::directory::{WordsDirectory, write_managed_list};
use crate::store::index::{META_FILE, VECTORS_DIR, WORDS_DIR};
use crate::store::payload::Payload;
use crate::store::postings::PostingsWriter;
use crate::store::schema::{self, ANALYZER, Fields};
use crate::store::{doctor, fault};
use crate::words::Analyzer;
use crate::{DocumentId, Error, ErrorKind, Result};

use super::documents::{Kept, chunk_at, record_at};
use super::parts::Part;
use super::vectors::vector_id;

/// Beginning of the names of folders that repairs work in.
const PREFIX: &str = ".repair-";

/// Memory for postings that are not on disk yet.
const BUFFER_BYTES: usize = 64 << 20;

/// A commit that is being made.
pub(super) struct Stage {
    folder: TempDir,
    collection: PathBuf,
}

impl Stage {
    /// Makes room inside the folder of the collection, and removes what an earlier repair
    /// left that was killed. Call with the writer's lock.
    pub(super) fn new(collection: &Path) -> Result<Self> {
        let at_collection = |error: std::io::Error| Error::from(error).at(collection);
        for entry in std::fs::read_dir(collection)
            .map_err(at_collection)?
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                std::fs::remove_dir_all(entry.path()).map_err(at_collection)?;
            }
        }
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(collection)
            .map_err(at_collection)?;
        let stage = Self {
            folder,
            collection: collection.to_owned(),
        };
        for part in [stage.words(), stage.vectors()] {
            std::fs::create_dir(&part).map_err(|error| Error::from(error).at(&part))?;
        }
        Ok(stage)
    }

    fn words(&self) -> PathBuf {
        self.folder.path().join(WORDS_DIR)
    }

    /// Where new vector segments go.
    pub(super) fn vectors(&self) -> PathBuf {
        self.folder.path().join(VECTORS_DIR)
    }

    /// Takes a file of the collection over as it is. It is not written to: nothing writes to
    /// a file again that a commit has named.
    pub(super) fn take(&self, folder: &str, file: &Path) -> Result<()> {
        let from = self.collection.join(folder).join(file);
        let to = self.folder.path().join(folder).join(file);
        let linked = std::fs::hard_link(&from, &to)
            // Not every file system has links.
            .or_else(|_| std::fs::copy(&from, &to).map(|_| ()));
        linked.map_err(|error| Error::from(error).at(from))
    }

    /// Writes the description that the word index starts from: `segments` are the ones that
    /// were taken over, as `meta.json` says them.
    pub(super) fn describe(&self, segments: &[serde_json::Value], opstamp: u64) -> Result<()> {
        let description = serde_json::json!({
            "segments": segments,
            "schema": schema::schema().0,
            "opstamp": opstamp,
        });
        let file = self.words().join(META_FILE);
        std::fs::write(&file, description.to_string()).map_err(|error| Error::from(error).at(file))
    }

    /// Forgets the documents `gone`, reads the words of those of `kept` again that need it,
    /// and commits.
    pub(super) fn commit(
        &self,
        parts: &[Part],
        kept: &[Kept],
        gone: &[DocumentId],
        payload: &Payload,
    ) -> Result<()> {
        let words = self.words();
        let convert = |error| fault::convert(error, &words);
        let index = WordsDirectory::open(&words)
            .and_then(tantivy::Index::open)
            .map_err(convert)?;
        let (_, fields) = schema::schema();
        let analyzer = Analyzer::new(&payload.settings.language)?.text_analyzer();
        index.tokenizers().register(ANALYZER, analyzer);
        let mut writer = index
            .writer_with_num_threads(1, BUFFER_BYTES)
            .and_then(|writer: tantivy::IndexWriter| {
                // What is whole stays as it is.
                writer.set_merge_policy(Box::new(NoMergePolicy));
                PostingsWriter::new(writer)
            })
            .map_err(convert)?;
        let read_again = kept.iter().filter(|kept| kept.is_read_again);
        let forgotten = gone.iter().copied();
        for id in forgotten.chain(read_again.clone().map(|kept| kept.id)) {
            writer.delete_term(Term::from_field_u64(fields.document, id.0));
        }
        for kept in read_again {
            read_words(&writer, parts, kept, fields, payload.settings.context)?;
        }
        let json = payload.write()?;
        let mut commit = || -> tantivy::Result<()> {
            let mut commit = writer.prepare_commit()?;
            commit.set_payload(&json);
            commit.commit()?;
            Ok(())
        };
        commit().map_err(convert)
    }

    /// Examines the new commit as a collection of its own, and puts it into the place of the
    /// old one.
    ///
    /// # Errors
    /// `Internal` if it is not whole, and those of the disk; then the collection is as it was.
    pub(super) fn publish(self) -> Result<()> {
        let found = doctor::check(self.folder.path())?;
        if let Some(finding) = found
            .findings
            .iter()
            .find(|finding| finding.severity == doctor::Severity::Error)
        {
            let message = format!(
                "the repair did not succeed and nothing was changed: {}",
                finding.what
            );
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let put = || -> std::io::Result<()> {
            for part in [VECTORS_DIR, WORDS_DIR] {
                let (from, to) = (self.folder.path().join(part), self.collection.join(part));
                for file in std::fs::read_dir(&from)? {
                    let name = file?.file_name();
                    let text = name.to_string_lossy();
                    if text.starts_with('.') || text == META_FILE {
                        continue;
                    }
                    // Over what is there: the same file, or a damaged one of its name.
                    std::fs::rename(from.join(&name), to.join(&name))?;
                }
                cairn_files::sync_folder(&to)?;
            }
            let (from, to) = (self.words(), self.collection.join(WORDS_DIR));
            // With the damaged files, which the next writer removes.
            write_managed_list(&to)?;
            cairn_files::write(&to.join(META_FILE), &std::fs::read(from.join(META_FILE))?)
        };
        put().map_err(|error| Error::from(error).at(&self.collection))
    }
}

/// Hands the stored chunks of a document to Tantivy once more.
fn read_words(
    writer: &PostingsWriter,
    parts: &[Part],
    kept: &Kept,
    fields: Fields,
    with_context: bool,
) -> Result<()> {
    let gone = || Error::new(ErrorKind::Internal, "a document that was read has gone");
    let record = record_at(parts, kept.record).ok_or_else(gone)?;
    let parts_of_record = record.to_parts().map_err(|error| gone().because(error))?;
    let mut parts_of_record = Some(parts_of_record);
    let mut covered = 0;
    for place in &kept.chunks {
        let chunk = chunk_at(parts, *place, fields).ok_or_else(gone)?;
        let context = match with_context {
            true => {
                let own = again::own(&chunk.text, chunk.span.start, covered);
                let columns = chunk.columns.as_deref();
                context(&record.title, &chunk.heading_path, columns, own)
            }
            false => String::new(),
        };
        covered = chunk.span.end;
        let vector_id = vector_id(parts, *place).ok_or_else(gone)?;
        let hash = blake3::Hash::from_hex(&chunk.hash).map_err(|error| gone().because(error))?;
        let row = schema::ChunkRow {
            document: kept.id,
            context: &context,
            chunk: &chunk,
            hash: hash.as_bytes(),
            vector_id,
        };
        let row = row.to_stored(fields, parts_of_record.take());
        writer.add_document(row.map_err(|error| gone().because(error))?)?;
    }
    if let Some(parts) = parts_of_record {
        writer.add_document(schema::record_row(fields, kept.id, parts))?;
    }
    Ok(())
}
