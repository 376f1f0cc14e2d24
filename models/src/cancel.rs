//! A flag that stops long work, so that a client that goes away stops costing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::{Error, Result};

/// Tells running work to stop: because somebody called [`Cancel::cancel`], or
/// because a deadline passed. Clones share the flag. Loops poll it with
/// [`Cancel::check`]; futures wait for it with [`Cancel::cancelled`].
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    shared: Arc<Shared>,
    deadline: Option<Instant>,
}

#[derive(Debug, Default)]
struct Shared {
    flag: AtomicBool,
    /// Notified once the flag is set.
    fired: Notify,
}

impl Cancel {
    /// A token that never fires unless somebody cancels it.
    pub fn never() -> Self {
        Self::default()
    }

    /// The same flag, which also fires at `deadline` (the earlier one wins).
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        let deadline = self.deadline.map_or(deadline, |own| own.min(deadline));
        Self {
            shared: Arc::clone(&self.shared),
            deadline: Some(deadline),
        }
    }

    /// Asks every holder of this token to stop.
    pub fn cancel(&self) {
        // Sequentially consistent, here and in `is_cancelled`: a waiter subscribes and then
        // reads the flag, this sets the flag and then notifies, so one of them sees the other.
        self.shared.flag.store(true, Ordering::SeqCst);
        self.shared.fired.notify_waiters();
    }

    /// The moment at which this token fires by itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the work should stop.
    pub fn is_cancelled(&self) -> bool {
        self.shared.flag.load(Ordering::SeqCst)
            || self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// `Err` of kind `Cancelled` if the work should stop: for use with `?`.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(Error::cancelled())
        } else {
            Ok(())
        }
    }

    /// Returns once the work should stop.
    ///
    /// # Panics
    /// Outside an asynchronous runtime with timers, if the token has a deadline.
    pub async fn cancelled(&self) {
        let fired = self.subscribe();
        if self.is_cancelled() {
            return;
        }
        match self.deadline {
            Some(deadline) => {
                // An expired timer and a set flag mean the same.
                let _ = tokio::time::timeout_at(deadline.into(), fired).await;
            }
            None => fired.await,
        }
    }

    /// Resolves when somebody cancels the token after this call; deadlines do not count.
    pub(crate) fn subscribe(&self) -> Notified<'_> {
        self.shared.fired.notified()
    }
}

/// Cancels work when it is dropped: nothing waits for the result any more.
#[derive(Debug, Default)]
pub struct CancelOnDrop {
    cancel: Cancel,
    disarmed: bool,
}

impl CancelOnDrop {
    /// Guards the work that holds `cancel` or a clone of it.
    pub fn new(cancel: Cancel) -> Self {
        Self {
            cancel,
            disarmed: false,
        }
    }

    /// The token to hand to the work.
    pub fn token(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Drops the guard without cancelling: the work has ended.
    pub fn disarm(mut self) {
        self.disarmed = true;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if !self.disarmed {
            self.cancel.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_waiter_is_woken_by_a_clone_and_only_then() {
        let cancel = Cancel::never();
        let mut context = Context::from_waker(Waker::noop());
        let mut early = pin!(cancel.cancelled());
        assert!(early.as_mut().poll(&mut context).is_pending());
        cancel.clone().cancel();
        assert!(early.poll(&mut context).is_ready());
        assert!(pin!(cancel.cancelled()).poll(&mut context).is_ready());
    }

    #[tokio::test]
    async fn a_deadline_ends_the_wait() {
        let soon = Cancel::never().with_deadline(Instant::now() + Duration::from_millis(5));
        soon.cancelled().await;
        assert!(soon.is_cancelled());
    }

    #[tokio::test]
    async fn every_waiter_on_other_threads_is_woken() {
        let cancel = Cancel::never();
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let cancel = cancel.clone();
                tokio::spawn(async move { cancel.cancelled().await })
            })
            .collect();
        tokio::task::yield_now().await;
        std::thread::spawn(move || cancel.cancel());
        for waiter in waiting {
            waiter.await.unwrap();
        }
    }

    #[test]
    fn a_guard_cancels_unless_it_is_disarmed() {
        let guard = CancelOnDrop::default();
        let token = guard.token();
        guard.disarm();
        assert!(!token.is_cancelled());
        drop(CancelOnDrop::new(token.clone()));
        assert!(token.is_cancelled());
    }
}
