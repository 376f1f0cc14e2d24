//! Helpers shared by the tests of this module.

use crate::retrieve::{Ranks, Source};

/// Source `n` with this text, from its own document.
pub(super) fn source(n: u32, text: &str) -> Source {
    Source {
        n,
        chunk_id: format!("{n:016x}-0000"),
        document_id: format!("{n:016x}"),
        uri: format!("doc{n}.md"),
        title: format!("Page {}", char::from(b'A' + n as u8)),
        heading_path: Vec::new(),
        page: None,
        pages: Vec::new(),
        columns: None,
        code_blocks: Vec::new(),
        start: 0,
        end: text.len(),
        text: text.into(),
        score: 1.0 / n as f32,
        cosine: Some(0.8),
        copies: 0,
        ranks: Ranks::default(),
    }
}
