//! The token grid of a text: where tokens start, and where a cut may go.

use std::ops::Range;

use cairn_models::{Cancel, Embedder, TokenSpans};
use rayon::prelude::*;

use crate::Result;

/// Texts are tokenized in blocks of about this many bytes, so that the cost
/// stays linear and the tokenizer's working memory small.
const BLOCK_BYTES: usize = 64 * 1024;

/// A token that spans more characters than this stands for a word that the
/// vocabulary does not know (a hexadecimal dump, a script without spaces).
/// WordPiece gives up at 100 characters.
const LONG_TOKEN_CHARS: usize = 100;

/// Start of every token of a text, in order. A token that spans a very long
/// run of characters counts as one token for each of them: that is what it
/// costs at most once a cut divides it, and it keeps chunks of scripts without
/// spaces from growing without end.
pub(crate) struct Grid<'a> {
    text: &'a str,
    spans: TokenSpans,
}

impl<'a> Grid<'a> {
    /// Tokenizes `text` block by block.
    pub(crate) fn new(text: &'a str, embedder: &dyn Embedder, cancel: &Cancel) -> Result<Self> {
        let pieces: Result<Vec<TokenSpans>> = blocks(text)
            .into_par_iter()
            .map(|block| {
                cancel.check()?;
                let mut spans = embedder.token_spans(&text[block.clone()])?;
                for span in &mut spans {
                    *span = span.start + block.start..span.end + block.start;
                }
                Ok(spans)
            })
            .collect();
        Ok(Self::from_spans(text, pieces?.concat()))
    }

    fn from_spans(text: &'a str, mut spans: TokenSpans) -> Self {
        if spans.is_empty() && !text.is_empty() {
            // Spaces and the like: something has to stand for them.
            spans.push(0..text.len());
            return Self { text, spans };
        }
        let long = |span: &Range<usize>| {
            span.len() > LONG_TOKEN_CHARS
                && text
                    .get(span.clone())
                    .is_some_and(|token| token.chars().nth(LONG_TOKEN_CHARS).is_some())
        };
        if !spans.iter().any(long) {
            return Self { text, spans };
        }
        let mut even = TokenSpans::with_capacity(spans.len());
        for span in spans {
            if long(&span) {
                let characters = text[span.clone()].char_indices();
                even.extend(characters.map(|(at, character)| {
                    span.start + at..span.start + at + character.len_utf8()
                }));
            } else {
                even.push(span);
            }
        }
        Self { text, spans: even }
    }

    /// Tokens in the text.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The byte before which a cut in front of `token` goes: everything from
    /// the end of one token to the start of the next belongs to the first.
    pub(crate) fn byte(&self, token: usize) -> usize {
        match token {
            0 => 0,
            _ if token >= self.spans.len() => self.text.len(),
            _ => self.spans[token].start,
        }
    }

    /// The first token that starts at `byte` or after it.
    pub(crate) fn token_at(&self, byte: usize) -> usize {
        self.spans.partition_point(|span| span.start < byte)
    }

    /// What is between the token before `token` and `token`.
    pub(crate) fn gap(&self, token: usize) -> &'a str {
        let (end, start) = (self.spans[token - 1].end, self.spans[token].start);
        self.text.get(end..start).unwrap_or("")
    }

    /// The text up to the end of the token before `token`.
    pub(crate) fn before(&self, token: usize) -> &'a str {
        self.text.get(..self.spans[token - 1].end).unwrap_or("")
    }

    /// The text of a token.
    pub(crate) fn token(&self, token: usize) -> &'a str {
        self.text.get(self.spans[token].clone()).unwrap_or("")
    }

    /// Whether a cut may go in front of `token` at all: tokens that share
    /// characters (one character, several tokens) stay together.
    pub(crate) fn divides(&self, token: usize) -> bool {
        let (before, after) = (&self.spans[token - 1], &self.spans[token]);
        before.end <= after.start
            && before.start < after.start
            && self.text.is_char_boundary(after.start)
    }
}

/// Cuts `text` into blocks at line ends, else at spaces, else anywhere between
/// two characters.
fn blocks(text: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::with_capacity(text.len() / BLOCK_BYTES + 1);
    let mut start = 0;
    while text.len() - start > BLOCK_BYTES {
        let mut limit = start + BLOCK_BYTES;
        while !text.is_char_boundary(limit) {
            limit -= 1;
        }
        let window = &text[start..limit];
        let cut = window
            .rfind('\n')
            .or_else(|| window.rfind(char::is_whitespace))
            .filter(|&at| at > 0)
            .map_or(limit, |at| start + at);
        blocks.push(start..cut);
        start = cut;
    }
    blocks.push(start..text.len());
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_models::testing::HashEmbedder;

    #[test]
    fn blocks_give_the_tokens_of_the_whole() {
        let mut text = String::new();
        for n in 0..40_000 {
            text.push_str(&format!("Wort{n} äöü, "));
            if n % 7 == 0 {
                text.push_str("\n\n");
            }
        }
        let whole = HashEmbedder.token_spans(&text).unwrap();
        let grid = Grid::new(&text, &HashEmbedder, &Cancel::never()).unwrap();
        assert!(blocks(&text).len() > 5);
        assert_eq!(grid.spans, whole);
    }

    #[test]
    fn a_text_without_spaces_is_still_cut_into_blocks() {
        let text = "€".repeat(BLOCK_BYTES);
        let blocks = blocks(&text);
        assert_eq!(blocks.len(), 4);
        assert!(blocks.iter().all(|block| text.get(block.clone()).is_some()));
    }

    #[test]
    fn a_very_long_token_counts_by_its_characters() {
        let text = format!("short {} end", "ก".repeat(150));
        let grid = Grid::new(&text, &HashEmbedder, &Cancel::never()).unwrap();
        assert_eq!(grid.len(), 1 + 150 + 1);
        assert_eq!(grid.token(1), "ก");
        assert!(grid.divides(2));
    }
}
