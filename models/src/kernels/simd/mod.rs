//! One vector type for all kernels: each kernel is written once over [`Simd`]
//! and compiled for AVX-512, AVX2 with FMA, NEON, and plain scalars; which one
//! runs is decided when the model is opened.

#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod tiles;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::rounded::{self, bytes::Int8, words::Int16};

/// Lanes of the widest vector.
pub(crate) const MOST_LANES: usize = 16;

/// A set of vector instructions that this machine has: a value of the type is
/// the proof. The tile of a matrix product is [`Simd::ROWS`] rows of
/// [`Simd::VECTORS`] vectors, as many as fit in the registers.
///
/// Every method is inlined; call kernels through [`Level::run`] only, so that
/// they are compiled with the instructions.
pub(crate) trait Simd: Copy {
    /// A vector of [`Simd::LANES`] floats.
    type V: Copy;
    /// Floats of one vector.
    const LANES: usize;
    /// Most rows of one tile.
    const ROWS: usize;
    /// Vectors of one row of a tile.
    const VECTORS: usize;
    /// Floats of one row of a tile.
    const PANEL: usize = Self::LANES * Self::VECTORS;

    fn splat(self, x: f32) -> Self::V;

    /// # Safety
    /// `from` must be valid for reading [`Simd::LANES`] floats.
    #[allow(unsafe_code)]
    unsafe fn read(self, from: *const f32) -> Self::V;

    /// One float in all lanes.
    ///
    /// # Safety
    /// `from` must be valid for reading one float.
    #[allow(unsafe_code)]
    unsafe fn read_splat(self, from: *const f32) -> Self::V;

    /// # Safety
    /// `to` must be valid for writing [`Simd::LANES`] floats.
    #[allow(unsafe_code)]
    unsafe fn write(self, to: *mut f32, v: Self::V);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, v: Self::V) -> Self::V;
    /// a · b + c, rounded once where the machine can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// To the nearest integer, ties to even; only for |v| < 2^22.
    fn round(self, v: Self::V) -> Self::V;
    /// 2^n for integers n in -126..=127.
    fn power_of_two(self, n: Self::V) -> Self::V;

    /// Compiles and runs `kernel` with these instructions.
    fn run<K: Kernel>(self, kernel: K) -> K::Output;

    /// Multiplies one tile, see [`super::gemm::tile`].
    ///
    /// # Safety
    /// As for [`super::gemm::tile`], and `rows` is at most [`Simd::ROWS`].
    #[allow(unsafe_code)]
    unsafe fn tile(self, rows: usize, tile: super::gemm::Tile);

    /// Multiplies one tile of bytes: all sums of `tile` in the first `rows` rows
    /// and [`Simd::PANEL`] columns.
    ///
    /// # Safety
    /// As for [`rounded::plain_tile`], with panels of [`Simd::PANEL`], and `rows` is
    /// at most [`Simd::ROWS`].
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn byte_tile(self, rows: usize, tile: rounded::Tile<'_, Int8>) {
        // SAFETY: the caller's promise.
        unsafe { rounded::plain_tile(rows, Self::PANEL, tile) }
    }

    /// The same of words.
    ///
    /// # Safety
    /// As for [`Simd::byte_tile`].
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn word_tile(self, rows: usize, tile: rounded::Tile<'_, Int16>) {
        // SAFETY: the caller's promise.
        unsafe { rounded::plain_tile(rows, Self::PANEL, tile) }
    }

    /// The first floats of `from`; fails when it is shorter than a vector.
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::V {
        let from = &from[..Self::LANES];
        // SAFETY: the slice above has LANES floats.
        #[allow(unsafe_code)]
        unsafe {
            self.read(from.as_ptr())
        }
    }

    /// Overwrites the first floats of `to`; fails when it is shorter than a vector.
    #[inline(always)]
    fn store(self, to: &mut [f32], v: Self::V) {
        let to = &mut to[..Self::LANES];
        // SAFETY: the slice above has LANES floats.
        #[allow(unsafe_code)]
        unsafe {
            self.write(to.as_mut_ptr(), v);
        }
    }

    /// A slice shorter than a vector, with `fill` after it.
    #[inline(always)]
    fn load_part(self, from: &[f32], fill: f32) -> Self::V {
        let mut padded = [fill; MOST_LANES];
        padded[..from.len()].copy_from_slice(from);
        self.load(&padded)
    }

    /// The first floats of `v`, as many as `to` has.
    #[inline(always)]
    fn store_part(self, to: &mut [f32], v: Self::V) {
        let floats = self.floats(v);
        to.copy_from_slice(&floats[..to.len()]);
    }

    /// The lanes of `v`, then zeros.
    #[inline(always)]
    fn floats(self, v: Self::V) -> [f32; MOST_LANES] {
        let mut floats = [0.0; MOST_LANES];
        self.store(&mut floats, v);
        floats
    }

    /// The first integers of `from`, to the nearest floats; fails when it is shorter
    /// than a vector.
    #[inline(always)]
    fn load_ints(self, from: &[i32]) -> Self::V {
        let mut floats = [0.0; MOST_LANES];
        for (float, &int) in floats.iter_mut().zip(&from[..Self::LANES]) {
            *float = int as f32;
        }
        self.load(&floats)
    }

    /// Sum of the lanes.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        self.floats(v)[..Self::LANES].iter().sum()
    }

    /// Largest lane.
    #[inline(always)]
    fn largest(self, v: Self::V) -> f32 {
        self.floats(v)[..Self::LANES]
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max)
    }
}

/// Code that is compiled for each instruction set. Implementations of
/// [`Kernel::run`] are `#[inline(always)]`.
pub(crate) trait Kernel {
    /// What the kernel returns.
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// The instruction set that was chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon),
    Scalar(scalar::Scalar),
}

impl Level {
    /// All that this machine can run, the fastest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(x86::Avx512::detect().map(Self::Avx512));
            levels.extend(x86::Avx2::detect().map(Self::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        levels.push(Self::Neon(neon::Neon));
        levels.push(Self::Scalar(scalar::Scalar));
        levels
    }

    /// Plain arithmetic, one number at a time.
    pub(crate) fn scalar() -> Self {
        Self::Scalar(scalar::Scalar)
    }

    /// The fastest of this machine.
    pub(crate) fn best() -> Self {
        Self::available()[0]
    }

    /// Runs `kernel` with this instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(simd) => simd.run(kernel),
            Self::Scalar(simd) => simd.run(kernel),
        }
    }

    /// Its name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "NEON",
            Self::Scalar(_) => "scalar",
        }
    }

    /// Whether products of bytes have instructions of their own here, which are
    /// several times as fast as those of floats.
    pub(crate) fn multiplies_bytes(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.has_vnni(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.has_vnni(),
            _ => false,
        }
    }

    /// Whether products of words have instructions that beat those of floats here.
    pub(crate) fn multiplies_words(self) -> bool {
        match self {
            // Without VNNI, adding up takes what multiplying saves.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.has_vnni(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => true,
            _ => false,
        }
    }

    /// Floats of one panel of a packed matrix.
    pub(crate) fn panel(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => x86::Avx512::PANEL,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => x86::Avx2::PANEL,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => neon::Neon::PANEL,
            Self::Scalar(_) => scalar::Scalar::PANEL,
        }
    }
}
