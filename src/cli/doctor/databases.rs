//! Keys, ledger, cached answers and jobs.

use std::path::Path;

use cairn_gateway::{DatabaseCheck, DatabaseKind, check_database, check_databases};

use super::{Finding, Severity, note};

/// The queue of jobs, where there is one.
pub(super) fn jobs(folder: &Path) -> Option<DatabaseCheck> {
    check_database(&folder.join(cairn_jobs::FILE), DatabaseKind::Other)
}

pub(super) fn check(folder: &Path, findings: &mut Vec<Finding>) {
    for checked in check_databases(folder).into_iter().chain(jobs(folder)) {
        let subject = format!("database {}", checked.file.display());
        let Some(fault) = checked.fault else {
            note(findings, Severity::Ok, &subject, "all of it was read");
            continue;
        };
        let what = match checked.kind {
            DatabaseKind::Cache => {
                "`cairn doctor --repair` deletes it: it holds cached answers only"
            }
            DatabaseKind::Accounts => {
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
}
