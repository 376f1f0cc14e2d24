//! Plans: the steps that a model wrote, and which of them is in progress.

use serde::Serialize;
use utoipa::ToSchema;

/// Maximum steps of a plan.
const MAX_STEPS: usize = 6;
/// Longest step, in characters.
const MAX_STEP_CHARS: usize = 300;

/// A plan, and the outcomes of its steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// What each step should find out.
    pub(crate) steps: Vec<String>,
    /// The outcomes of the first of them.
    pub(crate) findings: Vec<Finding>,
    /// How often the plan was changed.
    pub(crate) revisions: u32,
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The model reported a finding and cited an existing passage.
    Grounded,
    /// The model reported a finding without citing one.
    Ungrounded,
    /// Nothing was found.
    Missing,
}

/// A step of a plan, as recorded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlannedStep {
    /// What it should find out.
    pub step: String,
    /// Its outcome; `None` if it was not worked on.
    pub finding: Option<Finding>,
}

impl Plan {
    /// The step in progress, if one is left.
    pub(crate) fn current(&self) -> Option<(usize, &str)> {
        let at = self.findings.len();
        self.steps.get(at).map(|step| (at + 1, step.as_str()))
    }

    /// Adds steps, up to the maximum of a plan; existing ones are not added again. Returns how many
    /// were added.
    pub(crate) fn extend(&mut self, steps: Vec<String>) -> usize {
        let before = self.steps.len();
        for step in steps {
            if self.steps.len() < MAX_STEPS && !self.steps.contains(&step) {
                self.steps.push(step);
            }
        }
        self.steps.len() - before
    }

    /// The steps and their outcomes.
    pub(crate) fn report(&self) -> Vec<PlannedStep> {
        let steps = self.steps.iter().enumerate();
        steps
            .map(|(at, step)| PlannedStep {
                step: step.clone(),
                finding: self.findings.get(at).copied(),
            })
            .collect()
    }

    /// The steps for which nothing was found.
    pub(crate) fn missing(&self) -> Vec<&str> {
        let pairs = self.steps.iter().zip(&self.findings);
        pairs
            .filter(|(_, finding)| **finding == Finding::Missing)
            .map(|(step, _)| step.as_str())
            .collect()
    }
}

/// The steps in a model's text: numbered or dashed lines, without their numbers.
pub(crate) fn parse_steps(text: &str) -> Vec<String> {
    let steps = text.lines().filter_map(|line| {
        let line = line.trim().trim_start_matches(['*', '#', ' ']);
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let rest = match digits {
            0 => line.strip_prefix(['-', '•'])?,
            1 | 2 => line[digits..].strip_prefix(['.', ')', ':'])?,
            _ => return None,
        };
        let step = rest.trim().trim_matches('*').trim();
        let step: String = step.chars().take(MAX_STEP_CHARS).collect();
        (!step.is_empty()).then_some(step)
    });
    let mut found: Vec<String> = Vec::new();
    for step in steps {
        if !found.contains(&step) && found.len() < MAX_STEPS {
            found.push(step);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_however_they_are_listed() {
        let text = "PLAN\n1. Find the port of A\n2) **Find the port of B**\n- Compare them\n\
                    Then answer.\n1. Find the port of A\n2024: a year";
        let expected = ["Find the port of A", "Find the port of B", "Compare them"];
        assert_eq!(parse_steps(text), expected);
        assert!(parse_steps("I will search for it.").is_empty());
        let many: String = (1..20).map(|n| format!("{n}. step {n}\n")).collect();
        assert_eq!(parse_steps(&many).len(), MAX_STEPS);
    }

    #[test]
    fn a_plan_grows_to_its_bound_and_without_repeats() {
        let mut plan = Plan::default();
        assert_eq!(plan.extend(vec!["a".into(), "b".into()]), 2);
        assert_eq!(plan.extend(vec!["b".into(), "c".into()]), 1);
        assert_eq!(plan.current(), Some((1, "a")));
        plan.findings = vec![Finding::Missing, Finding::Grounded, Finding::Ungrounded];
        assert_eq!(plan.current(), None);
        assert_eq!(plan.missing(), ["a"]);
    }
}
