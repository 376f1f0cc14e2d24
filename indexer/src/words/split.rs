//! Cuts text into runs, and a run into the parts that people search for.
//!
//! A run is what stands between spaces, quotes, brackets and commas, such as
//! `/etc/ssh/sshd_config`, `v1.2.3` or `HTTPServer2`. It is found whole and in
//! parts: it is cut at `/ \ @ :`, each piece at `-`, each of those at `.`, then
//! at `_`, then where a word begins inside (`camelCase`, `sha256`). Every piece
//! that has parts of its own is found whole, too.

use std::ops::Range;

use super::fold::{
    carries_vowels, continues, is_han, is_hangul, is_ignorable, is_unspaced, is_word,
};
use super::number;

/// A piece longer than this is data (base64, a minified line), not words: it is
/// not cut where case or digits change.
const MAX_BYTES_TO_CUT_INSIDE: usize = 64;

/// A run ends at the first chance after this length, so that the memory for its
/// pieces is bounded.
const MAX_RUN_BYTES: usize = 4096;

/// One thing to index: a piece of the text, and how many positions it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Bytes of the text.
    pub(super) span: Range<usize>,
    /// Position of its first part.
    pub(super) position: usize,
    /// Number of parts in it.
    pub(super) parts: usize,
    /// Its term, where that is not what the text says: a number without separators.
    pub(super) term: Option<Box<str>>,
}

impl Piece {
    fn new(span: Range<usize>, position: usize) -> Self {
        Self {
            span,
            position,
            parts: 1,
            term: None,
        }
    }

    /// A number in groups.
    pub(super) fn number(span: Range<usize>, position: usize, term: String) -> Self {
        Self {
            term: Some(term.into()),
            ..Self::new(span, position)
        }
    }
}

/// Finds the next run at or after `from`, or `None` if the text ends.
pub(super) fn next_run(text: &str, from: usize) -> Option<Range<usize>> {
    let rest = &text[from..];
    let (offset, first) = rest.char_indices().find(|(_, c)| is_word(*c))?;
    let start = from + offset;
    if is_unspaced(first) {
        let most = text.floor_char_boundary(start.saturating_add(MAX_RUN_BYTES));
        let end = scan(&text[..most], start, |c| is_unspaced(c) || is_ignorable(c));
        return Some(start..end);
    }
    let mut end = start;
    loop {
        end = scan(text, end, |c| is_word(c) && !is_unspaced(c));
        let after = scan(text, end, is_connector);
        let joins = after > end
            && end - start < MAX_RUN_BYTES
            && connects(&text[end..after])
            && text[after..]
                .chars()
                .next()
                .is_some_and(|c| is_word(c) && !is_unspaced(c));
        if !joins {
            return Some(start..with_suffix(text, start, end));
        }
        end = after;
    }
}

/// Where the characters that `accept` takes end, from `start`.
fn scan(text: &str, start: usize, accept: impl Fn(char) -> bool) -> usize {
    text[start..]
        .char_indices()
        .find(|(_, c)| !accept(*c))
        .map_or(text.len(), |(offset, _)| start + offset)
}

fn is_connector(c: char) -> bool {
    matches!(
        c,
        '_' | '-' | '.' | ':' | '/' | '\\' | '@' | '\'' | '’' | '\u{2010}' | '\u{2011}'
    )
}

/// Whether these connectors hold a run together: `::`, `://` and `/.` do, a
/// dash of hyphens and an ellipsis do not.
fn connects(connectors: &str) -> bool {
    connectors.len() <= 3 && !connectors.contains("--") && !connectors.contains("..")
}

/// `C++`, `g++`, `C#` and `F#` keep what follows their one or two letters.
fn with_suffix(text: &str, start: usize, end: usize) -> usize {
    let short = end - start <= 2 && text[start..end].bytes().all(|b| b.is_ascii_alphabetic());
    let rest = &text[end..];
    let length = match rest.as_bytes() {
        [b'+', b'+', ..] => 2,
        [b'#', ..] => 1,
        _ => 0,
    };
    let ends_there = rest[length..].chars().next().is_none_or(|c| !is_word(c));
    if short && ends_there {
        end + length
    } else {
        end
    }
}

/// The pieces of one run, each whole before its parts. `position` is that of
/// the first part; the position after the last part is returned.
pub(super) fn pieces(
    text: &str,
    run: Range<usize>,
    position: usize,
    elides: bool,
    out: &mut Vec<Piece>,
) -> usize {
    let content = &text[run.clone()];
    if content.chars().next().is_some_and(is_unspaced) {
        return pairs(text, run, position, out);
    }
    if content.ends_with(['+', '#']) {
        let word = run.start..run.start + content.trim_end_matches(['+', '#']).len();
        for span in [run, word] {
            out.push(Piece::new(span, position));
        }
        return position + 1;
    }
    cut(text, run, 0, position, elides, out)
}

