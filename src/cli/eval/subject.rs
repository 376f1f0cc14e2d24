//! What is evaluated: questions with judgements, and the collection that they
//! are asked of, made through the product's own indexer where it is not there.
//!
//! The name of such a collection holds a hash of the corpus and of everything
//! that its vectors depend on, so that a changed file or setting makes a new
//! index and an unchanged one is found again.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use cairn_eval::{CorpusCheck, Dataset, EvalDocument, custom};
use cairn_indexer::{Access, Document, DocumentId, Writer};
use cairn_models::{Cancel, Embedder};

use super::beir;
use super::library::Shelf;
use crate::cli::context::Context;
use crate::cli::failure::BadUsage;
use crate::cli::indexing::{self, RunBar};
use crate::cli::loading::Models;
use crate::cli::read_ahead::read_ahead;
use crate::cli::ticker::Ticker;
use cairn_engine::retrieve::Engine;
use cairn_engine::retrieve::index_settings;
use cairn_settings::config::Config;

/// Documents that go into the writer at once.
const BATCH: usize = 64;

/// Longest part of a dataset's name in a collection's name.
const MAX_NAME_BYTES: usize = 32;

/// The questions of a folder of one's own.
const OWN_FILE: &str = "questions.jsonl";

/// Where questions and documents come from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A folder with judgements: BEIR's layout or Chroma's.
    Folder(PathBuf),
    /// A folder with documents and `questions.jsonl`.
    CustomFolder(PathBuf),
    /// Questions about a collection of the user.
    CustomQuestions(PathBuf),
}

impl Origin {
    /// What `--dataset` names: a folder, or `beir:NAME`, which is fetched when
    /// it is not there.
    pub(super) fn of_dataset(context: &Context, name: &str) -> anyhow::Result<Self> {
        if let Some(set) = name.strip_prefix("beir:") {
            return beir::folder(context, set).map(Self::Folder);
        }
        let dir = PathBuf::from(name);
        let is_own = dir.join(OWN_FILE).is_file()
            && !dir.join("queries.jsonl").exists()
            && !dir.join("queries.jsonl.gz").exists()
            && !dir.join("corpora").is_dir();
        Ok(match is_own {
            true => Self::CustomFolder(dir),
            false => Self::Folder(dir),
        })
    }
}

/// An indexed corpus.
#[derive(Clone, Debug, Default)]
pub(super) struct Collection {
    pub(super) name: String,
    pub(super) documents: usize,
    pub(super) chunks: usize,
    /// Chunks that this run embedded.
    pub(super) embedded: usize,
    /// Seconds that indexing took; 0 when it was done before.
    pub(super) seconds: f64,
    /// Bytes on disk of words and text, and of vectors.
    pub(super) words_bytes: u64,
    pub(super) vectors_bytes: u64,
}

/// Questions, and the engine and collection to ask them of.
pub(super) struct Subject {
    pub(super) dataset: Dataset,
    pub(super) engine: Engine,
    pub(super) collection: Collection,
    config: Config,
}

impl Subject {
    /// The same engine without the memory of what it was asked.
    pub(super) fn fresh_engine(&self) -> cairn_models::Result<Engine> {
        let (embedder, reranker) = (self.engine.embedder(), self.engine.reranker());
        Engine::new(&self.config, embedder.cloned(), reranker.cloned())
    }
}

/// The questions alone, where they can be read without an index: bad lines are
/// known before models are loaded.
pub(super) fn read(origin: &Origin, split: &str) -> anyhow::Result<Option<Dataset>> {
    match origin {
        Origin::Folder(dir) => Ok(Some(Dataset::load(dir, split)?)),
        Origin::CustomFolder(_) | Origin::CustomQuestions(_) => Ok(None),
    }
}

/// Opens `origin` with the settings of `config` and the models of `loaded`;
/// indexes what is not indexed yet.
pub(super) fn open(
    context: &Context,
    config: &Config,
    origin: &Origin,
    dataset: Option<Dataset>,
    loaded: &Engine,
    cancel: &Cancel,
) -> anyhow::Result<Subject> {
    let mut config = config.clone();
    if !matches!(origin, Origin::CustomQuestions(_)) {
        // Indexes of their own, apart from the user's.
        config.storage.data_dir = config.storage.data_dir.join("eval");
    }
    let engine = Engine::new(
        &config,
        loaded.embedder().cloned(),
        loaded.reranker().cloned(),
    )?;
    let embedder = engine
        .embedder()
        .context("an evaluation needs the embedder: models.embedder is \"none\"")?
        .clone();
    let (dataset, mut collection) = match (origin, dataset) {
        (Origin::Folder(_), Some(mut dataset)) => {
            let collection = corpus(context, &config, &engine, &mut dataset, embedder, cancel)?;
            (dataset, collection)
        }
        (Origin::Folder(dir), None) => anyhow::bail!("{} was not read", dir.display()),
        (Origin::CustomFolder(dir), dataset) => {
            let collection = folder(context, &config, &engine, dir, embedder, cancel)?;
            let dataset = match dataset {
                Some(dataset) => dataset,
                None => own_questions(&dir.join(OWN_FILE), &engine, &collection.name)?,
            };
            (dataset, collection)
        }
        (Origin::CustomQuestions(path), dataset) => {
            let name = config.storage.collection.clone();
            engine.collection(&name)?;
            let dataset = match dataset {
                Some(dataset) => dataset,
                None => own_questions(path, &engine, &name)?,
            };
            let collection = Collection {
                name,
                ..Collection::default()
            };
            (dataset, collection)
        }
    };
    // So that the candidates are judged as the service judges them.
    read_ahead(context, &engine, &collection.name, cancel)?;
    cancel.check()?;
    let index = engine.collection(&collection.name)?;
    let snapshot = index.snapshot();
    collection.documents = snapshot.document_count();
    collection.chunks = snapshot.chunk_count();
    collection.words_bytes = size(&index.dir().join("words"));
    collection.vectors_bytes = size(&index.dir().join("vectors"));
    Ok(Subject {
        dataset,
        engine,
        collection,
        config,
    })
}

