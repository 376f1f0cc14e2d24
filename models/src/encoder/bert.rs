//! The forward pass of BERT (Devlin et al., 2018) on our own kernels.
//!
//! The tokens of all sequences lie one after the other, without padding, so
//! every linear layer is one product over all of them, and only attention
//! looks at sequences.

use std::sync::Mutex;

use rayon::prelude::*;

use super::layer::{Layer, Linear};
use super::{Config, Encoder, Pooling, Precision, Table, Tensors};
use crate::kernels::gemm::Finish;
use crate::kernels::parallel;
use crate::kernels::rows::{AddNorm, Norm, SumRows};
use crate::kernels::simd::Level;
use crate::{Cancel, Result};

/// Tokens of one batch: enough to amortise the reading of the weights, few
/// enough for the activations to stay in the last-level cache.
const TOKENS_PER_BATCH: usize = 512;

/// A BERT encoder with GELU.
pub(crate) struct BertEncoder {
    level: Level,
    pooling: Pooling,
    heads: usize,
    hidden: usize,
    intermediate: usize,
    words: Table,
    // The embedding of each position plus that of the first token type.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    // Buffers of finished passes, for the next ones.
    spare: Mutex<Vec<Activations>>,
}

#[derive(Default)]
struct Activations {
    rows: Vec<f32>,
    projected: Vec<f32>,
    attended: Vec<f32>,
    mixed: Vec<f32>,
    middle: Vec<f32>,
}

impl BertEncoder {
    /// Packs the weights for the fastest instructions of this machine.
    pub(crate) fn open(
        weights: &dyn Tensors,
        config: &Config,
        pooling: Pooling,
        precision: Precision,
    ) -> Result<Self> {
        Self::with_level(weights, config, pooling, precision, Level::best())
    }

    pub(crate) fn with_level(
        weights: &dyn Tensors,
        config: &Config,
        pooling: Pooling,
        precision: Precision,
        level: Level,
    ) -> Result<Self> {
        let hidden = config.hidden_size;
        let name = |kind: &str| format!("embeddings.{kind}_embeddings.weight");
        let rows = config.max_position_embeddings;
        let mut positions = weights
            .get(&name("position"), &[rows, hidden])?
            .into_owned();
        let types = weights.get(&name("token_type"), &[config.type_vocab_size, hidden])?;
        for row in positions.chunks_exact_mut(hidden) {
            for (position, first) in row.iter_mut().zip(types.iter()) {
                *position += first;
            }
        }
        Ok(Self {
            level,
            pooling,
            heads: config.num_attention_heads,
            hidden,
            intermediate: config.intermediate_size,
            words: weights.table(&name("word"), &[config.vocab_size, hidden])?,
            positions,
            norm: Norm::open(weights, config, "embeddings")?,
            layers: (0..config.num_hidden_layers)
                .into_par_iter()
                .map(|at| {
                    let name = format!("encoder.layer.{at}");
                    Layer::open(weights, config, level, precision, &name)
                })
                .collect::<Result<_>>()?,
            spare: Mutex::default(),
        })
    }

    fn embed(&self, batch: &[&[u32]], rows: &mut [f32]) {
        let hidden = self.hidden;
        let mut rows = rows.chunks_exact_mut(hidden);
        for ids in batch {
            for ((position, &id), row) in ids.iter().enumerate().zip(&mut rows) {
                self.words.row(id as usize, row);
                self.level.run(AddNorm {
                    rows: row,
                    residual: &self.positions[position * hidden..][..hidden],
                    bias: None,
                    norm: &self.norm,
                });
            }
        }
    }

    fn layers(
        &self,
        starts: &[usize],
        activations: &mut Activations,
        cancel: &Cancel,
    ) -> Result<()> {
        let level = self.level;
        let tokens = starts.last().copied().unwrap_or(0);
        let Activations {
            rows,
            projected,
            attended,
            mixed,
            middle,
        } = activations;
        let rows = &mut rows[..tokens * self.hidden];
        let projected = room(projected, tokens * 3 * self.hidden);
        let attended = room(attended, tokens * self.hidden);
        let mixed = room(mixed, tokens * self.hidden);
        let middle = room(middle, tokens * self.intermediate);
        for layer in &self.layers {
            cancel.check()?;
            let Linear { weights, bias } = &layer.queries_keys_values;
            parallel::product(level, rows, weights, Finish::Bias(bias), projected);
            parallel::attention(level, projected, starts, self.hidden, self.heads, attended);
            parallel::product(level, attended, &layer.mix.weights, Finish::Plain, mixed);
            parallel::add_norm(level, mixed, rows, &layer.mix.bias, &layer.mix_norm);
            let Linear { weights, bias } = &layer.up;
            parallel::product(level, mixed, weights, Finish::BiasGelu(bias), middle);
            parallel::product(level, middle, &layer.down.weights, Finish::Plain, rows);
            parallel::add_norm(level, rows, mixed, &layer.down.bias, &layer.down_norm);
        }
        Ok(())
    }

    fn pool(&self, rows: &[f32]) -> Vec<f32> {
        match self.pooling {
            Pooling::First => rows[..self.hidden].to_vec(),
            Pooling::Mean => {
                let mut sum = self.level.run(SumRows {
                    rows,
                    width: self.hidden,
                });
                let count = (rows.len() / self.hidden) as f32;
                sum.iter_mut().for_each(|x| *x /= count);
                sum
            }
        }
    }
}

impl BertEncoder {
    /// What `read` makes of the last layer's rows of each sequence.
    fn read(
        &self,
        batch: &[&[u32]],
        cancel: &Cancel,
        read: impl Fn(&[f32]) -> Vec<f32>,
    ) -> Result<Vec<Vec<f32>>> {
        let mut starts = vec![0];
        for ids in batch {
            starts.push(starts[starts.len() - 1] + ids.len());
        }
        let spare = || {
            self.spare
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        };
        let mut activations = spare().pop().unwrap_or_default();
        let rows = room(&mut activations.rows, starts[batch.len()] * self.hidden);
        self.embed(batch, rows);
        let done = self.layers(&starts, &mut activations, cancel);
        let row =
            |ends: &[usize]| read(&activations.rows[ends[0] * self.hidden..ends[1] * self.hidden]);
        let rows = done.map(|()| starts.windows(2).map(row).collect());
        spare().push(activations);
        rows
    }
}

impl Encoder for BertEncoder {
    fn tokens_per_batch(&self) -> usize {
        TOKENS_PER_BATCH
    }

    fn forward(&self, batch: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        self.read(batch, cancel, |rows| self.pool(rows))
    }

    fn states(&self, batch: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        self.read(batch, cancel, <[f32]>::to_vec)
    }
}

/// The first `count` floats of `buffer`, which grows when it must; what they
/// are does not matter.
fn room(buffer: &mut Vec<f32>, count: usize) -> &mut [f32] {
    if buffer.len() < count {
        buffer.resize(count, 0.0);
    }
    &mut buffer[..count]
}
