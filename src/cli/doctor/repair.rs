//! What a repair would do or has done, and `cairn doctor --repair`.

use std::sync::Arc;

use cairn_indexer::repair::{self, LostDocument, Means, Prognosis};
use cairn_indexer::{Error, ErrorKind};
use cairn_models::{Cancel, Embedder};

use super::{Finding, Severity, note};
use crate::cli::context::Context;
use crate::cli::indexing::count;
use crate::cli::interrupt::on_interrupt;
use crate::cli::loading::Models;
use crate::cli::progress::{self, Display};
use cairn_engine::retrieve::{Engine, index_settings};
use cairn_gateway::accounts::{fault_of_note, require_keys};
use cairn_gateway::{Salvage, SalvageError};

/// Lost documents that are named; the others are counted. `--json` names all.
const MAX_NAMED: usize = 50;

const EMBEDDING: &str = "Vectors [{bar:30}] {pos}/{len}";

/// Repairs what is damaged: databases, then collections. What was done is among the findings.
pub(super) fn run(
    context: &Context,
    engine: &Engine,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    repair_databases(context, findings);
    super::uploads::repair(&context.config.storage.data_dir, findings);
    let cancel = Cancel::default();
    let stop = cancel.clone();
    on_interrupt(move || stop.cancel())?;
    for name in engine.collections()? {
        repair_collection(context, engine, &name, &cancel, findings)?;
    }
    Ok(())
}

fn repair_databases(context: &Context, findings: &mut Vec<Finding>) {
    let folder = &context.config.storage.data_dir;
    let mut done = cairn_gateway::repair_databases(folder);
    let jobs = folder.join(cairn_jobs::FILE);
    if let Some(checked) = super::databases::jobs(folder) {
        if let Some(index) = &checked.stale_index {
            cairn_gateway::remove_stale(&jobs, index);
        }
        if checked.fault.is_some() {
            let repaired = cairn_gateway::salvage(&jobs, &super::databases::JOBS).map(Some);
            done.push((jobs, repaired));
        }
    }
    // One that is still damaged is not opened.
    let all_whole = done.iter().all(|(_, outcome)| outcome.is_ok());
    for (file, outcome) in done {
        let subject = format!("database {}", file.display());
        let (severity, message) = describe_salvage(outcome);
        note(findings, severity, &subject, message);
    }
    if all_whole && fault_of_note(folder).is_some() {
        let (severity, message) = match require_keys(folder) {
            Ok(()) => (
                Severity::Ok,
                "the file keys-required is written again".to_owned(),
            ),
            Err(error) => (Severity::Error, error.to_string()),
        };
        note(findings, severity, "API keys", message);
    }
}

fn describe_salvage(outcome: Result<Option<Salvage>, SalvageError>) -> (Severity, String) {
    match outcome {
        Ok(None) => (
            Severity::Warning,
            "was damaged and is deleted; it held cached answers only".into(),
        ),
        Ok(Some(saved)) => {
            let tables: Vec<String> = saved
                .tables
                .iter()
                .map(|table| {
                    let note = if table.whole { "" } else { " and lost others" };
                    format!("{}: {}{note}", table.table, count(table.rows, "row"))
                })
                .collect();
            let log = saved.log.map_or_else(String::new, |log| format!("; {log}"));
            let message = format!(
                "rebuilt ({}){log}; the damaged file is {}. Rows that are lost are in a \
                 backup, if there is one: keys that do not work any more are made again with \
                 `cairn keys create`",
                tables.join(", "),
                saved.kept.display()
            );
            (Severity::Warning, message)
        }
        Err(error) => (Severity::Error, error.to_string()),
    }
}

