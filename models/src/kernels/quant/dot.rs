//! Products of one vector with rows of weights, for writing token by token.
//!
//! Both sides are small integers with scales for groups of 32. With a code c, a
//! scale s, a zero z and a least value l of the weights, and a value v and a
//! scale t of the activations, the sum over a group is
//!
//! Σ (s·(c − z) + l) · t·v  =  s·t · Σ c·v  +  (l − s·z) · Σ t·v
//!
//! where Σ c·v is one instruction on bytes, and Σ t·v was computed once for all
//! rows. So the weights are read once, as they are in the file, which is all
//! that one token costs.

use super::blocks::{Q4_0, Q4_1, Q4K, Q6K, Q8_0};
use super::dense::{self, Bf16, F16, F32};
use super::{Activation, Factors as _, Format, GROUP, Layout};
use crate::kernels::ints::{IntKernel, IntLevel, Ints};
use crate::kernels::simd::Level;

/// Sums of one row that do not wait for each other.
const SUMS: usize = 4;

/// `out[r] = Σ weights[r][k] · x[k]` for some rows of a matrix.
pub(crate) struct Rows<'a> {
    pub(crate) layout: Layout,
    /// `out.len()` rows, one after the other.
    pub(crate) weights: &'a [u8],
    /// Weights of one row, a multiple of the layout's block.
    pub(crate) depth: usize,
    pub(crate) x: &'a Activation,
    pub(crate) out: &'a mut [f32],
}

impl Rows<'_> {
    /// Computes the products.
    ///
    /// # Panics
    /// When the lengths of both sides do not fit.
    pub(crate) fn run(self, level: Level, ints: IntLevel) {
        let row = self.layout.row_num_bytes(self.depth);
        assert_eq!(self.depth % self.layout.block_weights(), 0);
        assert_eq!(self.weights.len(), self.out.len() * row);
        assert_eq!(self.x.len(), self.depth.next_multiple_of(GROUP));
        match self.layout {
            Layout::F32 => level.run(dense::Rows(self, F32)),
            Layout::F16 => level.run(dense::Rows(self, F16)),
            Layout::Bf16 => level.run(dense::Rows(self, Bf16)),
            Layout::Q4_0 => ints.run(Quantised(self, Q4_0)),
            Layout::Q4_1 => ints.run(Quantised(self, Q4_1)),
            Layout::Q8_0 => ints.run(Quantised(self, Q8_0)),
            Layout::Q4K => ints.run(Quantised(self, Q4K)),
            Layout::Q6K => ints.run(Quantised(self, Q6K)),
        }
    }
}

struct Quantised<'a, F>(Rows<'a>, F);

impl<F: Format> IntKernel for Quantised<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<I: Ints>(self, ints: I) {
        let Rows {
            weights,
            depth,
            x,
            out,
            ..
        } = self.0;
        let row = depth / F::WEIGHTS * F::NUM_BYTES;
        for (out, row) in out.iter_mut().zip(weights.chunks_exact(row)) {
            *out = dot::<F, I>(ints, row, x);
        }
    }
}

/// One row times `x`. Rows are read one after the other: memory is fastest when
/// it is read as a single stream.
#[inline(always)]
fn dot<F: Format, I: Ints>(ints: I, row: &[u8], x: &Activation) -> f32 {
    let mut sums = Sums {
        products: [ints.splat(0.0); SUMS],
        rests: [F::Factors::of(|_| 0.0); SUMS],
    };
    // Blocks of one group are taken several at a time, for the sums' sake.
    let blocks = row.len() / F::NUM_BYTES;
    let mut at = 0;
    if F::WEIGHTS == GROUP {
        while at + SUMS <= blocks {
            step::<F, I, SUMS>(ints, row, x, at, &mut sums);
            at += SUMS;
        }
    }
    while at < blocks {
        step::<F, I, 1>(ints, row, x, at, &mut sums);
        at += 1;
    }
    let sum: f32 = sums.products.map(|sum| ints.sum(sum)).iter().sum();
    let rest: f32 = sums.rests.map(F::Factors::sum).iter().sum();
    sum + rest
}

/// The two sums of a row, each in several parts.
struct Sums<F: Format, I: Ints> {
    products: [I::Sums; SUMS],
    rests: [F::Factors; SUMS],
}

/// Adds `N` blocks from block `at` on.
#[inline(always)]
fn step<F: Format, I: Ints, const N: usize>(
    ints: I,
    row: &[u8],
    x: &Activation,
    at: usize,
    sums: &mut Sums<F, I>,
) {
    let groups = F::WEIGHTS / GROUP;
    let parts = groups * F::PARTS;
    let blocks = &row[at * F::NUM_BYTES..][..N * F::NUM_BYTES];
    let values = &x.values[at * groups..][..N * groups];
    let scales = &x.scales[at * groups..][..N * groups];
    let x_sums = match F::PARTS {
        1 => &x.sums[..],
        _ => x.half_sums.as_flattened(),
    };
    let x_sums = &x_sums[at * parts..][..N * parts];
    for n in 0..N {
        let block = &blocks[n * F::NUM_BYTES..][..F::NUM_BYTES];
        let (factors, leasts) = F::factors(block);
        let zero = f32::from(F::ZERO);
        let rest = sums.rests[n];
        sums.rests[n] = F::Factors::of(|part| {
            let offset = leasts.at(part) - factors.at(part) * zero;
            rest.at(part) + offset * x_sums[n * parts + part]
        });
        let factors =
            F::Factors::of(|part| factors.at(part) * scales[n * groups + part / F::PARTS]);
        for group in 0..groups {
            let codes = F::codes(ints, block, group);
            let values = &values[n * groups + group];
            let products = match F::SMALL {
                true => ints.dot::<true>(codes, values),
                false => ints.dot::<false>(codes, values),
            };
            let factor = match F::PARTS {
                1 => ints.splat(factors.at(group)),
                _ => ints.halves(factors.at(2 * group), factors.at(2 * group + 1)),
            };
            let sum = &mut sums.products[(n + group) % SUMS];
            *sum = ints.mul_add(products, factor, *sum);
        }
    }
}
