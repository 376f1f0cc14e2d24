//! Reads the words of a collection again that another version of the analysis read:
//! from the stored chunks, so that nothing is parsed or embedded.

use crate::chunk::{again, context};
use crate::words::ANALYSIS;
use crate::{Chunk, Error, ErrorKind, Result};

use super::{Hash, Writer};
use crate::store::ChunkRef;

impl Writer {
    /// Commits the collection as it is, with the words as they are analyzed now, where
    /// that is not how they were. A kill in the middle leaves the last commit.
    pub(super) fn read_words_again(&mut self) -> Result<()> {
        let Some(analysis) = self.base.payload().map(|payload| payload.analysis) else {
            return Ok(());
        };
        if analysis == ANALYSIS {
            return Ok(());
        }
        tracing::info!(
            chunks = self.base.chunk_count(),
            "the words of the collection are read again: this version finds more spellings"
        );
        for document in 0..self.base.document_count() {
            self.read_document_again(document)?;
        }
        let generation = self.try_commit()?;
        self.take_over()?;
        tracing::info!(generation, "the words were read again");
        Ok(())
    }

    fn read_document_again(&self, document: usize) -> Result<()> {
        self.store_again(document, |chunk, _| hash_of(&chunk.hash))
    }

    /// Hands the stored chunks of a document to Tantivy once more, each with the hash that
    /// `hash` gives of it and its vector's id.
    pub(super) fn store_again(
        &self,
        document: usize,
        hash: impl Fn(&Chunk, u64) -> Option<Hash>,
    ) -> Result<()> {
        let base = &self.base;
        let table = base.document_table();
        let (id, record) = (table.id(document), table.record(document));
        let mut parts = Some(record.to_parts().map_err(super::internal)?);
        self.forget(id);
        let mut covered = 0;
        for at in table.chunks(document).map(ChunkRef) {
            let mut chunk = base.stored_chunk(at)?;
            let own = again::own(&chunk.text, chunk.span.start, covered);
            let context = if self.shared.settings.context {
                let columns = chunk.columns.as_deref();
                context(&record.title, &chunk.heading_path, columns, own)
            } else {
                String::new()
            };
            covered = chunk.span.end;
            let vector_id = base.vector_id(at);
            let hash = hash(&chunk, vector_id).ok_or_else(|| {
                let message =
                    format!("a chunk of the document {id} has no hash; run `cairn doctor`");
                Error::new(ErrorKind::Corrupt, message)
            })?;
            chunk.hash = blake3::Hash::from_bytes(hash).to_hex().to_string();
            self.store(id, &context, &chunk, &hash, vector_id, parts.take())?;
        }
        match parts {
            Some(parts) => self.store_record(id, parts),
            None => Ok(()),
        }
    }
}

fn hash_of(hex: &str) -> Option<Hash> {
    let hash = blake3::Hash::from_hex(hex).ok()?;
    Some(*hash.as_bytes())
}
