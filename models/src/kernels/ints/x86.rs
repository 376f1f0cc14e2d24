//! AVX2, and the dot products of bytes that came after it (VNNI), in their two
//! encodings.
//!
//! The intrinsics need their instruction set; a value of a type in this file
//! exists only where it was detected, which is the SAFETY argument of every
//! block.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use std::arch::x86_64::*;

use super::{IntKernel, Ints};

/// VNNI as a part of AVX-512.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Vnni(());

/// VNNI without AVX-512.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AvxVnni(());

/// AVX2, FMA and conversions of half floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx512Vnni {
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw");
        (found && Avx2::detect().is_some()).then_some(Self(()))
    }
}

impl AvxVnni {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avxvnni") && Avx2::detect().is_some()).then_some(Self(()))
    }
}

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

#[inline(always)]
unsafe fn load_values(values: &[i8; 32]) -> __m256i {
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

/// Sums of four products each. Where every code is below 128, two products fit
/// 16 bits; otherwise both sides are widened first.
#[inline(always)]
unsafe fn dot_avx2<const SMALL: bool>(codes: __m256i, values: __m256i) -> __m256i {
    unsafe {
        let ones = _mm256_set1_epi16(1);
        if SMALL {
            return _mm256_madd_epi16(_mm256_maddubs_epi16(codes, values), ones);
        }
        // Each half of eight products: sums of two, then of four.
        let low = |v| _mm256_castsi256_si128(v);
        let high = |v| _mm256_extracti128_si256::<1>(v);
        let first = _mm256_madd_epi16(
            _mm256_cvtepu8_epi16(low(codes)),
            _mm256_cvtepi8_epi16(low(values)),
        );
        let second = _mm256_madd_epi16(
            _mm256_cvtepu8_epi16(high(codes)),
            _mm256_cvtepi8_epi16(high(values)),
        );
        // hadd works within 128-bit lanes; the permutation puts codes 0..16 first.
        _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(first, second))
    }
}

/// Everything but the dot product is the same for the three types.
macro_rules! ints {
    ($type:ident, $features:literal, |$codes:ident, $values:ident| $dot:expr) => {
        impl Ints for $type {
            type Codes = __m256i;
            type Sums = __m256;

            #[inline(always)]
            fn load(self, from: &[u8; 32]) -> __m256i {
                unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
            }
            #[inline(always)]
            fn nibbles(self, from: &[u8; 16]) -> __m256i {
                unsafe {
                    let bytes = _mm_loadu_si128(from.as_ptr().cast());
                    let shifted = _mm_srli_epi16::<4>(bytes);
                    self.low(_mm256_set_m128i(shifted, bytes))
                }
            }
            #[inline(always)]
            fn low(self, codes: __m256i) -> __m256i {
                unsafe { _mm256_and_si256(codes, _mm256_set1_epi8(15)) }
            }
            #[inline(always)]
            fn high(self, codes: __m256i) -> __m256i {
                unsafe { self.low(_mm256_srli_epi16::<4>(codes)) }
            }
            #[inline(always)]
            fn unsign(self, codes: __m256i) -> __m256i {
                unsafe { _mm256_xor_si256(codes, _mm256_set1_epi8(-128)) }
            }
            #[inline(always)]
            fn add_bits(self, low: __m256i, high: __m256i, pair: usize) -> __m256i {
                unsafe {
                    // Bits 2·pair and the next one move to bits 4 and 5.
                    let moved = match pair {
                        0 => _mm256_slli_epi16::<4>(high),
                        1 => _mm256_slli_epi16::<2>(high),
                        2 => high,
                        _ => _mm256_srli_epi16::<2>(high),
                    };
                    _mm256_or_si256(low, _mm256_and_si256(moved, _mm256_set1_epi8(0x30)))
                }
            }

            #[inline(always)]
            fn dot<const SMALL: bool>(self, $codes: __m256i, values: &[i8; 32]) -> __m256 {
                unsafe {
                    let $values = load_values(values);
                    _mm256_cvtepi32_ps($dot)
                }
            }

            #[inline(always)]
            fn splat(self, x: f32) -> __m256 {
                unsafe { _mm256_set1_ps(x) }
            }
            #[inline(always)]
            fn halves(self, first: f32, second: f32) -> __m256 {
                unsafe { _mm256_set_m128(_mm_set1_ps(second), _mm_set1_ps(first)) }
            }
            #[inline(always)]
            fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
                unsafe { _mm256_fmadd_ps(a, b, c) }
            }
            #[inline(always)]
            fn sum(self, sums: __m256) -> f32 {
                unsafe {
                    let four = _mm_add_ps(
                        _mm256_castps256_ps128(sums),
                        _mm256_extractf128_ps::<1>(sums),
                    );
                    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
                }
            }

            #[inline]
            fn run<K: IntKernel>(self, kernel: K) -> K::Output {
                #[target_feature(enable = $features)]
                unsafe fn compiled<K: IntKernel>(ints: $type, kernel: K) -> K::Output {
                    kernel.run(ints)
                }
                unsafe { compiled(self, kernel) }
            }
        }
    };
}

ints!(
    Avx512Vnni,
    "avx512f,avx512vl,avx512bw,avx512vnni,avx2,fma,f16c",
    |codes, values| _mm256_dpbusd_epi32(_mm256_setzero_si256(), codes, values)
);
ints!(AvxVnni, "avxvnni,avx2,fma,f16c", |codes, values| {
    _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), codes, values)
});
ints!(Avx2, "avx2,fma,f16c", |codes, values| dot_avx2::<SMALL>(
    codes, values
));
