//! `cairn eval --dataset DIR`: every question in every mode.

use std::path::{Path, PathBuf};

use cairn_eval::report::Report;
use cairn_eval::{Dataset, Family, Gate, Measure, evaluate};
use cairn_models::Cancel;

use super::retriever::{self, Documents, EvalMode};
use super::subject::{self, Origin, Subject};
use super::table::table;
use super::ticker::Ticker;
use crate::cli::context::Context;
use crate::cli::failure::BadUsage;
use crate::cli::loading::{self, Wanted};
use crate::cli::{Outcome, interrupt, output};
use crate::config::Config;

/// What to evaluate, and when to fail.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A dataset is a folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv (plain
or .gz), a folder of documents with questions.jsonl, or beir:NAME, which is
fetched. Its index is kept in the data folder: a second run embeds nothing.
`cairn eval init` drafts a questions.jsonl for what is indexed.

Examples:
  cairn eval --dataset beir:scifact
  cairn eval --dataset scifact --modes hybrid --fail-if 'ndcg@10<0.70' --json
  cairn eval --questions questions.jsonl --collection main
  cairn eval --dataset scifact --baseline last.json --tolerance 0.005
  cairn eval compare last.json this.json --fail-if worse")]
pub(super) struct Args {
    /// Folder of the dataset, or beir:NAME
    #[arg(long, value_name = "DIR", required_unless_present = "questions")]
    pub(super) dataset: Option<String>,
    /// Questions of your own about the collection that is indexed
    #[arg(long, value_name = "FILE", conflicts_with = "dataset")]
    pub(super) questions: Option<PathBuf>,
    /// Judgements to use: qrels/SPLIT.tsv
    #[arg(long, default_value = "test")]
    pub(super) split: String,
    /// Ways to search: bm25, dense, hybrid, each with +rerank, or all
    #[arg(long, value_delimiter = ',', default_value = "all")]
    pub(super) modes: Vec<String>,
    /// Ask only the first N questions
    #[arg(long, value_name = "N", conflicts_with = "sample")]
    pub(super) limit: Option<usize>,
    /// Ask only N questions that a fixed seed draws
    #[arg(long, value_name = "N")]
    pub(super) sample: Option<usize>,
    /// Cut-offs of the measures; the first one heads the table
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "10,100",
        value_name = "K,K"
    )]
    pub(super) k: Vec<usize>,
    /// Write TREC runs; with several modes, one file each: FILE.MODE
    #[arg(long, value_name = "FILE")]
    run_out: Option<PathBuf>,
    /// Exit with 1 if this holds, e.g. 'ndcg@10<0.70' or 'hybrid:recall@100<0.9'
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<Gate>,
    /// Exit with 1 if nDCG or recall is lower than in this report of --json
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// How much lower it may be
    #[arg(long, value_name = "X", default_value_t = 0.005, requires = "baseline")]
    tolerance: f64,
    /// Keep the re-ranker's time budget; without it every candidate is read, so
    /// that two runs print the same figures
    #[arg(long)]
    pub(super) budget: bool,
}

/// Indexes what is new, asks every question in every mode, and prints.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let plan = Plan::of(args)?;
    let baseline = args.baseline.as_deref().map(Report::read).transpose()?;
    let cancel = Cancel::default();
    let token = cancel.clone();
    interrupt::on_interrupt(move || token.cancel())?;
    let origin = origin(context, args)?;
    let dataset = subject::read(&origin, &args.split)?;
    let wanted = Wanted {
        embedder: true,
        reranker: plan.modes.iter().any(|mode| mode.rerank),
    };
    let models = loading::engine(context, wanted)?;
    let config = config(context, args);
    let mut subject = subject::open(context, &config, &origin, dataset, &models, &cancel)?;
    restrict(&mut subject.dataset, args);
    let mut report = measure(context, &config, args, &plan, &subject, &cancel)?;
    if let Some(baseline) = &baseline {
        let measures = head_measures(args);
        report.judge_by(baseline, &measures, args.tolerance)?;
    }
    if context.json {
        output::json(&report)?;
    } else {
        output::piece(&table(&report, &args.k))?;
    }
    Ok(match report.passed() {
        true => Outcome::Done,
        false => Outcome::Failed,
    })
}

/// What the flags ask for, checked before anything is loaded.
pub(super) struct Plan {
    pub(super) modes: Vec<EvalMode>,
    pub(super) measures: Vec<Measure>,
    /// Documents that the deepest measure looks at.
    pub(super) depth: usize,
}

impl Plan {
    pub(super) fn of(args: &Args) -> anyhow::Result<Self> {
        let modes = retriever::modes(&args.modes).map_err(BadUsage::new)?;
        let (measures, depth) = measures(args).map_err(BadUsage::new)?;
        check_gates(&args.fail_if, &modes)?;
        Ok(Self {
            modes,
            measures,
            depth,
        })
    }

    /// The measures that the questions of `dataset` can be judged by.
    fn measures_for(&self, dataset: &Dataset) -> Vec<Measure> {
        let has_spans = dataset.questions.iter().any(|q| !q.spans().is_empty());
        let fits = |measure: &&Measure| has_spans || !measure.is_of_spans();
        self.measures.iter().filter(fits).copied().collect()
    }
}

pub(super) fn origin(context: &Context, args: &Args) -> anyhow::Result<Origin> {
    match (&args.dataset, &args.questions) {
        (Some(name), _) => Origin::of_dataset(context, name),
        (None, Some(path)) => Ok(Origin::OwnQuestions(path.clone())),
        (None, None) => Err(BadUsage::new("name a dataset or questions of your own").into()),
    }
}

