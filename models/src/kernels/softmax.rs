//! Powers of two and softmax.

use super::gelu::polynomial;
use super::simd::Simd;

// 2^r for |r| ≤ 1/2: our own minimax fit of the relative error, 2e-9 before
// rounding.
const EXP2: [f32; 7] = [
    1.0,
    std::f32::consts::LN_2,
    0.240_226_48,
    0.055_503_324,
    9.618_437e-3,
    1.339_887_5e-3,
    1.535_336e-4,
];

/// 2^x for x ≤ 127, off by less than 2e-7 of the value; less than -126 is
/// taken as -126.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(simd: S, x: S::V) -> S::V {
    let x = simd.max(x, simd.splat(-126.0));
    let whole = simd.round(x);
    let part = polynomial(simd, &EXP2, simd.sub(x, whole));
    simd.mul(part, simd.power_of_two(whole))
}

/// Replaces each score s by 2^(s - max) and returns the sum of all. `scores`
/// must not be empty.
#[inline(always)]
pub(crate) fn softmax_numerators<S: Simd>(simd: S, scores: &mut [f32]) -> f32 {
    let mut chunks = scores.chunks_exact(S::LANES);
    let mut largest = simd.splat(f32::NEG_INFINITY);
    for chunk in chunks.by_ref() {
        largest = simd.max(largest, simd.load(chunk));
    }
    let rest = simd.load_part(chunks.remainder(), f32::NEG_INFINITY);
    let largest = simd.splat(simd.largest(simd.max(largest, rest)));

    let mut sum = simd.splat(0.0);
    let mut chunks = scores.chunks_exact_mut(S::LANES);
    for chunk in chunks.by_ref() {
        let power = exp2(simd, simd.sub(simd.load(chunk), largest));
        simd.store(chunk, power);
        sum = simd.add(sum, power);
    }
    let rest = chunks.into_remainder();
    let power = exp2(
        simd,
        simd.sub(simd.load_part(rest, f32::NEG_INFINITY), largest),
    );
    simd.store_part(rest, power);
    simd.sum(sum) + rest.iter().sum::<f32>()
}
