//! `cairn up`: everything at once. Fetches the models, indexes a folder and
//! keeps watching it, and serves the page and the API while it does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_indexer::{Access, RunProgress, RunReport, RunState};
use cairn_models::Cancel;

use super::context::Context;
use super::failure::Advised;
use super::indexing::{self, RunBar};
use super::serve;
use super::{Outcome, index, output};
use crate::server::{self, IndexingProgress, Service};
use cairn_engine::retrieve::Engine;
use cairn_gateway::EXTRACTIVE;

/// What to serve, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to index [default: the current folder; in Cairn's own repository its documentation]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) serve: serve::Args,
}

/// Cairn's own documentation, in its repository.
const OWN_DOCS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs",
    "config",
];

/// Runs until a signal.
pub(super) fn run(context: Context, args: &Args) -> anyhow::Result<Outcome> {
    let roots = roots(args.dir.as_deref(), Path::new("."))?;
    let runtime = serve::runtime()?;
    // First of all, so that a taken port is known before a model is fetched.
    let listener = runtime.block_on(serve::listen(&context.config.server.bind))?;
    let service = serve::service(&context, &listener)?;
    let cancel = Cancel::default();
    serve::stop_on_interrupt(&service)?;
    let url = serve::announce(&context, &listener)?;
    let work = {
        let (service, cancel) = (Arc::clone(&service), cancel.clone());
        std::thread::spawn(move || {
            let result = work(&context, &service, &roots, &url, &cancel);
            if result.is_err() {
                // Without an index there is nothing to serve.
                service.lifecycle().stop();
            }
            result
        })
    };
    runtime.block_on(server::serve(listener, Arc::clone(&service)))?;
    cancel.cancel();
    service.accounts().flush();
    serve::finish(work, &service)
}

/// How to get answers that a model writes.
const WRITTEN: &str = "Answers are quotations. For written ones, name a language model in cairn.toml \
    (README, \"Use a larger language model\"); or one on this machine: cairn models pull \
    qwen2.5-coder-1.5b-instruct (1.1 GB), then models.generator and answer.provider = \"local\".";

/// What is indexed: `dir`, or the folder that fits where we are.
fn roots(dir: Option<&Path>, here: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(dir) = dir {
        if dir.exists() {
            return Ok(vec![dir.to_owned()]);
        }
        let message = format!("there is no folder {}", dir.display());
        return Err(Advised::new(message, "check the path; nothing was indexed").into());
    }
    let manifest = std::fs::read_to_string(here.join("Cargo.toml")).unwrap_or_default();
    if manifest.contains("name = \"cairn\"") {
        let own = OWN_DOCS.iter().map(|name| here.join(name));
        // Model cards, without the weights alongside them.
        let models = std::fs::read_dir(here.join("models/builtin"))
            .into_iter()
            .flatten();
        let cards = models.flatten().map(|model| model.path().join("README.md"));
        return Ok(own.chain(cards).filter(|path| path.exists()).collect());
    }
    Ok(vec![here.to_owned()])
}

/// Loads, then indexes and watches until `cancel`.
fn work(
    context: &Context,
    service: &Arc<Service>,
    roots: &[PathBuf],
    url: &str,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    serve::load(context, service)?;
    let core = service
        .core()
        .map_err(|error| anyhow::anyhow!(error.message))?;
    let embedder = core.engine.embedder().cloned().ok_or_else(|| {
        Advised::new(
            "indexing needs an embedder",
            "set models.embedder to a model",
        )
    })?;
    let index = core
        .engine
        .create_collection(&context.config.storage.collection)?;
    let options = indexing::options(context, core.parser.clone(), Vec::new());
    let shown = Both {
        bar: RunBar::new(context),
        service,
    };
    let mut first = true;
    let mut printed = Ok(());
    let mut on_run = |result: cairn_indexer::Result<RunReport>| {
        shown.bar.clear();
        service.lifecycle().set_indexing(None);
        match result {
            Ok(report) if first => {
                first = false;
                printed = greet(context, &report, &core.engine, url);
            }
            Ok(report) if index::is_news(&report) => printed = indexing::print(context, &report),
            Ok(_) => {}
            Err(error) => context.say_error(error.to_string()),
        }
    };
    cairn_indexer::watch(
        roots,
        &index,
        &embedder,
        &options,
        &shown,
        cancel,
        &mut on_run,
    )?;
    printed
}

/// After the first run: what is there now, and a first question to try.
fn greet(context: &Context, report: &RunReport, engine: &Engine, url: &str) -> anyhow::Result<()> {
    if context.json {
        return indexing::print(context, report);
    }
    indexing::print(context, report)?;
    output::line(format!("\nReady: changes are watched. Open {url}"))?;
    let overview = engine.overview(&context.config.storage.collection, &Access::All)?;
    if let Some(question) = overview.suggestions.first() {
        output::line(format!("Try: {}", context.palette.title.apply_to(question)))?;
    }
    if context.config.answer.provider == EXTRACTIVE {
        output::line(WRITTEN)?;
    }
    Ok(())
}

/// Progress for the terminal and for `/ready`.
struct Both<'a> {
    bar: RunBar,
    service: &'a Service,
}

impl RunProgress for Both<'_> {
    fn update(&self, run: &RunState) {
        self.bar.update(run);
        let progress = IndexingProgress {
            files_done: run.files_done as u64,
            files_total: run.files_total as u64,
            chunks: (run.embedded + run.reused) as u64,
        };
        self.service.lifecycle().set_indexing(Some(progress));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_fits_where_we_are() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path();
        assert_eq!(roots(None, here).unwrap(), [here]);
        assert!(roots(Some(&here.join("nowhere")), here).is_err());

        std::fs::write(here.join("Cargo.toml"), "[package]\nname = \"cairn\"\n").unwrap();
        std::fs::write(here.join("README.md"), "# Cairn\n").unwrap();
        std::fs::create_dir(here.join("docs")).unwrap();
        std::fs::create_dir(here.join("src")).unwrap();
        assert_eq!(
            roots(None, here).unwrap(),
            [here.join("README.md"), here.join("docs")]
        );
        assert_eq!(roots(Some(here), here).unwrap(), [here]);
    }
}
