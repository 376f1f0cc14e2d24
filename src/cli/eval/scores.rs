//! A re-ranker that remembers: what it once said about a question and a passage,
//! and how long that took, also from one run to the next. A sweep over
//! configurations then reads each pair once.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cairn_models::{Cancel, LateInteraction, Reranker, Result, TokenSpans};

/// Bytes of one remembered score: a hash of question and passage, the score,
/// the milliseconds.
const RECORD_BYTES: usize = 16 + 4 + 4;

/// A pair that tells models of one name apart: weights in a folder may have been
/// replaced since the last run.
const PROBE: (&str, &str) = (
    "what does a reader see after a crash?",
    "The last commit, whole, and nothing of the one that was cut off.",
);

/// A score and the milliseconds that it took.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Said {
    score: f32,
    took_ms: f32,
}

#[derive(Default)]
struct Memory {
    said: HashMap<[u8; 16], Said>,
    /// What was added since the file was read, in order.
    fresh: Vec<[u8; 16]>,
    /// Time that the model itself ran since the last [`Remembering::take`].
    computed: Duration,
    /// Time that all answers since then took when they were first computed.
    uncached_ms: f64,
}

/// A re-ranker behind a memory.
pub(super) struct Remembering {
    inner: Arc<dyn Reranker>,
    file: Option<PathBuf>,
    memory: Mutex<Memory>,
}

impl Remembering {
    /// Remembers in `dir`, in a file for this model; what cannot be read there
    /// is forgotten, since it is only ever computed again.
    pub(super) fn new(inner: Arc<dyn Reranker>, dir: Option<&Path>) -> Self {
        let file = dir.map(|dir| dir.join(file_name(inner.as_ref())));
        let bytes = file.as_ref().and_then(|file| fs::read(file).ok());
        let memory = Memory {
            said: records(&bytes.unwrap_or_default()).collect(),
            ..Memory::default()
        };
        Self {
            inner,
            file,
            memory: Mutex::new(memory),
        }
    }

    /// How long the model ran since the last call, and how long everything that
    /// was asked since then takes without a memory.
    pub(super) fn take(&self) -> (Duration, f64) {
        let mut memory = self.lock();
        let uncached_ms = std::mem::take(&mut memory.uncached_ms);
        (std::mem::take(&mut memory.computed), uncached_ms)
    }

