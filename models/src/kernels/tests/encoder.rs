//! The kernels of the encoder.

use candle_core::cpu::erf::erf_f64;
use proptest::prelude::*;

use super::{assert_near, noise};
use crate::kernels::attention::Head;
use crate::kernels::gemm::{Finish, Packed, Product, Right, even_parts};
use crate::kernels::rounded::bytes::Int8;
use crate::kernels::rounded::words::Int16;
use crate::kernels::rounded::{Digits, PackedInts};
use crate::kernels::rows::{AddNorm, Norm, SumRows};
use crate::kernels::simd::{Kernel, Level, Simd};
use crate::kernels::{gelu, rows, softmax};

/// Applies a function of one vector to each float.
struct Map<'a, F>(&'a mut [f32], F);

/// A function that can be compiled for every instruction set.
trait Lanewise {
    fn apply<S: Simd>(&self, simd: S, v: S::V) -> S::V;
}

impl<F: Lanewise> Kernel for Map<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for float in self.0 {
            let v = self.1.apply(simd, simd.splat(*float));
            *float = simd.floats(v)[S::LANES - 1];
        }
    }
}

struct Erf;

impl Lanewise for Erf {
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, v: S::V) -> S::V {
        gelu::erf(simd, v)
    }
}

struct Gelu;

impl Lanewise for Gelu {
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, v: S::V) -> S::V {
        gelu::gelu(simd, v)
    }
}

struct Exp2;

impl Lanewise for Exp2 {
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, v: S::V) -> S::V {
        softmax::exp2(simd, v)
    }
}

/// Largest error of `function` over `count` numbers from `from` to `to`.
fn worst<F: Lanewise>(
    level: Level,
    function: F,
    (from, to, count): (f32, f32, usize),
    error: impl Fn(f64, f64) -> f64,
) -> f64 {
    let step = (to - from) / count as f32;
    let inputs: Vec<f32> = (0..=count).map(|at| from + step * at as f32).collect();
    let mut outputs = inputs.clone();
    level.run(Map(&mut outputs, function));
    inputs
        .iter()
        .zip(&outputs)
        .map(|(&input, &output)| error(input.into(), output.into()))
        .fold(0.0, f64::max)
}

#[test]
fn the_error_function_and_gelu_keep_their_bounds() {
    for level in Level::available() {
        let range = (-12.0, 12.0, 200_000);
        let off = worst(level, Erf, range, |x, y| (y - erf_f64(x)).abs());
        assert!(off < 4e-7, "{level:?}: erf is off by {off:e}");
        let off = worst(level, Gelu, range, |x, y| {
            let right = x / 2.0 * (1.0 + erf_f64(x / std::f64::consts::SQRT_2));
            (y - right).abs() / x.abs().max(1.0)
        });
        assert!(off < 4e-7, "{level:?}: gelu is off by {off:e}");
    }
}

#[test]
fn powers_of_two_keep_their_bound() {
    for level in Level::available() {
        let off = worst(level, Exp2, (-126.0, 127.0, 400_000), |x, y| {
            (y / x.exp2() - 1.0).abs()
        });
        assert!(off < 2e-7, "{level:?}: exp2 is off by {off:e} of the value");
        let off = worst(level, Exp2, (-1e9, -126.0, 1000), |_, y| y);
        assert!(off < 2e-38, "{level:?}: 2^-126 and less became {off:e}");
    }
}

struct Softmax<'a>(&'a mut [f32]);

impl Kernel for Softmax<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        softmax::softmax_numerators(simd, self.0)
    }
}

struct Scale<'a>(&'a mut [f32], f32);

impl Kernel for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        rows::scale(simd, self.0, self.1);
    }
}

/// All columns of a product, and one more that must stay NaN.
fn product(level: Level, left: &[f32], right: &dyn Right, finish: Finish<'_>) -> Vec<f32> {
    let stride = right.columns() + 1;
    let mut out = vec![f32::NAN; left.len() / right.depth() * stride];
    let product = Product {
        left,
        right,
        panels: 0..right.panels(),
        finish,
        out: out.as_mut_ptr(),
        out_stride: stride,
    };
    // SAFETY: `out` has as many rows as the left side, each of `stride` floats.
    #[allow(unsafe_code)]
    unsafe {
        product.run(level);
    }
    out
}