/// Questions of one's own, looked up in a collection.
fn own_questions(path: &Path, engine: &Engine, collection: &str) -> anyhow::Result<Dataset> {
    let index = engine.collection(collection)?;
    let snapshot = index.snapshot();
    if snapshot.chunk_count() == 0 {
        let message = format!("the collection `{collection}` is empty: index some documents first");
        return Err(BadUsage::new(message).into());
    }
    Ok(custom::read(path, &Shelf::new(&snapshot)?)?)
}

/// The collection of a folder of documents, brought up to date.
fn folder(
    context: &Context,
    config: &Config,
    engine: &Engine,
    dir: &Path,
    embedder: Arc<dyn Embedder>,
    cancel: &Cancel,
) -> anyhow::Result<Collection> {
    let whole = dir
        .canonicalize()
        .with_context(|| dir.display().to_string())?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(whole.to_string_lossy().as_bytes());
    let stem = whole.file_name().unwrap_or_default().to_string_lossy();
    let name = name(config, &stem, hasher, embedder.as_ref())?;
    let index = engine.create_collection(&name)?;
    let parser = Models::new(context)?.parser()?;
    let options = indexing::options(context, parser, vec![whole.join(OWN_FILE)]);
    let bar = RunBar::new(context);
    let report = cairn_indexer::index_paths(&[whole], &index, embedder, &options, &bar, cancel)?;
    bar.clear();
    anyhow::ensure!(!report.cancelled, "indexing was stopped");
    for failure in &report.failed {
        context.say(format!(
            "note: {} is left out: {}",
            failure.path, failure.message
        ));
    }
    Ok(Collection {
        name,
        embedded: report.embedded,
        seconds: if report.embedded > 0 {
            report.seconds
        } else {
            0.0
        },
        ..Collection::default()
    })
}

/// The collection of a dataset's corpus; indexes what is not in it yet.
fn corpus(
    context: &Context,
    config: &Config,
    engine: &Engine,
    dataset: &mut Dataset,
    embedder: Arc<dyn Embedder>,
    cancel: &Cancel,
) -> anyhow::Result<Collection> {
    let name = corpus_name(config, dataset, embedder.as_ref())?;
    let index = engine.create_collection(&name)?;
    // Read whole first: a bad line is known before hours of embedding.
    let mut missing = Vec::new();
    let before = index.snapshot();
    let mut check = CorpusCheck::new(dataset);
    for document in dataset.documents()? {
        let document = document?;
        check.see(&document);
        if before
            .document(DocumentId::of_uri(&document.id), &Access::All)?
            .is_none()
        {
            missing.push(document);
        }
    }
    check.apply(dataset);
    let start = Instant::now();
    let mut embedded = 0;
    if !missing.is_empty() || before.words_are_outdated() {
        let mut writer = index.writer(embedder)?;
        embedded = write(context, &mut writer, missing, cancel)?;
        writer.commit()?;
    }
    Ok(Collection {
        name,
        embedded,
        seconds: match embedded {
            0 => 0.0,
            _ => start.elapsed().as_secs_f64(),
        },
        ..Collection::default()
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

fn corpus_name(
    config: &Config,
    dataset: &Dataset,
    embedder: &dyn Embedder,
) -> anyhow::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    for path in dataset.corpus_files() {
        let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
        loop {
            let count = file
                .read(&mut buffer)
                .with_context(|| path.display().to_string())?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
        }
    }
    name(config, &dataset.name, hasher, embedder)
}

/// `stem-HASH`, in the characters that a collection's name may have.
fn name(
    config: &Config,
    stem: &str,
    mut hasher: blake3::Hasher,
    embedder: &dyn Embedder,
) -> anyhow::Result<String> {
    hasher.update(embedder.id().as_bytes());
    hasher.update(&serde_json::to_vec(&index_settings(config))?);
    let plain = |c: char| match c.is_ascii_lowercase() || c.is_ascii_digit() {
        true => c,
        false => '-',
    };
    let plain: String = stem
        .to_lowercase()
        .chars()
        .map(plain)
        .take(MAX_NAME_BYTES)
        .collect();
    let hash = hasher.finalize().to_hex();
    Ok(format!("{}-{}", plain.trim_matches('-'), &hash[..12])
        .trim_matches('-')
        .to_owned())
}

/// Bytes of the files below `dir`.
fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            _ => entry.metadata().map_or(0, |data| data.len()),
        })
        .sum()
}
