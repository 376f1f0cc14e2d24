//! Which targets answer a call, and in which order.
//!
//! A `Route` is a named chain of targets with deadlines; selecting one, or a
//! model by its name, gives a [`Plan`]. `order` sorts the plan's targets for
//! one call; `Health` knows which of them answer, and how fast.

mod build;
mod health;
mod order;
mod select;

use std::sync::Arc;
use std::time::Duration;

pub use select::AnswerBackend;

pub(super) use build::Routes;
pub(super) use health::{Health, TargetPermit};
pub(super) use order::{Need, Skipped, fraction, order};

use super::chat::Provider;
use cairn_settings::config::{CacheMode, Deadlines};

/// The route of answers from sources.
pub const ANSWER: &str = "answer";
/// The route that makes a follow-up a question of its own.
pub const REWRITE: &str = "rewrite";
/// The route of judges in evaluations.
pub const JUDGE: &str = "judge";
/// The route of agents.
pub const AGENT: &str = "agent";
/// The route of the OpenAI-compatible endpoint, for models that a request names.
pub const CHAT: &str = "chat";
/// The route of batches, for models that a request names.
pub const BATCH: &str = "batch";

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the first text, all attempts together.
    pub first_token: Duration,
    /// Between two texts.
    pub token: Duration,
    /// For the whole call.
    pub total: Duration,
}

impl From<Deadlines> for Limits {
    fn from(deadlines: Deadlines) -> Self {
        let milliseconds = Duration::from_millis;
        Self {
            first_token: milliseconds(deadlines.first_token_ms),
            token: milliseconds(deadlines.token_ms),
            total: milliseconds(deadlines.total_ms),
        }
    }
}

/// How calls of one kind are made.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) limits: Limits,
    /// Further attempts with one target.
    pub(super) retries: u32,
    pub(super) cache: CacheMode,
}

/// One model of one provider, in a route.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) model: String,
    /// The generator on this machine.
    pub(super) local: bool,
    /// Share of the calls that it answers first; none takes no part in that.
    pub(super) weight: Option<f64>,
    /// Most that one call may cost here.
    pub(super) max_cost_usd: Option<f64>,
    /// Passed over while its first texts come later than this.
    pub(super) max_latency: Option<Duration>,
    pub(super) health: Arc<Health>,
}

impl Target {
    /// `provider/model`, for messages.
    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.provider.name(), self.model)
    }
}

/// Which targets are asked, in which order, under which limits.
#[derive(Clone)]
pub struct Plan {
    pub(super) route: Arc<Route>,
    pub(super) targets: Arc<[Target]>,
}

impl Plan {
    /// Whether the small model on this machine answers, which needs shorter
    /// prompts and closer checks.
    pub fn is_local(&self) -> bool {
        self.targets.first().is_some_and(|target| target.local)
    }

    /// Tokens of prompt and answer that fit every target.
    pub fn context_tokens(&self) -> usize {
        let sizes = self.targets.iter().map(|t| t.provider.context_tokens());
        sizes.min().unwrap_or(0)
    }

    /// The provider that is asked first as a rule.
    pub fn provider(&self) -> &str {
        self.targets.first().map_or("", |t| t.provider.name())
    }

    /// The model that is asked first as a rule.
    pub fn model(&self) -> &str {
        self.targets.first().map_or("", |t| t.model.as_str())
    }
}
