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

/// A cell's text, and how far it reaches.
#[derive(Clone, Default)]
struct Cell {
    text: String,
    columns: usize,
    rows: usize,
}

/// Writes the table whose lines are `inner`; `separator` parts its cells unless the
/// `attributes` in brackets above it say otherwise.
pub(super) fn write(
    inner: &[&str],
    separator: char,
    attributes: &str,
    names: &mut Names,
    draft: &mut Draft,
) {
    let separator = match value_of(attributes, "format") {
        Some("csv") => ',',
        Some("tsv") => '\t',
        Some("dsv") => ':',
        _ => separator,
    };
    let first = inner.iter().position(|line| !line.is_empty());
    let (cells, in_first) = match separator {
        '|' => {
            let in_first = first.map_or(0, |at| width(&bars(&inner[at..=at])));
            (bars(inner), in_first)
        }
        other => values(inner, other),
    };
    let columns = value_of(attributes, "cols")
        .map(columns)
        .unwrap_or(in_first);
    let columns = columns.clamp(1, MAX_COLUMNS);
    let mut rows = rows(&cells, columns);
    for cell in rows.iter_mut().flatten() {
        *cell = names.clean(cell);
    }
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

/// How many columns cells take.
fn width(cells: &[Cell]) -> usize {
    cells.iter().map(|cell| cell.columns).sum()
}

/// Cells in rows of so many columns: what one spans stands in each row and column of it.
fn rows(cells: &[Cell], columns: usize) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row: Vec<String> = Vec::new();
    // By column, what reaches down from above, and for how many rows more.
    let mut above: Vec<(String, usize)> = vec![Default::default(); columns];
    for cell in cells {
        fill(&mut row, &mut above);
        if row.len() == columns {
            rows.push(std::mem::take(&mut row));
            fill(&mut row, &mut above);
        }
        let short = cell.text.len() <= MAX_REPEATED_BYTES;
        for number in 0..cell.columns.min(columns.saturating_sub(row.len())) {
            let text = match number == 0 || short {
                true => cell.text.as_str(),
                false => "",
            };
            if cell.rows > 1 {
                let below = if short { text } else { "" };
                above[row.len()] = (below.to_owned(), cell.rows - 1);
            }
            row.push(text.to_owned());
        }
    }
    fill(&mut row, &mut above);
    rows.extend(Some(row).filter(|row| !row.is_empty()));
    rows
}

/// Adds what reaches down into the next columns of a row.
fn fill(row: &mut Vec<String>, above: &mut [(String, usize)]) {
    while let Some((text, rows)) = above.get_mut(row.len()).filter(|(_, rows)| *rows > 0) {
        *rows -= 1;
        row.push(text.clone());
    }
}

/// The cells of lines of values, which may stand in quotes, and how many the first has.
fn values(lines: &[&str], separator: char) -> (Vec<Cell>, usize) {
    let text = lines.join("\n");
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator as u8)
        .trim(csv::Trim::Fields)
        .from_reader(text.as_bytes());
    let (mut cells, mut in_first) = (Vec::new(), 0);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).unwrap_or(false) {
        cells.extend(record.iter().map(|value| Cell {
            text: crate::spaces::single_spaced(value),
            columns: 1,
            rows: 1,
        }));
        if in_first == 0 {
            in_first = cells.len();
        }
    }
    (cells, in_first)
}

/// Cells that bars begin, with the ones that a mark repeats.
fn bars(lines: &[&str]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    // The mark before a bar is at the end of what stands before it.
    let mut mark = Mark::default();
    for line in lines {
        let mut rest = *line;
        while let Some(at) = bar(rest) {
            let (text, next) = split_mark(&rest[..at]);
            add(&mut cells, text);
            finish(&mut cells, &std::mem::replace(&mut mark, next));
            cells.push(Cell::default());
            rest = &rest[at + 1..];
        }
        add(&mut cells, rest);
    }
    finish(&mut cells, &mark);
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

fn add(cells: &mut [Cell], text: &str) {
    if let Some(Cell { text: cell, .. }) = cells.last_mut() {
        let text = text.trim().replace("\\|", "|");
        if !cell.is_empty() && !text.is_empty() {
            cell.push(' ');
        }
        cell.push_str(&text);
    }
}

fn finish(cells: &mut Vec<Cell>, mark: &Mark) {
    let Some(last) = cells.last_mut() else {
        return;
    };
    (last.columns, last.rows) = (mark.columns, mark.rows);
    let short = Some(&*last).filter(|cell| cell.text.len() <= MAX_REPEATED_BYTES);
    if let Some(last) = short.cloned() {
        cells.extend(std::iter::repeat_n(last, mark.times.saturating_sub(1)));
    }
}

/// What a mark says of the cell behind it.
struct Mark {
    columns: usize,
    rows: usize,
    times: usize,
}

impl Default for Mark {
    fn default() -> Self {
        Self {
            columns: 1,
            rows: 1,
            times: 1,
        }
    }
}

/// What stands before a mark such as `2+`, `.2+^.>s`, `2.3+`, `3*`, and what it says.
fn split_mark(text: &str) -> (&str, Mark) {
    let start = text.rfind(' ').map_or(0, |space| space + 1);
    let word = &text[start..];
    let is_mark = !word.is_empty()
        && word
            .bytes()
            .all(|b| b.is_ascii_digit() || b".+*<>^adehlmsv".contains(&b))
        && (word.len() == 1 || word.contains(|c: char| "+*<>^.".contains(c)));
    let mut mark = Mark::default();
    if !is_mark {
        return (text, mark);
    }
    let number = |digits: &str| {
        digits
            .parse::<usize>()
            .map_or(1, |n| n.clamp(1, MAX_REPEATED))
    };
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (span, sign) = word.split_at(end.unwrap_or(word.len()));
    let (columns, rows) = span.split_once('.').unwrap_or((span, ""));
    if sign.starts_with('+') {
        (mark.columns, mark.rows) = (number(columns), number(rows));
    } else if sign.starts_with('*') {
        mark.times = number(columns);
    }
    (&text[..start], mark)
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
pub(super) fn value_of<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let at = attributes.find(&format!("{name}="))?;
    let value = &attributes[at + name.len() + 1..];
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split(',').next(),
    }
}
