//! Plain bytes: the twin that the others are tested against, and the fallback.

use super::{IntKernel, Ints};

/// Plain arithmetic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

impl Ints for Scalar {
    type Codes = [u8; 32];
    type Sums = [f32; 8];

    #[inline(always)]
    fn load(self, from: &[u8; 32]) -> [u8; 32] {
        *from
    }
    #[inline(always)]
    fn nibbles(self, from: &[u8; 16]) -> [u8; 32] {
        let mut codes = [0; 32];
        for (at, byte) in from.iter().enumerate() {
            codes[at] = byte & 15;
            codes[at + 16] = byte >> 4;
        }
        codes
    }
    #[inline(always)]
    fn low(self, codes: [u8; 32]) -> [u8; 32] {
        codes.map(|code| code & 15)
    }
    #[inline(always)]
    fn high(self, codes: [u8; 32]) -> [u8; 32] {
        codes.map(|code| code >> 4)
    }
    #[inline(always)]
    fn unsign(self, codes: [u8; 32]) -> [u8; 32] {
        codes.map(|code| code ^ 128)
    }
    #[inline(always)]
    fn add_bits(self, low: [u8; 32], high: [u8; 32], pair: usize) -> [u8; 32] {
        std::array::from_fn(|at| low[at] | ((high[at] >> (2 * pair)) & 3) << 4)
    }

    #[inline(always)]
    fn dot<const SMALL: bool>(self, codes: [u8; 32], values: &[i8; 32]) -> [f32; 8] {
        std::array::from_fn(|lane| {
            let four = 4 * lane..4 * lane + 4;
            let sum: i32 = codes[four.clone()]
                .iter()
                .zip(&values[four])
                .map(|(&code, &value)| i32::from(code) * i32::from(value))
                .sum();
            sum as f32
        })
    }

    #[inline(always)]
    fn splat(self, x: f32) -> [f32; 8] {
        [x; 8]
    }
    #[inline(always)]
    fn halves(self, first: f32, second: f32) -> [f32; 8] {
        std::array::from_fn(|lane| if lane < 4 { first } else { second })
    }
    #[inline(always)]
    fn mul_add(self, a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }
    #[inline(always)]
    fn sum(self, sums: [f32; 8]) -> f32 {
        sums.iter().sum()
    }

    #[inline]
    fn run<K: IntKernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}
