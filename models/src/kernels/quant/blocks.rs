//! The layouts of blocks, as ggml defines them.

use half::f16;

use super::Format;
use crate::kernels::ints::Ints;

/// Half floats and the like are little-endian, wherever they lie.
#[inline(always)]
fn half(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// `N` bytes from `at`; the callers' blocks are long enough.
#[inline(always)]
fn bytes<const N: usize>(block: &[u8], at: usize) -> &[u8; N] {
    match block[at..].first_chunk() {
        Some(bytes) => bytes,
        None => unreachable!("a block is shorter than its layout"),
    }
}

/// 32 weights of 4 bits with a scale: weight = d · (code − 8).
#[derive(Clone, Copy)]
pub(super) struct Q4_0;

impl Format for Q4_0 {
    const WEIGHTS: usize = 32;
    const NUM_BYTES: usize = 18;
    const PARTS: usize = 1;
    const ZERO: u8 = 8;
    const SMALL: bool = true;
    type Factors = [f32; 1];

    #[inline(always)]
    fn factors(block: &[u8]) -> ([f32; 1], [f32; 1]) {
        ([half(block)], [0.0])
    }

    #[inline(always)]
    fn codes<I: Ints>(ints: I, block: &[u8], _group: usize) -> I::Codes {
        ints.nibbles(bytes(block, 2))
    }
}

/// 32 weights of 4 bits with a scale and a least value: weight = d · code + m.
#[derive(Clone, Copy)]
pub(super) struct Q4_1;

impl Format for Q4_1 {
    const WEIGHTS: usize = 32;
    const NUM_BYTES: usize = 20;
    const PARTS: usize = 1;
    const ZERO: u8 = 0;
    const SMALL: bool = true;
    type Factors = [f32; 1];

    #[inline(always)]
    fn factors(block: &[u8]) -> ([f32; 1], [f32; 1]) {
        ([half(block)], [half(&block[2..])])
    }

    #[inline(always)]
    fn codes<I: Ints>(ints: I, block: &[u8], _group: usize) -> I::Codes {
        ints.nibbles(bytes(block, 4))
    }
}

/// 32 signed bytes with a scale; a code is a byte plus 128.
#[derive(Clone, Copy)]
pub(super) struct Q8_0;

impl Format for Q8_0 {
    const WEIGHTS: usize = 32;
    const NUM_BYTES: usize = 34;
    const PARTS: usize = 1;
    const ZERO: u8 = 128;
    const SMALL: bool = false;
    type Factors = [f32; 1];

    #[inline(always)]
    fn factors(block: &[u8]) -> ([f32; 1], [f32; 1]) {
        ([half(block)], [0.0])
    }

    #[inline(always)]
    fn codes<I: Ints>(ints: I, block: &[u8], _group: usize) -> I::Codes {
        ints.unsign(ints.load(bytes(block, 2)))
    }
}

/// 256 weights of 4 bits; each 32 have a scale and a least value of 6 bits,
/// which are multiples of two half floats. The nibbles of 32 bytes are two
/// neighbouring groups.
#[derive(Clone, Copy)]
pub(super) struct Q4K;

impl Format for Q4K {
    const WEIGHTS: usize = 256;
    const NUM_BYTES: usize = 144;
    const PARTS: usize = 1;
    const ZERO: u8 = 0;
    const SMALL: bool = true;
    type Factors = [f32; 8];

    #[inline(always)]
    fn factors(block: &[u8]) -> ([f32; 8], [f32; 8]) {
        let (scale, least) = (half(block), -half(&block[2..]));
        // Twelve bytes: the low six bits of the first eight are the first four
        // scales and leasts; the nibbles of the last four, with the two high
        // bits of the first eight above them, are the others.
        let word = |at| u32::from_le_bytes(*bytes(block, at));
        let (first, second, third) = (word(4), word(8), word(12));
        let low = 0x3f3f_3f3f;
        let scales = [
            first & low,
            third & 0x0f0f_0f0f | (first >> 2) & 0x3030_3030,
        ];
        let leasts = [
            second & low,
            (third >> 4) & 0x0f0f_0f0f | (second >> 2) & 0x3030_3030,
        ];
        let floats = |words: [u32; 2], factor: f32| -> [f32; 8] {
            let both = u64::from(words[0]) | u64::from(words[1]) << 32;
            both.to_le_bytes().map(|byte| f32::from(byte) * factor)
        };
        (floats(scales, scale), floats(leasts, least))
    }

    #[inline(always)]
    fn codes<I: Ints>(ints: I, block: &[u8], group: usize) -> I::Codes {
        let two = ints.load(bytes(block, 16 + group / 2 * 32));
        if group.is_multiple_of(2) {
            ints.low(two)
        } else {
            ints.high(two)
        }
    }
}

/// 256 weights of 6 bits; each 16 have a signed scale of 8 bits, which is a
/// multiple of a half float: weight = d · scale · (code − 32). In each half of
/// the block, 64 bytes hold the low nibbles of groups 0 and 1 and, in their high
/// halves, of groups 2 and 3; 32 bytes hold the two high bits of all four.
#[derive(Clone, Copy)]
pub(super) struct Q6K;

impl Format for Q6K {
    const WEIGHTS: usize = 256;
    const NUM_BYTES: usize = 210;
    const PARTS: usize = 2;
    const ZERO: u8 = 32;
    const SMALL: bool = true;
    type Factors = [f32; 16];

    #[inline(always)]
    fn factors(block: &[u8]) -> ([f32; 16], [f32; 16]) {
        let scale = half(&block[208..]);
        let scales: &[u8; 16] = bytes(block, 192);
        (
            scales.map(|byte| f32::from(byte.cast_signed()) * scale),
            [0.0; 16],
        )
    }

    #[inline(always)]
    fn codes<I: Ints>(ints: I, block: &[u8], group: usize) -> I::Codes {
        let (part, group) = (group / 4, group % 4);
        let nibbles = ints.load(bytes(block, 64 * part + 32 * (group % 2)));
        let nibbles = if group < 2 {
            ints.low(nibbles)
        } else {
            ints.high(nibbles)
        };
        ints.add_bits(nibbles, ints.load(bytes(block, 128 + 32 * part)), group)
    }
}
