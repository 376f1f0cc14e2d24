//! What a `put` will do: chunks, and where the vector of each comes from.
//! Changes nothing, so that a put that fails or is cancelled has not happened.

use std::collections::{HashMap, HashSet};

use cairn_models::Cancel;

use crate::chunk::Piece;
use crate::{DocumentId, Error, ErrorKind, Result};

use super::pending::{Hash, Pending};
use super::ready::{Cut, Ready, Unknown};
use super::schema::Record;
use super::writer::since_epoch;
use super::{PutReport, Snapshot};

/// Where the vector of a chunk comes from.
pub(super) enum VectorSource {
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
    pub(super) sources: Vec<VectorSource>,
    pub(super) report: PutReport,
}

/// The documents of a batch, in its order.
pub(super) struct Plan {
    /// `None` for one that a later document of the batch replaces.
    pub(super) documents: Vec<Option<Prepared>>,
    /// The chunks that are new.
    pub(super) new: Vec<New>,
}

/// A chunk whose vector nothing in the collection has.
pub(super) enum New {
    /// What the embedder is to read.
    Inputs(Vec<String>),
    /// Read before the writer was opened.
    Vector(Vec<f32>),
}

/// What is known when a plan is made.
pub(super) struct Planner<'a> {
    pub(super) base: &'a Snapshot,
    pub(super) pending: &'a Pending,
}

impl Planner<'_> {
    /// Finds out which chunks of the documents are new. A document that a later one of
    /// the batch supersedes is `None`.
    pub(super) fn plan(&self, ready: Ready, cancel: &Cancel) -> Result<Plan> {
        let Ready {
            documents,
            mut vectors,
        } = ready;
        let last: HashMap<_, _> = documents
            .iter()
            .enumerate()
            .map(|(at, cut)| (cut.document.id(), at))
            .collect();
        let now = since_epoch();
        let mut plan = Plan {
            documents: Vec::with_capacity(documents.len()),
            new: Vec::new(),
        };
        let mut planned = HashMap::new();
        for (at, cut) in documents.into_iter().enumerate() {
            cancel.check()?;
            let Cut {
                document,
                fingerprint,
                mut pieces,
            } = cut;
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
                let known = self.known(piece, &mut own)?;
                let source = known.unwrap_or_else(|| {
                    let next = plan.new.len();
                    VectorSource::New(*planned.entry(piece.hash).or_insert(next))
                });
                if matches!(source, VectorSource::New(at) if at == plan.new.len()) {
                    report.embedded += 1;
                    plan.new.push(match vectors.remove(&piece.hash) {
                        Some(vector) => New::Vector(vector),
                        None => New::Inputs(std::mem::take(&mut piece.inputs)),
                    });
                }
                sources.push(source);
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

    /// Where the collection has a vector for `piece`.
    fn known(
        &self,
        piece: &Piece,
        own: &mut HashMap<Hash, Vec<u64>>,
    ) -> Result<Option<VectorSource>> {
        if let Some(row) = own.get_mut(&piece.hash).and_then(Vec::pop) {
            return Ok(Some(VectorSource::Own(row)));
        }
        if let Some(vector) = self.pending.vector(&piece.hash)? {
            return Ok(Some(VectorSource::Copy(vector)));
        }
        match self.base.with_hash(&piece.hash)?.first() {
            Some(&chunk) => Ok(Some(VectorSource::Copy(self.base.vector(chunk)?))),
            None => Ok(None),
        }
    }

    /// Inputs of the chunks of `documents` for which the collection has no vector, once each.
    pub(super) fn unknown(&self, documents: &[Cut]) -> Result<Unknown> {
        let mut seen = HashSet::new();
        let mut unknown = Vec::new();
        for piece in documents.iter().flat_map(|cut| &cut.pieces) {
            if seen.insert(piece.hash) && self.known(piece, &mut HashMap::new())?.is_none() {
                unknown.push((piece.hash, piece.inputs.clone()));
            }
        }
        Ok(unknown)
    }
}
