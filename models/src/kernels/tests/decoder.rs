//! The kernels of the decoder.

use proptest::prelude::*;

use super::{assert_near, noise};
use crate::kernels::causal::{Cached, One, Panel};
use crate::kernels::lanes::{AddBias, RmsNorm, Rotate, SwiGlu};
use crate::kernels::quant::Layout;
use crate::kernels::simd::Level;
use crate::kernels::spread::Spread;

/// `[panels, features, panel]` from the entry of a token and feature.
fn panels(
    level: Level,
    tokens: usize,
    features: usize,
    entry: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let panel = level.panel();
    let mut floats = vec![0.0; tokens.next_multiple_of(panel) * features];
    for token in 0..tokens {
        for feature in 0..features {
            floats[at(panel, features, token, feature)] = entry(token, feature);
        }
    }
    floats
}

fn at(panel: usize, features: usize, token: usize, feature: usize) -> usize {
    (token / panel * features + feature) * panel + token % panel
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn spread_products_are_sums_of_products(
        tokens in 1_usize..70,
        rows in 1_usize..50,
        depth in 1_usize..600,
        add: bool,
        seed: u32,
    ) {
        let weights = noise(rows * depth, seed);
        let bytes: Vec<u8> = weights.iter().flat_map(|x| x.to_le_bytes()).collect();
        let x = noise(tokens * depth, seed ^ 1);
        for level in Level::available() {
            let panel = level.panel();
            let x_panels = panels(level, tokens, depth, |token, k| x[token * depth + k]);
            // One more feature, which is not ours.
            let features = rows + 1;
            let mut out = panels(level, tokens, features, |_, _| 0.5);
            let spread = Spread {
                layout: Layout::F32,
                weights: &bytes,
                depth,
                x: &x_panels,
                out: out[panel..].as_mut_ptr(),
                features,
                add,
            };
            // SAFETY: `out` has `rows` rows after the first in every panel.
            #[allow(unsafe_code)]
            unsafe {
                spread.run(level);
            }
            for token in 0..tokens {
                prop_assert_eq!(out[at(panel, features, token, 0)], 0.5);
                for row in 0..rows {
                    let sum: f64 = (0..depth)
                        .map(|k| {
                            f64::from(weights[row * depth + k]) * f64::from(x[token * depth + k])
                        })
                        .sum();
                    let wanted = if add { sum + 0.5 } else { sum };
                    let got = out[at(panel, features, token, row + 1)];
                    assert_near(got, wanted, 2e-6 * depth as f64, &format!("{level:?}"));
                }
            }
        }
    }

    #[test]
    fn causal_attention_sees_what_came_before(
        first in 0_usize..70,
        width in 1_usize..70,
        spare in 0_usize..20,
        seed: u32,
    ) {
        for level in Level::available() {
            let panel = level.panel();
            let tokens = first + 1 + seed as usize % panel;
            let stride = tokens + spare;
            let queries = noise(panel * width, seed);
            let keys: Vec<f32> = noise(tokens * width, seed ^ 1);
            let values = noise(width * stride, seed ^ 2);
            let cached = Cached { keys: &keys, values: &values, stride, width };
            let entry = |lane: usize, k: usize| 3.0 * queries[lane * width + k];
            let rows = panels(level, panel, width, entry);
            let mut out = vec![f32::NAN; panel * width];
            Panel { queries: &rows, cached, first, tokens, out: &mut out }.run(level);
            for lane in 0..tokens - first {
                let seen = first + lane + 1;
                let scores: Vec<f64> = (0..seen)
                    .map(|key| {
                        (0..width)
                            .map(|k| f64::from(entry(lane, k)) * f64::from(keys[key * width + k]))
                            .sum()
                    })
                    .collect();
                let largest = scores.iter().copied().fold(f64::MIN, f64::max);
                let powers: Vec<f64> = scores.iter().map(|s| (s - largest).exp2()).collect();
                let total: f64 = powers.iter().sum();
                let query: Vec<f32> = (0..width).map(|k| entry(lane, k)).collect();
                let mut one = vec![f32::NAN; width];
                One { query: &query, cached, tokens: seen, out: &mut one }.run(level);
                for k in 0..width {
                    let sum: f64 = (0..seen)
                        .map(|key| powers[key] * f64::from(values[k * stride + key]))
                        .sum();
                    let what = format!("{level:?} token {lane}");
                    assert_near(out[k * panel + lane], sum / total, 1e-4, &what);
                    assert_near(one[k], sum / total, 1e-4, &what);
                }
            }
        }
    }

    #[test]
    fn normalised_tokens_have_square_mean_one(features in 1_usize..100, seed: u32) {
        let weight = noise(features, seed);
        let bias = noise(features, seed ^ 1);
        for level in Level::available() {
            let panel = level.panel();
            let x = noise(features * panel, seed ^ 2);
            let mut got = vec![f32::NAN; x.len()];
            level.run(RmsNorm { x: &x, weight: &weight, epsilon: 1e-5, out: &mut got });
            let mut biased = got.clone();
            level.run(AddBias { rows: &mut biased, bias: &bias });
            for lane in 0..panel {
                let entry = |feature: usize| f64::from(x[feature * panel + lane]);
                let squares: f64 = (0..features).map(|f| entry(f) * entry(f)).sum();
                let length = (squares / features as f64 + 1e-5).sqrt();
                for feature in 0..features {
                    let wanted = entry(feature) / length * f64::from(weight[feature]);
                    let at = feature * panel + lane;
                    assert_near(got[at], wanted, 1e-5, &format!("{level:?}"));
                    let wanted = wanted + f64::from(bias[feature]);
                    assert_near(biased[at], wanted, 1e-5, &format!("{level:?}"));
                }
            }
        }
    }

    #[test]
    fn pairs_turn_by_their_angle(pairs in 1_usize..40, interleaved: bool, seed: u32) {
        for level in Level::available() {
            let panel = level.panel();
            let angles = noise(pairs * panel, seed);
            let cos: Vec<f32> = angles.iter().map(|x| x.cos()).collect();
            let sin: Vec<f32> = angles.iter().map(|x| x.sin()).collect();
            let head = noise(2 * pairs * panel, seed ^ 1);
            let mut got = head.clone();
            level.run(Rotate { head: &mut got, cos: &cos, sin: &sin, interleaved, factor: 2.0 });
            for (at, &angle) in angles.iter().enumerate() {
                let (pair, lane) = (at / panel, at % panel);
                let (first, second) = match interleaved {
                    true => (2 * pair, 2 * pair + 1),
                    false => (pair, pair + pairs),
                };
                let (first, second) = (first * panel + lane, second * panel + lane);
                let (a, b) = (f64::from(head[first]), f64::from(head[second]));
                let (sin, cos) = f64::from(angle).sin_cos();
                let what = format!("{level:?}");
                assert_near(got[first], 2.0 * (a * cos - b * sin), 1e-5, &what);
                assert_near(got[second], 2.0 * (a * sin + b * cos), 1e-5, &what);
            }
        }
    }

    #[test]
    fn gated_units_are_the_formula(
        gate in prop::collection::vec(-200.0_f32..200.0, 1..70),
        seed: u32,
    ) {
        let up = noise(gate.len(), seed);
        for level in Level::available() {
            let mut got = gate.clone();
            level.run(SwiGlu { gate: &mut got, up: &up });
            for ((&got, &gate), &up) in got.iter().zip(&gate).zip(&up) {
                let wanted = f64::from(gate) / (1.0 + (-f64::from(gate)).exp()) * f64::from(up);
                assert_near(got, wanted, 1e-6 * f64::from(gate.abs()).max(1.0), "unit");
            }
        }
    }
}
