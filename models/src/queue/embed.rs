//! Texts of many clients, embedded together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::pending::{Pending, Reply};
use crate::{Cancel, Embedder, Result, TokenSpans};

const NAME: &str = "embedder";

/// Most tokens of one call: a question that comes a moment later waits for no
/// more than this.
const TOKENS_PER_CALL: usize = 512;

/// What one client wants embedded.
struct Request {
    texts: Vec<String>,
    tokens: usize,
    cancel: Cancel,
    reply: Reply<Vec<Vec<f32>>>,
}

impl Request {
    /// Whether the answer would still be read. A cancelled one is answered here.
    fn alive(self) -> Option<Self> {
        if self.reply.is_closed() {
            return None;
        }
        if let Err(error) = self.cancel.check() {
            let _ = self.reply.send(Err(error));
            return None;
        }
        Some(self)
    }
}

/// An embedder on a thread of its own, for what people wait for. Requests that
/// wait when the thread becomes free are embedded in one call, up to a budget of
/// tokens; nothing is delayed to gather more.
///
/// It is an [`Embedder`] itself, whose `embed` waits for its turn, and fails
/// with `Overloaded` when too many wait already.
#[derive(Clone)]
pub struct EmbedQueue {
    embedder: Arc<dyn Embedder>,
    requests: Sender<Request>,
}

impl EmbedQueue {
    /// Starts the thread. At most `capacity` requests wait.
    ///
    /// # Errors
    /// `Machine` when no thread can be started.
    pub fn start(embedder: Arc<dyn Embedder>, capacity: usize) -> Result<Self> {
        let (requests, waiting) = bounded(capacity);
        let model = Arc::clone(&embedder);
        std::thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || serve(&*model, &waiting))
            .map_err(|cause| super::no_thread(NAME, cause))?;
        Ok(Self { embedder, requests })
    }

    /// Queues texts that are embedded in one call. They are skipped if they were
    /// cancelled, or their [`Pending`] dropped, when their turn comes.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full.
    pub fn submit(&self, texts: &[&str], cancel: Cancel) -> Result<Pending<Vec<Vec<f32>>>> {
        let (reply, pending) = Pending::new();
        let request = Request {
            texts: texts.iter().map(|&text| text.to_owned()).collect(),
            tokens: texts.iter().map(|text| self.tokens(text)).sum(),
            cancel,
            reply,
        };
        match self.requests.try_send(request) {
            Ok(()) => Ok(pending),
            Err(TrySendError::Full(_)) => {
                Err(super::full(NAME, self.requests.capacity().unwrap_or(0)))
            }
            // Cannot be: the thread lives as long as a sender does.
            Err(TrySendError::Disconnected(_)) => Ok(pending),
        }
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.requests.len()
    }

    /// What a text costs: no more than the model's window.
    fn tokens(&self, text: &str) -> usize {
        // A text that cannot be tokenized fails when it is embedded.
        let own = self.token_spans(text).map_or(0, |spans| spans.len());
        (own + self.special_tokens()).min(self.window())
    }
}

impl std::fmt::Debug for EmbedQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbedQueue")
            .field("embedder", &self.embedder.id())
            .field("waiting", &self.waiting())
            .finish()
    }
}

impl Embedder for EmbedQueue {
    fn id(&self) -> &str {
        self.embedder.id()
    }

    fn dimension(&self) -> usize {
        self.embedder.dimension()
    }

    fn window(&self) -> usize {
        self.embedder.window()
    }

    fn special_tokens(&self) -> usize {
        self.embedder.special_tokens()
    }

    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        self.embedder.token_spans(text)
    }

    fn readable_share(&self, text: &str) -> Result<f32> {
        self.embedder.readable_share(text)
    }

    fn operations(&self, tokens: usize) -> f64 {
        self.embedder.operations(tokens)
    }

    fn device(&self) -> &str {
        self.embedder.device()
    }

    /// Many texts take several turns, so that a question between them does not
    /// wait for all.
    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(texts.len());
        let mut rest = texts;
        while !rest.is_empty() {
            let mut tokens = 0;
            let fits = rest
                .iter()
                .take_while(|text| {
                    tokens += self.tokens(text);
                    tokens <= TOKENS_PER_CALL
                })
                .count();
            let (turn, later) = rest.split_at(fits.max(1));
            vectors.extend(self.submit(turn, cancel.clone())?.wait_until(cancel)?);
            rest = later;
        }
        Ok(vectors)
    }
}

fn serve(embedder: &dyn Embedder, waiting: &Receiver<Request>) {
    while let Ok(first) = waiting.recv() {
        let mut batch = Vec::new();
        let mut tokens = 0;
        for request in std::iter::once(first).chain(waiting.try_iter()) {
            let Some(request) = request.alive() else {
                continue;
            };
            tokens += request.tokens;
            batch.push(request);
            if tokens >= TOKENS_PER_CALL {
                break;
            }
        }
        // The panic was printed; the clients of this batch get an error.
        let _ = catch_unwind(AssertUnwindSafe(|| answer(embedder, batch)));
    }
}

