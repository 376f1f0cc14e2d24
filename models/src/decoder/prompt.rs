//! Reading a prompt: one pass of up to [`super::TOKENS_PER_PASS`] tokens through
//! all layers.
//!
//! Activations are in panels of a few tokens, see [`crate::kernels::spread`].
//! Every step is a loop over independent tasks on all threads; all memory is
//! that of the pass before.

use std::cell::RefCell;

use super::cache::Cache;
use super::matrix::{Matrix, Part, count_parts, part};
use super::{Layer, Model};
use crate::kernels::causal;
use crate::kernels::lanes::{AddBias, RmsNorm, Rotate, SwiGlu};
use crate::kernels::spread::{ROWS, Spread};
use crate::kernels::team::Parts;
use crate::{Cancel, Result};

thread_local! {
    /// The gated unit's second factor, for the rows of one task.
    static UP: RefCell<Vec<f32>> = RefCell::default();
}

/// Activations of a pass, `[panels, features, panel]` each.
#[derive(Default)]
pub(super) struct Buffers {
    tokens: usize,
    x: Vec<f32>,
    normed: Vec<f32>,
    /// Queries, keys and values.
    projected: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// A pass in its model.
struct Pass<'a> {
    model: &'a Model,
    /// Tokens of the pass.
    tokens: usize,
    /// Position of the first one.
    first: usize,
    panels: usize,
    /// Tokens of one panel.
    panel: usize,
}

/// The first `count` floats of `buffer`, which grows when it must; what they
/// are does not matter.
fn room(buffer: &mut Vec<f32>, count: usize) -> &mut [f32] {
    if buffer.len() < count {
        buffer.resize(count, 0.0);
    }
    &mut buffer[..count]
}

impl Buffers {
    /// Reads `tokens`, the first of which is at position `first`, and appends
    /// their keys and values to `caches`.
    pub(super) fn read(
        &mut self,
        model: &Model,
        caches: &mut [Cache],
        tokens: &[u32],
        first: usize,
        cancel: &Cancel,
    ) -> Result<()> {
        let panel = model.level.panel();
        let panels = tokens.len().div_ceil(panel);
        let pass = Pass {
            model,
            tokens: tokens.len(),
            first,
            panels,
            panel,
        };
        let lanes = panels * panel;
        self.tokens = tokens.len();
        let x = room(&mut self.x, lanes * model.hidden);
        let normed = room(&mut self.normed, lanes * model.hidden);
        let projected = room(&mut self.projected, lanes * model.projected());
        let attended = room(&mut self.attended, lanes * model.heads * model.width);
        let middle_rows = model.layers.iter().map(|layer| layer.gate.rows).max();
        let middle = room(&mut self.middle, lanes * middle_rows.unwrap_or(0));
        let pairs = model.rope.pairs();
        let cos = room(&mut self.cos, lanes * pairs);
        let sin = room(&mut self.sin, lanes * pairs);
        pass.embed(tokens, x);
        pass.angles(cos, sin);
        for (layer, cache) in model.layers.iter().zip(caches) {
            cancel.check()?;
            cache.reserve(first + tokens.len(), first);
            pass.norm(x, &layer.attention_norm, normed);
            let matrices = [&layer.query, &layer.key, &layer.value];
            pass.product(&matrices, normed, projected, false);
            pass.turn_and_cache(layer, projected, cos, sin, cache);
            pass.attention(projected, cache, attended);
            pass.product(&[&layer.output], attended, x, true);
            pass.norm(x, &layer.feed_forward_norm, normed);
            let middle = &mut middle[..lanes * layer.gate.rows];
            pass.gated(layer, normed, middle);
            pass.product(&[&layer.down], middle, x, true);
        }
        Ok(())
    }

    /// The last token's activations after the last layer.
    pub(super) fn last(&self, model: &Model, out: &mut Vec<f32>) {
        let panel = model.level.panel();
        let (at, lane) = ((self.tokens - 1) / panel, (self.tokens - 1) % panel);
        let rows = &self.x[at * model.hidden * panel..][..model.hidden * panel];
        out.clear();
        out.extend(rows.chunks_exact(panel).map(|row| row[lane]));
    }
}

