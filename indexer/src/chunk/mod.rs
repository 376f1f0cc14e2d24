//! Documents to chunks: a pure function of the document, the embedder's
//! tokenizer and the settings.
//!
//! A chunk is at most `chunk_tokens` long as the embedder sees it, special
//! tokens included, so its text has at most `chunk_tokens - special_tokens`
//! tokens. It ends at the best boundary in the last quarter of that length
//! (heading, paragraph, sentence, line, word), and the next one starts exactly
//! `chunk_overlap` tokens before its end, except where one character is several
//! tokens and a cut would divide it: there the overlap is the next larger one.
//! Spans put together cover every byte of the text.
//!
//! The context (title, headings and columns of a table, at most [`CONTEXT_TOKENS`] tokens) is
//! embedded in front of the text and pushes as many tokens off the end of a
//! full window. These are in the next chunk's overlap; where the overlap is
//! shorter than the context, and in the last chunk, the text is shorter
//! instead. So every token of a document is inside some embedded input.

pub(crate) mod again;
mod boundary;
mod context;
mod grid;
#[cfg(test)]
mod tests;

use cairn_models::{Cancel, Embedder};

use crate::{Chunk, Document, IndexSettings, PageStart, Result};
use boundary::Boundaries;
pub(crate) use context::context;
use context::{CONTEXT_TOKENS, Headings, columns, shortened};
use grid::Grid;

/// A chunk with what is indexed and embedded for it.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) chunk: Chunk,
    /// The context, untruncated: indexed for words in front of the text.
    pub(crate) context: String,
    /// What the embedder reads: one input, or several whose vectors are pooled.
    pub(crate) inputs: Vec<String>,
    /// The chunk's hash as bytes.
    pub(crate) hash: [u8; 32],
}

/// Lengths in tokens that follow from the settings and the embedder.
struct Budget {
    /// Most tokens of one chunk's text.
    text: usize,
    overlap: usize,
    /// Most tokens of one embedded input, without special tokens.
    window: usize,
    /// Most tokens of the context.
    context: usize,
    /// Whether a chunk fits into one window.
    single: bool,
}

impl Budget {
    fn new(settings: &IndexSettings, embedder: &dyn Embedder) -> Self {
        let special = embedder.special_tokens();
        let text = settings.chunk_tokens.saturating_sub(special).max(8);
        let window = settings.embed_window.min(embedder.window());
        let window = window.saturating_sub(special).max(8);
        Self {
            text,
            overlap: settings.chunk_overlap.min(text / 2),
            window,
            // A quarter at most, so that short windows still hold text.
            context: if settings.context {
                CONTEXT_TOKENS.min(text.min(window) / 4)
            } else {
                0
            },
            single: text <= window,
        }
    }

    /// Most tokens of text in one window behind `context`, which is counted at its most, so
    /// that windows do not depend on it.
    fn room(&self, context: &str) -> usize {
        match self.single {
            true => usize::MAX,
            false if context.is_empty() => self.window,
            false => self.window - self.context,
        }
    }

    /// Most tokens of a chunk that another one follows, and of the last one,
    /// behind a context of `context` tokens.
    fn limits(&self, context: usize) -> (usize, usize) {
        if self.single {
            let room = self.window.min(self.text);
            (room - context.saturating_sub(self.overlap), room - context)
        } else {
            (self.text, self.text)
        }
    }
}

/// The chunks that indexing would cut `document` into, in order. A pure function
/// of its arguments; an empty text has none.
///
/// # Errors
/// `Model` when the embedder's tokenizer fails.
pub fn chunk_document(
    document: &Document,
    embedder: &dyn Embedder,
    settings: &IndexSettings,
) -> Result<Vec<Chunk>> {
    let pieces = chunk(document, embedder, settings, &Cancel::never())?;
    Ok(pieces.into_iter().map(|piece| piece.chunk).collect())
}

