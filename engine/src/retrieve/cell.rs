//! One collection: closed, being opened, open, or recently failed.
//!
//! It is opened on a separate thread, and a request waits only as long as its patience lasts: a
//! disk that hangs delays only the requests for collections on it, and none of them for ever. A
//! failure is remembered for a moment, so that not every request tries again.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cairn_indexer::Index;

use super::error::{SearchError, SearchErrorKind};

/// How long a failure is remembered before a request tries again.
const RETRY: Duration = Duration::from_secs(2);

/// How long commits of another process may go unnoticed.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// If nothing has looked for commits for this long, a request waits for a look: the known state may
/// contain documents that the caller may no longer read.
const OVERDUE: Duration = Duration::from_secs(3);

enum State {
    Closed,
    Opening,
    Open { index: Index, looked_at: Instant },
    Failed { error: SearchError, at: Instant },
}

/// Holds one collection.
pub(super) struct Cell {
    state: Mutex<State>,
    changed: Condvar,
    refreshing: AtomicBool,
}

impl Cell {
    /// A closed collection.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State::Closed),
            changed: Condvar::new(),
            refreshing: AtomicBool::new(false),
        }
    }

    /// The collection, if it is open.
    pub(super) fn opened(&self) -> Option<Index> {
        match &*self.lock() {
            State::Open { index, .. } => Some(index.clone()),
            _ => None,
        }
    }

    /// Whether it is neither open nor being opened.
    pub(super) fn is_unused(&self) -> bool {
        matches!(&*self.lock(), State::Closed | State::Failed { .. })
    }

    /// The collection, opened by `open` if it is not open. Waits for `patience` at most.
    ///
    /// # Errors
    /// Those of `open`, also repeated for a moment afterwards; `NotReady` if opening takes longer.
    pub(super) fn get(
        self: &Arc<Self>,
        patience: Duration,
        open: impl FnOnce() -> Result<Index, SearchError> + Send + 'static,
    ) -> Result<Index, SearchError> {
        let mut state = self.lock();
        match &*state {
            State::Open { index, .. } => return Ok(index.clone()),
            // A missing collection may be created at any moment.
            State::Failed { error, at }
                if error.kind() != SearchErrorKind::NotFound && at.elapsed() < RETRY =>
            {
                return Err(error.again());
            }
            State::Opening => {}
            State::Closed | State::Failed { .. } => {
                *state = State::Opening;
                drop(state);
                self.start(open);
                state = self.lock();
            }
        }
        let opening = |state: &mut State| matches!(state, State::Opening);
        let waited = self.changed.wait_timeout_while(state, patience, opening);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open { index, .. } => Ok(index.clone()),
            State::Failed { error, .. } => Err(error.again()),
            State::Opening | State::Closed => Err(SearchError::new(
                SearchErrorKind::NotReady,
                "the collection is still being opened; try again in a moment",
            )),
        }
    }

    /// Opens on a separate thread, or on this one if no thread can be started.
    fn start(self: &Arc<Self>, open: impl FnOnce() -> Result<Index, SearchError> + Send + 'static) {
        // The thread that runs it takes it out.
        let open = Arc::new(Mutex::new(Some(open)));
        let (cell, theirs) = (Arc::clone(self), Arc::clone(&open));
        let run = move || {
            let open = theirs.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(open) = open {
                cell.finish(open);
            }
        };
        let thread = std::thread::Builder::new().name("open".into());
        if thread.spawn(run).is_err()
            && let Some(open) = open.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            self.finish(open);
        }
    }

    fn finish(&self, open: impl FnOnce() -> Result<Index, SearchError>) {
        // A defect must not leave the others waiting.
        let result = std::panic::catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| {
            Err(SearchError::new(
                SearchErrorKind::Internal,
                "the collection could not be opened; the log of the service says why",
            ))
        });
        let now = Instant::now();
        *self.lock() = match result {
            Ok(index) => State::Open {
                index,
                looked_at: now,
            },
            Err(error) => {
                if error.kind() != SearchErrorKind::NotFound {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    // The caller that opened it gets the error itself.
                    tracing::info!(%error, cause, "a collection could not be opened");
                }
                State::Failed { error, at: now }
            }
        };
        self.changed.notify_all();
    }

    /// The collection, if it is time to look for commits of other processes and nothing else is
    /// looking.
    pub(super) fn due_for_refresh(self: &Arc<Self>) -> Option<Due> {
        let mut state = self.lock();
        let State::Open { index, looked_at } = &mut *state else {
            return None;
        };
        let age = looked_at.elapsed();
        if age < REFRESH_EVERY || self.refreshing.swap(true, Ordering::AcqRel) {
            return None;
        }
        *looked_at = Instant::now();
        Some(Due {
            index: index.clone(),
            now: age >= OVERDUE,
            _refreshing: Refreshing(Arc::clone(self)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the state consistent, even in a thread that died.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A collection that is due for a look for commits of other processes. No other look starts until
/// this is dropped, however long that takes.
pub(super) struct Due {
    index: Index,
    /// Whether the request must wait for the look.
    pub(super) now: bool,
    _refreshing: Refreshing,
}

impl Due {
    /// Looks. Blocks while a newer commit is opened.
    pub(super) fn refresh(&self) {
        if let Err(error) = self.index.refresh() {
            tracing::warn!(%error, "a new commit could not be opened; the last one is served");
        }
    }
}

struct Refreshing(Arc<Cell>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.refreshing.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::channel;

    const LONG: Duration = Duration::from_secs(60);

    fn empty(dir: &tempfile::TempDir) -> Result<Index, SearchError> {
        Ok(Index::open(dir.path(), Default::default())?)
    }

    #[test]
    fn who_is_not_patient_is_told_and_the_opening_goes_on() {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let cell = Arc::new(Cell::new());
        let (go, gate) = channel::<()>();
        let theirs = Arc::clone(&dir);
        let slow = move || {
            gate.recv().ok();
            empty(&theirs)
        };
        let Err(error) = cell.get(Duration::ZERO, slow) else {
            panic!("it cannot be open");
        };
        assert_eq!(error.kind(), SearchErrorKind::NotReady);
        assert!(cell.opened().is_none() && !cell.is_unused());
        // It is not opened a second time.
        let again = cell.get(Duration::ZERO, || panic!("opened twice"));
        assert!(again.is_err());
        go.send(()).unwrap();
        cell.get(LONG, || panic!("opened twice")).unwrap();
        assert!(cell.opened().is_some());
    }

    #[test]
    fn failures_are_remembered_and_absence_is_not() {
        let tried = Arc::new(AtomicUsize::new(0));
        let fail = |kind: SearchErrorKind| {
            let tried = Arc::clone(&tried);
            move || {
                tried.fetch_add(1, Ordering::Relaxed);
                Err(SearchError::new(kind, "it is damaged"))
            }
        };
        let cell = Arc::new(Cell::new());
        for _ in 0..10 {
            let error = cell
                .get(LONG, fail(SearchErrorKind::Internal))
                .err()
                .unwrap();
            assert_eq!(error.to_string(), "it is damaged");
        }
        assert!(tried.load(Ordering::Relaxed) < 10, "each one tried");
        let absent = Arc::new(Cell::new());
        tried.store(0, Ordering::Relaxed);
        for _ in 0..3 {
            absent
                .get(LONG, fail(SearchErrorKind::NotFound))
                .err()
                .unwrap();
        }
        assert_eq!(tried.load(Ordering::Relaxed), 3);
        assert!(absent.is_unused());
    }

    #[test]
    fn a_panic_is_a_failure() {
        let cell = Arc::new(Cell::new());
        let error = cell.get(LONG, || panic!("a defect")).err().unwrap();
        assert_eq!(error.kind(), SearchErrorKind::Internal);
    }

    #[test]
    fn one_at_a_time_looks_for_commits() {
        let dir = tempfile::tempdir().unwrap();
        let cell = Arc::new(Cell::new());
        assert!(cell.due_for_refresh().is_none());
        let index = empty(&dir).unwrap();
        *cell.lock() = State::Open {
            index,
            looked_at: Instant::now().checked_sub(LONG).unwrap(),
        };
        let looking = cell.due_for_refresh().unwrap();
        assert!(looking.now);
        if let State::Open { looked_at, .. } = &mut *cell.lock() {
            *looked_at = looked_at.checked_sub(LONG).unwrap();
        }
        assert!(cell.due_for_refresh().is_none(), "somebody looks already");
        drop(looking);
        assert!(cell.due_for_refresh().is_some());
    }
}
