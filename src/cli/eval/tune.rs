//! `--tune`: searches the settings of the search on some questions, says what
//! that gains on others, and writes a file that `--config` takes.

use std::path::Path;

use anyhow::Context as _;
use cairn_eval::report::rounded;
use cairn_eval::{Interval, bootstrap_mean, paired_test};
use serde::Serialize;

use super::ablate::{Part, Workshop};
use super::replay::Replay;
use super::variant::{Variant, get, set};
use crate::cli::ticker::Ticker;

/// What is searched, one setting after the other. `lexical_weight` brings the
/// other weight along.
const GRID: &[(&str, &[&str])] = &[
    ("retrieval.fusion.method", &["weighted", "rrf"]),
    (
        "retrieval.fusion.lexical_weight",
        &["0.3", "0.4", "0.5", "0.6", "0.7"],
    ),
    ("retrieval.fusion.k", &["5", "10", "20", "60"]),
    ("retrieval.candidates", &["50", "100", "200"]),
    ("retrieval.bm25_k1", &["0.9", "1.2", "1.5", "2.0"]),
    ("retrieval.bm25_b", &["0.4", "0.6", "0.75", "0.9"]),
    ("retrieval.rerank.depth", &["5", "10", "20"]),
    (
        "retrieval.rerank.weight",
        &["0.0", "0.25", "0.5", "0.75", "1.0", "1.5", "2.0"],
    ),
    (
        "retrieval.rerank.lexical_boost",
        &["0.8", "1.0", "1.2", "1.5", "2.0"],
    ),
];

/// Most candidates of [`GRID`].
const MOST_CANDIDATES: usize = 200;

/// Times that the settings are gone through; a third changes nothing.
const ROUNDS: usize = 2;

/// A smaller gain is noise, and not worth another value.
const LEAST_GAIN: f64 = 0.001;

/// What the search found.
#[derive(Debug, Serialize)]
pub(super) struct Tuned {
    measure: String,
    /// Mean on the tuning questions, before and after.
    tuning: [f64; 2],
    tuning_questions: usize,
    /// Mean on questions that the search did not see, before and after.
    held_out: [f64; 2],
    held_out_questions: usize,
    /// Gain on these, and its 95 % interval.
    gain: f64,
    gain_95: [f64; 2],
    p_value: f64,
    /// Settings that changed: key, value before, value after.
    changed: Vec<(String, String, String)>,
    configurations: usize,
}

/// One split of every dataset.
struct Bench<'a> {
    replays: Vec<Replay<'a>>,
    workshop: &'a Workshop<'a>,
}

impl Bench<'_> {
    /// Values by question of every dataset.
    fn values(&mut self, variant: &Variant) -> anyhow::Result<Vec<Vec<f64>>> {
        let measure = self.workshop.measure;
        self.replays
            .iter_mut()
            .map(|replay| {
                let found = replay.run(variant, &[measure])?;
                let figure = found.figure(measure).context("the measure was not taken")?;
                Ok(figure.values.clone())
            })
            .collect()
    }

    fn mean(&mut self, variant: &Variant) -> anyhow::Result<f64> {
        Ok(mean(&self.values(variant)?))
    }
}

/// The mean of the datasets' means.
fn mean(values: &[Vec<f64>]) -> f64 {
    let means = values.iter().map(|one| {
        let sum: f64 = one.iter().sum();
        sum / one.len().max(1) as f64
    });
    means.sum::<f64>() / values.len().max(1) as f64
}

/// Searches on `tuning`, judges on `held_out` (the same datasets), and writes
/// `out`.
pub(super) fn run(
    workshop: &Workshop<'_>,
    base: &Variant,
    tuning: &[Part],
    held_out: &[Part],
    out: &Path,
) -> anyhow::Result<Tuned> {
    let open = |parts: &[Part]| -> anyhow::Result<Vec<_>> {
        parts.iter().map(|part| workshop.open(part, base)).collect()
    };
    let (tuning, held_out) = (open(tuning)?, open(held_out)?);
    let bench = |subjects: &'_ [super::subject::Subject]| -> anyhow::Result<usize> {
        Ok(subjects.iter().map(|s| s.dataset.questions.len()).sum())
    };
    let counts = (bench(&tuning)?, bench(&held_out)?);
    let replay = |subject| {
        Replay::new(
            subject,
            workshop.reranker,
            MOST_CANDIDATES,
            workshop.depth,
            workshop.cancel,
        )
    };
    let replays: anyhow::Result<Vec<_>> = tuning.iter().map(replay).collect();
    let mut bench = Bench {
        replays: replays?,
        workshop,
    };
    let before = bench.mean(base)?;
    let (best, after, configurations) = search(workshop, &mut bench, base, before)?;
    drop(bench);
    let replays: anyhow::Result<Vec<_>> = held_out.iter().map(replay).collect();
    let mut bench = Bench {
        replays: replays?,
        workshop,
    };
    let (old, new) = (bench.values(base)?, bench.values(&best)?);
    if let Some(reranker) = workshop.reranker {
        reranker.keep();
    }
    let (flat_old, flat_new) = (old.concat(), new.concat());
    let differences: Vec<f64> = flat_old.iter().zip(&flat_new).map(|(a, b)| b - a).collect();
    let Interval { low, high } = bootstrap_mean(&differences);
    let test = paired_test(&flat_old, &flat_new);
    let changed = changed(base, &best);
    let tuned = Tuned {
        measure: workshop.measure.to_string(),
        tuning: [rounded(before), rounded(after)],
        tuning_questions: counts.0,
        held_out: [rounded(mean(&old)), rounded(mean(&new))],
        held_out_questions: counts.1,
        gain: rounded(test.difference),
        gain_95: [rounded(low), rounded(high)],
        p_value: rounded(test.p_value),
        changed,
        configurations,
    };
    std::fs::write(out, tuned.toml()).with_context(|| out.display().to_string())?;
    Ok(tuned)
}

