//! A document: its text, its structure, and what is known about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Facts about a document that filters can ask for.
pub type Metadata = BTreeMap<String, serde_json::Value>;

/// Names that stand for the document and its passages themselves: in filters, in results
/// and in what labels allow. A fact of that name would speak for them, so there is none.
pub const RESERVED_NAMES: [&str; 8] = [
    "chunk_id",
    "collection",
    "document_id",
    "id",
    "label",
    "labels",
    "title",
    "uri",
];

/// Whether `name` is one of [`RESERVED_NAMES`], however it is written: what looks the
/// same to people is taken for the same.
pub fn is_reserved_name(name: &str) -> bool {
    let name = name.trim().to_lowercase().replace(['-', ' '], "_");
    RESERVED_NAMES.contains(&name.as_str())
}

/// Stable identity of a document: 64 bits of the BLAKE3 hash of its URI,
/// printed as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId(pub u64);

impl DocumentId {
    /// The id of the document at `uri`.
    pub fn of_uri(uri: &str) -> Self {
        let hash = blake3::hash(uri.as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_be_bytes(bytes))
    }

    /// Reads what [`fmt::Display`] prints.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 16 {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One parsed document. All offsets are bytes of `text`, on character bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Where it came from: a path relative to the indexed folder with `/`, a
    /// `file://` or other URI, or a name that the caller chose.
    pub uri: String,
    /// Its title: from front matter, a title element, the first heading, or
    /// the file name. Never empty after parsing.
    pub title: String,
    /// The text that is searched and cited.
    pub text: String,
    /// Headings and where their sections lie, in the order of their starts.
    pub sections: Vec<Section>,
    /// Pages, for formats that have them, in order.
    pub pages: Vec<Page>,
    /// Tables whose columns have names, in order; none inside another.
    pub tables: Vec<Table>,
    /// Blocks of code and other text that stands as it was typed, where the format marks
    /// them, in order.
    #[serde(default)]
    pub code_blocks: Vec<Range<usize>>,
    /// Facts for filters: `language`, `date`, `author`, `format`, front matter.
    pub metadata: Metadata,
    /// Labels of its readers; empty for everyone. The index's `Access` decides.
    pub labels: BTreeSet<String>,
    /// What could not be read and was left out, for the report of the run that
    /// parsed it. Not stored.
    pub warnings: Vec<String>,
}

impl Document {
    /// The document's identity.
    pub fn id(&self) -> DocumentId {
        DocumentId::of_uri(&self.uri)
    }
}

/// A heading and the text under it, sub-sections included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The heading's text, on one line.
    pub heading: String,
    /// 1 is the outermost level.
    pub level: u8,
    /// From the heading to the end of the section.
    pub span: Range<usize>,
}

/// One page of a paged format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Counted from 1.
    pub number: u32,
    /// The text of the page.
    pub span: Range<usize>,
}

/// A table and what its columns are called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its header as it stands in the text, a line for each row of it; cut between two
    /// columns where it is very long.
    pub columns: String,
    /// From the header to the last row.
    pub span: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_known_in_any_spelling() {
        for name in RESERVED_NAMES {
            assert!(is_reserved_name(name));
            assert!(is_reserved_name(&format!(" {} ", name.to_uppercase())));
        }
        assert!(is_reserved_name("Document-ID") && is_reserved_name("chunk id"));
        for name in [
            "", "ident", "titles", "subtitle", "labels.a", "author", "format",
        ] {
            assert!(!is_reserved_name(name), "{name}");
        }
    }
}
