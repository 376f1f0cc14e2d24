//! What formats of plain text with marks in it share: marks around words go, and blocks
//! stand in the text as those of Markdown do.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

use super::draft::Draft;
use super::work;

/// Deepest list indentation that is shown.
const MAX_INDENT: usize = 16;

/// Words of one paragraph, of which some stand as they were written.
#[derive(Debug, Default)]
pub(super) struct InlineText {
    text: String,
    literal: Vec<Range<usize>>,
}

impl InlineText {
    /// The words of `text`: `piece` reads what begins at the start of a rest, if it is markup,
    /// and returns what follows; what it leaves is pushed as it is, a word or a sign at a time.
    pub(super) fn read(
        text: &str,
        mut piece: impl for<'a> FnMut(&'a str, &mut Self) -> Option<&'a str>,
    ) -> Self {
        let mut words = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            work::add(1);
            rest = match piece(rest, &mut words) {
                Some(rest) => rest,
                None => {
                    let next = rest.chars().next().map_or(1, char::len_utf8);
                    let end = match rest.starts_with(char::is_alphanumeric) {
                        true => rest
                            .find(|c: char| !c.is_alphanumeric())
                            .unwrap_or(rest.len()),
                        false => next,
                    };
                    words.push(&rest[..end]);
                    &rest[end..]
                }
            };
        }
        words
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds text whose marks are not marks.
    pub(super) fn push_literal(&mut self, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.literal.push(start..self.text.len());
    }

    /// Whether what follows would begin a word.
    pub(super) fn at_word_start(&self) -> bool {
        !self.text.ends_with(char::is_alphanumeric)
    }

    /// The text without the pairs of `marks` around words. A pair opens where no word
    /// goes on and closes where none does; a mark that is `doubled` may stand inside of
    /// one. In one pass: the next mark that can close closes the first that opened.
    pub(super) fn finish(self, marks: &str, doubled: bool) -> String {
        let chars: Vec<(usize, char)> = self.text.char_indices().collect();
        let mut dropped = vec![false; chars.len()];
        let mut open: HashMap<(char, bool), usize> = HashMap::new();
        let char_at = |at: Option<usize>| at.and_then(|at| chars.get(at)).map(|&(_, c)| c);
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_space = |c: Option<char>| c.is_none_or(char::is_whitespace);
        // Raised and lowered words stand close to others and have no spaces in them.
        let mut last_space = 0;
        let mut at = 0;
        while at < chars.len() {
            work::add(1);
            let (byte, mark) = chars[at];
            if mark.is_whitespace() {
                last_space = at;
            }
            if !marks.contains(mark) || self.is_literal(byte) {
                at += 1;
                continue;
            }
            let is_double = doubled && char_at(Some(at + 1)) == Some(mark);
            let len = 1 + usize::from(is_double);
            let (before, after) = (char_at(at.checked_sub(1)), char_at(Some(at + len)));
            let is_close = doubled && matches!(mark, '^' | '~');
            let is_free = is_double || is_close;
            let closes = !is_space(before) && (is_free || !is_word(after));
            let opens = !is_space(after) && (is_free || !is_word(before));
            if is_close {
                open.retain(|(other, _), start| *other != mark || *start > last_space);
            }
            match open.get(&(mark, is_double)).copied() {
                Some(start) if closes && start + len < at => {
                    dropped[start..start + len].fill(true);
                    dropped[at..at + len].fill(true);
                    open.remove(&(mark, is_double));
                }
                None if opens => {
                    open.insert((mark, is_double), at);
                }
                _ => {}
            }
            at += len;
        }
        let kept = chars.iter().zip(&dropped).filter(|(_, dropped)| !**dropped);
        kept.map(|((_, c), _)| *c).collect()
    }

    fn is_literal(&self, byte: usize) -> bool {
        let compare = |range: &Range<usize>| match () {
            () if range.end <= byte => Ordering::Less,
            () if range.start > byte => Ordering::Greater,
            () => Ordering::Equal,
        };
        self.literal.binary_search_by(compare).is_ok()
    }
}

/// Writes a paragraph; line ends in `text` are meant.
pub(super) fn paragraph(draft: &mut Draft, text: &str) {
    draft.blank_line();
    broken(draft, text);
    draft.blank_line();
}

/// Writes `text` with the line ends that are in it.
pub(super) fn broken(draft: &mut Draft, text: &str) {
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            draft.break_line();
        }
        draft.push_words(line.trim());
    }
}

/// Writes lines as they stand.
pub(super) fn code<'a>(draft: &mut Draft, lines: impl IntoIterator<Item = &'a str>) {
    draft.blank_line();
    draft.open_code();
    for line in lines {
        draft.push(line);
        draft.push("\n");
    }
    draft.close_code();
    draft.blank_line();
}

/// Writes an item of a list, `depth` lists deep.
pub(super) fn item(draft: &mut Draft, depth: usize, marker: &str, text: &str) {
    draft.break_line();
    let indent = "  ".repeat(depth.min(MAX_INDENT));
    draft.push(&format!("{indent}{marker} "));
    broken(draft, text);
    draft.break_line();
}

/// Writes a table whose first `heads` rows name the columns.
pub(super) fn table(draft: &mut Draft, rows: &[Vec<String>], heads: usize) {
    draft.blank_line();
    for (number, row) in rows.iter().enumerate() {
        let line = row.join(" | ");
        draft.break_line();
        draft.push(line.trim_end_matches([' ', '|']));
        if number < heads {
            draft.name_columns();
        }
    }
    draft.blank_line();
}

/// Spaces before the first word.
pub(super) fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// What `text` holds up to `end`, and what follows it; nothing where it is further off
/// than any markup is long.
pub(super) fn until<'a>(text: &'a str, end: &str) -> Option<(&'a str, &'a str)> {
    const MAX_BYTES: usize = 2000;
    let head = &text[..text.floor_char_boundary(MAX_BYTES)];
    let at = head.find(end);
    work::add(at.unwrap_or(head.len()));
    let at = at?;
    Some((&text[..at], &text[at + end.len()..]))
}

#[cfg(test)]
mod tests {
    use super::InlineText;

    #[test]
    fn marks_go_in_pairs_and_around_words_only() {
        for (text, clean) in [
            ("a *b c* d", "a b c d"),
            ("(*b*), _c_.", "(b), c."),
            ("*_both_*", "both"),
            ("2 * 3 * 4", "2 * 3 * 4"),
            ("a_b_c and *x", "a_b_c and *x"),
            ("un**bound**ed", "unbounded"),
            ("**", "**"),
            ("", ""),
        ] {
            let mut words = InlineText::default();
            words.push(text);
            assert_eq!(words.finish("*_", true), clean, "{text}");
        }
        let mut words = InlineText::default();
        words.push("*a ");
        words.push_literal("b* ");
        words.push("c*");
        assert_eq!(words.finish("*", false), "a b* c");
    }
}
