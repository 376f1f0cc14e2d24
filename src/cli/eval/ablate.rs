//! `--ablate`, `--sweep` and `--tune`: many configurations over one or several
//! datasets.

use std::collections::BTreeMap;

use cairn_eval::ablation::{Ablation, Trial};
use cairn_eval::report::rounded;
use cairn_eval::{Dataset, Evaluation, Family, Measure};
use cairn_models::Cancel;

use super::replay::Replay;
use super::run::{Args, restrict};
use super::scores::Remembering;
use super::subject::{self, Collection, Origin, Subject};
use super::variant::Variant;
use crate::cli::context::Context;
use crate::cli::output;
use crate::cli::ticker::Ticker;
use cairn_engine::retrieve::Engine;
use cairn_settings::config::{Chunking, Mode};

/// A set of questions: where it comes from, and the part that is asked.
pub(super) struct Part {
    pub(super) origin: Origin,
    /// Read already, where that needs no index.
    pub(super) dataset: Option<Dataset>,
}

/// What every trial works with.
pub(super) struct Workshop<'a> {
    pub(super) context: &'a Context,
    pub(super) args: &'a Args,
    pub(super) loaded: &'a Engine,
    pub(super) reranker: Option<&'a Remembering>,
    /// What orders configurations.
    pub(super) measure: Measure,
    pub(super) depth: usize,
    pub(super) cancel: &'a Cancel,
}

impl Workshop<'_> {
    /// Opens `part` as `variant` indexes it.
    pub(super) fn open(&self, part: &Part, variant: &Variant) -> anyhow::Result<Subject> {
        let mut subject = subject::open(
            self.context,
            &variant.config,
            &part.origin,
            part.dataset.clone(),
            self.loaded,
            self.cancel,
        )?;
        if part.dataset.is_none() {
            restrict(&mut subject.dataset, self.args);
        }
        anyhow::ensure!(
            !subject.dataset.questions.is_empty(),
            "{} has no question that its documents answer",
            subject.dataset.name
        );
        Ok(subject)
    }

    /// Every variant on every part.
    pub(super) fn compare(&self, parts: &[Part], variants: &[Variant]) -> anyhow::Result<Ablation> {
        let mut trials: Vec<Trial> = variants.iter().map(named).collect();
        let mut datasets = Vec::new();
        for part in parts {
            datasets.push(self.one_part(part, variants, &mut trials)?);
            if let Some(reranker) = self.reranker {
                reranker.keep();
            }
        }
        for trial in &mut trials {
            for sum in trial.others.values_mut() {
                *sum = rounded(*sum / parts.len().max(1) as f64);
            }
        }
        let measure = self.measure.to_string();
        let memory = super::memory::peak_bytes();
        Ok(Ablation::of(datasets, measure, &trials, memory))
    }

    /// Adds what every variant does on `part`; gives the part's name. Variants
    /// that share an index share everything that was asked of it.
    fn one_part(
        &self,
        part: &Part,
        variants: &[Variant],
        trials: &mut [Trial],
    ) -> anyhow::Result<String> {
        let mut name = String::new();
        let mut ticker = Ticker::new(self.context, "configurations", variants.len());
        for group in groups(variants) {
            let subject = self.open(part, &variants[group[0]])?;
            name.clone_from(&subject.dataset.name);
            let candidates = group
                .iter()
                .map(|&at| variants[at].config.retrieval.candidates);
            let deepest = candidates.max().unwrap_or(1);
            let mut replay =
                Replay::new(&subject, self.reranker, deepest, self.depth, self.cancel)?;
            let spans = subject
                .dataset
                .questions
                .iter()
                .any(|q| !q.spans().is_empty());
            let measures = self.measures(spans);
            for at in group {
                let variant = &variants[at];
                let evaluation = replay.run(variant, &measures)?;
                note(
                    &mut trials[at],
                    &evaluation,
                    self.measure,
                    variant,
                    &subject.collection,
                );
                ticker.add(1);
            }
        }
        Ok(name)
    }

    fn measures(&self, spans: bool) -> Vec<Measure> {
        let k = self.measure.cutoff.unwrap_or(10);
        let mut measures = vec![
            self.measure,
            Measure::at(Family::Mrr, k),
            Measure::at(Family::Recall, self.depth),
        ];
        if spans {
            let top = self.context.config.retrieval.top_k;
            measures.extend([Family::TokenRecall, Family::TokenIou].map(|f| Measure::at(f, top)));
        }
        let mut seen = Vec::new();
        measures.retain(|measure| {
            !seen.contains(measure) && {
                seen.push(*measure);
                true
            }
        });
        measures
    }
}

