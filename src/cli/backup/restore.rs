//! `cairn restore BACKUP`.

use std::path::PathBuf;

use cairn_models::Cancel;
use serde_json::json;

use super::manifest::Manifest;
use super::{bar, check_is_free, put_into_place, scratch};
use crate::cli::context::Context;
use crate::cli::indexing::count;
use crate::cli::interrupt::on_interrupt;
use crate::cli::{Outcome, output};

/// Where from.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Folder that `cairn backup` created
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
}

/// Copies a backup into the data folder, which must be empty or not there. Every file is
/// compared with what was backed up; unless all of them are whole, nothing is restored.
pub(in crate::cli) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let data = std::path::absolute(&context.config.storage.data_dir)?;
    check_is_free(&data, "the data folder")?;
    let manifest = Manifest::read(&args.backup)?;
    let cancel = Cancel::default();
    let stop = cancel.clone();
    on_interrupt(move || stop.cancel())?;

    let scratch = scratch(&data)?;
    let bar = bar(context, manifest.bytes());
    let mut copied = |bytes| {
        if let Some(bar) = &bar {
            bar.inc(bytes);
        }
    };
    for entry in &manifest.files {
        entry.copy(&args.backup, scratch.path(), &cancel, &mut copied)?;
    }
    put_into_place(scratch, &data)?;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    match context.json {
        true => output::json(&json!({
            "folder": data,
            "created": manifest.created,
            "collections": manifest.collections,
            "files": manifest.files.len(),
            "bytes": manifest.bytes(),
        }))?,
        false => output::line(format!(
            "Restored {} in {} as of {} into {}.",
            count(manifest.collections.len(), "collection"),
            count(manifest.files.len(), "file"),
            manifest.created,
            data.display(),
        ))?,
    }
    Ok(Outcome::Done)
}
