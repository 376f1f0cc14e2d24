//! The shape of `[agent]`: what an agent may use, and where it ends.
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    pub default: AgentMode,
    pub max_iterations: u32,
    pub max_seconds: u64,
    pub max_tokens: usize,
    pub max_cost_usd: f64,
    pub max_tool_calls: u32,
    pub tool_seconds: u64,
    pub tool_tokens: usize,
    pub approve: BTreeSet<String>,
    pub approval_minutes: u64,
    pub trace_minutes: u64,
    pub allow_private_addresses: bool,
    #[serde(default)]
    pub databases: Vec<AgentPath>,
    #[serde(default)]
    pub folders: Vec<AgentPath>,
    #[serde(default)]
    pub apis: Vec<AgentApi>,
    #[serde(default)]
    pub mcp: Vec<AgentMcp>,
}

/// Whether, and how, a question is answered in several steps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AgentMode {
    /// One retrieval, one answer.
    #[default]
    Off,
    /// By the shape of the question.
    Auto,
    /// Think, call tools, look at what they returned, and again.
    React,
    /// Make a plan first, then work on its steps.
    Plan,
}

/// A database or a folder of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentPath {
    pub name: String,
    pub path: PathBuf,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub labels: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentApi {
    pub address: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub labels: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentMcp {
    pub name: String,
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default)]
    pub pass_env: Vec<String>,
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub key_env: Option<String>,
    #[serde(default)]
    pub tools: BTreeSet<String>,
    #[serde(default)]
    pub labels: BTreeSet<String>,
}

impl Agent {
    /// Ranges that the types do not express.
    pub(super) fn rules(&self) -> [(&'static str, bool); 9] {
        [
            (
                "agent.max_iterations must lie in 1..=20",
                (1..=20).contains(&self.max_iterations),
            ),
            (
                "agent.max_seconds must lie in 1..=3600",
                (1..=3600).contains(&self.max_seconds),
            ),
            (
                "agent.max_tokens must be at least 1000",
                self.max_tokens >= 1000,
            ),
            (
                "agent.max_cost_usd must be positive",
                self.max_cost_usd > 0.0 && self.max_cost_usd.is_finite(),
            ),
            (
                "agent.max_tool_calls must lie in 1..=200",
                (1..=200).contains(&self.max_tool_calls),
            ),
            (
                "agent.tool_seconds must lie in 1..=600",
                (1..=600).contains(&self.tool_seconds),
            ),
            (
                "agent.tool_tokens must lie in 100..=20000",
                (100..=20_000).contains(&self.tool_tokens),
            ),
            (
                "agent.approval_minutes must lie in 1..=10080",
                (1..=10_080).contains(&self.approval_minutes),
            ),
            (
                "agent.trace_minutes must be at most 10080",
                self.trace_minutes <= 10_080,
            ),
        ]
    }

    /// Names are what a model calls databases and folders by.
    pub(super) fn check_names(&self) -> anyhow::Result<()> {
        let databases = self.databases.iter().map(|one| &one.name);
        unique("agent.databases", databases)?;
        unique("agent.folders", self.folders.iter().map(|one| &one.name))?;
        for server in &self.mcp {
            anyhow::ensure!(
                server.command.is_empty() == server.url.is_some(),
                "agent.mcp `{}` needs either `command` or `url`",
                server.name
            );
        }
        unique("agent.mcp", self.mcp.iter().map(|one| &one.name))
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        anyhow::ensure!(
            !name.is_empty() && name.len() <= 64 && name.chars().all(is_plain),
            "a name in {what} has 1 to 64 letters, digits, `_` and `-`, unlike `{name}`"
        );
        anyhow::ensure!(seen.insert(name), "{what} has two entries named `{name}`");
    }
    Ok(())
}
