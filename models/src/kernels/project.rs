//! Rows in a smaller space.

use super::rows::dot;
use super::simd::{Kernel, Simd};

/// The dot products of each row with each of the `axes`, both `width` floats each:
/// `[rows, axes]`.
pub(crate) struct Project<'a> {
    pub(crate) rows: &'a [f32],
    pub(crate) axes: &'a [f32],
    pub(crate) width: usize,
}

impl Kernel for Project<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let (rows, axes) = (self.rows.len() / self.width, self.axes.len() / self.width);
        let mut projected = Vec::with_capacity(rows * axes);
        for row in self.rows.chunks_exact(self.width) {
            let axes = self.axes.chunks_exact(self.width);
            projected.extend(axes.map(|axis| dot(simd, row, axis)));
        }
        projected
    }
}
