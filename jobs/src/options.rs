//! How a queue behaves.

use std::time::Duration;

use crate::clock::Clock;

/// How a queue behaves. Processes that share a file should agree.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a worker has a job without a sign of life. Workers should heartbeat four
    /// times as often.
    pub lease: Duration,
    /// How often leases are looked at that have run out.
    pub reap_every: Duration,
    /// Attempts of a job that does not say how many it has.
    pub max_attempts: u32,
    /// The shortest pause before another attempt. It doubles with each.
    pub backoff_min: Duration,
    /// The longest.
    pub backoff_max: Duration,
    /// After how many transient failures in a row the jobs of a source wait; 0 for never.
    pub breaker_failures: u32,
    /// How long they wait before one of them tries again. It doubles with each failure of
    /// that one.
    pub breaker_min: Duration,
    /// The longest.
    pub breaker_max: Duration,
    /// How long terminal jobs are kept.
    pub keep: Duration,
    /// How long to wait for another process that writes.
    pub busy: Duration,
    /// How often to look whether another process has changed something.
    pub poll: Duration,
    /// Whether the queue reaps, purges and ticks by itself.
    pub maintenance: bool,
    /// The size that the file may have, in SQLite's pages of 4 KiB; `None` for as much as the
    /// disk has.
    pub max_pages: Option<u32>,
    /// The time.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(120),
            reap_every: Duration::from_secs(60),
            max_attempts: 5,
            backoff_min: Duration::from_secs(2),
            backoff_max: Duration::from_secs(300),
            breaker_failures: 5,
            breaker_min: Duration::from_secs(30),
            breaker_max: Duration::from_secs(600),
            keep: Duration::from_secs(30 * 24 * 3600),
            busy: Duration::from_secs(5),
            poll: Duration::from_millis(10),
            maintenance: true,
            max_pages: None,
            clock: Clock::System,
        }
    }
}

impl Options {
    /// How often a worker should heartbeat.
    pub fn heartbeat(&self) -> Duration {
        self.lease / 4
    }
}

/// Whole milliseconds, as the database has them.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
