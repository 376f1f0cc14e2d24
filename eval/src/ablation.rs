//! Many configurations side by side: quality with its interval, milliseconds,
//! bytes, and the one to take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::statistics::{bootstrap_groups, rounded};
use crate::{Interval, Latency};

/// What one configuration did on every dataset.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// The configuration's name.
    pub name: String,
    /// Values by question, dataset by dataset, in one order for all trials.
    pub values: Vec<Vec<f64>>,
    /// Milliseconds of every question.
    pub total_ms: Vec<f64>,
    /// Bytes on disk that its searches read.
    pub index_bytes: u64,
    /// Means of other measures, for the table.
    pub others: BTreeMap<String, f64>,
}

/// A table of configurations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ablation {
    /// Datasets, in the order of [`Row::by_dataset`].
    pub datasets: Vec<String>,
    /// Questions of each.
    pub questions: Vec<usize>,
    /// What orders them.
    pub measure: String,
    /// One row for each configuration.
    pub rows: Vec<Row>,
    /// Most memory that the process held, where the system says so.
    pub peak_memory_bytes: Option<u64>,
}

/// One configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The mean over the datasets of their means over questions.
    pub mean: f64,
    /// Its 95 % interval.
    pub confidence_95: [f64; 2],
    /// The mean of each dataset.
    pub by_dataset: Vec<f64>,
    /// Means of other measures.
    pub others: BTreeMap<String, f64>,
    /// Mean minus that of the best row.
    pub behind_best: f64,
    /// The 95 % interval of that difference, question by question.
    pub behind_best_95: [f64; 2],
    /// From question to ranking.
    pub latency_ms: Option<Latency>,
    /// Bytes on disk that its searches read.
    pub index_bytes: u64,
    /// Whether it is the one to take: the fastest of those that the best one
    /// cannot be told from, and the best of those that are as fast.
    pub recommended: bool,
}

impl Ablation {
    /// Puts `trials` side by side.
    pub fn of(
        datasets: Vec<String>,
        measure: String,
        trials: &[Trial],
        peak_memory_bytes: Option<u64>,
    ) -> Self {
        let best = trials.iter().reduce(|best, trial| {
            if mean(trial) > mean(best) {
                trial
            } else {
                best
            }
        });
        let mut rows: Vec<Row> = match best {
            Some(best) => trials.iter().map(|trial| row(trial, best)).collect(),
            None => Vec::new(),
        };
        if let Some(at) = recommend(&rows) {
            rows[at].recommended = true;
        }
        Self {
            questions: trials.first().map_or_else(Vec::new, |trial| {
                trial.values.iter().map(Vec::len).collect()
            }),
            datasets,
            measure,
            rows,
            peak_memory_bytes,
        }
    }

    /// The row to take.
    pub fn recommended(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.recommended)
    }
}

/// Of the rows that the best one cannot be told from, the best of the fastest.
fn recommend(rows: &[Row]) -> Option<usize> {
    let p50 = |at: usize| rows[at].latency_ms.map_or(f64::MAX, |latency| latency.p50);
    // The difference is that of rounded values: a hair below 0 is 0.
    let as_good = |at: &usize| rows[*at].behind_best_95[1] >= -1e-9;
    let candidates: Vec<usize> = (0..rows.len()).filter(as_good).collect();
    let fastest = candidates.iter().map(|&at| p50(at)).reduce(f64::min)?;
    candidates
        .into_iter()
        .filter(|&at| p50(at) <= fastest * AS_FAST)
        .min_by(|&a, &b| {
            let better = rows[b].mean.total_cmp(&rows[a].mean);
            better.then(rows[a].index_bytes.cmp(&rows[b].index_bytes))
        })
}

/// Medians whose ratio is smaller are equal: clocks and neighbours make more.
const AS_FAST: f64 = 1.1;

fn row(trial: &Trial, best: &Trial) -> Row {
    let differences: Vec<Vec<f64>> = trial
        .values
        .iter()
        .zip(&best.values)
        .map(|(own, best)| own.iter().zip(best).map(|(own, best)| own - best).collect())
        .collect();
    let pair = |Interval { low, high }| [rounded(low), rounded(high)];
    Row {
        name: trial.name.clone(),
        mean: rounded(mean(trial)),
        confidence_95: pair(bootstrap_groups(&trial.values)),
        by_dataset: trial.values.iter().map(|v| rounded(mean_of(v))).collect(),
        others: trial.others.clone(),
        behind_best: rounded(mean(trial) - mean(best)),
        behind_best_95: pair(bootstrap_groups(&differences)),
        latency_ms: Latency::of(&trial.total_ms),
        index_bytes: trial.index_bytes,
        recommended: false,
    }
}

fn mean(trial: &Trial) -> f64 {
    let means: Vec<f64> = trial.values.iter().map(|values| mean_of(values)).collect();
    mean_of(&means)
}

fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(name: &str, shift: f64, ms: f64) -> Trial {
        let values = |count: usize| {
            (0..count)
                .map(|n| (n % 5) as f64 / 10.0 + shift * (1.0 + (n % 3) as f64 / 10.0))
                .collect()
        };
        Trial {
            name: name.into(),
            values: vec![values(40), values(10)],
            total_ms: vec![ms; 50],
            ..Trial::default()
        }
    }

    fn table(trials: &[Trial]) -> Ablation {
        let names = vec!["a".to_owned(), "b".to_owned()];
        Ablation::of(names, "ndcg@10".into(), trials, None)
    }

    #[test]
    fn the_fastest_of_the_best_is_recommended() {
        let mut noisy = trial("noisy", 0.1, 5.0);
        for (at, value) in noisy.values[0].iter_mut().enumerate() {
            *value += if at % 2 == 0 { 0.05 } else { -0.051 };
        }
        let found = table(&[trial("low", 0.0, 1.0), trial("best", 0.1, 50.0), noisy]);
        assert_eq!(found.recommended().unwrap().name, "noisy");
        assert_eq!(found.rows[1].behind_best, 0.0);
        assert!(found.rows[0].behind_best_95[1] < 0.0);
        assert_eq!(found.questions, [40, 10]);
    }

    #[test]
    fn of_equally_fast_ones_the_best_is_recommended() {
        let found = table(&[trial("good", 0.1, 50.0), trial("same", 0.1, 48.0)]);
        assert_eq!(found.recommended().unwrap().name, "good");
        let mut slow = trial("better", 0.1, 53.0);
        slow.values[0][0] += 0.001;
        let found = table(&[trial("good", 0.1, 50.0), slow]);
        assert_eq!(found.recommended().unwrap().name, "better");
    }

    #[test]
    fn datasets_count_the_same_whatever_their_size() {
        let mut one = trial("one", 0.0, 1.0);
        one.values = vec![vec![1.0; 100], vec![0.0; 2]];
        let found = table(&[one]);
        assert_eq!(found.rows[0].mean, 0.5);
        assert_eq!(found.rows[0].by_dataset, [1.0, 0.0]);
        assert!(found.rows[0].recommended);
        assert!(table(&[]).recommended().is_none());
    }
}
