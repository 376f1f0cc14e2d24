//! What goes into a collection and what comes out of it.

use std::collections::BTreeSet;

use crate::{Chunk, DocumentId, Metadata};

/// A chunk of one snapshot: its position there, in the order of chunk ids.
/// Only meaningful with that snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkRef(pub u32);

/// A chunk and how well it matched; larger is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The chunk.
    pub chunk: ChunkRef,
    /// Its score: comparable within one result list.
    pub score: f32,
}

impl Scored {
    /// Best first; equal scores in the order of chunk ids.
    pub(crate) fn order(a: &Self, b: &Self) -> std::cmp::Ordering {
        b.score.total_cmp(&a.score).then(a.chunk.cmp(&b.chunk))
    }
}

/// A chunk as it is stored, with what a citation needs of its document.
#[derive(Clone, Debug)]
pub struct StoredChunk {
    /// `{document_id}-{ordinal:04}`.
    pub chunk_id: String,
    /// Its document.
    pub document_id: DocumentId,
    /// The document's URI.
    pub uri: String,
    /// The document's title.
    pub title: String,
    /// The chunk itself.
    pub chunk: Chunk,
}

/// A document as it is stored.
#[derive(Clone, Debug)]
pub struct StoredDocument {
    /// Its identity.
    pub id: DocumentId,
    /// Where it came from.
    pub uri: String,
    /// Its title.
    pub title: String,
    /// Facts for filters.
    pub metadata: Metadata,
    /// Labels of its readers; empty for everyone.
    pub labels: BTreeSet<String>,
    /// Chunks it was cut into.
    pub chunk_count: u32,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Seconds since 1970, UTC.
    pub indexed_at: i64,
}

/// What tells an unchanged file without parsing it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    /// Size of the file.
    pub bytes: u64,
    /// Time of its last change, nanoseconds since 1970.
    pub modified_ns: i128,
    /// BLAKE3 of the file, hexadecimal.
    pub hash: String,
    /// Stands for what else the document was made from: labels and metadata
    /// that were given for it, and the version that read it.
    pub inputs: String,
}

/// What one `put` did with one document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutReport {
    /// Chunks of the document.
    pub chunks: usize,
    /// Chunks that the embedder read.
    pub embedded: usize,
    /// Chunks whose vector was there already.
    pub reused: usize,
}
