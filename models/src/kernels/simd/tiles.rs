//! Tiles of integers (see [`rounded`]) on x86: with VNNI, in vectors of 512 or 256
//! bits, one instruction multiplies and adds up; AVX2 multiplies and adds words in two steps,
//! on units of their own.
//!
//! The intrinsics need their instruction set, which is what the callers, methods of
//! [`Avx512`](super::x86::Avx512) and [`Avx2`](super::x86::Avx2), have detected: that
//! is the SAFETY argument of every block in this file, with what
//! [`rounded::plain_tile`] asks for.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use std::arch::x86_64::*;

use crate::kernels::rounded::bytes::Int8;
use crate::kernels::rounded::words::Int16;
use crate::kernels::rounded::{Digits, Tile};

/// A tile whose 2 · rows sums stay in registers. A step is 32 bits of each column.
macro_rules! tile {
    (
        $name:ident, $digits:ty, $features:literal, $rows:tt, $lanes:literal,
        $load:expr, $store:expr, $splat:ident, $add_products:expr
    ) => {
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(rows: usize, tile: Tile<'_, $digits>) {
            #[target_feature(enable = $features)]
            unsafe fn of_rows<const R: usize>(tile: Tile<'_, $digits>) {
                const STEP: usize = <$digits as Digits>::STEP;
                let Tile {
                    mut left,
                    steps,
                    mut panel,
                    starts,
                    sums,
                } = tile;
                unsafe {
                    let mut first = [$load(starts); R];
                    let mut second = [$load(starts.wrapping_add($lanes)); R];
                    for _ in 0..steps {
                        let right = $load(panel.cast());
                        let next = $load(panel.wrapping_add($lanes * STEP).cast());
                        for row in 0..R {
                            let factors = left.wrapping_add(STEP * row).cast::<i32>();
                            let factors = $splat(factors.read_unaligned());
                            first[row] = $add_products(first[row], factors, right);
                            second[row] = $add_products(second[row], factors, next);
                        }
                        left = left.wrapping_add(STEP * R);
                        panel = panel.wrapping_add(2 * $lanes * STEP);
                    }
                    for row in 0..R {
                        let out = sums[row].as_mut_ptr();
                        $store(out, first[row]);
                        $store(out.wrapping_add($lanes), second[row]);
                    }
                }
            }
            unsafe { of_rows!(rows, tile, $rows) }
        }
    };
}

/// Calls a tile with the number of rows as a constant.
macro_rules! of_rows {
    ($rows:expr, $tile:expr, [$($count:literal)*]) => {
        match $rows {
            $($count => of_rows::<$count>($tile),)*
            _ => unreachable!("{} rows in a tile", $rows),
        }
    };
}

macro_rules! tile_512 {
    ($name:ident, $digits:ty, $add_products:ident) => {
        tile!(
            $name,
            $digits,
            "avx512f,avx512vnni,avx2,fma",
            [1 2 3 4 5 6 7 8 9 10 11 12],
            16,
            // As `_mm512_loadu_epi32`, without its checks in debug builds.
            |from: *const i32| _mm512_maskz_loadu_epi32(!0, from),
            |to: *mut i32, v| _mm512_storeu_epi32(to, v),
            _mm512_set1_epi32,
            $add_products
        );
    };
}

macro_rules! tile_256 {
    ($name:ident, $digits:ty, $features:literal, $add_products:expr) => {
        tile!(
            $name,
            $digits,
            $features,
            [1 2 3 4 5 6],
            8,
            |from: *const i32| _mm256_loadu_si256(from.cast()),
            |to: *mut i32, v| _mm256_storeu_si256(to.cast(), v),
            _mm256_set1_epi32,
            $add_products
        );
    };
}

tile_512!(bytes_512, Int8, _mm512_dpbusd_epi32);
tile_512!(words_512, Int16, _mm512_dpwssd_epi32);
tile_256!(bytes_256, Int8, "avxvnni,avx2,fma", _mm256_dpbusd_avx_epi32);
tile_256!(
    words_256,
    Int16,
    "avxvnni,avx2,fma",
    _mm256_dpwssd_avx_epi32
);
tile_256!(words_avx2, Int16, "avx2,fma", |sum, factors, right| {
    _mm256_add_epi32(sum, _mm256_madd_epi16(factors, right))
});
