//! `cairn eval`: how good the retrieval is on a dataset in BEIR's layout, as
//! the product itself indexes and searches it.

mod corpus;
mod report;
mod retriever;
mod ticker;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cairn_eval::{Dataset, Family, Gate, Measure, evaluate};
use cairn_models::Cancel;

use super::context::Context;
use super::failure::BadUsage;
use super::loading::{self, Wanted};
use super::{Outcome, interrupt, output};
use crate::retrieve::Engine;
use report::{Report, Setting};
use retriever::{Documents, EvalMode};
use ticker::Ticker;

/// What to evaluate, and when to fail.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A dataset is a folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv, plain or .gz.
Its index is kept in the data folder: a second run embeds nothing.

Examples:
  cairn eval --dataset scifact
  cairn eval --dataset scifact --modes hybrid --fail-if 'ndcg@10<0.70' --json")]
pub(super) struct Args {
    /// Folder of the dataset
    #[arg(long, value_name = "DIR")]
    dataset: PathBuf,
    /// Judgements to use: qrels/SPLIT.tsv
    #[arg(long, default_value = "test")]
    split: String,
    /// Ways to search: bm25, dense, hybrid, each with +rerank, or all
    #[arg(long, value_delimiter = ',', default_value = "all")]
    modes: Vec<String>,
    /// Ask only the first N questions
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Cut-offs of the measures; the first one heads the table
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "10,100",
        value_name = "K,K"
    )]
    k: Vec<usize>,
    /// Write TREC runs; with several modes, one file each: FILE.MODE
    #[arg(long, value_name = "FILE")]
    run_out: Option<PathBuf>,
    /// Exit with 1 if this holds, e.g. 'ndcg@10<0.70' or 'hybrid:recall@100<0.9'
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<Gate>,
    /// Keep the re-ranker's time budget; without it every candidate is read, so
    /// that two runs print the same figures
    #[arg(long)]
    budget: bool,
}

/// Indexes what is new, asks every question in every mode, and prints.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let plan = Plan::of(args)?;
    let cancel = Cancel::default();
    let token = cancel.clone();
    interrupt::on_interrupt(move || token.cancel())?;
    let dataset = dataset(args)?;
    let wanted = Wanted {
        embedder: true,
        reranker: plan.modes.iter().any(|mode| mode.rerank),
    };
    let models = loading::engine(context, wanted)?;
    let report = measure(context, args, &plan, &dataset, &models, &cancel)?;
    if context.json {
        output::json(&report)?;
    } else {
        output::piece(&report.table(&args.k))?;
    }
    Ok(if report.passed() {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

/// What the flags ask for, checked before anything is loaded.
struct Plan {
    modes: Vec<EvalMode>,
    measures: Vec<Measure>,
    /// Documents that the deepest measure looks at.
    depth: usize,
}

impl Plan {
    fn of(args: &Args) -> anyhow::Result<Self> {
        let modes = retriever::modes(&args.modes).map_err(BadUsage::new)?;
        let (measures, depth) = measures(args).map_err(BadUsage::new)?;
        check_gates(&args.fail_if, &modes)?;
        Ok(Self {
            modes,
            measures,
            depth,
        })
    }
}

fn dataset(args: &Args) -> anyhow::Result<Dataset> {
    let mut dataset = Dataset::load(&args.dataset, &args.split)?;
    if let Some(limit) = args.limit {
        dataset.limit(limit.max(1));
    }
    Ok(dataset)
}

/// Runs the plan with the models of an engine.
fn measure(
    context: &Context,
    args: &Args,
    plan: &Plan,
    dataset: &Dataset,
    models: &Engine,
    cancel: &Cancel,
) -> anyhow::Result<Report> {
    let engine = engine(context, args, models)?;
    let embedder = engine
        .embedder()
        .context("an evaluation needs the embedder: models.embedder is \"none\"")?
        .clone();
    let collection = corpus::prepare(context, &engine, dataset, embedder, cancel)?;
    let setting = Setting::of(context, &engine, args.budget);
    let mut report = Report::new(dataset, &collection, setting);
    for &mode in &plan.modes {
        let documents = Documents::new(&engine, &collection.name, mode, cancel);
        let mut ticker = Ticker::new(context, mode.name(), dataset.questions.len());
        let evaluation = evaluate(&documents, dataset, &plan.measures, plan.depth, || {
            ticker.add(1)
        })?;
        if let Some(path) = &args.run_out {
            let path = run_path(path, mode, plan.modes.len());
            evaluation
                .run
                .write(&path, &format!("cairn-{}", mode.name()))?;
        }
        report.add(mode, &evaluation, &args.fail_if);
    }
    Ok(report)
}

/// The same models over indexes of their own, apart from the user's.
fn engine(context: &Context, args: &Args, loaded: &Engine) -> cairn_models::Result<Engine> {
    let mut config = context.config.clone();
    config.storage.data_dir = config.storage.data_dir.join("eval");
    if !args.budget {
        config.retrieval.rerank.budget_ms = 0;
    }
    Engine::new(
        &config,
        loaded.embedder().cloned(),
        loaded.reranker().cloned(),
    )
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
mod tests;
