//! Arithmetic that the models share: each kernel is one file, written once over
//! [`simd::Simd`] or [`ints::Ints`] and compiled for every instruction set.

pub(crate) mod attention;
pub(crate) mod causal;
pub(crate) mod gelu;
pub(crate) mod gemm;
pub(crate) mod ints;
pub(crate) mod lanes;
pub(crate) mod likeness;
pub(crate) mod parallel;
pub(crate) mod project;
pub(crate) mod quant;
pub(crate) mod rounded;
pub(crate) mod rows;
pub(crate) mod simd;
pub(crate) mod softmax;
pub(crate) mod spread;
pub(crate) mod team;

#[cfg(test)]
mod tests;
