//! A flag that long work polls, so that a client that goes away stops costing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::{Error, Result};

/// Tells running work to stop: because somebody called [`Cancel::cancel`], or
/// because a deadline passed. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    deadline: Option<Instant>,
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
            flag: Arc::clone(&self.flag),
            deadline: Some(deadline),
        }
    }

    /// Asks every holder of this token to stop.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// The moment at which this token fires by itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the work should stop.
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
            || self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// `Err` of kind `Cancelled` when the work should stop: for use with `?`.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(Error::cancelled())
        } else {
            Ok(())
        }
    }
}
