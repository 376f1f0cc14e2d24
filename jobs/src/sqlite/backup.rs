//! A copy of the queue that can be taken while it is used.

use std::path::Path;
use std::sync::Arc;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::open::{self, FILE};
use super::{SqliteQueue, blocking};
use crate::error::{Error, Result};
use crate::options::Options;

impl SqliteQueue {
    /// Copies the queue in the folder `from` as it stands at one moment into the folder `to`,
    /// which has none, also while others write to it; whether there is one.
    ///
    /// # Errors
    /// When it cannot be read, or the copy cannot be written.
    pub async fn back_up(from: &Path, to: &Path) -> Result<bool> {
        let (from, to) = (from.join(FILE), to.to_owned());
        blocking(move || match from.exists() {
            true => copy(&from, &to).map(|()| true),
            false => Ok(false),
        })
        .await
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let target = to.join(FILE);
    let cannot_write = |cause| Error::Folder {
        path: to.to_owned(),
        cause: Arc::new(cause),
    };
    cairn_files::private::file(&target).map_err(cannot_write)?;
    // Reading needs no right to write, but for the shared memory alongside the file.
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|cause| open::failed(from, cause))?;
    let step = || {
        source.busy_timeout(Options::default().busy)?;
        let mut copied = Connection::open(&target)?;
        {
            let backup = Backup::new(&source, &mut copied)?;
            // All pages in one step, and so from one moment: writers are not kept waiting, since
            // their pages go to the log.
            match backup.step(-1)? {
                StepResult::Done => {}
                _ => return Err(busy()),
            }
        }
        copied.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
    };
    let said = step().map_err(|cause| open::failed(from, cause))?;
    if said != "ok" {
        return Err(Error::Damaged {
            path: from.to_owned(),
            said,
        });
    }
    let sync = || {
        std::fs::File::open(&target)?.sync_all()?;
        cairn_files::sync_folder(to)
    };
    sync().map_err(cannot_write)
}

/// What SQLite says when it did not get to the file in time.
fn busy() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(code, None)
}
