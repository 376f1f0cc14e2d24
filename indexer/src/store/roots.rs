//! What a collection remembers of the files and folders it was made from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ErrorKind;

/// Most failures that are remembered for one root; the others are tried again.
const MAX_KNOWN_FAILURES: usize = 10_000;

/// An indexed file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Root {
    /// Its canonical path.
    pub(crate) path: PathBuf,
    /// Files that could not be parsed, by URI.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) failed: BTreeMap<String, KnownFailure>,
}

/// A file that could not be parsed, and what it was like then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownFailure {
    pub(crate) bytes: u64,
    pub(crate) modified_ns: i128,
    /// As [`crate::Fingerprint::inputs`].
    pub(crate) inputs: String,
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl Root {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            failed: BTreeMap::new(),
        }
    }

    pub(crate) fn note_failure(&mut self, uri: &str, failure: KnownFailure) {
        if self.failed.len() < MAX_KNOWN_FAILURES || self.failed.contains_key(uri) {
            self.failed.insert(uri.to_owned(), failure);
        }
    }
}
