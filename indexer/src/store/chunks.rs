//! The tables of a snapshot: which chunk is which Tantivy document, which row
//! of which vector segment, and which document it belongs to.

use std::collections::BTreeMap;

use tantivy::{DocAddress, Searcher};

use crate::vectors::RowSet;
use crate::{DocumentId, Error, ErrorKind, Result};

use super::ChunkRef;
use super::schema::Record;

/// No chunk: a deleted Tantivy document or a dead row.
const NONE: u32 = u32::MAX;

/// Where chunks are. Chunks are numbered by document id and ordinal, so the
/// chunks of one document are neighbours, and the order of [`ChunkRef`]s is the
/// order of chunk ids.
#[derive(Default)]
pub(super) struct Chunks {
    addresses: Vec<DocAddress>,
    vector_ids: Vec<u64>,
    /// Chunk of each Tantivy document, by segment.
    by_address: Vec<Vec<u32>>,
}

/// The documents of a snapshot, in the order of their ids.
#[derive(Default)]
pub(super) struct Documents {
    ids: Vec<DocumentId>,
    /// First chunk of each document, and the number of chunks at the end.
    starts: Vec<u32>,
    records: Vec<Record>,
    by_uri: Vec<u32>,
}

struct Row {
    document: u64,
    ordinal: u64,
    address: DocAddress,
    vector_id: u64,
}

/// Reads both tables from the columns of an index.
pub(super) fn read(searcher: &Searcher) -> Result<(Chunks, Documents)> {
    let mut rows = Vec::with_capacity(searcher.num_docs() as usize);
    let mut records = BTreeMap::new();
    for (segment, reader) in searcher.segment_readers().iter().enumerate() {
        let columns = reader.fast_fields();
        let document = columns.u64("document")?;
        let ordinal = columns.u64("ordinal")?;
        let vector = columns.u64("vector")?;
        let record = columns.bytes("record")?;
        for doc in reader.doc_ids_alive() {
            let id = document
                .first(doc)
                .ok_or_else(|| damaged("a chunk has no document"))?;
            if let (Some(ordinal), Some(vector_id)) = (ordinal.first(doc), vector.first(doc)) {
                let address = DocAddress::new(segment as u32, doc);
                rows.push(Row {
                    document: id,
                    ordinal,
                    address,
                    vector_id,
                });
            }
            let Some(column) = &record else { continue };
            let mut parts = Vec::new();
            for ord in column.term_ords(doc) {
                let mut part = Vec::new();
                column.ord_to_bytes(ord, &mut part).map_err(Error::from)?;
                parts.push(part);
            }
            if !parts.is_empty() {
                let record = Record::from_parts(parts)
                    .map_err(|error| damaged("a document's record is damaged").because(error))?;
                if records.insert(id, record).is_some() {
                    return Err(damaged("a document is there twice"));
                }
            }
        }
    }
    rows.sort_unstable_by_key(|row| (row.document, row.ordinal));
    let documents = Documents::new(records, &rows)?;
    Ok((Chunks::new(searcher, &rows), documents))
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{what}; run `cairn doctor`"))
}

