//! Multi-head attention of one sequence (Vaswani et al., "Attention Is All You
//! Need", 2017), one head at a time, so that everything stays in the cache.

use std::cell::RefCell;

use super::gemm::{Tile, even_parts};
use super::rows;
use super::simd::{Kernel, Level, Simd};
use super::softmax::softmax_numerators;

/// One head of one sequence.
pub(crate) struct Head<'a> {
    /// Queries, keys and values of all heads, one row for each token:
    /// `[tokens, 3 · hidden]`. Queries are already scaled by log2(e) / √size.
    pub(crate) projected: &'a [f32],
    pub(crate) tokens: usize,
    /// Floats of one row of the result, heads · size.
    pub(crate) hidden: usize,
    /// Which head.
    pub(crate) head: usize,
    /// Floats of one head.
    pub(crate) size: usize,
    /// The first row of the result, `[tokens, hidden]`; only the columns of this head
    /// are written.
    pub(crate) out: *mut f32,
}

#[derive(Default)]
struct Buffers {
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

impl Head<'_> {
    /// Computes this head.
    ///
    /// # Safety
    /// `out` must be valid for writing this head's columns of `tokens` rows,
    /// and nothing else reads or writes them during the call.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn run(self, level: Level) {
        assert_eq!(self.projected.len(), self.tokens * 3 * self.hidden);
        assert!((self.head + 1) * self.size <= self.hidden);
        BUFFERS.with_borrow_mut(|buffers| {
            level.run(WithBuffers {
                head: self,
                buffers,
            })
        });
    }
}

struct WithBuffers<'a, 'b> {
    head: Head<'a>,
    buffers: &'b mut Buffers,
}

impl Kernel for WithBuffers<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Head {
            projected,
            tokens,
            hidden,
            head,
            size,
            out,
        } = self.head;
        let Buffers {
            keys,
            values,
            scores,
        } = self.buffers;
        let row = |token: usize, part: usize| {
            &projected[token * 3 * hidden + part * hidden + head * size..][..size]
        };
        let padded = tokens.next_multiple_of(S::PANEL);

        // Both right sides in panels: the keys transposed, `size` deep, and the
        // values, `tokens` deep. The lanes beyond them hold anything; they
        // become columns that are not looked at.
        resize(keys, padded * size);
        resize(values, tokens * size.next_multiple_of(S::PANEL));
        for token in 0..tokens {
            let panel = &mut keys[token / S::PANEL * S::PANEL * size..][..S::PANEL * size];
            let lane = token % S::PANEL;
            for (k, &x) in row(token, 1).iter().enumerate() {
                panel[k * S::PANEL + lane] = x;
            }
            for (at, part) in row(token, 2).chunks(S::PANEL).enumerate() {
                values[(at * tokens + token) * S::PANEL..][..part.len()].copy_from_slice(part);
            }
        }

        resize(scores, S::ROWS * padded);
        for block in even_parts(tokens, S::ROWS) {
            // SAFETY: `left`, `panel` and `out` of each tile are inside
            // `projected`, `keys`, `values` and `scores`, whose lengths are set
            // above, or in the rows of `out` that the caller promised.
            #[allow(unsafe_code)]
            unsafe {
                for column in (0..padded).step_by(S::PANEL) {
                    simd.tile(
                        block.len(),
                        Tile {
                            left: projected
                                .as_ptr()
                                .add(block.start * 3 * hidden + head * size),
                            left_stride: 3 * hidden,
                            depth: size,
                            panel: keys.as_ptr().add(column * size),
                            out: scores.as_mut_ptr().add(column),
                            out_stride: padded,
                            columns: S::PANEL,
                            add: false,
                        },
                    );
                }
                let mut factors = [0.0_f32; 16];
                for (scores, factor) in scores
                    .chunks_exact_mut(padded)
                    .zip(&mut factors)
                    .take(block.len())
                {
                    *factor = 1.0 / softmax_numerators(simd, &mut scores[..tokens]);
                }
                let out = out.add(block.start * hidden + head * size);
                for column in (0..size).step_by(S::PANEL) {
                    simd.tile(
                        block.len(),
                        Tile {
                            left: scores.as_ptr(),
                            left_stride: padded,
                            depth: tokens,
                            panel: values.as_ptr().add(column * tokens),
                            out: out.add(column),
                            out_stride: hidden,
                            columns: S::PANEL.min(size - column),
                            add: false,
                        },
                    );
                }
                for (at, &factor) in factors[..block.len()].iter().enumerate() {
                    rows::scale(
                        simd,
                        std::slice::from_raw_parts_mut(out.add(at * hidden), size),
                        factor,
                    );
                }
            }
        }
    }
}

/// Makes room for `count` floats; what they are does not matter.
#[inline(always)]
fn resize(buffer: &mut Vec<f32>, count: usize) {
    if buffer.len() < count {
        buffer.resize(count, 0.0);
    }
}
