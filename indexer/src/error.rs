//! What can go wrong with documents and the index, and whose move it is.

use std::fmt;
use std::path::PathBuf;

/// The result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file or request cannot be used as it is: fix the input.
    InvalidInput,
    /// The format is not one that Cairn reads (binary, image, archive).
    Unsupported,
    /// The document is larger than the limit, or unfolds to more than it.
    TooLarge,
    /// The document needs a password.
    Encrypted,
    /// The reader of documents took more time or memory than it may, or crashed: what was
    /// indexed of the file before stays.
    ParserStopped,
    /// No such file, document or collection.
    NotFound,
    /// Another process writes to this index.
    Locked,
    /// The index was made with another model or format: re-index.
    Mismatch,
    /// Bytes on disk are not what was written: run `cairn doctor`.
    Corrupt,
    /// The machine: disk full, permissions, memory.
    Machine,
    /// The caller asked for it.
    Cancelled,
    /// The model's queue is full, or a model failed.
    Model,
    /// A defect of ours.
    Internal,
}

/// An error with a kind to act on, the file it concerns, and a message.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    path: Option<PathBuf>,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error; `message` says what happened and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            path: None,
            message: message.into(),
            source: None,
        }
    }

    /// The same error, about `path`.
    #[must_use]
    pub fn at(mut self, path: impl Into<PathBuf>) -> Self {
        self.path.get_or_insert(path.into());
        self
    }

    /// The same error; a bare file name is meant inside `dir`.
    #[must_use]
    pub(crate) fn inside(mut self, dir: &std::path::Path) -> Self {
        let is_bare = |path: &PathBuf| path.components().count() == 1;
        if let Some(bare) = self.path.take_if(|path| is_bare(path)) {
            self.path = Some(dir.join(bare));
        }
        self
    }

    /// The same error with its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file that it is about. Not for clients of the service.
    pub fn path(&self) -> Option<&std::path::Path> {
        self.path.as_deref()
    }

    /// The message alone: no path of the machine, so fit for clients.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl From<cairn_parse::Error> for Error {
    fn from(error: cairn_parse::Error) -> Self {
        let kind = match error.kind() {
            cairn_parse::ErrorKind::InvalidInput => ErrorKind::InvalidInput,
            cairn_parse::ErrorKind::Unsupported => ErrorKind::Unsupported,
            cairn_parse::ErrorKind::TooLarge => ErrorKind::TooLarge,
            cairn_parse::ErrorKind::Encrypted => ErrorKind::Encrypted,
            cairn_parse::ErrorKind::TimedOut => ErrorKind::ParserStopped,
            cairn_parse::ErrorKind::Machine => ErrorKind::Machine,
        };
        Self::new(kind, error.message())
    }
}

impl From<cairn_models::Error> for Error {
    fn from(error: cairn_models::Error) -> Self {
        let kind = match error.kind() {
            cairn_models::ErrorKind::Cancelled => ErrorKind::Cancelled,
            _ => ErrorKind::Model,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let (kind, message) = match error.kind() {
            std::io::ErrorKind::NotFound => (ErrorKind::NotFound, "no such file or folder"),
            std::io::ErrorKind::PermissionDenied => (
                ErrorKind::Machine,
                "permission denied; run as a user who may read and write there",
            ),
            std::io::ErrorKind::ReadOnlyFilesystem => (
                ErrorKind::Machine,
                "the file system is read-only: what is there can be searched, and nothing be \
                 changed",
            ),
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => (
                ErrorKind::Machine,
                "the disk is full; free some space and run the command again",
            ),
            _ => (ErrorKind::Machine, "input or output failed"),
        };
        Self::new(kind, message).because(error)
    }
}