/// Cuts `span` by the first separator, from `level` on, that occurs in it.
fn cut(
    text: &str,
    span: Range<usize>,
    level: usize,
    position: usize,
    elides: bool,
    out: &mut Vec<Piece>,
) -> usize {
    let mut children = Vec::new();
    let mut next_level = level;
    while children.len() < 2 && next_level <= LAST_LEVEL {
        children.clear();
        split_at_level(text, span.clone(), next_level, elides, &mut children);
        next_level += 1;
    }
    let whole = out.len();
    out.push(Piece::new(span.clone(), position));
    if children.len() < 2 {
        return position + 1;
    }
    if let Some(number) = version_number(text, &span) {
        out.push(Piece::new(number, position));
    }
    if let Some(term) = number::in_piece(text, &span) {
        out.push(Piece::number(span, position, term));
    }
    let mut end = position;
    for child in children {
        end = cut(text, child, next_level, end, elides, out);
    }
    out[whole].parts = end - position;
    end
}

const LAST_LEVEL: usize = 5;

/// The pieces of `span` between the separators of one level.
fn split_at_level(
    text: &str,
    span: Range<usize>,
    level: usize,
    elides: bool,
    out: &mut Vec<Range<usize>>,
) {
    let separates = |c: char| match level {
        0 => matches!(c, '/' | '\\' | '@' | ':'),
        1 => matches!(c, '-' | '\u{2010}' | '\u{2011}'),
        2 => c == '.',
        3 => c == '_',
        _ => elides && matches!(c, '\'' | '’'),
    };
    if level == LAST_LEVEL {
        return split_inside(text, span, out);
    }
    let mut start = span.start;
    for (offset, c) in text[span.clone()].char_indices() {
        if separates(c) {
            let at = span.start + offset;
            if at > start {
                out.push(start..at);
            }
            start = at + c.len_utf8();
        }
    }
    if span.end > start {
        out.push(start..span.end);
    }
}

/// Cuts where a word begins inside another one: `camelCase`, `HTTPServer`, and
/// between letters and digits where that happens once (`sha256`, but not in
/// `550e8400`), with at least two letters (not in `v1`).
fn split_inside(text: &str, span: Range<usize>, out: &mut Vec<Range<usize>>) {
    let word = &text[span.clone()];
    if word.len() > MAX_BYTES_TO_CUT_INSIDE {
        out.push(span);
        return;
    }
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    let changes = |i: usize| chars[i - 1].1.is_numeric() != chars[i].1.is_numeric();
    let digit_changes = (1..chars.len()).filter(|&i| changes(i)).count();
    let letters = chars.iter().filter(|(_, c)| c.is_alphabetic()).count();
    let cuts_at_digits = digit_changes == 1 && letters >= 2;
    let mut start = 0;
    for i in 1..chars.len() {
        let (offset, c) = chars[i];
        let before = chars[i - 1].1;
        let after = chars.get(i + 1).map(|(_, c)| *c);
        let hump = c.is_uppercase() && before.is_lowercase();
        let acronym_ends = c.is_uppercase()
            && before.is_uppercase()
            && after.is_some_and(char::is_lowercase)
            // A plural `s` does not begin a word: `URLs`, `APIs`.
            && !(after == Some('s') && i + 2 == chars.len());
        let digits = cuts_at_digits && changes(i);
        if (digit_changes <= 1 && (hump || acronym_ends)) || digits {
            out.push(span.start + start..span.start + offset);
            start = offset;
        }
    }
    out.push(span.start + start..span.end);
}

/// The `1.2.3` of `v1.2.3`.
fn version_number(text: &str, span: &Range<usize>) -> Option<Range<usize>> {
    let rest = text[span.clone()].strip_prefix(['v', 'V'])?;
    let is_version = rest.starts_with(|c: char| c.is_ascii_digit())
        && rest.contains('.')
        && !rest.contains(['/', '\\', '@', ':']);
    is_version.then(|| span.start + 1..span.end)
}

