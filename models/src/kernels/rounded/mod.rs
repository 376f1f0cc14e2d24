//! Matrix products in integers: rows of activations, each rounded with a scale of its
//! own, times a matrix that was rounded column by column.
//!
//! out = s_row · (s_column · Σ q_row · q_column + z_row · s_column · Σ q_column), and
//! the sums are exact; z is what was subtracted from the row's numbers, so that they use
//! their whole range also where activations lean to one side. [`bytes`] are
//! the fastest where processors multiply them; [`words`] are nearly as exact as
//! floats, and up to twice as fast. Panels and tiles are those of [`super::gemm`]; a
//! step is as many rows of a panel as one instruction adds up.

pub(crate) mod bytes;
mod check;
pub(crate) mod left;
mod product;
mod right;
pub(crate) mod words;

pub(crate) use check::is_sound;
pub(crate) use right::PackedInts;

use super::gemm::MOST_PANEL;
use super::simd::Simd;

/// Most rows of one tile of any instruction set.
pub(crate) const MOST_ROWS: usize = 16;

/// A way to round. Rounded numbers are stored as the instructions want them.
pub(crate) trait Digits: Sized + 'static {
    /// Of the left side: the number plus [`Digits::SHIFT`].
    type Left: Copy + Default + Into<i32>;
    /// Of the right side.
    type Right: Copy + Default + Into<i32> + Send + Sync;
    /// For people.
    const NAME: &'static str;
    /// Products that are added at a time.
    const STEP: usize;
    /// What is added to the numbers of the left side.
    const SHIFT: i32;

    /// The factor that takes a vector with this largest magnitude and this length
    /// (√Σx²) to numbers of which no product is too large. Infinite for zeros.
    fn factor(largest: f32, length: f32) -> f32;

    /// The same for activations between `low` (0 at most) and `high` (0 at least), and
    /// the integer that is subtracted from what it gives.
    fn range(low: f32, high: f32, length: f32) -> (f32, f32);

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
    fn with_buffer(work: impl FnOnce(&mut left::Rounded<Self>));
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

/// Zeros are zeros times any factor.
#[inline(always)]
fn finite(factor: f32) -> f32 {
    if factor.is_finite() { factor } else { 1.0 }
}
