//! What a writer holds between two commits: vectors that are not yet part of
//! one, and which documents they belong to.

use std::collections::HashMap;

use crate::vectors::{Segment, SegmentMeta};
use crate::{DocumentId, Result};

/// BLAKE3 of what was embedded.
pub(super) type Hash = [u8; 32];

/// Changes since the last commit.
#[derive(Default)]
pub(super) struct Pending {
    /// Hash and vector id of the chunks of every document that was put; none
    /// for one that was deleted.
    documents: HashMap<DocumentId, Option<Vec<(Hash, u64)>>>,
    /// Vectors that are in memory, ids ascending, and their values in a row.
    ids: Vec<u64>,
    values: Vec<f32>,
    /// Vectors that are in segments which no commit lists yet.
    pub(super) flushed: Vec<(SegmentMeta, Segment)>,
    /// Vector id by hash, of all of these.
    by_hash: HashMap<Hash, u64>,
}

impl Pending {
    /// Whether a commit would change nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// The document's state since the last commit: `None` if untouched.
    pub(super) fn document(&self, id: DocumentId) -> Option<&Option<Vec<(Hash, u64)>>> {
        self.documents.get(&id)
    }

    pub(super) fn set_document(&mut self, id: DocumentId, chunks: Option<Vec<(Hash, u64)>>) {
        self.documents.insert(id, chunks);
    }

    /// Adds a vector under an id larger than all before.
    pub(super) fn push(&mut self, id: u64, hash: Hash, vector: &[f32]) {
        self.ids.push(id);
        self.values.extend_from_slice(vector);
        self.by_hash.insert(hash, id);
    }

    /// The vector of an input with this hash.
    pub(super) fn vector(&self, hash: &Hash) -> Result<Option<Vec<f32>>> {
        let Some(&id) = self.by_hash.get(hash) else {
            return Ok(None);
        };
        if let Ok(row) = self.ids.binary_search(&id) {
            let dimension = self.values.len() / self.ids.len();
            return Ok(Some(self.values[row * dimension..][..dimension].to_vec()));
        }
        for (_, segment) in &self.flushed {
            if let Some(row) = segment.row_of(id) {
                return Ok(Some(segment.vector(row)?.to_vec()));
            }
        }
        Ok(None)
    }

    /// Bytes of the vectors in memory.
    pub(super) fn num_bytes(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }

    /// Ids and values of the vectors in memory.
    pub(super) fn in_memory(&self) -> (&[u64], &[f32]) {
        (&self.ids, &self.values)
    }

    /// Takes note that the vectors in memory are in a segment now.
    pub(super) fn set_flushed(&mut self, meta: SegmentMeta, segment: Segment) {
        self.flushed.push((meta, segment));
        self.ids.clear();
        self.values.clear();
    }
}
