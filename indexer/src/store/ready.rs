//! Documents that are cut and embedded before the writer is opened, so that its lock is held
//! for writing only.

use std::collections::HashMap;

use cairn_models::{Cancel, Embedder};
use rayon::prelude::*;

use crate::chunk::{Piece, chunk, pool};
use crate::{Document, Error, ErrorKind, Result};

use super::pending::{Hash, Pending};
use super::plan::{New, Planner};
use super::{Fingerprint, Index, IndexSettings};

/// Chunks that the embedder gets at once: enough to sort by length and fill its
/// batches, few enough to notice soon that the work is cancelled or that another writer waits.
const EMBED_BATCH: usize = 256;

/// Chunks that have no vector: what was hashed, and what the embedder is to read of each.
pub(crate) type Unknown = Vec<(Hash, Vec<String>)>;

/// A document and its chunks.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) document: Document,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) pieces: Vec<Piece>,
}

/// Documents that only need to be written: [`Index::prepare`] makes them.
#[derive(Clone, Debug)]
pub struct Ready {
    pub(super) documents: Vec<Cut>,
    /// Vectors of chunks that the collection did not have.
    pub(super) vectors: HashMap<Hash, Vec<f32>>,
}

impl Ready {
    /// The documents, in the order in which they were given.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = &Document> {
        self.documents.iter().map(|cut| &cut.document)
    }

    /// Leaves documents out that are not to be written after all.
    pub fn retain(&mut self, mut keep: impl FnMut(&Document) -> bool) {
        self.documents.retain(|cut| keep(&cut.document));
    }

    /// Cuts documents, and embeds nothing.
    ///
    /// # Errors
    /// `InvalidInput` for a document without a URI, `Cancelled`, `Model`.
    pub(super) fn cut(
        documents: Vec<(Document, Option<Fingerprint>)>,
        embedder: &dyn Embedder,
        settings: &IndexSettings,
        cancel: &Cancel,
    ) -> Result<Self> {
        let cut = |(document, fingerprint): (Document, Option<Fingerprint>)| {
            cancel.check()?;
            if document.uri.is_empty() {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    "a document needs a URI",
                ));
            }
            Ok(Cut {
                pieces: chunk(&document, embedder, settings, cancel)?,
                document,
                fingerprint,
            })
        };
        let documents: Result<Vec<Cut>> = documents.into_par_iter().map(cut).collect();
        Ok(Self {
            documents: documents?,
            vectors: HashMap::new(),
        })
    }

    /// Embeds `unknown` chunks of the documents.
    pub(crate) fn embed(
        &mut self,
        unknown: Unknown,
        embedder: &dyn Embedder,
        cancel: &Cancel,
        on_embedded: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        let (hashes, inputs): (Vec<_>, Vec<_>) = unknown.into_iter().unzip();
        let vectors = embed(embedder, &inputs, cancel, on_embedded)?;
        self.vectors.extend(hashes.into_iter().zip(vectors));
        Ok(())
    }
}

impl Index {
    /// Cuts `documents` into chunks, and embeds those for which the last commit has no
    /// vector, while others may write. [`super::Writer::put_ready`] writes the result.
    ///
    /// # Errors
    /// `InvalidInput` for a document without a URI, `Model` when the embedder fails,
    /// `Cancelled`, and those of reading the collection.
    pub fn prepare(
        &self,
        documents: Vec<Document>,
        embedder: &dyn Embedder,
        cancel: &Cancel,
    ) -> Result<Ready> {
        self.prepare_telling(documents, embedder, cancel, &mut |_, _| ())
    }

    /// The same; `on_embedded` is told how many chunks are embedded, of how many that must be.
    ///
    /// # Errors
    /// Those of [`Index::prepare`].
    pub fn prepare_telling(
        &self,
        documents: Vec<Document>,
        embedder: &dyn Embedder,
        cancel: &Cancel,
        on_embedded: &mut dyn FnMut(usize, usize),
    ) -> Result<Ready> {
        let documents = documents.into_iter().map(|document| (document, None));
        let mut ready = Ready::cut(documents.collect(), embedder, self.settings(), cancel)?;
        let base = self.snapshot();
        let pending = Pending::default();
        let planner = Planner {
            base: &base,
            pending: &pending,
        };
        let unknown = planner.unknown(&ready.documents)?;
        let (mut done, total) = (0, unknown.len());
        let mut count = |more: usize| {
            done += more;
            on_embedded(done, total);
            Ok(())
        };
        ready.embed(unknown, embedder, cancel, &mut count)?;
        Ok(ready)
    }
}

/// One vector for each new chunk of a plan.
pub(super) fn vectors_of(
    new: Vec<New>,
    embedder: &dyn Embedder,
    cancel: &Cancel,
    on_embedded: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Vec<Vec<f32>>> {
    let mut vectors = Vec::with_capacity(new.len());
    let mut missing = Vec::new();
    let mut inputs = Vec::new();
    for (at, new) in new.into_iter().enumerate() {
        match new {
            New::Vector(vector) => vectors.push(vector),
            New::Inputs(texts) => {
                missing.push(at);
                inputs.push(texts);
                vectors.push(Vec::new());
            }
        }
    }
    let read = embed(embedder, &inputs, cancel, on_embedded)?;
    for (at, vector) in missing.into_iter().zip(read) {
        vectors[at] = vector;
    }
    Ok(vectors)
}

/// One vector for each chunk's inputs. `on_embedded` is told each time how many more chunks
/// the embedder has read, and may end the work.
fn embed(
    embedder: &dyn Embedder,
    chunks: &[Vec<String>],
    cancel: &Cancel,
    on_embedded: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Vec<Vec<f32>>> {
    let dimension = embedder.dimension();
    let mut pooled = Vec::with_capacity(chunks.len());
    for batch in chunks.chunks(EMBED_BATCH) {
        cancel.check()?;
        let inputs: Vec<&str> = batch.iter().flatten().map(String::as_str).collect();
        let vectors = embedder.embed(&inputs, cancel)?;
        if vectors.len() != inputs.len() || vectors.iter().any(|v| v.len() != dimension) {
            let id = embedder.id();
            let message = format!("{id} did not give one vector for each text");
            return Err(Error::new(ErrorKind::Model, message));
        }
        let mut rest = vectors.as_slice();
        for inputs in batch {
            let (windows, after) = rest.split_at(inputs.len());
            pooled.push(pool(windows));
            rest = after;
        }
        on_embedded(batch.len())?;
    }
    Ok(pooled)
}
