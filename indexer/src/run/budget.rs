//! A bound on the bytes of files that are in memory at the same time.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes to be shared out. One file may always go in, however large it is.
pub(super) struct Budget {
    limit: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    used: u64,
    closed: bool,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Waits until `bytes` fit; false when the budget was closed.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let full = |state: &mut State| {
            !state.closed && state.used > 0 && state.used.saturating_add(bytes) > self.limit
        };
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .changed
            .wait_while(state, full)
            .unwrap_or_else(PoisonError::into_inner);
        state.used = state.used.saturating_add(bytes);
        !state.closed
    }

    /// Gives `bytes` back.
    pub(super) fn give(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.used = state.used.saturating_sub(bytes);
        drop(state);
        self.changed.notify_all();
    }

    /// Wakes everyone who waits: there will be no more.
    pub(super) fn close(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn never_hands_out_more_than_it_has_except_to_one() {
        let budget = Budget::new(10);
        let (used, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for bytes in [3, 9, 1, 7, 25] {
                        assert!(budget.take(bytes));
                        let now = used.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        most.fetch_max(now, Ordering::SeqCst);
                        used.fetch_sub(bytes, Ordering::SeqCst);
                        budget.give(bytes);
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 25);
    }

    #[test]
    fn closing_wakes_those_who_wait() {
        let budget = Budget::new(1);
        assert!(budget.take(1));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.take(1));
            budget.close();
            assert!(!waiting.join().unwrap());
        });
    }
}
