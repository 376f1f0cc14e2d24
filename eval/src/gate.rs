//! Conditions under which an evaluation fails, for CI: `ndcg@10<0.70`, or
//! `hybrid:ndcg@10<0.70` for one mode only.

use std::fmt;
use std::str::FromStr;

use crate::answers::NAMES;
use crate::{Error, Measure};

/// A side of a number on which nothing may lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    below: bool,
    or_equal: bool,
    at: f64,
}

impl Bound {
    /// Whether `value` is on the wrong side. What is not a number does.
    pub fn fails(&self, value: f64) -> bool {
        value.is_nan()
            || (self.or_equal && value == self.at)
            || (self.below && value < self.at)
            || (!self.below && value > self.at)
    }

    /// Splits `name<0.7`, with `<=`, `>` and `>=` too, at its sign.
    fn split(condition: &str) -> Option<(&str, Self)> {
        let (name, comparison) = condition.split_at(condition.find(['<', '>'])?);
        let rest = &comparison[1..];
        let (or_equal, at) = match rest.strip_prefix('=') {
            Some(at) => (true, at),
            None => (false, rest),
        };
        let at: f64 = at.trim().parse().ok()?;
        let bound = Self {
            below: comparison.starts_with('<'),
            or_equal,
            at,
        };
        at.is_finite().then_some((name.trim(), bound))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.below { "<" } else { ">" };
        let equal = if self.or_equal { "=" } else { "" };
        write!(f, "{sign}{equal}{}", self.at)
    }
}

/// Fails a run whose measure is on the wrong side of a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The only mode that it looks at; none is every mode that was run.
    pub mode: Option<String>,
    /// What it looks at.
    pub measure: Measure,
    bound: Bound,
}

impl Gate {
    /// Whether `value` of the measure fails the run. What is not a number fails.
    pub fn fails(&self, value: f64) -> bool {
        self.bound.fails(value)
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mode) = &self.mode {
            write!(f, "{mode}:")?;
        }
        write!(f, "{}{}", self.measure, self.bound)
    }
}

fn wrong(text: &str) -> Error {
    Error::Usage(format!(
        "`{text}` is not a condition; write one like ndcg@10<0.70 or hybrid:recall@100<0.9"
    ))
}

impl FromStr for Gate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (mode, condition) = match text.split_once(':') {
            Some((mode, rest)) => (Some(mode.trim().to_owned()), rest),
            None => (None, text),
        };
        let (name, bound) = Bound::split(condition).ok_or_else(|| wrong(text))?;
        Ok(Self {
            mode,
            measure: name.parse()?,
            bound,
        })
    }
}

/// Fails a run whose answers are on the wrong side of a bound:
/// `faithfulness<0.9`.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerGate {
    /// One of [`crate::answers::NAMES`].
    pub metric: String,
    bound: Bound,
}

impl AnswerGate {
    /// Whether `value` of the metric fails the run.
    pub fn fails(&self, value: f64) -> bool {
        self.bound.fails(value)
    }
}

impl fmt::Display for AnswerGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.metric, self.bound)
    }
}

impl FromStr for AnswerGate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, bound) = Bound::split(text).ok_or_else(|| wrong(text))?;
        match NAMES.contains(&name) {
            true => Ok(Self {
                metric: name.to_owned(),
                bound,
            }),
            false => Err(Error::Usage(format!(
                "`{name}` is not a figure of answers; there are {}",
                NAMES.join(", ")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_read_and_judge() {
        let gate: Gate = "ndcg@10<0.70".parse().unwrap();
        assert!(gate.fails(0.69) && !gate.fails(0.70) && !gate.fails(0.9) && gate.fails(f64::NAN));
        let gate: Gate = " hybrid : mrr@10 <= 0.5 ".parse().unwrap();
        assert_eq!(gate.mode.as_deref(), Some("hybrid"));
        assert!(gate.fails(0.5) && !gate.fails(0.51));
        assert_eq!(gate.to_string(), "hybrid:mrr@10<=0.5");
        let gate: Gate = "hit@1>0.9".parse().unwrap();
        assert!(gate.fails(0.95) && !gate.fails(0.9));
    }

    #[test]
    fn figures_of_answers_have_conditions_too() {
        let gate: AnswerGate = "faithfulness < 0.9".parse().unwrap();
        assert!(gate.fails(0.8) && !gate.fails(0.95));
        assert_eq!(gate.to_string(), "faithfulness<0.9");
        let message = "ndcg@10<0.5".parse::<AnswerGate>().unwrap_err().to_string();
        assert!(message.contains("wrong_refusals"), "{message}");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "ndcg@10",
            "ndcg@10=1",
            "ndcg@10<x",
            "ndcg@10<NaN",
            "foo@1<0.5",
            "<0.5",
        ] {
            assert!(text.parse::<Gate>().is_err(), "{text}");
        }
    }
}
