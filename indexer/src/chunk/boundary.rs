//! How good a place is for a cut, and the choice among the places there are.

use crate::Document;

use super::grid::Grid;

/// What a cut in front of a token separates, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Boundary {
    /// Two halves of a word.
    Inside,
    Word,
    Line,
    Sentence,
    Paragraph,
    Heading,
}

/// The places where a text may be cut.
pub(crate) struct Boundaries<'a> {
    grid: &'a Grid<'a>,
    /// First tokens of headings, ascending.
    headings: Vec<usize>,
}

impl<'a> Boundaries<'a> {
    pub(crate) fn new(grid: &'a Grid<'a>, document: &Document) -> Self {
        let mut headings: Vec<_> = document
            .sections
            .iter()
            .map(|section| grid.token_at(section.span.start))
            .collect();
        headings.sort_unstable();
        headings.dedup();
        Self { grid, headings }
    }

    /// The kind of the cut in front of `token`; `None` if there can be no cut.
    fn at(&self, token: usize) -> Option<Boundary> {
        if !self.grid.divides(token) {
            return None;
        }
        if self.headings.binary_search(&token).is_ok() {
            return Some(Boundary::Heading);
        }
        let gap = self.grid.gap(token);
        let lines = gap.bytes().filter(|&byte| byte == b'\n').count();
        Some(if lines >= 2 {
            Boundary::Paragraph
        } else if ends_sentence(self.grid.before(token), gap) {
            Boundary::Sentence
        } else if lines == 1 {
            Boundary::Line
        } else if gap.is_empty() && joined(self.grid.token(token - 1), self.grid.token(token)) {
            Boundary::Inside
        } else {
            Boundary::Word
        })
    }

    /// Tokens from `from` to `to` that begin a line.
    pub(crate) fn line_starts(&self, from: usize, to: usize) -> impl Iterator<Item = usize> {
        let begins =
            move |token: &usize| self.grid.divides(*token) && self.grid.gap(*token).contains('\n');
        (from..=to).filter(begins)
    }

    /// Whether a chunk that starts with `token` starts with a whole word.
    fn starts_word(&self, token: usize) -> bool {
        token == 0 || self.at(token).is_some_and(|kind| kind > Boundary::Inside)
    }

    /// The end of a chunk that starts with `start`: the token in front of which
    /// it is cut.
    ///
    /// The cut is in `from..=to` where it can: the best kind of boundary
    /// wins, then the last one. The next chunk starts `overlap` tokens before
    /// the cut, so a cut counts only if a word starts there too; that keeps the
    /// overlap exact and the tokens of the next chunk what they are in the
    /// whole text. Where no cut does both (one endless word), whole characters
    /// are enough; where even those are missing, the cut moves down, at last up.
    pub(crate) fn cut(&self, start: usize, from: usize, to: usize, overlap: usize) -> usize {
        let lowest = start + overlap + 1;
        let best = |from: usize, accepts: &dyn Fn(usize, Boundary) -> bool| {
            (from.max(lowest)..=to)
                .filter_map(|token| Some((self.at(token)?, token)))
                .filter(|&(kind, token)| accepts(token, kind))
                .max()
                .map(|(_, token)| token)
        };
        let clean = |token: usize, kind: Boundary| {
            kind > Boundary::Inside && self.starts_word(token - overlap)
        };
        let whole =
            |token: usize, _: Boundary| token == overlap || self.grid.divides(token - overlap);
        best(from, &clean)
            .or_else(|| best(from, &whole))
            .or_else(|| best(lowest, &whole))
            .or_else(|| (to + 1..self.grid.len()).find(|&token| self.grid.divides(token)))
            .unwrap_or(self.grid.len())
    }
}

fn is_wide_stop(character: char) -> bool {
    matches!(character, '。' | '！' | '？')
}

/// Whether `text` ends with a stop, perhaps inside closing quotes or brackets,
/// and `gap` follows it. Scripts with wide stops put no space behind them.
fn ends_sentence(text: &str, gap: &str) -> bool {
    let text = text.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '」', '』']);
    text.ends_with(is_wide_stop) || (!gap.is_empty() && text.ends_with(['.', '!', '?', '…']))
}

/// Whether two tokens without a gap are parts of one word.
fn joined(before: &str, after: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() && !is_ideograph(c);
    before.chars().next_back().is_some_and(inner) && after.chars().next().is_some_and(inner)
}

/// Characters that are words of their own for WordPiece.
fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c), 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x2FA1F)
}
