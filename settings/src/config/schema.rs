//! The shape of the configuration. What each key means, and its default, is
//! said in `config/default.toml`, once.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::accounts::{Batches, KeyLimits, Otel, PriceConfig, Samples, Uploads};
pub use super::agent::*;
pub use super::gateway::*;
pub use super::jobs::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub storage: Storage,
    pub models: Models,
    pub chunking: Chunking,
    pub indexing: Indexing,
    pub retrieval: Retrieval,
    pub answer: Answer,
    pub agent: Agent,
    #[serde(default)]
    pub providers: Vec<ProviderConfig>,
    #[serde(default)]
    pub prices: Vec<PriceConfig>,
    #[serde(default)]
    pub limits: KeyLimits,
    pub batches: Batches,
    pub uploads: Uploads,
    pub jobs: Jobs,
    pub deadlines: BTreeMap<String, Deadlines>,
    pub routes: BTreeMap<String, RouteConfig>,
    pub cache: Cache,
    pub server: Server,
    pub telemetry: Telemetry,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    pub data_dir: PathBuf,
    pub collection: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    pub embedder: String,
    pub reranker: String,
    pub generator: String,
    pub threads: usize,
    pub precision: cairn_models::Precision,
    pub device: cairn_models::DeviceChoice,
    pub queue: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunking {
    pub tokens: usize,
    pub overlap: usize,
    pub embed_window: usize,
    pub context: bool,
    pub language: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Indexing {
    pub max_file_mb: u64,
    pub graph_min_rows: usize,
    pub commit_seconds: u64,
    pub turn_seconds: u64,
    pub parse_seconds: u64,
    pub parse_memory_mb: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrieval {
    pub mode: Mode,
    pub hop: bool,
    pub top_k: usize,
    pub candidates: usize,
    pub ef_search: usize,
    pub bm25_k1: f32,
    pub bm25_b: f32,
    pub fusion: Fusion,
    pub rerank: Rerank,
}

impl Rerank {
    /// Candidates that a re-ranker is to read: without weight none, since it would
    /// change nothing.
    pub fn reads(&self) -> usize {
        if self.weight > 0.0 { self.depth } else { 0 }
    }

    /// Candidates that it compares at most, if their states are stored.
    pub fn compares(&self) -> usize {
        match self.store && self.weight > 0.0 {
            true => self.depth.max(self.stored_depth),
            false => self.reads(),
        }
    }
}

/// Which searches run.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// BM25 and vectors, fused.
    #[default]
    Hybrid,
    /// BM25 alone.
    Lexical,
    /// Vectors alone.
    Dense,
}

/// How two ranked lists become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FusionMethod {
    /// Reciprocal rank fusion.
    Rrf,
    /// Weighted sum of min-max normalised scores.
    Weighted,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fusion {
    pub method: FusionMethod,
    pub k: f32,
    pub lexical_weight: f32,
    pub dense_weight: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rerank {
    pub enabled: bool,
    pub depth: usize,
    pub weight: f32,
    pub lexical_boost: f32,
    pub budget_ms: u64,
    pub windows: usize,
    pub cache_mb: usize,
    pub store: bool,
    pub stored_depth: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub provider: String,
    pub max_tokens: usize,
    pub temperature: f32,
    pub source_tokens: usize,
    pub local_source_tokens: usize,
    pub refuse_below: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub bind: String,
    pub open_to_network: bool,
    pub max_body_mb: usize,
    pub max_query_bytes: usize,
    pub max_concurrency: usize,
    pub request_seconds: u64,
    pub drain_seconds: u64,
    pub max_connections: usize,
    pub header_seconds: u64,
    pub idle_seconds: u64,
    pub body_seconds: u64,
    pub upload_seconds: u64,
    pub send_seconds: u64,
    pub min_bytes_per_second: u64,
    pub max_bodies_mb: usize,
    pub key_share: f64,
    pub max_collections: usize,
    pub max_collections_per_key: usize,
    pub cors_origins: Vec<String>,
    pub allowed_hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Files in PEM form: a certificate with those that lead to its authority, and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    pub level: String,
    pub format: String,
    pub log_questions: bool,
    pub samples: Samples,
    pub otel: Otel,
}

impl Server {
    /// Ranges of the bounds on connections and bodies.
    fn rules(&self) -> [(&'static str, bool); 13] {
        let seconds = 1..=86_400;
        // Alongside the requests that are worked on, somebody must be able to knock.
        let knocking = self.max_concurrency.saturating_add(16);
        [
            (
                "server.max_body_mb must lie in 1..=4096",
                (1..=4096).contains(&self.max_body_mb),
            ),
            (
                "server.max_connections must be at least server.max_concurrency and 16 more",
                self.max_connections >= knocking,
            ),
            (
                "server.request_seconds must lie in 1..=86400",
                seconds.contains(&self.request_seconds),
            ),
            (
                "server.header_seconds must lie in 1..=86400",
                seconds.contains(&self.header_seconds),
            ),
            (
                "server.idle_seconds must lie in 1..=86400",
                seconds.contains(&self.idle_seconds),
            ),
            (
                "server.body_seconds must lie in 1..=86400",
                seconds.contains(&self.body_seconds),
            ),
            (
                "server.upload_seconds must lie in 1..=86400",
                seconds.contains(&self.upload_seconds),
            ),
            (
                "server.send_seconds must lie in 1..=86400",
                seconds.contains(&self.send_seconds),
            ),
            (
                "server.min_bytes_per_second must lie in 1..=1000000000",
                (1..=1_000_000_000).contains(&self.min_bytes_per_second),
            ),
            (
                "server.max_bodies_mb must be at least 32 and twice server.max_body_mb, and at most 1048576",
                (self.max_body_mb.saturating_mul(2).max(32)..=1 << 20)
                    .contains(&self.max_bodies_mb),
            ),
            (
                "server.key_share must be more than 0 and at most 1",
                self.key_share > 0.0 && self.key_share <= 1.0,
            ),
            (
                "server.max_collections must be at least 1",
                self.max_collections >= 1,
            ),
            (
                "server.max_collections_per_key must be at least 1",
                self.max_collections_per_key >= 1,
            ),
        ]
    }
}

impl Config {
    /// Ranges that the types do not express. The error names the key.
    pub fn check(&self) -> anyhow::Result<()> {
        let unit = 0.0..=1.0;
        let rules = [
            (
                "chunking.tokens must be at least 16",
                self.chunking.tokens >= 16,
            ),
            (
                "chunking.overlap must be less than half of chunking.tokens",
                self.chunking.overlap * 2 < self.chunking.tokens,
            ),
            (
                "indexing.parse_seconds must lie in 1..=86400",
                (1..=86_400).contains(&self.indexing.parse_seconds),
            ),
            (
                "indexing.parse_memory_mb must lie in 512..=1048576",
                (512..=1 << 20).contains(&self.indexing.parse_memory_mb),
            ),
            (
                "chunking.embed_window must be at least 16",
                self.chunking.embed_window >= 16,
            ),
            (
                "uploads.max_mb_per_key must be at most uploads.max_mb, and that at most 1048576",
                self.uploads.max_mb_per_key <= self.uploads.max_mb
                    && self.uploads.max_mb <= 1 << 20,
            ),
            (
                "uploads.keep_days must lie in 1..=36500",
                (1..=36_500).contains(&self.uploads.keep_days),
            ),
            (
                "jobs.workers must be at least 1 and at most jobs.max_workers",
                (1..=self.jobs.max_workers).contains(&self.jobs.workers),
            ),
            (
                "jobs.max_workers must be at most 256",
                self.jobs.max_workers <= 256,
            ),
            (
                "jobs.lease_seconds must be at least 5",
                self.jobs.lease_seconds >= 5,
            ),
            (
                "jobs.max_attempts must be at least 1",
                self.jobs.max_attempts >= 1,
            ),
            (
                "jobs.max_seconds must be at least 1",
                self.jobs.max_seconds >= 1,
            ),
            (
                "jobs.fetch.timeout_seconds must be at least 1",
                self.jobs.fetch.timeout_seconds >= 1,
            ),
            (
                "jobs.nats.replicas must be 1, 3 or 5",
                matches!(self.jobs.nats.replicas, 1 | 3 | 5),
            ),
            (
                "retrieval.top_k must be at least 1",
                self.retrieval.top_k >= 1,
            ),
            (
                "retrieval.candidates must be at least 1",
                self.retrieval.candidates >= 1,
            ),
            (
                "retrieval.bm25_k1 must not be negative",
                self.retrieval.bm25_k1 >= 0.0,
            ),
            (
                "retrieval.bm25_b must lie in 0..=1",
                unit.contains(&self.retrieval.bm25_b),
            ),
            (
                "retrieval.fusion.k must be positive",
                self.retrieval.fusion.k > 0.0,
            ),
            (
                "retrieval.rerank.weight must lie in 0..=10",
                (0.0..=10.0).contains(&self.retrieval.rerank.weight),
            ),
            (
                "retrieval.rerank.lexical_boost must lie in 0..=10",
                (0.0..=10.0).contains(&self.retrieval.rerank.lexical_boost),
            ),
            (
                "server.max_concurrency must be at least 1",
                self.server.max_concurrency >= 1,
            ),
            ("models.queue must be at least 1", self.models.queue >= 1),
            (
                "cache.threshold must lie in 0.5..=1",
                (0.5..=1.0).contains(&self.cache.threshold),
            ),
            (
                "telemetry.samples.share must lie in 0..=1",
                (0.0..=1.0).contains(&self.telemetry.samples.share),
            ),
            (
                "telemetry.otel.sample must lie in 0..=1",
                (0.0..=1.0).contains(&self.telemetry.otel.sample),
            ),
        ];
        let all = rules.into_iter().chain(self.server.rules());
        for (rule, holds) in all.chain(self.agent.rules()) {
            anyhow::ensure!(holds, "{rule}");
        }
        for price in &self.prices {
            anyhow::ensure!(
                price.is_sound(),
                "the prices of `{}` must be numbers that are not negative",
                price.model
            );
        }
        self.agent.check_names()?;
        if let Some(limit) = self.limits.problem() {
            anyhow::bail!("limits.{limit} must be positive; leave it out for no limit");
        }
        Ok(())
    }
}
