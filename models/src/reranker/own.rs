//! The built-in cross-encoder: the encoder's forward pass over packed pairs without
//! padding on our own kernels, or over padded ones on a device of candle's; and the
//! model's own head, on the CPU.
//!
//! The same weights run through ONNX Runtime in [`super::session`]; a test holds
//! all to the same scores. Here a pair's score does not depend on the pairs
//! beside it.

use candle_core::Device;
use rayon::ThreadPool;

use super::builtin;
use super::graph::Graph;
use super::pairs::Pair;
use crate::encoder::{Activation, BertEncoder, CandleEncoder, Config, Pooling};
use crate::kernels::simd::Level;
use crate::{Cancel, Error, ErrorKind, Precision, Result};

/// The encoder, and a head that compares its two halves.
pub(super) struct OwnSession {
    encoder: Computes,
    hidden: usize,
    /// Times the cosine of the means over the query's and the passage's tokens.
    scale: f32,
    /// Times the first token's row.
    linear: Vec<f32>,
    bias: f32,
    pool: ThreadPool,
}

/// What computes the states of a pair.
enum Computes {
    Kernels(BertEncoder),
    Candle(CandleEncoder),
}

impl OwnSession {
    /// The arithmetic for this machine: the weights are bytes already, and where
    /// the processor multiplies those, nothing is gained by floats.
    pub(super) fn precision() -> Precision {
        match Level::best().multiplies_bytes() {
            true => Precision::Int8,
            false => Precision::F32,
        }
    }

    /// The built-in model on our own kernels; `threads` work on one call, 0 takes
    /// all cores.
    pub(super) fn builtin(threads: usize, precision: Precision) -> Result<Self> {
        Self::open(threads, |graph, config| {
            BertEncoder::open(graph, config, Pooling::First, precision).map(Computes::Kernels)
        })
    }

    /// The same in f32 on candle's operations.
    pub(super) fn on_device(threads: usize, device: &Device) -> Result<Self> {
        Self::open(threads, |graph, config| {
            CandleEncoder::open(graph, config, Pooling::First, device).map(Computes::Candle)
        })
    }

    fn open(
        threads: usize,
        encoder: impl FnOnce(&Graph, &Config) -> Result<Computes> + Send,
    ) -> Result<Self> {
        let config = Config {
            vocab_size: 30_522,
            hidden_size: 384,
            num_hidden_layers: 6,
            num_attention_heads: 12,
            intermediate_size: 1536,
            hidden_act: Activation::Gelu,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            position_embedding_type: "absolute".to_owned(),
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|at| format!("rerank-{at}"))
            .build()
            .map_err(|cause| {
                let message = "the re-ranker's threads cannot be started";
                Error::new(ErrorKind::Machine, message).because(cause)
            })?;
        let graph = Graph::read(builtin::MODEL, "b.");
        let one = |name: &str| {
            let floats = graph.floats(name)?;
            floats.first().copied().ok_or_else(|| {
                let message = format!("the built-in model's `{name}` is empty");
                Error::new(ErrorKind::Corrupt, message)
            })
        };
        Ok(Self {
            encoder: pool.install(|| encoder(&graph, &config))?,
            hidden: config.hidden_size,
            scale: one("scale")?,
            linear: graph.transposed("h.weight", config.hidden_size, 1)?,
            bias: one("h.bias")?,
            pool,
        })
    }

    /// One score for each pair.
    pub(super) fn scores(&self, pairs: &[&Pair], cancel: &Cancel) -> Result<Vec<f32>> {
        let ids: Vec<&[u32]> = pairs.iter().map(|pair| pair.ids.as_slice()).collect();
        let seconds: Vec<usize> = pairs.iter().map(|pair| pair.passage).collect();
        let score = |at: usize, rows: &[f32]| self.score(rows, seconds[at]);
        self.pool.install(|| match &self.encoder {
            Computes::Kernels(encoder) => encoder.states(&ids, Some(&seconds), cancel, score),
            Computes::Candle(encoder) => encoder.states(&ids, Some(&seconds), cancel, score),
        })
    }

    /// `rows` are the states of a pair, the first `passage` of them the query's.
    fn score(&self, rows: &[f32], passage: usize) -> f32 {
        let (query, passage) = rows.split_at(passage * self.hidden);
        let (query, passage) = (self.sum(query), self.sum(passage));
        let lengths = dot(&query, &query).sqrt() * dot(&passage, &passage).sqrt();
        // The means' cosine is that of the sums.
        let cosine = dot(&query, &passage) / lengths.max(1e-6);
        self.scale * cosine + dot(&rows[..self.hidden], &self.linear) + self.bias
    }

    fn sum(&self, rows: &[f32]) -> Vec<f32> {
        let mut sum = vec![0.0; self.hidden];
        for row in rows.chunks_exact(self.hidden) {
            for (sum, x) in sum.iter_mut().zip(row) {
                *sum += x;
            }
        }
        sum
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
