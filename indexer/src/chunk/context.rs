//! What stands before a chunk's text when it is embedded and indexed: the
//! title, the headings above it, and the columns of the table that it continues.

use cairn_models::Embedder;

use crate::{Document, Result};

/// Most tokens of the context in front of a chunk. Less than the default
/// overlap, so that what it pushes out of the window is in the next chunk.
pub(crate) const CONTEXT_TOKENS: usize = 48;

/// How far a chunk is looked into for the heading that it opens with.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Walks the sections of a document in step with its chunks.
pub(crate) struct Headings<'a> {
    document: &'a Document,
    next: usize,
    open: Vec<usize>,
}

impl<'a> Headings<'a> {
    pub(crate) fn new(document: &'a Document) -> Self {
        Self {
            document,
            next: 0,
            open: Vec::new(),
        }
    }

    /// Headings of the sections around `byte`, outermost first, without one
    /// that says what the title says. `byte` never goes back.
    pub(crate) fn path(&mut self, byte: usize) -> Vec<String> {
        let sections = &self.document.sections;
        while sections
            .get(self.next)
            .is_some_and(|section| section.span.start <= byte)
        {
            self.open.push(self.next);
            self.next += 1;
        }
        self.open.retain(|&at| sections[at].span.end > byte);
        self.open
            .iter()
            .map(|&at| sections[at].heading.trim())
            .filter(|heading| !heading.is_empty() && !same(heading, &self.document.title))
            .map(String::from)
            .collect()
    }
}

fn same(a: &str, b: &str) -> bool {
    a.trim().eq_ignore_ascii_case(b.trim())
}

/// Columns of the table that a chunk from `byte` on begins inside of, below the header:
/// its rows mean nothing without.
pub(crate) fn columns(document: &Document, byte: usize) -> Option<&str> {
    let tables = &document.tables;
    let after = tables.partition_point(|table| table.span.start < byte);
    let table = &tables[after.checked_sub(1)?];
    (byte < table.span.end).then_some(&*table.columns)
}

/// Title, headings and columns, one on a line, without those that `text` itself starts
/// with: a chunk that opens with its heading does not need it twice.
pub(crate) fn context(
    title: &str,
    heading_path: &[String],
    columns: Option<&str>,
    text: &str,
) -> String {
    // The rest of a document: what a chunk opens with is at its start.
    let head = &text[..text.floor_char_boundary(MAX_HEAD_BYTES)];
    let head = head.trim_start_matches(|c: char| !c.is_alphanumeric());
    let parts: Vec<_> = std::iter::once(title)
        .chain(heading_path.iter().map(String::as_str))
        .chain(columns)
        .map(str::trim)
        .filter(|part| !part.is_empty() && !starts_with(head, part))
        .collect();
    parts.join("\n")
}

fn starts_with(text: &str, part: &str) -> bool {
    let part = part.trim_start_matches(|c: char| !c.is_alphanumeric());
    text.get(..part.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(part))
}

/// The first tokens of a context, at most `limit`, and how many they are.
pub(crate) fn shortened<'a>(
    context: &'a str,
    embedder: &dyn Embedder,
    limit: usize,
) -> Result<(&'a str, usize)> {
    let spans = embedder.token_spans(context)?;
    let cut = (1..=limit.min(spans.len())).rev().find(|&token| {
        spans
            .get(token)
            .is_none_or(|next| context.is_char_boundary(next.start))
    });
    Ok(match cut {
        None => ("", 0),
        Some(tokens) => {
            let end = spans.get(tokens).map_or(context.len(), |next| next.start);
            (context[..end].trim_end(), tokens)
        }
    })
}
