//! One job while a worker has it: what its kind may use, and what it says meanwhile.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_agent::Agent;
use cairn_engine::retrieve::{Engine, SearchError};
use cairn_gateway::accounts::{Accounts, AuthError};
use cairn_indexer::{Error, ErrorKind, Index, Parser};
use cairn_jobs::{DocumentError, Failure, Job, Progress, Update};
use cairn_models::{Cancel, Embedder};
use cairn_settings::config::{Jobs, Retrieval};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Payload;
use super::batches::Chats;
use super::fetch::Fetcher;
use super::spool::Spool;
use super::writer::{WriteError, Writes};

/// Loads the embedder of this name.
pub(crate) type LoadEmbedder = Arc<dyn Fn(&str) -> Result<Arc<dyn Embedder>, String> + Send + Sync>;

/// What jobs work with.
#[derive(Clone)]
pub(crate) struct Tools {
    /// Holds the collections and the embedder.
    pub engine: Engine,
    /// Reads files.
    pub parser: Parser,
    /// Time after which a long run commits what is there.
    pub commit_interval: Duration,
    /// Writes single documents.
    pub writes: Writes,
    /// Holds what was uploaded for jobs.
    pub spool: Arc<Spool>,
    /// Never indexed.
    pub data_dir: PathBuf,
    /// Fetches addresses.
    pub fetcher: Fetcher,
    /// Knows which keys are valid.
    pub accounts: Accounts,
    /// Loads other embedders than the engine's.
    pub load_embedder: LoadEmbedder,
    /// What jobs may reach.
    pub jobs: Jobs,
    /// How many candidates a search has (`retrieval.candidates`).
    pub candidates: usize,
    /// What questions are answered with; `None` in a worker that answers none.
    pub asking: Option<Asking>,
    /// What batches of chats are answered with; `None` in a worker that answers none.
    pub chats: Option<Chats>,
}

/// What questions are answered with.
#[derive(Clone)]
pub(crate) struct Asking {
    /// Answers.
    pub agent: Agent,
    /// How to search.
    pub retrieval: Retrieval,
}

/// Why a job stopped before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The attempt failed.
    Failed(Failure),
    /// It was told to.
    Cancelled,
    /// It gives the rest back, which costs no attempt.
    Released,
    /// A person has to answer first.
    Asks(Value),
}

impl Stop {
    /// What cannot succeed later either.
    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        Self::Failed(Failure::permanent(message))
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Stop {
    fn from(error: &Error) -> Self {
        let permanent = match error.kind() {
            ErrorKind::Cancelled => return Self::Cancelled,
            // The disk, another writer or the embedder may be better next time.
            ErrorKind::Machine
            | ErrorKind::Locked
            | ErrorKind::Model
            | ErrorKind::Internal
            | ErrorKind::ParserStopped => false,
            _ => true,
        };
        Self::Failed(Failure::of(error, permanent))
    }
}

impl From<WriteError> for Stop {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Index(error) => Self::from(error.as_ref()),
            WriteError::Search(error) => Self::Failed(Failure::of(error.as_ref(), false)),
            WriteError::Forbidden(_) | WriteError::Exists(_) | WriteError::NoEmbedder => {
                Self::permanent(error.to_string())
            }
            WriteError::Full | WriteError::Defect(_) => Self::Failed(Failure::of(&error, false)),
        }
    }
}

impl From<AuthError> for Stop {
    fn from(error: AuthError) -> Self {
        Self::permanent(format!("the API key that asked for this: {error}"))
    }
}

impl From<SearchError> for Stop {
    fn from(error: SearchError) -> Self {
        Self::Failed(Failure::of(&error, false))
    }
}

/// A job in the hands of its kind.
pub(crate) struct Task {
    tools: Arc<Tools>,
    job: Job,
    cancel: Cancel,
    stopping: CancellationToken,
    runtime: Handle,
    said: Arc<Mutex<Update>>,
}

impl Task {
    /// `job` in this runtime. `cancel` says when it is to stop at once, `stopping` when this
    /// worker begins nothing more.
    pub(super) fn new(
        tools: Arc<Tools>,
        job: Job,
        cancel: Cancel,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            tools,
            job,
            cancel,
            stopping,
            runtime: Handle::current(),
            said: Arc::default(),
        }
    }

    /// Where the worker finds what the job said since it last looked.
    pub(super) fn said(&self) -> Arc<Mutex<Update>> {
        Arc::clone(&self.said)
    }

    /// What the job is to do.
    pub(super) fn payload(&self) -> Result<Payload, Stop> {
        serde_json::from_value(self.job.payload.clone()).map_err(|error| {
            Stop::permanent(format!("the job was written by another version: {error}"))
        })
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Fires when the job is to stop.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Fires when this worker begins nothing more; what is begun has a little time to end.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// What a person answered to the job's question, if it asked one.
    pub(super) fn answer(&self) -> Option<bool> {
        let input = self.job.input.as_ref()?;
        input.get("confirm").unwrap_or(input).as_bool()
    }

    /// Whether a person has agreed to what the job asked.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.answer() == Some(true)
    }

    /// The collection, made if it is not there.
    pub(crate) fn collection(&self, payload: &Payload) -> Result<Index, Stop> {
        Ok(self.tools.engine.create_collection(&payload.collection)?)
    }

    pub(crate) fn embedder(&self) -> Result<Arc<dyn Embedder>, Stop> {
        let embedder = self.tools.engine.embedder().cloned();
        embedder.ok_or_else(|| {
            Stop::permanent("documents need an embedder; set models.embedder to a model")
        })
    }

    /// Waits for `future`, unless the job is to stop first.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Stop> {
        let cancel = self.cancel.clone();
        self.runtime.block_on(async move {
            tokio::select! {
                result = future => Ok(result),
                () = cancel.cancelled() => Err(Stop::Cancelled),
            }
        })
    }

    /// Says what the job does now.
    pub(crate) fn stage(&self, stage: &str) {
        let mut said = self.lock();
        if said.stage.as_deref() != Some(stage) {
            said.stage = Some(stage.to_owned());
        }
    }

    /// Says how far it is.
    pub(crate) fn progress(&self, progress: Progress) {
        self.lock().progress = Some(progress);
    }

    /// Says that a document failed, in which stage, and why.
    pub(crate) fn document_failed(&self, document: &str, stage: &str, message: String) {
        self.lock().errors.push(DocumentError {
            document: document.to_owned(),
            stage: Some(stage.to_owned()),
            message,
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Update> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
