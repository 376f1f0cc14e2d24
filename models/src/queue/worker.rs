//! One thread that does one piece of work after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::{Sender, TrySendError, bounded};

use super::pending::Pending;
use crate::Result;

type Job = Box<dyn FnOnce() + Send>;

/// A thread with a bounded queue, for a model that does one thing at a time.
///
/// The thread ends when the worker is dropped and the queue is empty.
#[derive(Clone, Debug)]
pub struct Worker {
    name: String,
    jobs: Sender<Job>,
}

impl Worker {
    /// Starts the thread. At most `capacity` pieces of work wait (0: one is
    /// taken only when the thread is idle); `name` is for messages.
    ///
    /// # Errors
    /// `Machine` when no thread can be started.
    pub fn start(name: &str, capacity: usize) -> Result<Self> {
        let (jobs, waiting) = bounded::<Job>(capacity);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                for job in waiting {
                    // The panic was printed; its client gets an error, and the
                    // others are served.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            })
            .map_err(|cause| super::no_thread(name, cause))?;
        Ok(Self {
            name: name.to_owned(),
            jobs,
        })
    }

    /// Queues work. It is skipped if its [`Pending`] is gone when its turn
    /// comes; while it runs, ending it early is up to the [`crate::Cancel`] that
    /// it was given.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full.
    pub fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<Pending<T>> {
        let (reply, pending) = Pending::new();
        let job = Box::new(move || {
            if !reply.is_closed() {
                // A client that left meanwhile wants no answer.
                let _ = reply.send(work());
            }
        });
        match self.jobs.try_send(job) {
            Ok(()) => Ok(pending),
            Err(TrySendError::Full(_)) => {
                Err(super::full(&self.name, self.jobs.capacity().unwrap_or(0)))
            }
            // Cannot be: the thread lives as long as a sender does.
            Err(TrySendError::Disconnected(_)) => Ok(pending),
        }
    }

    /// Pieces of work that wait.
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;
    use crate::{Cancel, Error, ErrorKind};

    /// A worker whose thread is busy until the sender is used or dropped.
    fn busy(capacity: usize) -> (Worker, mpsc::Sender<()>, Pending<()>) {
        let worker = Worker::start("test", capacity).unwrap();
        let (release, released) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let pending = worker.submit(move || {
            begin.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        });
        begun.recv().unwrap();
        (worker, release, pending.unwrap())
    }

    #[test]
    fn work_is_done_in_order_and_gives_its_result() {
        let worker = Worker::start("test", 8).unwrap();
        let order = Arc::new(AtomicUsize::new(0));
        let count = |_| {
            let order = Arc::clone(&order);
            worker.submit(move || Ok(order.fetch_add(1, Ordering::SeqCst)))
        };
        let pending: Vec<_> = (0..8).map(|n| count(n).unwrap()).collect();
        let results: Vec<_> = pending.into_iter().map(|p| p.wait().unwrap()).collect();
        assert_eq!(results, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_is_an_answer() {
        let (worker, release, running) = busy(2);
        let waiting = [
            worker.submit(|| Ok(1)).unwrap(),
            worker.submit(|| Ok(2)).unwrap(),
        ];
        assert_eq!(worker.waiting(), 2);
        let error = worker.submit(|| Ok(3)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(
            error.to_string().contains("2 requests wait for the test"),
            "{error}"
        );
        drop(release);
        running.wait().unwrap();
        assert_eq!(waiting.map(|pending| pending.wait().unwrap()), [1, 2]);
        worker.submit(|| Ok(4)).unwrap().wait().unwrap();
    }

    #[test]
    fn work_that_nobody_waits_for_is_skipped() {
        let (worker, release, running) = busy(2);
        let done = Arc::new(AtomicUsize::new(0));
        let work = |done: &Arc<AtomicUsize>| {
            let done = Arc::clone(done);
            move || Ok(done.fetch_add(1, Ordering::SeqCst))
        };
        drop(worker.submit(work(&done)).unwrap());
        let kept = worker.submit(work(&done)).unwrap();
        drop(release);
        running.wait().unwrap();
        assert_eq!(
            kept.wait().unwrap(),
            0,
            "the dropped one was not done before it"
        );
    }

    #[test]
    fn an_error_reaches_the_client() {
        let worker = Worker::start("test", 1).unwrap();
        let cancel = Cancel::never();
        cancel.cancel();
        let error = worker
            .submit(move || cancel.check())
            .unwrap()
            .wait()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn a_panic_is_an_error_for_its_client_only() {
        let worker = Worker::start("test", 2).unwrap();
        let panics = worker
            .submit(|| -> Result<()> { panic!("on purpose") })
            .unwrap();
        let error: Error = panics.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(worker.submit(|| Ok(1)).unwrap().wait().unwrap(), 1);
    }

    #[test]
    fn a_result_can_be_awaited() {
        let worker = Worker::start("test", 1).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let result = runtime
            .block_on(worker.submit(|| Ok("done")).unwrap())
            .unwrap();
        assert_eq!(result, "done");
    }
}
