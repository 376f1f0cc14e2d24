//! Arithmetic on vectors.

pub(super) use cairn_models::dot;
use simsimd::SpatialSimilarity;

/// Inner product of two codes of the same length; NaN if they differ.
#[inline]
pub(super) fn dot_codes(a: &[i8], b: &[i8]) -> f32 {
    i8::dot(a, b).map_or(f32::NAN, |product| product as f32)
}

/// Asks the processor to load a code that is about to be read.
#[inline]
pub(super) fn prefetch(code: &[i8]) {
    #[cfg(target_arch = "x86_64")]
    for line in code.chunks(64) {
        // SAFETY: prefetching reads nothing that the program can see, and the
        // address is inside a slice. SSE is part of every x86-64.
        #[allow(unsafe_code)]
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = code;
}
