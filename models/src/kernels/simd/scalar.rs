//! One lane: the twin that the others are tested against, and the fallback.

use super::{Kernel, Simd};
use crate::kernels::gemm::{self, Tile, tile_of_rows};

/// Plain floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

impl Simd for Scalar {
    type V = f32;
    const LANES: usize = 1;
    const ROWS: usize = 4;
    const VECTORS: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> f32 {
        x
    }
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn read(self, from: *const f32) -> f32 {
        // SAFETY: the caller gives a pointer to at least one float.
        unsafe { *from }
    }
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn read_splat(self, from: *const f32) -> f32 {
        // SAFETY: the caller gives a pointer to at least one float.
        unsafe { *from }
    }
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn write(self, to: *mut f32, v: f32) {
        // SAFETY: the caller gives a pointer to at least one float.
        unsafe { *to = v }
    }
    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    fn min(self, a: f32, b: f32) -> f32 {
        a.min(b)
    }
    #[inline(always)]
    fn max(self, a: f32, b: f32) -> f32 {
        a.max(b)
    }
    #[inline(always)]
    fn sqrt(self, v: f32) -> f32 {
        v.sqrt()
    }
    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        // `f32::mul_add` is a slow library call where it is not an instruction.
        a * b + c
    }
    #[inline(always)]
    fn round(self, v: f32) -> f32 {
        v.round_ties_even()
    }
    #[inline(always)]
    fn power_of_two(self, n: f32) -> f32 {
        f32::from_bits(((n as i32 + 127) as u32) << 23)
    }

    #[inline]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn tile(self, rows: usize, tile: Tile) {
        // SAFETY: the caller keeps the promises of `gemm::tile`.
        unsafe { tile_of_rows!(self, rows, tile, Scalar, 8, [1 2 3 4]) }
    }
}
