//! What became durable, told to tests: they put together what a power cut would have left.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Something that a power cut cannot undo any more.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The bytes of a file as they are now; not its name.
    File(&'a Path),
    /// The names in a folder as they are now; not the bytes of its files.
    Folder(&'a Path),
}

type Observer = Arc<dyn Fn(Event<'_>) + Send + Sync>;

static OBSERVERS: Mutex<Vec<(PathBuf, Observer)>> = Mutex::new(Vec::new());

/// Observes a folder until it is dropped.
#[derive(Debug)]
pub struct Observation(PathBuf);

/// Calls `observer`, on the thread that made it durable, for everything in and below
/// `folder`.
pub fn observe(folder: &Path, observer: impl Fn(Event<'_>) + Send + Sync + 'static) -> Observation {
    observers().push((folder.to_owned(), Arc::new(observer)));
    Observation(folder.to_owned())
}

/// Tells the observers. What makes files durable by other means than this crate's calls
/// this too.
pub fn tell(event: Event<'_>) {
    let (Event::File(path) | Event::Folder(path)) = event;
    let concerned: Vec<Observer> = observers()
        .iter()
        .filter(|(folder, _)| path.starts_with(folder))
        .map(|(_, observer)| Arc::clone(observer))
        .collect();
    for observer in concerned {
        observer(event);
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        observers().retain(|(folder, _)| *folder != self.0);
    }
}

fn observers() -> std::sync::MutexGuard<'static, Vec<(PathBuf, Observer)>> {
    OBSERVERS.lock().unwrap_or_else(PoisonError::into_inner)
}
