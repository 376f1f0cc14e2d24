//! What a `put` will do: chunks, and where the vector of each comes from.
//! Changes nothing, so that a put that fails or is cancelled has not happened.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use cairn_models::{Cancel, Embedder};
use rayon::prelude::*;

use crate::chunk::{Piece, chunk, pool};
use crate::{Document, DocumentId, Error, ErrorKind, Result};

use super::pending::{Hash, Pending};
use super::schema::Record;
use super::{Fingerprint, IndexSettings, PutReport, Snapshot};

/// Chunks that the embedder gets at once: enough to sort by length and fill its
/// batches, few enough to notice a cancellation soon.
const EMBED_BATCH: usize = 256;

/// Where the vector of a chunk comes from.
pub(super) enum Source {
    /// The document's own row of before.
    Own(u64),
    /// A row that has the same input.
    Copy(Vec<f32>),
    /// The embedder: position in the list of what it is to read.
    New(usize),
}

/// A document that is ready to be written.
pub(super) struct Prepared {
    pub(super) record: Record,
    pub(super) id: DocumentId,
    pub(super) pieces: Vec<Piece>,
    /// One for each piece.
    pub(super) sources: Vec<Source>,
    pub(super) report: PutReport,
}

/// The documents of a batch, in its order.
pub(super) struct Plan {
    /// None for one that a later document of the batch replaces.
    pub(super) documents: Vec<Option<Prepared>>,
    /// Inputs of the chunks that are new.
    pub(super) to_embed: Vec<Vec<String>>,
}

/// What is known when a plan is made.
pub(super) struct Planner<'a> {
    pub(super) base: &'a Snapshot,
    pub(super) pending: &'a Pending,
    pub(super) embedder: &'a dyn Embedder,
    pub(super) settings: &'a IndexSettings,
}

impl Planner<'_> {
    /// Cuts the documents, and finds out which chunks are new. Superseded
    /// documents of the batch are none.
    pub(super) fn plan(
        &self,
        documents: Vec<(Document, Option<Fingerprint>)>,
        cancel: &Cancel,
    ) -> Result<Plan> {
        let cut: Result<Vec<Vec<Piece>>> = documents
            .par_iter()
            .map(|(document, _)| {
                cancel.check()?;
                if document.uri.is_empty() {
                    return Err(Error::new(
                        ErrorKind::InvalidInput,
                        "a document needs a URI",
                    ));
                }
                chunk(document, self.embedder, self.settings)
            })
            .collect();
        let last: HashMap<_, _> = documents
            .iter()
            .enumerate()
            .map(|(at, (document, _))| (document.id(), at))
            .collect();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut plan = Plan {
            documents: Vec::with_capacity(documents.len()),
            to_embed: Vec::new(),
        };
        let mut planned = HashMap::new();
        for (at, ((document, fingerprint), mut pieces)) in
            documents.into_iter().zip(cut?).enumerate()
        {
            cancel.check()?;
            let id = document.id();
            if last.get(&id) != Some(&at) {
                plan.documents.push(None);
                continue;
            }
            self.check_id(id, &document.uri)?;
            let mut own = self.own_rows(id, &pieces)?;
            let mut report = PutReport {
                chunks: pieces.len(),
                ..PutReport::default()
            };
            let mut sources = Vec::with_capacity(pieces.len());
            for piece in &mut pieces {
                let before = plan.to_embed.len();
                sources.push(self.source(piece, &mut own, &mut planned, &mut plan.to_embed)?);
                report.embedded += plan.to_embed.len() - before;
            }
            report.reused = report.chunks - report.embedded;
            let record = Record::new(&document, fingerprint, pieces.len(), now.as_secs() as i64);
            plan.documents.push(Some(Prepared {
                record,
                id,
                pieces,
                sources,
                report,
            }));
        }
        Ok(plan)
    }

    /// Two URIs with one id: one in 10^19, but it must not lose a document.
    fn check_id(&self, id: DocumentId, uri: &str) -> Result<()> {
        match self.base.record(id) {
            Some(record) if record.uri != uri => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "`{uri}` has the same id as `{}`; give it another URI",
                    record.uri
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Rows that belong to the document as it is now, by hash. Only this
    /// document ever refers to them, so its next version may keep them.
    fn own_rows(&self, id: DocumentId, pieces: &[Piece]) -> Result<HashMap<Hash, Vec<u64>>> {
        let mut own: HashMap<Hash, Vec<u64>> = HashMap::new();
        match self.pending.document(id) {
            Some(Some(chunks)) => {
                for &(hash, vector_id) in chunks {
                    own.entry(hash).or_default().push(vector_id);
                }
            }
            Some(None) => {}
            None => {
                let documents = self.base.document_table();
                let Some(document) = documents.find(id) else {
                    return Ok(own);
                };
                let chunks = documents.chunks(document);
                for piece in pieces {
                    if own.contains_key(&piece.hash) {
                        continue;
                    }
                    let same = self.base.with_hash(&piece.hash)?;
                    let same = same.into_iter().filter(|chunk| chunks.contains(&chunk.0));
                    let rows = same.map(|chunk| self.base.vector_id(chunk)).collect();
                    own.insert(piece.hash, rows);
                }
            }
        }
        Ok(own)
    }

    fn source(
        &self,
        piece: &mut Piece,
        own: &mut HashMap<Hash, Vec<u64>>,
        planned: &mut HashMap<Hash, usize>,
        to_embed: &mut Vec<Vec<String>>,
    ) -> Result<Source> {
        if let Some(row) = own.get_mut(&piece.hash).and_then(Vec::pop) {
            return Ok(Source::Own(row));
        }
        if let Some(&at) = planned.get(&piece.hash) {
            return Ok(Source::New(at));
        }
        if let Some(vector) = self.pending.vector(&piece.hash)? {
            return Ok(Source::Copy(vector));
        }
        if let Some(&chunk) = self.base.with_hash(&piece.hash)?.first() {
            return Ok(Source::Copy(self.base.vector(chunk)?));
        }
        planned.insert(piece.hash, to_embed.len());
        to_embed.push(std::mem::take(&mut piece.inputs));
        Ok(Source::New(to_embed.len() - 1))
    }

    /// One vector for each chunk's inputs.
    pub(super) fn embed(
        &self,
        chunks: &[Vec<String>],
        cancel: &Cancel,
        on_embedded: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<f32>>> {
        let dimension = self.embedder.dimension();
        let mut pooled = Vec::with_capacity(chunks.len());
        for batch in chunks.chunks(EMBED_BATCH) {
            cancel.check()?;
            let inputs: Vec<&str> = batch.iter().flatten().map(String::as_str).collect();
            let vectors = self.embedder.embed(&inputs, cancel)?;
            if vectors.len() != inputs.len() || vectors.iter().any(|v| v.len() != dimension) {
                let id = self.embedder.id();
                let message = format!("{id} did not give one vector for each text");
                return Err(Error::new(ErrorKind::Model, message));
            }
            let mut rest = vectors.as_slice();
            for inputs in batch {
                let (windows, after) = rest.split_at(inputs.len());
                pooled.push(pool(windows));
                rest = after;
            }
            on_embedded(batch.len());
        }
        Ok(pooled)
    }
}
