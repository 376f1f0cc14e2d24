//! Activations to integers, row by row, in the order in which tiles read them.

use super::Digits;
use crate::kernels::gemm::even_parts;
use crate::kernels::simd::Simd;

/// Rows of activations, rounded.
pub(crate) struct Rounded<D: Digits> {
    /// Tile by tile, `[depth / STEP, rows of the tile, STEP]`: as a tile reads them.
    pub(super) numbers: Vec<D::Left>,
    /// What a step of the numbers of each row is.
    pub(super) scales: Vec<f32>,
    /// What was subtracted from each row.
    pub(super) middles: Vec<f32>,
    /// One row in its own order.
    line: Vec<D::Left>,
}

impl<D: Digits> Default for Rounded<D> {
    fn default() -> Self {
        Self {
            numbers: Vec::new(),
            scales: Vec::new(),
            middles: Vec::new(),
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
    rounded.middles.resize(count, 0.0);
    rounded.line.resize(stride, D::Left::default());
    let line = &mut rounded.line[..stride];
    let scales = rounded.scales.iter_mut().zip(&mut rounded.middles);
    let mut rows = left.chunks_exact(depth).zip(scales);
    let mut numbers = &mut rounded.numbers[..];
    for tile in even_parts(count, S::ROWS) {
        let (all, rest) = numbers.split_at_mut(tile.len() * stride);
        numbers = rest;
        for (at, (row, (scale, middle))) in rows.by_ref().take(tile.len()).enumerate() {
            let (low, high, squares) = size(simd, row);
            let (factor, zero) = D::range(low, high, squares.sqrt());
            *scale = 1.0 / factor;
            *middle = zero * *scale;
            // 1.5 · 2^23 is so large that a sum with it is rounded to an integer,
            // whose two's complement is in its low bits.
            let shift = 12_582_912.0 - zero;
            for (number, x) in line.iter_mut().zip(row) {
                *number = D::left((x * factor + shift).to_bits());
            }
            let steps = all[at * D::STEP..].chunks_mut(tile.len() * D::STEP);
            for (to, from) in steps.zip(line.chunks_exact(D::STEP)) {
                to[..D::STEP].copy_from_slice(from);
            }
        }
    }
}

/// The lowest and the highest of `row` and 0, and the sum of its squares.
#[inline(always)]
fn size<S: Simd>(simd: S, row: &[f32]) -> (f32, f32, f32) {
    let zero = simd.splat(0.0);
    let (mut lowest, mut highest, mut squares) = (zero, zero, zero);
    let mut take = |v: S::V| {
        lowest = simd.max(lowest, simd.sub(zero, v));
        highest = simd.max(highest, v);
        squares = simd.mul_add(v, v, squares);
    };
    let chunks = row.chunks_exact(S::LANES);
    take(simd.load_part(chunks.remainder(), 0.0));
    for chunk in chunks {
        take(simd.load(chunk));
    }
    (
        -simd.largest(lowest),
        simd.largest(highest),
        simd.sum(squares),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bytes::Int8;
    use super::*;
    use crate::kernels::simd::{Kernel, Level};

    /// Rounds one row to bytes, and gives what the numbers stand for, and the step.
    struct There<'a>(&'a [f32]);

    impl Kernel for There<'_> {
        type Output = (Vec<f32>, f32);

        fn run<S: Simd>(self, simd: S) -> (Vec<f32>, f32) {
            let mut rounded = Rounded::<Int8>::default();
            round(
                simd,
                self.0,
                self.0.len(),
                self.0.len().next_multiple_of(4),
                &mut rounded,
            );
            let (scale, middle) = (rounded.scales[0], rounded.middles[0]);
            let numbers = rounded.numbers[..self.0.len()].iter();
            let back = numbers.map(|&byte| (f32::from(byte) - 128.0) * scale + middle);
            (back.collect(), scale)
        }
    }

    proptest! {
        #[test]
        fn bytes_use_their_whole_range(
            row in prop::collection::vec(-1.0_f32..1.0, 1..70),
            lean in -3.0_f32..3.0,
        ) {
            let row: Vec<f32> = row.iter().map(|x| x + lean).collect();
            let low = row.iter().copied().fold(0.0, f32::min);
            let high = row.iter().copied().fold(0.0, f32::max);
            for level in Level::available() {
                let (back, step) = level.run(There(&row));
                prop_assert!(step <= (high - low) / 252.9, "{level:?}: {step}");
                for (x, back) in row.iter().zip(back) {
                    prop_assert!((x - back).abs() <= 0.501 * step, "{level:?}: {x} {back}");
                }
            }
        }
    }

    #[test]
    fn rows_without_a_range_are_exact() {
        for level in Level::available() {
            for row in [[0.0_f32; 5], [2.5; 5], [-1e-30; 5]] {
                let (back, _) = level.run(There(&row));
                for (x, back) in row.iter().zip(back) {
                    assert!((x - back).abs() <= x.abs() * 0.01, "{level:?}: {x} {back}");
                }
            }
        }
    }
}
