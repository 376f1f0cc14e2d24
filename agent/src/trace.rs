//! Records of recent runs: masked, and visible only to callers who may see all of it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cairn_engine::answer::Step;
use cairn_gateway::Usage;
use cairn_gateway::accounts::{Caller, KeyId, Scope};
use cairn_settings::config::AgentMode;
use cairn_settings::telemetry::redact::Redactor;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::plan::PlannedStep;

/// Maximum runs that are remembered.
const MAX_TRACES: usize = 1000;

/// One run, with personal data and secrets masked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Trace {
    /// The `query_id` of the answer.
    pub id: String,
    /// The question.
    pub question: String,
    /// The mode of the run.
    pub agent: AgentMode,
    /// Seconds since 1970, UTC.
    pub started_at: i64,
    /// Milliseconds until the tools were done.
    pub milliseconds: f64,
    /// The plan, if one was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<PlannedStep>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Number of passages found.
    pub sources: usize,
    /// Tokens and cost of the steps.
    pub usage: Usage,
    /// `answered`, `input_required`, or `failed`.
    pub outcome: String,
    /// Limits that were reached, and other problems.
    pub notes: Vec<String>,
}

struct Kept {
    trace: Trace,
    key: Option<KeyId>,
    tenant: String,
    labels: Option<BTreeSet<String>>,
    since: Instant,
}

/// The recent runs.
pub(crate) struct Traces {
    kept: Mutex<VecDeque<Kept>>,
    keep: Duration,
    redactor: Redactor,
}

impl Traces {
    pub(crate) fn new(keep: Duration, redactor: Redactor) -> Self {
        Self {
            kept: Mutex::default(),
            keep,
            redactor,
        }
    }

    /// Records a run of `caller`, replacing an earlier part of the same run.
    pub(crate) fn put(&self, mut trace: Trace, caller: &Caller) {
        if self.keep.is_zero() {
            return;
        }
        trace.question = self.mask(&trace.question);
        trace.notes = trace.notes.iter().map(|note| self.mask(note)).collect();
        for planned in &mut trace.plan {
            planned.step = self.mask(&planned.step);
        }
        for step in &mut trace.steps {
            step.thought = self.mask(&step.thought);
            step.result = self.mask(&step.result);
            self.mask_value(&mut step.arguments);
        }
        let kept = Kept {
            key: caller.key().cloned(),
            tenant: caller.tenant().to_owned(),
            labels: caller.labels().cloned(),
            since: Instant::now(),
            trace,
        };
        let mut all = self.lock();
        all.retain(|one| one.since.elapsed() < self.keep && one.trace.id != kept.trace.id);
        if all.len() >= MAX_TRACES {
            all.pop_front();
        }
        all.push_back(kept);
    }

    /// The run `id`, if `caller` may see all of it: the key that asked, or an administrator of the
    /// same tenant, and only with rights to read everything that the run could read.
    pub(crate) fn get(&self, id: &str, caller: &Caller) -> Option<Trace> {
        let all = self.lock();
        let kept = all.iter().find(|one| one.trace.id == id)?;
        let is_own = kept.key.as_ref() == caller.key();
        let may_ask = is_own || caller.scopes().allow(Scope::Admin);
        let may_read = match (caller.labels(), &kept.labels) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(held), Some(then)) => held.is_superset(then),
        };
        let is_fresh = kept.since.elapsed() < self.keep;
        (kept.tenant == caller.tenant() && may_ask && may_read && is_fresh)
            .then(|| kept.trace.clone())
    }

    fn mask(&self, text: &str) -> String {
        self.redactor.redact(text).as_str().to_owned()
    }

    fn mask_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.mask(text),
            Value::Array(all) => all.iter_mut().for_each(|one| self.mask_value(one)),
            Value::Object(fields) => fields.values_mut().for_each(|one| self.mask_value(one)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        // Every statement leaves the list consistent.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(key: &str, tenant: &str, labels: &[&str], scopes: &[Scope]) -> Caller {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let scopes = scopes.iter().copied().collect();
        Caller::new(KeyId::new(key), tenant.into(), &labels, scopes)
    }

    fn trace(id: &str) -> Trace {
        Trace {
            id: id.to_owned(),
            question: "Mail of kim@example.com?".to_owned(),
            agent: AgentMode::React,
            started_at: 0,
            milliseconds: 1.0,
            plan: Vec::new(),
            steps: vec![Step {
                n: 1,
                turn: 1,
                thought: String::new(),
                tool: "search".into(),
                arguments: serde_json::json!({"query": "kim@example.com"}),
                result: "kim@example.com".into(),
                ok: true,
                milliseconds: 1.0,
                cost_usd: 0.0,
            }],
            sources: 0,
            usage: Usage::default(),
            outcome: "answered".into(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn only_who_may_read_everything_sees_a_run_and_it_is_masked() {
        let traces = Traces::new(Duration::from_secs(60), Redactor::default());
        let query = [Scope::Query];
        let asker = caller("a", "t", &["red"], &query);
        traces.put(trace("x"), &asker);
        let seen = traces.get("x", &asker).unwrap();
        let text = serde_json::to_string(&seen).unwrap();
        assert!(!text.contains("kim@"), "{text}");
        assert!(text.contains("[EMAIL]"), "{text}");
        for (other, sees) in [
            (caller("b", "t", &["red"], &query), false),
            (caller("a", "u", &["red"], &query), false),
            (caller("a", "t", &[], &query), false),
            (caller("a", "t", &["red", "blue"], &query), true),
            (caller("c", "t", &[], &[Scope::Admin]), true),
            (caller("c", "u", &[], &[Scope::Admin]), false),
        ] {
            assert_eq!(traces.get("x", &other).is_some(), sees, "{other:?}");
        }
        assert!(traces.get("y", &asker).is_none());
    }

    #[test]
    fn runs_are_forgotten() {
        let traces = Traces::new(Duration::from_millis(1), Redactor::default());
        let asker = caller("a", "t", &[], &[Scope::Query]);
        traces.put(trace("x"), &asker);
        std::thread::sleep(Duration::from_millis(2));
        assert!(traces.get("x", &asker).is_none());
        let none = Traces::new(Duration::ZERO, Redactor::default());
        none.put(trace("x"), &asker);
        assert!(none.get("x", &asker).is_none());
    }
}