/// Only the questions that `--limit` or `--sample` leaves.
pub(super) fn restrict(dataset: &mut Dataset, args: &Args) {
    if let Some(limit) = args.limit {
        dataset.limit(limit.max(1));
    }
    if let Some(sample) = args.sample {
        dataset.sample(sample.max(1));
    }
}

/// The configuration of the engine that is measured.
pub(super) fn config(context: &Context, args: &Args) -> Config {
    let mut config = context.config.clone();
    if !args.budget {
        config.retrieval.rerank.budget_ms = 0;
    }
    config
}

/// Runs the plan on an open subject.
pub(super) fn measure(
    context: &Context,
    config: &Config,
    args: &Args,
    plan: &Plan,
    subject: &Subject,
    cancel: &Cancel,
) -> anyhow::Result<Report> {
    anyhow::ensure!(
        !subject.dataset.questions.is_empty(),
        "{} has no question that its documents answer: there is no ranking to judge",
        subject.dataset.name
    );
    let mut report = describe(context, args, subject);
    report.ask(&subject.dataset);
    let measures = plan.measures_for(&subject.dataset);
    for &mode in &plan.modes {
        let documents = Documents::new(
            &subject.engine,
            &subject.collection.name,
            mode,
            config.retrieval.candidates,
            cancel,
        );
        let mut ticker = Ticker::new(context, mode.name(), subject.dataset.questions.len());
        let evaluation = evaluate(&documents, &subject.dataset, &measures, plan.depth, || {
            ticker.add(1)
        })?;
        if let Some(path) = &args.run_out {
            let path = run_path(path, mode, plan.modes.len());
            evaluation
                .run
                .write(&path, &format!("cairn-{}", mode.name()))?;
        }
        report.add(mode.name(), &evaluation);
        report.judge(mode.name(), &evaluation, &args.fail_if);
    }
    report.cost.peak_memory_bytes = super::memory::peak_bytes();
    Ok(report)
}

/// A report that has no modes yet.
fn describe(context: &Context, args: &Args, subject: &Subject) -> Report {
    let collection = &subject.collection;
    let value = |settings: Result<serde_json::Value, _>| settings.unwrap_or_default();
    let mut report = Report {
        documents: collection.documents,
        chunks: collection.chunks,
        collection: collection.name.clone(),
        embedder: subject.engine.embedder().map(|model| model.id().to_owned()),
        reranker: subject.engine.reranker().map(|model| model.id().to_owned()),
        budget: args.budget,
        chunking: value(serde_json::to_value(&context.config.chunking)),
        retrieval: value(serde_json::to_value(&context.config.retrieval)),
        ..Report::default()
    };
    report.cost.embedded_chunks = collection.embedded;
    report.cost.indexing_seconds = (collection.seconds * 1e3).round() / 1e3;
    report.cost.words_bytes = collection.words_bytes;
    report.cost.vectors_bytes = collection.vectors_bytes;
    report
}

/// What a baseline is judged by: nDCG at the first cut-off, recall at each.
fn head_measures(args: &Args) -> Vec<Measure> {
    let recalls = args.k.iter().map(|&k| Measure::at(Family::Recall, k));
    let first = args.k.first().copied().unwrap_or(10);
    std::iter::once(Measure::at(Family::Ndcg, first))
        .chain(recalls)
        .collect()
}

/// Every measure at every cut-off and those of the gates, and how many
/// documents they look at.
fn measures(args: &Args) -> Result<(Vec<Measure>, usize), String> {
    if args.k.is_empty() || args.k.contains(&0) {
        return Err("--k takes cut-offs of at least 1, like 10,100".into());
    }
    let families = [
        Family::Ndcg,
        Family::Recall,
        Family::Precision,
        Family::Mrr,
        Family::Map,
        Family::Hit,
    ];
    let mut measures = Vec::new();
    for family in families {
        measures.extend(args.k.iter().map(|&k| Measure::at(family, k)));
    }
    measures.push(Measure::whole(Family::RPrecision));
    for family in [
        Family::TokenRecall,
        Family::TokenPrecision,
        Family::TokenIou,
    ] {
        measures.extend(SOURCES.map(|k| Measure::at(family, k)));
    }
    measures.extend(args.fail_if.iter().map(|gate| gate.measure));
    let mut seen = std::collections::HashSet::new();
    measures.retain(|measure| seen.insert(*measure));
    let depth = measures
        .iter()
        .filter_map(|measure| measure.cutoff)
        .max()
        .unwrap_or(1);
    if depth > retriever::MAX_DEPTH {
        return Err(format!("a cut-off may be at most {}", retriever::MAX_DEPTH));
    }
    Ok((measures, depth))
}

/// Passages whose text is compared with the relevant spans: what Chroma's
/// evaluation retrieves, and what an answer reads by default.
const SOURCES: [usize; 2] = [5, 8];

fn check_gates(gates: &[Gate], modes: &[EvalMode]) -> anyhow::Result<()> {
    for gate in gates {
        let named = gate.mode.as_ref();
        if let Some(name) = named.filter(|name| modes.iter().all(|mode| mode.name() != **name)) {
            let message = format!("--fail-if '{gate}' looks at {name}, which --modes does not run");
            return Err(BadUsage::new(message).into());
        }
    }
    Ok(())
}

/// FILE for one mode, FILE.MODE for each of several.
fn run_path(path: &Path, mode: EvalMode, modes: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if modes > 1 {
        name.push(".");
        name.push(mode.name());
    }
    name.into()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