fn named(variant: &Variant) -> Trial {
    Trial {
        name: variant.name.clone(),
        ..Trial::default()
    }
}

/// Positions of variants with equal indexes, in order.
fn groups(variants: &[Variant]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(&Chunking, Vec<usize>)> = Vec::new();
    for (at, variant) in variants.iter().enumerate() {
        let chunking = &variant.config.chunking;
        match groups.iter_mut().find(|(other, _)| *other == chunking) {
            Some((_, group)) => group.push(at),
            None => groups.push((chunking, vec![at])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn note(
    trial: &mut Trial,
    evaluation: &Evaluation,
    measure: Measure,
    variant: &Variant,
    collection: &Collection,
) {
    for figure in &evaluation.figures {
        if figure.measure == measure {
            trial.values.push(figure.values.clone());
        } else {
            *trial.others.entry(figure.measure.to_string()).or_default() += figure.mean;
        }
    }
    trial.total_ms.extend(&evaluation.totals_ms);
    trial.index_bytes += match variant.mode {
        Mode::Lexical => collection.words_bytes,
        // The text of what is found lies with the words.
        Mode::Dense | Mode::Hybrid => collection.words_bytes + collection.vectors_bytes,
    };
}

/// The table for a terminal.
pub(super) fn table(found: &Ablation) -> String {
    let mut head = vec![
        "configuration".to_owned(),
        found.measure.clone(),
        "95 %".to_owned(),
    ];
    if found.datasets.len() > 1 {
        head.extend(found.datasets.iter().cloned());
    }
    let others: BTreeMap<&String, ()> = found
        .rows
        .iter()
        .flat_map(|row| row.others.keys().map(|name| (name, ())))
        .collect();
    head.extend(others.keys().map(|name| (*name).clone()));
    head.extend(["behind best", "p50 ms", "p95 ms", "index MB", ""].map(str::to_owned));
    let mut rows = vec![head];
    for row in &found.rows {
        let [low, high] = row.confidence_95;
        let mut cells = vec![
            row.name.clone(),
            format!("{:.4}", row.mean),
            format!("{low:.3}–{high:.3}"),
        ];
        if found.datasets.len() > 1 {
            cells.extend(row.by_dataset.iter().map(|mean| format!("{mean:.4}")));
        }
        cells.extend(others.keys().map(|name| match row.others.get(*name) {
            Some(mean) => format!("{mean:.4}"),
            None => "-".to_owned(),
        }));
        let [low, high] = row.behind_best_95;
        cells.push(match row.behind_best == 0.0 {
            true => "best".to_owned(),
            false => format!("{:+.4} ({low:+.3}…{high:+.3})", row.behind_best),
        });
        let ms = |value: Option<f64>| value.map_or_else(|| "-".into(), |ms| format!("{ms:.1}"));
        cells.push(ms(row.latency_ms.map(|latency| latency.p50)));
        cells.push(ms(row.latency_ms.map(|latency| latency.p95)));
        cells.push(format!("{:.1}", row.index_bytes as f64 / 1e6));
        cells.push(if row.recommended { "← take this" } else { "" }.to_owned());
        rows.push(cells);
    }
    let sets: Vec<String> = found
        .datasets
        .iter()
        .zip(&found.questions)
        .map(|(name, questions)| format!("{name} ({questions} questions)"))
        .collect();
    let mut text = format!("{}\n\n{}", sets.join(", "), output::table(&rows));
    if let Some(row) = found.recommended() {
        text.push_str(&format!(
            "\nTake {}: of those that the best one cannot be told from (95 %), the best of the \
             fastest.\n",
            row.name
        ));
    }
    if let Some(bytes) = found.peak_memory_bytes {
        text.push_str(&format!(
            "At most {:.0} MB of memory, models and everything remembered included.\n",
            bytes as f64 / 1e6
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::eval::variant::{Ablation as HowFar, ablation};
    use cairn_settings::config::Config;

    #[test]
    fn variants_with_one_index_are_one_group() {
        let variants = ablation(&Config::default(), HowFar::Index).unwrap();
        let found = groups(&variants);
        assert!(found.len() > 1);
        let first = &found[0];
        assert!(
            first
                .iter()
                .all(|&at| variants[at].config.chunking == variants[0].config.chunking)
        );
        assert_eq!(found.iter().map(Vec::len).sum::<usize>(), variants.len());
    }
}
