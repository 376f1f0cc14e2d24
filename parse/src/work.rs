//! How much of a text the readers of plain markup look at, counted in tests: reading must stay
//! linear in the size of a file, whoever wrote it, and no test can rely on a clock.

#[cfg(test)]
thread_local! {
    static DONE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts `steps` more bytes or lines that were looked at.
#[inline]
pub(crate) fn add(steps: usize) {
    #[cfg(test)]
    DONE.set(DONE.get() + steps as u64);
    #[cfg(not(test))]
    let _ = steps;
}

/// What was counted on this thread since the last call.
#[cfg(test)]
pub(crate) fn take() -> u64 {
    DONE.take()
}
