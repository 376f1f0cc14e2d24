//! The contract of the store (bodies come with the implementation).
#![allow(missing_docs, unused_variables)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_models::{Cancel, Embedder};

use crate::{Access, Chunk, Document, DocumentId, Error, ErrorKind, Filter, Metadata, Result};

fn unbuilt<T>() -> Result<T> {
    Err(Error::new(
        ErrorKind::Internal,
        "the store is not built yet",
    ))
}

/// How a collection is cut, embedded and tokenized. Stored with the first
/// commit; a later mismatch is an error of kind `Mismatch` that says what to do.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct IndexSettings {
    /// Most tokens of one chunk as the embedder sees it: special tokens included.
    pub chunk_tokens: usize,
    /// Tokens that two neighbouring chunks share.
    pub chunk_overlap: usize,
    /// Embed in windows of at most this many tokens and pool their vectors.
    pub embed_window: usize,
    /// Put title and heading path before the text that is embedded and indexed.
    pub context: bool,
    /// Stemming language of the words, e.g. `english`, or `none`.
    pub language: String,
    /// Rows from which a vector segment becomes an HNSW graph.
    pub graph_min_rows: usize,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            chunk_tokens: 512,
            chunk_overlap: 50,
            embed_window: 512,
            context: true,
            language: "english".into(),
            graph_min_rows: 10_000,
        }
    }
}

/// BM25's parameters.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Bm25 {
    pub k1: f32,
    pub b: f32,
}

impl Default for Bm25 {
    fn default() -> Self {
        Self { k1: 1.2, b: 0.75 }
    }
}

/// A chunk of one snapshot: its position there. Only meaningful with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkRef(pub u32);

/// A chunk and how well it matched; larger is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub chunk: ChunkRef,
    pub score: f32,
}

/// The chunks of a snapshot that a filter and a caller's labels leave.
#[derive(Clone, Debug)]
pub struct Selection {
    // A bit set over `ChunkRef`s comes with the implementation.
    _private: (),
}

impl Selection {
    /// Chunks in it.
    pub fn len(&self) -> usize {
        0
    }
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether `chunk` is in it.
    pub fn contains(&self, chunk: ChunkRef) -> bool {
        false
    }
}

/// A chunk as it is stored, with what a citation needs of its document.
#[derive(Clone, Debug)]
pub struct StoredChunk {
    /// `{document_id}-{ordinal:04}`.
    pub chunk_id: String,
    pub document_id: DocumentId,
    pub uri: String,
    pub title: String,
    pub chunk: Chunk,
}

/// A document as it is stored.
#[derive(Clone, Debug)]
pub struct StoredDocument {
    pub id: DocumentId,
    pub uri: String,
    pub title: String,
    pub metadata: Metadata,
    pub labels: BTreeSet<String>,
    pub chunk_count: u32,
    pub text_bytes: u64,
    /// Seconds since 1970, UTC.
    pub indexed_at: i64,
}

/// What tells an unchanged file without parsing it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    pub bytes: u64,
    pub modified_ns: i128,
    /// BLAKE3 of the file, hexadecimal.
    pub hash: String,
}

/// What one `put` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutReport {
    pub chunks: usize,
    pub embedded: usize,
    pub reused: usize,
}

/// One collection. Cheap to clone; any number of readers, one writer.
#[derive(Clone)]
pub struct Index {
    dir: PathBuf,
}

impl Index {
    /// Opens the collection in `dir`; a folder that does not exist yet is an
    /// empty collection.
    pub fn open(dir: &Path, settings: IndexSettings) -> Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
        })
    }
    /// The last commit that this handle knows.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(Snapshot { _private: () })
    }
    /// Looks for commits of other processes; true when there was one.
    pub fn refresh(&self) -> Result<bool> {
        unbuilt()
    }
    /// Takes the writer lock, or fails with kind `Locked`.
    pub fn writer(&self, embedder: Arc<dyn Embedder>) -> Result<Writer> {
        unbuilt()
    }
    /// Where it lives.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The one writer of a collection.
pub struct Writer {
    _private: (),
}

impl Writer {
    /// Adds or replaces documents; embeds only chunks whose hash is new, in
    /// batches across documents. Visible after `commit`.
    pub fn put(
        &mut self,
        documents: Vec<(Document, Option<Fingerprint>)>,
        cancel: &Cancel,
    ) -> Result<Vec<PutReport>> {
        unbuilt()
    }
    /// Removes a document; false when there is none.
    pub fn delete(&mut self, id: DocumentId) -> Result<bool> {
        unbuilt()
    }
    /// Makes everything since the last commit durable and visible at once.
    /// Returns the new generation.
    pub fn commit(&mut self) -> Result<u64> {
        unbuilt()
    }
}

/// One committed generation: words, vectors and text that belong together.
pub struct Snapshot {
    _private: (),
}

impl Snapshot {
    /// 0 for an empty collection.
    pub fn generation(&self) -> u64 {
        0
    }
    /// Id of the embedder whose vectors are inside; none when empty.
    pub fn embedder_id(&self) -> Option<&str> {
        None
    }
    pub fn chunk_count(&self) -> usize {
        0
    }
    pub fn document_count(&self) -> usize {
        0
    }
    /// BM25 over title, headings and text. `query` is plain text: no character
    /// of it is syntax. At most `k`, best first, ties by chunk id.
    pub fn lexical(
        &self,
        query: &str,
        k: usize,
        bm25: Bm25,
        within: Option<&Selection>,
    ) -> Result<Vec<Scored>> {
        unbuilt()
    }
    /// Nearest chunks by inner product of unit vectors. `ef` is the breadth of
    /// the graph search (at least `k`); `exact` scans every vector.
    pub fn dense(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        exact: bool,
        within: Option<&Selection>,
    ) -> Result<Vec<Scored>> {
        unbuilt()
    }
    /// The chunks that `filter` and `access` leave; none when that is all of
    /// them. A field that no document has is an error of kind `InvalidInput`
    /// that lists the fields there are.
    pub fn select(&self, filter: Option<&Filter>, access: &Access) -> Result<Option<Selection>> {
        unbuilt()
    }
    /// The stored chunk.
    pub fn chunk(&self, chunk: ChunkRef) -> Result<StoredChunk> {
        unbuilt()
    }
    /// The stored vector of the chunk.
    pub fn vector(&self, chunk: ChunkRef) -> Result<Vec<f32>> {
        unbuilt()
    }
    /// The document with this id, if the caller may read it.
    pub fn document(&self, id: DocumentId, access: &Access) -> Result<Option<StoredDocument>> {
        unbuilt()
    }
    /// The whole text of a document, put together from its chunks.
    pub fn document_text(&self, id: DocumentId, access: &Access) -> Result<Option<String>> {
        unbuilt()
    }
    /// Documents in the order of their URIs.
    pub fn documents(
        &self,
        offset: usize,
        limit: usize,
        access: &Access,
    ) -> Result<Vec<StoredDocument>> {
        unbuilt()
    }
}
