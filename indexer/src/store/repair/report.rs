//! What a repair keeps and what it loses, said before it and after it.

use std::path::PathBuf;

use crate::DocumentId;

/// A document that cannot be put together any more.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LostDocument {
    /// Its id, as 16 hexadecimal digits.
    #[serde(serialize_with = "as_text")]
    pub id: DocumentId,
    /// Where it came from; `None` if that was lost with it.
    pub uri: Option<String>,
    /// What of it is gone.
    pub why: &'static str,
}

/// What a repair of a collection comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Prognosis {
    /// Files that are damaged or missing.
    pub files: Vec<PathBuf>,
    /// Documents that stay as they are.
    pub untouched: usize,
    /// Documents whose words are read again from their stored text.
    pub read_again: usize,
    /// Chunks whose vectors are lost: an equal chunk or the embedder gives them.
    pub vectors_lost: usize,
    /// Documents that are lost, by URI.
    pub lost: Vec<LostDocument>,
    /// Chunks of which not even the document is known.
    pub nameless_chunks: usize,
    /// The description of the last commit is gone: what is in the folder counts. A document
    /// that was deleted just before a crash may be back.
    pub without_description: bool,
    /// Indexed files and folders: what was lost of them is there after indexing them again.
    pub sources: Vec<PathBuf>,
}

impl Prognosis {
    /// Documents that are there after the repair.
    pub fn kept(&self) -> usize {
        self.untouched + self.read_again
    }

    /// Whether every document is kept.
    pub fn loses_nothing(&self) -> bool {
        self.lost.is_empty() && self.nameless_chunks == 0
    }
}

/// A repair that was made.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Repaired {
    /// What was kept and lost.
    #[serde(flatten)]
    pub outcome: Prognosis,
    /// The commit that the repair made.
    pub generation: u64,
}

fn as_text<S: serde::Serializer>(id: &DocumentId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
