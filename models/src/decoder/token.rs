//! Writing: one token through all layers, or a few that may come next.
//!
//! Each step is a product of a vector with a matrix, on all threads; what lies between
//! is done by the thread that calls. Weights are read once for all tokens, which is
//! what a token costs; each token's arithmetic is its own, so that its logits do not
//! depend on how many are taken at once.

use std::ops::Range;

use super::cache::Cache;
use super::matrix::{Matrix, Part, count_parts, part};
use super::{Layer, Model, prompt};
use crate::kernels::causal::One;
use crate::kernels::lanes::SwiGlu;
use crate::kernels::quant::{Activation, Rows};
use crate::kernels::team::Parts;
use crate::{Cancel, Result};

/// Parts of a product for each thread, so that a slow one can be helped.
const PARTS_PER_THREAD: usize = 4;

/// Multiply-adds that are worth a part of their own.
const LEAST_PART: usize = 1 << 15;

/// Rows that all tokens are multiplied with before the next ones are read: few enough
/// to stay in the first-level cache.
const ROWS_AT_ONCE: usize = 8;

/// Activations of a few tokens in a row.
#[derive(Default)]
pub(super) struct Buffers {
    lanes: Vec<Lane>,
    /// Tokens that were taken last.
    count: usize,
}

/// Activations of one token.
#[derive(Default)]
struct Lane {
    x: Vec<f32>,
    normed: Vec<f32>,
    rounded: Activation,
    /// Queries, keys and values.
    projected: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    up: Vec<f32>,
    added: Vec<f32>,
}

impl Buffers {
    /// Takes `tokens`, the first of which is at `position`, through all layers, and
    /// appends their keys and values to `caches`.
    pub(super) fn append(
        &mut self,
        model: &Model,
        caches: &mut [Cache],
        tokens: &[u32],
        position: usize,
        cancel: &Cancel,
    ) -> Result<()> {
        let lanes = self.lanes(tokens.len());
        for (lane, &token) in lanes.iter_mut().zip(tokens) {
            lane.resize(model);
            let row = token as usize;
            model.embedding.unpack_row(row, model.level, &mut lane.x);
        }
        for (layer, cache) in model.layers.iter().zip(caches) {
            cancel.check()?;
            cache.reserve(position + tokens.len(), position);
            lanes
                .iter_mut()
                .for_each(|lane| lane.norm(model, &layer.attention_norm));
            let matrices = [&layer.query, &layer.key, &layer.value];
            let out = outs(lanes, |lane| &mut lane.projected);
            product(model, &matrices, lanes, &out);
            for (lane, position) in lanes.iter_mut().zip(position..) {
                lane.turn_and_cache(model, layer, cache, position);
                lane.attention(model, cache, position);
                lane.rounded.set(&lane.attended);
            }
            let out = outs(lanes, |lane| &mut lane.added);
            product(model, &[&layer.output], lanes, &out);
            for lane in &mut *lanes {
                lane.add();
                lane.norm(model, &layer.feed_forward_norm);
            }
            gated(model, layer, lanes);
            for lane in &mut *lanes {
                lane.rounded.set(&lane.middle);
            }
            product(model, &[&layer.down], lanes, &out);
            lanes.iter_mut().for_each(Lane::add);
        }
        Ok(())
    }

    /// Takes the last token of a pass over a prompt.
    pub(super) fn take_last(&mut self, model: &Model, pass: &prompt::Buffers) {
        for lane in self.lanes(1) {
            pass.last(model, &mut lane.x);
        }
    }

    /// The logits after each of the tokens that were taken last, `[tokens, vocabulary]`.
    pub(super) fn head(&mut self, model: &Model, logits: &mut Vec<f32>) {
        let (count, vocabulary) = (self.count, model.head.rows);
        logits.resize(count * vocabulary, 0.0);
        let lanes = self.lanes(count);
        lanes
            .iter_mut()
            .for_each(|lane| lane.norm(model, &model.norm));
        let rows = logits.chunks_exact_mut(vocabulary);
        let out: Vec<_> = rows.map(Parts::new).collect();
        product(model, &[&model.head], lanes, &out);
    }

    fn lanes(&mut self, count: usize) -> &mut [Lane] {
        self.count = count;
        if self.lanes.len() < count {
            self.lanes.resize_with(count, Lane::default);
        }
        &mut self.lanes[..count]
    }
}

/// Where the results of a product go, one buffer for each lane.
fn outs(lanes: &mut [Lane], out: impl Fn(&mut Lane) -> &mut Vec<f32>) -> Vec<Parts<f32>> {
    lanes.iter_mut().map(|lane| Parts::new(out(lane))).collect()
}

impl Lane {
    fn resize(&mut self, model: &Model) {
        self.x.resize(model.hidden, 0.0);
        self.projected.resize(model.projected(), 0.0);
        self.attended.resize(model.heads * model.width, 0.0);
        self.added.resize(model.hidden, 0.0);
    }

