//! Panics that are expected: libraries that panic over damaged bytes are called behind
//! [`catch`], which makes an error of it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// How many calls of [`catch`] this thread is inside.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work`.
///
/// # Errors
/// The payload of a panic inside.
pub fn catch<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    DEPTH.set(DEPTH.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    result
}

/// Keeps panics that become errors off stderr: a person sees the error, and the log has
/// the place at level `debug`. Unexpected panics are printed as before.
pub fn silence_caught_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match DEPTH.get() {
            0 => print(panic),
            _ => tracing::debug!(%panic, "a library panicked over its input"),
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_depth_comes_back() {
        silence_caught_panics();
        let outer = catch(|| {
            assert!(catch(|| panic!("inside")).is_err());
            DEPTH.get()
        });
        assert_eq!(outer.unwrap(), 1);
        assert_eq!(DEPTH.get(), 0);
    }
}
