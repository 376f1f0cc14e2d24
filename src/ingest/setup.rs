//! The queue and the tools of this installation.

use std::time::Duration;

use cairn_engine::retrieve::Engine;
use cairn_indexer::Parser;
use cairn_jobs::{Options, SqliteQueue};
use cairn_settings::config::Config;

use super::fetch::Fetcher;
use super::task::Tools;

const DAY: Duration = Duration::from_secs(86_400);

/// Opens the queue in the data folder.
///
/// # Errors
/// When the disk does not let it be opened.
pub(crate) async fn open(config: &Config) -> cairn_jobs::Result<SqliteQueue> {
    let settings = &config.jobs;
    let options = Options {
        lease: Duration::from_secs(settings.lease_seconds),
        max_attempts: settings.max_attempts,
        keep: DAY.saturating_mul(u32::try_from(settings.keep_days).unwrap_or(u32::MAX)),
        ..Options::default()
    };
    SqliteQueue::open(&config.storage.data_dir, options).await
}

/// What fetches for jobs.
///
/// # Errors
/// When the machine has no usable TLS.
pub(crate) fn fetcher(config: &Config) -> Result<Fetcher, reqwest::Error> {
    let megabytes = usize::try_from(config.indexing.max_file_mb).unwrap_or(usize::MAX);
    Fetcher::new(&config.jobs.fetch, megabytes.saturating_mul(1 << 20))
}

/// What jobs work with.
pub(crate) fn tools(config: &Config, engine: Engine, parser: Parser, fetcher: Fetcher) -> Tools {
    Tools {
        engine,
        parser,
        commit_interval: Duration::from_secs(config.indexing.commit_seconds),
        data_dir: config.storage.data_dir.clone(),
        fetcher,
    }
}
