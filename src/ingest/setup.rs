//! The queue and the tools of this installation.

use std::sync::Arc;
use std::time::Duration;

use cairn_engine::retrieve::Engine;
use cairn_gateway::accounts::Accounts;
use cairn_indexer::Parser;
use cairn_jobs::notify::Webhooks;
use cairn_jobs::{Credentials, Error, NatsQueue, NatsSettings, Options, Queue, SqliteQueue};
use cairn_models::{Hub, LoadOptions, Quiet};
use cairn_settings::config::{Config, JobsBackend, Nats};

use super::fetch::Fetcher;
use super::spool::Spool;
use super::task::{LoadEmbedder, Tools};
use super::writer::Writes;

const DAY: Duration = Duration::from_secs(86_400);

/// The queue, and its webhook endpoints. Clones are the same queue.
#[derive(Clone)]
pub(crate) struct Jobs {
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// The webhook endpoints.
    pub webhooks: Webhooks,
}

/// Opens the queue of this installation.
///
/// # Errors
/// When the disk or the servers do not let it be opened.
pub(crate) async fn open(config: &Config) -> cairn_jobs::Result<Jobs> {
    let settings = &config.jobs;
    let options = Options {
        lease: Duration::from_secs(settings.lease_seconds),
        max_attempts: settings.max_attempts,
        keep: DAY.saturating_mul(u32::try_from(settings.keep_days).unwrap_or(u32::MAX)),
        ..Options::default()
    };
    let folder = &config.storage.data_dir;
    match settings.backend {
        JobsBackend::Sqlite => {
            let queue = SqliteQueue::open(folder, options).await?;
            let webhooks = Webhooks::new(&queue);
            let queue = Arc::new(queue);
            Ok(Jobs { queue, webhooks })
        }
        JobsBackend::Nats => {
            let queue = NatsQueue::open(nats(&settings.nats)?, folder, options).await?;
            let webhooks = Webhooks::new(&queue);
            let queue = Arc::new(queue);
            Ok(Jobs { queue, webhooks })
        }
    }
}

/// Where the queue is on NATS, with the secrets of the environment.
fn nats(settings: &Nats) -> cairn_jobs::Result<NatsSettings> {
    let variable = |name: &String| std::env::var(name).ok().filter(|value| !value.is_empty());
    let file = variable(&settings.credentials_env).map(Credentials::File);
    let token = variable(&settings.token_env).map(Credentials::Token);
    let user = variable(&settings.user_env);
    let password = match (user, variable(&settings.password_env)) {
        (Some(user), Some(password)) => Some(Credentials::Password { user, password }),
        (None, None) => None,
        _ => {
            return Err(Error::Invalid(format!(
                "only one of the variables {} and {} is set: set both or none",
                settings.user_env, settings.password_env
            )));
        }
    };
    let mut given = [file, token, password].into_iter().flatten();
    let credentials = given.next().unwrap_or_default();
    if given.next().is_some() {
        return Err(Error::Invalid(format!(
            "several ways into NATS are set: keep only one of {}, {} and {}",
            settings.credentials_env, settings.token_env, settings.user_env
        )));
    }
    Ok(NatsSettings {
        servers: settings
            .url
            .split(',')
            .map(|url| url.trim().to_owned())
            .collect(),
        name: settings.name.clone(),
        replicas: settings.replicas,
        credentials,
        authorities: settings.ca_file.clone(),
        ..NatsSettings::new("")
    })
}

/// What fetches for jobs.
///
/// # Errors
/// When the machine has no usable TLS.
pub(crate) fn fetcher(config: &Config) -> Result<Fetcher, reqwest::Error> {
    let megabytes = usize::try_from(config.indexing.max_file_mb).unwrap_or(usize::MAX);
    Fetcher::new(&config.jobs.fetch, megabytes.saturating_mul(1 << 20))
}

/// The writers of the collections of `engine`.
pub(crate) fn writes(config: &Config, engine: Engine) -> Writes {
    Writes::new(engine, Duration::from_secs(config.indexing.turn_seconds))
}

/// Where uploads wait for jobs.
pub(crate) fn spool(config: &Config) -> Spool {
    let most = config.jobs.spool_mb.saturating_mul(1 << 20);
    Spool::new(&config.storage.data_dir, most)
}

/// Loads embedders as the configuration says.
fn load_embedder(config: &Config) -> LoadEmbedder {
    let models = config.models.clone();
    Arc::new(move |name| {
        let options = LoadOptions {
            threads: models.threads,
            precision: models.precision,
            device: models.device,
            ..LoadOptions::default()
        };
        let hub = Hub::new(None).map_err(|error| error.to_string())?;
        let loaded = cairn_models::load_embedder(&hub, name, &options, &Quiet);
        loaded.map_err(|error| error.to_string())
    })
}

/// What jobs work with.
pub(crate) fn tools(
    config: &Config,
    engine: Engine,
    writes: Writes,
    parser: Parser,
    fetcher: Fetcher,
    accounts: Accounts,
) -> Tools {
    Tools {
        writes,
        spool: Arc::new(spool(config)),
        engine,
        parser,
        commit_interval: Duration::from_secs(config.indexing.commit_seconds),
        data_dir: config.storage.data_dir.clone(),
        fetcher,
        accounts,
        load_embedder: load_embedder(config),
        jobs: config.jobs.clone(),
        candidates: config.retrieval.candidates,
        asking: None,
        chats: None,
    }
}
