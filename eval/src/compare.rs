//! Two runs over the same questions: which one is better, on how many of them,
//! and whether chance alone could do that.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::{ModeReport, Report, rounded};
use crate::{Error, Gate, Interval, Result, bootstrap_mean, paired_test};

/// Questions that are named on either side.
const SHOWN: usize = 5;

/// A difference smaller than this is a tie.
const TIE: f64 = 1e-9;

/// The second run against the first, for one mode and one measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Versus {
    /// The mode in the first run, and in the second where it has another name.
    pub mode: String,
    /// The measure.
    pub measure: String,
    /// Mean of the first run.
    pub first: f64,
    /// Mean of the second run.
    pub second: f64,
    /// Second minus first.
    pub difference: f64,
    /// Its 95 % interval.
    pub confidence_95: [f64; 2],
    /// How often chance alone makes a difference at least as large.
    pub p_value: f64,
    /// Questions that the second run does better.
    pub wins: usize,
    /// Questions that it does worse.
    pub losses: usize,
    /// Questions that make no difference.
    pub ties: usize,
    /// The largest gains, as question ids with differences.
    pub gained: Vec<(String, f64)>,
    /// The largest losses.
    pub lost: Vec<(String, f64)>,
}

impl Versus {
    /// Whether the second run is worse, and chance alone would make it look so
    /// less often than once in twenty.
    pub fn is_worse(&self) -> bool {
        self.difference < 0.0 && self.p_value < 0.05
    }

    /// Whether `gate` looks at this comparison, and its bound on the difference
    /// is crossed.
    pub fn fails(&self, gate: &Gate) -> bool {
        let concerned = gate.mode.as_ref().is_none_or(|mode| *mode == self.mode);
        concerned && gate.measure.to_string() == self.measure && gate.fails(self.difference)
    }
}

/// Compares `second` with `first` by each of `measures`, mode by mode. Two
/// reports with one mode each are compared whatever the modes are called.
///
/// # Errors
///
/// When they did not ask the same questions, share no mode, or one of them has
/// no values of a measure.
pub fn compare(first: &Report, second: &Report, measures: &[String]) -> Result<Vec<Versus>> {
    same_questions(first, second)?;
    let mut found = Vec::new();
    for (before, after) in pairs(first, second)? {
        for measure in measures {
            found.push(versus(before, after, measure)?);
        }
    }
    Ok(found)
}

fn same_questions(first: &Report, second: &Report) -> Result<()> {
    let missing = |of: &Report, from: &Report| {
        let mut ids = of.asked.keys();
        ids.find(|id| !from.asked.contains_key(*id)).cloned()
    };
    let (id, where_) = match (missing(first, second), missing(second, first)) {
        (Some(id), _) => (id, "second"),
        (None, Some(id)) => (id, "first"),
        (None, None) => return Ok(()),
    };
    Err(Error::Usage(format!(
        "question {id} is not in the {where_} report: runs are compared over the same questions \
         (same --dataset, --split, --limit and --sample)"
    )))
}

fn pairs<'a>(
    first: &'a Report,
    second: &'a Report,
) -> Result<Vec<(&'a ModeReport, &'a ModeReport)>> {
    if let ([before], [after]) = (&first.modes[..], &second.modes[..]) {
        return Ok(vec![(before, after)]);
    }
    let shared = |before: &'a ModeReport| Some((before, second.mode(&before.mode)?));
    let pairs: Vec<_> = first.modes.iter().filter_map(shared).collect();
    if pairs.is_empty() {
        let names = |report: &Report| {
            let names: Vec<&str> = report.modes.iter().map(|mode| mode.mode.as_str()).collect();
            names.join(", ")
        };
        return Err(Error::Usage(format!(
            "the reports share no mode: the first has {}, the second {}",
            names(first),
            names(second)
        )));
    }
    Ok(pairs)
}

