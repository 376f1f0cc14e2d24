//! Dot products of bytes: the instructions behind the quantised weights, as
//! [`super::simd`] is for floats. 32 bytes at a time, whose products are summed
//! in groups of four, as all of these machines do it.

#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use scalar::Scalar;

/// A set of instructions that this machine has: a value of the type is the proof.
///
/// Every method is inlined; call kernels through [`IntLevel::run`] only, so that
/// they are compiled with the instructions.
pub(crate) trait Ints: Copy {
    /// 32 unsigned bytes.
    type Codes: Copy;
    /// 8 floats. The first four belong to bytes 0..16, the others to 16..32.
    type Sums: Copy;

    fn load(self, from: &[u8; 32]) -> Self::Codes;
    /// The low half of each of 16 bytes, then the high halves.
    fn nibbles(self, from: &[u8; 16]) -> Self::Codes;
    /// The low half of each byte.
    fn low(self, codes: Self::Codes) -> Self::Codes;
    /// The high half of each byte.
    fn high(self, codes: Self::Codes) -> Self::Codes;
    /// Each byte plus 128, modulo 256: from -128..128 to 0..256.
    fn unsign(self, codes: Self::Codes) -> Self::Codes;
    /// `low | (high >> 2 · pair & 3) << 4`, where `pair` is 0..4.
    fn add_bits(self, low: Self::Codes, high: Self::Codes, pair: usize) -> Self::Codes;

    /// The sums of products, as floats. `values` are in -127..=127; `SMALL`
    /// says that all codes are below 128.
    fn dot<const SMALL: bool>(self, codes: Self::Codes, values: &[i8; 32]) -> Self::Sums;

    fn splat(self, x: f32) -> Self::Sums;
    /// One float for each half.
    fn halves(self, first: f32, second: f32) -> Self::Sums;
    /// a · b + c.
    fn mul_add(self, a: Self::Sums, b: Self::Sums, c: Self::Sums) -> Self::Sums;
    /// Sum of the lanes.
    fn sum(self, sums: Self::Sums) -> f32;

    /// Compiles and runs `kernel` with these instructions.
    fn run<K: IntKernel>(self, kernel: K) -> K::Output;
}

/// Code that is compiled for each instruction set. Implementations of
/// [`IntKernel::run`] are `#[inline(always)]`.
pub(crate) trait IntKernel {
    /// What the kernel returns.
    type Output;
    fn run<I: Ints>(self, ints: I) -> Self::Output;
}

/// The instruction set that was chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IntLevel {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(x86::Avx512Vnni),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(x86::AvxVnni),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon),
    Scalar(Scalar),
}

impl IntLevel {
    /// All that this machine can run, the fastest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(x86::Avx512Vnni::detect().map(Self::Avx512Vnni));
            levels.extend(x86::AvxVnni::detect().map(Self::AvxVnni));
            levels.extend(x86::Avx2::detect().map(Self::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        levels.push(Self::Neon(neon::Neon));
        levels.push(Self::Scalar(Scalar));
        levels
    }

    /// The fastest of this machine.
    pub(crate) fn best() -> Self {
        Self::available()[0]
    }

    /// Runs `kernel` with this instruction set.
    #[inline]
    pub(crate) fn run<K: IntKernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(ints) => ints.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni(ints) => ints.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(ints) => ints.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(ints) => ints.run(kernel),
            Self::Scalar(ints) => ints.run(kernel),
        }
    }
}
