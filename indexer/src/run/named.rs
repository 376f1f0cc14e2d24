//! Files that the caller named, one by one: what a folder may leave out without a word
//! is an error where somebody asked for that very file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::ErrorKind;
use crate::walk::{SkipReason, SkippedFile, Walk};

use super::FileFailure;

/// Why a named file is in no list of a walk.
const LEFT_OUT: &str = "it is hidden, or .gitignore or .cairnignore leaves it out; index it \
                        without the folder around it, or change its name or what is ignored";

/// The files among the roots of a run, by their real paths.
#[derive(Debug, Default)]
pub(super) struct Named(HashMap<PathBuf, PathBuf>);

impl Named {
    pub(super) fn of(roots: &[PathBuf]) -> Self {
        let real = |root: &PathBuf| Some((root.canonicalize().ok()?, root.clone()));
        let files = roots.iter().filter(|root| root.is_file());
        Self(files.filter_map(real).collect())
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        // Folders have many files, and mostly none is named.
        !self.0.is_empty()
            && path
                .canonicalize()
                .is_ok_and(|real| self.0.contains_key(&real))
    }

    /// The failure that skipping `file` is, if it is one.
    pub(super) fn failure(&self, file: &SkippedFile) -> Option<FileFailure> {
        let is_named = self.contains(&file.path);
        let kind = match file.reason {
            SkipReason::TooLarge => ErrorKind::TooLarge,
            SkipReason::Unreadable => ErrorKind::Machine,
            SkipReason::Empty if is_named => ErrorKind::InvalidInput,
            _ if is_named => ErrorKind::Unsupported,
            _ => return None,
        };
        let advice = match file.reason {
            SkipReason::TooLarge => "split it, or raise indexing.max_file_mb",
            SkipReason::Unreadable => "check who may read it",
            SkipReason::Empty => "there is nothing to index",
            SkipReason::Symlink => "name the file that it leads to",
            _ => "Cairn does not read it; convert it to text first",
        };
        Some(FileFailure {
            path: file.path.display().to_string(),
            kind,
            message: format!("{}; {advice}", file.detail),
        })
    }

    /// Named files inside of named folders that the `walks` left out without a word.
    pub(super) fn left_out<'a>(&self, walks: impl Iterator<Item = &'a Walk>) -> Vec<FileFailure> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut missing = self.0.clone();
        for walk in walks {
            let found = walk.files.iter().map(|file| &file.path);
            for path in found.chain(walk.skipped.iter().map(|file| &file.path)) {
                if let Ok(real) = path.canonicalize() {
                    missing.remove(&real);
                }
            }
        }
        let mut missing: Vec<_> = missing.into_values().collect();
        missing.sort();
        let failure = |path: PathBuf| FileFailure {
            path: path.display().to_string(),
            kind: ErrorKind::InvalidInput,
            message: LEFT_OUT.to_owned(),
        };
        missing.into_iter().map(failure).collect()
    }
}
