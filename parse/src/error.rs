//! Why a document could not be read.

/// The result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ErrorKind {
    /// The content is not what its format asks for: fix the file.
    InvalidInput,
    /// The format is not one that Cairn reads (binary, image, archive).
    Unsupported,
    /// The document is larger than a limit, or unfolds to more than it.
    TooLarge,
    /// The document needs a password.
    Encrypted,
    /// Reading it takes more time than it may: how much depends on the machine too.
    TimedOut,
    /// The machine: a library that is missing, threads.
    Machine,
}

/// An error with a kind to act on and a message for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// A new error; `message` says what happened and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What a caller can act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}
