//! Returns memory to the system that loading a model used and inference does not need.
//! Implemented for Linux; a no-op elsewhere.

/// Lets go of the pages of this program's own file that are wholly inside `bytes`, once
/// they have been unpacked. They are read from the file again if they are used.
///
/// # Safety
/// `bytes` must be a constant of the binary that is never written, such as what
/// `include_bytes!` gives: pages of other memory would come back as zeros.
#[allow(unsafe_code)]
pub(crate) unsafe fn release(bytes: &'static [u8]) {
    #[cfg(target_os = "linux")]
    {
        let page = page();
        let start = (bytes.as_ptr() as usize).next_multiple_of(page);
        let end = (bytes.as_ptr() as usize + bytes.len()) / page * page;
        if start < end {
            // SAFETY: the caller says that the pages hold nothing but a constant, which
            // the linker puts into read-only memory: they come back from the file as
            // they were. It is advice, so its failure costs memory and nothing else.
            let _ = unsafe {
                libc::madvise(
                    std::ptr::without_provenance_mut(start),
                    end - start,
                    libc::MADV_DONTNEED,
                )
            };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = bytes;
}

/// Bytes of a page of memory.
#[cfg(target_os = "linux")]
fn page() -> usize {
    // SAFETY: reads a constant of the system.
    #[allow(unsafe_code)]
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(1 << 16)
}

/// Returns freed memory to the system: the allocator keeps much of it for later, and
/// loading happens once.
pub(crate) fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time, by any thread.
    #[allow(unsafe_code)]
    let _ = unsafe { libc::malloc_trim(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_constant_reads_as_before() {
        static LARGE: &[u8] = include_bytes!("../builtin/late-interaction-v2/tokenizer.json");
        let before = LARGE.to_vec();
        for part in [LARGE, &LARGE[1..], &LARGE[..5000], &LARGE[..10], &[]] {
            // SAFETY: a constant of the test binary.
            #[allow(unsafe_code)]
            unsafe {
                release(part);
            }
            assert!(LARGE == before);
        }
        trim();
    }
}
