//! What a run did, as the command line prints it with `--json`.

use std::collections::BTreeMap;

use crate::{ErrorKind, SkipReason};

/// What a run did.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct RunReport {
    /// The commit that holds the result.
    pub generation: u64,
    /// Files that could hold a document.
    pub files: usize,
    /// Documents that are new.
    pub added: usize,
    /// Documents that changed.
    pub updated: usize,
    /// Documents that are as they were.
    pub unchanged: usize,
    /// Documents whose file is gone or can no longer be parsed.
    pub deleted: usize,
    /// Files that hold no text, by reason.
    pub skipped: BTreeMap<SkipReason, usize>,
    /// Which files these are.
    pub skipped_files: Vec<FileSkip>,
    /// Files that should have become a document and did not.
    pub failed: Vec<FileFailure>,
    /// What could not be read of files that were, and documents whose file can no
    /// longer be parsed.
    pub warnings: Vec<FileWarning>,
    /// Folders most of whose files are gone, and whose documents were kept
    /// ([`super::RunOptions::remove_most`]).
    pub kept: Vec<KeptFolder>,
    /// Chunks of new and changed documents.
    pub chunks: usize,
    /// Chunks that the embedder read.
    pub embedded: usize,
    /// Chunks whose vector was there already.
    pub reused: usize,
    /// Time that it took.
    pub seconds: f64,
    /// Whether it was stopped before its end.
    pub cancelled: bool,
}

/// Something that was left out of a document, or taken out of the index.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileWarning {
    /// The file.
    pub path: String,
    /// What is missing and why.
    pub message: String,
}

/// A file that was found in a folder and is not one to index.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileSkip {
    /// The file.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
    /// What it is, for people.
    pub message: String,
}

/// A file that did not become a document.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileFailure {
    /// The file.
    pub path: String,
    /// Whose move it is.
    pub kind: ErrorKind,
    /// What happened and what to do.
    pub message: String,
}

/// A folder most of whose files are gone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeptFolder {
    /// The folder.
    pub path: String,
    /// The name that its documents' URIs begin with.
    pub root: String,
    /// Documents whose files are gone.
    pub gone: usize,
    /// Documents that it had.
    pub of: usize,
}
