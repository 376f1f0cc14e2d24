//! Renders a unit for an answer, in Markdown, with its mark.

use std::ops::Range;

use super::compose::{Shape, Unit};
use super::segments::Segment;
use crate::answer::grounding::with_marks;
use crate::answer::markup::{one_line, strip_marks};
use crate::answer::sentences::is_item;

/// Longest name of a term that is shown, in characters.
const MAX_TERM: usize = 90;

/// A unit, written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::answer) struct Rendered {
    /// Markdown with the mark of its source.
    pub(in crate::answer) text: String,
    /// The byte range of the mark: the quotation may contain brackets of its own.
    pub(in crate::answer) mark: Range<usize>,
    /// Whether it must be on separate lines.
    pub(in crate::answer) is_block: bool,
    /// The byte range of the source's text from the first to the last quoted byte.
    pub(in crate::answer) span: Range<usize>,
}

/// Writes `unit` of `text`, which is source `n`; `place` introduces a block that has no
/// introduction in the text, and `columns` are those of a table whose header is not in the text.
pub(in crate::answer) fn render(
    unit: &Unit,
    text: &str,
    segments: &[Segment],
    n: u32,
    place: &str,
    columns: Option<&str>,
) -> Rendered {
    let raw = |at: usize| &text[segments[at].range.clone()];
    let start = unit.body.iter().map(|&at| segments[at].range.start).min();
    let end = unit.body.iter().map(|&at| segments[at].range.end).max();
    let span = start.unwrap_or(0)..end.unwrap_or(0);
    let terms: Vec<String> = unit.terms.iter().map(|&at| term(raw(at))).collect();
    let about = match terms.is_empty() {
        true => String::new(),
        false => format!("{}: ", terms.join(", ")),
    };
    let lead = unit.lead.map(|at| prose(raw(at)));
    let columns = columns.filter(|_| unit.shape == Shape::Table && unit.body.len() == 1);
    if unit.shape == Shape::Table && unit.body.len() == 1 && columns.is_none() {
        // A row without column names: its first cell, and what the row says about it.
        let mut row = cells(raw(unit.body[0]));
        row.retain(|cell| !cell.is_empty());
        let text = match row.split_first() {
            Some((first, rest)) if !rest.is_empty() => {
                format!("{about}`{}`: {}", first.replace('`', ""), rest.join(" | "))
            }
            _ => format!("{about}{}", row.join(" | ")),
        };
        return Rendered::new(with_marks(&text, &[n]), n, false, span);
    }
    if unit.shape == Shape::Prose {
        let body: Vec<String> = unit.body.iter().map(|&at| prose(raw(at))).collect();
        let lead = lead.map(|lead| lead + " ").unwrap_or_default();
        let text = with_marks(&format!("{about}{lead}{}", body.join(" ")), &[n]);
        return Rendered::new(text, n, false, span);
    }
    let lead = lead.unwrap_or_else(|| place.to_owned());
    let lead = lead.trim_end_matches([':', '.', ' ']);
    let intro = match (about.trim_end_matches([':', ' ']), lead) {
        ("", "") => format!("[{n}]:"),
        ("", lead) => format!("{lead} [{n}]:"),
        (about, "") => format!("{about} [{n}]:"),
        (about, lead) => format!("{about}: {lead} [{n}]:"),
    };
    let body = match unit.shape {
        Shape::Code => fenced(text, segments, &unit.body),
        Shape::Table => {
            let rows = unit.body.iter().map(|&at| raw(at));
            table(
                &columns
                    .into_iter()
                    .flat_map(str::lines)
                    .chain(rows)
                    .collect::<Vec<_>>(),
            )
        }
        Shape::List | Shape::Prose => {
            let mut items = String::new();
            for (place, &at) in unit.body.iter().enumerate() {
                // A sentence in the same block as the previous one continues that item.
                let goes_on =
                    place > 0 && segments[unit.body[place - 1]].block == segments[at].block;
                items.push_str(match (place, goes_on) {
                    (0, _) => "- ",
                    (_, true) => " ",
                    (_, false) => "\n- ",
                });
                items.push_str(&prose(raw(at)));
            }
            items
        }
    };
    let intro = Rendered::new(intro, n, true, span);
    Rendered {
        text: format!("{}\n\n{body}", intro.text),
        ..intro
    }
}

impl Rendered {
    /// A text whose last `[n]` is the mark.
    fn new(text: String, n: u32, is_block: bool, span: Range<usize>) -> Self {
        let mark = format!("[{n}]");
        let start = text.rfind(&mark).unwrap_or(text.len());
        let end = (start + mark.len()).min(text.len());
        Self {
            text,
            mark: start..end,
            is_block,
            span,
        }
    }
}

