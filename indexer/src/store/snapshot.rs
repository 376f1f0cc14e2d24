//! One committed generation, as readers see it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tantivy::schema::{IndexRecordOption, Value};
use tantivy::{DocSet, Searcher, TERMINATED, TantivyDocument, Term};

use crate::vectors::{RowSet, Segment};
use crate::words::{ANALYSIS, Analyzer};
use crate::{Access, DocumentId, Error, ErrorKind, Result};

use super::chunks::{Chunks, Documents, Vectors};
use super::facets::Facets;
use super::index::{VECTORS_DIR, WORDS_DIR};
use super::names::Names;
use super::payload::Payload;
use super::schema::{Fields, Record, chunk_from_json};
use super::segments::Load;
use super::twins::Twins;
use super::{ChunkRef, Fingerprint, StoredChunk, StoredDocument, chunks, fault};

/// One committed generation: words, vectors and text that belong together.
/// It stays as it is, whatever is committed later.
pub struct Snapshot {
    pub(super) committed: Option<Committed>,
    pub(super) chunks: Chunks,
    pub(super) documents: Documents,
    pub(super) vectors: Vectors,
    pub(super) twins: Twins,
    pub(super) facets: OnceLock<Facets>,
    pub(super) names: OnceLock<Names>,
    /// The rows that a search of all vectors looks at, where some are left out.
    pub(super) first_rows: OnceLock<Vec<RowSet>>,
}

pub(super) struct Committed {
    pub(super) payload: Payload,
    pub(super) searcher: Searcher,
    pub(super) fields: Fields,
    pub(super) analyzer: Analyzer,
    pub(super) segments: Vec<Segment>,
    /// For messages about damaged files.
    pub(super) words_dir: PathBuf,
}

impl Snapshot {
    pub(super) fn empty() -> Self {
        Self {
            committed: None,
            chunks: Chunks::default(),
            documents: Documents::default(),
            vectors: Vectors::default(),
            twins: Twins::default(),
            facets: OnceLock::new(),
            names: OnceLock::new(),
            first_rows: OnceLock::new(),
        }
    }

    /// Opens what `payload` names; `searcher` is of the same commit.
    pub(super) fn open(
        payload: Payload,
        searcher: Searcher,
        fields: Fields,
        dir: &Path,
    ) -> Result<Self> {
        let vectors_dir = dir.join(VECTORS_DIR);
        let (chunks, documents) = chunks::read(&searcher)?;
        let segments: Result<Vec<_>> = payload
            .vectors
            .iter()
            .map(|entry| Segment::open(&vectors_dir, entry))
            .collect();
        let segments = segments?;
        let ids: Vec<_> = segments.iter().map(Segment::ids).collect();
        let vectors = chunks.join(&ids)?;
        let twins = Twins::read(&searcher, fields, &chunks)?;
        let analyzer = Analyzer::new(&payload.settings.language)?;
        let committed = Some(Committed {
            payload,
            searcher,
            fields,
            analyzer,
            segments,
            words_dir: dir.join(WORDS_DIR),
        });
        Ok(Self {
            committed,
            chunks,
            documents,
            vectors,
            twins,
            facets: OnceLock::new(),
            names: OnceLock::new(),
            first_rows: OnceLock::new(),
        })
    }

    pub(super) fn payload(&self) -> Option<&Payload> {
        Some(&self.committed.as_ref()?.payload)
    }

    /// 0 for an empty collection.
    pub fn generation(&self) -> u64 {
        self.payload().map_or(0, |payload| payload.generation)
    }

    /// Id of the embedder whose vectors are inside; `None` if empty.
    pub fn embedder_id(&self) -> Option<&str> {
        Some(&self.payload()?.embedder.id)
    }

    /// Whether another version of Cairn read the words: some spellings are not found
    /// until a writer, such as that of `cairn index`, has read them again.
    pub fn words_are_outdated(&self) -> bool {
        self.payload()
            .is_some_and(|payload| payload.analysis != ANALYSIS)
    }

