//! What loading a model leaves in memory and nobody reads again, given back to the
//! system. Only Linux is asked to; elsewhere nothing happens.

/// Lets go of the pages of this program's own file that lie wholly inside `bytes`,
/// for when they were unpacked. They are read from the file again if they are used.
pub(crate) fn release(bytes: &'static [u8]) {
    #[cfg(target_os = "linux")]
    {
        let page = page();
        let start = (bytes.as_ptr() as usize).next_multiple_of(page);
        let end = (bytes.as_ptr() as usize + bytes.len()) / page * page;
        if start < end {
            // SAFETY: the pages hold nothing but a constant, which the linker puts
            // where nobody can write: they come back from the file as they are. It
            // is advice, so its failure costs memory and nothing else.
            #[allow(unsafe_code)]
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
    // SAFETY: asks for a constant of the system.
    #[allow(unsafe_code)]
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(1 << 16)
}

/// Gives back what was freed: an allocator keeps much of it for the next time, and
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
            release(part);
            assert!(LARGE == before);
        }
        trim();
    }
}
