//! `cairn eval --dataset DIR`: every question in every mode.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cairn_eval::report::Report;
use cairn_eval::{AnswerGate, Dataset, Family, Gate, Measure, evaluate, page};
use cairn_models::Cancel;

use super::ablate::{self, Part, Workshop};
use super::retriever::{self, Documents, EvalMode};
use super::scores::Remembering;
use super::subject::{self, Origin, Subject};
use super::table::table;
use super::tune;
use super::variant::{self, Ablation, Variant};
use super::{answers, excerpts};
use crate::cli::context::Context;
use crate::cli::failure::BadUsage;
use crate::cli::loading::{self, Wanted};
use crate::cli::ticker::Ticker;
use crate::cli::{Outcome, interrupt, output};
use cairn_settings::config::Config;

/// What to evaluate, and when to fail.
#[derive(Debug, clap::Args)]
#[group(id = "EvalRun")]
#[command(after_help = "\
A dataset is a folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv (plain
or .gz), a folder of documents with questions.jsonl, or beir:NAME, which is
downloaded. Its index is kept in the data folder, so a second run embeds nothing.
`cairn eval init` drafts a questions.jsonl from the indexed documents.

Examples:
  cairn eval --dataset beir:scifact
  cairn eval --dataset scifact --modes hybrid --fail-if 'ndcg@10<0.70' --json
  cairn eval --questions questions.jsonl --collection main
  cairn eval --dataset scifact --baseline last.json --tolerance 0.005
  cairn eval --dataset scifact,cranfield --ablate
  cairn eval --dataset scifact --sweep retrieval.fusion.lexical_weight=0.3,0.5,0.7
  cairn eval --dataset scifact --tune tuned.toml
  cairn eval compare last.json this.json --fail-if worse")]
pub(super) struct Args {
    /// Folder of the dataset, or beir:NAME; --ablate, --sweep and --tune accept several
    #[arg(
        long,
        value_name = "DIR",
        value_delimiter = ',',
        required_unless_present = "questions"
    )]
    pub(super) dataset: Vec<String>,
    /// Your own questions about the indexed collection
    #[arg(long, value_name = "FILE", conflicts_with = "dataset")]
    pub(super) questions: Option<PathBuf>,
    /// Relevance judgements to use: qrels/SPLIT.tsv
    #[arg(long, default_value = "test")]
    pub(super) split: String,
    /// Search modes: bm25, dense and hybrid, each also with +rerank; hybrid+hop,
    /// hybrid+hop+rerank; or all (the first three, hybrid+rerank and hybrid+hop+rerank)
    #[arg(long, value_delimiter = ',', default_value = "all")]
    pub(super) modes: Vec<String>,
    /// Use only the first N questions
    #[arg(long, value_name = "N", conflicts_with = "sample")]
    pub(super) limit: Option<usize>,
    /// Use only N questions, drawn with a fixed seed
    #[arg(long, value_name = "N")]
    pub(super) sample: Option<usize>,
    /// Cut-offs of the measures; the table shows nDCG at the first one
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
    /// Also answer the questions and judge the answers
    #[arg(long)]
    answers: bool,
    /// Language model that judges answers [default: none; words and embeddings are compared]
    #[arg(long, value_name = "PROVIDER", requires = "answers")]
    judge: Option<String>,
    /// Write a page with tables and plots
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Exit with 1 if this condition holds, e.g. 'ndcg@10<0.70', 'hybrid:recall@100<0.9' or,
    /// with --answers, 'faithfulness<0.9'
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<Condition>,
    /// Exit with 1 if nDCG or recall is lower than in this output of --json
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Accepted loss against the baseline
    #[arg(long, value_name = "X", default_value_t = 0.005, requires = "baseline")]
    tolerance: f64,
    /// Apply the time limit for re-ranking. Without this flag every candidate is re-ranked, so
    /// that runs are reproducible
    #[arg(long)]
    pub(super) budget: bool,
    #[command(flatten)]
    pub(super) many: Many,
}

/// What `--fail-if` looks at.
#[derive(Clone, Debug)]
enum Condition {
    Ranking(Gate),
    Answers(AnswerGate),
}

impl std::str::FromStr for Condition {
    type Err = cairn_eval::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(gate) => Ok(Self::Answers(gate)),
            Err(_) => text.parse().map(Self::Ranking),
        }
    }
}

