//! The product itself: rows are rounded, then multiplied panel by panel.

use super::left::{Rounded, round};
use super::{Digits, MOST_ROWS, PackedInts, Tile};
use crate::kernels::gemm::{Finish, MOST_PANEL, even_parts};
use crate::kernels::simd::{Kernel, Level, Simd};

/// Part of a product: rows of the left side with the `panels` of the right.
pub(crate) struct IntProduct<'a, D: Digits> {
    /// `rows × depth`, row by row.
    pub(crate) left: &'a [f32],
    pub(crate) right: &'a PackedInts<D>,
    pub(crate) panels: std::ops::Range<usize>,
    pub(crate) finish: Finish<'a>,
    /// Where row 0, column 0 of the product goes.
    pub(crate) out: *mut f32,
    /// Floats from one row of the product to the next.
    pub(crate) out_stride: usize,
}

impl<D: Digits> IntProduct<'_, D> {
    /// Computes this part.
    ///
    /// # Safety
    /// `out` must be valid for writing the columns of `panels` in all rows, and
    /// nothing else reads or writes them during the call.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn run(self, level: Level) {
        assert_eq!(self.left.len() % self.right.depth, 0);
        assert!(self.panels.end <= self.right.panels());
        assert_eq!(self.right.panel, level.panel());
        D::with_buffer(|rounded| level.run(WithBuffer(self, rounded)));
    }
}

struct WithBuffer<'a, 'b, D: Digits>(IntProduct<'a, D>, &'b mut Rounded<D>);

impl<D: Digits> Kernel for WithBuffer<'_, '_, D> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(
            IntProduct {
                left,
                right,
                panels,
                finish,
                out,
                out_stride,
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
                    for at in (0..columns).step_by(S::LANES) {
                        let scale = simd.mul(scale, simd.load(&scales[at..]));
                        let product = simd.mul(simd.load_ints(&sums[at..]), scale);
                        let end = columns.min(at + S::LANES);
                        finish.store(simd, product, column + at, &mut out[at..end]);
                    }
                }
            }
        }
    }
}
