//! What the routes share: the configuration, the rooms that do the work, and
//! the limits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cairn_indexer::{ParseLimits, Snapshot};
use tokio::sync::Semaphore;

use super::error::{ApiError, Code};
use super::lifecycle::Lifecycle;
use super::suggest;
use super::writer::WriteQueue;
use crate::answer::Answerer;
use crate::config::Config;
use crate::retrieve::Engine;

/// Questions to try for each collection.
const SUGGESTIONS: usize = 3;

/// The rooms that need models, present once the models are loaded.
pub struct Core {
    /// Searches, and holds the collections.
    pub engine: Engine,
    /// Answers.
    pub answerer: Answerer,
    /// Writes what is uploaded.
    pub writes: WriteQueue,
    /// How much one uploaded file may take.
    pub parse_limits: ParseLimits,
}

/// One running service.
pub struct Service {
    config: Config,
    lifecycle: Lifecycle,
    permits: Arc<Semaphore>,
    core: OnceLock<Core>,
    /// Questions to try, by collection, and the commit they are drawn from.
    suggestions: Mutex<HashMap<String, (u64, Vec<String>)>>,
}

impl Service {
    /// A service that listens already but cannot answer yet.
    pub fn starting(config: Config) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(config.server.max_concurrency)),
            lifecycle: Lifecycle::default(),
            core: OnceLock::new(),
            suggestions: Mutex::default(),
            config,
        })
    }

    /// Lets it answer. Only the first call counts.
    ///
    /// # Errors
    /// When the machine has no thread for the writer.
    pub fn start(
        &self,
        engine: Engine,
        answerer: Answerer,
        parse_limits: ParseLimits,
    ) -> std::io::Result<()> {
        let writes = WriteQueue::start(engine.clone())?;
        let core = Core {
            engine,
            answerer,
            writes,
            parse_limits,
        };
        if self.core.set(core).is_ok() {
            self.lifecycle.set_ready();
        }
        Ok(())
    }

    /// All layers of the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Start, indexing and stop.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// One permit for each request that is worked on.
    pub fn permits(&self) -> &Arc<Semaphore> {
        &self.permits
    }

    /// Questions to try in `collection`, whose last commit is `snapshot`. They
    /// are drawn once for each commit.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub fn suggestions(
        &self,
        collection: &str,
        snapshot: &Snapshot,
    ) -> cairn_indexer::Result<Vec<String>> {
        // Each statement leaves the map whole, also in a thread that died.
        let known = || {
            self.suggestions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((generation, questions)) = known().get(collection)
            && *generation == snapshot.generation()
        {
            return Ok(questions.clone());
        }
        let questions = suggest::questions(snapshot, SUGGESTIONS)?;
        let entry = (snapshot.generation(), questions.clone());
        known().insert(collection.to_owned(), entry);
        Ok(questions)
    }

    /// The rooms that do the work.
    ///
    /// # Errors
    /// `not_ready` while models are fetched and loaded.
    pub fn core(&self) -> Result<&Core, ApiError> {
        self.core.get().ok_or_else(|| {
            ApiError::new(
                Code::NotReady,
                "the models are being fetched or loaded; GET /ready says how far that is",
            )
        })
    }
}
