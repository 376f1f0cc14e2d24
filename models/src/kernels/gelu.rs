//! The error function and GELU.

use super::simd::Simd;

/// Beyond this, erf differs from ±1 by less than half a unit in the last place.
const ERF_END: f32 = 3.92;

// erf(z) ≈ z · P(z²) / Q(z²) on |z| ≤ 3.92: our own minimax fit (Lawson
// weights), off by at most 1.7e-8 before rounding. All coefficients are
// positive, so that no digits cancel.
#[allow(clippy::approx_constant)] // Near 2/√π, not the same.
const P: [f32; 6] = [
    1.128_379,
    0.192_749_44,
    0.053_058_56,
    3.867_704e-3,
    2.874_657_5e-4,
    2.034_850_5e-6,
];
const Q: [f32; 6] = [
    1.0,
    0.504_151_4,
    0.115_078_58,
    0.015_171_049,
    1.187_964_7e-3,
    3.807_112_8e-5,
];

/// The error function; off by less than 4e-7.
#[inline(always)]
pub(crate) fn erf<S: Simd>(simd: S, z: S::V) -> S::V {
    let z = simd.max(simd.min(z, simd.splat(ERF_END)), simd.splat(-ERF_END));
    let square = simd.mul(z, z);
    let top = polynomial(simd, &P, square);
    let bottom = polynomial(simd, &Q, square);
    simd.div(simd.mul(z, top), bottom)
}

/// Horner's scheme; the constant term comes first.
#[inline(always)]
pub(crate) fn polynomial<S: Simd, const N: usize>(
    simd: S,
    coefficients: &[f32; N],
    x: S::V,
) -> S::V {
    let mut sum = simd.splat(coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = simd.mul_add(sum, x, simd.splat(coefficient));
    }
    sum
}

/// x · Φ(x) = x/2 · (1 + erf(x/√2)); off by less than 4e-7 · max(1, |x|).
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: S::V) -> S::V {
    let half = simd.mul(x, simd.splat(0.5));
    let z = simd.mul(x, simd.splat(std::f32::consts::FRAC_1_SQRT_2));
    simd.mul_add(half, erf(simd, z), half)
}
