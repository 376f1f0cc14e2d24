//! Causal attention with cached keys and values: for one head and one panel of
//! tokens, or for one token.
//!
//! The keys are laid out as `[tokens, width]` and the values as `[width, tokens]`, so
//! that both are left sides of products whose right side is a panel: the scores
//! are keys times queries, `[keys, S::PANEL]`, and the result is values times
//! the scores' softmax, `[width, S::PANEL]`. Scores, softmax and result of one
//! head and panel stay in the second-level cache.

use std::cell::RefCell;

use super::gemm::{Tile, even_parts};
use super::rows::dot;
use super::simd::{Kernel, Level, Simd};
use super::softmax::{exp2, softmax_numerators};

thread_local! {
    static SCORES: RefCell<Vec<f32>> = RefCell::default();
}

/// The cached keys and values of one head.
#[derive(Clone, Copy)]
pub(crate) struct Cached<'a> {
    /// `[tokens, width]`, at least.
    pub(crate) keys: &'a [f32],
    /// `[width, stride]`.
    pub(crate) values: &'a [f32],
    /// Floats from one row of `values` to the next, at least as many as tokens.
    pub(crate) stride: usize,
    /// Floats of one key.
    pub(crate) width: usize,
}

impl Cached<'_> {
    fn check(&self, tokens: usize) {
        assert!(tokens > 0 && tokens <= self.stride);
        assert!(self.keys.len() >= tokens * self.width);
        assert!(self.values.len() >= self.width * self.stride);
    }
}

/// Attention of one panel of queries.
pub(crate) struct Panel<'a> {
    /// `[width, S::PANEL]`, already times log2(e) / √width.
    pub(crate) queries: &'a [f32],
    pub(crate) cached: Cached<'a>,
    /// Position of the panel's first token. Token t of the panel sees the keys
    /// `0..=first + t`.
    pub(crate) first: usize,
    /// Keys in the cache, at most `first` and a panel.
    pub(crate) tokens: usize,
    /// Where the result goes, `[width, S::PANEL]`.
    pub(crate) out: &'a mut [f32],
}

impl Panel<'_> {
    /// Computes this head of this panel.
    pub(crate) fn run(self, level: Level) {
        self.cached.check(self.tokens);
        let panel = level.panel();
        assert!(self.first < self.tokens && self.tokens <= self.first + panel);
        assert_eq!(self.queries.len(), self.cached.width * panel);
        assert_eq!(self.out.len(), self.cached.width * panel);
        SCORES.with_borrow_mut(|scores| {
            room(scores, self.tokens * panel);
            level.run(WithScores(self, scores));
        });
    }
}

fn room(buffer: &mut Vec<f32>, count: usize) {
    if buffer.len() < count {
        buffer.resize(count, 0.0);
    }
}

struct WithScores<'b, T>(T, &'b mut Vec<f32>);

impl Kernel for WithScores<'_, Panel<'_>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(
            Panel {
                queries,
                cached:
                    Cached {
                        keys,
                        values,
                        stride,
                        width,
                    },
                first,
                tokens,
                out,
            },
            scores,
        ) = self;
        let scores = &mut scores[..tokens * S::PANEL];
        for tile in even_parts(tokens, S::ROWS) {
            // SAFETY: `Panel::run` checked that there are `tokens` keys, a whole
            // panel of queries, and room for `tokens` rows of scores.
            #[allow(unsafe_code)]
            unsafe {
                simd.tile(
                    tile.len(),
                    Tile {
                        left: keys.as_ptr().add(tile.start * width),
                        left_stride: width,
                        depth: width,
                        panel: queries.as_ptr(),
                        out: scores.as_mut_ptr().add(tile.start * S::PANEL),
                        out_stride: S::PANEL,
                        columns: S::PANEL,
                        add: false,
                    },
                );
            }
        }
        // No token sees those after it.
        for (later, row) in scores[first * S::PANEL..]
            .chunks_exact_mut(S::PANEL)
            .enumerate()
        {
            row[..later].fill(f32::NEG_INFINITY);
        }
        let mut factors = [0.0_f32; super::gemm::MOST_PANEL];
        for lane in (0..S::PANEL).step_by(S::LANES) {
            let mut largest = simd.splat(f32::NEG_INFINITY);
            for row in scores.chunks_exact(S::PANEL) {
                largest = simd.max(largest, simd.load(&row[lane..]));
            }
            let mut sum = simd.splat(0.0);
            for row in scores.chunks_exact_mut(S::PANEL) {
                let power = exp2(simd, simd.sub(simd.load(&row[lane..]), largest));
                simd.store(&mut row[lane..], power);
                sum = simd.add(sum, power);
            }
            simd.store(&mut factors[lane..], simd.div(simd.splat(1.0), sum));
        }
        // 2^-126 is what exp2 makes of minus infinity; it must be nothing.
        for (later, row) in scores[first * S::PANEL..]
            .chunks_exact_mut(S::PANEL)
            .enumerate()
        {
            row[..later].fill(0.0);
        }
        for tile in even_parts(width, S::ROWS) {
            // SAFETY: `Panel::run` checked that there are `width` rows of values
            // with `tokens` floats each, as many rows of scores, and room for
            // `width` rows of the result.
            #[allow(unsafe_code)]
            unsafe {
                simd.tile(
                    tile.len(),
                    Tile {
                        left: values.as_ptr().add(tile.start * stride),
                        left_stride: stride,
                        depth: tokens,
                        panel: scores.as_ptr(),
                        out: out.as_mut_ptr().add(tile.start * S::PANEL),
                        out_stride: S::PANEL,
                        columns: S::PANEL,
                        add: false,
                    },
                );
            }
        }
        for row in out.chunks_exact_mut(S::PANEL) {
            for lane in (0..S::PANEL).step_by(S::LANES) {
                let scaled = simd.mul(simd.load(&row[lane..]), simd.load(&factors[lane..]));
                simd.store(&mut row[lane..], scaled);
            }
        }
    }
}

/// Attention of the last token.
pub(crate) struct One<'a> {
    /// `[width]`, already times log2(e) / √width.
    pub(crate) query: &'a [f32],
    pub(crate) cached: Cached<'a>,
    /// Keys in the cache, the token's own included.
    pub(crate) tokens: usize,
    /// `[width]`.
    pub(crate) out: &'a mut [f32],
}

impl One<'_> {
    /// Computes this head.
    pub(crate) fn run(self, level: Level) {
        self.cached.check(self.tokens);
        assert_eq!(self.query.len(), self.cached.width);
        assert_eq!(self.out.len(), self.cached.width);
        SCORES.with_borrow_mut(|scores| {
            room(scores, self.tokens);
            level.run(WithScores(self, scores));
        });
    }
}

impl Kernel for WithScores<'_, One<'_>> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(
            One {
                query,
                cached,
                tokens,
                out,
            },
            scores,
        ) = self;
        let scores = &mut scores[..tokens];
        let keys = cached.keys.chunks_exact(cached.width);
        for (score, key) in scores.iter_mut().zip(keys) {
            *score = dot(simd, key, query);
        }
        let factor = 1.0 / softmax_numerators(simd, scores);
        let values = cached.values.chunks_exact(cached.stride);
        for (out, row) in out.iter_mut().zip(values) {
            *out = dot(simd, &row[..tokens], scores) * factor;
        }
    }
}
