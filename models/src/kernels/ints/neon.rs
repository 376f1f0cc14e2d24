//! NEON, which every aarch64 processor has. The dot-product extension is not
//! used: its intrinsics are not stable in Rust.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use std::arch::aarch64::*;

use super::{IntKernel, Ints};

/// The instructions are part of the target, which is the SAFETY argument of
/// every block in this file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon;

/// Sums of four products each of 16 codes with 16 values.
#[inline(always)]
unsafe fn dot16<const SMALL: bool>(codes: uint8x16_t, values: int8x16_t) -> int32x4_t {
    unsafe {
        let (low, high) = if SMALL {
            let codes = vreinterpretq_s8_u8(codes);
            (
                vmull_s8(vget_low_s8(codes), vget_low_s8(values)),
                vmull_high_s8(codes, values),
            )
        } else {
            // Up to 255 · 127 fits 16 bits.
            let wide = |half| vreinterpretq_s16_u16(vmovl_u8(half));
            (
                vmulq_s16(wide(vget_low_u8(codes)), vmovl_s8(vget_low_s8(values))),
                vmulq_s16(wide(vget_high_u8(codes)), vmovl_s8(vget_high_s8(values))),
            )
        };
        vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high))
    }
}

impl Ints for Neon {
    type Codes = uint8x16x2_t;
    type Sums = float32x4x2_t;

    #[inline(always)]
    fn load(self, from: &[u8; 32]) -> uint8x16x2_t {
        unsafe {
            uint8x16x2_t(
                vld1q_u8(from.as_ptr()),
                vld1q_u8(from.as_ptr().wrapping_add(16)),
            )
        }
    }
    #[inline(always)]
    fn nibbles(self, from: &[u8; 16]) -> uint8x16x2_t {
        unsafe {
            let bytes = vld1q_u8(from.as_ptr());
            uint8x16x2_t(vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes))
        }
    }
    #[inline(always)]
    fn low(self, codes: uint8x16x2_t) -> uint8x16x2_t {
        unsafe {
            let mask = vdupq_n_u8(15);
            uint8x16x2_t(vandq_u8(codes.0, mask), vandq_u8(codes.1, mask))
        }
    }
    #[inline(always)]
    fn high(self, codes: uint8x16x2_t) -> uint8x16x2_t {
        unsafe { uint8x16x2_t(vshrq_n_u8::<4>(codes.0), vshrq_n_u8::<4>(codes.1)) }
    }
    #[inline(always)]
    fn unsign(self, codes: uint8x16x2_t) -> uint8x16x2_t {
        unsafe {
            let sign = vdupq_n_u8(128);
            uint8x16x2_t(veorq_u8(codes.0, sign), veorq_u8(codes.1, sign))
        }
    }
    #[inline(always)]
    fn add_bits(self, low: uint8x16x2_t, high: uint8x16x2_t, pair: usize) -> uint8x16x2_t {
        unsafe {
            // Bits 2·pair and the next one move to bits 4 and 5.
            let by = vdupq_n_s8(4 - 2 * pair as i8);
            let mask = vdupq_n_u8(0x30);
            let bits = |low, high| vorrq_u8(low, vandq_u8(vshlq_u8(high, by), mask));
            uint8x16x2_t(bits(low.0, high.0), bits(low.1, high.1))
        }
    }

    #[inline(always)]
    fn dot<const SMALL: bool>(self, codes: uint8x16x2_t, values: &[i8; 32]) -> float32x4x2_t {
        unsafe {
            let first = vld1q_s8(values.as_ptr());
            let second = vld1q_s8(values.as_ptr().wrapping_add(16));
            float32x4x2_t(
                vcvtq_f32_s32(dot16::<SMALL>(codes.0, first)),
                vcvtq_f32_s32(dot16::<SMALL>(codes.1, second)),
            )
        }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4x2_t {
        unsafe { float32x4x2_t(vdupq_n_f32(x), vdupq_n_f32(x)) }
    }
    #[inline(always)]
    fn halves(self, first: f32, second: f32) -> float32x4x2_t {
        unsafe { float32x4x2_t(vdupq_n_f32(first), vdupq_n_f32(second)) }
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4x2_t, b: float32x4x2_t, c: float32x4x2_t) -> float32x4x2_t {
        unsafe { float32x4x2_t(vfmaq_f32(c.0, a.0, b.0), vfmaq_f32(c.1, a.1, b.1)) }
    }
    #[inline(always)]
    fn sum(self, sums: float32x4x2_t) -> f32 {
        unsafe { vaddvq_f32(vaddq_f32(sums.0, sums.1)) }
    }

    #[inline]
    fn run<K: IntKernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}
