//! What the routes share: the configuration, the rooms that do the work, and
//! the limits.

use std::sync::{Arc, OnceLock};

use cairn_agent::Agent;
use cairn_indexer::Parser;
use tokio::sync::Semaphore;

use super::error::{ApiError, Code};
use super::lifecycle::Lifecycle;
use super::owners::Owners;
use super::read_ahead::Reader;
use super::receive::Bodies;
use super::share::Shared;
use super::tools;
use crate::ingest::fetch::Fetcher;
use crate::ingest::setup::{self, Jobs};
use crate::ingest::spool::Spool;
use crate::ingest::task::LoadEmbedder;
use crate::ingest::uploads::{Bounds, Uploads};
use crate::ingest::writer::Writes;
use cairn_engine::answer::Answerer;
use cairn_engine::retrieve::Engine;
use cairn_gateway::accounts::Accounts;
use cairn_gateway::batch::Batches;
use cairn_jobs::Queue;
use cairn_jobs::notify::Webhooks;
use cairn_models::Embedder;
use cairn_settings::config::Config;

/// The rooms that need models, present once the models are loaded.
pub struct Core {
    /// Searches, and holds the collections.
    pub engine: Engine,
    /// Answers.
    pub answerer: Answerer,
    /// Answers in several steps.
    pub agent: Agent,
    /// Writes what is uploaded.
    pub(crate) writes: Writes,
    /// Chats that are answered in their own time.
    pub batches: Batches,
    /// Reads uploaded files.
    pub parser: Parser,
    /// Reads passages for re-ranking, where there is such a model.
    pub(super) _reader: Option<Reader>,
}

/// One running service.
pub struct Service {
    config: Config,
    accounts: Accounts,
    lifecycle: Lifecycle,
    permits: Shared,
    bodies: Bodies,
    owners: Owners,
    spool: Arc<Spool>,
    uploads: Uploads,
    core: OnceLock<Core>,
    jobs: OnceLock<(Jobs, Fetcher)>,
    load_embedder: OnceLock<LoadEmbedder>,
}

impl Service {
    /// A service that listens already but cannot answer yet.
    pub fn starting(config: Config, accounts: Accounts) -> Arc<Self> {
        Arc::new(Self {
            permits: Shared::new(config.server.max_concurrency, config.server.key_share, 1),
            bodies: Bodies::new(&config.server),
            owners: Owners::new(&config.storage.data_dir),
            spool: Arc::new(setup::spool(&config)),
            uploads: Uploads::new(
                &config.storage.data_dir,
                Bounds {
                    bytes: config.uploads.max_mb << 20,
                    bytes_of_a_key: config.uploads.max_mb_per_key << 20,
                    days: config.uploads.keep_days,
                },
            ),
            lifecycle: Lifecycle::default(),
            core: OnceLock::new(),
            jobs: OnceLock::new(),
            load_embedder: OnceLock::new(),
            accounts,
            config,
        })
    }

    /// Lets it answer. Only the first call counts.
    ///
    /// # Errors
    /// When the machine has no thread for what is read ahead, or the database of batches
    /// cannot be used.
    pub fn start(
        &self,
        engine: Engine,
        answerer: Answerer,
        parser: impl Into<Parser>,
    ) -> std::io::Result<()> {
        let config = &self.config;
        let writes = setup::writes(config, engine.clone());
        let batches = Batches::open(&config.storage.data_dir).map_err(std::io::Error::other)?;
        let reads_ahead = engine.reads_ahead();
        let reader = reads_ahead.then(|| Reader::start(engine.clone()));
        let core = Core {
            agent: tools::agent(config, &engine, &answerer),
            _reader: reader.transpose()?,
            batches,
            engine,
            answerer,
            writes,
            parser: parser.into(),
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

    /// Keys, limits and the ledger.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Start, indexing and stop.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// One permit for each request that is worked on.
    pub fn permits(&self) -> &Arc<Semaphore> {
        self.permits.semaphore()
    }

    /// The same, of which one key may take its share only.
    pub(super) fn shared_permits(&self) -> &Shared {
        &self.permits
    }

    /// Memory for the bodies of all requests.
    pub(super) fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    /// Which key made which collection.
    pub(super) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Loads embedders for jobs by `load`, and not as the configuration says. Only the first
    /// call counts, before jobs are worked on.
    pub fn load_embedders_by(
        &self,
        load: impl Fn(&str) -> Result<Arc<dyn Embedder>, String> + Send + Sync + 'static,
    ) {
        self.load_embedder.set(Arc::new(load)).ok();
    }

    /// That, where there is one.
    pub(super) fn load_embedder(&self) -> Option<&LoadEmbedder> {
        self.load_embedder.get()
    }

    /// Where uploads wait for jobs.
    pub(super) fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// Files on their way into collections.
    pub(super) fn uploads(&self) -> &Uploads {
        &self.uploads
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

    /// Takes jobs from now on. Only the first call counts.
    pub(super) fn set_jobs(&self, jobs: Jobs, fetcher: Fetcher) {
        self.jobs.set((jobs, fetcher)).ok();
    }

    /// The queue of jobs.
    ///
    /// # Errors
    /// `storage` when it could not be opened.
    pub(super) fn jobs(&self) -> Result<&Arc<dyn Queue>, ApiError> {
        Ok(&self.job_room()?.queue)
    }

    /// The webhook endpoints of jobs.
    ///
    /// # Errors
    /// As [`Service::jobs`].
    pub(super) fn webhooks(&self) -> Result<&Webhooks, ApiError> {
        Ok(&self.job_room()?.webhooks)
    }

    /// What says which addresses jobs and webhooks may reach, and reaches them.
    ///
    /// # Errors
    /// As [`Service::jobs`].
    pub(super) fn fetcher(&self) -> Result<&Fetcher, ApiError> {
        Ok(&self.opened_jobs()?.1)
    }

    /// The queue and its webhook endpoints.
    ///
    /// # Errors
    /// As [`Service::jobs`].
    pub(super) fn job_room(&self) -> Result<&Jobs, ApiError> {
        Ok(&self.opened_jobs()?.0)
    }

    fn opened_jobs(&self) -> Result<&(Jobs, Fetcher), ApiError> {
        self.jobs.get().ok_or_else(|| {
            ApiError::new(
                Code::Storage,
                "the queue of jobs cannot be used; the log of the service says why",
            )
        })
    }
}