fn repair_collection(
    context: &Context,
    engine: &Engine,
    name: &str,
    cancel: &Cancel,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let subject = format!("collection {name}");
    let folder = engine.collection_folder(name)?;
    let models = Models::new(context)?;
    let mut loaded: Option<Arc<dyn Embedder>> = None;
    let mut embedder = || {
        if loaded.is_none() {
            loaded = models.embedder().map_err(|error| {
                Error::new(ErrorKind::Model, format!("{error:#}; vectors need it"))
            })?;
        }
        let off = || Error::new(ErrorKind::Model, "the embedder is off, and vectors need it");
        loaded.clone().ok_or_else(off)
    };
    let bar = std::cell::OnceCell::new();
    let is_shown = Display::choose(context.progress) == Display::Bar;
    let mut on_start = |outcome: &Prognosis| {
        if is_shown && outcome.vectors_lost > 0 {
            bar.get_or_init(|| progress::bar(outcome.vectors_lost as u64, EMBEDDING));
        }
    };
    let mut on_vectors = |more: usize| {
        if let Some(bar) = bar.get() {
            bar.inc(more as u64);
        }
    };
    let means = Means {
        settings: index_settings(&context.config),
        embedder: &mut embedder,
        on_start: &mut on_start,
        on_vectors: &mut on_vectors,
    };
    let repaired = repair::repair(&folder, means, cancel);
    if let Some(bar) = bar.get() {
        bar.finish_and_clear();
    }
    match repaired.and_then(|repaired| Ok((repaired, repair::repair_derived(&folder, cancel)?))) {
        Ok((repaired, derived)) => {
            for path in &derived.states {
                let message = format!(
                    "{} was damaged or missing and is left out; what it held is read again by a \
                     running service or the next `cairn index`",
                    path.display()
                );
                note(findings, Severity::Ok, &subject, message);
            }
            if let Some(list) = &derived.list {
                let message = format!("{} is written again", list.display());
                note(findings, Severity::Ok, &subject, message);
            }
            let Some(repaired) = repaired else {
                return Ok(());
            };
            let message = format!(
                "repaired, generation {}: {}",
                repaired.generation,
                describe(&repaired.outcome, context.json)
            );
            let severity = match repaired.outcome.loses_nothing() {
                true => Severity::Ok,
                false => Severity::Warning,
            };
            note(findings, severity, &subject, message);
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error.into()),
        Err(error) => {
            let message = format!("not repaired: {error}");
            note(findings, Severity::Error, &subject, message);
        }
    }
    Ok(())
}

/// What is kept and what is lost, in one sentence each.
pub(super) fn describe(outcome: &Prognosis, all: bool) -> String {
    let mut said = vec![format!(
        "{} kept ({} as they are, {} with words read again)",
        count(outcome.kept(), "document"),
        outcome.untouched,
        outcome.read_again
    )];
    if outcome.vectors_lost > 0 {
        let vectors = count(outcome.vectors_lost, "lost vector");
        said.push(format!("{vectors} made again"));
    }
    if outcome.loses_nothing() {
        said.push("nothing lost".into());
    }
    if !outcome.lost.is_empty() {
        let named = |lost: &LostDocument| {
            let name = lost.uri.clone().unwrap_or_else(|| lost.id.to_string());
            format!("{name} ({})", lost.why)
        };
        let most = if all { usize::MAX } else { MAX_NAMED };
        let names: Vec<String> = outcome.lost.iter().take(most).map(named).collect();
        let more = outcome.lost.len() - names.len();
        let more = match more {
            0 => String::new(),
            more => format!(", and {more} more (`--json` names all)"),
        };
        let lost = count(outcome.lost.len(), "document");
        said.push(format!("{lost} lost: {}{more}", names.join(", ")));
    }
    if outcome.nameless_chunks > 0 {
        let chunks = count(outcome.nameless_chunks, "chunk");
        said.push(format!(
            "{chunks} lost of documents whose names are lost too"
        ));
    }
    if outcome.without_description {
        said.push(
            "the description of the last commit is lost, so what the folder holds counts; look \
             through the documents: one that was deleted just before a crash may be back"
                .into(),
        );
    }
    if !outcome.loses_nothing() && !outcome.sources.is_empty() {
        let sources: Vec<String> = outcome
            .sources
            .iter()
            .map(|path| format!("`cairn index {}`", path.display()))
            .collect();
        let from = sources.join(", ");
        said.push(format!(
            "what was lost of indexed files is there again after {from}"
        ));
    }
    said.join("; ")
}
