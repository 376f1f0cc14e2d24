//! Weights of GGUF files as they are in the file: blocks of small integers with
//! common factors. They are multiplied without unpacking ([`dot`]) when one
//! token is written, and unpacked a few rows at a time ([`unpack`]) when a
//! prompt is read.
//!
//! The layouts are those of ggml; candle's implementation is the twin that the
//! tests compare with.

mod activation;
mod blocks;
mod dense;
mod dot;
mod unpack;

#[cfg(test)]
mod tests;

pub(crate) use activation::Activation;
pub(crate) use dot::Rows;
pub(crate) use unpack::Unpack;

use super::ints::Ints;

/// Weights that share a factor and are multiplied together.
pub(crate) const GROUP: usize = 32;

/// How a matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q8_0,
    Q4K,
    Q6K,
}

impl Layout {
    /// Weights of one block, which a row is made of.
    pub(crate) fn block_weights(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 => blocks::Q4_0::WEIGHTS,
            Self::Q4_1 => blocks::Q4_1::WEIGHTS,
            Self::Q8_0 => blocks::Q8_0::WEIGHTS,
            Self::Q4K => blocks::Q4K::WEIGHTS,
            Self::Q6K => blocks::Q6K::WEIGHTS,
        }
    }

    /// Bytes of one block.
    pub(crate) fn block_num_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => blocks::Q4_0::NUM_BYTES,
            Self::Q4_1 => blocks::Q4_1::NUM_BYTES,
            Self::Q8_0 => blocks::Q8_0::NUM_BYTES,
            Self::Q4K => blocks::Q4K::NUM_BYTES,
            Self::Q6K => blocks::Q6K::NUM_BYTES,
        }
    }

    /// Bytes of a row of `weights`, which is a multiple of the block.
    pub(crate) fn row_num_bytes(self, weights: usize) -> usize {
        weights / self.block_weights() * self.block_num_bytes()
    }
}

/// A layout of blocks of integers: weight = scale · (code − [`Format::ZERO`]) + least.
pub(crate) trait Format: Copy {
    /// Weights of one block, a multiple of [`GROUP`].
    const WEIGHTS: usize;
    /// Bytes of one block.
    const NUM_BYTES: usize;
    /// Factors of one group: 2 where its halves have their own.
    const PARTS: usize;
    /// What is taken off every code.
    const ZERO: u8;
    /// Whether all codes are below 128.
    const SMALL: bool;
    /// One float for each part of each group of a block.
    type Factors: Factors;

    /// Scales and least values of the block.
    fn factors(block: &[u8]) -> (Self::Factors, Self::Factors);

    /// The codes of one group.
    fn codes<I: Ints>(ints: I, block: &[u8], group: usize) -> I::Codes;
}

/// A few floats that stay in registers.
pub(crate) trait Factors: Copy {
    fn of(float: impl FnMut(usize) -> f32) -> Self;
    fn at(&self, part: usize) -> f32;
    fn sum(self) -> f32;
}

impl<const N: usize> Factors for [f32; N] {
    #[inline(always)]
    fn of(float: impl FnMut(usize) -> f32) -> Self {
        std::array::from_fn(float)
    }
    #[inline(always)]
    fn at(&self, part: usize) -> f32 {
        self[part]
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        self.iter().sum()
    }
}
