//! The fields of the word index. A chunk is one Tantivy document; the first
//! chunk of a document also carries the document's record, so that every
//! Tantivy document is a chunk and BM25's counts are counts of chunks. A
//! document without text is one Tantivy document with a record alone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tantivy::schema::{
    BytesOptions, FAST, Field, INDEXED, IndexRecordOption, STORED, Schema, TextFieldIndexing,
    TextOptions,
};

use tantivy::TantivyDocument;

use crate::{Chunk, Document, DocumentId, Metadata};

use super::Fingerprint;
use super::twins::text_hash;

/// Name under which the analyzer of a collection is registered.
pub(super) const ANALYZER: &str = "cairn";

/// Tantivy keeps the first 65,535 bytes of a value in a column, so a longer
/// record is stored in parts, each behind its number.
const RECORD_PART_NUM_BYTES: usize = 60_000;

/// Handles of the fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    /// Context and text: the words that are searched.
    pub(super) body: Field,
    /// The chunk as JSON, stored.
    pub(super) chunk: Field,
    /// Document id: a column, and the term by which a document is deleted.
    pub(super) document: Field,
    /// Ordinal of the chunk: a column.
    pub(super) ordinal: Field,
    /// Vector id of the chunk: a column.
    pub(super) vector: Field,
    /// Hash of the chunk, by which equal chunks are found, and hash of its text, by which
    /// equal texts are: two terms of different lengths.
    pub(super) hash: Field,
    /// Record of the document as JSON: a column of bytes.
    pub(super) record: Field,
}

/// The schema of every collection.
pub(super) fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let words = TextFieldIndexing::default()
        .set_tokenizer(ANALYZER)
        .set_index_option(IndexRecordOption::WithFreqs)
        .set_fieldnorms(true);
    let fields = Fields {
        body: builder.add_text_field("body", TextOptions::default().set_indexing_options(words)),
        chunk: builder.add_bytes_field("chunk", STORED),
        document: builder.add_u64_field("document", INDEXED | FAST),
        ordinal: builder.add_u64_field("ordinal", FAST),
        vector: builder.add_u64_field("vector", FAST),
        hash: builder.add_bytes_field("hash", INDEXED),
        record: builder.add_bytes_field("record", BytesOptions::default().set_fast()),
    };
    (builder.build(), fields)
}

/// What is stored of a document alongside its chunks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) uri: String,
    pub(super) title: String,
    pub(super) metadata: Metadata,
    pub(super) labels: BTreeSet<String>,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) chunks: u32,
    pub(super) text_bytes: u64,
    pub(super) indexed_at: i64,
}

impl Record {
    pub(super) fn new(
        document: &Document,
        fingerprint: Option<Fingerprint>,
        chunks: usize,
        indexed_at: i64,
    ) -> Self {
        Self {
            uri: document.uri.clone(),
            title: document.title.clone(),
            metadata: document.metadata.clone(),
            labels: document.labels.clone(),
            fingerprint,
            chunks: chunks as u32,
            text_bytes: document.text.len() as u64,
            indexed_at,
        }
    }

    /// The values of the column, in any order.
    pub(super) fn to_parts(&self) -> serde_json::Result<Vec<Vec<u8>>> {
        let json = serde_json::to_vec(self)?;
        let parts = json.chunks(RECORD_PART_NUM_BYTES).enumerate();
        Ok(parts
            .map(|(number, part)| [&(number as u32).to_be_bytes()[..], part].concat())
            .collect())
    }

    /// Reads what [`Record::to_parts`] gave.
    pub(super) fn from_parts(mut parts: Vec<Vec<u8>>) -> serde_json::Result<Self> {
        parts.sort_unstable();
        let json: Vec<u8> = parts
            .iter()
            .flat_map(|part| part.iter().skip(4))
            .copied()
            .collect();
        serde_json::from_slice(&json)
    }
}

/// A chunk as the stored field holds it.
pub(super) fn chunk_to_json(chunk: &Chunk) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(chunk)
}

/// Reads what [`chunk_to_json`] wrote.
pub(super) fn chunk_from_json(json: &[u8]) -> serde_json::Result<Chunk> {
    serde_json::from_slice(json)
}

/// A chunk as one Tantivy document.
pub(super) struct ChunkRow<'a> {
    pub(super) document: DocumentId,
    /// What is indexed in front of the text.
    pub(super) context: &'a str,
    pub(super) chunk: &'a Chunk,
    /// Of what was embedded.
    pub(super) hash: &'a [u8; 32],
    pub(super) vector_id: u64,
}

impl ChunkRow<'_> {
    /// The first one of a document is stored with its `record`.
    pub(super) fn to_stored(
        &self,
        fields: Fields,
        record: Option<Vec<Vec<u8>>>,
    ) -> serde_json::Result<TantivyDocument> {
        let chunk = self.chunk;
        let mut stored = TantivyDocument::new();
        stored.add_text(fields.body, format!("{}\n{}", self.context, chunk.text));
        stored.add_bytes(fields.chunk, &chunk_to_json(chunk)?);
        stored.add_u64(fields.document, self.document.0);
        stored.add_u64(fields.ordinal, u64::from(chunk.ordinal));
        stored.add_u64(fields.vector, self.vector_id);
        stored.add_bytes(fields.hash, self.hash);
        if let Some(hash) = text_hash(chunk) {
            stored.add_bytes(fields.hash, &hash);
        }
        for part in record.into_iter().flatten() {
            stored.add_bytes(fields.record, &part);
        }
        Ok(stored)
    }
}

/// The record of a document without chunks as one Tantivy document.
pub(super) fn record_row(
    fields: Fields,
    document: DocumentId,
    record: Vec<Vec<u8>>,
) -> TantivyDocument {
    let mut stored = TantivyDocument::new();
    stored.add_u64(fields.document, document.0);
    for part in record {
        stored.add_bytes(fields.record, &part);
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_longer_than_a_column_value_comes_back_whole() {
        let document = Document {
            uri: "a".into(),
            metadata: (0..40_000)
                .map(|n| (format!("field{n}"), serde_json::json!(n)))
                .collect(),
            ..Document::default()
        };
        let record = Record::new(&document, None, 1, 5);
        let mut parts = record.to_parts().unwrap();
        assert!(parts.len() > 10);
        parts.reverse();
        assert_eq!(Record::from_parts(parts).unwrap(), record);
    }
}
