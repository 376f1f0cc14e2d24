//! Conditions under which an evaluation fails, for CI: `ndcg@10<0.70`, or
//! `hybrid:ndcg@10<0.70` for one mode only.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Measure};

/// Fails a run whose measure lies on the wrong side of a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The only mode that it looks at; none is every mode that was run.
    pub mode: Option<String>,
    /// What it looks at.
    pub measure: Measure,
    below: bool,
    or_equal: bool,
    bound: f64,
}

impl Gate {
    /// Whether `value` of the measure fails the run. What is no number fails.
    pub fn fails(&self, value: f64) -> bool {
        value.is_nan()
            || (self.or_equal && value == self.bound)
            || (self.below && value < self.bound)
            || (!self.below && value > self.bound)
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mode) = &self.mode {
            write!(f, "{mode}:")?;
        }
        let sign = if self.below { "<" } else { ">" };
        let equal = if self.or_equal { "=" } else { "" };
        write!(f, "{}{sign}{equal}{}", self.measure, self.bound)
    }
}

impl FromStr for Gate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::Usage(format!(
                "`{text}` is not a condition; write one like ndcg@10<0.70 or hybrid:recall@100<0.9"
            ))
        };
        let (mode, condition) = match text.split_once(':') {
            Some((mode, rest)) => (Some(mode.trim().to_owned()), rest),
            None => (None, text),
        };
        let at = condition.find(['<', '>']).ok_or_else(wrong)?;
        let (measure, comparison) = condition.split_at(at);
        let below = comparison.starts_with('<');
        let rest = &comparison[1..];
        let (or_equal, bound) = match rest.strip_prefix('=') {
            Some(bound) => (true, bound),
            None => (false, rest),
        };
        let bound: f64 = bound.trim().parse().map_err(|_| wrong())?;
        if !bound.is_finite() {
            return Err(wrong());
        }
        Ok(Self {
            mode,
            measure: measure.parse()?,
            below,
            or_equal,
            bound,
        })
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
