//! A re-ranker for many clients, who take turns.

use std::sync::Arc;

use super::worker::Worker;
use crate::{Cancel, LateInteraction, Reranker, Result, TokenSpans};

/// A re-ranker on a thread of its own. Calls take turns in the order in which
/// they come, so clients who ask for a few passages at a time share it fairly.
///
/// It is a [`Reranker`] itself, whose `score` waits for its turn, and fails with
/// `Overloaded` when too many wait already.
pub struct RerankQueue {
    reranker: Arc<dyn Reranker>,
    worker: Worker,
}

impl RerankQueue {
    /// Starts the thread. At most `capacity` calls wait.
    ///
    /// # Errors
    /// `Machine` when no thread can be started.
    pub fn start(reranker: Arc<dyn Reranker>, capacity: usize) -> Result<Self> {
        let worker = Worker::start("re-ranker", capacity)?;
        Ok(Self { reranker, worker })
    }
}

impl Reranker for RerankQueue {
    fn id(&self) -> &str {
        self.reranker.id()
    }

    fn window(&self) -> usize {
        self.reranker.window()
    }

    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        self.reranker.token_spans(text)
    }

    fn readable_share(&self, text: &str) -> Result<f32> {
        self.reranker.readable_share(text)
    }

    fn calibrated(&self, score: f32) -> f32 {
        self.reranker.calibrated(score)
    }

    fn device(&self) -> &str {
        self.reranker.device()
    }

    /// Without the queue: a comparison takes about as long as waiting for a thread.
    fn late_interaction(&self) -> Option<&dyn LateInteraction> {
        self.reranker.late_interaction()
    }

    fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>> {
        let reranker = Arc::clone(&self.reranker);
        let query = query.to_owned();
        let passages: Vec<String> = passages.iter().map(|&text| text.to_owned()).collect();
        let token = cancel.clone();
        let pending = self.worker.submit(move || {
            let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
            reranker.score(&query, &passages, &token)
        })?;
        pending.wait_until(cancel)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::sync::{Mutex, atomic::AtomicUsize, atomic::Ordering};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::ErrorKind;
    use crate::testing::OverlapReranker;

    /// Waits before each call until the test lets it go on.
    struct Gated {
        begun: mpsc::Sender<()>,
        go: Mutex<mpsc::Receiver<()>>,
        calls: Arc<AtomicUsize>,
    }

    impl Reranker for Gated {
        fn id(&self) -> &str {
            "gated"
        }
        fn window(&self) -> usize {
            OverlapReranker.window()
        }
        fn token_spans(&self, text: &str) -> Result<TokenSpans> {
            OverlapReranker.token_spans(text)
        }
        fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            self.begun.send(()).unwrap();
            let _ = self.go.lock().unwrap().recv();
            OverlapReranker.score(query, passages, cancel)
        }
    }

    #[test]
    fn scores_are_those_of_the_model() {
        let queue = RerankQueue::start(Arc::new(OverlapReranker), 4).unwrap();
        let (query, passages) = ("red fox", ["a red fox", "a blue whale"]);
        let never = Cancel::never();
        assert_eq!(
            queue.score(query, &passages, &never).unwrap(),
            OverlapReranker.score(query, &passages, &never).unwrap()
        );
    }

    #[test]
    fn full_is_an_answer_and_a_deadline_ends_the_wait() {
        let (begun, begins) = mpsc::channel();
        let (release, go) = mpsc::channel();
        let calls = Arc::new(AtomicUsize::new(0));
        let gated = Gated {
            begun,
            go: Mutex::new(go),
            calls: Arc::clone(&calls),
        };
        let queue = Arc::new(RerankQueue::start(Arc::new(gated), 1).unwrap());
        std::thread::scope(|scope| {
            let first = scope.spawn(|| queue.score("a", &["a"], &Cancel::never()));
            begins.recv().unwrap();
            // Waits in the only place until its deadline, and is then skipped.
            let soon = Cancel::never().with_deadline(Instant::now() + Duration::from_millis(5));
            let late = queue.score("a", &["a"], &soon).unwrap_err();
            assert_eq!(late.kind(), ErrorKind::Cancelled);
            // Its place is taken until the thread comes to it.
            let full = queue.score("a", &["a"], &Cancel::never()).unwrap_err();
            assert_eq!(full.kind(), ErrorKind::Overloaded);
            drop(release);
            assert!(first.join().unwrap().is_ok());
        });
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}
