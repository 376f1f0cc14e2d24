//! Activations to integers, row by row, in the order in which tiles read them.

use super::{Digits, finite};
use crate::kernels::gemm::even_parts;
use crate::kernels::simd::Simd;

/// Rows of activations, rounded.
pub(crate) struct Rounded<D: Digits> {
    /// Tile by tile, `[depth / STEP, rows of the tile, STEP]`: as a tile reads them.
    pub(super) numbers: Vec<D::Left>,
    /// One for each row.
    pub(super) scales: Vec<f32>,
    /// One row in its own order.
    line: Vec<D::Left>,
}

impl<D: Digits> Default for Rounded<D> {
    fn default() -> Self {
        Self {
            numbers: Vec::new(),
            scales: Vec::new(),
            line: Vec::new(),
        }
    }
}

/// Rounds each row of `depth` floats; rows are filled up to `stride` with what the
/// panels multiply by zero.
#[inline(always)]
pub(super) fn round<S: Simd, D: Digits>(
    simd: S,
    left: &[f32],
    depth: usize,
    stride: usize,
    rounded: &mut Rounded<D>,
) {
    let count = left.len() / depth;
    rounded.numbers.resize(count * stride, D::Left::default());
    rounded.scales.resize(count, 0.0);
    rounded.line.resize(stride, D::Left::default());
    let line = &mut rounded.line[..stride];
    let mut rows = left.chunks_exact(depth).zip(&mut rounded.scales);
    let mut numbers = &mut rounded.numbers[..];
    for tile in even_parts(count, S::ROWS) {
        let (all, rest) = numbers.split_at_mut(tile.len() * stride);
        numbers = rest;
        for (at, (row, scale)) in rows.by_ref().take(tile.len()).enumerate() {
            let (largest, squares) = size(simd, row);
            let factor = finite(D::factor(largest, squares.sqrt()));
            *scale = 1.0 / factor;
            for (number, x) in line.iter_mut().zip(row) {
                // 1.5 · 2^23 is so large that the sum is rounded to an integer,
                // whose two's complement is in its low bits.
                *number = D::left((x * factor + 12_582_912.0).to_bits());
            }
            let steps = all[at * D::STEP..].chunks_mut(tile.len() * D::STEP);
            for (to, from) in steps.zip(line.chunks_exact(D::STEP)) {
                to[..D::STEP].copy_from_slice(from);
            }
        }
    }
}

/// The largest magnitude of `row`, and the sum of its squares.
#[inline(always)]
fn size<S: Simd>(simd: S, row: &[f32]) -> (f32, f32) {
    let zero = simd.splat(0.0);
    let (mut largest, mut squares) = (zero, zero);
    let mut take = |v: S::V| {
        largest = simd.max(largest, simd.max(v, simd.sub(zero, v)));
        squares = simd.mul_add(v, v, squares);
    };
    let chunks = row.chunks_exact(S::LANES);
    take(simd.load_part(chunks.remainder(), 0.0));
    for chunk in chunks {
        take(simd.load(chunk));
    }
    (simd.largest(largest), simd.sum(squares))
}
