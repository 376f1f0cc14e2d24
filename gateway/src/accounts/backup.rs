//! A copy of the keys and the ledger, taken while a service writes to them.

use std::path::Path;

use super::database::{FILE, open_existing};
use super::{AccountsError, required};

/// Copies the database of the data folder `from`, and the note that keys are required,
/// into the folder `to`. Returns whether there is a database.
///
/// # Errors
/// When it cannot be read, or the copy cannot be written.
pub fn back_up(from: &Path, to: &Path) -> Result<bool, AccountsError> {
    if required::is_set(from) {
        required::set(to)?;
    }
    let Some(connection) = open_existing(from)? else {
        return Ok(false);
    };
    let target = to.join(FILE);
    // One read transaction: what is written meanwhile is not in the copy.
    connection
        .execute("VACUUM INTO ?1", [target.to_string_lossy()])
        .map_err(|cause| AccountsError::Database {
            path: target.clone(),
            cause,
        })?;
    let sync = || {
        std::fs::File::open(&target)?.sync_all()?;
        cairn_files::sync_folder(to)
    };
    sync().map_err(|cause| AccountsError::Folder {
        path: target.clone(),
        cause,
    })?;
    Ok(true)
}
