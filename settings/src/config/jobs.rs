//! The shape of `[jobs]`: what is done in its own time, and what it may reach.
#![allow(missing_docs)]

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    pub workers: usize,
    pub max_workers: usize,
    pub lease_seconds: u64,
    pub max_attempts: u32,
    pub max_seconds: u64,
    pub keep_days: u64,
    pub roots: Vec<PathBuf>,
    pub fetch: Fetching,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetching {
    pub hosts: Vec<String>,
    pub allow_private_addresses: bool,
    pub respect_robots_txt: bool,
    pub timeout_seconds: u64,
}