    /// Root mean square normalisation, rounded for a product.
    fn norm(&mut self, model: &Model, weight: &[f32]) {
        // In sixteen sums, so that they become vector instructions.
        let mut squares = [0.0_f32; 16];
        let (chunks, rest) = self.x.as_chunks::<16>();
        for chunk in chunks {
            for (square, x) in squares.iter_mut().zip(chunk) {
                *square += x * x;
            }
        }
        let rest: f32 = rest.iter().map(|x| x * x).sum();
        let mean = (squares.iter().sum::<f32>() + rest) / self.x.len() as f32;
        let factor = 1.0 / (mean + model.epsilon).sqrt();
        self.normed.clear();
        let scaled = self.x.iter().zip(weight).map(|(x, w)| x * factor * w);
        self.normed.extend(scaled);
        self.rounded.set(&self.normed);
    }

    fn add(&mut self) {
        for (x, added) in self.x.iter_mut().zip(&self.added) {
            *x += added;
        }
    }

    fn turn_and_cache(&mut self, model: &Model, layer: &Layer, cache: &mut Cache, position: usize) {
        for (x, bias) in self.projected.iter_mut().zip(&layer.bias) {
            *x += bias;
        }
        let turned = model.heads + model.key_value_heads;
        for (head, floats) in self.projected.chunks_exact_mut(model.width).enumerate() {
            if head < model.heads {
                model.rope.turn(floats, position, model.query_factor());
            } else if head < turned {
                model.rope.turn(floats, position, 1.0);
                let at = cache.key_at(head - model.heads, position);
                cache.keys[at..at + model.width].copy_from_slice(floats);
            } else {
                for (feature, &float) in floats.iter().enumerate() {
                    let at = cache.value_at(head - turned, feature, position);
                    cache.values[at] = float;
                }
            }
        }
    }

    fn attention(&mut self, model: &Model, cache: &Cache, position: usize) {
        let width = model.width;
        let group = model.heads / model.key_value_heads;
        let out = Parts::new(&mut self.attended);
        let queries = &self.projected;
        let attend = |head: usize| {
            let one = One {
                query: &queries[head * width..][..width],
                cached: cache.head(head / group),
                tokens: position + 1,
                // SAFETY: every call has a head of its own.
                #[allow(unsafe_code)]
                out: unsafe { out.part(head * width..(head + 1) * width) },
            };
            one.run(model.level);
        };
        if model.heads * width * position < LEAST_PART {
            (0..model.heads).for_each(attend);
        } else {
            model.team.run(model.heads, attend);
        }
    }
}

/// The gated unit of all lanes.
fn gated(model: &Model, layer: &Layer, lanes: &mut [Lane]) {
    let Layer { gate, up, .. } = layer;
    for lane in &mut *lanes {
        lane.middle.resize(gate.rows, 0.0);
        lane.up.resize(gate.rows, 0.0);
    }
    let middles = outs(lanes, |lane| &mut lane.middle);
    let ups = outs(lanes, |lane| &mut lane.up);
    let lanes = &*lanes;
    let most = part_rows(model, gate.rows, 2 * gate.depth);
    model.team.run(count_parts(&[gate], most), |at| {
        let rows = part(&[gate], most, at).rows;
        multiply(model, gate, rows.clone(), lanes, &middles, rows.start);
        multiply(model, up, rows.clone(), lanes, &ups, rows.start);
        for (middle, up) in middles.iter().zip(&ups) {
            // SAFETY: every task has rows of its own.
            #[allow(unsafe_code)]
            let (gate, up) = unsafe { (middle.part(rows.clone()), up.part(rows.clone())) };
            model.level.run(SwiGlu { gate, up });
        }
    });
}

/// Rows of one part of a product with `rows` rows of `depth` weights.
fn part_rows(model: &Model, rows: usize, depth: usize) -> usize {
    let parts = (rows * depth / LEAST_PART).clamp(1, PARTS_PER_THREAD * model.team.threads());
    rows.div_ceil(parts)
}

/// The rows of all `matrices`, one after the other, times what each lane has rounded.
fn product(model: &Model, matrices: &[&Matrix], lanes: &[Lane], outs: &[Parts<f32>]) {
    let rows: usize = matrices.iter().map(|matrix| matrix.rows).sum();
    assert!(outs.iter().all(|out| out.len() == rows));
    let most = part_rows(model, rows, matrices[0].depth);
    model.team.run(count_parts(matrices, most), |at| {
        let Part { matrix, rows, at } = part(matrices, most, at);
        multiply(model, matrix, rows, lanes, outs, at);
    });
}

/// Some rows of a matrix times what each lane has rounded; the first result goes to `at`.
fn multiply(
    model: &Model,
    matrix: &Matrix,
    rows: Range<usize>,
    lanes: &[Lane],
    outs: &[Parts<f32>],
    at: usize,
) {
    let step = match lanes {
        [_] => rows.len(),
        _ => ROWS_AT_ONCE,
    };
    for first in rows.clone().step_by(step.max(1)) {
        let few = first..rows.end.min(first + step);
        let start = at + first - rows.start;
        for (lane, out) in lanes.iter().zip(outs) {
            let rows = Rows {
                layout: matrix.layout,
                weights: matrix.rows(few.clone()),
                depth: matrix.depth,
                x: &lane.rounded,
                // SAFETY: every task has rows of its own.
                #[allow(unsafe_code)]
                out: unsafe { out.part(start..start + few.len()) },
            };
            rows.run(model.level, model.ints);
        }
    }
}