impl Args {
    fn gates(&self) -> Vec<Gate> {
        let ranking = |condition: &Condition| match condition {
            Condition::Ranking(gate) => Some(gate.clone()),
            Condition::Answers(_) => None,
        };
        self.fail_if.iter().filter_map(ranking).collect()
    }

    fn answer_gates(&self) -> Vec<AnswerGate> {
        let answers = |condition: &Condition| match condition {
            Condition::Answers(gate) => Some(gate.clone()),
            Condition::Ranking(_) => None,
        };
        self.fail_if.iter().filter_map(answers).collect()
    }
}

/// Many configurations instead of one.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Comparing configurations")]
pub(super) struct Many {
    /// Compare every stage with and without re-ranking, and depths; `index` also compares
    /// windows, chunk sizes and overlaps
    #[arg(long, value_name = "HOW FAR", num_args = 0..=1, default_missing_value = "search",
        require_equals = true, conflicts_with_all = ["sweep", "tune"])]
    pub(super) ablate: Option<Ablation>,
    /// Compare values of a setting, e.g. retrieval.candidates=50,100,200; if repeated, every
    /// combination
    #[arg(long, value_name = "KEY=A,B", conflicts_with = "tune")]
    pub(super) sweep: Vec<String>,
    /// Find the best settings on the training split, or on half of the questions, judge them
    /// on the other questions, and write them to a file for --config
    #[arg(long, value_name = "FILE.toml")]
    pub(super) tune: Option<PathBuf>,
    /// Measure that ranks configurations
    #[arg(long, value_name = "MEASURE", default_value = "ndcg@10")]
    pub(super) by: Measure,
}

impl Many {
    fn is_wanted(&self) -> bool {
        self.ablate.is_some() || !self.sweep.is_empty() || self.tune.is_some()
    }
}

