//! Writing: one token through all layers.
//!
//! Each step is a product of one vector with a matrix, on all threads; what lies
//! between is done by the thread that calls. Nothing is allocated.

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

/// Activations of one token.
#[derive(Default)]
pub(super) struct Buffers {
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
    /// Takes `token` at `position` through all layers, and appends its keys and
    /// values to `caches`.
    pub(super) fn append(
        &mut self,
        model: &Model,
        caches: &mut [Cache],
        token: u32,
        position: usize,
        cancel: &Cancel,
    ) -> Result<()> {
        self.x.resize(model.hidden, 0.0);
        self.projected.resize(model.projected(), 0.0);
        self.attended.resize(model.heads * model.width, 0.0);
        self.added.resize(model.hidden, 0.0);
        model
            .embedding
            .unpack_row(token as usize, model.level, &mut self.x);
        for (layer, cache) in model.layers.iter().zip(caches) {
            cancel.check()?;
            self.norm(model, &layer.attention_norm);
            let matrices = [&layer.query, &layer.key, &layer.value];
            product(model, &matrices, &self.rounded, &mut self.projected);
            self.turn_and_cache(model, layer, cache, position);
            self.attention(model, cache, position);
            self.rounded.set(&self.attended);
            product(model, &[&layer.output], &self.rounded, &mut self.added);
            self.add();
            self.norm(model, &layer.feed_forward_norm);
            self.gated(model, layer);
            self.rounded.set(&self.middle);
            product(model, &[&layer.down], &self.rounded, &mut self.added);
            self.add();
        }
        Ok(())
    }

    /// Takes the last token of a pass over a prompt.
    pub(super) fn take_last(&mut self, model: &Model, pass: &prompt::Buffers) {
        pass.last(model, &mut self.x);
    }

    /// The logits after the token that was taken last.
    pub(super) fn head(&mut self, model: &Model, logits: &mut [f32]) {
        self.norm(model, &model.norm);
        product(model, &[&model.head], &self.rounded, logits);
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
        cache.reserve(position + 1, position);
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

    fn gated(&mut self, model: &Model, layer: &Layer) {
        let Layer { gate, up, .. } = layer;
        self.middle.resize(gate.rows, 0.0);
        self.up.resize(gate.rows, 0.0);
        let rounded = &self.rounded;
        let (middle, ups) = (Parts::new(&mut self.middle), Parts::new(&mut self.up));
        let most = part_rows(model, gate.rows, 2 * gate.depth);
        model.team.run(count_parts(&[gate], most), |at| {
            let rows = part(&[gate], most, at).rows;
            // SAFETY: every task has rows of its own.
            #[allow(unsafe_code)]
            let (middle, ups) = unsafe { (middle.part(rows.clone()), ups.part(rows.clone())) };
            multiply(model, gate, rows.clone(), rounded, middle);
            multiply(model, up, rows, rounded, ups);
            model.level.run(SwiGlu {
                gate: middle,
                up: ups,
            });
        });
    }
}

/// Rows of one part of a product with `rows` rows of `depth` weights.
fn part_rows(model: &Model, rows: usize, depth: usize) -> usize {
    let parts = (rows * depth / LEAST_PART).clamp(1, PARTS_PER_THREAD * model.team.threads());
    rows.div_ceil(parts)
}

/// The rows of all `matrices`, one after the other, times `x`.
fn product(model: &Model, matrices: &[&Matrix], x: &Activation, out: &mut [f32]) {
    let rows: usize = matrices.iter().map(|matrix| matrix.rows).sum();
    assert_eq!(out.len(), rows);
    let most = part_rows(model, rows, matrices[0].depth);
    let out = Parts::new(out);
    model.team.run(count_parts(matrices, most), |at| {
        let Part { matrix, rows, at } = part(matrices, most, at);
        // SAFETY: every task has rows of its own.
        #[allow(unsafe_code)]
        let out = unsafe { out.part(at..at + rows.len()) };
        multiply(model, matrix, rows, x, out);
    });
}

fn multiply(
    model: &Model,
    matrix: &Matrix,
    rows: std::ops::Range<usize>,
    x: &Activation,
    out: &mut [f32],
) {
    let rows = Rows {
        layout: matrix.layout,
        weights: matrix.rows(rows),
        depth: matrix.depth,
        x,
        out,
    };
    rows.run(model.level, model.ints);
}
