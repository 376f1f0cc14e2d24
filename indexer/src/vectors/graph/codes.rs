//! Eight-bit codes: the vectors, rounded, a quarter of the bytes.
//!
//! A row is `scale * code` with codes from -127 to 127 and a scale of its own,
//! so that its largest part is exact. The walk compares codes; the vectors that
//! it finds are scored exactly afterwards.

/// The code and the scale of one vector.
pub(in super::super) fn encode(vector: &[f32], codes: &mut Vec<i8>) -> f32 {
    let largest = vector.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
    codes.extend(vector.iter().map(|x| (x / scale).round() as i8));
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_near_its_vector() {
        let vector: Vec<f32> = (0..50)
            .map(|i| ((i * 37) % 19) as f32 / 19.0 - 0.5)
            .collect();
        let mut codes = Vec::new();
        let scale = encode(&vector, &mut codes);
        for (x, code) in vector.iter().zip(&codes) {
            assert!((x - scale * f32::from(*code)).abs() <= scale / 2.0 + 1e-7);
        }
        let mut codes = Vec::new();
        encode(&[0.0, 0.0], &mut codes);
        assert_eq!(codes, [0, 0]);
    }
}
