//! Matrix products in integers: rows of activations, each rounded with a scale of its
//! own, times a matrix that was rounded column by column.
//!
//! out = s_row · s_column · Σ q_row · q_column, and the sum is exact. [`bytes`] are
//! the fastest where processors multiply them; [`words`] are nearly as exact as
//! floats, at twice their speed. Panels and tiles are those of [`super::gemm`]; a
//! step is as many rows of a panel as one instruction adds up.

pub(crate) mod bytes;
pub(crate) mod words;

use super::gelu::gelu;
use super::gemm::{Finish, MOST_PANEL, even_parts};
use super::simd::{Kernel, Level, Simd};

/// Most rows of one tile of any instruction set.
pub(crate) const MOST_ROWS: usize = 16;

/// A way to round. Rounded numbers are stored as the instructions want them.
pub(crate) trait Digits: Sized + 'static {
    /// Of the left side: the number plus [`Digits::SHIFT`].
    type Left: Copy + Default + Into<i32>;
    /// Of the right side.
    type Right: Copy + Default + Into<i32> + Send + Sync;
    /// Products that are added at a time.
    const STEP: usize;
    /// What is added to the numbers of the left side.
    const SHIFT: i32;

    /// The factor that takes a vector with this largest magnitude and this length
    /// (√Σx²) to numbers of which no product is too large. Infinite for zeros.
    fn factor(largest: f32, length: f32) -> f32;

    /// The number in the low bits of a two's complement, plus [`Digits::SHIFT`].
    fn left(low_bits: u32) -> Self::Left;

    /// `number` comes from a vector times its [`Digits::factor`].
    fn right(number: i32) -> Self::Right;

    /// Multiplies one tile.
    ///
    /// # Safety
    /// As for [`plain_tile`] with panels of [`Simd::PANEL`], and `rows` is at most
    /// [`Simd::ROWS`].
    #[allow(unsafe_code)]
    unsafe fn tile<S: Simd>(simd: S, rows: usize, tile: Tile<'_, Self>);

    /// Calls `work` with a buffer of this thread.
    fn with_buffer(work: impl FnOnce(&mut Rounded<Self>));
}

/// Rows of activations, rounded.
pub(crate) struct Rounded<D: Digits> {
    /// Tile by tile, `[depth / STEP, rows of the tile, STEP]`: as a tile reads them.
    numbers: Vec<D::Left>,
    /// One for each row.
    scales: Vec<f32>,
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

/// A `depth × columns` matrix of integers, cut into panels.
pub(crate) struct PackedInts<D: Digits> {
    depth: usize,
    columns: usize,
    panel: usize,
    /// Panel by panel, `[depth / STEP, panel, STEP]`; zeros beyond both sizes.
    numbers: Vec<D::Right>,
    /// One for each column, zeros beyond.
    scales: Vec<f32>,
    /// What each column's sums start at, zeros beyond: minus `SHIFT` times the sum of
    /// the column, which is what the shift adds.
    starts: Vec<i32>,
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
            starts[column] = -D::SHIFT * sum;
        }
        Self {
            depth,
            columns,
            panel,
            numbers,
            scales,
            starts,
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn panels(&self) -> usize {
        self.columns.div_ceil(self.panel)
    }
}

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

impl Finish<'_> {
    /// Stores as much of `product`, from column `at` on, as `out` has room for.
    #[inline(always)]
    fn store<S: Simd>(self, simd: S, product: S::V, at: usize, out: &mut [f32]) {
        let full = out.len() == S::LANES;
        let biased = |bias: &[f32]| {
            let bias = &bias[at..][..out.len()];
            simd.add(
                product,
                if full {
                    simd.load(bias)
                } else {
                    simd.load_part(bias, 0.0)
                },
            )
        };
        let product = match self {
            Self::Plain => product,
            Self::Bias(bias) => biased(bias),
            Self::BiasGelu(bias) => gelu(simd, biased(bias)),
        };
        if full {
            simd.store(out, product);
        } else {
            simd.store_part(out, product);
        }
    }
}

/// Rounds each row of `depth` floats; rows are filled up to `stride` with what the
/// panels multiply by zero.
#[inline(always)]
fn round<S: Simd, D: Digits>(
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

/// Zeros are zeros times any factor.
#[inline(always)]
fn finite(factor: f32) -> f32 {
    if factor.is_finite() { factor } else { 1.0 }
}

/// Addresses of one tile: a few rows of the left side, one panel of the right.
pub(crate) struct Tile<'a, D: Digits> {
    /// `[steps, rows, STEP]`.
    pub(crate) left: *const D::Left,
    /// Groups of [`Digits::STEP`] numbers of a row.
    pub(crate) steps: usize,
    /// `[steps, columns, STEP]`.
    pub(crate) panel: *const D::Right,
    /// What the sums of each column start at.
    pub(crate) starts: *const i32,
    /// Overwritten.
    pub(crate) sums: &'a mut [[i32; MOST_PANEL]; MOST_ROWS],
}

/// The tile in plain arithmetic: the twin, and the fallback.
///
/// # Safety
/// `left` is valid for reading `STEP · steps · rows` numbers, `panel` for `STEP ·
/// steps · width` and `starts` for `width`; `rows` are at most [`MOST_ROWS`], and
/// `width` at most [`MOST_PANEL`].
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) unsafe fn plain_tile<D: Digits>(rows: usize, width: usize, tile: Tile<'_, D>) {
    for (row, sums) in tile.sums[..rows].iter_mut().enumerate() {
        // SAFETY: here and below, inside what the caller promised.
        sums[..width].copy_from_slice(unsafe { std::slice::from_raw_parts(tile.starts, width) });
        for k in 0..tile.steps * D::STEP {
            let (step, within) = (k / D::STEP, k % D::STEP);
            let at = |width: usize, of: usize| (step * width + of) * D::STEP + within;
            // SAFETY: as above.
            let left: i32 = unsafe { *tile.left.add(at(rows, row)) }.into();
            for (column, sum) in sums[..width].iter_mut().enumerate() {
                // SAFETY: as above.
                let right: i32 = unsafe { *tile.panel.add(at(width, column)) }.into();
                *sum += left * right;
            }
        }
    }
}