/// A sentence or item on one line, without the marks of its block and of other texts.
pub(in crate::answer) fn prose(text: &str) -> String {
    let text = text.trim_start_matches(['>', ' ']);
    let text = match is_item(text) {
        true => text
            .split_once(char::is_whitespace)
            .map_or(text, |(_, rest)| rest),
        false => text,
    };
    let text = text
        .trim_start()
        .trim_start_matches("[ ] ")
        .trim_start_matches("[x] ");
    // A word hyphenated at a line end.
    let mut parts = text.split('\u{2010}');
    let mut joined = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.starts_with('\n') {
            true => joined.push_str(part.trim_start()),
            false => joined.extend(['\u{2010}'].into_iter().chain(part.chars())),
        }
    }
    let mut line = strip_marks(&one_line(&joined));
    if line.matches('`').count() % 2 == 1 {
        // A single backtick would open code that includes the mark.
        line = line.replace('`', "'");
    }
    while line.ends_with("::") {
        line.pop();
    }
    match line.strip_suffix(": :") {
        Some(rest) => format!("{rest}:"),
        None => line.replace(" :", ":"),
    }
}

fn term(text: &str) -> String {
    let line = one_line(text);
    let short: String = line.chars().take(MAX_TERM).collect();
    match short.contains('`') {
        true => short,
        false => format!("`{short}`"),
    }
}

/// Lines unchanged, except for the indentation that all share.
fn fenced(text: &str, segments: &[Segment], body: &[usize]) -> String {
    let lines: Vec<(usize, &str)> = body
        .iter()
        .map(|&at| (segments[at].indent, &text[segments[at].range.clone()]))
        .collect();
    let least = lines.iter().map(|(indent, _)| *indent).min().unwrap_or(0);
    let lines: Vec<String> = lines
        .into_iter()
        .map(|(indent, line)| format!("{}{line}", " ".repeat((indent - least).min(40))))
        .collect();
    let code = lines.join("\n");
    let fence = if code.contains("```") { "~~~~" } else { "```" };
    format!("{fence}\n{code}\n{fence}")
}

/// The cells of a row, including empty ones, so that columns stay aligned. Bars at both ends frame
/// a row; a bar only at its beginning follows an empty cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim();
    let framed = row.strip_prefix('|').and_then(|row| row.strip_suffix('|'));
    let row = framed.unwrap_or(row);
    let parts: Vec<&str> = match row.contains('|') {
        true => row.split('|').collect(),
        false => row.split('\t').collect(),
    };
    parts
        .into_iter()
        .map(|cell| strip_marks(&one_line(cell)))
        .collect()
}

/// Rows as a Markdown table; the first names the columns.
fn table(rows: &[&str]) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut out = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let cells = cells(row);
        out.push(line(&cells));
        if at == 0 {
            out.push(format!("|{}", "---|".repeat(cells.len())));
        }
    }
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::{Composer, holding, segments};
    use super::*;

    fn write(text: &str, needle: &str) -> String {
        let found = segments(text, &[]);
        let unit = Composer::new(text, &found, false).unit(holding(text, &found, needle), false);
        render(&unit, text, &found, 2, "Page B", None).text
    }

    #[test]
    fn a_row_of_a_continued_table_gets_its_columns() {
        let text = "K-1 | shed | 2\nK-2 | loft | 3\nK-3 | hall | 4\n";
        let found = segments(text, &[]);
        let composer = Composer::new(text, &found, true).continuing(true);
        let unit = composer.unit(holding(text, &found, "K-2"), false);
        let shown = render(&unit, text, &found, 2, "Keys", Some("Key | Place | Copies"));
        assert_eq!(
            shown.text,
            "Keys [2]:\n\n| Key | Place | Copies |\n|---|---|---|\n| K-2 | loft | 3 |"
        );
    }

    #[test]
    fn a_corner_without_a_name_does_not_move_the_columns() {
        assert_eq!(
            write(
                "| SciFact | mean\nBM25 | .700 | .647\nsum | .746 | .694",
                "sum"
            ),
            "Page B [2]:\n\n|  | SciFact | mean |\n|---|---|---|\n| sum | .746 | .694 |"
        );
    }

    #[test]
    fn what_an_answer_shows() {
        assert_eq!(
            write("-n\n--dry-run\n\nDo nothing, just\nshow it.", "Do nothing"),
            "`-n`, `--dry-run`: Do nothing, just show it [2]."
        );
        assert_eq!(
            write("To list everything: ::\n\n  a = 1\n    b = 2\n", "b = 2"),
            "To list everything [2]:\n\n```\na = 1\n  b = 2\n```"
        );
        assert_eq!(
            write("-c, --check N | check every N\n-q | be quiet", "check"),
            "`-c, --check N`: check every N [2]."
        );
        assert_eq!(
            write("| a | b |\n|---|---|\n| 1 | 2 |", "1"),
            "Page B [2]:\n\n| a | b |\n|---|---|\n| 1 | 2 |"
        );
        assert_eq!(
            write(
                "       It is used for build\u{2010}\n       ing  of   things.",
                "used"
            ),
            "It is used for building of things [2]."
        );
        assert_eq!(
            write("We have:\n\n* one\n* two\n", "We"),
            "We have [2]:\n\n- one\n- two"
        );
    }
}