fn answer(embedder: &dyn Embedder, mut batch: Vec<Request>) {
    if let [_] = batch.as_slice()
        && let Some(request) = batch.pop()
    {
        let texts: Vec<&str> = request.texts.iter().map(String::as_str).collect();
        let vectors = embedder.embed(&texts, &request.cancel);
        let _ = request.reply.send(vectors);
        return;
    }
    let texts: Vec<&str> = batch
        .iter()
        .flat_map(|request| request.texts.iter().map(String::as_str))
        .collect();
    // One client's cancellation must not take the answer from the others.
    match embedder.embed(&texts, &Cancel::never()) {
        Ok(vectors) => {
            let mut vectors = vectors.into_iter();
            for request in batch {
                let own = vectors.by_ref().take(request.texts.len()).collect();
                let _ = request.reply.send(Ok(own));
            }
        }
        // One of them may be the cause.
        Err(_) => batch
            .into_iter()
            .for_each(|request| answer(embedder, vec![request])),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::testing::{HashEmbedder, ScriptedEmbedder};
    use crate::{Error, ErrorKind};

    type Vectors = Pending<Vec<Vec<f32>>>;

    /// A queue whose thread is inside the call for "first".
    fn busy(capacity: usize) -> (EmbedQueue, mpsc::Receiver<usize>, mpsc::Sender<()>, Vectors) {
        let (begin, calls) = mpsc::channel();
        let (release, go) = mpsc::channel();
        let go = Mutex::new(go);
        // Waits before each call until the test lets it go on, and refuses a word.
        let gated = ScriptedEmbedder::new(move |texts: &[&str], cancel: &Cancel| {
            begin.send(texts.len()).unwrap();
            let _ = go.lock().unwrap().recv();
            if texts.contains(&"poison") {
                return Err(Error::new(ErrorKind::InvalidInput, "poison"));
            }
            HashEmbedder.embed(texts, cancel)
        });
        let queue = EmbedQueue::start(Arc::new(gated), capacity).unwrap();
        let first = queue.submit(&["first"], Cancel::never()).unwrap();
        assert_eq!(calls.recv().unwrap(), 1);
        (queue, calls, release, first)
    }

    fn expected(texts: &[&str]) -> Vec<Vec<f32>> {
        HashEmbedder.embed(texts, &Cancel::never()).unwrap()
    }

    #[test]
    fn texts_that_wait_are_embedded_together_and_answered_apart() {
        let (queue, calls, release, first) = busy(8);
        let texts = ["one", "two words", "three words here"];
        let waiting = texts.map(|text| queue.submit(&[text], Cancel::never()).unwrap());
        drop(release);
        assert_eq!(first.wait().unwrap(), expected(&["first"]));
        for (text, pending) in texts.iter().zip(waiting) {
            assert_eq!(pending.wait().unwrap(), expected(&[text]));
        }
        assert_eq!(calls.recv().unwrap(), 3);
    }

    #[test]
    fn a_call_keeps_to_its_budget_of_tokens() {
        let (queue, calls, release, first) = busy(8);
        let long = "word ".repeat(TOKENS_PER_CALL / 2 - 2);
        let waiting: Vec<_> = (0..5)
            .map(|_| queue.submit(&[&long], Cancel::never()).unwrap())
            .collect();
        drop(release);
        first.wait().unwrap();
        for pending in waiting {
            pending.wait().unwrap();
        }
        assert_eq!(calls.iter().take(3).collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn a_full_queue_is_an_answer() {
        let (queue, _calls, release, first) = busy(1);
        let second = queue.submit(&["second"], Cancel::never()).unwrap();
        let error = queue.submit(&["third"], Cancel::never()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        drop(release);
        first.wait().unwrap();
        second.wait().unwrap();
    }

    #[test]
    fn a_client_that_has_gone_costs_nothing() {
        let (queue, calls, release, first) = busy(8);
        drop(queue.submit(&["gone"], Cancel::never()).unwrap());
        let cancel = Cancel::never();
        let cancelled = queue.submit(&["cancelled"], cancel.clone()).unwrap();
        cancel.cancel();
        let stays = queue.submit(&["stays"], Cancel::never()).unwrap();
        drop(release);
        first.wait().unwrap();
        assert_eq!(cancelled.wait().unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(stays.wait().unwrap(), expected(&["stays"]));
        assert_eq!(calls.recv().unwrap(), 1);
    }

    #[test]
    fn a_text_that_cannot_be_embedded_fails_alone() {
        let (queue, calls, release, first) = busy(8);
        let good = queue.submit(&["good"], Cancel::never()).unwrap();
        let bad = queue.submit(&["poison"], Cancel::never()).unwrap();
        drop(release);
        first.wait().unwrap();
        assert_eq!(good.wait().unwrap(), expected(&["good"]));
        assert_eq!(bad.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(calls.iter().take(3).collect::<Vec<_>>(), [2, 1, 1]);
    }

    #[test]
    fn an_embedder_that_takes_turns() {
        let (queue, calls, release, first) = busy(8);
        let long = "word ".repeat(TOKENS_PER_CALL / 2 - 2);
        let texts = [&*long, &long, &long, "short"];
        drop(release);
        first.wait().unwrap();
        let vectors = queue.embed(&texts, &Cancel::never()).unwrap();
        assert_eq!(vectors, expected(&texts));
        assert_eq!(calls.iter().take(2).collect::<Vec<_>>(), [2, 2]);
        assert!(queue.embed(&[], &Cancel::never()).unwrap().is_empty());
    }

    #[test]
    fn who_waits_gives_up_at_the_deadline() {
        let (queue, _calls, release, first) = busy(8);
        let soon = Instant::now() + Duration::from_millis(5);
        let cancel = Cancel::never().with_deadline(soon);
        let error = queue.embed(&["late"], &cancel).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        drop(release);
        first.wait().unwrap();
    }
}
