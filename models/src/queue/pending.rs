//! The result of queued work, for those who block and those who await.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::{Cancel, Error, ErrorKind, Result};

/// A result that is being worked on. Dropping it takes the work out of the
/// queue if it has not begun; work that has begun ends by its own
/// [`crate::Cancel`].
#[must_use = "the work is skipped if its result is not waited for"]
#[derive(Debug)]
pub struct Pending<T>(oneshot::Receiver<Result<T>>);

/// The other end of a [`Pending`].
pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

impl<T> Pending<T> {
    pub(super) fn new() -> (Reply<T>, Self) {
        let (reply, receiver) = oneshot::channel();
        (reply, Self(receiver))
    }

    /// Waits for the result on this thread.
    ///
    /// # Panics
    /// Inside an asynchronous runtime: await it there.
    pub fn wait(self) -> Result<T> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(lost()))
    }

    /// Waits for the result on this thread until `cancel` fires.
    ///
    /// # Errors
    /// `Cancelled` when it fired first; those of the work.
    pub fn wait_until(mut self, cancel: &Cancel) -> Result<T> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut cancelled = pin!(cancel.subscribe());
        loop {
            if let Poll::Ready(result) = Pin::new(&mut self).poll(&mut context) {
                return result;
            }
            cancel.check()?;
            if cancelled.as_mut().poll(&mut context).is_ready() {
                continue;
            }
            match cancel.deadline() {
                Some(at) => {
                    std::thread::park_timeout(at.saturating_duration_since(Instant::now()));
                }
                None => std::thread::park(),
            }
        }
    }
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|received| received.unwrap_or_else(|_| Err(lost())))
    }
}

fn lost() -> Error {
    Error::new(
        ErrorKind::Internal,
        "a model's work ended in a panic; see the log",
    )
}
