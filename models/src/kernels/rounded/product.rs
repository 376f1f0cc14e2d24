//! The product itself: rows are rounded, then multiplied panel by panel.

use super::left::{Rounded, round};
use super::{Digits, MOST_ROWS, PackedInts, Tile};
use crate::kernels::gemm::{MOST_PANEL, Product, even_parts};
use crate::kernels::simd::{Kernel, Simd};

/// A product with rounded numbers, and the buffer for those of its left side.
pub(super) struct Ints<'a, 'b, D: Digits>(
    pub(super) &'a PackedInts<D>,
    pub(super) Product<'a>,
    pub(super) &'b mut Rounded<D>,
);

impl<D: Digits> Kernel for Ints<'_, '_, D> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(
            right,
            Product {
                left,
                panels,
                finish,
                out,
                out_stride,
                ..
            },
            rounded,
        ) = self;
        let stride = right.depth.next_multiple_of(D::STEP);
        round(simd, left, right.depth, stride, rounded);
        let mut sums = [[0_i32; MOST_PANEL]; MOST_ROWS];
        for panel in panels {
            let column = panel * S::PANEL;
            let columns = S::PANEL.min(right.columns - column);
            let scales = &right.scales[column..][..S::PANEL];
            let totals = &right.totals[column..][..S::PANEL];
            for tile in even_parts(rounded.scales.len(), S::ROWS) {
                // SAFETY: `round` made `stride` numbers for every row, tile by tile;
                // every panel has as many steps, and starts for all its columns.
                #[allow(unsafe_code)]
                unsafe {
                    D::tile(
                        simd,
                        tile.len(),
                        Tile {
                            left: rounded.numbers.as_ptr().add(tile.start * stride),
                            steps: stride / D::STEP,
                            panel: right.numbers.as_ptr().add(panel * stride * S::PANEL),
                            starts: right.starts.as_ptr().add(column),
                            sums: &mut sums,
                        },
                    );
                }
                for (row, sums) in tile.zip(&sums) {
                    // SAFETY: the caller promised these columns of all rows.
                    #[allow(unsafe_code)]
                    let out = unsafe {
                        std::slice::from_raw_parts_mut(out.add(row * out_stride + column), columns)
                    };
                    let scale = simd.splat(rounded.scales[row]);
                    let middle = simd.splat(rounded.middles[row]);
                    for at in (0..columns).step_by(S::LANES) {
                        let scale = simd.mul(scale, simd.load(&scales[at..]));
                        let moved = simd.mul(middle, simd.load(&totals[at..]));
                        let product = simd.mul_add(simd.load_ints(&sums[at..]), scale, moved);
                        let end = columns.min(at + S::LANES);
                        finish.store(simd, product, column + at, &mut out[at..end]);
                    }
                }
            }
        }
    }
}