/// One setting at a time, each taking the value that is best while the others
/// stay.
fn search(
    workshop: &Workshop<'_>,
    bench: &mut Bench<'_>,
    base: &Variant,
    before: f64,
) -> anyhow::Result<(Variant, f64, usize)> {
    let (mut best, mut most, mut tried) = (base.clone(), before, 1);
    let steps = ROUNDS * GRID.iter().map(|(_, values)| values.len()).sum::<usize>();
    let mut ticker = Ticker::new(workshop.context, "configurations", steps);
    for _ in 0..ROUNDS {
        let start = best.config.clone();
        for (key, values) in GRID {
            let around = best.config.clone();
            for value in *values {
                ticker.add(1);
                let mut config = set(&around, key, value)?;
                if *key == "retrieval.fusion.lexical_weight" {
                    let other = 1.0 - config.retrieval.fusion.lexical_weight;
                    // 1 - 0.7 is not quite 0.3 in 32 bits.
                    config.retrieval.fusion.dense_weight = (other * 100.0).round() / 100.0;
                }
                if config == around {
                    continue;
                }
                let variant = Variant::of("tuned", &config);
                let found = bench.mean(&variant)?;
                tried += 1;
                if found > most + LEAST_GAIN {
                    (best, most) = (variant, found);
                }
            }
        }
        if best.config == start {
            break;
        }
    }
    Ok((best, most, tried))
}

fn changed(base: &Variant, best: &Variant) -> Vec<(String, String, String)> {
    let weights = [("retrieval.fusion.dense_weight", &[][..])];
    let keys = GRID.iter().chain(&weights).map(|(key, _)| *key);
    keys.filter_map(|key| {
        let (old, new) = (get(&base.config, key), get(&best.config, key));
        (old != new).then(|| (key.to_owned(), old, new))
    })
    .collect()
}

impl Tuned {
    /// A configuration file with what changed.
    fn toml(&self) -> String {
        let mut text = format!(
            "# Found by `cairn eval --tune`; use it with --config.\n# {}\n",
            self.verdict()
        );
        let mut keys: Vec<_> = self.changed.iter().collect();
        keys.sort();
        let mut table = "";
        for (key, _, value) in keys {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
            if section != table {
                text.push_str(&format!("\n[{section}]\n"));
                table = section;
            }
            text.push_str(&format!("{name} = {value}\n"));
        }
        text
    }

    fn verdict(&self) -> String {
        let [low, high] = self.gain_95;
        let sure = match (low > 0.0, high < 0.0) {
            (true, _) => "a gain that chance does not explain",
            (_, true) => "a loss: keep what you have",
            _ => "which chance alone may do: keep what you have unless it is faster",
        };
        format!(
            "{} on {} questions that the search did not see: {:.4} -> {:.4} ({:+.4}, 95 % {low:+.4} to {high:+.4}, p = {:.3}), {sure}.",
            self.measure,
            self.held_out_questions,
            self.held_out[0],
            self.held_out[1],
            self.gain,
            self.p_value
        )
    }

    /// What a terminal shows.
    pub(super) fn text(&self, out: &Path) -> String {
        let mut text = format!(
            "{} configurations on {} tuning questions: {} {:.4} -> {:.4}\n{}\n",
            self.configurations,
            self.tuning_questions,
            self.measure,
            self.tuning[0],
            self.tuning[1],
            self.verdict()
        );
        for (key, old, new) in &self.changed {
            text.push_str(&format!("  {key}: {old} -> {new}\n"));
        }
        if self.changed.is_empty() {
            text.push_str("  nothing is better than what is set\n");
        }
        text.push_str(&format!("Written to {}\n", out.display()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_settings::config::Config;

    #[test]
    fn the_file_that_is_written_is_a_configuration() {
        let base = Variant::of("", &Config::default());
        let config = set(&base.config, "retrieval.fusion.lexical_weight", "0.4").unwrap();
        let config = set(&config, "retrieval.rerank.weight", "0.0").unwrap();
        let config = set(&config, "retrieval.fusion.method", "rrf").unwrap();
        let best = Variant::of("", &config);
        let tuned = Tuned {
            measure: "ndcg@10".into(),
            tuning: [0.5, 0.6],
            tuning_questions: 10,
            held_out: [0.5, 0.55],
            held_out_questions: 10,
            gain: 0.05,
            gain_95: [-0.1, 0.2],
            p_value: 0.4,
            changed: changed(&base, &best),
            configurations: 3,
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), tuned.toml()).unwrap();
        let read = Config::load(Some(file.path()), &[]).unwrap();
        assert_eq!(read.retrieval, best.config.retrieval);
        assert!(
            tuned.verdict().contains("chance alone"),
            "{}",
            tuned.verdict()
        );
    }
}