/// Indexes what is new, asks every question in every mode, and prints.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let plan = Plan::of(args)?;
    if args.many.is_wanted() {
        return many(context, args, &plan);
    }
    let baseline = args.baseline.as_deref().map(Report::read).transpose()?;
    let cancel = Cancel::default();
    let token = cancel.clone();
    interrupt::on_interrupt(move || token.cancel())?;
    let origin = origin(context, args)?;
    let mut dataset = subject::read(&origin, &args.split)?;
    if let Some(dataset) = &mut dataset {
        restrict(dataset, args);
    }
    let wanted = Wanted {
        embedder: true,
        reranker: args.answers || plan.modes.iter().any(|mode| mode.rerank),
    };
    let models = loading::engine(context, wanted)?;
    let config = config(context, args);
    let is_restricted = dataset.is_some();
    let mut subject = subject::open(context, &config, &origin, dataset, &models, &cancel)?;
    if !is_restricted {
        restrict(&mut subject.dataset, args);
    }
    let mut report = measure(context, &config, args, &plan, &subject, &cancel)?;
    if args.answers {
        let judge = args.judge.as_deref();
        let local = loading::writes_locally(context, None)
            || judge.is_some_and(|name| loading::writes_locally(context, Some(name)));
        let answerer = loading::answerer(context, subject.engine.clone(), local)?;
        report.answers = Some(answers::judged(
            context, &config, &subject, &answerer, judge, &cancel,
        )?);
        report.judge_answers(&args.answer_gates());
    }
    if let Some(baseline) = &baseline {
        let measures = head_measures(args);
        report.judge_by(baseline, &measures, args.tolerance)?;
    }
    if let Some(path) = &args.report {
        report.excerpts = excerpts::of(&subject, &page::shown(&report))?;
        write_page(path, &page::of_report(&report))?;
    }
    if context.json {
        output::json(&report)?;
    } else {
        output::piece(&table(&report, &args.k))?;
        if let Some(answers) = &report.answers {
            output::piece(&answers::table(answers))?;
        }
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
        let modes = retriever::modes(&args.modes)
            .map_err(|error| BadUsage::new(format!("--modes: {error}")))?;
        let (measures, depth) = measures(args).map_err(BadUsage::new)?;
        check_gates(&args.gates(), &modes)?;
        if !args.answers && !args.answer_gates().is_empty() {
            let message = "--fail-if looks at answers: it needs --answers";
            return Err(BadUsage::new(message).into());
        }
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

fn origin(context: &Context, args: &Args) -> anyhow::Result<Origin> {
    let mut origins = origins(context, args)?;
    match (origins.pop(), origins.is_empty()) {
        (Some(origin), true) => Ok(origin),
        _ => Err(BadUsage::new("several datasets are for --ablate, --sweep and --tune").into()),
    }
}

fn origins(context: &Context, args: &Args) -> anyhow::Result<Vec<Origin>> {
    match &args.questions {
        Some(path) => Ok(vec![Origin::CustomQuestions(path.clone())]),
        None => {
            let named = args.dataset.iter();
            named
                .map(|name| Origin::of_dataset(context, name))
                .collect()
        }
    }
}

/// Compares or searches configurations.
fn many(context: &Context, args: &Args, plan: &Plan) -> anyhow::Result<Outcome> {
    let cancel = Cancel::default();
    let token = cancel.clone();
    interrupt::on_interrupt(move || token.cancel())?;
    let base = config(context, args);
    let variants = match args.many.ablate {
        Some(how_far) => variant::ablation(&base, how_far),
        None => variant::sweep(&base, &args.many.sweep),
    };
    let variants = variants.map_err(|error| BadUsage::new(format!("{error:#}")))?;
    if args.questions.is_some()
        && variants
            .iter()
            .any(|variant| variant.config.chunking != base.chunking)
    {
        let message = "--questions asks a collection as it is indexed: to compare its chunking, \
                       put the questions into the folder as questions.jsonl and use --dataset";
        return Err(BadUsage::new(message).into());
    }
    let parts = origins(context, args)?
        .into_iter()
        .map(|origin| part(origin, &args.split, args))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let wanted = Wanted {
        embedder: true,
        reranker: args.many.tune.is_some() || variants.iter().any(|variant| variant.rerank),
    };
    let loaded = loading::engine(context, wanted)?;
    let scores = context.config.storage.data_dir.join("eval");
    let reranker = loaded.reranker();
    let reranker = reranker.map(|model| Remembering::new(model.clone(), Some(&scores)));
    let workshop = Workshop {
        context,
        args,
        loaded: &loaded,
        reranker: reranker.as_ref(),
        measure: args.many.by,
        depth: plan.depth.max(args.many.by.cutoff.unwrap_or(1)),
        cancel: &cancel,
    };
    if let Some(out) = &args.many.tune {
        return tuned(&workshop, &Variant::of("", &base), parts, out);
    }
    let found = workshop.compare(&parts, &variants)?;
    if let Some(path) = &args.report {
        write_page(path, &page::of_ablation(&found))?;
    }
    match context.json {
        true => output::json(&found)?,
        false => output::piece(&ablate::table(&found))?,
    }
    Ok(Outcome::Done)
}

fn part(origin: Origin, split: &str, args: &Args) -> anyhow::Result<Part> {
    let mut dataset = subject::read(&origin, split)?;
    if let Some(dataset) = &mut dataset {
        restrict(dataset, args);
    }
    Ok(Part { origin, dataset })
}

/// Tunes on the training split where there is one, else on a half.
fn tuned(
    workshop: &Workshop<'_>,
    base: &Variant,
    parts: Vec<Part>,
    out: &Path,
) -> anyhow::Result<Outcome> {
    let (mut tuning, mut held_out) = (Vec::new(), Vec::new());
    for whole in parts {
        let has_training = match &whole.origin {
            Origin::Folder(dir) => {
                workshop.args.split != "train" && Dataset::has_split(dir, "train")
            }
            _ => false,
        };
        if has_training {
            tuning.push(part(whole.origin.clone(), "train", workshop.args)?);
            held_out.push(whole);
            continue;
        }
        let dataset = match whole.dataset {
            Some(dataset) => dataset,
            None => workshop.open(&whole, base)?.dataset,
        };
        let (first, second) = dataset.halves();
        let half = |dataset| Part {
            origin: whole.origin.clone(),
            dataset: Some(dataset),
        };
        tuning.push(half(first));
        held_out.push(half(second));
    }
    let found = tune::run(workshop, base, &tuning, &held_out, out)?;
    match workshop.context.json {
        true => output::json(&found)?,
        false => output::piece(&found.text(out))?,
    }
    Ok(Outcome::Done)
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
        // The one before has embedded the questions and remembers some.
        let engine = subject.fresh_engine()?;
        let documents = Documents::new(
            &engine,
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
        report.judge(mode.name(), &evaluation, &args.gates());
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
        Family::AllFound,
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
    measures.extend(args.gates().iter().map(|gate| gate.measure));
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

fn write_page(path: &Path, page: &str) -> anyhow::Result<()> {
    std::fs::write(path, page).with_context(|| path.display().to_string())
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
