//! The shape of `[jobs]`: what is done in its own time, and what it may reach.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    pub backend: JobsBackend,
    pub nats: Nats,
    pub workers: usize,
    pub max_workers: usize,
    pub lease_seconds: u64,
    pub max_attempts: u32,
    pub max_seconds: u64,
    pub keep_days: u64,
    pub roots: Vec<PathBuf>,
    pub embedders: Vec<String>,
    pub upload_mb: u64,
    pub spool_mb: u64,
    pub fetch: Fetching,
    #[serde(default)]
    pub buckets: BTreeMap<String, Bucket>,
}

/// Who keeps the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobsBackend {
    /// A file in the data folder.
    Sqlite,
    /// A stream of NATS JetStream.
    Nats,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    pub url: String,
    pub name: String,
    pub replicas: usize,
    pub credentials_env: String,
    pub token_env: String,
    pub user_env: String,
    pub password_env: String,
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetching {
    pub hosts: Vec<String>,
    pub allow_private_addresses: bool,
    pub respect_robots_txt: bool,
    pub timeout_seconds: u64,
}

/// A bucket that jobs may read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    pub bucket: String,
    #[serde(default = "region")]
    pub region: String,
    pub endpoint: Option<String>,
    #[serde(default)]
    pub prefix: String,
    pub access_key_env: Option<String>,
    pub secret_key_env: Option<String>,
    pub token_env: Option<String>,
    #[serde(default = "max_objects")]
    pub max_objects: usize,
    #[serde(default = "max_mb")]
    pub max_mb: u64,
}

fn region() -> String {
    "us-east-1".into()
}

fn max_objects() -> usize {
    100_000
}

fn max_mb() -> u64 {
    10_240
}
