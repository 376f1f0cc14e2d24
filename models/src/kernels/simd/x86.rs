//! AVX-512 and AVX2 with FMA.
//!
//! The intrinsics need their instruction set; a value of [`Avx512`] or
//! [`Avx2`] exists only where it was detected, which is the SAFETY argument of
//! every block in this file.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use std::arch::x86_64::*;

use super::{Kernel, Simd, tiles};
use crate::kernels::gemm::{self, Tile, tile_of_rows};
use crate::kernels::rounded::{self, bytes::Int8, words::Int16};

/// AVX-512 F: 16 lanes, 32 registers; and whether there is VNNI too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512 {
    vnni: bool,
}

/// AVX2 and FMA: 8 lanes, 16 registers; and whether there is AVX-VNNI too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2 {
    vnni: bool,
}

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self {
            vnni: is_x86_feature_detected!("avx512vnni"),
        })
    }

    pub(crate) fn has_vnni(self) -> bool {
        self.vnni
    }
}

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Self {
            vnni: is_x86_feature_detected!("avxvnni"),
        })
    }

    pub(crate) fn has_vnni(self) -> bool {
        self.vnni
    }
}

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    // 24 sums, 2 vectors of the panel and the factor of a row: 27 registers.
    const ROWS: usize = 12;
    const VECTORS: usize = 2;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn read(self, from: *const f32) -> __m512 {
        // The same instruction as `_mm512_loadu_ps`, without its checks of the
        // pointer in debug builds, which make a product half as fast.
        unsafe { _mm512_maskz_loadu_ps(!0, from) }
    }
    #[inline(always)]
    unsafe fn read_splat(self, from: *const f32) -> __m512 {
        unsafe { _mm512_broadcastss_ps(_mm_load_ss(from)) }
    }
    #[inline(always)]
    unsafe fn write(self, to: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(to, v) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, v: __m512) -> __m512 {
        unsafe { _mm512_sqrt_ps(v) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn round(self, v: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v) }
    }
    #[inline(always)]
    fn power_of_two(self, n: __m512) -> __m512 {
        unsafe {
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
    }
    #[inline(always)]
    fn load_ints(self, from: &[i32]) -> __m512 {
        let from = from[..16].as_ptr();
        unsafe { _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(!0, from)) }
    }
    #[inline(always)]
    fn sum(self, v: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(v) }
    }
    #[inline(always)]
    fn largest(self, v: __m512) -> f32 {
        unsafe { _mm512_reduce_max_ps(v) }
    }

    #[inline]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx2,fma")]
        unsafe fn compiled<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    unsafe fn tile(self, rows: usize, tile: Tile) {
        // A function of its own: one copy for all products.
        #[target_feature(enable = "avx512f,avx2,fma")]
        unsafe fn compiled(simd: Avx512, rows: usize, tile: Tile) {
            unsafe { tile_of_rows!(simd, rows, tile, Avx512, 2, [1 2 3 4 5 6 7 8 9 10 11 12]) }
        }
        unsafe { compiled(self, rows, tile) }
    }

    #[inline(always)]
    unsafe fn byte_tile(self, rows: usize, tile: rounded::Tile<'_, Int8>) {
        match self.vnni {
            true => unsafe { tiles::bytes_512(rows, tile) },
            false => unsafe { rounded::plain_tile(rows, Self::PANEL, tile) },
        }
    }

    #[inline(always)]
    unsafe fn word_tile(self, rows: usize, tile: rounded::Tile<'_, Int16>) {
        match self.vnni {
            true => unsafe { tiles::words_512(rows, tile) },
            false => unsafe { rounded::plain_tile(rows, Self::PANEL, tile) },
        }
    }
}

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    // 12 sums, 2 vectors of the panel and the factor of a row: 15 registers.
    const ROWS: usize = 6;
    const VECTORS: usize = 2;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn read(self, from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn read_splat(self, from: *const f32) -> __m256 {
        unsafe { _mm256_broadcastss_ps(_mm_load_ss(from)) }
    }
    #[inline(always)]
    unsafe fn write(self, to: *mut f32, v: __m256) {
        unsafe { _mm256_storeu_ps(to, v) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, v: __m256) -> __m256 {
        unsafe { _mm256_sqrt_ps(v) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn round(self, v: __m256) -> __m256 {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v) }
    }
    #[inline(always)]
    fn power_of_two(self, n: __m256) -> __m256 {
        unsafe {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        }
    }
    #[inline(always)]
    fn load_ints(self, from: &[i32]) -> __m256 {
        let from = from[..8].as_ptr();
        unsafe { _mm256_cvtepi32_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn compiled<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    unsafe fn tile(self, rows: usize, tile: Tile) {
        // A function of its own: one copy for all products.
        #[target_feature(enable = "avx2,fma")]
        unsafe fn compiled(simd: Avx2, rows: usize, tile: Tile) {
            unsafe { tile_of_rows!(simd, rows, tile, Avx2, 2, [1 2 3 4 5 6]) }
        }
        unsafe { compiled(self, rows, tile) }
    }

    #[inline(always)]
    unsafe fn byte_tile(self, rows: usize, tile: rounded::Tile<'_, Int8>) {
        match self.vnni {
            true => unsafe { tiles::bytes_256(rows, tile) },
            false => unsafe { rounded::plain_tile(rows, Self::PANEL, tile) },
        }
    }

    #[inline(always)]
    unsafe fn word_tile(self, rows: usize, tile: rounded::Tile<'_, Int16>) {
        match self.vnni {
            true => unsafe { tiles::words_256(rows, tile) },
            false => unsafe { tiles::words_avx2(rows, tile) },
        }
    }
}
