//! What an evaluation prints: a table for people, one JSON document for CI.

use std::collections::BTreeMap;

use cairn_eval::{
    Dataset, Evaluation, Family, Figure, Gate, Latency, Measure, Paired, paired_test,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::corpus::Collection;
use super::retriever::EvalMode;
use crate::cli::context::Context;
use crate::cli::output;
use crate::config::Retrieval;
use crate::retrieve::Engine;

/// What was measured, and with which settings.
#[derive(Serialize)]
pub(super) struct Report {
    dataset: String,
    split: String,
    questions: usize,
    documents: usize,
    chunks: usize,
    index: Value,
    #[serde(flatten)]
    setting: Setting,
    modes: Vec<ModeReport>,
    gates: Vec<GateReport>,
    /// Values by question of the last mode, to compare the next one with.
    #[serde(skip)]
    last: Option<(&'static str, Vec<Figure>)>,
}

/// Models and settings that the figures depend on.
#[derive(Serialize)]
pub(super) struct Setting {
    embedder: Option<String>,
    reranker: Option<String>,
    budget: bool,
    chunking: crate::config::Chunking,
    retrieval: Retrieval,
}

impl Setting {
    pub(super) fn of(context: &Context, engine: &Engine, budget: bool) -> Self {
        Self {
            embedder: engine.embedder().map(|model| model.id().to_owned()),
            reranker: engine.reranker().map(|model| model.id().to_owned()),
            budget,
            chunking: context.config.chunking.clone(),
            retrieval: context.config.retrieval.clone(),
        }
    }
}

#[derive(Serialize)]
struct ModeReport {
    mode: &'static str,
    metrics: Map<String, Value>,
    confidence_95: Map<String, Value>,
    latency_ms: BTreeMap<String, Latency>,
    /// How many questions were answered with less than everything, by reason.
    degraded: BTreeMap<String, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Comparison>,
}

/// This mode against the one before it, question by question.
#[derive(Serialize)]
struct Comparison {
    with: &'static str,
    #[serde(flatten)]
    by_measure: BTreeMap<String, Paired>,
}

#[derive(Serialize)]
struct GateReport {
    condition: String,
    mode: &'static str,
    value: f64,
    passed: bool,
}

impl Report {
    pub(super) fn new(dataset: &Dataset, collection: &Collection, setting: Setting) -> Self {
        Self {
            dataset: dataset.name.clone(),
            split: dataset.split.clone(),
            questions: dataset.questions.len(),
            documents: collection.documents,
            chunks: collection.chunks,
            index: json!({
                "collection": collection.name,
                "embedded": collection.embedded,
                "seconds": rounded(collection.seconds),
            }),
            setting,
            modes: Vec::new(),
            gates: Vec::new(),
            last: None,
        }
    }

    /// Adds what `mode` did, and judges it by the gates that look at it.
    pub(super) fn add(&mut self, mode: EvalMode, evaluation: &Evaluation, gates: &[Gate]) {
        let mode = mode.name();
        let mut metrics = Map::new();
        let mut confidence = Map::new();
        for figure in &evaluation.figures {
            let name = figure.measure.to_string();
            let (low, high) = (figure.interval.low, figure.interval.high);
            metrics.insert(name.clone(), json!(rounded(figure.mean)));
            confidence.insert(name, json!([rounded(low), rounded(high)]));
        }
        let compared = self.last.take().map(|(with, last)| Comparison {
            with,
            by_measure: last
                .iter()
                .zip(&evaluation.figures)
                .map(|(old, new)| {
                    (
                        new.measure.to_string(),
                        paired_test(&old.values, &new.values),
                    )
                })
                .collect(),
        });
        self.modes.push(ModeReport {
            mode,
            metrics,
            confidence_95: confidence,
            latency_ms: evaluation.latency_ms.clone(),
            degraded: evaluation.degraded.clone(),
            compared,
        });
        for gate in gates
            .iter()
            .filter(|gate| gate.mode.as_ref().is_none_or(|name| name == mode))
        {
            let value = evaluation
                .figure(gate.measure)
                .map_or(f64::NAN, |figure| figure.mean);
            self.gates.push(GateReport {
                condition: gate.to_string(),
                mode,
                value: rounded(value),
                passed: !gate.fails(value),
            });
        }
        self.last = Some((mode, evaluation.figures.clone()));
    }

    /// Whether no gate failed.
    pub(super) fn passed(&self) -> bool {
        self.gates.iter().all(|gate| gate.passed)
    }

    /// Quality, latencies and gates for a terminal. The first cut-off heads the
    /// table.
    pub(super) fn table(&self, cutoffs: &[usize]) -> String {
        let mut text = format!(
            "{} ({}): {} questions, {} documents, {} chunks, {}\n\n",
            self.dataset,
            self.split,
            self.questions,
            self.documents,
            self.chunks,
            self.setting.embedder.as_deref().unwrap_or("no embedder"),
        );
        text.push_str(&output::table(&self.quality(cutoffs)));
        text.push('\n');
        text.push_str(&output::table(&self.latencies()));
        for mode in &self.modes {
            for (reason, count) in &mode.degraded {
                text.push_str(&format!("\n{}: {count} questions: {reason}", mode.mode));
            }
        }
        for gate in &self.gates {
            let verdict = if gate.passed { "passed" } else { "FAILED" };
            let (condition, mode, value) = (&gate.condition, gate.mode, gate.value);
            text.push_str(&format!(
                "\n{verdict}: fail if {condition}; {mode} has {value:.4}"
            ));
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }

    fn quality(&self, cutoffs: &[usize]) -> Vec<Vec<String>> {
        let k = cutoffs.first().copied().unwrap_or(10);
        let first = Measure::at(Family::Ndcg, k);
        let mut columns = vec![
            Measure::at(Family::Mrr, k),
            Measure::at(Family::Precision, k),
        ];
        columns.extend(cutoffs.iter().map(|&k| Measure::at(Family::Recall, k)));
        let mut head = vec!["mode".to_owned(), first.to_string(), "95 %".to_owned()];
        head.extend(columns.iter().map(Measure::to_string));
        let mut rows = vec![head];
        for mode in &self.modes {
            let number = |measure: &Measure| {
                let value = mode
                    .metrics
                    .get(&measure.to_string())
                    .and_then(Value::as_f64);
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
            };
            let bound = |at: usize| {
                let interval = mode.confidence_95.get(&first.to_string());
                interval
                    .and_then(|pair| pair[at].as_f64())
                    .unwrap_or_default()
            };
            let interval = format!("{:.3}–{:.3}", bound(0), bound(1));
            let mut row = vec![mode.mode.to_owned(), number(&first), interval];
            row.extend(columns.iter().map(number));
            rows.push(row);
        }
        rows
    }

    /// `p50 / p95` by stage.
    fn latencies(&self) -> Vec<Vec<String>> {
        let stages = ["embed", "lexical", "dense", "fuse", "rerank", "total"];
        let mut head = vec!["ms (p50 / p95)".to_owned()];
        head.extend(stages.map(str::to_owned));
        let mut rows = vec![head];
        for mode in &self.modes {
            let cell = |stage: &str| match mode.latency_ms.get(stage) {
                Some(latency) => format!("{:.1} / {:.1}", latency.p50, latency.p95),
                None => "-".to_owned(),
            };
            let mut row = vec![mode.mode.to_owned()];
            row.extend(stages.map(cell));
            rows.push(row);
        }
        rows
    }
}

/// Six digits: what `trec_eval`'s users compare, without noise behind it.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
