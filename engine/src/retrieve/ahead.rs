//! Reads chunks ahead of questions: the re-ranker's reading of a passage does not depend on the
//! question, so each passage is read once and stored, and questions are only compared with it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cairn_indexer::{ChunkRef, Snapshot, States, StoredChunk};
use cairn_models::{Cancel, Effort, ErrorKind, LateInteraction};

use super::engine::Engine;
use super::error::SearchError;

/// Passages per call of the model: reading can be stopped between calls.
const CALL: usize = 8;

/// Passages that are stored at once, and lost if the process is killed.
const FILE: usize = 512;

/// Progress of reading a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadAhead {
    /// Chunks that have been read and are stored or about to be.
    pub read: usize,
    /// Chunks in the collection.
    pub chunks: usize,
}

/// The context in which the re-ranker reads a chunk: its title, and the columns of the table that
/// it continues.
pub(super) fn read_under(chunk: &StoredChunk) -> String {
    match &chunk.chunk.columns {
        Some(columns) => format!("{}\n{columns}", chunk.title),
        None => chunk.title.clone(),
    }
}

impl Engine {
    /// Reads the chunks of the collection `name` that have not been read yet, and stores the
    /// re-ranker's states. `on_step` gets the progress, and how long the model has worked since the
    /// last step; it may block, to leave the machine to others. Commits that arrive meanwhile are
    /// read too. Returns `None` if there is nothing to do: no model that reads passages alone,
    /// `retrieval.rerank.store` off, nothing committed, another process already reading, or
    /// read-only data.
    ///
    /// # Errors
    ///
    /// [`SearchErrorKind::Cancelled`](super::SearchErrorKind::Cancelled), after everything read so
    /// far is stored; those of [`Engine::collection`]; `Storage` if writing to disk fails.
    pub fn read_ahead(
        &self,
        name: &str,
        effort: Effort,
        cancel: &Cancel,
        on_step: &mut dyn FnMut(ReadAhead, Duration),
    ) -> Result<Option<ReadAhead>, SearchError> {
        let Some(model) = self.passage_reader() else {
            return Ok(None);
        };
        let index = self.collection(name)?;
        loop {
            let snapshot = index.snapshot();
            let Some(states) = index.states(&snapshot, model.states_id()) else {
                return Ok(None);
            };
            let Some(mut writer) = states.writer()? else {
                return Ok(None);
            };
            let chunks = snapshot.by_vector_id();
            let alive = |id: u64| find(&chunks, id).is_some();
            let missing = missing(&states, &chunks);
            let mut done = ReadAhead {
                read: chunks.len() - missing.len(),
                chunks: chunks.len(),
            };
            if missing.is_empty() {
                if writer.is_wasteful(&alive) {
                    writer.add(BTreeMap::new(), &alive)?;
                }
                return Ok(Some(done));
            }
            for file in missing.chunks(FILE) {
                let mut rows = BTreeMap::new();
                let mut step = |call: &[(u64, ChunkRef)]| -> Result<(), SearchError> {
                    let start = Instant::now();
                    let read = read(model, &snapshot, call, effort, cancel)?;
                    rows.extend(call.iter().map(|(id, _)| *id).zip(read));
                    done.read += call.len();
                    on_step(done, start.elapsed());
                    Ok(())
                };
                let all = file.chunks(CALL).try_for_each(&mut step);
                writer.add(rows, &alive)?;
                all?;
                cancel.check()?;
            }
        }
    }

    /// Whether there is a model that reads passages alone, and its states are stored.
    pub fn reads_ahead(&self) -> bool {
        self.passage_reader().is_some()
    }

    /// The re-ranker, if it reads passages alone and its states are to be stored.
    pub(super) fn passage_reader(&self) -> Option<&dyn LateInteraction> {
        let model = self.reranker()?.late_interaction()?;
        self.stores_states().then_some(model)
    }
}

fn find(chunks: &[(u64, ChunkRef)], id: u64) -> Option<ChunkRef> {
    let at = chunks.binary_search_by_key(&id, |(id, _)| *id).ok()?;
    Some(chunks[at].1)
}

pub(super) fn missing(states: &States, chunks: &[(u64, ChunkRef)]) -> Vec<(u64, ChunkRef)> {
    let missing = states.missing(chunks.iter().map(|(id, _)| *id));
    let with_chunk = |id| find(chunks, id).map(|chunk| (id, chunk));
    missing.into_iter().filter_map(with_chunk).collect()
}

fn read(
    model: &dyn LateInteraction,
    snapshot: &Snapshot,
    call: &[(u64, ChunkRef)],
    effort: Effort,
    cancel: &Cancel,
) -> Result<Vec<Vec<u8>>, SearchError> {
    let chunks: Vec<StoredChunk> = call
        .iter()
        .map(|(_, chunk)| snapshot.chunk(*chunk))
        .collect::<Result<_, _>>()?;
    let titles: Vec<String> = chunks.iter().map(read_under).collect();
    let passages: Vec<(&str, &str)> = titles
        .iter()
        .zip(&chunks)
        .map(|(title, chunk)| (&**title, &*chunk.chunk.text))
        .collect();
    let read = |passages: &[(&str, &str)]| model.read_passages(passages, effort, cancel);
    let is_text = |error: &cairn_models::Error| error.kind() == ErrorKind::InvalidInput;
    let one_by_one = |passage| match read(std::slice::from_ref(passage)) {
        // It cannot be read, and is not tried again.
        Err(error) if is_text(&error) => Ok(Vec::new()),
        read => read.map(|mut read| read.pop().unwrap_or_default()),
    };
    Ok(match read(&passages) {
        Err(error) if is_text(&error) => passages
            .iter()
            .map(one_by_one)
            .collect::<cairn_models::Result<_>>()?,
        read => read?,
    })
}