/// Text without spaces: every pair of neighbours, as in Lucene's analysis of Chinese,
/// Japanese and Korean, and characters alone where one alone can be a word.
fn pairs(text: &str, run: Range<usize>, position: usize, out: &mut Vec<Piece>) -> usize {
    // Characters with the marks on them.
    let mut units: Vec<(usize, char, usize)> = Vec::new();
    let mut before = '\0';
    for (offset, c) in text[run.clone()].char_indices() {
        match units.last_mut() {
            Some((_, _, chars)) if continues(before, c) => *chars += usize::from(!is_ignorable(c)),
            _ => units.push((run.start + offset, c, 1)),
        }
        before = c;
    }
    let end_of = |i: usize| units.get(i).map_or(run.end, |(start, ..)| *start);
    for (i, &(start, c, chars)) in units.iter().enumerate() {
        if i + 1 < units.len() {
            out.push(Piece {
                parts: 2,
                ..Piece::new(start..end_of(i + 2), position + i)
            });
        }
        let is_syllable = carries_vowels(c) && chars > 1;
        // A Korean noun of one syllable stands before one or two of an ending.
        let is_noun = i == 0 && is_hangul(c) && units.len() <= 3;
        if is_han(c) || is_syllable || is_noun || units.len() == 1 {
            out.push(Piece::new(start..end_of(i + 1), position + i));
        }
    }
    position + units.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        let (mut at, mut position) = (0, 0);
        let mut out = Vec::new();
        while let Some(run) = next_run(text, at) {
            at = run.end;
            position = pieces(text, run, position, false, &mut out);
        }
        out.into_iter().map(|piece| &text[piece.span]).collect()
    }

    #[test]
    fn identifiers_whole_and_in_parts() {
        for (text, expected) in [
            (
                "ERR_CONN_4012",
                vec!["ERR_CONN_4012", "ERR", "CONN", "4012"],
            ),
            ("foo::bar(baz)", vec!["foo::bar", "foo", "bar", "baz"]),
            ("(v1.2.3).", vec!["v1.2.3", "1.2.3", "v1", "2", "3"]),
            (
                "/etc/ssh/sshd_config",
                vec![
                    "etc/ssh/sshd_config",
                    "etc",
                    "ssh",
                    "sshd_config",
                    "sshd",
                    "config",
                ],
            ),
            (
                "camelCaseName",
                vec!["camelCaseName", "camel", "Case", "Name"],
            ),
            ("HTTPServer2", vec!["HTTPServer2", "HTTP", "Server", "2"]),
            (
                "jane.doe@example.com",
                vec![
                    "jane.doe@example.com",
                    "jane.doe",
                    "jane",
                    "doe",
                    "example.com",
                    "example",
                    "com",
                ],
            ),
            (
                "1.2.3-beta.1",
                vec![
                    "1.2.3-beta.1",
                    "1.2.3",
                    "1",
                    "2",
                    "3",
                    "beta.1",
                    "beta",
                    "1",
                ],
            ),
            ("550e8400-e29b", vec!["550e8400-e29b", "550e8400", "e29b"]),
            ("--no-verify", vec!["no-verify", "no", "verify"]),
            ("URLs of APIs", vec!["URLs", "of", "APIs"]),
            (
                "C++, C# and F#",
                vec!["C++", "C", "C#", "C", "and", "F#", "F"],
            ),
            ("sha256 p53", vec!["sha256", "sha", "256", "p53"]),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn prose_is_plain_words() {
        assert_eq!(
            split("Wait...what -- it's \"fine\", they said."),
            vec!["Wait", "what", "it's", "fine", "they", "said"]
        );
        assert_eq!(split("one--two a_b"), vec!["one", "two", "a_b", "a", "b"]);
    }

    #[test]
    fn scripts_without_spaces_come_in_pairs() {
        assert_eq!(split("検索する"), vec!["検索", "検", "索す", "索", "する"]);
        assert_eq!(
            split("使用ERR_404错"),
            vec!["使用", "使", "用", "ERR_404", "ERR", "404", "错"]
        );
    }

    #[test]
    fn marks_belong_to_their_characters() {
        assert_eq!(split("ﾎﾟﾝﾌﾟ"), vec!["ﾎﾟﾝ", "ﾝﾌﾟ"]);
        assert_eq!(split("ポ・ロ"), vec!["ポ", "ロ"]);
        assert_eq!(split("ปีใหม่"), vec!["ปีใ", "ปี", "ให", "หม่", "ม่"]);
        assert_eq!(split("ปี\u{200b}นี้"), vec!["ปี\u{200b}นี้", "ปี\u{200b}", "นี้"]);
        assert_eq!(split("ក្រុង។"), vec!["ក្រុង", "ក្រុ"]);
        assert_eq!(
            split("물을 배에서는"),
            vec!["물을", "물", "배에", "에서", "서는"]
        );
        let decomposed = "\u{1106}\u{116e}\u{11af}을";
        assert_eq!(split(decomposed)[1], "\u{1106}\u{116e}\u{11af}");
        assert_eq!(split("ค่า ๔๒"), vec!["ค่า", "ค่", "๔๒"]);
    }

    #[test]
    fn long_data_is_not_cut_inside() {
        let blob = "aB3".repeat(100);
        assert_eq!(split(&blob), vec![blob.as_str()]);
    }
}
