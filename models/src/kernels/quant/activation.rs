//! The right side of a product with quantised weights: one token's activations
//! as signed bytes, 32 with a common scale.

use super::GROUP;

/// One vector of activations, rounded to 8 bits.
#[derive(Default)]
pub(crate) struct Activation {
    /// Multiplied by the scale of their group, they are the activations.
    pub(super) values: Vec<[i8; GROUP]>,
    /// One for each group.
    pub(super) scales: Vec<f32>,
    /// Sum of the rounded activations of each half of each group.
    pub(super) half_sums: Vec<[f32; 2]>,
    /// Sum of the rounded activations of each group.
    pub(super) sums: Vec<f32>,
    /// The activations themselves, for weights that are floats.
    pub(super) floats: Vec<f32>,
}

impl Activation {
    /// Takes `x`; what was there before is forgotten, its memory is used again.
    /// The last group is filled up with zeros.
    pub(crate) fn set(&mut self, x: &[f32]) {
        self.floats.clear();
        self.floats.extend_from_slice(x);
        self.floats.resize(x.len().next_multiple_of(GROUP), 0.0);
        let (groups, _) = self.floats.as_chunks::<GROUP>();
        self.values.resize(groups.len(), [0; GROUP]);
        self.scales.resize(groups.len(), 0.0);
        self.half_sums.resize(groups.len(), [0.0; 2]);
        self.sums.resize(groups.len(), 0.0);
        for (at, group) in groups.iter().enumerate() {
            let largest = group.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let scale = largest / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            let values = group.map(|x| (x * inverse).round_ties_even() as i8);
            let sum = |half: &[i8]| {
                let sum: i32 = half.iter().map(|&value| i32::from(value)).sum();
                sum as f32 * scale
            };
            let (first, second) = values.split_at(GROUP / 2);
            self.half_sums[at] = [sum(first), sum(second)];
            self.sums[at] = sum(&values);
            self.values[at] = values;
            self.scales[at] = scale;
        }
    }

    /// Length of the vector, filled up to whole groups.
    pub(crate) fn len(&self) -> usize {
        self.floats.len()
    }
}
