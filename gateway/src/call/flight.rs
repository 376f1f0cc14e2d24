//! Equal requests under way at the same time are one call: the first makes it,
//! the others read along from its beginning.
//!
//! The call runs on a task of its own, so that it goes on when the client that
//! began it goes away while others still read. When the last one goes, it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::super::cache::Key;
use super::super::chat::{ChatEvent, ChatStream, ProviderError};

type Event = Result<ChatEvent, ProviderError>;

/// The calls under way.
#[derive(Clone, Default)]
pub(crate) struct Flights(Arc<Mutex<HashMap<Key, Arc<Flight>>>>);

/// One call and its events so far.
struct Flight {
    events: Mutex<Vec<Event>>,
    progress: watch::Sender<Progress>,
    /// Guarded by the lock of the map: a flight without readers is not in it.
    readers: Mutex<Readers>,
}

#[derive(Default)]
struct Readers {
    count: usize,
    task: Option<AbortHandle>,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    /// How many events there are.
    events: usize,
    /// Whether the task has ended: with the last event, or by a panic without it.
    ended: bool,
}

/// Held by the task of a flight; tells its readers when the task ends, however it does.
struct Running(Arc<Flight>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0
            .progress
            .send_modify(|progress| progress.ended = true);
    }
}

/// A reader of one flight's events.
pub(super) struct Reader {
    flights: Flights,
    key: Key,
    flight: Arc<Flight>,
    at: usize,
    progress: watch::Receiver<Progress>,
}

impl Flights {
    /// A reader of the call under `key`, and whether it was under way already.
    /// `begin` makes the call where it was not.
    pub(super) fn join(&self, key: Key, begin: impl FnOnce() -> ChatStream) -> (Reader, bool) {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(&key) {
            let flight = Arc::clone(flight);
            lock(&flight.readers).count += 1;
            return (self.reader(key, flight), true);
        }
        let flight = Arc::new(Flight {
            events: Mutex::default(),
            progress: watch::Sender::default(),
            readers: Mutex::new(Readers {
                count: 1,
                task: None,
            }),
        });
        flights.insert(key, Arc::clone(&flight));
        let mut stream = begin();
        let (all, own) = (self.clone(), Running(Arc::clone(&flight)));
        let span = tracing::Span::current();
        let task = tokio::spawn(tracing::Instrument::instrument(
            async move {
                while let Some(event) = stream.next().await {
                    let last = !matches!(event, Ok(ChatEvent::Delta(_) | ChatEvent::ToolCall(_)));
                    if last {
                        // A later call finds it in the cache, or makes a new flight.
                        all.remove(&key, &own.0);
                    }
                    own.0.push(event);
                    if last {
                        break;
                    }
                }
            },
            span,
        ));
        lock(&flight.readers).task = Some(task.abort_handle());
        drop(flights);
        (self.reader(key, flight), false)
    }

    fn reader(&self, key: Key, flight: Arc<Flight>) -> Reader {
        Reader {
            flights: self.clone(),
            key,
            at: 0,
            progress: flight.progress.subscribe(),
            flight,
        }
    }

    /// Takes `flight` out, unless another one has its place by now.
    fn remove(&self, key: &Key, flight: &Arc<Flight>) {
        let mut flights = self.lock();
        if flights
            .get(key)
            .is_some_and(|other| Arc::ptr_eq(other, flight))
        {
            flights.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Flight>>> {
        lock(&self.0)
    }
}

impl Flight {
    fn push(&self, event: Event) {
        let mut events = lock(&self.events);
        events.push(event);
        let count = events.len();
        drop(events);
        self.progress
            .send_modify(|progress| progress.events = count);
    }
}

impl Reader {
    /// The next event; `None` if the call ended without a last one.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = lock(&self.flight.events).get(self.at).cloned() {
                self.at += 1;
                return Some(event);
            }
            let at = self.at;
            // The sender lives as long as this reader's flight, so waiting does not fail.
            let news = |progress: &Progress| progress.events > at || progress.ended;
            let progress = self.progress.wait_for(news).await.ok()?;
            if progress.events <= at {
                return None;
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        let mut readers = lock(&self.flight.readers);
        readers.count -= 1;
        if readers.count > 0 {
            return;
        }
        if let Some(task) = &readers.task {
            task.abort();
        }
        if flights
            .get(&self.key)
            .is_some_and(|other| Arc::ptr_eq(other, &self.flight))
        {
            flights.remove(&self.key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every holder leaves the value whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
