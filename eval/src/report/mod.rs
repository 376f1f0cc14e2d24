//! What an evaluation writes down: one JSON document that tables, pages,
//! comparisons and gates are made from. Everything that may differ between two
//! runs of the same thing is under `cost` and `latency_ms`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answers::AnswerReport;
use crate::{
    AnswerGate, Dataset, Error, Evaluation, Figure, Gate, Interval, Latency, Measure, Paired,
    Result,
};
use crate::{paired_test, statistics};

/// Depths at which recall is drawn.
const DEPTHS: &[usize] = &[1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000];

/// Documents of each ranking that are written down.
const FOUND: usize = 10;

/// What was measured on one dataset, and with which settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The dataset's name.
    pub dataset: String,
    /// The split, such as `test`.
    pub split: String,
    /// Questions that were asked.
    pub questions: usize,
    /// Documents of the corpus.
    pub documents: usize,
    /// Chunks of its index.
    pub chunks: usize,
    /// The index that was searched.
    pub collection: String,
    /// The embedder's identity.
    pub embedder: Option<String>,
    /// The re-ranker's identity.
    pub reranker: Option<String>,
    /// Whether the re-ranker kept its time budget.
    pub budget: bool,
    /// Settings of the index.
    pub chunking: Value,
    /// Settings of the search.
    pub retrieval: Value,
    /// What was compared, in the order in which it ran.
    pub modes: Vec<ModeReport>,
    /// Answers, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswerReport>,
    /// Conditions, and whether they held.
    pub gates: Vec<GateReport>,
    /// The questions, by id.
    pub asked: BTreeMap<String, Asked>,
    /// Beginnings of the documents that a reader of the report will look for.
    pub excerpts: BTreeMap<String, Excerpt>,
    /// Time and memory.
    pub cost: Cost,
    /// What is wrong with the dataset and left something out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A question and what is relevant to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The question.
    pub text: String,
    /// Grades above 0, by document.
    pub relevant: BTreeMap<String, i64>,
}

/// The beginning of a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Excerpt {
    /// Its title.
    pub title: String,
    /// Its first words.
    pub text: String,
}

/// What a run cost alongside its searches.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// Chunks that this run embedded.
    pub embedded_chunks: usize,
    /// Seconds that indexing took; 0 when it was done before.
    pub indexing_seconds: f64,
    /// Bytes of words and text on disk.
    pub words_bytes: u64,
    /// Bytes of vectors on disk.
    pub vectors_bytes: u64,
    /// Most memory that the process held, where the system says so.
    pub peak_memory_bytes: Option<u64>,
}

/// What one way to search did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModeReport {
    /// Its name.
    pub mode: String,
    /// Means by measure.
    pub metrics: BTreeMap<String, f64>,
    /// 95 % intervals of the means.
    pub confidence_95: BTreeMap<String, [f64; 2]>,
    /// Mean recall at growing depths.
    pub recall_by_depth: Vec<(usize, f64)>,
    /// Percentiles by stage.
    pub latency_ms: BTreeMap<String, Latency>,
    /// How many questions were answered with less than everything, by reason.
    pub degraded: BTreeMap<String, usize>,
    /// Against the mode before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Comparison>,
    /// Results by question id.
    pub per_query: BTreeMap<String, QueryReport>,
}

/// One mode against the one before it, question by question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The one before.
    pub with: String,
    /// By measure.
    #[serde(flatten)]
    pub by_measure: BTreeMap<String, Paired>,
}

/// What one mode did with one question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueryReport {
    /// Values by measure.
    pub values: BTreeMap<String, f64>,
    /// The first documents, best first.
    pub found: Vec<String>,
    /// Rank of every relevant document, from 1; `None` if it was not found.
    pub ranks: BTreeMap<String, Option<usize>>,
}

/// A condition and its outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GateReport {
    /// As it was written, or what it compares with.
    pub condition: String,
    /// The mode that it looked at.
    pub mode: String,
    /// What that mode has.
    pub value: f64,
    /// Whether it is as it should be.
    pub passed: bool,
}

impl QueryReport {
    /// The rank of the first relevant document.
    pub fn first_rank(&self) -> Option<usize> {
        self.ranks.values().flatten().min().copied()
    }
}

