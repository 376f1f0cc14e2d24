//! What a run has used, and whether it may go on.

use std::fmt;
use std::time::{Duration, Instant};

use cairn_gateway::Usage;
use cairn_settings::config::Agent;

/// The share of a run's time for tools; the rest is for writing the answer.
const TOOL_SHARE: f64 = 0.7;

/// What a run has used of its limits.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// Turns of the model.
    pub(crate) turns: u32,
    /// Calls of tools.
    pub(crate) calls: u32,
    /// Tokens and money of all turns.
    pub(crate) usage: Usage,
    /// When tools end.
    pub(crate) tools_until: Instant,
    /// When everything ends.
    pub(crate) until: Instant,
    max_turns: u32,
    max_calls: u32,
    max_tokens: usize,
    max_cost_usd: f64,
    max_seconds: u64,
}

/// A limit of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// Turns of the model.
    Iterations(u32),
    /// Calls of tools.
    Calls(u32),
    /// Time.
    Seconds(u64),
    /// Tokens read and written.
    Tokens(usize),
    /// US dollars.
    Cost(f64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iterations(most) => write!(f, "{most} turns (agent.max_iterations)"),
            Self::Calls(most) => write!(f, "{most} calls of tools (agent.max_tool_calls)"),
            Self::Seconds(most) => {
                write!(f, "its time (agent.max_seconds = {most}, or the deadline)")
            }
            Self::Tokens(most) => write!(f, "{most} tokens (agent.max_tokens)"),
            Self::Cost(most) => write!(f, "{most} US dollars (agent.max_cost_usd)"),
        }
    }
}

impl Meter {
    /// A run that begins now and must be over by `deadline`, if there is one.
    pub(crate) fn start(settings: &Agent, deadline: Option<Instant>) -> Self {
        let now = Instant::now();
        let most = now + Duration::from_secs(settings.max_seconds);
        let until = deadline.map_or(most, |deadline| deadline.min(most));
        Self {
            turns: 0,
            calls: 0,
            usage: Usage::default(),
            tools_until: now + until.saturating_duration_since(now).mul_f64(TOOL_SHARE),
            until,
            max_turns: settings.max_iterations,
            max_calls: settings.max_tool_calls,
            max_tokens: settings.max_tokens,
            max_cost_usd: settings.max_cost_usd,
            max_seconds: settings.max_seconds,
        }
    }

    /// The same run, after waiting for `waited`.
    pub(crate) fn resume(&mut self, waited: Duration) {
        self.tools_until += waited;
        self.until += waited;
    }

    /// The limit that forbids another turn of at most `next`.
    pub(crate) fn forbids(&self, next: &Usage) -> Option<Limit> {
        if self.turns >= self.max_turns {
            return Some(Limit::Iterations(self.max_turns));
        }
        if Instant::now() >= self.tools_until {
            return Some(Limit::Seconds(self.max_seconds));
        }
        self.forbids_spending(next)
    }

    /// The limit on tokens or money that forbids using `next`.
    pub(crate) fn forbids_spending(&self, next: &Usage) -> Option<Limit> {
        let tokens = self
            .usage
            .total_tokens()
            .saturating_add(next.total_tokens());
        if tokens > self.max_tokens {
            return Some(Limit::Tokens(self.max_tokens));
        }
        let cost = self.usage.cost_usd + next.cost_usd;
        (cost > self.max_cost_usd).then_some(Limit::Cost(self.max_cost_usd))
    }

    /// Whether the model must answer now: the next turn is the last one, or no tool call is left.
    pub(crate) fn is_last_turn(&self) -> bool {
        self.turns + 1 >= self.max_turns || self.calls >= self.max_calls
    }

    /// Counts one tool call.
    ///
    /// # Errors
    /// If none is left.
    pub(crate) fn take_call(&mut self) -> Result<(), Limit> {
        if self.calls >= self.max_calls {
            return Err(Limit::Calls(self.max_calls));
        }
        self.calls += 1;
        Ok(())
    }

    /// Counts a turn.
    pub(crate) fn book(&mut self, usage: &Usage) {
        self.turns += 1;
        self.usage.add(usage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_settings::config::Config;

    fn meter(change: impl FnOnce(&mut Agent)) -> Meter {
        let mut settings = Config::default().agent;
        change(&mut settings);
        Meter::start(&settings, None)
    }

    fn usage(tokens: usize, cost_usd: f64) -> Usage {
        Usage {
            prompt_tokens: tokens,
            cost_usd,
            ..Usage::default()
        }
    }

    #[test]
    fn each_limit_ends_a_run() {
        let none = Usage::default();
        let mut turns = meter(|settings| settings.max_iterations = 2);
        assert!(!turns.is_last_turn());
        turns.book(&none);
        assert!(turns.is_last_turn() && turns.forbids(&none).is_none());
        turns.book(&none);
        assert_eq!(turns.forbids(&none), Some(Limit::Iterations(2)));

        let mut calls = meter(|settings| settings.max_tool_calls = 1);
        assert!(calls.take_call().is_ok() && calls.is_last_turn());
        assert_eq!(calls.take_call(), Err(Limit::Calls(1)));

        // A turn is forbidden before it starts.
        let mut tokens = meter(|settings| settings.max_tokens = 1000);
        tokens.book(&usage(600, 0.0));
        assert_eq!(tokens.forbids(&usage(400, 0.0)), None);
        assert_eq!(tokens.forbids(&usage(401, 0.0)), Some(Limit::Tokens(1000)));

        let mut cost = meter(|settings| settings.max_cost_usd = 0.5);
        cost.book(&usage(1, 0.4));
        assert_eq!(cost.forbids(&usage(1, 0.1)), None);
        assert_eq!(cost.forbids(&usage(1, 0.11)), Some(Limit::Cost(0.5)));

        let soon = Instant::now();
        let late = Meter::start(&Config::default().agent, Some(soon));
        assert!(matches!(late.forbids(&none), Some(Limit::Seconds(_))));
    }
}
