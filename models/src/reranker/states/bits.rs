//! Numbers of one and four bits: the levels between which a normal distribution is rounded
//! with the least squared error (Max, "Quantizing for minimum distortion", 1960). Their
//! places are the medians of their cells' borders, found by Lloyd's iteration.

/// Levels of so many bits, ascending, for numbers of variance 1.
pub(super) struct Levels<const N: usize> {
    levels: [f32; N],
    /// Numbers in one byte.
    in_byte: usize,
}

pub(super) static ONE_BIT: Levels<2> = Levels {
    levels: [-0.7979, 0.7979],
    in_byte: 8,
};

pub(super) static FOUR_BITS: Levels<16> = Levels {
    levels: [
        -2.7326, -2.0690, -1.6180, -1.2562, -0.9423, -0.6568, -0.3880, -0.1284, 0.1284, 0.3880,
        0.6568, 0.9423, 1.2562, 1.6180, 2.0690, 2.7326,
    ],
    in_byte: 2,
};

impl<const N: usize> Levels<N> {
    /// Appends `row`, less `means`, over `scales`, in as many bits.
    pub(super) fn pack(
        &self,
        row: &[f32],
        means: Option<&[f32]>,
        scales: &[f32],
        packed: &mut Vec<u8>,
    ) {
        let bits = 8 / self.in_byte;
        let mean = |at: usize| means.map_or(0.0, |means| means[at]);
        for start in (0..row.len()).step_by(self.in_byte) {
            let mut byte = 0;
            for place in 0..self.in_byte {
                let at = start + place;
                let level = self.nearest((row[at] - mean(at)) / scales[at]);
                byte |= (level as u8) << (place * bits);
            }
            packed.push(byte);
        }
    }

    /// The levels of packed numbers, one after the other.
    pub(super) fn unpack(&self, packed: &[u8]) -> Vec<f32> {
        let bits = 8 / self.in_byte;
        let mut numbers = Vec::with_capacity(packed.len() * self.in_byte);
        for byte in packed {
            for place in 0..self.in_byte {
                numbers.push(self.levels[usize::from(byte >> (place * bits)) % N]);
            }
        }
        numbers
    }

    fn nearest(&self, number: f32) -> usize {
        let above = |pair: &[f32]| number > 0.5 * (pair[0] + pair[1]);
        self.levels
            .windows(2)
            .take_while(|pair| above(pair))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_becomes_the_nearest_level() {
        let row = [-9.0, -0.4, 0.2, 9.0, 0.1, -0.1, 1.0, 1.0];
        let mut packed = Vec::new();
        ONE_BIT.pack(&row, None, &[1.0; 8], &mut packed);
        assert_eq!(packed, [0b1101_1100]);
        let signs = row.map(|x: f32| 0.7979 * x.signum());
        assert_eq!(ONE_BIT.unpack(&packed), signs);
        packed.clear();
        FOUR_BITS.pack(&[5.0, 3.5], Some(&[1.0, 3.0]), &[2.0, 1.0], &mut packed);
        assert_eq!(FOUR_BITS.unpack(&packed), [2.0690, 0.3880]);
    }

    /// Each level is the mean of what is rounded to it, which makes the error least.
    #[test]
    fn levels_are_those_of_the_normal_distribution() {
        fn check<const N: usize>(levels: &Levels<N>, error: f64) {
            let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
            let (mut sums, mut masses, mut lost) = ([0.0; N], [0.0; N], 0.0);
            for step in -80_000..=80_000 {
                let x = f64::from(step) * 1e-4;
                let level = levels.nearest(x as f32);
                let mass = density(x) * 1e-4;
                sums[level] += mass * x;
                masses[level] += mass;
                lost += mass * (x - f64::from(levels.levels[level])).powi(2);
            }
            for (at, level) in levels.levels.iter().enumerate() {
                let mean = sums[at] / masses[at];
                assert!((mean - f64::from(*level)).abs() < 2e-3, "{mean} {level}");
            }
            assert!((lost - error).abs() < 1e-3, "{lost}");
        }
        check(&ONE_BIT, 0.3634);
        check(&FOUR_BITS, 0.0095);
    }
}