impl Pass<'_> {
    /// The embeddings of `tokens`; zeros where the last panel has none.
    fn embed(&self, tokens: &[u32], x: &mut [f32]) {
        let hidden = self.model.hidden;
        let mut row = vec![0.0; hidden];
        for (tokens, x) in tokens
            .chunks(self.panel)
            .zip(x.chunks_exact_mut(hidden * self.panel))
        {
            x.fill(0.0);
            for (lane, &token) in tokens.iter().enumerate() {
                self.model
                    .embedding
                    .unpack_row(token as usize, self.model.level, &mut row);
                for (x, &float) in x[lane..].iter_mut().step_by(self.panel).zip(&row) {
                    *x = float;
                }
            }
        }
    }

    fn angles(&self, cos: &mut [f32], sin: &mut [f32]) {
        let rope = &self.model.rope;
        let floats = rope.pairs() * self.panel;
        let (cos, sin) = (Parts::new(cos), Parts::new(sin));
        self.model.team.run(self.panels, |at| {
            let range = at * floats..(at + 1) * floats;
            // SAFETY: every task has a panel of its own.
            #[allow(unsafe_code)]
            let (cos, sin) = unsafe { (cos.part(range.clone()), sin.part(range)) };
            rope.fill(self.first + at * self.panel, self.panel, cos, sin);
        });
    }

    fn norm(&self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let floats = weight.len() * self.panel;
        let out = Parts::new(out);
        self.model.team.run(self.panels, |at| {
            let range = at * floats..(at + 1) * floats;
            self.model.level.run(RmsNorm {
                x: &x[range.clone()],
                weight,
                epsilon: self.model.epsilon,
                // SAFETY: every task has a panel of its own.
                #[allow(unsafe_code)]
                out: unsafe { out.part(range) },
            });
        });
    }

    /// The rows of all `matrices`, one after the other, times `x`.
    fn product(&self, matrices: &[&Matrix], x: &[f32], out: &mut [f32], add: bool) {
        let features: usize = matrices.iter().map(|matrix| matrix.rows).sum();
        let x = &x[..self.panels * self.panel * matrices[0].depth];
        assert!(out.len() >= self.panels * self.panel * features);
        let out = Parts::new(out);
        self.model.team.run(count_parts(matrices, ROWS), |at| {
            let Part { matrix, rows, at } = part(matrices, ROWS, at);
            let spread = Spread {
                layout: matrix.layout,
                weights: matrix.rows(rows),
                depth: matrix.depth,
                x,
                out: out.at(at * self.panel),
                features,
                add,
            };
            // SAFETY: the result has room for all features of all panels, and
            // every task writes rows of its own.
            #[allow(unsafe_code)]
            unsafe {
                spread.run(self.model.level);
            }
        });
    }

    /// Adds the bias to queries, keys and values, turns queries and keys, and
    /// appends keys and values to the cache.
    fn turn_and_cache(
        &self,
        layer: &Layer,
        projected: &mut [f32],
        cos: &[f32],
        sin: &[f32],
        cache: &mut Cache,
    ) {
        let model = self.model;
        let (level, panel, width) = (model.level, self.panel, model.width);
        let floats = model.projected() * panel;
        let angles = model.rope.pairs() * panel;
        let projected = Parts::new(projected);
        let mut keys = std::mem::take(&mut cache.keys);
        let mut values = std::mem::take(&mut cache.values);
        let (all_keys, all_values) = (Parts::new(&mut keys), Parts::new(&mut values));
        let cache_ref = &*cache;
        model.team.run(self.panels, |at| {
            // SAFETY: every task has a panel of its own.
            #[allow(unsafe_code)]
            let rows = unsafe { projected.part(at * floats..(at + 1) * floats) };
            level.run(AddBias {
                rows,
                bias: &layer.bias,
            });
            let turned = model.heads + model.key_value_heads;
            for (head, rows) in rows.chunks_exact_mut(width * panel).enumerate() {
                if head < turned {
                    level.run(Rotate {
                        head: rows,
                        cos: &cos[at * angles..][..angles],
                        sin: &sin[at * angles..][..angles],
                        interleaved: model.rope.interleaved,
                        factor: if head < model.heads {
                            model.query_factor()
                        } else {
                            1.0
                        },
                    });
                }
                let tokens = panel.min(self.tokens - at * panel);
                let position = self.first + at * panel;
                for (feature, row) in rows.chunks_exact(panel).enumerate() {
                    // SAFETY: every task has tokens of its own.
                    #[allow(unsafe_code)]
                    unsafe {
                        if head >= turned {
                            let at = cache_ref.value_at(head - turned, feature, position);
                            all_values
                                .part(at..at + tokens)
                                .copy_from_slice(&row[..tokens]);
                        } else if head >= model.heads {
                            let start = cache_ref.key_at(head - model.heads, position);
                            let keys = all_keys.part(start..start + tokens * width);
                            for (key, &float) in keys[feature..].iter_mut().step_by(width).zip(row)
                            {
                                *key = float;
                            }
                        }
                    }
                }
            }
        });
        cache.keys = keys;
        cache.values = values;
    }

    fn attention(&self, projected: &[f32], cache: &Cache, out: &mut [f32]) {
        let model = self.model;
        let head_floats = model.width * self.panel;
        let group = model.heads / model.key_value_heads;
        let out = Parts::new(out);
        // The last panels see the most keys: they come first.
        self.model.team.run(self.panels * model.heads, |task| {
            let (at, head) = (task / model.heads, task % model.heads);
            let queries = (at * model.projected() + head * model.width) * self.panel;
            let start = (at * model.heads + head) * head_floats;
            let first = self.first + at * self.panel;
            let panel = causal::Panel {
                queries: &projected[queries..][..head_floats],
                cached: cache.head(head / group),
                first,
                tokens: (first + self.panel).min(self.first + self.tokens),
                // SAFETY: every task has a head and panel of its own.
                #[allow(unsafe_code)]
                out: unsafe { out.part(start..start + head_floats) },
            };
            panel.run(model.level);
        });
    }

    /// The gated unit: for each feature the product with the gate's row and that
    /// of `up`, joined.
    fn gated(&self, layer: &Layer, x: &[f32], middle: &mut [f32]) {
        let (level, panel) = (self.model.level, self.panel);
        let Layer { gate, up, .. } = layer;
        let x = &x[..self.panels * panel * gate.depth];
        assert_eq!(middle.len(), self.panels * panel * gate.rows);
        let middle = Parts::new(middle);
        self.model.team.run(count_parts(&[gate], ROWS), |at| {
            let rows = part(&[gate], ROWS, at).rows;
            let spread = |matrix: &Matrix, out, features| {
                let spread = Spread {
                    layout: matrix.layout,
                    weights: matrix.rows(rows.clone()),
                    depth: matrix.depth,
                    x,
                    out,
                    features,
                    add: false,
                };
                // SAFETY: in `middle`, every task writes rows of its own; the
                // other buffer is this thread's and has room for all panels.
                #[allow(unsafe_code)]
                unsafe {
                    spread.run(level);
                }
            };
            UP.with_borrow_mut(|buffer| {
                let floats = rows.len() * panel;
                let ups = room(buffer, self.panels * floats);
                spread(gate, middle.at(rows.start * panel), gate.rows);
                spread(up, ups.as_mut_ptr(), rows.len());
                for (at, up) in ups.chunks_exact(floats).enumerate() {
                    let start = (at * gate.rows + rows.start) * panel;
                    level.run(SwiGlu {
                        // SAFETY: as above.
                        #[allow(unsafe_code)]
                        gate: unsafe { middle.part(start..start + floats) },
                        up,
                    });
                }
            });
        });
    }
}
