//! What happens between the products of a decoder, for one panel of tokens (see
//! [`super::spread`]): each feature is a row with one float a token, so every
//! kernel works on several tokens at once and none sums across a vector.

use super::simd::{Kernel, Simd};
use super::softmax::exp2;

/// Root mean square normalisation (Zhang and Sennrich, 2019) of each token.
pub(crate) struct RmsNorm<'a> {
    /// `[features, S::PANEL]`.
    pub(crate) x: &'a [f32],
    /// One for each feature.
    pub(crate) weight: &'a [f32],
    pub(crate) epsilon: f32,
    /// Like `x`.
    pub(crate) out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            x,
            weight,
            epsilon,
            out,
        } = self;
        assert_eq!((x.len(), out.len()), (weight.len() * S::PANEL, x.len()));
        for lane in (0..S::PANEL).step_by(S::LANES) {
            let mut squares = simd.splat(0.0);
            for row in x.chunks_exact(S::PANEL) {
                let x = simd.load(&row[lane..]);
                squares = simd.mul_add(x, x, squares);
            }
            let mean = simd.mul(squares, simd.splat(1.0 / weight.len() as f32));
            let length = simd.sqrt(simd.add(mean, simd.splat(epsilon)));
            let factor = simd.div(simd.splat(1.0), length);
            let rows = x.chunks_exact(S::PANEL).zip(weight);
            for (out, (row, &weight)) in out.chunks_exact_mut(S::PANEL).zip(rows) {
                let scaled = simd.mul(simd.load(&row[lane..]), factor);
                simd.store(&mut out[lane..], simd.mul(scaled, simd.splat(weight)));
            }
        }
    }
}

/// Adds one float to all tokens of each feature.
pub(crate) struct AddBias<'a> {
    /// `[features, S::PANEL]`.
    pub(crate) rows: &'a mut [f32],
    /// One for each feature.
    pub(crate) bias: &'a [f32],
}

impl Kernel for AddBias<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, &bias) in self.rows.chunks_exact_mut(S::PANEL).zip(self.bias) {
            for lane in row.chunks_exact_mut(S::LANES) {
                let sum = simd.add(simd.load(lane), simd.splat(bias));
                simd.store(lane, sum);
            }
        }
    }
}

/// Rotary position embedding (Su et al., 2021) of one head.
pub(crate) struct Rotate<'a> {
    /// `[width, S::PANEL]`.
    pub(crate) head: &'a mut [f32],
    /// Cosines and sines of the angles, `[width / 2, S::PANEL]`.
    pub(crate) cos: &'a [f32],
    pub(crate) sin: &'a [f32],
    /// Whether neighbouring features are a pair, and not those of both halves.
    pub(crate) interleaved: bool,
    /// Everything is multiplied by this too.
    pub(crate) factor: f32,
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            head,
            cos,
            sin,
            interleaved,
            factor,
        } = self;
        let pairs = head.len() / S::PANEL / 2;
        let factor = simd.splat(factor);
        for pair in 0..pairs {
            let (first, second) = match interleaved {
                true => (2 * pair, 2 * pair + 1),
                false => (pair, pair + pairs),
            };
            for lane in (0..S::PANEL).step_by(S::LANES) {
                let at = |row: usize| row * S::PANEL + lane;
                let cos = simd.mul(simd.load(&cos[at(pair)..]), factor);
                let sin = simd.mul(simd.load(&sin[at(pair)..]), factor);
                let (a, b) = (
                    simd.load(&head[at(first)..]),
                    simd.load(&head[at(second)..]),
                );
                let turned = simd.sub(simd.mul(a, cos), simd.mul(b, sin));
                simd.store(&mut head[at(first)..], turned);
                let turned = simd.mul_add(a, sin, simd.mul(b, cos));
                simd.store(&mut head[at(second)..], turned);
            }
        }
    }
}

/// `gate = gate / (1 + e^-gate) · up`, the gated unit of Llama (Shazeer, 2020).
/// Works on any number of floats.
pub(crate) struct SwiGlu<'a> {
    pub(crate) gate: &'a mut [f32],
    /// As long as `gate`.
    pub(crate) up: &'a [f32],
}

impl Kernel for SwiGlu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut gates = self.gate.chunks_exact_mut(S::LANES);
        let mut ups = self.up.chunks_exact(S::LANES);
        for (gate, up) in gates.by_ref().zip(ups.by_ref()) {
            let value = unit(simd, simd.load(gate), simd.load(up));
            simd.store(gate, value);
        }
        let gate = gates.into_remainder();
        let value = unit(
            simd,
            simd.load_part(gate, 0.0),
            simd.load_part(ups.remainder(), 0.0),
        );
        simd.store_part(gate, value);
    }
}

#[inline(always)]
fn unit<S: Simd>(simd: S, gate: S::V, up: S::V) -> S::V {
    let power = simd.mul(gate, simd.splat(-std::f32::consts::LOG2_E));
    // Beyond 2^126 the unit is nothing anyway.
    let power = exp2(simd, simd.min(power, simd.splat(126.0)));
    simd.mul(simd.div(gate, simd.add(simd.splat(1.0), power)), up)
}
