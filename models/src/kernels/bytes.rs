//! Matrix products in 8 bits: rows of activations, each rounded to bytes with a
//! scale of its own, times a matrix that was rounded column by column.
//!
//! With q in -127..=127 for both sides, out = s_row · s_column · Σ q_row · q_column.
//! The instruction multiplies unsigned by signed bytes and adds four products at a
//! time, so a row is stored as q + 128 and 128 · Σ q_column is taken off again.
//! Panels and tiles are those of [`super::gemm`]; a step is four rows of a panel.

use std::cell::RefCell;

use super::gemm::{Finish, MOST_PANEL, even_parts};
use super::simd::{Kernel, Level, Simd};
use super::{gelu, rows};

/// Products that are added at a time.
const STEP: usize = 4;

/// Most rows of one tile of any instruction set.
pub(crate) const MOST_ROWS: usize = 16;

thread_local! {
    static ROUNDED: RefCell<Rounded> = RefCell::default();
}

/// Rows of activations as bytes.
#[derive(Default)]
struct Rounded {
    bytes: Vec<u8>,
    scales: Vec<f32>,
}

/// A `depth × columns` matrix of bytes, cut into panels.
pub(crate) struct PackedBytes {
    depth: usize,
    columns: usize,
    panel: usize,
    /// Panel by panel, `[depth / 4, panel, 4]`; zeros beyond both sizes.
    bytes: Vec<i8>,
    /// One for each column.
    scales: Vec<f32>,
    /// 128 times the sum of each column's bytes.
    offsets: Vec<i32>,
}

impl PackedBytes {
    /// Rounds and packs a matrix given by its entries, for use with `level`.
    pub(crate) fn new(
        level: Level,
        depth: usize,
        columns: usize,
        entry: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let panel = level.panel();
        let steps = depth.div_ceil(STEP);
        let mut bytes = vec![0; steps * STEP * columns.next_multiple_of(panel)];
        let (mut scales, mut offsets) = (Vec::new(), Vec::new());
        for column in 0..columns {
            let largest = (0..depth)
                .map(|k| entry(k, column).abs())
                .fold(0.0_f32, f32::max);
            let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            let start = column / panel * steps * STEP * panel + column % panel * STEP;
            let mut sum = 0;
            for k in 0..depth {
                let byte = (entry(k, column) / scale).round_ties_even() as i8;
                bytes[start + k / STEP * STEP * panel + k % STEP] = byte;
                sum += i32::from(byte);
            }
            scales.push(scale);
            offsets.push(128 * sum);
        }
        Self {
            depth,
            columns,
            panel,
            bytes,
            scales,
            offsets,
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

/// Part of a product: `rows` of the left side with the `panels` of the right.
pub(crate) struct ByteProduct<'a> {
    /// `rows × depth`, row by row.
    pub(crate) left: &'a [f32],
    pub(crate) right: &'a PackedBytes,
    pub(crate) panels: std::ops::Range<usize>,
    pub(crate) finish: Finish<'a>,
    /// Where row 0, column 0 of the product goes.
    pub(crate) out: *mut f32,
    /// Floats from one row of the product to the next.
    pub(crate) out_stride: usize,
}

impl ByteProduct<'_> {
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
        ROUNDED.with_borrow_mut(|rounded| level.run(WithBuffer(self, rounded)));
    }
}

struct WithBuffer<'a, 'b>(ByteProduct<'a>, &'b mut Rounded);

