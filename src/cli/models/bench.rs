//! `cairn models bench`: what this machine can do with the configured models.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cairn_models::bench::{self, Embedding, Generating, Latency, Machine, Reranking};
use cairn_models::{Hub, LoadOptions};
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::progress::{self, PullBars};
use crate::cli::{Outcome, output};

/// Texts that are embedded when no file is given.
const SEEDED_TEXTS: usize = 128;

/// Candidates of a search that a re-ranker reads.
const PAIRS: usize = 20;

/// Tokens of a prompt with eight sources, about.
const PROMPT_TOKENS: usize = 1500;

/// Tokens of a short answer.
const WRITTEN_TOKENS: usize = 64;

/// What to measure with.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Embed the texts in this file: one JSON object per line, whose `title` and
    /// `text` are joined by a space [default: generated texts]
    #[arg(long, value_name = "FILE.jsonl")]
    texts: Option<PathBuf>,
    /// Threads per call; 0 uses every core [default: `models.threads`]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// What `--json` prints. A part is null when its model is turned off.
#[derive(Debug, Default, Serialize)]
struct Report {
    machine: Option<Machine>,
    embedding: Option<EmbeddingReport>,
    question: Option<Latency>,
    reranking: Option<Reranking>,
    generating: Option<Generating>,
    /// Parts that were not measured, and why.
    skipped: Vec<String>,
}

#[derive(Debug, Serialize)]
struct EmbeddingReport {
    #[serde(flatten)]
    measured: Embedding,
    /// `gflop_per_s` as a share of what the machine reached with large matrices in the
    /// same arithmetic.
    share_of_matrix_peak: Option<f64>,
}

/// Measures every part whose model is on.
pub(in crate::cli) fn run(context: &Context, hub: &Hub, args: &Args) -> anyhow::Result<Outcome> {
    let models = &context.config.models;
    let options = LoadOptions {
        threads: args.threads.unwrap_or(models.threads),
        precision: models.precision,
        device: models.device,
        // Every passage is read.
        reranker_cache_num_bytes: 0,
    };
    // Read first, so that a wrong file costs no time.
    let texts = match &args.texts {
        Some(path) => read_texts(path)?,
        None => bench::texts(SEEDED_TEXTS),
    };
    let bars = PullBars::new(context.progress);
    let mut report = Report::default();
    context.say("Measuring the product of large matrices");
    let machine = bench::machine(options.threads, options.precision)?;
    let peak = machine.arithmetic_gflop_per_s;
    report.machine = Some(machine);

    if on(context, &mut report, "embedder", &models.embedder) {
        let embedder = cairn_models::load_embedder(hub, &models.embedder, &options, &bars)?;
        let mut pace = progress::Pace::new();
        let measured = bench::embedding(&*embedder, &texts, &mut |done| {
            if pace.due() {
                context.say(format!("Embedding: {done} of {} texts", texts.len()));
            }
        })?;
        report.embedding = Some(EmbeddingReport {
            share_of_matrix_peak: measured.gflop_per_s.map(|speed| speed / peak),
            measured,
        });
        context.say("Embedding one question");
        report.question = Some(bench::question(&*embedder)?);
    }
    if on(context, &mut report, "re-ranker", &models.reranker) {
        let reranker = cairn_models::load_reranker(hub, &models.reranker, &options, &bars)?;
        context.say(format!("Re-ranking {PAIRS} candidates"));
        report.reranking = Some(bench::reranking(&*reranker, PAIRS)?);
    }
    if on(context, &mut report, "generator", &models.generator) {
        let generator = cairn_models::load_generator(hub, &models.generator, &options, &bars)?;
        context.say(format!(
            "Reading a prompt of about {PROMPT_TOKENS} tokens, writing {WRITTEN_TOKENS}"
        ));
        report.generating = Some(bench::generating(
            &*generator,
            PROMPT_TOKENS,
            WRITTEN_TOKENS,
        )?);
    }
    if context.json {
        output::json(&report)?;
    } else {
        output::piece(&output::table(&rows(&report)))?;
    }
    Ok(Outcome::Done)
}

/// Whether a part is to be measured; says so where it is not.
fn on(context: &Context, report: &mut Report, part: &str, name: &str) -> bool {
    let on = !cairn_models::is_off(name);
    if !on {
        let reason = format!("the {part} is turned off (`models` in the configuration)");
        context.say(format!("Skipped: {reason}"));
        report.skipped.push(reason);
    }
    on
}