fn versus(before: &ModeReport, after: &ModeReport, measure: &str) -> Result<Versus> {
    let column = |mode: &ModeReport| -> Result<BTreeMap<String, f64>> {
        let value = |(id, query): (&String, &crate::report::QueryReport)| {
            query.values.get(measure).map(|value| (id.clone(), *value))
        };
        let values: BTreeMap<_, _> = mode.per_query.iter().filter_map(value).collect();
        if values.len() < mode.per_query.len() || values.is_empty() {
            let known: Vec<&str> = mode.metrics.keys().map(String::as_str).collect();
            return Err(Error::Usage(format!(
                "{} has no {measure} of every question; it has {}",
                mode.mode,
                known.join(", ")
            )));
        }
        Ok(values)
    };
    let (old, new) = (column(before)?, column(after)?);
    let mut differences: Vec<(String, f64)> = old
        .iter()
        .filter_map(|(id, old)| Some((id.clone(), rounded(new.get(id)? - old))))
        .collect();
    let column = |values: BTreeMap<String, f64>| values.into_values().collect::<Vec<_>>();
    let (old, new) = (column(old), column(new));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let test = paired_test(&old, &new);
    let plain: Vec<f64> = differences.iter().map(|(_, by)| *by).collect();
    let Interval { low, high } = bootstrap_mean(&plain);
    let count = |is: fn(f64) -> bool| plain.iter().filter(|by| is(**by)).count();
    // Stable: equal differences stay in the order of their ids.
    differences.sort_by(|a, b| b.1.total_cmp(&a.1));
    let gained = differences.iter().take_while(|(_, by)| *by > TIE);
    let lost = differences.iter().rev().take_while(|(_, by)| *by < -TIE);
    let name = match before.mode == after.mode {
        true => before.mode.clone(),
        false => format!("{} → {}", before.mode, after.mode),
    };
    Ok(Versus {
        mode: name,
        measure: measure.to_owned(),
        first: rounded(mean(&old)),
        second: rounded(mean(&new)),
        difference: rounded(test.difference),
        confidence_95: [rounded(low), rounded(high)],
        p_value: rounded(test.p_value),
        wins: count(|by| by > TIE),
        losses: count(|by| by < -TIE),
        ties: count(|by| by.abs() <= TIE),
        gained: gained.take(SHOWN).cloned().collect(),
        lost: lost.take(SHOWN).cloned().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Asked, QueryReport};

    fn report(mode: &str, values: &[(&str, f64)]) -> Report {
        let mut report = Report::default();
        let mut of_mode = ModeReport {
            mode: mode.into(),
            ..ModeReport::default()
        };
        for (id, value) in values {
            report.asked.insert((*id).into(), Asked::default());
            let query = QueryReport {
                values: [("ndcg@10".to_owned(), *value)].into(),
                ..QueryReport::default()
            };
            of_mode.per_query.insert((*id).into(), query);
        }
        of_mode.metrics.insert("ndcg@10".into(), 0.0);
        report.modes.push(of_mode);
        report
    }

    fn measures() -> Vec<String> {
        vec!["ndcg@10".into()]
    }

    #[test]
    fn wins_losses_and_ties_are_counted_by_question() {
        let first = report("a", &[("1", 0.5), ("2", 0.5), ("3", 1.0), ("4", 0.0)]);
        let second = report("b", &[("1", 1.0), ("2", 0.25), ("3", 1.0), ("4", 0.25)]);
        let found = &compare(&first, &second, &measures()).unwrap()[0];
        assert_eq!((found.wins, found.losses, found.ties), (2, 1, 1));
        assert_eq!(found.mode, "a → b");
        assert!((found.difference - 0.125).abs() < 1e-9);
        assert_eq!(found.gained[0], ("1".to_owned(), 0.5));
        assert_eq!(found.lost, [("2".to_owned(), -0.25)]);
        assert!(!found.is_worse());
        assert!(found.fails(&"ndcg@10<0.2".parse().unwrap()));
        assert!(!found.fails(&"ndcg@10<0".parse().unwrap()));
        assert!(!found.fails(&"mrr@10<1".parse().unwrap()));
    }

    #[test]
    fn a_loss_on_every_question_is_worse() {
        let many: Vec<(String, f64)> = (0..30).map(|n| (n.to_string(), 0.8)).collect();
        let values = |by: f64| -> Vec<(&str, f64)> {
            let shift = |(id, value): &'_ (String, f64)| (id.clone(), value - by);
            many.iter()
                .map(shift)
                .map(|(id, value)| (&*Box::leak(id.into_boxed_str()), value))
                .collect()
        };
        let (first, second) = (report("a", &values(0.0)), report("a", &values(0.1)));
        let found = &compare(&first, &second, &measures()).unwrap()[0];
        assert!(found.is_worse(), "{found:?}");
        assert_eq!((found.losses, found.ties), (30, 0));
        assert!(!compare(&first, &first, &measures()).unwrap()[0].is_worse());
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let first = report("a", &[("1", 0.5), ("2", 0.5)]);
        let fewer = report("a", &[("1", 0.5)]);
        let message = compare(&first, &fewer, &measures())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("question 2 is not in the second"),
            "{message}"
        );
        let message = compare(&first, &first, &["mrr@3".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(message.contains("no mrr@3"), "{message}");
        let mut other = report("b", &[("1", 0.5), ("2", 0.5)]);
        other.modes.extend(other.modes.clone());
        let message = compare(&first, &other, &measures())
            .unwrap_err()
            .to_string();
        assert!(message.contains("share no mode"), "{message}");
    }
}
