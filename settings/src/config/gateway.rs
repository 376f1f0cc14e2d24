//! The shape of the gateway's configuration: providers, deadlines, routes. What
//! each key means, and its default, is said in `config/default.toml`, once.
#![allow(missing_docs)]

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    pub name: String,
    #[serde(default = "default_kind")]
    pub kind: String,
    pub base_url: String,
    #[serde(default)]
    pub key_env: Option<String>,
    pub model: String,
    #[serde(default)]
    pub models: Vec<String>,
    #[serde(default = "default_context_tokens")]
    pub context_tokens: usize,
    #[serde(default)]
    pub api_version: Option<String>,
    #[serde(default = "default_connect_ms")]
    pub connect_ms: u64,
    #[serde(default = "default_stream")]
    pub stream: bool,
    #[serde(default)]
    pub tools: ToolsMode,
}

/// How a provider's models are offered tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolsMode {
    /// As its wire format has them.
    #[default]
    Native,
    /// In words, and calls come back as text: for models that know none.
    Text,
}

impl ProviderConfig {
    /// An OpenAI-compatible endpoint without a key, and the defaults.
    pub fn new(
        name: impl Into<String>,
        base_url: impl Into<String>,
        model: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            kind: default_kind(),
            base_url: base_url.into(),
            key_env: None,
            model: model.into(),
            models: Vec::new(),
            context_tokens: default_context_tokens(),
            api_version: None,
            connect_ms: default_connect_ms(),
            stream: default_stream(),
            tools: ToolsMode::Native,
        }
    }
}

fn default_kind() -> String {
    "openai".to_owned()
}

fn default_context_tokens() -> usize {
    8192
}

fn default_connect_ms() -> u64 {
    2000
}

fn default_stream() -> bool {
    true
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    pub first_token_ms: u64,
    pub token_ms: u64,
    pub total_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    #[serde(default)]
    pub targets: Vec<TargetConfig>,
    #[serde(default = "default_deadlines")]
    pub deadlines: String,
    #[serde(default = "default_retries")]
    pub retries: u32,
    #[serde(default)]
    pub cache: CacheMode,
}

fn default_deadlines() -> String {
    "realtime".to_owned()
}

fn default_retries() -> u32 {
    1
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    pub provider: String,
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub weight: Option<f64>,
    #[serde(default)]
    pub max_cost_usd: Option<f64>,
    #[serde(default)]
    pub max_latency_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    pub max_mb: usize,
    pub ttl_seconds: u64,
    pub stale_seconds: u64,
    pub threshold: f32,
    pub persist: bool,
}

/// Which earlier answers a route may give again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// None.
    Off,
    /// Those to the same request.
    #[default]
    Exact,
    /// Those to requests of the same meaning too.
    Semantic,
}