/// Checks one product in rounded numbers, at every instruction set.
fn integers<D: Digits>(
    (rows, depth, columns): (usize, usize, usize),
    biased: bool,
    seed: u32,
    tolerance: f64,
    between_levels: f64,
) {
    let left = noise(rows * depth, seed);
    let right = noise(depth * columns, seed ^ 1);
    let bias = noise(columns, seed ^ 2);
    let finish = if biased {
        Finish::Bias(&bias)
    } else {
        Finish::Plain
    };
    let mut all: Vec<Vec<f32>> = Vec::new();
    for level in Level::available() {
        let packed = PackedInts::<D>::new(level, depth, columns, |k, j| right[k * columns + j]);
        let out = product(level, &left, &packed, finish);
        let mut got = Vec::new();
        for (row, out) in out.chunks(columns + 1).enumerate() {
            assert!(out[columns].is_nan());
            for (column, &out) in out[..columns].iter().enumerate() {
                let terms = (0..depth).map(|k| {
                    f64::from(left[row * depth + k]) * f64::from(right[k * columns + column])
                });
                let bias = if biased { f64::from(bias[column]) } else { 0.0 };
                let wanted = terms.sum::<f64>() + bias;
                assert_near(out, wanted, tolerance + 1e-5, &format!("{level:?}"));
                got.push(out);
            }
        }
        all.push(got);
    }
    // The sums are integers: every instruction set gives the same.
    for got in &all[1..] {
        for (&got, &first) in got.iter().zip(&all[0]) {
            assert_near(got, first.into(), between_levels + 1e-5, "another level");
        }
    }
}