/// Cuts a document into chunks. An empty text has none. A document of many megabytes takes
/// seconds, so `cancel` ends it in between.
pub(crate) fn chunk(
    document: &Document,
    embedder: &dyn Embedder,
    settings: &IndexSettings,
    cancel: &Cancel,
) -> Result<Vec<Piece>> {
    let text = document.text.as_str();
    let mut pieces = Vec::new();
    if text.is_empty() {
        return Ok(pieces);
    }
    let budget = Budget::new(settings, embedder);
    let grid = Grid::new(text, embedder, cancel)?;
    let boundaries = Boundaries::new(&grid, document);
    let mut headings = Headings::new(document);
    let (mut start, mut covered) = (0, 0);
    loop {
        cancel.check()?;
        let own = &text[grid.byte(covered)..];
        let heading_path = headings.path(grid.byte(covered));
        let columns = columns(document, grid.byte(start));
        let context = if settings.context {
            context(&document.title, &heading_path, columns, own)
        } else {
            String::new()
        };
        let (short, context_tokens) = shortened(&context, embedder, budget.context)?;
        let (limit, last_limit) = budget.limits(context_tokens);
        let is_last = grid.len() - start <= last_limit;
        let end = if is_last {
            grid.len()
        } else {
            let to = (start + limit).min(grid.len() - 1);
            boundaries.cut(start, to - limit / 4, to, budget.overlap)
        };
        let span = grid.byte(start)..grid.byte(end);
        let inputs = windows(&grid, &boundaries, start..end, short, &budget)
            .into_iter()
            .map(|window| join(short, &text[window]))
            .collect::<Vec<_>>();
        let hash = hash(embedder.id(), budget.window, &inputs);
        pieces.push(Piece {
            chunk: Chunk {
                ordinal: pieces.len() as u32,
                text: text[span.clone()].to_owned(),
                page: page(document, span.start),
                page_starts: page_starts(document, &span),
                columns: columns.map(str::to_owned),
                code_blocks: code_blocks(document, &span),
                span,
                heading_path,
                token_count: (end - start) as u32,
                hash: blake3::Hash::from_bytes(hash).to_hex().to_string(),
            },
            context,
            inputs,
            hash,
        });
        if end == grid.len() {
            return Ok(pieces);
        }
        let next = (start + 1..=end - budget.overlap)
            .rev()
            .find(|&token| grid.divides(token));
        start = next.unwrap_or(end);
        covered = end;
    }
}

/// Byte ranges of what is embedded for the tokens of one chunk: all of them, or
/// windows of about equal length behind the same context.
fn windows(
    grid: &Grid<'_>,
    boundaries: &Boundaries<'_>,
    tokens: std::ops::Range<usize>,
    context: &str,
    budget: &Budget,
) -> Vec<std::ops::Range<usize>> {
    let room = budget.room(context);
    let mut windows = Vec::new();
    let mut start = tokens.start;
    while tokens.end - start > room {
        let (from, to) = cut_between(start, tokens.end, room);
        let end = boundaries.cut(start, from, to, 0);
        windows.push(grid.byte(start)..grid.byte(end));
        start = end;
    }
    windows.push(grid.byte(start)..grid.byte(tokens.end));
    windows
}

/// The first and the last token in front of which the window from `start` may end, where
/// the chunk ends with `end` and windows have `room`.
fn cut_between(start: usize, end: usize, room: usize) -> (usize, usize) {
    let left = end - start;
    let even = left.div_ceil(left.div_ceil(room));
    (start + even - even / 4, start + even)
}

fn join(context: &str, text: &str) -> String {
    if context.is_empty() {
        text.to_owned()
    } else {
        format!("{context}\n{text}")
    }
}

fn page(document: &Document, byte: usize) -> Option<u32> {
    let after = document
        .pages
        .partition_point(|page| page.span.start <= byte);
    Some(document.pages[after.checked_sub(1)?].number)
}

/// The blocks of code in a chunk, or the parts of them, by bytes of the chunk.
fn code_blocks(document: &Document, span: &std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
    let blocks = &document.code_blocks;
    let first = blocks.partition_point(|block| block.end <= span.start);
    let inside = blocks[first..]
        .iter()
        .take_while(|block| block.start < span.end);
    inside
        .map(|block| block.start.max(span.start) - span.start..block.end.min(span.end) - span.start)
        .collect()
}

/// The pages that begin inside `span`, behind its first byte.
fn page_starts(document: &Document, span: &std::ops::Range<usize>) -> Vec<PageStart> {
    let pages = &document.pages;
    let first = pages.partition_point(|page| page.span.start <= span.start);
    pages[first..]
        .iter()
        .take_while(|page| page.span.start < span.end)
        .map(|page| PageStart {
            number: page.number,
            start: page.span.start - span.start,
        })
        .collect()
}

/// Equal for inputs that have equal vectors: BLAKE3 of the embedder, its window
/// and the inputs, each behind its length.
fn hash(embedder: &str, window: usize, inputs: &[String]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(embedder.as_bytes());
    part(&(window as u64).to_le_bytes());
    inputs.iter().for_each(|input| part(input.as_bytes()));
    *hasher.finalize().as_bytes()
}

/// The vector of a text whose windows have `vectors`: their mean, at length 1. Without any,
/// empty.
pub fn pool(vectors: &[Vec<f32>]) -> Vec<f32> {
    let [first, rest @ ..] = vectors else {
        return Vec::new();
    };
    let mut sum = first.clone();
    if rest.is_empty() {
        return sum;
    }
    for vector in rest {
        sum.iter_mut()
            .zip(vector)
            .for_each(|(total, x)| *total += x);
    }
    let norm = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        sum.iter_mut().for_each(|x| *x /= norm);
        sum
    } else {
        // Windows that cancel each other out: the first one stands for all.
        first.clone()
    }
}