impl Chunks {
    fn new(searcher: &Searcher, rows: &[Row]) -> Self {
        let readers = searcher.segment_readers().iter();
        let mut by_address: Vec<_> = readers
            .map(|reader| vec![NONE; reader.max_doc() as usize])
            .collect();
        for (chunk, row) in rows.iter().enumerate() {
            by_address[row.address.segment_ord as usize][row.address.doc_id as usize] =
                chunk as u32;
        }
        Self {
            addresses: rows.iter().map(|row| row.address).collect(),
            vector_ids: rows.iter().map(|row| row.vector_id).collect(),
            by_address,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// The Tantivy document of a chunk.
    pub(super) fn address(&self, chunk: ChunkRef) -> Option<DocAddress> {
        self.addresses.get(chunk.0 as usize).copied()
    }

    /// The vector id of a chunk of this snapshot.
    pub(super) fn vector_id(&self, chunk: ChunkRef) -> u64 {
        self.vector_ids[chunk.0 as usize]
    }

    /// The chunk at an address, if it is alive.
    pub(super) fn at(&self, segment: u32, doc: u32) -> Option<ChunkRef> {
        let chunk = *self.by_address.get(segment as usize)?.get(doc as usize)?;
        (chunk != NONE).then_some(ChunkRef(chunk))
    }

    /// Joins chunks and rows of vector segments by vector id.
    pub(super) fn join(&self, segments: &[&[u64]]) -> Result<Vectors> {
        let mut wanted: Vec<_> = (0..self.len() as u32)
            .map(|chunk| (self.vector_ids[chunk as usize], chunk))
            .collect();
        wanted.sort_unstable();
        let mut locations = vec![(NONE, NONE); self.len()];
        let mut rows = Vec::with_capacity(segments.len());
        for (segment, ids) in segments.iter().enumerate() {
            let mut owners = vec![NONE; ids.len()];
            let first = ids.first().copied().unwrap_or(0);
            let mut next = wanted.partition_point(|&(id, _)| id < first);
            for (row, &id) in ids.iter().enumerate() {
                while wanted.get(next).is_some_and(|&(wanted, _)| wanted < id) {
                    next += 1;
                }
                if let Some(&(_, chunk)) = wanted.get(next).filter(|&&(wanted, _)| wanted == id) {
                    owners[row] = chunk;
                    locations[chunk as usize] = (segment as u32, row as u32);
                }
            }
            rows.push(owners);
        }
        let alive = rows.iter().map(|owners: &Vec<u32>| {
            RowSet::from_fn(owners.len(), |row| owners[row as usize] != NONE)
        });
        let alive = alive.collect();
        if locations.iter().any(|&(segment, _)| segment == NONE) {
            return Err(damaged("a chunk has no vector"));
        }
        Ok(Vectors {
            locations,
            rows,
            alive,
        })
    }
}

/// Which row is which chunk.
#[derive(Default)]
pub(super) struct Vectors {
    /// Segment and row of each chunk.
    locations: Vec<(u32, u32)>,
    /// Chunk of each row, by segment.
    rows: Vec<Vec<u32>>,
    /// Rows of each segment that have a chunk.
    alive: Vec<RowSet>,
}

impl Vectors {
    /// Segment and row of a chunk.
    pub(super) fn location(&self, chunk: ChunkRef) -> Option<(usize, u32)> {
        let &(segment, row) = self.locations.get(chunk.0 as usize)?;
        Some((segment as usize, row))
    }

    /// The chunk of a row, if it is alive.
    pub(super) fn chunk(&self, segment: usize, row: u32) -> Option<ChunkRef> {
        let chunk = self.rows[segment][row as usize];
        (chunk != NONE).then_some(ChunkRef(chunk))
    }

    /// Rows of a segment that have a chunk.
    pub(super) fn alive(&self, segment: usize) -> &RowSet {
        &self.alive[segment]
    }
}

impl Documents {
    fn new(records: BTreeMap<u64, Record>, rows: &[Row]) -> Result<Self> {
        let mut table = Self::default();
        let mut chunk = 0;
        for (id, record) in records {
            table.starts.push(chunk as u32);
            for ordinal in 0..u64::from(record.chunks) {
                let found = rows.get(chunk).map(|row| (row.document, row.ordinal));
                if found != Some((id, ordinal)) {
                    return Err(damaged("a document lacks a chunk"));
                }
                chunk += 1;
            }
            table.ids.push(DocumentId(id));
            table.records.push(record);
        }
        if chunk != rows.len() {
            return Err(damaged("a chunk belongs to no document"));
        }
        table.starts.push(chunk as u32);
        table.by_uri = (0..table.ids.len() as u32).collect();
        let records = &table.records;
        table
            .by_uri
            .sort_by(|&a, &b| records[a as usize].uri.cmp(&records[b as usize].uri));
        Ok(table)
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn find(&self, id: DocumentId) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    pub(super) fn id(&self, document: usize) -> DocumentId {
        self.ids[document]
    }

    pub(super) fn record(&self, document: usize) -> &Record {
        &self.records[document]
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Chunks of a document, as numbers of [`ChunkRef`]s.
    pub(super) fn chunks(&self, document: usize) -> std::ops::Range<u32> {
        self.starts[document]..self.starts[document + 1]
    }

    /// The document that a chunk belongs to.
    pub(super) fn of_chunk(&self, chunk: ChunkRef) -> usize {
        self.starts.partition_point(|&start| start <= chunk.0) - 1
    }

    /// Documents in the order of their URIs.
    pub(super) fn by_uri(&self) -> impl Iterator<Item = usize> + '_ {
        self.by_uri.iter().map(|&document| document as usize)
    }
}
