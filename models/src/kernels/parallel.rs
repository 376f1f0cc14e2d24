//! Products, attention and normalisation on the threads of the rayon pool that
//! the caller is in: cut by columns where there are few tokens, and by rows
//! where there are many.

use rayon::prelude::*;

use super::attention::Head;
use super::gemm::{Finish, Packed, Product, Right, even_parts};
use super::rounded::bytes::Int8;
use super::rounded::words::Int16;
use super::rounded::{PackedInts, is_sound};
use super::rows::{AddNorm, Norm};
use super::simd::Level;
use crate::Precision;

/// Most rows of a product that are one task.
const ROWS_PER_TASK: usize = 96;

/// Multiply-adds that are worth a task of their own.
const LEAST_TASK: usize = 1 << 19;

/// The right side of a product, as floats or rounded.
pub(crate) struct Matrix(Box<dyn Right>);

impl Matrix {
    /// Rounds as `precision` asks, where this machine multiplies what comes of it
    /// right, and packs a matrix given by its entries, for use with `level`.
    pub(crate) fn pack(
        level: Level,
        precision: Precision,
        depth: usize,
        columns: usize,
        entry: impl Fn(usize, usize) -> f32,
    ) -> Self {
        Self(match precision {
            Precision::Int8 if is_sound::<Int8>(level) => {
                Box::new(PackedInts::<Int8>::new(level, depth, columns, entry))
            }
            Precision::Auto if level.multiplies_words() && is_sound::<Int16>(level) => {
                Box::new(PackedInts::<Int16>::new(level, depth, columns, entry))
            }
            _ => Box::new(Packed::new(level, depth, columns, entry)),
        })
    }

    /// Of its numbers, for people.
    pub(crate) fn arithmetic(&self) -> &'static str {
        self.0.arithmetic()
    }
}

/// The rows of `left` times `linear`, into the first rows of `out`.
pub(crate) fn product(
    level: Level,
    left: &[f32],
    linear: &Matrix,
    finish: Finish<'_>,
    out: &mut [f32],
) {
    let right = &*linear.0;
    let (depth, columns) = (right.depth(), right.columns());
    let rows = left.len() / depth;
    assert!(out.len() >= rows * columns);
    let work = left.len() * columns;
    let row_parts = rows.div_ceil(ROWS_PER_TASK).max(1);
    // Twice the threads, so that a slow one can be helped.
    let tasks = (2 * rayon::current_num_threads())
        .min(work / LEAST_TASK)
        .max(1);
    let panel_parts = tasks.div_ceil(row_parts).min(right.panels());
    let parts: Vec<_> = even_parts(rows, ROWS_PER_TASK)
        .flat_map(|rows| {
            even_parts(right.panels(), right.panels().div_ceil(panel_parts))
                .map(move |panels| (rows.clone(), panels))
        })
        .collect();
    let out = Shared(out.as_mut_ptr());
    for_each(parts, |(rows, panels)| {
        let left = &left[rows.start * depth..rows.end * depth];
        // SAFETY: row `rows.start` is inside `out`, see the assertion above; the
        // parts cover disjoint rectangles of it.
        #[allow(unsafe_code)]
        unsafe {
            Product {
                left,
                right,
                panels,
                finish,
                out: out.at(rows.start * columns),
                out_stride: columns,
            }
            .run(level);
        }
    });
}

/// `rows = norm(rows + residual + bias)`.
pub(crate) fn add_norm(
    level: Level,
    rows: &mut [f32],
    residual: &[f32],
    bias: &[f32],
    norm: &Norm,
) {
    let part = ROWS_PER_TASK * norm.gain.len();
    let parts: Vec<_> = rows.chunks_mut(part).zip(residual.chunks(part)).collect();
    for_each(parts, |(rows, residual)| {
        level.run(AddNorm {
            rows,
            residual,
            bias: Some(bias),
            norm,
        });
    });
}

/// Every head of every sequence; `starts` are their first tokens, and the
/// number of all tokens at the end.
pub(crate) fn attention(
    level: Level,
    projected: &[f32],
    starts: &[usize],
    hidden: usize,
    heads: usize,
    out: &mut [f32],
) {
    assert!(out.len() >= starts.last().map_or(0, |tokens| tokens * hidden));
    let all: Vec<_> = starts
        .windows(2)
        .flat_map(|ends| (0..heads).map(move |head| (ends[0]..ends[1], head)))
        .collect();
    let out = Shared(out.as_mut_ptr());
    let longest = starts
        .windows(2)
        .map(|ends| ends[1] - ends[0])
        .max()
        .unwrap_or(0);
    let together = LEAST_TASK / (longest * longest * hidden / heads).max(1);
    all.into_par_iter()
        .with_min_len(together.max(1))
        .for_each(|(tokens, head)| {
            let head = Head {
                projected: &projected[3 * hidden * tokens.start..3 * hidden * tokens.end],
                tokens: tokens.len(),
                hidden,
                head,
                size: hidden / heads,
                // SAFETY: row `tokens.start` is inside `out`, see the assertion above.
                #[allow(unsafe_code)]
                out: unsafe { out.at(tokens.start * hidden) },
            };
            // SAFETY: each head of each sequence has columns and rows of its own.
            #[allow(unsafe_code)]
            unsafe {
                head.run(level);
            }
        });
}

/// Runs `task` on all `parts`, on the threads of the pool when there are several.
fn for_each<T: Send>(parts: Vec<T>, task: impl Fn(T) + Send + Sync) {
    if parts.len() == 1 {
        parts.into_iter().for_each(task);
    } else {
        parts.into_par_iter().for_each(task);
    }
}

/// A pointer into a buffer whose parts are written by several threads.
struct Shared(*mut f32);

// SAFETY: tasks write disjoint parts, each at the place where it uses the pointer.
#[allow(unsafe_code)]
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    /// `offset` must not be beyond the end of the buffer.
    #[allow(unsafe_code)]
    unsafe fn at(&self, offset: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(offset) }
    }
}
