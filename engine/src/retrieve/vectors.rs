//! Vectors of recent questions: people and agents repeat questions, and a `/query` that follows a
//! `/search` always does.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use cairn_models::{Cancel, EmbedQueue, Embedder, Result};
use lru::LruCache;

/// How many questions are remembered; with 384 dimensions about 400 kB.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// An embedder for questions behind a queue, with a small cache.
pub(super) struct QueryVectors {
    /// For long work, which must not delay questions.
    embedder: Arc<dyn Embedder>,
    queue: Arc<EmbedQueue>,
    recent: Mutex<LruCache<String, Arc<[f32]>>>,
}

impl QueryVectors {
    /// At most `waiting` questions wait for the model.
    pub(super) fn new(embedder: Arc<dyn Embedder>, waiting: usize) -> Result<Self> {
        Ok(Self {
            queue: Arc::new(EmbedQueue::start(Arc::clone(&embedder), waiting)?),
            embedder,
            recent: Mutex::new(LruCache::new(CAPACITY)),
        })
    }

    pub(super) fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.embedder
    }

    pub(super) fn queue(&self) -> &Arc<EmbedQueue> {
        &self.queue
    }

    /// The vector of `question`. The lock is not held while the model runs.
    pub(super) fn embed(&self, question: &str, cancel: &Cancel) -> Result<Arc<[f32]>> {
        if let Some(vector) = self.lock().get(question) {
            return Ok(Arc::clone(vector));
        }
        let vectors = self.queue.embed(&[question], cancel)?;
        let vector: Arc<[f32]> = vectors.into_iter().next().unwrap_or_default().into();
        self.lock().put(question.to_owned(), Arc::clone(&vector));
        Ok(vector)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<String, Arc<[f32]>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
