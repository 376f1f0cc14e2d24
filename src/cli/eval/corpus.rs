//! The corpus of a dataset as a collection, through the product's own indexer.
//!
//! The collection's name holds a hash of the corpus and of everything that its
//! vectors depend on, so that a changed file or setting makes a new index and
//! an unchanged one is found again.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use cairn_eval::{Dataset, EvalDocument};
use cairn_indexer::{Access, Document, DocumentId, Writer};
use cairn_models::{Cancel, Embedder};

use super::ticker::Ticker;
use crate::cli::context::Context;
use crate::retrieve::Engine;

/// Documents that go into the writer at once.
const BATCH: usize = 64;

/// Longest part of a dataset's name in a collection's name.
const MAX_NAME_BYTES: usize = 32;

/// An indexed corpus.
pub(super) struct Collection {
    pub(super) name: String,
    pub(super) documents: usize,
    pub(super) chunks: usize,
    /// Chunks that this run embedded.
    pub(super) embedded: usize,
    /// Seconds that indexing took; 0 when it was done before.
    pub(super) seconds: f64,
}

/// The collection of `dataset`; indexes what is not in it yet.
pub(super) fn prepare(
    context: &Context,
    engine: &Engine,
    dataset: &Dataset,
    embedder: Arc<dyn Embedder>,
    cancel: &Cancel,
) -> anyhow::Result<Collection> {
    let name = name(context, dataset, embedder.as_ref())?;
    let index = engine.create_collection(&name)?;
    // Read whole first: a bad line is known before hours of embedding.
    let mut documents = 0;
    let mut missing = Vec::new();
    let before = index.snapshot();
    for document in dataset.documents()? {
        let document = document?;
        documents += 1;
        if before
            .document(DocumentId::of_uri(&document.id), &Access::All)?
            .is_none()
        {
            missing.push(document);
        }
    }
    let start = Instant::now();
    let mut embedded = 0;
    if !missing.is_empty() {
        let mut writer = index.writer(embedder)?;
        embedded = write(context, &mut writer, missing, cancel)?;
        writer.commit()?;
    }
    Ok(Collection {
        name,
        documents,
        chunks: index.snapshot().chunk_count(),
        embedded,
        seconds: if embedded > 0 {
            start.elapsed().as_secs_f64()
        } else {
            0.0
        },
    })
}

fn write(
    context: &Context,
    writer: &mut Writer,
    missing: Vec<EvalDocument>,
    cancel: &Cancel,
) -> anyhow::Result<usize> {
    let mut ticker = Ticker::new(context, "indexing documents", missing.len());
    let pause = std::time::Duration::from_secs(context.config.indexing.commit_seconds);
    let mut committed = Instant::now();
    let mut embedded = 0;
    let mut missing = missing.into_iter().peekable();
    while missing.peek().is_some() {
        let batch: Vec<_> = missing
            .by_ref()
            .take(BATCH)
            .map(|document| (to_document(document), None))
            .collect();
        let count = batch.len();
        let reports = match writer.put(batch, cancel) {
            Ok(reports) => reports,
            Err(error) => {
                // What is embedded is kept: the next run goes on from here.
                writer.commit()?;
                return Err(error.into());
            }
        };
        embedded += reports.iter().map(|report| report.embedded).sum::<usize>();
        ticker.add(count);
        if committed.elapsed() >= pause {
            writer.commit()?;
            committed = Instant::now();
        }
    }
    Ok(embedded)
}

/// A document of a corpus has no path: its id is its URI. One that is all title
/// (CACM has them) is found by that.
fn to_document(document: EvalDocument) -> Document {
    let (title, text) = match document.text.trim().is_empty() {
        true => (String::new(), document.title),
        false => (document.title, document.text),
    };
    Document {
        uri: document.id,
        title,
        text,
        ..Document::default()
    }
}

fn name(context: &Context, dataset: &Dataset, embedder: &dyn Embedder) -> anyhow::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let path = dataset.corpus_path();
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file
            .read(&mut buffer)
            .with_context(|| path.display().to_string())?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    hasher.update(embedder.id().as_bytes());
    hasher.update(&serde_json::to_vec(&context.config.index_settings())?);
    let plain: String = dataset
        .name
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .take(MAX_NAME_BYTES)
        .collect();
    let hash = hasher.finalize().to_hex();
    Ok(format!("{}-{}", plain.trim_matches('-'), &hash[..12])
        .trim_matches('-')
        .to_owned())
}
