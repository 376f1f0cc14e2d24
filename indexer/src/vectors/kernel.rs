//! Arithmetic on vectors.

use simsimd::SpatialSimilarity;

/// Inner product of two vectors of the same length; NaN if they differ.
#[inline]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    f32::dot(a, b).map_or(f32::NAN, |product| product as f32)
}
