//! Weights to floats, for products with many tokens.
//!
//! The loops are plain; compiled for an instruction set they become its vector
//! instructions, and they are their own scalar twin.

use super::blocks::{Q4_0, Q4_1, Q4K, Q6K, Q8_0};
use super::dense::{self, Bf16, F16, F32};
use super::{Factors as _, Format, GROUP, Layout};
use crate::kernels::ints;
use crate::kernels::simd::{Kernel, Simd};

/// The columns `from..from + width` of some rows.
pub(crate) struct Unpack<'a> {
    pub(crate) layout: Layout,
    /// Whole rows, one after the other.
    pub(crate) weights: &'a [u8],
    /// Weights of one row.
    pub(crate) depth: usize,
    /// First column, a multiple of the layout's block.
    pub(crate) from: usize,
    /// Columns, a multiple of the layout's block.
    pub(crate) width: usize,
    /// `[rows, width]`.
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let Self {
            layout,
            weights,
            depth,
            from,
            width,
            out,
        } = self;
        let row = layout.row_num_bytes(depth);
        let columns = layout.row_num_bytes(from)..layout.row_num_bytes(from + width);
        for (bytes, out) in weights.chunks_exact(row).zip(out.chunks_exact_mut(width)) {
            let bytes = &bytes[columns.clone()];
            match layout {
                Layout::F32 => dense::unpack::<F32>(bytes, out),
                Layout::F16 => dense::unpack::<F16>(bytes, out),
                Layout::Bf16 => dense::unpack::<Bf16>(bytes, out),
                Layout::Q4_0 => unpack::<Q4_0>(bytes, out),
                Layout::Q4_1 => unpack::<Q4_1>(bytes, out),
                Layout::Q8_0 => unpack::<Q8_0>(bytes, out),
                Layout::Q4K => unpack::<Q4K>(bytes, out),
                Layout::Q6K => unpack::<Q6K>(bytes, out),
            }
        }
    }
}

#[inline(always)]
fn unpack<F: Format>(bytes: &[u8], out: &mut [f32]) {
    let blocks = bytes.chunks_exact(F::NUM_BYTES);
    for (block, out) in blocks.zip(out.chunks_exact_mut(F::WEIGHTS)) {
        let (scales, leasts) = F::factors(block);
        for (group, out) in out.chunks_exact_mut(GROUP).enumerate() {
            let codes = F::codes(ints::Scalar, block, group);
            let parts = codes.chunks_exact(GROUP / F::PARTS);
            for (part, (codes, out)) in parts
                .zip(out.chunks_exact_mut(GROUP / F::PARTS))
                .enumerate()
            {
                let scale = scales.at(group * F::PARTS + part);
                let least = leasts.at(group * F::PARTS + part);
                for (&code, out) in codes.iter().zip(out) {
                    *out = scale * (i32::from(code) - i32::from(F::ZERO)) as f32 + least;
                }
            }
        }
    }
}
