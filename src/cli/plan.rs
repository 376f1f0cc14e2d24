//! `cairn index --dry-run`: what a run would do; and `--manifest`, which does just that.

use std::path::PathBuf;

use cairn_engine::retrieve::Engine;
use cairn_indexer::{Action, Manifest, ManifestEntry, Parser, plan_paths};
use cairn_models::Cancel;

use super::Outcome;
use super::context::Context;
use super::indexing::{self, count};
use super::output::{self, printable};

/// Entries that a summary lists unless it is asked for all.
const MAX_ENTRIES: usize = 50;

/// Prints what a run over `paths` would do. No model is loaded, and nothing is written.
pub(super) fn run(
    context: &Context,
    paths: &[PathBuf],
    labels: &[String],
    remove_most: bool,
    parser: Parser,
) -> anyhow::Result<Outcome> {
    let engine = Engine::new(&context.config, None, None)?;
    let index = engine.create_collection(&context.config.storage.collection)?;
    let mut options = indexing::options(context, parser, Vec::new());
    options.labels = labels.iter().cloned().collect();
    options.remove_most = remove_most;
    // A manifest is good from any folder.
    let paths: std::io::Result<Vec<PathBuf>> = paths.iter().map(std::path::absolute).collect();
    let manifest = plan_paths(&paths?, &index, &options, &Cancel::never())?;
    match context.json {
        true => output::json(&manifest)?,
        false => output::piece(&summary(context, &manifest))?,
    }
    Ok(Outcome::Done)
}

fn summary(context: &Context, manifest: &Manifest) -> String {
    let shown = match context.verbose {
        0 => MAX_ENTRIES,
        _ => usize::MAX,
    };
    let mut text = String::new();
    for entry in manifest.entries.iter().take(shown) {
        text.push_str(&line(entry));
    }
    if manifest.entries.len() > shown {
        let more = manifest.entries.len() - shown;
        text.push_str(&format!("and {more} more; -v or --json lists all\n"));
    }
    let mut sums: Vec<String> = manifest
        .sums
        .iter()
        .map(|(action, sum)| {
            let kilobytes = sum.bytes.div_ceil(1000);
            format!(
                "{} to {} ({kilobytes} kB)",
                count(sum.files, "file"),
                word(*action)
            )
        })
        .collect();
    sums.push(format!("{} unchanged", manifest.unchanged.files));
    text.push_str(&format!("{}. Nothing was changed.\n", sums.join(", ")));
    text
}

fn line(entry: &ManifestEntry) -> String {
    let name = entry.path.as_ref().or(entry.uri.as_ref());
    let name = printable(name.map_or("", String::as_str));
    let why = entry
        .reason
        .as_ref()
        .map(|reason| format!(": {}", printable(reason)));
    format!(
        "{:7} {name}{}\n",
        word(entry.action),
        why.unwrap_or_default()
    )
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Add => "add",
        Action::Change => "change",
        Action::Remove => "remove",
        Action::Keep => "keep",
        Action::Skip => "skip",
    }
}
