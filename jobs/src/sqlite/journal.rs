//! The seam between the tables and whoever decides which transactions count. For one file that
//! is the file's own lock; for many machines it is a log that they share.

use rusqlite::Connection;

use crate::error::Result;

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It counts.
    Counts,
    /// Another one came before it, or may have: it is to be undone and done again.
    Overtaken,
}

/// Decides which transactions count. The tables are a copy of what it holds.
pub(crate) trait Journal: Send {
    /// Puts the open transaction of `sql` on record, if nothing came before it.
    ///
    /// # Errors
    /// Whether it is on record may be unknown then; if it is, [`Self::catch_up`] applies it.
    fn append(&mut self, sql: &Connection) -> Result<Verdict>;

    /// Applies all that others have put on record.
    ///
    /// # Errors
    /// When it cannot be reached or read.
    fn catch_up(&mut self) -> Result<()>;

    /// Called between requests: catches up when there may be something, and is cheap when
    /// there is not.
    ///
    /// # Errors
    /// Those of [`Self::catch_up`].
    fn look(&mut self) -> Result<()>;
}
