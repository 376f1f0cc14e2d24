//! The built-in re-ranker: the encoder's forward pass over question and passages,
//! packed without padding on our own kernels, or padded on a device of candle's; and
//! the model's head, on the CPU.
//!
//! The same weights run through ONNX Runtime in [`super::session`], as pairs whose
//! sides do not see each other; a test holds all to the same scores. Here a passage's
//! score does not depend on the passages alongside it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use candle_core::Device;
use rayon::ThreadPool;
use rayon::prelude::*;

use super::builtin::Builtin;
use super::graph::Graph;
use super::late::{Head, Question};
use super::pairs::Pair;
use super::passages::{Passages, States};
use crate::encoder::{Activation, BertEncoder, CandleEncoder, Config, Encoder, Pooling};
use crate::kernels::simd::Level;
use crate::{Cancel, Effort, Precision, Result, memory, threads};

/// Windows that are read at once: four of 192 tokens gain all that a CPU can, and a request
/// is cancelled between batches.
const WINDOWS_PER_BATCH: usize = 4;

/// The encoder, and the head that compares what it makes of two texts.
pub(super) struct LateInteractionSession {
    encoder: Box<dyn Encoder>,
    pub(super) head: Head,
    pub(super) pool: ThreadPool,
    /// For what is done while others are served.
    one_core: OnceLock<ThreadPool>,
    /// The question that was read last: a search asks about a few passages at a time.
    last: Mutex<Option<Arc<Asked>>>,
    passages: Passages,
}

/// A question that was read.
pub(super) struct Asked {
    ids: Vec<u32>,
    pub(super) question: Question,
}

/// The arithmetic for this machine: the weights are bytes already, and where
/// the processor multiplies those, nothing is gained by floats.
pub(crate) fn builtin_precision() -> Precision {
    match Level::best().multiplies_bytes() {
        true => Precision::Int8,
        false => Precision::Auto,
    }
}

/// The shape of every built-in model, but for the number of its layers.
pub(crate) fn builtin_shape(layers: usize) -> Config {
    Config {
        vocab_size: 30_522,
        hidden_size: 384,
        num_hidden_layers: layers,
        num_attention_heads: 12,
        intermediate_size: 1536,
        hidden_act: Activation::Gelu,
        max_position_embeddings: 512,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        position_embedding_type: "absolute".to_owned(),
    }
}

impl LateInteractionSession {
    /// A built-in model on our own kernels; `threads` work on one call, 0 takes
    /// all cores.
    pub(super) fn builtin(model: &Builtin, threads: usize, precision: Precision) -> Result<Self> {
        let session = Self::open(model, threads, |graph, config| {
            Ok(Box::new(BertEncoder::open(
                graph,
                config,
                Pooling::First,
                precision,
            )?))
        });
        // Packed by now, all but the table of words, of which few are used.
        // SAFETY: every `Builtin` is a constant of the binary, made by `include_bytes!`.
        #[allow(unsafe_code)]
        unsafe {
            memory::release(model.model);
        }
        session
    }

    /// The same in f32 on candle's operations.
    pub(super) fn on_device(model: &Builtin, threads: usize, device: &Device) -> Result<Self> {
        Self::open(model, threads, |graph, config| {
            Ok(Box::new(CandleEncoder::open(
                graph,
                config,
                Pooling::First,
                device,
            )?))
        })
    }

    fn open(
        model: &Builtin,
        threads: usize,
        encoder: impl FnOnce(&Graph, &Config) -> Result<Box<dyn Encoder>> + Send,
    ) -> Result<Self> {
        let graph = Graph::read(model.model);
        let config = builtin_shape(graph.layers());
        let pool = threads::pool(threads, "rerank", "re-ranker")?;
        Ok(Self {
            encoder: pool.install(|| encoder(&graph, &config))?,
            head: Head::open(&graph, config.vocab_size, config.hidden_size)?,
            pool,
            one_core: OnceLock::new(),
            last: Mutex::default(),
            passages: Passages::new(0),
        })
    }

    /// Tokens that a device of candle's wants at once; none on our own kernels.
    pub(super) fn tokens_per_batch(&self) -> Option<usize> {
        self.encoder
            .padded()
            .then(|| self.encoder.tokens_per_batch())
    }

