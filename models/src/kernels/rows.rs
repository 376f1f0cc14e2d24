//! Kernels over single rows: sums, products, scaling, and layer normalisation.

use super::simd::{Kernel, Simd};

/// `row[i] += other[i]`; `other` is at least as long.
#[inline(always)]
pub(crate) fn add<S: Simd>(simd: S, row: &mut [f32], other: &[f32]) {
    zip(simd, row, other, |a, b| simd.add(a, b));
}

/// `row[i] -= other[i]`; `other` is at least as long.
#[inline(always)]
pub(crate) fn subtract<S: Simd>(simd: S, row: &mut [f32], other: &[f32]) {
    zip(simd, row, other, |a, b| simd.sub(a, b));
}

/// `row[i] *= factor`.
#[inline(always)]
pub(crate) fn scale<S: Simd>(simd: S, row: &mut [f32], factor: f32) {
    let factor = simd.splat(factor);
    let mut chunks = row.chunks_exact_mut(S::LANES);
    for chunk in chunks.by_ref() {
        simd.store(chunk, simd.mul(simd.load(chunk), factor));
    }
    let rest = chunks.into_remainder();
    simd.store_part(rest, simd.mul(simd.load_part(rest, 0.0), factor));
}

/// Σ a[k] · b[k], summed in order: the same on every machine.
pub(crate) fn dot_in_order(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Σ a[k] · b[k] of rows of one length, in four sums that do not wait for each other.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [simd.splat(0.0); 4];
    let mut fours = (a.chunks_exact(4 * S::LANES), b.chunks_exact(4 * S::LANES));
    for (a, b) in fours.0.by_ref().zip(fours.1.by_ref()) {
        for (at, sum) in sums.iter_mut().enumerate() {
            let at = at * S::LANES;
            *sum = simd.mul_add(simd.load(&a[at..]), simd.load(&b[at..]), *sum);
        }
    }
    let mut ones = (
        fours.0.remainder().chunks_exact(S::LANES),
        fours.1.remainder().chunks_exact(S::LANES),
    );
    for (a, b) in ones.0.by_ref().zip(ones.1.by_ref()) {
        sums[0] = simd.mul_add(simd.load(a), simd.load(b), sums[0]);
    }
    sums[1] = simd.mul_add(
        simd.load_part(ones.0.remainder(), 0.0),
        simd.load_part(ones.1.remainder(), 0.0),
        sums[1],
    );
    simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])))
}

#[inline(always)]
fn zip<S: Simd>(simd: S, row: &mut [f32], other: &[f32], f: impl Fn(S::V, S::V) -> S::V) {
    let mut others = other[..row.len()].chunks_exact(S::LANES);
    let mut chunks = row.chunks_exact_mut(S::LANES);
    for (chunk, other) in chunks.by_ref().zip(others.by_ref()) {
        simd.store(chunk, f(simd.load(chunk), simd.load(other)));
    }
    let rest = chunks.into_remainder();
    let other = simd.load_part(others.remainder(), 0.0);
    simd.store_part(rest, f(simd.load_part(rest, 0.0), other));
}

/// Gain and shift of a layer normalisation.
pub(crate) struct Norm {
    pub(crate) gain: Vec<f32>,
    pub(crate) shift: Vec<f32>,
    pub(crate) epsilon: f32,
}

impl Norm {
    /// (row - mean) / √(variance + ε) · gain + shift, in place (Ba, Kiros and
    /// Hinton, "Layer Normalization", 2016).
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(&self, simd: S, row: &mut [f32]) {
        let count = row.len() as f32;
        let mut sum = simd.splat(0.0);
        let chunks = row.chunks_exact(S::LANES);
        let rest: f32 = chunks.remainder().iter().sum();
        for chunk in chunks {
            sum = simd.add(sum, simd.load(chunk));
        }
        let mean = (simd.sum(sum) + rest) / count;

        let means = simd.splat(mean);
        let mut squares = simd.splat(0.0);
        let chunks = row.chunks_exact(S::LANES);
        let rest: f32 = chunks
            .remainder()
            .iter()
            .map(|x| (x - mean) * (x - mean))
            .sum();
        for chunk in chunks {
            let distance = simd.sub(simd.load(chunk), means);
            squares = simd.mul_add(distance, distance, squares);
        }
        let variance = (simd.sum(squares) + rest) / count;

        let factor = simd.splat(1.0 / (variance + self.epsilon).sqrt());
        zip(simd, row, &self.gain, |x, gain| {
            simd.mul(simd.mul(simd.sub(x, means), factor), gain)
        });
        add(simd, row, &self.shift);
    }
}

/// `rows = norm(rows + residual + bias)`, row by row.
pub(crate) struct AddNorm<'a> {
    pub(crate) rows: &'a mut [f32],
    /// As long as `rows`.
    pub(crate) residual: &'a [f32],
    /// One row, where there is a bias.
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) norm: &'a Norm,
}

impl Kernel for AddNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.norm.gain.len();
        let residuals = self.residual.chunks_exact(width);
        for (row, residual) in self.rows.chunks_exact_mut(width).zip(residuals) {
            add(simd, row, residual);
            if let Some(bias) = self.bias {
                add(simd, row, bias);
            }
            self.norm.apply(simd, row);
        }
    }
}

/// Adds all `rows` of `width` floats up.
pub(crate) struct SumRows<'a> {
    pub(crate) rows: &'a [f32],
    pub(crate) width: usize,
}

impl Kernel for SumRows<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut sum = vec![0.0; self.width];
        for row in self.rows.chunks_exact(self.width) {
            add(simd, &mut sum, row);
        }
        sum
    }
}
