//! `cairn index`: files and folders into a collection.

use std::path::PathBuf;
use std::sync::Arc;

use cairn_indexer::{Manifest, RunReport};
use cairn_models::Cancel;

use super::context::Context;
use super::failure::Advised;
use super::indexing::{self, RunBar};
use super::loading::Models;
use super::read_ahead::read_ahead;
use super::{Outcome, interrupt, jobs, plan};
use cairn_engine::retrieve::Engine;

/// What to index.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files and folders to index
    #[arg(required_unless_present = "manifest", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Index nothing; show what would be added, changed, removed and skipped (--json: a manifest)
    #[arg(long, conflicts_with_all = ["watch", "detach"])]
    dry_run: bool,
    /// Make exactly the changes in this manifest, which `--dry-run --json` printed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "dry_run", "watch", "detach", "label"])]
    manifest: Option<PathBuf>,
    /// Keep running, and index files when they change
    #[arg(long)]
    watch: bool,
    /// Submit a job for a running service or `cairn worker`, and return at once
    #[arg(long, conflicts_with = "watch")]
    detach: bool,
    /// Remove documents whose files are gone, even if they are most of a folder
    #[arg(long)]
    yes: bool,
    /// Label that restricts who may read the documents; may be repeated
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
}

/// Indexes, and goes on watching if asked.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    for path in &args.paths {
        if !path.exists() {
            let message = format!("there is no file or folder {}", path.display());
            return Err(Advised::new(message, "check the path; nothing was indexed").into());
        }
    }
    if args.detach {
        return jobs::detach(context, &args.paths, &args.label, args.yes);
    }
    let models = Models::new(context)?;
    if args.dry_run {
        let parser = models.parser()?;
        return plan::run(context, &args.paths, &args.label, args.yes, parser);
    }
    let manifest = args.manifest.as_ref().map(|file| Manifest::read(file));
    let manifest = manifest.transpose()?.map(Arc::new);
    let paths = match &manifest {
        Some(manifest) => &manifest.roots,
        None => &args.paths,
    };
    let embedder = models.embedder()?.ok_or_else(|| {
        Advised::new(
            "indexing needs an embedder",
            "set models.embedder to a model",
        )
    })?;
    // The watcher leaves the reading to the service: files that change come first.
    let reranker = match context.config.retrieval.rerank.store && !args.watch {
        true => models.reranker(),
        false => None,
    };
    let engine = Engine::new(&context.config, Some(embedder.clone()), reranker)?;
    let collection = &context.config.storage.collection;
    let index = engine.create_collection(collection)?;
    let mut options = indexing::options(context, models.parser()?, Vec::new());
    options.remove_most = args.yes;
    options.labels = args.label.iter().cloned().collect();
    if let Some(manifest) = &manifest {
        options.labels = manifest.labels.clone();
        options.metadata = manifest.metadata.clone();
        options.manifest = Some(Arc::clone(manifest));
    }

    let cancel = Cancel::default();
    let token = cancel.clone();
    let quiet = context.quiet;
    interrupt::on_interrupt(move || {
        if !quiet {
            super::progress::line(
                "Stopping: what is whole is committed; press Ctrl-C again to abort",
            );
        }
        token.cancel();
    })?;
    let bar = RunBar::new(context);
    if !args.watch {
        let report = cairn_indexer::index_paths(paths, &index, embedder, &options, &bar, &cancel)?;
        bar.clear();
        indexing::print(context, &report)?;
        if !report.cancelled {
            read_ahead(context, &engine, collection, &cancel)?;
        }
        return Ok(outcome(&report));
    }
    let mut printed = Ok(());
    let on_run = |result: cairn_indexer::Result<RunReport>| {
        bar.clear();
        match result {
            Ok(report) if is_news(&report) => printed = indexing::print(context, &report),
            Ok(_) => {}
            Err(error) => context.say_error(error.to_string()),
        }
        if printed.is_err() {
            // The reader is gone.
            cancel.cancel();
        }
    };
    let mut on_run = on_run;
    cairn_indexer::watch(
        paths,
        &index,
        &embedder,
        &options,
        &bar,
        &cancel,
        &mut on_run,
    )?;
    printed?;
    Ok(Outcome::Done)
}

/// Whether a run of the watcher did something worth a summary.
pub(super) fn is_news(report: &RunReport) -> bool {
    report.added + report.updated + report.deleted + report.failed.len() + report.kept.len() > 0
}

fn outcome(report: &RunReport) -> Outcome {
    match report.failed.is_empty() && report.kept.is_empty() && !report.cancelled {
        true => Outcome::Done,
        false => Outcome::Failed,
    }
}
