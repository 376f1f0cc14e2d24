//! Weights to integers, once, in panels.

use super::product::Ints;
use super::{Digits, finite};
use crate::kernels::gemm::{Product, Right};
use crate::kernels::simd::Level;

/// A `depth × columns` matrix of integers, cut into panels.
pub(crate) struct PackedInts<D: Digits> {
    pub(super) depth: usize,
    pub(super) columns: usize,
    pub(super) panel: usize,
    /// Panel by panel, `[depth / STEP, panel, STEP]`; zeros beyond both sizes.
    pub(super) numbers: Vec<D::Right>,
    /// One for each column, zeros beyond.
    pub(super) scales: Vec<f32>,
    /// The sum of each column as floats, zeros beyond.
    pub(super) totals: Vec<f32>,
    /// What each column's sums start at, zeros beyond: minus `SHIFT` times the sum of
    /// the column, which is what the shift adds.
    pub(super) starts: Vec<i32>,
}

impl<D: Digits> PackedInts<D> {
    /// Rounds and packs a matrix given by its entries, for use with `level`.
    pub(crate) fn new(
        level: Level,
        depth: usize,
        columns: usize,
        entry: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let panel = level.panel();
        let stride = depth.next_multiple_of(D::STEP);
        let mut numbers = vec![D::Right::default(); stride * columns.next_multiple_of(panel)];
        let mut scales = vec![0.0; columns.next_multiple_of(panel)];
        let mut totals = vec![0.0; scales.len()];
        let mut starts = vec![0; scales.len()];
        for column in 0..columns {
            let (mut largest, mut squares) = (0.0_f32, 0.0_f64);
            for x in (0..depth).map(|k| entry(k, column)) {
                largest = largest.max(x.abs());
                squares += f64::from(x) * f64::from(x);
            }
            let factor = finite(D::factor(largest, squares.sqrt() as f32));
            let start = column / panel * stride * panel + column % panel * D::STEP;
            let mut sum = 0;
            for k in 0..depth {
                let number = (entry(k, column) * factor).round_ties_even() as i32;
                numbers[start + k / D::STEP * D::STEP * panel + k % D::STEP] = D::right(number);
                sum += number;
            }
            scales[column] = 1.0 / factor;
            totals[column] = sum as f32 / factor;
            starts[column] = -D::SHIFT * sum;
        }
        Self {
            depth,
            columns,
            panel,
            numbers,
            scales,
            totals,
            starts,
        }
    }
}

impl<D: Digits> Right for PackedInts<D> {
    fn depth(&self) -> usize {
        self.depth
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn panel(&self) -> usize {
        self.panel
    }

    fn arithmetic(&self) -> &'static str {
        D::NAME
    }

    #[allow(unsafe_code)]
    unsafe fn multiply(&self, product: Product<'_>, level: Level) {
        D::with_buffer(|rounded| level.run(Ints(self, product, rounded)));
    }
}
