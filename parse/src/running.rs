//! Running lines, the headers and footers of office documents: each once, and
//! without page numbers, which are not content.

use std::collections::HashSet;

use super::draft::Draft;

/// Stands in a line where a page number was left out.
pub(super) const MARK: char = '\u{1}';

/// Writes the lines of headers or footers that are not in `seen` yet.
pub(super) fn write_once(lines: &Draft, seen: &mut HashSet<String>, draft: &mut Draft) {
    draft.blank_line();
    for line in lines.text().lines().map(str::trim) {
        if !line.is_empty() && seen.insert(line.to_owned()) {
            draft.push(line);
            draft.break_line();
        }
    }
    draft.blank_line();
}

/// `text` without its page marks and what belongs to them: of "Terms | Page ␁
/// of ␁" stays "Terms".
pub(super) fn without_page_numbers(text: &str) -> String {
    const DIVIDERS: [char; 8] = ['\t', '\n', '|', '•', '·', '–', '—', ','];
    let mut kept = String::new();
    let mut rest = text;
    let mut before = "";
    while !rest.is_empty() {
        let end = rest.find(DIVIDERS).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        let divider_len = after.chars().next().map_or(0, char::len_utf8);
        let (divider, after) = after.split_at(divider_len);
        if !is_page_number(piece) {
            // A divider stands between two pieces that stay.
            if !kept.trim().is_empty() {
                kept.push_str(before);
            }
            kept.push_str(&piece.replace(MARK, ""));
            before = divider;
        }
        rest = after;
    }
    let kept = kept.trim();
    // "- 3 -" leaves its strokes.
    if kept.chars().any(char::is_alphanumeric) {
        kept.to_owned()
    } else {
        String::new()
    }
}

/// Whether a piece says little more than the page: "Page ␁ of ␁".
fn is_page_number(piece: &str) -> bool {
    piece.contains(MARK)
        && !piece.chars().any(|c| c.is_ascii_digit())
        && piece
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| !word.is_empty())
            .count()
            <= 3
}

#[cfg(test)]
mod tests {
    use super::without_page_numbers;

    #[test]
    fn page_numbers_go_and_their_neighbours_stay() {
        for (text, expected) in [
            ("Page \u{1} of \u{1}", ""),
            ("- \u{1} -", ""),
            ("\u{1}/\u{1}", ""),
            ("Contract 4 | Page \u{1} of \u{1}", "Contract 4"),
            ("Seite \u{1} von \u{1}\tStand: 4. Juni", "Stand: 4. Juni"),
            ("Harbour Works\tTerms\t\u{1}", "Harbour Works\tTerms"),
            ("Terms of rent, page \u{1}", "Terms of rent"),
            ("\u{1} – Terms of rent", "Terms of rent"),
            (
                "The terms of 4 June stand on \u{1}",
                "The terms of 4 June stand on",
            ),
        ] {
            assert_eq!(without_page_numbers(text), expected, "{text:?}");
        }
    }
}
