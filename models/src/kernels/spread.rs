//! Products of quantised weights with the activations of many tokens, for
//! reading a prompt.
//!
//! Activations are in *panels* of a few tokens: feature by feature, one float
//! for each token of the panel. This is the packed right side of a product (see
//! [`super::gemm`]) and also the form of its result, so one product's result is
//! the next one's right side and nothing is ever transposed or copied.
//!
//! A task takes some rows of the weights. It unpacks a few hundred columns of
//! them into a buffer that stays in the second-level cache and multiplies all
//! tokens by it, panel by panel, before it goes on: each weight is unpacked once
//! in a pass, and never are more than a few thousand of them floats.

use std::cell::RefCell;

use super::gemm::{Tile, even_parts};
use super::quant::{Layout, Unpack};
use super::simd::{Kernel, Level, Simd};

/// Columns that are unpacked at a time, a multiple of every layout's block: a
/// panel of that many features and the rows of a tile share the first-level cache.
const COLUMNS: usize = 256;

/// Rows of one task: enough to read a panel of activations once for several tiles.
pub(crate) const ROWS: usize = 48;

thread_local! {
    static UNPACKED: RefCell<Vec<f32>> = RefCell::default();
}

/// Some rows of weights times the activations of all tokens.
pub(crate) struct Spread<'a> {
    pub(crate) layout: Layout,
    /// Whole rows of `depth` weights, one after the other.
    pub(crate) weights: &'a [u8],
    pub(crate) depth: usize,
    /// `[panels, depth, S::PANEL]`.
    pub(crate) x: &'a [f32],
    /// The first row's place in the first panel of the result,
    /// `[panels, features, S::PANEL]`.
    pub(crate) out: *mut f32,
    /// Rows of one panel of the result.
    pub(crate) features: usize,
    /// Whether the result holds numbers to which the product is added.
    pub(crate) add: bool,
}

impl Spread<'_> {
    /// Computes the products.
    ///
    /// # Safety
    /// In each panel of the result, `out` is valid for reading and writing as
    /// many rows as `weights` has, and nothing else reads or writes them during
    /// the call.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn run(self, level: Level) {
        let row = self.layout.row_num_bytes(self.depth);
        assert_eq!(self.weights.len() % row, 0);
        assert_eq!(self.x.len() % (self.depth * level.panel()), 0);
        UNPACKED.with_borrow_mut(|unpacked| level.run(WithBuffer(self, unpacked)));
    }
}

struct WithBuffer<'a, 'b>(Spread<'a>, &'b mut Vec<f32>);

impl Kernel for WithBuffer<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(
            Spread {
                layout,
                weights,
                depth,
                x,
                out,
                features,
                add,
            },
            unpacked,
        ) = self;
        let rows = weights.len() / layout.row_num_bytes(depth);
        if unpacked.len() < rows * COLUMNS {
            unpacked.resize(rows * COLUMNS, 0.0);
        }
        let panels = x.len() / (depth * S::PANEL);
        for from in (0..depth).step_by(COLUMNS) {
            let width = COLUMNS.min(depth - from);
            let unpacked = &mut unpacked[..rows * width];
            Unpack {
                layout,
                weights,
                depth,
                from,
                width,
                out: unpacked,
            }
            .run(simd);
            for panel in 0..panels {
                for tile in even_parts(rows, S::ROWS) {
                    let panel_at = (panel * depth + from) * S::PANEL;
                    // SAFETY: the tile's rows are inside `unpacked`, the panel's
                    // features inside `x` (`Spread::run` checked its length), and
                    // the caller promised the rows of `out`.
                    #[allow(unsafe_code)]
                    unsafe {
                        simd.tile(
                            tile.len(),
                            Tile {
                                left: unpacked.as_ptr().add(tile.start * width),
                                left_stride: width,
                                depth: width,
                                panel: x.as_ptr().add(panel_at),
                                out: out.add((panel * features + tile.start) * S::PANEL),
                                out_stride: S::PANEL,
                                columns: S::PANEL,
                                add: add || from > 0,
                            },
                        );
                    }
                }
            }
        }
    }
}
