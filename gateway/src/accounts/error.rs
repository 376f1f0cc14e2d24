//! What can go wrong with keys, limits and the ledger.

use std::path::PathBuf;
use std::time::Duration;

use super::headers::RateHeaders;

/// The database of the gateway cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// It cannot be opened, read or written.
    #[error(
        "the gateway's database {} cannot be used: {cause}; check the disk and the file's \
         permissions, restore it from a backup, or move it away and make new keys with `cairn keys \
         create`", path.display()
    )]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        cause: rusqlite::Error,
    },
    /// A newer Cairn made it.
    #[error(
        "the gateway's database {} was made by a newer Cairn (format {found}, this one reads {known}); \
         use that version", path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
    /// An older Cairn made it, in a folder that cannot be written.
    #[error(
        "the gateway's database {} was made by an older Cairn (format {found}), and its folder cannot \
         be written; start Cairn once where it can", path.display()
    )]
    TooOld {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its log holds changes, in a folder that cannot be written.
    #[error(
        "{} holds changes of API keys or of the ledger that are not in the database yet, and its \
         folder cannot be written; start Cairn once where it can, or restore a backup there",
        path.display()
    )]
    UnfinishedLog {
        /// The log.
        path: PathBuf,
    },
    /// Its folder cannot be made.
    #[error("the data folder {} cannot be made: {cause}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Keys are required, and there are none.
    #[error(
        "API keys are required for this data folder, but the database that holds them, {}, \
         {problem}; restore gateway.sqlite from a backup, make new keys with `cairn keys create`, or \
         open the service to everybody on purpose with `cairn keys open --yes`", path.display()
    )]
    KeysLost {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The note that keys are required cannot be made or removed.
    #[error(
        "whether API keys are required cannot be noted in {}: {cause}; check the disk and the \
         folder's permissions", path.display()
    )]
    Marker {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The machine has no thread for the ledger.
    #[error("the machine has no thread for the ledger: {0}")]
    Thread(std::io::Error),
    /// A key's settings make no sense.
    #[error("{0}")]
    Invalid(String),
    /// No such key.
    #[error("there is no key `{0}`; `cairn keys list` shows the ids")]
    NoKey(String),
}

/// Why a key is not accepted. The messages are for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It was never made here, or mistyped.
    #[error("this API key is not known; check that it was copied whole")]
    Unknown,
    /// Its time is over.
    #[error("this API key has expired; ask the operator for a new one")]
    Expired,
    /// It was taken back.
    #[error("this API key was revoked; ask the operator for a new one")]
    Revoked,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// Requests a minute.
    Requests,
    /// Calls at the same time.
    Streams,
    /// Tokens a minute.
    Tokens,
    /// One call asks for more tokens than a minute has.
    TooLarge,
    /// Tokens or money of the day.
    Day,
    /// Tokens or money of the month.
    Month,
    /// What is left of a budget may be taken by calls under way.
    Held,
}

impl LimitKind {
    /// As it stands in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Streams => "streams",
            Self::Tokens => "tokens",
            Self::TooLarge => "too_large",
            Self::Day => "day",
            Self::Month => "month",
            Self::Held => "held",
        }
    }

    /// Whether money or tokens are spent, which waiting a minute does not cure.
    pub fn is_budget(self) -> bool {
        matches!(self, Self::Day | Self::Month)
    }
}

/// A limit of the key is reached. The message is for clients.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct LimitError {
    /// Which one.
    pub kind: LimitKind,
    /// What is reached, and when it is free again.
    pub message: String,
    /// How long to wait; `None` if waiting does not help.
    pub retry_after: Option<Duration>,
    /// How the limits stand.
    pub headers: RateHeaders,
}