impl Report {
    /// Reads what `cairn eval --json` printed.
    ///
    /// # Errors
    ///
    /// Names the file, and where in it something is not as it should be.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
        let report: Self = serde_json::from_str(&text).map_err(|error| Error::Line {
            path: path.to_owned(),
            line: error.line(),
            reason: format!("not a report of `cairn eval --json`: {error}"),
        })?;
        if report.modes.is_empty() {
            return Err(Error::dataset(
                path,
                "not a report of `cairn eval --json`: it has no modes",
            ));
        }
        Ok(report)
    }

    /// Notes the questions of `dataset` and what is relevant to them.
    pub fn ask(&mut self, dataset: &Dataset) {
        self.dataset.clone_from(&dataset.name);
        self.split.clone_from(&dataset.split);
        self.questions = dataset.questions.len();
        self.notes.clone_from(&dataset.notes);
        for question in &dataset.questions {
            let judged = dataset.qrels.questions.get(&question.id);
            let relevant = judged
                .into_iter()
                .flatten()
                .filter(|(_, grade)| **grade > 0);
            let asked = Asked {
                text: question.text.clone(),
                relevant: relevant.map(|(id, grade)| (id.clone(), *grade)).collect(),
            };
            self.asked.insert(question.id.clone(), asked);
        }
    }

    /// Adds what `mode` did, and compares it with the mode before it.
    pub fn add(&mut self, mode: &str, evaluation: &Evaluation) {
        let mut report = ModeReport {
            mode: mode.to_owned(),
            latency_ms: evaluation.latency_ms.clone(),
            degraded: evaluation.degraded.clone(),
            recall_by_depth: recall_by_depth(&self.asked, evaluation),
            ..ModeReport::default()
        };
        for (at, (id, asked)) in self.asked.iter().enumerate() {
            let ranking = evaluation.run.ids(id);
            let rank = |wanted: &String| ranking.iter().position(|found| found == wanted);
            let query = QueryReport {
                values: values(&evaluation.figures, at),
                found: ranking
                    .iter()
                    .take(FOUND)
                    .map(|&id| id.to_owned())
                    .collect(),
                ranks: asked
                    .relevant
                    .keys()
                    .map(|id| (id.clone(), rank(id).map(|at| at + 1)))
                    .collect(),
            };
            report.per_query.insert(id.clone(), query);
        }
        for figure in &evaluation.figures {
            let name = figure.measure.to_string();
            let Interval { low, high } = figure.interval;
            report.metrics.insert(name.clone(), rounded(figure.mean));
            report
                .confidence_95
                .insert(name, [rounded(low), rounded(high)]);
        }
        report.compared = self.modes.last().map(|before| Comparison {
            with: before.mode.clone(),
            by_measure: compare_modes(before, &report),
        });
        self.modes.push(report);
    }

    /// Judges `mode` by the gates that look at it.
    pub fn judge(&mut self, mode: &str, evaluation: &Evaluation, gates: &[Gate]) {
        let concerned = |gate: &&Gate| gate.mode.as_ref().is_none_or(|name| name == mode);
        for gate in gates.iter().filter(concerned) {
            let value = evaluation
                .figure(gate.measure)
                .map_or(f64::NAN, |figure| figure.mean);
            self.gates.push(GateReport {
                condition: format!("fail if {gate}"),
                mode: mode.to_owned(),
                value: rounded(value),
                passed: !gate.fails(value),
            });
        }
    }

    /// Judges the answers by `gates`. A figure that is not there, such as refusals
    /// where everything can be answered, fails.
    pub fn judge_answers(&mut self, gates: &[AnswerGate]) {
        let metrics = self.answers.as_ref().map(|answers| &answers.metrics);
        let judged: Vec<GateReport> = gates
            .iter()
            .map(|gate| {
                let metric = metrics.and_then(|metrics| metrics.get(&gate.metric));
                let value = metric.map_or(f64::NAN, |metric| metric.value);
                let missing = if metric.is_none() {
                    ", which was not measured"
                } else {
                    ""
                };
                GateReport {
                    condition: format!("fail if {gate}{missing}"),
                    mode: "answers".into(),
                    // JSON has no word for what is not a number.
                    value: metric.map_or(0.0, |metric| metric.value),
                    passed: !gate.fails(value),
                }
            })
            .collect();
        self.gates.extend(judged);
    }

    /// Judges every mode that `baseline` has too: none of `measures` may be
    /// lower there by more than `tolerance`.
    ///
    /// # Errors
    ///
    /// When the two were not measured on the same questions, or share no mode:
    /// a gate that looks at nothing must not pass.
    pub fn judge_by(
        &mut self,
        baseline: &Self,
        measures: &[Measure],
        tolerance: f64,
    ) -> Result<()> {
        if !baseline.asked.keys().eq(self.asked.keys()) {
            return Err(Error::Usage(format!(
                "the baseline was measured on {} questions of {} ({}), this run asks {} of {} ({}): \
                 make it anew with the same flags and --json",
                baseline.asked.len(),
                baseline.dataset,
                baseline.split,
                self.asked.len(),
                self.dataset,
                self.split
            )));
        }
        let mut judged = Vec::new();
        for mode in &self.modes {
            let Some(before) = baseline.mode(&mode.mode) else {
                continue;
            };
            for measure in measures {
                let name = measure.to_string();
                let (Some(old), Some(new)) = (before.metrics.get(&name), mode.metrics.get(&name))
                else {
                    continue;
                };
                judged.push(GateReport {
                    condition: format!("{name} at least {old:.4} - {tolerance}"),
                    mode: mode.mode.clone(),
                    value: *new,
                    // A millionth is lost where figures are rounded.
                    passed: *new >= old - tolerance - 1e-6,
                });
            }
        }
        if judged.is_empty() {
            return Err(Error::Usage(
                "the baseline and this run share no mode and measure: nothing can be judged".into(),
            ));
        }
        self.gates.extend(judged);
        Ok(())
    }

    /// The mode called `name`.
    pub fn mode(&self, name: &str) -> Option<&ModeReport> {
        self.modes.iter().find(|mode| mode.mode == name)
    }

    /// Whether no gate failed.
    pub fn passed(&self) -> bool {
        self.gates.iter().all(|gate| gate.passed)
    }

    /// The questions that `mode` did worst, by `measure`, then by id.
    pub fn worst<'a>(&'a self, mode: &'a ModeReport, measure: &str, count: usize) -> Vec<&'a str> {
        let value = |id: &str| {
            let query = mode.per_query.get(id);
            query.and_then(|query| query.values.get(measure).copied())
        };
        let mut ids: Vec<&str> = self.asked.keys().map(String::as_str).collect();
        ids.retain(|id| value(id).is_some_and(|value| value < 1.0));
        ids.sort_by(|a, b| {
            let order = value(a).partial_cmp(&value(b));
            order.unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(b))
        });
        ids.truncate(count);
        ids
    }
}

