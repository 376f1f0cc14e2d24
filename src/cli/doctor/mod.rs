//! `cairn doctor`: what is wrong with this installation, and what to do.

mod databases;
mod repair;
mod uploads;

use std::path::Path;

use cairn_files::private;
use cairn_indexer::doctor;
use cairn_models::{Hub, State};
use serde::Serialize;

use super::context::Context;
use super::indexing::count;
use super::{Outcome, output};
use cairn_engine::retrieve::Engine;
use cairn_gateway::accounts::{Keys, KeysState};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Severity {
    /// As it should be.
    Ok,
    /// Works, but somebody may want to know.
    Warning,
    /// Does not work.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    severity: Severity,
    /// What was looked at, e.g. `collection main`.
    subject: String,
    /// What was found and what to do.
    message: String,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Diagnosis {
    ok: bool,
    findings: Vec<Finding>,
}

/// What to do alongside looking.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Repair damaged collections and databases; without this flag, doctor only reports what a
    /// repair would keep and lose
    #[arg(long)]
    repair: bool,
}

/// Looks at everything; fails when there is an error among the findings.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<Outcome> {
    let mut findings = Vec::new();
    let engine = Engine::new(&context.config, None, None)?;
    if args.repair {
        repair::run(context, &engine, &mut findings)?;
    }
    check_configuration(context, &mut findings);
    check_data_folder(&context.config.storage.data_dir, &mut findings);
    let whole = databases::check(&context.config.storage.data_dir, &mut findings);
    if whole.accounts {
        check_keys(&context.config.storage.data_dir, &mut findings);
    }
    uploads::check(&context.config, whole, &mut findings);
    check_collections(&engine, &mut findings)?;
    check_device(context, &mut findings);
    check_models(context, &Hub::new(None)?, &mut findings);
    let ok = findings
        .iter()
        .all(|finding| finding.severity != Severity::Error);
    if context.json {
        output::json(&Diagnosis { ok, findings })?;
    } else {
        for finding in &findings {
            output::line(line(context, finding))?;
        }
    }
    Ok(if ok { Outcome::Done } else { Outcome::Failed })
}

fn line(context: &Context, finding: &Finding) -> String {
    let palette = &context.palette;
    let (style, word) = match finding.severity {
        Severity::Ok => (&palette.good, "ok     "),
        Severity::Warning => (&palette.warn, "warning"),
        Severity::Error => (&palette.bad, "error  "),
    };
    format!(
        "{}  {}: {}",
        style.apply_to(word),
        finding.subject,
        finding.message
    )
}

fn note(
    findings: &mut Vec<Finding>,
    severity: Severity,
    subject: &str,
    message: impl Into<String>,
) {
    findings.push(Finding {
        severity,
        subject: subject.to_owned(),
        message: message.into(),
    });
}

fn check_data_folder(folder: &Path, findings: &mut Vec<Finding>) {
    let subject = format!("data folder {}", folder.display());
    if !folder.exists() {
        note(
            findings,
            Severity::Warning,
            &subject,
            "not there yet; `cairn index DIR` makes it",
        );
        return;
    }
    if private::is_read_only(folder) {
        let message = "cannot be written; what is there can be searched, and nothing be changed";
        note(findings, Severity::Warning, &subject, message);
        return;
    }
    match tempfile::tempfile_in(folder) {
        Ok(_) => note(findings, Severity::Ok, &subject, "can be written"),
        Err(error) => {
            let message = format!("cannot be written ({error}); check its owner and free space");
            note(findings, Severity::Error, &subject, message);
        }
    }
}

/// What was read from where.
fn check_configuration(context: &Context, findings: &mut Vec<Finding>) {
    let (severity, message) = match context.layers.warning() {
        Some(warning) => (Severity::Warning, warning),
        None => (Severity::Ok, context.layers.describe()),
    };
    note(findings, severity, "configuration", message);
}

/// Whether it is still known that keys are required.
fn check_keys(data_dir: &Path, findings: &mut Vec<Finding>) {
    let (severity, message) = match Keys::state(data_dir) {
        KeysState::Open => (
            Severity::Ok,
            "none is required: anyone who reaches the service may do everything".to_owned(),
        ),
        KeysState::Required { active: 0 } => (
            Severity::Warning,
            "required, and none works: all are revoked or expired; `cairn keys create` makes one"
                .to_owned(),
        ),
        KeysState::Required { active } => (
            Severity::Ok,
            format!("required; {} active", count(active, "key")),
        ),
        KeysState::Lost(error) => (Severity::Error, error.to_string()),
    };
    note(findings, severity, "API keys", message);
}

fn check_collections(engine: &Engine, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    for name in engine.collections()? {
        let subject = format!("collection {name}");
        let diagnosis = doctor::check(&engine.collection_folder(&name)?)?;
        for found in &diagnosis.findings {
            let severity = match found.severity {
                doctor::Severity::Note => Severity::Ok,
                doctor::Severity::Warning => Severity::Warning,
                doctor::Severity::Error => Severity::Error,
            };
            let mut message = found.what.clone();
            if let Some(file) = &found.file {
                message = format!("{}: {message}", file.display());
            }
            if let Some(advice) = &found.advice {
                message = format!("{message}; {advice}");
            }
            note(findings, severity, &subject, message);
        }
        if let Some(outcome) = &diagnosis.repair {
            let message = format!(
                "`cairn doctor --repair` would come to this: {}",
                repair::describe(outcome, false)
            );
            note(findings, Severity::Warning, &subject, message);
        }
        if diagnosis.is_healthy() {
            let message = format!(
                "{} in {}, generation {}: all were read",
                count(diagnosis.chunks, "chunk"),
                count(diagnosis.documents, "document"),
                diagnosis.generation,
            );
            note(findings, Severity::Ok, &subject, message);
            check_settings(engine, &name, &subject, findings);
        }
    }
    Ok(())
}

/// Whether a healthy collection can be opened with the settings of today.
fn check_settings(engine: &Engine, name: &str, subject: &str, findings: &mut Vec<Finding>) {
    if let Err(error) = engine.collection(name) {
        let cause = std::error::Error::source(&error);
        let message = cause.map_or_else(|| error.to_string(), ToString::to_string);
        note(findings, Severity::Error, subject, message);
    }
}

/// Where the encoders run, or why they do not.
fn check_device(context: &Context, findings: &mut Vec<Finding>) {
    let choice = context.config.models.device;
    let subject = format!("device \"{choice}\"");
    match choice.find() {
        Ok(name) => note(findings, Severity::Ok, &subject, name),
        Err(error) => note(findings, Severity::Error, &subject, error.to_string()),
    }
}

fn check_models(context: &Context, hub: &Hub, findings: &mut Vec<Finding>) {
    let configured = super::models::configured(context);
    for status in hub.list() {
        if !configured.contains(&&*status.id) {
            continue;
        }
        let subject = format!("model {}", status.id);
        let pull = format!("run `cairn models pull {}`", status.id);
        match status.state {
            State::Missing => {
                let message = format!("not here; it is fetched at its first use, or {pull}");
                note(findings, Severity::Warning, &subject, message);
            }
            State::Damaged => {
                note(
                    findings,
                    Severity::Error,
                    &subject,
                    format!("damaged; {pull}"),
                );
            }
            State::Ready | State::Builtin => match hub.verify(&status.id) {
                Ok(()) => note(
                    findings,
                    Severity::Ok,
                    &subject,
                    "its bytes are as published",
                ),
                Err(error) => note(findings, Severity::Error, &subject, error.to_string()),
            },
        }
    }
}
