//! `evaluate`: how well a collection answers questions of one's own.

use std::path::PathBuf;

use cairn_eval::{Error, Evaluation, Family, Measure, custom, evaluate};
use cairn_jobs::Progress;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::folder::permitted;
use super::{Checks, Kind, Plan, input, read};
use crate::ingest::judging::library::Shelf;
use crate::ingest::judging::retriever::{self, Documents, MAX_DEPTH};
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal};

/// The cut-off of a job that does not say one.
const CUTOFF: usize = 10;
/// Questions of a job that does not say how many, and most of one.
const QUESTIONS: usize = 1_000;
const MAX_QUESTIONS: usize = 100_000;
/// Most bytes of a file of questions.
const MAX_BYTES: u64 = 64 << 20;

/// Asks questions and judges what is found.
#[derive(Debug)]
pub(super) struct Evaluate;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    path: PathBuf,
    #[serde(default)]
    modes: Option<Vec<String>>,
    #[serde(default)]
    k: Option<usize>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    path: PathBuf,
    modes: Vec<String>,
    k: usize,
    limit: usize,
}

impl Kind for Evaluate {
    fn name(&self) -> &'static str {
        "evaluate"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let fields: Fields = read(fields)?;
        let path = permitted(&fields.path, checks)?;
        if !path.is_file() {
            let message = "`path` is a file of questions, one JSON object a line";
            return Err(Refusal::invalid("path", message));
        }
        let modes = fields.modes.unwrap_or_else(|| vec!["hybrid+rerank".into()]);
        let known = retriever::modes(&modes).map_err(|why| Refusal::invalid("modes", why))?;
        let within = |field: &str, value: usize, max: usize| match (1..=max).contains(&value) {
            true => Ok(value),
            false => {
                let message = format!("`{field}` must lie in 1..={max}");
                Err(Refusal::invalid(field, message))
            }
        };
        if known.is_empty() {
            return Err(Refusal::invalid("modes", "name at least one way to search"));
        }
        let input = Input {
            path,
            modes: known.iter().map(|mode| mode.name().to_owned()).collect(),
            k: within("k", fields.k.unwrap_or(CUTOFF), MAX_DEPTH)?,
            limit: within("limit", fields.limit.unwrap_or(QUESTIONS), MAX_QUESTIONS)?,
        };
        Ok(Plan {
            unique_key: Some(format!("evaluate:{}:{}", checks.collection, json!(input))),
            input: json!(input),
            ordering_key: None,
            source: None,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let input: Input = input(payload)?;
        // Judgements name documents, whoever may read them.
        if payload.held.is_some() {
            return Err(Stop::permanent(
                "a collection is evaluated by callers who may read every document",
            ));
        }
        let modes = retriever::modes(&input.modes).map_err(Stop::permanent)?;
        let size = std::fs::metadata(&input.path).map_or(0, |meta| meta.len());
        if size > MAX_BYTES {
            let path = input.path.display();
            return Err(Stop::permanent(format!(
                "{path} has more than {MAX_BYTES} bytes"
            )));
        }
        task.stage("scan");
        let snapshot = task
            .tools()
            .engine
            .collection(&payload.collection)?
            .snapshot();
        let shelf = Shelf::new(&snapshot)?;
        // A wrong line stays wrong.
        let dataset = custom::read(&input.path, &shelf);
        let mut dataset = dataset.map_err(|error| Stop::permanent(error.to_string()))?;
        dataset.limit(input.limit);
        let families = [Family::Ndcg, Family::Recall, Family::Mrr, Family::Hit];
        let measures = families.map(|family| Measure::at(family, input.k));
        let total = (dataset.questions.len() * modes.len()) as u64;
        let mut done = 0;
        let mut shown = Map::new();
        task.stage("search");
        for mode in modes {
            let documents = Documents::new(
                &task.tools().engine,
                &payload.collection,
                mode,
                task.tools().candidates,
                task.cancel(),
            );
            let evaluation = evaluate(&documents, &dataset, &measures, input.k, || {
                done += 1;
                task.progress(Progress {
                    done,
                    total: Some(total),
                    ..Progress::default()
                });
            });
            let evaluation = evaluation.map_err(|error| ended(&error, task))?;
            shown.insert(mode.name().to_owned(), figures(&evaluation));
        }
        Ok(json!({
            "generation": snapshot.generation(),
            "questions": dataset.questions.len(),
            "modes": shown,
        }))
    }
}

/// Why an evaluation ended early.
fn ended(error: &Error, task: &Task) -> Stop {
    match task.cancel().is_cancelled() {
        true => Stop::Cancelled,
        false => Stop::Failed(cairn_jobs::Failure::of(error, false)),
    }
}

fn figures(evaluation: &Evaluation) -> Value {
    let figures = evaluation.figures.iter().map(|figure| {
        let value = json!({
            "mean": figure.mean,
            "low": figure.interval.low,
            "high": figure.interval.high,
        });
        (figure.measure.to_string(), value)
    });
    let figures: Map<String, Value> = figures.collect();
    json!({ "measures": figures, "latency_ms": evaluation.latency_ms, "degraded": evaluation.degraded })
}
