//! What is stored of a document and who may read it: chunks and access.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Where a page begins in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageStart {
    /// The page, counted from 1.
    pub number: u32,
    /// Byte of the chunk's text.
    pub start: usize,
}

/// A piece of a document: what is embedded, found and cited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Position in the document, from 0.
    pub ordinal: u32,
    /// Exactly `document.text[span]`.
    pub text: String,
    /// Bytes of the document's text.
    pub span: Range<usize>,
    /// Headings above the chunk's start, outermost first, without the title.
    pub heading_path: Vec<String>,
    /// Page at the chunk's start.
    pub page: Option<u32>,
    /// Pages that begin behind its start, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page_starts: Vec<PageStart>,
    /// Columns of the table that the chunk begins inside of, below its header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<String>,
    /// Blocks of code: bytes of `text`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code_blocks: Vec<Range<usize>>,
    /// Tokens of `text` with the embedder's tokenizer, special tokens not
    /// counted.
    pub token_count: u32,
    /// BLAKE3 of the embedder's id, the context and the text: equal hashes have
    /// equal vectors. Hexadecimal.
    pub hash: String,
}

/// Which documents a caller may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Every document: the command line, and a service without keys.
    #[default]
    All,
    /// Documents without labels, and those that carry at least one of these.
    Labels(BTreeSet<String>),
}

impl From<Option<&BTreeSet<String>>> for Access {
    /// `None` reads everything.
    fn from(labels: Option<&BTreeSet<String>>) -> Self {
        labels.map_or(Self::All, |labels| Self::Labels(labels.clone()))
    }
}

impl Access {
    /// Whether a document with `labels` may be read.
    pub fn allows(&self, labels: &BTreeSet<String>) -> bool {
        match self {
            Self::All => true,
            Self::Labels(held) => labels.is_empty() || !held.is_disjoint(labels),
        }
    }
}
