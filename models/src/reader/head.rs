//! What the states of question and passage, read together, say of each segment. It is
//! models/train/reading/model.py again, which trains it.
//!
//! score = Σ over the segment's tokens of softmax(attend · state) × (value · state)
//!         + bias − nothing · state of `[CLS]`

use crate::Result;
use crate::encoder::Tensors;
use crate::kernels::rows::dot_in_order;

pub(super) struct Head {
    width: usize,
    attend: Vec<f32>,
    value: Vec<f32>,
    nothing: Vec<f32>,
    bias: f32,
}

impl Head {
    pub(super) fn open(weights: &dyn Tensors, width: usize) -> Result<Self> {
        let floats = |name, count| weights.get(name, &[count]).map(|it| it.into_owned());
        Ok(Self {
            width,
            attend: floats("attend", width)?,
            value: floats("value", width)?,
            nothing: floats("nothing", width)?,
            bias: floats("bias", 1)?[0],
        })
    }

    /// One score for each of `count` segments; `of` says which a token belongs to. A
    /// segment that has no token cannot be told from nothing: minus infinity.
    pub(super) fn scores(&self, states: &[f32], of: &[Option<usize>], count: usize) -> Vec<f32> {
        let nothing = dot_in_order(&states[..self.width], &self.nothing);
        let mut sums = vec![(f32::NEG_INFINITY, 0.0, 0.0); count];
        for (state, segment) in states.chunks_exact(self.width).zip(of) {
            let Some(segment) = *segment else { continue };
            let (attend, value) = (
                dot_in_order(state, &self.attend),
                dot_in_order(state, &self.value),
            );
            // Softmax in one pass: what was summed is scaled when a larger one comes.
            let (most, weights, values) = &mut sums[segment];
            let larger = most.max(attend);
            let (before, now) = ((*most - larger).exp(), (attend - larger).exp());
            *weights = *weights * before + now;
            *values = *values * before + now * value;
            *most = larger;
        }
        sums.into_iter()
            .map(|(_, weights, values)| match weights > 0.0 {
                true => values / weights + self.bias - nothing,
                false => f32::NEG_INFINITY,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_a_softmax_over_its_segment() {
        let head = Head {
            width: 2,
            attend: vec![1.0, 0.0],
            value: vec![0.0, 1.0],
            nothing: vec![0.0, 2.0],
            bias: 0.5,
        };
        // [CLS], a token of the question, two of segment 1, one of segment 0.
        let states = [0.0, 0.25, 9.0, 9.0, 0.0, 4.0, 2.0_f32.ln(), 1.0, 7.0, 3.0];
        let of = [None, None, Some(1), Some(1), Some(0)];
        let scores = head.scores(&states, &of, 3);
        assert!((scores[0] - 3.0).abs() < 1e-5, "{scores:?}");
        assert!((scores[1] - 2.0).abs() < 1e-5, "{scores:?}");
        assert_eq!(scores[2], f32::NEG_INFINITY);
    }
}
