//! Matrix products: rows of activations times a packed matrix.
//!
//! The right-hand matrix is cut into panels of a few columns that lie one
//! after the other, each row by row; a tile keeps `rows × panel` sums in
//! registers while it walks down both. The left-hand matrix is read where it
//! is: one broadcast float of it feeds a whole row of the tile. (Goto and van
//! de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008,
//! without the packing of the left side.)

use super::gelu::gelu;
use super::simd::{Kernel, Level, Simd};

/// Bytes of the left-hand rows that one task walks over with each panel: they
/// and the panel should stay in the second-level cache.
const LEFT_NUM_BYTES: usize = 256 << 10;

/// Floats of the widest panel of any instruction set.
pub(crate) const MOST_PANEL: usize = 32;

/// A `depth × columns` matrix, cut into panels.
pub(crate) struct Packed {
    depth: usize,
    columns: usize,
    panel: usize,
    // Panel by panel, `depth` rows of `panel` floats; zeros beyond `columns`.
    floats: Vec<f32>,
}

impl Packed {
    /// Packs a matrix given by its entries, for use with `level`.
    pub(crate) fn new(
        level: Level,
        depth: usize,
        columns: usize,
        entry: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let panel = level.panel();
        let mut floats = vec![0.0; depth * columns.next_multiple_of(panel)];
        for (at, rows) in floats.chunks_exact_mut((depth * panel).max(1)).enumerate() {
            let width = panel.min(columns - at * panel);
            for (k, row) in rows.chunks_exact_mut(panel).enumerate() {
                for (j, float) in row[..width].iter_mut().enumerate() {
                    *float = entry(k, at * panel + j);
                }
            }
        }
        Self {
            depth,
            columns,
            panel,
            floats,
        }
    }

    fn panel_at(&self, at: usize) -> &[f32] {
        &self.floats[at * self.depth * self.panel..][..self.depth * self.panel]
    }
}

/// What becomes of a product before it is stored.
#[derive(Clone, Copy)]
pub(crate) enum Finish<'a> {
    /// Stored as it is.
    Plain,
    /// Plus one float for each column.
    Bias(&'a [f32]),
    /// GELU of the product plus one float for each column.
    BiasGelu(&'a [f32]),
}

impl Finish<'_> {
    /// Stores as much of `product`, from column `at` on, as `out` has room for.
    #[inline(always)]
    pub(crate) fn store<S: Simd>(self, simd: S, product: S::V, at: usize, out: &mut [f32]) {
        let biased = |bias: &[f32]| simd.add(product, load(simd, &bias[at..][..out.len()]));
        let product = match self {
            Self::Plain => product,
            Self::Bias(bias) => biased(bias),
            Self::BiasGelu(bias) => gelu(simd, biased(bias)),
        };
        if out.len() == S::LANES {
            simd.store(out, product);
        } else {
            simd.store_part(out, product);
        }
    }

    /// The same for a row that was stored as it is; it starts in column `at`.
    #[inline(always)]
    fn again<S: Simd>(self, simd: S, row: &mut [f32], at: usize) {
        if matches!(self, Self::Plain) {
            return;
        }
        for (chunk, floats) in row.chunks_mut(S::LANES).enumerate() {
            let product = load(simd, floats);
            self.store(simd, product, at + chunk * S::LANES, floats);
        }
    }
}

/// At most a vector, with zeros after it.
#[inline(always)]
fn load<S: Simd>(simd: S, from: &[f32]) -> S::V {
    if from.len() == S::LANES {
        simd.load(from)
    } else {
        simd.load_part(from, 0.0)
    }
}

/// The right side of a product: a `depth × columns` matrix, cut into panels.
pub(crate) trait Right: Send + Sync {
    fn depth(&self) -> usize;
    fn columns(&self) -> usize;
    /// Columns of one panel.
    fn panel(&self) -> usize;
    /// Of its numbers, for people.
    fn arithmetic(&self) -> &'static str;

    fn panels(&self) -> usize {
        self.columns().div_ceil(self.panel())
    }

    /// Computes `product`, of which this is the right side.
    ///
    /// # Safety
    /// As for [`Product::run`], which checked the lengths.
    #[allow(unsafe_code)]
    unsafe fn multiply(&self, product: Product<'_>, level: Level);
}

/// Part of a product: rows of the left side with the `panels` of the right.
pub(crate) struct Product<'a> {
    /// `rows × depth`, row by row.
    pub(crate) left: &'a [f32],
    pub(crate) right: &'a dyn Right,
    pub(crate) panels: std::ops::Range<usize>,
    pub(crate) finish: Finish<'a>,
    /// Where row 0, column 0 of the product goes.
    pub(crate) out: *mut f32,
    /// Floats from one row of the product to the next.
    pub(crate) out_stride: usize,
}

impl Product<'_> {
    /// Computes this part.
    ///
    /// # Safety
    /// `out` must be valid for writing the columns of `panels` in all rows, and
    /// nothing else reads or writes them during the call.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn run(self, level: Level) {
        assert_eq!(self.left.len() % self.right.depth(), 0);
        assert!(self.panels.end <= self.right.panels());
        assert_eq!(self.right.panel(), level.panel());
        // SAFETY: the caller's promise, and the lengths are right.
        unsafe { self.right.multiply(self, level) }
    }
}

