//! How alike the states of two texts are: by their tokens (MaxSim of late
//! interaction: Khattab and Zaharia, "ColBERT", SIGIR 2020) and by spans.
//!
//! Rows are states of tokens, `width` floats each. A passage has up to two hundred
//! of them and a question a dozen, so all products of a pair stay in the cache.

use super::rows::{add, dot, scale, subtract};
use super::simd::{Kernel, Simd};

/// Divides each row by its length; a row of zeros stays as it is.
pub(crate) struct Normalize<'a> {
    pub(crate) rows: &'a mut [f32],
    pub(crate) width: usize,
}

impl Kernel for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for row in self.rows.chunks_exact_mut(self.width) {
            let length = dot(simd, row, row).sqrt();
            scale(simd, row, 1.0 / length.max(LEAST));
        }
    }
}

/// Keeps a division by a length finite.
const LEAST: f32 = 1e-12;

/// For each row of `query` its greatest dot product with a row of `passage`.
pub(crate) struct MaxSim<'a> {
    pub(crate) query: &'a [f32],
    pub(crate) passage: &'a [f32],
    pub(crate) width: usize,
}

impl Kernel for MaxSim<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut best = vec![f32::NEG_INFINITY; self.query.len() / self.width];
        for row in self.passage.chunks_exact(self.width) {
            for (best, asked) in best.iter_mut().zip(self.query.chunks_exact(self.width)) {
                *best = best.max(dot(simd, asked, row));
            }
        }
        best
    }
}

/// The greatest cosine of `direction`, which has length 1, with the sum of `span`
/// rows in a row; with the sum of all of them where there are fewer.
pub(crate) struct BestSpan<'a> {
    pub(crate) direction: &'a [f32],
    pub(crate) rows: &'a [f32],
    pub(crate) span: usize,
}

impl Kernel for BestSpan<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let width = self.direction.len();
        let span = self.span.min(self.rows.len() / width);
        let mut sum = vec![0.0; width];
        let mut best = f32::NEG_INFINITY;
        for (at, row) in self.rows.chunks_exact(width).enumerate() {
            add(simd, &mut sum, row);
            if at + 1 < span {
                continue;
            }
            let length = dot(simd, &sum, &sum).sqrt().max(LEAST);
            best = best.max(dot(simd, &sum, self.direction) / length);
            let first = &self.rows[(at + 1 - span) * width..][..width];
            subtract(simd, &mut sum, first);
        }
        best
    }
}
