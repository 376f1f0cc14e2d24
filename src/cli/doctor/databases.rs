//! Keys, ledger, cached answers and jobs.

use std::path::Path;

use cairn_gateway::accounts::fault_of_note;
use cairn_gateway::{Blueprint, DatabaseCheck, DatabaseKind, check_database, check_databases};

use super::{Finding, Severity, note};

/// What the queue of jobs has to look like.
pub(super) const JOBS: Blueprint<'static> = Blueprint {
    migrations: cairn_jobs::MIGRATIONS,
    is_versioned: true,
    sound: cairn_jobs::SOUND_ROWS,
    repair_sql: cairn_jobs::REPAIR_SQL,
};

/// The queue of jobs, where there is one.
pub(super) fn jobs(folder: &Path) -> Option<DatabaseCheck> {
    check_database(&folder.join(cairn_jobs::FILE), DatabaseKind::Other, &JOBS)
}

/// Which databases can be opened. One that cannot is not touched any more: SQLite would write
/// what it can read of a damaged log into the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    /// Keys and the ledger.
    pub(super) accounts: bool,
    /// The queue, which is there.
    pub(super) jobs: bool,
}

pub(super) fn check(folder: &Path, findings: &mut Vec<Finding>) -> Whole {
    let mut whole = Whole {
        accounts: true,
        jobs: false,
    };
    for checked in check_databases(folder).into_iter().chain(jobs(folder)) {
        let subject = format!("database {}", checked.file.display());
        if let Some(warning) = checked.warning {
            note(findings, Severity::Warning, &subject, warning);
        }
        if let Some(index) = checked.stale_index {
            let message = format!(
                "{} is stale or of another file; SQLite makes it again, and `cairn doctor \
                 --repair` removes it",
                index.display()
            );
            note(findings, Severity::Warning, &subject, message);
        }
        let Some(fault) = checked.fault else {
            note(findings, Severity::Ok, &subject, "all of it was read");
            whole.jobs |= checked.kind == DatabaseKind::Other;
            continue;
        };
        let what = match checked.kind {
            DatabaseKind::Cache => {
                "`cairn doctor --repair` deletes it: it holds cached answers only"
            }
            DatabaseKind::Accounts => {
                whole.accounts = false;
                "it holds the keys and the ledger: stop the service and restore a backup (`cairn \
                 restore`), or save what can be read with `cairn doctor --repair`"
            }
            DatabaseKind::Other => {
                "stop the service, and save what can be read with `cairn doctor --repair`"
            }
        };
        let message = format!("damaged ({fault}); {what}");
        note(findings, Severity::Error, &subject, message);
    }
    if let Some(fault) = fault_of_note(folder).filter(|_| whole.accounts) {
        let message = format!(
            "there are keys, and the file keys-required, which says so if they are lost, {fault}; \
             `cairn doctor --repair` writes it again"
        );
        note(findings, Severity::Warning, "API keys", message);
    }
    whole
}