impl Right for Packed {
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
        "f32"
    }

    #[allow(unsafe_code)]
    unsafe fn multiply(&self, product: Product<'_>, level: Level) {
        level.run(Floats(self, product));
    }
}

struct Floats<'a>(&'a Packed, Product<'a>);

impl Kernel for Floats<'_> {
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
        ) = self;
        let block_rows = (LEFT_NUM_BYTES / (4 * right.depth)).max(S::ROWS);
        for block in even_parts(left.len() / right.depth, block_rows) {
            for panel in panels.clone() {
                let column = panel * S::PANEL;
                let columns = S::PANEL.min(right.columns - column);
                for tile in even_parts(block.len(), S::ROWS) {
                    let row = block.start + tile.start;
                    // SAFETY: `Product::run` checked the lengths of both sides,
                    // and its caller promised the rows of `out`.
                    #[allow(unsafe_code)]
                    unsafe {
                        let out = out.add(row * out_stride + column);
                        simd.tile(
                            tile.len(),
                            Tile {
                                left: left.as_ptr().add(row * right.depth),
                                left_stride: right.depth,
                                depth: right.depth,
                                panel: right.panel_at(panel).as_ptr(),
                                out,
                                out_stride,
                                columns,
                                add: false,
                            },
                        );
                        for row in 0..tile.len() {
                            let row = out.add(row * out_stride);
                            let row = std::slice::from_raw_parts_mut(row, columns);
                            finish.again(simd, row, column);
                        }
                    }
                }
            }
        }
    }
}

/// Cuts `0..count` into as few parts of at most `most` as possible, of nearly
/// the same length.
#[inline(always)]
pub(crate) fn even_parts(
    count: usize,
    most: usize,
) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> {
    let parts = count.div_ceil(most);
    (0..parts).map(move |at| at * count / parts..(at + 1) * count / parts)
}

/// Addresses of one tile: a few rows of the left side, one panel of the right.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub(crate) left: *const f32,
    /// Floats from one row of the left side to the next.
    pub(crate) left_stride: usize,
    pub(crate) depth: usize,
    pub(crate) panel: *const f32,
    pub(crate) out: *mut f32,
    /// Floats from one row of the product to the next.
    pub(crate) out_stride: usize,
    /// Columns of the product to store, at most a panel.
    pub(crate) columns: usize,
    /// Whether `out` holds numbers to which the product is added.
    pub(crate) add: bool,
}

/// `out[r][c] = Σ left[r][k] · panel[k][c]` for the rows `0..R` and the first
/// `tile.columns` columns, plus what was in `out` where `tile.add` says so.
///
/// # Safety
/// `left` is valid for reading `depth` floats in each of `R` rows, `panel` for
/// `depth · S::PANEL` floats, and `out` for writing `columns` floats in each of
/// `R` rows (and for reading them with `add`); `V` is `S::VECTORS` and `R` at most `S::ROWS`.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) unsafe fn tile<S: Simd, const R: usize, const V: usize>(simd: S, tile: Tile) {
    let Tile {
        left,
        left_stride,
        depth,
        mut panel,
        out,
        out_stride,
        columns,
        add,
    } = tile;
    const { assert!(V == S::VECTORS && R <= S::ROWS && S::PANEL <= MOST_PANEL) };
    let mut sums = [[simd.splat(0.0); V]; R];
    // In the loop, `add` and ranges would be checked in debug builds, which
    // makes it half as fast there.
    // SAFETY: all reads and writes are those that the caller promised.
    unsafe {
        let rows: [*const f32; R] = std::array::from_fn(|r| left.add(r * left_stride));
        let mut k = 0;
        while k < depth {
            let right: [S::V; V] =
                std::array::from_fn(|v| simd.read(panel.wrapping_add(v * S::LANES)));
            for r in 0..R {
                let factor = simd.read_splat(rows[r].wrapping_add(k));
                for v in 0..V {
                    sums[r][v] = simd.mul_add(factor, right[v], sums[r][v]);
                }
            }
            panel = panel.wrapping_add(S::PANEL);
            k += 1;
        }
        for (r, sums) in sums.iter().enumerate() {
            let out = out.add(r * out_stride);
            if columns == S::PANEL {
                for (v, &sum) in sums.iter().enumerate() {
                    let out = out.add(v * S::LANES);
                    let sum = if add {
                        simd.add(simd.read(out), sum)
                    } else {
                        sum
                    };
                    simd.write(out, sum);
                }
            } else {
                let mut floats = [0.0_f32; MOST_PANEL];
                for (v, &sum) in sums.iter().enumerate() {
                    simd.write(floats.as_mut_ptr().add(v * S::LANES), sum);
                }
                for (at, &sum) in floats[..columns].iter().enumerate() {
                    let out = out.add(at);
                    *out = if add { *out + sum } else { sum };
                }
            }
        }
    }
}

/// Calls [`tile`] with the number of rows as a constant.
macro_rules! tile_of_rows {
    ($simd:expr, $rows:expr, $tile:expr, $set:ident, $vectors:literal, [$($count:literal)*]) => {
        match $rows {
            $($count => gemm::tile::<$set, $count, $vectors>($simd, $tile),)*
            _ => unreachable!("{} rows in a tile", $rows),
        }
    };
}
pub(crate) use tile_of_rows;
