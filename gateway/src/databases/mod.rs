//! Whether the SQLite files of a data folder are whole, and what can be saved of those that
//! are not.
//!
//! SQLite keeps no checksums of its pages, and passes over a log that is not whole without a
//! word. So more than its own examination is asked for: the [`header`] of the file, the
//! [`log`] alongside it, the tables that a [`Blueprint`] names, and every row. A changed
//! letter in a text goes unnoticed unless the text is a name.

mod blueprint;
mod check;
mod header;
mod image;
mod log;
mod rows;
mod salvage;
#[cfg(test)]
mod tests;

pub use blueprint::Blueprint;
pub use check::{DatabaseCheck, DatabaseKind, check_database, check_databases};
pub use salvage::{Salvage, SalvageError, SavedTable, remove_stale, repair_databases, salvage};

use std::path::{Path, PathBuf};

/// The file alongside `file` whose name ends so, such as its log.
fn with_end(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}