    /// Keeps at most so many bytes of passages that were read.
    pub(super) fn remember_passages(&mut self, num_bytes: usize) {
        self.passages = Passages::new(num_bytes);
    }

    /// One score for each pair; all are of one question, which is read once.
    pub(super) fn scores(&self, pairs: &[&Pair], cancel: &Cancel) -> Result<Vec<f32>> {
        let Some(first) = pairs.first() else {
            return Ok(Vec::new());
        };
        let question = &first.ids[..first.passage];
        let asked = self.last().clone().filter(|last| last.ids == question);
        let passages = pairs.iter().map(|pair| &pair.ids[pair.passage..]);
        let passages: Vec<(&[u32], Option<Arc<States>>)> =
            passages.map(|ids| (ids, self.passages.get(ids))).collect();
        let new = passages.iter().filter(|(_, known)| known.is_none());
        let unread: Vec<&[u32]> = (asked.is_none().then_some(question).into_iter())
            .chain(new.map(|(ids, _)| *ids))
            .collect();
        self.pool.install(|| {
            let mut read = match unread[..] {
                [] => Vec::new(),
                _ => self.encoder.states(&unread, cancel)?,
            }
            .into_iter();
            let mut next = || read.next().unwrap_or_default();
            let asked = asked.unwrap_or_else(|| self.remember(question, &next()));
            let passages: Vec<_> = passages
                .into_iter()
                .map(|(ids, known)| (ids, known.ok_or_else(&mut next)))
                .collect();
            Ok(passages
                .into_par_iter()
                .map(|(ids, states)| {
                    let states = states.unwrap_or_else(|floats| self.keep(ids, &floats));
                    self.head.score(&asked.question, &mut states.floats())
                })
                .collect())
        })
    }

    /// The states of the windows of passages, `[tokens, width]` each.
    pub(super) fn read(
        &self,
        windows: &[&[u32]],
        effort: Effort,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>> {
        let mut read = Vec::with_capacity(windows.len());
        let pool = match effort {
            Effort::Full => &self.pool,
            Effort::OneCore => self.one_core()?,
        };
        let mut left = windows;
        while !left.is_empty() {
            cancel.check()?;
            let (batch, rest) = left.split_at(WINDOWS_PER_BATCH.min(left.len()));
            read.extend(pool.install(|| self.encoder.states(batch, cancel))?);
            left = rest;
        }
        Ok(read)
    }

    /// A question's token states, special tokens among them, and what each of the others
    /// counts.
    pub(super) fn question(&self, ids: &[u32], cancel: &Cancel) -> Result<(Vec<f32>, Vec<f32>)> {
        let states = self
            .pool
            .install(|| self.encoder.states(&[ids], cancel))?
            .concat();
        let question = self.head.question(ids, &states);
        Ok((states, question.weights))
    }

    /// The question of these tokens, read unless it was the last one.
    pub(super) fn ask(&self, ids: &[u32], cancel: &Cancel) -> Result<Arc<Asked>> {
        let asked = self.last().clone().filter(|last| last.ids == ids);
        match asked {
            Some(asked) => Ok(asked),
            None => {
                let read = self.pool.install(|| self.encoder.states(&[ids], cancel))?;
                Ok(self.remember(ids, &read.concat()))
            }
        }
    }

    fn one_core(&self) -> Result<&ThreadPool> {
        if let Some(pool) = self.one_core.get() {
            return Ok(pool);
        }
        let pool = threads::pool(1, "rerank-ahead", "re-ranker")?;
        Ok(self.one_core.get_or_init(|| pool))
    }

    fn keep(&self, ids: &[u32], floats: &[f32]) -> Arc<States> {
        let states = Arc::new(States::round(floats, self.head.width()));
        self.passages.put(ids, &states);
        states
    }

    fn remember(&self, ids: &[u32], states: &[f32]) -> Arc<Asked> {
        let asked = Arc::new(Asked {
            ids: ids.to_vec(),
            question: self.head.question(ids, states),
        });
        *self.last() = Some(Arc::clone(&asked));
        asked
    }

    fn last(&self) -> MutexGuard<'_, Option<Arc<Asked>>> {
        self.last
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
