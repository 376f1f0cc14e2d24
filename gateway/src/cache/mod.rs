//! Earlier answers, given again.
//!
//! An answer is found by a `Key`: everything that made it, and everything that
//! says who may see it. So a hit never crosses a permission, and never outlives
//! the documents that an answer was made from: their generation is part of the
//! key. A semantic hit has all of that in common too, and a question that means
//! the same by `guard` and by the embedder.
//!
//! | file | question it answers |
//! |---|---|
//! | `key` | what must be equal? |
//! | `guard` | do two questions mean the same? |
//! | `memory` | what is kept, and for how long? |
//! | `disk` | how does it survive a restart? |
//! | `admin` | what does the command line see and delete? |

mod admin;
mod answer;
mod disk;
mod guard;
mod key;
mod memory;
#[cfg(test)]
mod precision;
#[cfg(test)]
mod tests;

use crate::clock::now_millis;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_models::{Cancel, Embedder};

pub use admin::{CacheStats, purge, stats};
pub(crate) use disk::{BLUEPRINT, FILE};
pub use guard::same_question;

pub(super) use answer::Answer;
pub(super) use key::{Key, Lookup, lookup};

use self::disk::Disk;
use self::memory::{Entry, Memory};
use cairn_settings::config;

/// Milliseconds since 1970.
type Millis = u64;

/// Answers in memory, with a copy on the disk. Clones share everything.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    memory: Arc<Mutex<Memory>>,
    disk: Option<Disk>,
    embedder: Option<Arc<dyn Embedder>>,
    threshold: f32,
}

impl Cache {
    /// The cache in `folder`, or one that ends with the process. Without an
    /// embedder there are no semantic hits.
    ///
    /// A file that cannot be used is not a reason not to answer: it is reported in
    /// the log, and the cache starts empty.
    pub fn open(
        settings: &config::Cache,
        folder: Option<&Path>,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> Self {
        let memory = Arc::new(Mutex::new(Memory::new(settings)));
        let disk = folder.and_then(|folder| {
            Disk::start(folder, settings, Arc::clone(&memory))
                .inspect_err(|error| tracing::warn!(%error, "answers are not kept on the disk"))
                .ok()
        });
        Self(Arc::new(Inner {
            memory,
            disk,
            embedder,
            threshold: settings.threshold,
        }))
    }

    /// The answer to the same request, if it is fresh.
    pub(super) fn exact(&self, key: &Key) -> Option<Arc<Answer>> {
        self.memory().get(key, now(), false)
    }

    /// The answer to the same request, however old it is within bounds.
    pub(super) fn stale(&self, key: &Key) -> Option<Arc<Answer>> {
        self.memory().get(key, now(), true)
    }

    /// The answer to a question of the same meaning, if one is fresh, and the
    /// question's vector for [`Cache::put`]. Embeds, so it takes milliseconds.
    pub(super) async fn semantic(
        &self,
        lookup: &Lookup,
    ) -> (Option<Arc<Answer>>, Option<Arc<[f32]>>) {
        let (Some(question), Some(embedder)) = (&lookup.question, &self.0.embedder) else {
            return (None, None);
        };
        let (embedder, text) = (Arc::clone(embedder), question.clone());
        let embedded =
            tokio::task::spawn_blocking(move || embedder.embed(&[&text], &Cancel::never())).await;
        let vector: Arc<[f32]> = match embedded {
            Ok(Ok(mut vectors)) if !vectors.is_empty() => vectors.swap_remove(0).into(),
            Ok(Ok(_)) => return (None, None),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a question could not be embedded for the cache");
                return (None, None);
            }
            Err(error) => {
                tracing::error!(%error, "embedding for the cache failed");
                return (None, None);
            }
        };
        let found =
            self.memory()
                .nearest(&lookup.scope, question, &vector, self.0.threshold, now());
        (found, Some(vector))
    }

    /// Keeps an answer.
    pub(super) fn put(&self, lookup: &Lookup, vector: Option<Arc<[f32]>>, answer: Arc<Answer>) {
        let entry = Entry::new(lookup, vector, answer, now());
        if let Some(disk) = &self.0.disk {
            disk.put(lookup.key, &entry);
        }
        self.memory().put(lookup.key, entry);
    }

    /// Waits until everything that was put so far is on the disk. Blocks.
    pub fn flush(&self) {
        if let Some(disk) = &self.0.disk {
            disk.flush();
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Every method leaves it whole.
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Millis {
    now_millis().unsigned_abs()
}