    /// Writes down what is new. Losing it costs time alone, so a disk that does
    /// not take it is only worth a word.
    pub(super) fn keep(&self) {
        let Some(file) = &self.file else {
            return;
        };
        let mut memory = self.lock();
        let mut bytes = Vec::with_capacity(memory.fresh.len() * RECORD_BYTES);
        for key in std::mem::take(&mut memory.fresh) {
            if let Some(said) = memory.said.get(&key) {
                bytes.extend(key);
                bytes.extend(said.score.to_le_bytes());
                bytes.extend(said.took_ms.to_le_bytes());
            }
        }
        if let Err(error) = append(file, &bytes) {
            tracing::warn!(%error, "the re-ranker's scores are not kept for the next run");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Named after the model and what it says of [`PROBE`], without the last digits,
/// which may differ from one number of threads to the next.
fn file_name(model: &dyn Reranker) -> String {
    let (question, passage) = PROBE;
    let said = model.score(question, &[passage], &Cancel::never());
    let said = said.unwrap_or_default().first().copied().unwrap_or(0.0);
    let name = format!("{} {said:.2}", model.id());
    let hash = blake3::hash(name.as_bytes()).to_hex();
    format!("scores-{}.bin", &hash[..12])
}

fn append(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut out = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)?;
    // A run that was killed may have left half a record.
    let whole = out.metadata()?.len() / RECORD_BYTES as u64 * RECORD_BYTES as u64;
    out.set_len(whole)?;
    std::io::Write::write_all(&mut out, bytes)
}

fn records(bytes: &[u8]) -> impl Iterator<Item = ([u8; 16], Said)> + '_ {
    bytes.chunks_exact(RECORD_BYTES).map(|record| {
        let mut key = [0; 16];
        key.copy_from_slice(&record[..16]);
        let float = |at: usize| {
            let bytes = [record[at], record[at + 1], record[at + 2], record[at + 3]];
            f32::from_le_bytes(bytes)
        };
        let said = Said {
            score: float(16),
            took_ms: float(20),
        };
        (key, said)
    })
}

fn key(query: &str, passage: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(query.len() as u64).to_le_bytes());
    hasher.update(query.as_bytes());
    hasher.update(passage.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

impl Reranker for Remembering {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn window(&self) -> usize {
        self.inner.window()
    }

    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        self.inner.token_spans(text)
    }

    fn readable_share(&self, text: &str) -> Result<f32> {
        self.inner.readable_share(text)
    }

    fn calibrated(&self, score: f32) -> f32 {
        self.inner.calibrated(score)
    }

    /// Comparing takes less time than remembering.
    fn late_interaction(&self) -> Option<&dyn LateInteraction> {
        self.inner.late_interaction()
    }

    fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>> {
        let keys: Vec<_> = passages.iter().map(|text| key(query, text)).collect();
        let missing: Vec<usize> = {
            let memory = self.lock();
            let unknown = |at: &usize| !memory.said.contains_key(&keys[*at]);
            (0..keys.len()).filter(unknown).collect()
        };
        if !missing.is_empty() {
            let texts: Vec<&str> = missing.iter().map(|&at| passages[at]).collect();
            let start = Instant::now();
            let scores = self.inner.score(query, &texts, cancel)?;
            let took = start.elapsed();
            let took_ms = (took.as_secs_f64() * 1e3 / texts.len() as f64) as f32;
            let mut memory = self.lock();
            memory.computed += took;
            for (&at, score) in missing.iter().zip(scores) {
                memory.said.insert(keys[at], Said { score, took_ms });
                memory.fresh.push(keys[at]);
            }
        }
        let mut memory = self.lock();
        let said: Vec<Said> = keys.iter().map(|key| memory.said[key]).collect();
        memory.uncached_ms += said.iter().map(|said| f64::from(said.took_ms)).sum::<f64>();
        Ok(said.into_iter().map(|said| said.score).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cairn_models::testing::OverlapReranker;

    use super::*;

    /// Counts passages, the probe's too; its scores are raised by the second.
    struct Counting(AtomicUsize, f32);

    impl Reranker for Counting {
        fn id(&self) -> &str {
            "counting"
        }
        fn window(&self) -> usize {
            64
        }
        fn token_spans(&self, text: &str) -> Result<TokenSpans> {
            OverlapReranker.token_spans(text)
        }
        fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>> {
            self.0.fetch_add(passages.len(), Ordering::Relaxed);
            let scores = OverlapReranker.score(query, passages, cancel)?;
            Ok(scores.into_iter().map(|score| score + self.1).collect())
        }
    }

    #[test]
    fn a_pair_is_read_once_also_in_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let ask = |remembering: &Remembering, passages: &[&str]| {
            let never = Cancel::never();
            remembering.score("a cat", passages, &never).unwrap()
        };
        let first = Arc::new(Counting(AtomicUsize::new(0), 0.0));
        let remembering = Remembering::new(first.clone(), Some(dir.path()));
        let scores = ask(&remembering, &["a cat", "a dog", "none"]);
        assert_eq!(scores, [1.0, 0.5, 0.0]);
        assert_eq!(
            ask(&remembering, &["none", "a bird", "a cat"]),
            [0.0, 0.5, 1.0]
        );
        assert_eq!(first.0.load(Ordering::Relaxed), 1 + 4);
        assert!(remembering.take().1 >= 0.0);
        remembering.keep();
        remembering.keep();
        let second = Arc::new(Counting(AtomicUsize::new(0), 0.0));
        let again = Remembering::new(second.clone(), Some(dir.path()));
        assert_eq!(ask(&again, &["a cat", "a dog", "none"]), scores);
        assert_eq!(second.0.load(Ordering::Relaxed), 1);
        // Other weights under the same name.
        let trained = Arc::new(Counting(AtomicUsize::new(0), 0.25));
        let anew = Remembering::new(trained.clone(), Some(dir.path()));
        assert_eq!(ask(&anew, &["a cat", "a dog", "none"]), [1.25, 0.75, 0.25]);
        assert_eq!(trained.0.load(Ordering::Relaxed), 1 + 3);
    }
}