    /// The other chunks that have the text of `chunk`, in their order. Searches return
    /// one of them.
    pub fn twins(&self, chunk: ChunkRef) -> impl Iterator<Item = ChunkRef> + '_ {
        let same = self.twins.of(chunk).iter().copied();
        same.filter(move |other| *other != chunk)
    }

    /// Chunks in it.
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// Documents in it.
    pub fn document_count(&self) -> usize {
        self.documents.len()
    }

    /// The stored chunk.
    pub fn chunk(&self, chunk: ChunkRef) -> Result<StoredChunk> {
        let document = self.documents.of_chunk(self.known(chunk)?);
        let stored = self.stored_chunk(chunk)?;
        let document_id = self.documents.id(document);
        let record = self.documents.record(document);
        Ok(StoredChunk {
            chunk_id: format!("{document_id}-{:04}", stored.ordinal),
            document_id,
            uri: record.uri.clone(),
            title: record.title.clone(),
            chunk: stored,
        })
    }

    /// The chunk with the id `{document_id}-{ordinal}`.
    pub fn chunk_named(&self, chunk_id: &str) -> Option<ChunkRef> {
        let (document, ordinal) = chunk_id.rsplit_once('-')?;
        let document = self.documents.find(DocumentId::parse(document)?)?;
        let mut chunks = self.documents.chunks(document);
        chunks.nth(ordinal.parse().ok()?).map(ChunkRef)
    }

    fn known(&self, chunk: ChunkRef) -> Result<ChunkRef> {
        if (chunk.0 as usize) < self.chunks.len() {
            return Ok(chunk);
        }
        let message = format!("there is no chunk {} in this snapshot", chunk.0);
        Err(Error::new(ErrorKind::NotFound, message))
    }

    pub(super) fn stored_chunk(&self, chunk: ChunkRef) -> Result<crate::Chunk> {
        let corrupt = || {
            Error::new(
                ErrorKind::Corrupt,
                "a stored chunk is damaged; run `cairn doctor`",
            )
        };
        let (Some(committed), Some(address)) = (&self.committed, self.chunks.address(chunk)) else {
            return Err(corrupt());
        };
        let stored: TantivyDocument = fault::guarded(&committed.words_dir, || {
            Ok(committed.searcher.doc(address)?)
        })?;
        let json = stored.get_first(committed.fields.chunk);
        let json = json
            .as_ref()
            .and_then(|value| value.as_bytes())
            .ok_or_else(corrupt)?;
        chunk_from_json(json).map_err(|error| corrupt().because(error))
    }

    /// The chunks by vector id, ascending.
    pub fn by_vector_id(&self) -> Vec<(u64, ChunkRef)> {
        let chunks = (0..self.chunks.len() as u32).map(ChunkRef);
        let mut pairs: Vec<_> = chunks
            .map(|chunk| (self.chunks.vector_id(chunk), chunk))
            .collect();
        pairs.sort_unstable();
        pairs
    }

    /// The stored vector of the chunk.
    pub fn vector(&self, chunk: ChunkRef) -> Result<Vec<f32>> {
        let location = self.vectors.location(self.known(chunk)?);
        match (&self.committed, location) {
            (Some(committed), Some((segment, row))) => {
                Ok(committed.segments[segment].vector(row)?.to_vec())
            }
            _ => Err(Error::new(ErrorKind::Internal, "a chunk has no vector")),
        }
    }

    /// The document with this id, if the caller may read it.
    pub fn document(&self, id: DocumentId, access: &Access) -> Result<Option<StoredDocument>> {
        Ok(self
            .readable(id, access)
            .map(|document| self.stored_document(document)))
    }

    /// Whether somebody may replace or delete the document: it is not there, or may be read.
    /// To rely on it, hold the writer's lock.
    pub fn may_touch(&self, id: DocumentId, access: &Access) -> Result<bool> {
        let stored = self.document(id, &Access::All)?;
        Ok(stored.is_none_or(|stored| access.allows(&stored.labels)))
    }

    /// The whole text of a document, put together from its chunks.
    pub fn document_text(&self, id: DocumentId, access: &Access) -> Result<Option<String>> {
        let Some(document) = self.readable(id, access) else {
            return Ok(None);
        };
        let bytes = self.documents.record(document).text_bytes as usize;
        let mut text = String::with_capacity(bytes);
        for chunk in self.documents.chunks(document) {
            let chunk = self.stored_chunk(ChunkRef(chunk))?;
            let new = text.len().checked_sub(chunk.span.start);
            match new.and_then(|new| chunk.text.get(new..)) {
                Some(new) => text.push_str(new),
                None => {
                    let message =
                        "the chunks of a document do not fit together; run `cairn doctor`";
                    return Err(Error::new(ErrorKind::Corrupt, message));
                }
            }
        }
        Ok(Some(text))
    }

    /// The chunks of a document in their order, if the caller may read it.
    pub fn document_chunks(
        &self,
        id: DocumentId,
        access: &Access,
    ) -> Result<Option<Vec<StoredChunk>>> {
        let Some(document) = self.readable(id, access) else {
            return Ok(None);
        };
        let chunks = self.documents.chunks(document);
        chunks
            .map(|chunk| self.chunk(ChunkRef(chunk)))
            .collect::<Result<_>>()
            .map(Some)
    }

    /// Documents in the order of their URIs.
    pub fn documents(
        &self,
        offset: usize,
        limit: usize,
        access: &Access,
    ) -> Result<Vec<StoredDocument>> {
        let readable = self
            .documents
            .by_uri()
            .filter(|&document| access.allows(&self.documents.record(document).labels));
        Ok(readable
            .skip(offset)
            .take(limit)
            .map(|at| self.stored_document(at))
            .collect())
    }

    /// Documents in the order of their URIs, from the one behind `after` on.
    pub fn documents_after(
        &self,
        after: Option<&str>,
        limit: usize,
        access: &Access,
    ) -> Vec<StoredDocument> {
        let record = |document: usize| self.documents.record(document);
        let behind =
            |document: &usize| after.is_none_or(|uri| record(*document).uri.as_str() > uri);
        let documents = self.documents.by_uri().filter(behind);
        let readable = documents.filter(|&document| access.allows(&record(document).labels));
        readable
            .take(limit)
            .map(|at| self.stored_document(at))
            .collect()
    }

    /// Bytes of the texts of the documents that `access` may read.
    pub fn readable_bytes(&self, access: &Access) -> u64 {
        let records = self.documents.records().iter();
        let readable = records.filter(|record| access.allows(&record.labels));
        readable.map(|record| record.text_bytes).sum()
    }

    fn readable(&self, id: DocumentId, access: &Access) -> Option<usize> {
        let document = self.documents.find(id)?;
        access
            .allows(&self.documents.record(document).labels)
            .then_some(document)
    }

    fn stored_document(&self, document: usize) -> StoredDocument {
        let record = self.documents.record(document).clone();
        StoredDocument {
            id: self.documents.id(document),
            uri: record.uri,
            title: record.title,
            metadata: record.metadata,
            labels: record.labels,
            chunk_count: record.chunks,
            text_bytes: record.text_bytes,
            indexed_at: record.indexed_at,
        }
    }

    /// The fingerprint of a document that was made from a file, and when that
    /// was, in seconds since 1970.
    pub(crate) fn file(&self, id: DocumentId) -> Option<(&Fingerprint, i64)> {
        let record = self.record(id)?;
        Some((record.fingerprint.as_ref()?, record.indexed_at))
    }

    /// Ids and URIs of the documents that were made from files.
    pub(crate) fn files(&self) -> impl Iterator<Item = (DocumentId, &str)> {
        let documents = self.documents.records().iter().enumerate();
        documents
            .filter(|(_, record)| record.fingerprint.is_some())
            .map(|(at, record)| (self.documents.id(at), record.uri.as_str()))
    }

    /// Files and folders that the collection was made from.
    pub(crate) fn roots(&self) -> BTreeMap<String, super::Root> {
        let roots = self.payload().map(|payload| payload.roots.clone());
        roots.unwrap_or_default()
    }

    pub(super) fn record(&self, id: DocumentId) -> Option<&Record> {
        Some(self.documents.record(self.documents.find(id)?))
    }

    pub(super) fn document_table(&self) -> &Documents {
        &self.documents
    }

    /// Chunks with this hash.
    pub(super) fn with_hash(&self, hash: &[u8; 32]) -> Result<Vec<ChunkRef>> {
        let mut found = Vec::new();
        let Some(committed) = &self.committed else {
            return Ok(found);
        };
        let term = Term::from_field_bytes(committed.fields.hash, hash);
        for (at, reader) in committed.searcher.segment_readers().iter().enumerate() {
            let index = reader.inverted_index(committed.fields.hash)?;
            let postings = index.read_postings(&term, IndexRecordOption::Basic);
            let Some(mut postings) = postings.map_err(Error::from)? else {
                continue;
            };
            while postings.doc() != TERMINATED {
                found.extend(self.chunks.at(at as u32, postings.doc()));
                postings.advance();
            }
        }
        Ok(found)
    }

    /// The vector id of a chunk of this snapshot: no other text has it, in this collection or
    /// later.
    ///
    /// # Panics
    /// If the chunk is not of this snapshot.
    pub fn vector_id(&self, chunk: ChunkRef) -> u64 {
        self.chunks.vector_id(chunk)
    }

    /// The vector segments as the merge policy sees them.
    pub(super) fn loads(&self) -> Vec<Load> {
        let segments = self
            .committed
            .iter()
            .flat_map(|committed| &committed.segments);
        segments
            .enumerate()
            .map(|(at, segment)| Load {
                kind: segment.kind(),
                rows: segment.rows(),
                alive: self.vectors.alive(at).len(),
            })
            .collect()
    }

    /// A vector segment by its place in the payload.
    pub(super) fn segment(&self, at: usize) -> Option<&Segment> {
        self.committed.as_ref()?.segments.get(at)
    }

    /// Ids of the rows of these segments that have a chunk, ascending.
    pub(super) fn alive_vector_ids(&self, segments: &[usize]) -> Vec<u64> {
        let mut alive = Vec::new();
        for &at in segments {
            if let Some(segment) = self.segment(at) {
                let ids = segment.ids();
                alive.extend(self.vectors.alive(at).iter().map(|row| ids[row as usize]));
            }
        }
        alive.sort_unstable();
        alive
    }
}
