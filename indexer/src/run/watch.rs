//! Keeping a collection up to date while files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use cairn_models::{Cancel, Embedder};
use notify::{EventKind, RecursiveMode, Watcher};

use crate::{Error, ErrorKind, Index, Result};

use super::{RunOptions, RunProgress, RunReport, index_paths};

/// A run starts when nothing has changed for this long: editors write a file in
/// several steps, and a checkout changes many.
const QUIET: Duration = Duration::from_millis(300);

/// It starts after this long even when changes go on.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a cancellation is looked for while nothing happens.
const POLL: Duration = Duration::from_millis(100);

/// Time between two attempts while another writer has the lock.
const LOCK_RETRY: Duration = Duration::from_secs(1);

/// Time between two looks at folders that the system cannot watch.
const POLL_FILES: Duration = Duration::from_secs(10);

/// Indexes `roots` now, and again whenever something below them has changed,
/// until `cancel` fires. `on_run` is told how each run went; the error of one
/// run does not end the watch.
///
/// Events only say that it is time to look: what has changed is found as by
/// [`index_paths`], so that lost events, renames and files that are replaced
/// are all the same. A writer in another place is waited for.
///
/// # Errors
/// `NotFound` and `Machine` when the roots cannot be watched.
pub fn watch(
    roots: &[PathBuf],
    index: &Index,
    embedder: &Arc<dyn Embedder>,
    options: &RunOptions,
    progress: &dyn RunProgress,
    cancel: &Cancel,
    on_run: &mut dyn FnMut(Result<RunReport>),
) -> Result<()> {
    // Watched before the first run, so that nothing falls in between.
    let (_watcher, events) = listen(roots, index, options)?;
    loop {
        match index_paths(
            roots,
            index,
            Arc::clone(embedder),
            options,
            progress,
            cancel,
        ) {
            Err(error) if error.kind() == ErrorKind::Locked => {
                tracing::info!("another writer is at work; trying again");
                pause(LOCK_RETRY, cancel);
                if cancel.is_cancelled() {
                    return Ok(());
                }
                continue;
            }
            result => on_run(result),
        }
        if !wait(&events, cancel) {
            return Ok(());
        }
    }
}

/// Watches the roots; the receiver gets a `()` for each change.
fn listen(
    roots: &[PathBuf],
    index: &Index,
    options: &RunOptions,
) -> Result<(Box<dyn Watcher>, Receiver<()>)> {
    let mut ignored: Vec<PathBuf> = options.exclude.clone();
    ignored.push(index.dir().to_owned());
    // Some may not exist yet; their names are compared as they are then.
    let ignored: Vec<_> = ignored
        .into_iter()
        .map(|path| std::path::absolute(&path).unwrap_or(path))
        .collect();
    let (sender, receiver) = channel();
    let handler = move || {
        let (sender, ignored) = (sender.clone(), ignored.clone());
        move |event: notify::Result<notify::Event>| {
            // An error may stand for lost events: look.
            if event.map_or(true, |event| matters(&event, &ignored)) {
                // The receiver is gone when the watch has ended.
                sender.send(()).ok();
            }
        }
    };
    let native = notify::recommended_watcher(handler()).and_then(|mut watcher| {
        add(&mut watcher, roots)?;
        Ok(watcher)
    });
    match native {
        Ok(watcher) => Ok((Box::new(watcher), receiver)),
        Err(error) => {
            // Too many folders for the system's limit, or a network drive.
            tracing::warn!(%error, "the system cannot watch these folders; looking every {POLL_FILES:?}");
            let config = notify::Config::default().with_poll_interval(POLL_FILES);
            let mut watcher = notify::PollWatcher::new(handler(), config).map_err(unwatchable)?;
            add(&mut watcher, roots).map_err(unwatchable)?;
            Ok((Box::new(watcher), receiver))
        }
    }
}

fn add(watcher: &mut dyn Watcher, roots: &[PathBuf]) -> notify::Result<()> {
    for root in roots {
        let root = root.canonicalize().map_err(notify::Error::io)?;
        if root.is_file() {
            // Editors replace a file; its folder sees that, the file does not.
            watcher.watch(root.parent().unwrap_or(&root), RecursiveMode::NonRecursive)?;
        } else {
            watcher.watch(&root, RecursiveMode::Recursive)?;
        }
    }
    Ok(())
}

fn unwatchable(error: notify::Error) -> Error {
    let kind = match &error.kind {
        notify::ErrorKind::PathNotFound => ErrorKind::NotFound,
        _ => ErrorKind::Machine,
    };
    let path = error.paths.first().cloned();
    let mine = Error::new(kind, "the folder cannot be watched").because(error);
    match path {
        Some(path) => mine.at(path),
        None => mine,
    }
}

/// Whether an event can change what is indexed. What we write ourselves must
/// not wake us.
fn matters(event: &notify::Event, ignored: &[PathBuf]) -> bool {
    let inside = |path: &Path| ignored.iter().any(|top| path.starts_with(top));
    !matches!(event.kind, EventKind::Access(_))
        && (event.paths.is_empty() || event.paths.iter().any(|path| !inside(path)))
}

/// Waits for a change, and for the changes to end; false when cancelled.
fn wait(events: &Receiver<()>, cancel: &Cancel) -> bool {
    loop {
        if cancel.is_cancelled() {
            return false;
        }
        match events.recv_timeout(POLL) {
            Ok(()) => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => pause(POLL, cancel),
        }
    }
    let first = Instant::now();
    while first.elapsed() < PATIENCE && !cancel.is_cancelled() {
        if events.recv_timeout(QUIET).is_err() {
            break;
        }
    }
    !cancel.is_cancelled()
}

fn pause(time: Duration, cancel: &Cancel) {
    let end = Instant::now() + time;
    while Instant::now() < end && !cancel.is_cancelled() {
        std::thread::sleep(POLL.min(time));
    }
}