impl Kernel for WithBuffer<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(
            ByteProduct {
                left,
                right,
                panels,
                finish,
                out,
                out_stride,
            },
            rounded,
        ) = self;
        let steps = right.depth.div_ceil(STEP);
        let stride = steps * STEP;
        round(simd, left, right.depth, stride, rounded);
        let count = rounded.scales.len();
        for panel in panels {
            let column = panel * S::PANEL;
            let columns = S::PANEL.min(right.columns - column);
            for tile in even_parts(count, S::ROWS) {
                let mut sums = [[0_i32; MOST_PANEL]; MOST_ROWS];
                // SAFETY: `round` made `count` rows of `stride` bytes, and every
                // panel has `steps` steps; the sums have room for a whole tile.
                #[allow(unsafe_code)]
                unsafe {
                    simd.byte_tile(
                        tile.len(),
                        ByteTile {
                            left: rounded.bytes.as_ptr().add(tile.start * stride),
                            left_stride: stride,
                            steps,
                            panel: right.bytes.as_ptr().add(panel * stride * S::PANEL),
                            sums: &mut sums,
                        },
                    );
                }
                let offsets = &right.offsets[column..][..columns];
                let scales = &right.scales[column..][..columns];
                for (row, sums) in tile.zip(&sums) {
                    // SAFETY: the caller promised these columns of all rows.
                    #[allow(unsafe_code)]
                    let out = unsafe {
                        std::slice::from_raw_parts_mut(out.add(row * out_stride + column), columns)
                    };
                    let scale = rounded.scales[row];
                    for at in 0..columns {
                        out[at] = (sums[at] - offsets[at]) as f32 * (scale * scales[at]);
                    }
                    match finish {
                        Finish::Plain => {}
                        Finish::Bias(bias) => rows::add(simd, out, &bias[column..]),
                        Finish::BiasGelu(bias) => gelu::bias_gelu(simd, out, &bias[column..]),
                    }
                }
            }
        }
    }
}

/// Rounds each row of `depth` floats to bytes, 128 more than they are; rows are
/// filled up to `stride` with what the panels multiply by zero.
#[inline(always)]
fn round<S: Simd>(simd: S, left: &[f32], depth: usize, stride: usize, rounded: &mut Rounded) {
    let count = left.len() / depth;
    rounded.bytes.resize(count * stride, 0);
    rounded.scales.resize(count, 0.0);
    let outs = rounded.bytes.chunks_exact_mut(stride);
    for ((row, bytes), scale) in left.chunks_exact(depth).zip(outs).zip(&mut rounded.scales) {
        let mut largest = simd.splat(0.0);
        let chunks = row.chunks_exact(S::LANES);
        let rest = simd.load_part(chunks.remainder(), 0.0);
        for chunk in chunks {
            largest = simd.max(largest, absolute(simd, simd.load(chunk)));
        }
        let largest = simd.largest(simd.max(largest, absolute(simd, rest)));
        *scale = largest / 127.0;
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        for (byte, x) in bytes.iter_mut().zip(row) {
            // 1.5 · 2^23 is so large that the sum is rounded to an integer,
            // whose two's complement is in its low bits.
            let bits = (x * inverse + 12_582_912.0).to_bits();
            *byte = bits as u8 ^ 128;
        }
    }
}

#[inline(always)]
fn absolute<S: Simd>(simd: S, v: S::V) -> S::V {
    simd.max(v, simd.sub(simd.splat(0.0), v))
}

/// Addresses of one tile: a few rows of bytes, one panel of the right side.
pub(crate) struct ByteTile<'a> {
    pub(crate) left: *const u8,
    /// Bytes from one row of the left side to the next.
    pub(crate) left_stride: usize,
    /// Groups of four bytes of a row.
    pub(crate) steps: usize,
    pub(crate) panel: *const i8,
    pub(crate) sums: &'a mut [[i32; MOST_PANEL]; MOST_ROWS],
}

/// The tile in plain arithmetic: the twin, and the fallback.
///
/// # Safety
/// `left` is valid for reading `4 · steps` bytes in each of `rows` rows, which
/// are at most [`MOST_ROWS`], and `panel` for `4 · steps · width` bytes; `width` is
/// at most [`MOST_PANEL`].
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) unsafe fn plain_tile(rows: usize, width: usize, tile: ByteTile<'_>) {
    for (row, sums) in tile.sums[..rows].iter_mut().enumerate() {
        for k in 0..tile.steps * STEP {
            // SAFETY: inside what the caller promised.
            let left = i32::from(unsafe { *tile.left.add(row * tile.left_stride + k) });
            for (column, sum) in sums[..width].iter_mut().enumerate() {
                let at = (k / STEP * width + column) * STEP + k % STEP;
                // SAFETY: inside what the caller promised.
                *sum += left * i32::from(unsafe { *tile.panel.add(at) });
            }
        }
    }
}