proptest! {
    #[test]
    fn parts_are_even_and_whole(count in 0_usize..5000, most in 1_usize..200) {
        let parts: Vec<_> = even_parts(count, most).collect();
        prop_assert_eq!(parts.len(), count.div_ceil(most));
        let mut end = 0;
        for part in &parts {
            prop_assert_eq!(part.start, end);
            prop_assert!(part.len() <= most && part.len() + 1 >= parts[0].len());
            end = part.end;
        }
        prop_assert_eq!(end, count);
    }

    #[test]
    fn products_are_sums_of_products(
        rows in 1_usize..40,
        depth in 1_usize..90,
        columns in 1_usize..100,
        finish in 0..3,
        seed: u32,
    ) {
        let left = noise(rows * depth, seed);
        let right = noise(depth * columns, seed ^ 1);
        let bias = noise(columns, seed ^ 2);
        for level in Level::available() {
            let packed = Packed::new(level, depth, columns, |k, j| right[k * columns + j]);
            // All panels but the first, and a column on the right that is not ours.
            let panels = usize::from(packed.panels() > 1)..packed.panels();
            let first = panels.start * level.panel();
            let mut out = vec![f32::NAN; rows * (columns + 1)];
            let product = Product {
                left: &left,
                right: &packed,
                panels,
                finish: match finish {
                    0 => Finish::Plain,
                    1 => Finish::Bias(&bias),
                    _ => Finish::BiasGelu(&bias),
                },
                out: out.as_mut_ptr(),
                out_stride: columns + 1,
            };
            // SAFETY: `out` has `rows` rows of `columns + 1` floats.
            #[allow(unsafe_code)]
            unsafe {
                product.run(level);
            }
            for (at, &got) in out.iter().enumerate() {
                let (row, column) = (at / (columns + 1), at % (columns + 1));
                if column < first || column == columns {
                    prop_assert!(got.is_nan(), "column {} was written", column);
                    continue;
                }
                let terms = (0..depth).map(|k| {
                    f64::from(left[row * depth + k]) * f64::from(right[k * columns + column])
                });
                let sum: f64 = terms.sum();
                let biased = sum + f64::from(bias[column]);
                let wanted = match finish {
                    0 => sum,
                    1 => biased,
                    _ => biased / 2.0 * (1.0 + erf_f64(biased / std::f64::consts::SQRT_2)),
                };
                assert_near(got, wanted, 2e-6 * depth as f64, &format!("{level:?}"));
            }
        }
    }

    #[test]
    fn products_of_integers_are_near_and_the_same_everywhere(
        rows in 1_usize..40,
        depth in 1_usize..90,
        columns in 1_usize..100,
        biased: bool,
        seed: u32,
    ) {
        let sizes = (rows, depth, columns);
        // Half a step on each side, of numbers up to one. Words have steps of their
        // vector's length over 46,000, and lengths are at most √depth.
        integers::<Int8>(sizes, biased, seed, depth as f64 / 127.0, 1e-5);
        // The order in which squares are summed can move one by a step.
        let step = depth as f64 * (depth as f64).sqrt() / 46_000.0;
        integers::<Int16>(sizes, biased, seed, step, step);
    }

    #[test]
    fn the_largest_sums_of_words_fit(depth in 1_usize..2000, flips: u64) {
        // Vectors in one direction have the largest products, of either sign.
        let sign = |k: usize| if flips >> (k % 64) & 1 == 0 { 1.0 } else { -1.0_f32 };
        let left: Vec<f32> = (0..depth).map(|k| 0.7 * sign(k)).collect();
        for level in Level::available() {
            let packed = PackedInts::<Int16>::new(level, depth, 2, |k, j| {
                if j == 0 { 3.0 * sign(k) } else { -3.0 * sign(k) }
            });
            let out = product(level, &left, &packed, Finish::Plain);
            let wanted = 2.1 * depth as f64;
            assert_near(out[0], wanted, 1e-3 * wanted, &format!("{level:?}"));
            assert_near(out[1], -wanted, 1e-3 * wanted, &format!("{level:?}"));
        }
    }

    #[test]
    fn attention_is_the_softmax_of_products(
        tokens in 1_usize..80,
        heads in 1_usize..4,
        size in 1_usize..70,
        seed: u32,
    ) {
        let hidden = heads * size;
        let projected: Vec<f32> =
            noise(tokens * 3 * hidden, seed).iter().map(|x| x * 3.0).collect();
        let at = |token: usize, part: usize, head: usize, k: usize| {
            f64::from(projected[token * 3 * hidden + part * hidden + head * size + k])
        };
        let head = seed as usize % heads;
        let mut wanted = vec![f64::NAN; tokens * hidden];
        for query in 0..tokens {
            let score = |key: usize| -> f64 {
                (0..size).map(|k| at(query, 0, head, k) * at(key, 1, head, k)).sum()
            };
            let scores: Vec<f64> = (0..tokens).map(score).collect();
            let largest = scores.iter().copied().fold(f64::MIN, f64::max);
            let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp2()).collect();
            let total: f64 = powers.iter().sum();
            for k in 0..size {
                let sum: f64 = (0..tokens).map(|key| powers[key] * at(key, 2, head, k)).sum();
                wanted[query * hidden + head * size + k] = sum / total;
            }
        }
        for level in Level::available() {
            let mut out = vec![f32::NAN; tokens * hidden];
            let task = Head {
                projected: &projected, tokens, hidden, head, size, out: out.as_mut_ptr(),
            };
            // SAFETY: `out` has `tokens` rows of `hidden` floats.
            #[allow(unsafe_code)]
            unsafe {
                task.run(level);
            }
            for (&got, &wanted) in out.iter().zip(&wanted) {
                if wanted.is_nan() {
                    prop_assert!(got.is_nan(), "{:?} wrote to another head", level);
                } else {
                    assert_near(got, wanted, 2e-4, &format!("{level:?}"));
                }
            }
        }
    }

    #[test]
    fn softmax_sums_to_one(
        scores in prop::collection::vec(-200.0_f32..200.0, 1..100),
    ) {
        let largest = scores.iter().copied().fold(f32::MIN, f32::max);
        let power = |&score: &f32| (f64::from(score) - f64::from(largest)).exp2();
        let total: f64 = scores.iter().map(power).sum();
        for level in Level::available() {
            let mut got = scores.clone();
            let sum = level.run(Softmax(&mut got));
            assert_near(sum, total, 1e-5 * total, &format!("{level:?}"));
            level.run(Scale(&mut got, 1.0 / sum));
            for (&got, score) in got.iter().zip(&scores) {
                assert_near(got, power(score) / total, 1e-6, &format!("{level:?}"));
            }
        }
    }

    #[test]
    fn normalised_rows_have_mean_zero_and_variance_one(
        width in 2_usize..100,
        rows in 1_usize..4,
        offset in -100.0_f32..100.0,
        biased: bool,
        seed: u32,
    ) {
        let start: Vec<f32> = noise(width * rows, seed).iter().map(|x| x + offset).collect();
        let residual = noise(width * rows, seed ^ 1);
        let bias = noise(width, seed ^ 2);
        let norm = Norm {
            gain: noise(width, seed ^ 3),
            shift: noise(width, seed ^ 4),
            epsilon: 1e-3,
        };
        for level in Level::available() {
            let mut got = start.clone();
            level.run(AddNorm {
                rows: &mut got,
                residual: &residual,
                bias: biased.then_some(&bias[..]),
                norm: &norm,
            });
            for row in 0..rows {
                let sums: Vec<f64> = (row * width..(row + 1) * width)
                    .map(|at| {
                        let bias = if biased { bias[at % width] } else { 0.0 };
                        // The sums themselves are f32 in the kernel too.
                        f64::from(start[at] + residual[at] + bias)
                    })
                    .collect();
                let mean = sums.iter().sum::<f64>() / width as f64;
                let squares = sums.iter().map(|x| (x - mean) * (x - mean));
                let variance = squares.sum::<f64>() / width as f64;
                for (column, sum) in sums.iter().enumerate() {
                    let wanted = (sum - mean) / (variance + f64::from(norm.epsilon)).sqrt()
                        * f64::from(norm.gain[column])
                        + f64::from(norm.shift[column]);
                    assert_near(got[row * width + column], wanted, 2e-3, &format!("{level:?}"));
                }
            }
        }
    }

    #[test]
    fn rows_are_summed(width in 1_usize..70, rows in 0_usize..9, seed: u32) {
        let floats = noise(width * rows, seed);
        for level in Level::available() {
            let got = level.run(SumRows { rows: &floats, width });
            for (column, &got) in got.iter().enumerate() {
                let wanted = (0..rows).map(|row| f64::from(floats[row * width + column])).sum();
                assert_near(got, wanted, 1e-5, &format!("{level:?}"));
            }
        }
    }
}
