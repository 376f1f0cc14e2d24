//! Arithmetic on embeddings.

use simsimd::SpatialSimilarity;

/// Inner product of two vectors of one length, which is the cosine of vectors of length 1;
/// NaN if the lengths differ.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    f32::dot(a, b).map_or(f32::NAN, |product| product as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_one_length_have_a_product() {
        assert_eq!(dot(&[1.0, 2.0, 3.0], &[4.0, -5.0, 6.0]), 12.0);
        assert_eq!(dot(&[], &[]), 0.0);
        assert!(dot(&[1.0], &[1.0, 2.0]).is_nan());
    }
}
