//! The forward pass of BERT (Devlin et al., 2018) on our own kernels.
//!
//! The tokens of all sequences lie one after the other, without padding, so
//! every linear layer is one product over all of them, and only attention
//! looks at sequences. Work is split over the threads of the rayon pool that
//! the caller is in: over columns where there are few tokens, over rows where
//! there are many.

use std::sync::Mutex;

use rayon::prelude::*;

use super::attention::Head;
use super::gemm::{Finish, Packed, Product, even_parts};
use super::rows::{AddNorm, Norm, SumRows};
use super::simd::Level;
use super::weights::{Table, Weights};
use super::{Config, Encoder, Pooling};
use crate::{Cancel, Result};

/// Tokens of one batch: enough to amortise the reading of the weights, few
/// enough for the activations to stay in the last-level cache.
const TOKENS_PER_BATCH: usize = 512;

/// Most rows of a product that are one task.
const ROWS_PER_TASK: usize = 96;

/// Multiply-adds that are worth a task of their own.
const LEAST_TASK: usize = 1 << 19;

struct Linear {
    weights: Packed,
    bias: Vec<f32>,
}

struct Layer {
    queries_keys_values: Linear,
    mix: Linear,
    mix_norm: Norm,
    up: Linear,
    down: Linear,
    down_norm: Norm,
}

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
    pub(crate) fn open(weights: &Weights, config: &Config, pooling: Pooling) -> Result<Self> {
        Self::with_level(weights, config, pooling, Level::best())
    }

    pub(crate) fn with_level(
        weights: &Weights,
        config: &Config,
        pooling: Pooling,
        level: Level,
    ) -> Result<Self> {
        let hidden = config.hidden_size;
        let table = |name: &str, rows| {
            weights.table(
                &format!("embeddings.{name}_embeddings.weight"),
                &[rows, hidden],
            )
        };
        let positions = table("position", config.max_position_embeddings)?;
        let types = table("token_type", config.type_vocab_size)?;
        let add_type = |row: &[f32]| -> Vec<f32> {
            row.iter()
                .zip(types.floats())
                .map(|(position, kind)| position + kind)
                .collect()
        };
        Ok(Self {
            level,
            pooling,
            heads: config.num_attention_heads,
            hidden,
            intermediate: config.intermediate_size,
            words: table("word", config.vocab_size)?,
            positions: positions
                .floats()
                .chunks_exact(hidden)
                .flat_map(add_type)
                .collect(),
            norm: norm(weights, config, "embeddings")?,
            layers: (0..config.num_hidden_layers)
                .into_par_iter()
                .map(|at| Layer::open(weights, config, level, &format!("encoder.layer.{at}")))
                .collect::<Result<_>>()?,
            spare: Mutex::default(),
        })
    }

    /// `rows` of `left` times `linear`.
    fn product(
        &self,
        left: &[f32],
        rows: usize,
        linear: &Packed,
        finish: Finish<'_>,
        out: &mut [f32],
    ) {
        let columns = linear.columns();
        assert!(out.len() >= rows * columns);
        let work = left.len() * columns;
        let row_parts = rows.div_ceil(ROWS_PER_TASK).max(1);
        // Twice the threads, so that a slow one can be helped.
        let tasks = (2 * rayon::current_num_threads())
            .min(work / LEAST_TASK)
            .max(1);
        let panel_parts = tasks.div_ceil(row_parts).min(linear.panels());
        let parts: Vec<_> = even_parts(rows, ROWS_PER_TASK)
            .flat_map(|rows| {
                even_parts(linear.panels(), linear.panels().div_ceil(panel_parts))
                    .map(move |panels| (rows.clone(), panels))
            })
            .collect();
        let depth = left.len() / rows.max(1);
        let out = Shared(out.as_mut_ptr());
        for_each(parts, |(rows, panels)| {
            let product = Product {
                left: &left[rows.start * depth..],
                rows: rows.len(),
                right: linear,
                panels,
                finish,
                // SAFETY: row `rows.start` is inside `out`, see the assertion above.
                #[allow(unsafe_code)]
                out: unsafe { out.at(rows.start * columns) },
                out_stride: columns,
            };
            // SAFETY: the parts cover disjoint rectangles of `out`.
            #[allow(unsafe_code)]
            unsafe {
                product.run(self.level);
            }
        });
    }

    /// `rows = norm(rows + residual + bias)`.
    fn add_norm(&self, rows: &mut [f32], residual: &[f32], bias: &[f32], norm: &Norm) {
        let part = ROWS_PER_TASK * self.hidden;
        let parts: Vec<_> = rows.chunks_mut(part).zip(residual.chunks(part)).collect();
        for_each(parts, |(rows, residual)| {
            self.level.run(AddNorm {
                rows,
                residual,
                bias: Some(bias),
                norm,
            });
        });
    }

    /// Every head of every sequence; `starts` are their first tokens, and the
    /// number of all tokens at the end.
    fn attend(&self, projected: &[f32], starts: &[usize], out: &mut [f32]) {
        let hidden = self.hidden;
        assert!(out.len() >= starts.last().map_or(0, |tokens| tokens * hidden));
        let heads: Vec<_> = starts
            .windows(2)
            .flat_map(|ends| (0..self.heads).map(move |head| (ends[0]..ends[1], head)))
            .collect();
        let out = Shared(out.as_mut_ptr());
        let longest = starts
            .windows(2)
            .map(|ends| ends[1] - ends[0])
            .max()
            .unwrap_or(0);
        let together = LEAST_TASK / (longest * longest * hidden / self.heads).max(1);
        heads
            .into_par_iter()
            .with_min_len(together.max(1))
            .for_each(|(tokens, head)| {
                let head = Head {
                    projected: &projected[3 * hidden * tokens.start..3 * hidden * tokens.end],
                    tokens: tokens.len(),
                    hidden,
                    head,
                    size: hidden / self.heads,
                    // SAFETY: row `tokens.start` is inside `out`, see the assertion above.
                    #[allow(unsafe_code)]
                    out: unsafe { out.at(tokens.start * hidden) },
                };
                // SAFETY: each head of each sequence has columns and rows of its own.
                #[allow(unsafe_code)]
                unsafe {
                    head.run(self.level);
                }
            });
    }

    fn embed(&self, batch: &[&[u32]], rows: &mut [f32]) {
        let hidden = self.hidden;
        let words = self.words.floats();
        let tokens = batch.iter().flat_map(|ids| ids.iter().enumerate());
        for (row, (position, &id)) in rows.chunks_exact_mut(hidden).zip(tokens) {
            row.copy_from_slice(&words[id as usize * hidden..][..hidden]);
            let residual = &self.positions[position * hidden..][..hidden];
            self.level.run(AddNorm {
                rows: row,
                residual,
                bias: None,
                norm: &self.norm,
            });
        }
    }

    fn layers(
        &self,
        starts: &[usize],
        activations: &mut Activations,
        cancel: &Cancel,
    ) -> Result<()> {
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
            self.product(rows, tokens, weights, Finish::Bias(bias), projected);
            self.attend(projected, starts, attended);
            self.product(attended, tokens, &layer.mix.weights, Finish::Plain, mixed);
            self.add_norm(mixed, rows, &layer.mix.bias, &layer.mix_norm);
            let Linear { weights, bias } = &layer.up;
            self.product(mixed, tokens, weights, Finish::BiasGelu(bias), middle);
            self.product(middle, tokens, &layer.down.weights, Finish::Plain, rows);
            self.add_norm(rows, mixed, &layer.down.bias, &layer.down_norm);
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

impl Encoder for BertEncoder {
    fn tokens_per_batch(&self) -> usize {
        TOKENS_PER_BATCH
    }

    fn forward(&self, batch: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
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
        let row = |ends: &[usize]| {
            self.pool(&activations.rows[ends[0] * self.hidden..ends[1] * self.hidden])
        };
        let pooled = done.map(|()| starts.windows(2).map(row).collect());
        spare().push(activations);
        pooled
    }
}

impl Layer {
    fn open(weights: &Weights, config: &Config, level: Level, name: &str) -> Result<Self> {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let linear = |part: &str, depth, columns| {
            Linear::open(
                weights,
                level,
                &[(&format!("{name}.{part}.dense"), 1.0)],
                depth,
                columns,
            )
        };
        // Softmax takes powers of two of scores that are divided by √size.
        let head_size = (hidden / config.num_attention_heads) as f64;
        let scale = (std::f64::consts::LOG2_E / head_size.sqrt()) as f32;
        let [query, key, value] =
            ["query", "key", "value"].map(|part| format!("{name}.attention.self.{part}"));
        let projections = [(query.as_str(), scale), (&key, 1.0), (&value, 1.0)];
        Ok(Self {
            queries_keys_values: Linear::open(weights, level, &projections, hidden, hidden)?,
            mix: linear("attention.output", hidden, hidden)?,
            mix_norm: norm(weights, config, &format!("{name}.attention.output"))?,
            up: linear("intermediate", hidden, intermediate)?,
            down: linear("output", intermediate, hidden)?,
            down_norm: norm(weights, config, &format!("{name}.output"))?,
        })
    }
}

impl Linear {
    /// The layers `parts` side by side, each from `depth` to `columns` floats
    /// and times its factor.
    fn open(
        weights: &Weights,
        level: Level,
        parts: &[(&str, f32)],
        depth: usize,
        columns: usize,
    ) -> Result<Self> {
        let mut matrices = Vec::new();
        let mut bias = Vec::new();
        for &(name, factor) in parts {
            matrices.push((
                weights.get(&format!("{name}.weight"), &[columns, depth])?,
                factor,
            ));
            let part = weights.get(&format!("{name}.bias"), &[columns])?;
            bias.extend(part.iter().map(|x| x * factor));
        }
        // Stored as [columns, depth].
        let entry = |k: usize, column: usize| {
            let (matrix, factor) = &matrices[column / columns];
            matrix[column % columns * depth + k] * factor
        };
        let weights = Packed::new(level, depth, columns * parts.len(), entry);
        Ok(Self { weights, bias })
    }
}

fn norm(weights: &Weights, config: &Config, name: &str) -> Result<Norm> {
    let part = |part: &str| weights.get(&format!("{name}.LayerNorm.{part}"), &[config.hidden_size]);
    Ok(Norm {
        gain: part("weight")?.into_owned(),
        shift: part("bias")?.into_owned(),
        epsilon: config.layer_norm_eps as f32,
    })
}

/// The first `count` floats of `buffer`, which grows when it must; what they
/// are does not matter.
fn room(buffer: &mut Vec<f32>, count: usize) -> &mut [f32] {
    if buffer.len() < count {
        buffer.resize(count, 0.0);
    }
    &mut buffer[..count]
}

/// Runs `task` on all `parts`, on the threads of the pool when there are several.
fn for_each<T: Send>(parts: Vec<T>, task: impl Fn(T) + Send + Sync) {
    if parts.len() == 1 {
        parts.into_iter().for_each(task);
    } else {
        parts.into_par_iter().for_each(task);
    }
}

/// A pointer into a buffer whose parts are written by several threads.
struct Shared(*mut f32);

// SAFETY: tasks write disjoint parts, each at the place where it uses the pointer.
#[allow(unsafe_code)]
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    /// `offset` must not be beyond the end of the buffer.
    #[allow(unsafe_code)]
    unsafe fn at(&self, offset: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(offset) }
    }
}
