//! Sixteen bits. One instruction multiplies pairs of words and adds the two products
//! to 32 bits: twice as many products at a time as floats have, in arithmetic that
//! is exact.
//!
//! The sums must fit an i32. By the inequality of Cauchy and Schwarz no sum of
//! products, and no part of one, is larger than the product of the two vectors'
//! lengths; so every vector is scaled to a length of at most √2^31, less what its
//! rounding can add. Vectors of 384 numbers keep 13 to 14 bits that way, and texts
//! their vectors to a cosine of 1 - 1e-7.

use std::cell::RefCell;

use super::left::Rounded;
use super::{Digits, Tile, finite};
use crate::kernels::simd::Simd;

/// √2^31 is 46,340; rounding adds at most half of √depth to a length, which is less
/// than the difference up to a depth of 400,000.
const MOST_LENGTH: f32 = 46_000.0;

thread_local! {
    static BUFFER: RefCell<Rounded<Int16>> = RefCell::default();
}

/// Numbers of sixteen bits.
pub(crate) struct Int16;

impl Digits for Int16 {
    type Left = i16;
    type Right = i16;
    const NAME: &'static str = "int16";
    const STEP: usize = 2;
    const SHIFT: i32 = 0;

    #[inline(always)]
    fn factor(largest: f32, length: f32) -> f32 {
        (MOST_LENGTH / length).min(32_767.0 / largest)
    }

    #[inline(always)]
    fn range(low: f32, high: f32, length: f32) -> (f32, f32) {
        (finite(Self::factor(high.max(-low), length)), 0.0)
    }

    #[inline(always)]
    fn left(low_bits: u32) -> i16 {
        low_bits as i16
    }

    fn right(number: i32) -> i16 {
        number as i16
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn tile<S: Simd>(simd: S, rows: usize, tile: Tile<'_, Self>) {
        // SAFETY: the caller's promise.
        unsafe { simd.word_tile(rows, tile) }
    }

    fn with_buffer(work: impl FnOnce(&mut Rounded<Self>)) {
        BUFFER.with_borrow_mut(work);
    }
}
