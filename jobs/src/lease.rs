//! What passes between the queue and a worker.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::{DocumentError, Job, JobId, Progress};

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The worker's name, in which its process can be recognised; at most 256 bytes.
    pub worker: String,
    /// The kinds that it can do, at most 64; empty for all.
    pub kinds: Vec<String>,
    /// How many at most, 1 to 64.
    pub limit: usize,
}

impl Claim {
    /// One job of any kind.
    pub fn one(worker: impl Into<String>) -> Self {
        Self {
            worker: worker.into(),
            kinds: Vec::new(),
            limit: 1,
        }
    }
}

/// The right to work on a job, which ends with the lease. Its number grows with every
/// claim of the job, so that what a worker says whose lease is over is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// The job.
    pub job: JobId,
    /// The fencing number: the first claim has 1.
    pub number: u64,
}

/// A job in the hands of a worker.
#[derive(Clone, Debug)]
pub struct Lease {
    /// What to say with every call about it.
    pub token: Token,
    /// The job.
    pub job: Job,
    /// Until when, unless a heartbeat comes before.
    pub until: Timestamp,
}

/// The reply to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Until when the lease holds now.
    pub until: Timestamp,
    /// Whether somebody wants the job to stop: the worker does, and then calls
    /// [`crate::Queue::confirm_cancel`].
    pub cancel: bool,
}

/// How far a worker is. What is none stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// What it does now.
    pub stage: Option<String>,
    /// How far it is, in all.
    pub progress: Option<Progress>,
    /// Documents that failed since the last update; at most 1,000 are kept, and counted on.
    pub errors: Vec<DocumentError>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What happened, the outermost error first; at most 16 of at most 2 KiB are kept.
    pub chain: Vec<String>,
    /// Whether trying again is useless: the job becomes a dead letter at once.
    pub permanent: bool,
    /// How long to wait at least, where the other side said so; at most a day.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// One that may pass.
    pub fn transient(message: impl Into<String>) -> Self {
        Self {
            chain: vec![message.into()],
            permanent: false,
            retry_after: None,
        }
    }

    /// One that will not.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self {
            permanent: true,
            ..Self::transient(message)
        }
    }

    /// The chain of `error` and its sources.
    pub fn of(error: &(dyn std::error::Error + 'static), permanent: bool) -> Self {
        let chain = std::iter::successors(Some(error), |error| error.source());
        Self {
            chain: chain.take(16).map(ToString::to_string).collect(),
            permanent,
            retry_after: None,
        }
    }
}

/// What became of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is tried again.
    Retry {
        /// Not before.
        at: Timestamp,
    },
    /// It is a dead letter.
    Dead,
    /// Somebody had asked for its end: it is cancelled.
    Cancelled,
}