/// The paired test of every measure that both have, over the questions of the
/// first; both must have asked the same ones.
fn compare_modes(before: &ModeReport, after: &ModeReport) -> BTreeMap<String, Paired> {
    let pair = |measure: &String| {
        let value = |mode: &ModeReport, id: &String| {
            let query = mode.per_query.get(id)?;
            query.values.get(measure).copied()
        };
        let ids: Vec<&String> = before.per_query.keys().collect();
        let column = |mode: &ModeReport| -> Option<Vec<f64>> {
            ids.iter().map(|id| value(mode, id)).collect()
        };
        Some((
            measure.clone(),
            paired_test(&column(before)?, &column(after)?),
        ))
    };
    after.metrics.keys().filter_map(pair).collect()
}

fn values(figures: &[Figure], at: usize) -> BTreeMap<String, f64> {
    let value =
        |figure: &Figure| Some((figure.measure.to_string(), rounded(*figure.values.get(at)?)));
    figures.iter().filter_map(value).collect()
}

fn recall_by_depth(asked: &BTreeMap<String, Asked>, evaluation: &Evaluation) -> Vec<(usize, f64)> {
    let deepest = evaluation.run.rankings.values().map(Vec::len).max();
    let deepest = deepest.unwrap_or(0);
    let depths = DEPTHS.iter().filter(|&&depth| depth <= deepest.max(1));
    let at = |&depth: &usize| {
        let of = |(id, asked): (&String, &Asked)| {
            let ranking = evaluation.run.ids(id);
            let top = &ranking[..ranking.len().min(depth)];
            let held = asked
                .relevant
                .keys()
                .filter(|id| top.contains(&id.as_str()));
            held.count() as f64 / asked.relevant.len().max(1) as f64
        };
        let sum: f64 = asked.iter().map(of).sum();
        (depth, rounded(sum / asked.len().max(1) as f64))
    };
    depths.map(at).collect()
}

/// Six digits: what `trec_eval`'s users compare, without noise behind it.
pub fn rounded(value: f64) -> f64 {
    statistics::rounded(value)
}

#[cfg(test)]
mod tests;
