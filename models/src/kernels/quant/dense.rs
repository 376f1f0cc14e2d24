//! Weights that are floats.

use half::{bf16, f16};

use super::{Activation, GROUP, dot};
use crate::kernels::simd::{Kernel, Simd};

/// A layout of one float each.
pub(super) trait Dense: Copy {
    const NUM_BYTES: usize;
    fn float(bytes: &[u8]) -> f32;
}

#[derive(Clone, Copy)]
pub(super) struct F32;

impl Dense for F32 {
    const NUM_BYTES: usize = 4;
    #[inline(always)]
    fn float(bytes: &[u8]) -> f32 {
        f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

#[derive(Clone, Copy)]
pub(super) struct F16;

impl Dense for F16 {
    const NUM_BYTES: usize = 2;
    #[inline(always)]
    fn float(bytes: &[u8]) -> f32 {
        f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
    }
}

#[derive(Clone, Copy)]
pub(super) struct Bf16;

impl Dense for Bf16 {
    const NUM_BYTES: usize = 2;
    #[inline(always)]
    fn float(bytes: &[u8]) -> f32 {
        bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
    }
}

/// Unpacks as many floats as `out` has.
#[inline(always)]
pub(super) fn unpack<D: Dense>(bytes: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.iter_mut().zip(bytes.chunks_exact(D::NUM_BYTES)) {
        *out = D::float(bytes);
    }
}

/// Products with rows of floats.
pub(super) struct Rows<'a, D>(pub(super) dot::Rows<'a>, pub(super) D);

impl<D: Dense> Kernel for Rows<'_, D> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let dot::Rows {
            weights,
            depth,
            x: Activation { floats, .. },
            out,
            ..
        } = self.0;
        for (out, row) in out
            .iter_mut()
            .zip(weights.chunks_exact(depth * D::NUM_BYTES))
        {
            let mut sum = simd.splat(0.0);
            let mut unpacked = [0.0_f32; GROUP];
            for (bytes, x) in row.chunks(GROUP * D::NUM_BYTES).zip(floats.chunks(GROUP)) {
                // The last chunk may be short; zeros of `x` end it.
                unpack::<D>(bytes, &mut unpacked);
                for (weights, x) in unpacked
                    .chunks_exact(S::LANES)
                    .zip(x.chunks_exact(S::LANES))
                {
                    sum = simd.mul_add(simd.load(weights), simd.load(x), sum);
                }
            }
            *out = simd.sum(sum);
        }
    }
}
