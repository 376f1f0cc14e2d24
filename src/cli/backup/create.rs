//! `cairn backup FOLDER`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cairn_engine::retrieve::Engine;
use cairn_jobs::SqliteQueue;
use cairn_models::Cancel;
use cairn_settings::config::JobsBackend;
use serde_json::json;

use super::manifest::Manifest;
use super::{bar, cannot_write, check_is_free, put_into_place, scratch};
use crate::cli::context::Context;
use crate::cli::indexing::count;
use crate::cli::interrupt::on_interrupt;
use crate::cli::{Outcome, output, serve};
use crate::ingest::{spool, uploads};

/// Where to.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Folder to create; it must not exist, or must be empty
    #[arg(value_name = "FOLDER")]
    target: PathBuf,
}

/// Copies every collection, the keys, the ledger, the jobs and the uploaded files. Cached
/// answers are left out: they are made again.
pub(in crate::cli) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let target = std::path::absolute(&args.target)?;
    check_is_free(&target, "the folder")?;
    let cancel = Cancel::default();
    let stop = cancel.clone();
    on_interrupt(move || stop.cancel())?;

    let data = &context.config.storage.data_dir;
    let scratch = scratch(&target)?;
    let bar = bar(context, size(&data.join("collections")));
    let mut copied = |bytes| {
        if let Some(bar) = &bar {
            bar.inc(bytes);
        }
    };
    let engine = Engine::new(&context.config, None, None)?;
    let mut collections = BTreeMap::new();
    for name in engine.collections()? {
        let from = engine.collection_folder(&name)?;
        let to = scratch.path().join("collections").join(&name);
        let generation = cairn_indexer::copy_commit(&from, &to, &cancel, &mut copied)?;
        collections.insert(name, generation.unwrap_or(0));
    }
    cairn_gateway::accounts::back_up(data, scratch.path())?;
    // A queue on servers is theirs to back up.
    if context.config.jobs.backend == JobsBackend::Sqlite {
        // Before and after: what a copied job names is there, whenever it came.
        let spool = || spool::back_up(data, scratch.path());
        spool().map_err(|error| cannot_write(scratch.path(), &error))?;
        serve::runtime()?.block_on(SqliteQueue::back_up(data, scratch.path()))?;
        spool().map_err(|error| cannot_write(scratch.path(), &error))?;
    }
    uploads::back_up(data, scratch.path()).map_err(|error| cannot_write(scratch.path(), &error))?;
    let describe = || {
        let manifest = Manifest::of(scratch.path(), collections)?;
        manifest.write(scratch.path())?;
        Ok(manifest)
    };
    let manifest = describe().map_err(|error| cannot_write(scratch.path(), &error))?;
    put_into_place(scratch, &target)?;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    match context.json {
        true => output::json(&json!({
            "folder": target,
            "collections": manifest.collections,
            "files": manifest.files.len(),
            "bytes": manifest.bytes(),
        }))?,
        false => output::line(format!(
            "Backed up {} in {} ({} MB) to {}. `cairn restore {}` puts it back.",
            count(manifest.collections.len(), "collection"),
            count(manifest.files.len(), "file"),
            manifest.bytes().div_ceil(1_000_000),
            target.display(),
            args.target.display(),
        ))?,
    }
    Ok(Outcome::Done)
}

/// Bytes below `folder`, for the progress bar: what cannot be read counts as nothing.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            _ => entry.metadata().map_or(0, |data| data.len()),
        })
        .sum()
}
