//! AsciiDoc's tables: cells between bars, a row for each line of columns.

use super::inline::Names;
use crate::draft::Draft;
use crate::lines;

/// Most columns of a table.
const MAX_COLUMNS: usize = 500;
/// Most cells that one mark repeats or spans.
const MAX_REPEATED: usize = 64;
/// Longest text of a cell that is repeated, in bytes.
const MAX_REPEATED_BYTES: usize = 1000;

/// Writes the table whose lines are `inner`; `attributes` stand in brackets above it.
pub(super) fn write(inner: &[&str], attributes: &str, names: &mut Names, draft: &mut Draft) {
    let separator = match value_of(attributes, "format") {
        Some("csv") => ',',
        Some("dsv") => ':',
        _ => '|',
    };
    let cells = match separator {
        '|' => bars(inner),
        other => inner
            .iter()
            .filter(|line| !line.is_empty())
            .flat_map(|line| line.split(other))
            .map(|cell| cell.trim().trim_matches('"').to_owned())
            .collect(),
    };
    let first = inner.iter().position(|line| !line.is_empty());
    let in_first = first.map_or(0, |at| match separator {
        '|' => bars(&inner[at..=at]).len(),
        other => inner[at].split(other).count(),
    });
    let columns = value_of(attributes, "cols")
        .map(columns)
        .unwrap_or(in_first);
    let columns = columns.clamp(1, MAX_COLUMNS);
    let rows: Vec<Vec<String>> = cells
        .chunks(columns)
        .map(|row| row.iter().map(|cell| names.clean(cell)).collect())
        .collect();
    // The first line names the columns where an empty one follows it.
    let is_implied = first == Some(0)
        && inner.get(1).is_some_and(|line| line.is_empty())
        && in_first == columns
        && !attributes.contains("%noheader");
    let is_said = attributes.contains("%header")
        || value_of(attributes, "options").is_some_and(|options| options.contains("header"))
        || value_of(attributes, "opts").is_some_and(|options| options.contains("header"));
    lines::table(draft, &rows, usize::from(is_said || is_implied));
}

/// Cells that bars begin, with the ones that a mark repeats.
fn bars(lines: &[&str]) -> Vec<String> {
    let mut cells: Vec<String> = Vec::new();
    // The mark before a bar is at the end of what stands before it.
    let mut repeat = 1;
    for line in lines {
        let mut rest = *line;
        while let Some(at) = bar(rest) {
            let (text, mark) = split_mark(&rest[..at]);
            add(&mut cells, text);
            let times = std::mem::replace(&mut repeat, mark.unwrap_or(1));
            finish(&mut cells, times);
            cells.push(String::new());
            rest = &rest[at + 1..];
        }
        add(&mut cells, rest);
    }
    finish(&mut cells, repeat);
    cells
}

/// The next bar that is not part of the text.
fn bar(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('|')?;
        if !text[..at].ends_with('\\') {
            return Some(at);
        }
        from = at + 1;
    }
}

fn add(cells: &mut [String], text: &str) {
    if let Some(cell) = cells.last_mut() {
        let text = text.trim().replace("\\|", "|");
        if !cell.is_empty() && !text.is_empty() {
            cell.push(' ');
        }
        cell.push_str(&text);
    }
}

fn finish(cells: &mut Vec<String>, times: usize) {
    let short = cells.last().filter(|cell| cell.len() <= MAX_REPEATED_BYTES);
    if let Some(last) = short.cloned() {
        cells.extend(std::iter::repeat_n(last, times.saturating_sub(1)));
    }
}

/// What stands before a mark such as `2+`, `.2+^.>s`, `3*`, and over how many cells the
/// mark reaches; `None` if there is no mark.
fn split_mark(text: &str) -> (&str, Option<usize>) {
    let start = text.rfind(' ').map_or(0, |space| space + 1);
    let mark = &text[start..];
    let is_mark = !mark.is_empty()
        && mark
            .bytes()
            .all(|b| b.is_ascii_digit() || b".+*<>^adehlmsv".contains(&b))
        && (mark.len() == 1 || mark.contains(|c: char| "+*<>^.".contains(c)));
    if !is_mark {
        return (text, None);
    }
    let digits: String = mark.chars().take_while(char::is_ascii_digit).collect();
    let reaches = mark[digits.len()..].starts_with(['+', '*']);
    let times = digits.parse::<usize>().ok().filter(|_| reaches);
    (&text[..start], Some(times.unwrap_or(1).min(MAX_REPEATED)))
}

/// How many columns `1,2`, `3*` or `2*,>1` are.
fn columns(spec: &str) -> usize {
    let of = |column: &str| match column.trim().split_once('*') {
        Some((times, _)) => times.parse().unwrap_or(1).min(MAX_COLUMNS),
        None => 1,
    };
    spec.split([',', ';']).map(of).sum()
}

/// The value of a named attribute, with or without quotes.
fn value_of<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let at = attributes.find(&format!("{name}="))?;
    let value = &attributes[at + name.len() + 1..];
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split(',').next(),
    }
}