/// Title and text of every line of `path`, joined by a space.
fn read_texts(path: &Path) -> anyhow::Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Row {
        title: Option<String>,
        text: String,
    }
    let file = std::fs::read_to_string(path)
        .with_context(|| format!("the texts of {} cannot be read", path.display()))?;
    let mut texts = Vec::new();
    for (at, line) in file.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let row: Row = serde_json::from_str(line).with_context(|| {
            format!(
                "{}, line {}: not a JSON object with a `text`",
                path.display(),
                at + 1
            )
        })?;
        let joined = format!("{} {}", row.title.unwrap_or_default(), row.text);
        texts.push(joined.trim().to_owned());
    }
    if texts.is_empty() {
        bail!("{} holds no text", path.display());
    }
    Ok(texts)
}

/// The report as a table of what was measured.
fn rows(report: &Report) -> Vec<Vec<String>> {
    let mut rows = vec![vec!["WHAT".into(), "MEASURED".into(), "WITH".into()]];
    let mut row = |what: &str, measured: String, with: String| {
        rows.push(vec![what.into(), measured, with]);
    };
    if let Some(machine) = &report.machine {
        row(
            "matrix product",
            format!("{:.0} GFLOP/s", machine.matrix_gflop_per_s),
            format!("{} threads, {}, f32", machine.threads, machine.instructions),
        );
        if machine.arithmetic != "f32" {
            row(
                "",
                format!("{:.0} GFLOP/s", machine.arithmetic_gflop_per_s),
                format!("{}, as the embedder", machine.arithmetic),
            );
        }
    }
    if let Some(EmbeddingReport {
        measured,
        share_of_matrix_peak,
    }) = &report.embedding
    {
        let with = format!("{} texts, {} tokens", measured.texts, measured.tokens);
        row(
            "embedding",
            format!("{:.1} texts/s", measured.texts_per_s),
            format!("{} on {}", measured.model, measured.device),
        );
        row("", format!("{:.0} tokens/s", measured.tokens_per_s), with);
        if let (Some(speed), Some(share)) = (measured.gflop_per_s, share_of_matrix_peak) {
            row(
                "",
                format!("{speed:.0} GFLOP/s"),
                format!("{:.0} % of the matrix product", share * 100.0),
            );
        }
    }
    if let Some(latency) = &report.question {
        row(
            "one question",
            format!("{:.2} ms", latency.p50_ms),
            format!("{} tokens, p95 {:.2} ms", latency.tokens, latency.p95_ms),
        );
    }
    if let Some(measured) = &report.reranking {
        row(
            "re-ranking",
            format!("{:.1} pairs/s", measured.pairs_per_s),
            format!("{} on {}", measured.model, measured.device),
        );
        row(
            "",
            format!("{:.0} ms", measured.p50_ms),
            format!("{} pairs of {} tokens", measured.pairs, measured.window),
        );
    }
    if let Some(measured) = &report.generating {
        row(
            "prompt",
            format!("{:.0} tokens/s", measured.prompt_tokens_per_s),
            measured.model.clone(),
        );
        row(
            "first word",
            format!("{:.0} ms", measured.first_token_ms),
            format!("after {} tokens", measured.prompt_tokens),
        );
        row(
            "writing",
            format!("{:.1} tokens/s", measured.written_tokens_per_s),
            format!("{} tokens", measured.written_tokens),
        );
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("texts.jsonl");
        std::fs::write(&path, text).unwrap();
        read_texts(&path)
    }

    #[test]
    fn title_and_text_are_joined_and_blank_lines_are_none() {
        let texts = read("{\"title\":\"A\",\"text\":\"b c\"}\n\n{\"text\":\"d\",\"id\":7}\n");
        assert_eq!(texts.unwrap(), ["A b c", "d"]);
        let texts = read("{\"title\":null,\"text\":\"\"}\n");
        assert_eq!(texts.unwrap(), [""]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = read("{\"text\":\"d\"}\n{\"body\":\"e\"}\n").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        let error = read("\n").unwrap_err();
        assert!(error.to_string().contains("holds no text"), "{error}");
        let error = read_texts(Path::new("nowhere.jsonl")).unwrap_err();
        assert!(error.to_string().contains("nowhere.jsonl"), "{error}");
    }
}
