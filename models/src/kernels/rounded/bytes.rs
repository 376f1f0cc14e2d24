//! Eight bits: numbers in -127..=127. The instruction multiplies unsigned by signed
//! bytes and adds four products at a time, so the left side is stored plus 128.
//!
//! A row of activations is moved to the middle of its range before it is rounded: after
//! GELU nearly all are positive, and after normalisation one or two are far out on one
//! side. Texts keep their vectors to a cosine of .9989 that way, and of .9977 without.

use std::cell::RefCell;

use super::left::Rounded;
use super::{Digits, Tile, finite};
use crate::kernels::simd::Simd;

thread_local! {
    static BUFFER: RefCell<Rounded<Int8>> = RefCell::default();
}

/// Numbers of eight bits.
pub(crate) struct Int8;

impl Digits for Int8 {
    type Left = u8;
    type Right = i8;
    const NAME: &'static str = "int8";
    const STEP: usize = 4;
    const SHIFT: i32 = 128;

    // 255 · 127 · depth fits an i32 up to a depth of 66,000.
    #[inline(always)]
    fn factor(largest: f32, _length: f32) -> f32 {
        127.0 / largest
    }

    #[inline(always)]
    fn range(low: f32, high: f32, _length: f32) -> (f32, f32) {
        // Half a step less than 127, since the middle is rounded too.
        let factor = finite(126.5 / (0.5 * (high - low)));
        (factor, (0.5 * (high + low) * factor).round_ties_even())
    }

    #[inline(always)]
    fn left(low_bits: u32) -> u8 {
        low_bits as u8 ^ 128
    }

    fn right(number: i32) -> i8 {
        number as i8
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn tile<S: Simd>(simd: S, rows: usize, tile: Tile<'_, Self>) {
        // SAFETY: the caller's promise.
        unsafe { simd.byte_tile(rows, tile) }
    }

    fn with_buffer(work: impl FnOnce(&mut Rounded<Self>)) {
        BUFFER.with_borrow_mut(work);
    }
}
