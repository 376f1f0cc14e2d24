//! Uploaded files, and uploads that wait for a job.

use std::io;
use std::path::{Path, PathBuf};

use cairn_files::private;
use cairn_gateway::accounts::{Keys, KeysState};
use cairn_jobs::{Options, SqliteQueue};
use cairn_settings::config::{Config, JobsBackend};

use super::databases::Whole;
use super::{Finding, Severity, note};
use crate::cli::indexing::count;
use crate::cli::serve;
use crate::ingest::{spool, uploads};

const FILES: &str = "uploaded files";
const WAITING: &str = "uploads that wait";

pub(super) fn check(config: &Config, whole: Whole, findings: &mut Vec<Finding>) {
    let data = &config.storage.data_dir;
    check_files(data, whole, findings);
    check_waiting(config, whole, findings);
}

fn check_files(data: &Path, whole: Whole, findings: &mut Vec<Finding>) {
    let found = match uploads::examine(data) {
        Ok(found) => found,
        Err(error) => return note(findings, Severity::Error, FILES, unreadable(&error)),
    };
    for file in &found.damaged {
        let name = file.name.as_deref().unwrap_or("a file without a name");
        let message = format!(
            "{name} ({}): {}; upload it again. `cairn doctor --repair` puts it aside",
            file.path.display(),
            file.what
        );
        note(findings, Severity::Error, FILES, message);
    }
    if found.whole > 0 {
        let message = format!("{} read", count(found.whole, "file"));
        note(findings, Severity::Ok, FILES, message);
    }
    if found.has_keys && whole.accounts && matches!(Keys::state(data), KeysState::Open) {
        let message = "some were uploaded with API keys, and there are no keys: unless `cairn keys \
                       open` deleted them, they are lost and the service is open to everybody; \
                       restore a backup, or make a key with `cairn keys create`";
        note(findings, Severity::Warning, "API keys", message);
    }
}

fn check_waiting(config: &Config, whole: Whole, findings: &mut Vec<Finding>) {
    let data = &config.storage.data_dir;
    let (waiting, damaged) = match spool::examine(data) {
        Ok(found) => found,
        Err(error) => return note(findings, Severity::Error, WAITING, unreadable(&error)),
    };
    for (path, what) in &damaged {
        let message = format!(
            "{} is damaged ({what}), and its job fails; upload the files again. `cairn doctor \
             --repair` puts it aside",
            path.display()
        );
        note(findings, Severity::Error, WAITING, message);
    }
    if config.jobs.backend != JobsBackend::Sqlite {
        return;
    }
    if waiting > 0 && !data.join(cairn_jobs::FILE).exists() {
        let message = format!(
            "there is {} for a job, and {} is missing: restore it from a backup, or upload the \
             files again",
            count(waiting, "upload"),
            cairn_jobs::FILE
        );
        note(findings, Severity::Error, WAITING, message);
    } else if whole.jobs && !private::is_read_only(data) {
        match missing(data) {
            Ok(0) => {}
            Ok(missing) => {
                let message = format!(
                    "the files of {} that is to run or failed are missing; upload them again",
                    count(missing, "job")
                );
                note(findings, Severity::Error, WAITING, message);
            }
            Err(error) => note(findings, Severity::Error, WAITING, format!("{error:#}")),
        }
    }
}

/// How many uploads that jobs wait for are not there.
fn missing(data: &Path) -> anyhow::Result<usize> {
    serve::runtime()?.block_on(async {
        let queue = SqliteQueue::open(data, Options::default()).await?;
        Ok(spool::count_missing(data, &queue).await?)
    })
}

/// Puts aside what is damaged.
pub(super) fn repair(data: &Path, findings: &mut Vec<Finding>) {
    let files = uploads::examine(data).map(|found| found.damaged);
    let waiting = spool::examine(data).map(|(_, damaged)| damaged);
    for (subject, done) in [
        (FILES, put_aside(data, files, uploads::set_aside)),
        (WAITING, put_aside(data, waiting, spool::set_aside)),
    ] {
        match done {
            Ok(None) => {}
            Ok(Some((many, to))) => {
                let message = format!(
                    "{} put aside in {}; upload what is still needed again",
                    count(many, "damaged file"),
                    to.display()
                );
                note(findings, Severity::Warning, subject, message);
            }
            Err(error) => note(findings, Severity::Error, subject, error.to_string()),
        }
    }
}

/// How many damaged files were put aside, and where to; `None` if none is damaged.
fn put_aside<T>(
    data: &Path,
    damaged: io::Result<Vec<T>>,
    set_aside: impl FnOnce(&Path, &[T]) -> io::Result<PathBuf>,
) -> io::Result<Option<(usize, PathBuf)>> {
    let damaged = damaged?;
    match damaged.is_empty() {
        true => Ok(None),
        false => set_aside(data, &damaged).map(|to| Some((damaged.len(), to))),
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read ({error}); see to the disk or the permissions")
}
