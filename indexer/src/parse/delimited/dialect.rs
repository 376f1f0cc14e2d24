//! Which character divides the cells of a table, and how cells are quoted.
//!
//! Every candidate is tried on the first rows. The best one divides them into
//! the same number of cells, and leaves nothing inside of cells that looks like
//! another delimiter.

use super::reader::{Dialect, Reader, Row};

/// Bytes that are tried.
const SAMPLE_NUM_BYTES: usize = 16 * 1024;
/// Rows that are tried.
const SAMPLE_ROWS: usize = 100;
/// What divides cells, most telling first: of equals the first wins.
const DELIMITERS: &[u8] = b"\t;|,";
/// How far another way of quoting must be better than the usual one.
const MARGIN: f64 = 0.02;

/// The dialect of `text`. The ending of the file's `name` decides between
/// delimiters that divide equally well.
pub(super) fn find(text: &str, name: &str, delimiter: Option<u8>) -> Dialect {
    let sample = sample(text);
    let hint = hint(name);
    let usual = Dialect {
        delimiter: delimiter.or(hint).unwrap_or(b','),
        quote: Some(b'"'),
        backslash: false,
    };
    let mut best = usual;
    let mut best_score = 0.0;
    for (quote, backslash) in quotings(sample) {
        for &candidate in DELIMITERS {
            if delimiter.is_some_and(|delimiter| delimiter != candidate) {
                continue;
            }
            let dialect = Dialect {
                delimiter: candidate,
                quote,
                backslash,
            };
            let mut score = score(sample, dialect);
            if score > 0.0 && hint == Some(candidate) {
                score += 0.01;
            }
            let is_usual = (quote, backslash) == (usual.quote, usual.backslash);
            if score > best_score + if is_usual { 0.0 } else { MARGIN } {
                (best, best_score) = (dialect, score);
            }
        }
    }
    best
}

/// The beginning of `text`, up to the end of a line where there is one.
fn sample(text: &str) -> &str {
    let sample = &text[..text.floor_char_boundary(SAMPLE_NUM_BYTES)];
    if sample.len() == text.len() {
        return sample;
    }
    let end = sample.rfind(['\n', '\r']).map_or(sample.len(), |at| at + 1);
    &sample[..end]
}

/// The delimiter that the file's ending stands for.
fn hint(name: &str) -> Option<u8> {
    let extension = name.rsplit_once('.')?.1.to_ascii_lowercase();
    match extension.as_str() {
        "tsv" | "tab" => Some(b'\t'),
        "psv" => Some(b'|'),
        "csv" => Some(b','),
        _ => None,
    }
}

/// The ways of quoting that the text has marks of, the usual one first.
fn quotings(sample: &str) -> Vec<(Option<u8>, bool)> {
    let mut found = vec![(Some(b'"'), false)];
    if sample.contains("\\\"") {
        found.push((Some(b'"'), true));
    }
    if sample.contains('"') {
        found.push((None, false));
    }
    if sample.contains('\'') {
        found.push((Some(b'\''), false));
    }
    found
}

/// How well a dialect divides, from 0 (not at all) to about 1.
fn score(sample: &str, dialect: Dialect) -> f64 {
    let mut reader = Reader::new(sample, dialect);
    let mut row = Row::default();
    let mut widths = Vec::new();
    let (mut faults, mut unexplained, mut cells) = (0, 0, 0);
    while widths.len() < SAMPLE_ROWS && reader.read(&mut row) {
        if row.raw.starts_with('#') {
            continue;
        }
        widths.push(row.cells.len());
        faults += row.faults;
        cells += row.cells.len();
        unexplained += row
            .cells
            .iter()
            .filter(|cell| {
                holds_delimiter(cell, row.raw, dialect.delimiter)
                    || (dialect.quote != Some(b'"') && is_in_quotes(cell))
            })
            .count();
    }
    let Some((width, count)) = most_common(widths.iter().copied().filter(|&width| width > 1))
    else {
        return 0.0;
    };
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    let even = share(count, widths.len());
    even - 0.4 * share(unexplained, cells) - 0.3 * share(faults, widths.len()).min(1.0)
        + 0.000_1 * width.min(50) as f64
}

/// Whether a cell that is not in quotes holds what looks like a delimiter: not
/// the comma of a number or of a sentence.
fn holds_delimiter(cell: &str, raw: &str, delimiter: u8) -> bool {
    let bytes = cell.as_bytes();
    let is_digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let found = bytes.iter().enumerate().any(|(at, byte)| match byte {
        _ if *byte == delimiter => false,
        b'\t' | b'|' => true,
        b',' | b';' => {
            let is_decimal = *byte == b',' && is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
            let is_sentence = bytes.get(at + 1).is_none_or(|next| *next == b' ');
            !is_decimal && !is_sentence
        }
        _ => false,
    });
    // What is quoted may hold anything.
    found && (!raw.contains(['"', '\'']) || is_bare(cell, raw))
}

fn is_in_quotes(cell: &str) -> bool {
    let cell = cell.trim();
    cell.len() > 1 && cell.starts_with('"') && cell.ends_with('"')
}

/// Whether `cell` stands in its row without quotes.
fn is_bare(cell: &str, raw: &str) -> bool {
    let Some(at) = raw.find(cell) else {
        return false;
    };
    let before = raw[..at].chars().next_back();
    !matches!(before, Some('"' | '\''))
}

/// The most frequent of some numbers and how often it occurs; the largest of
/// equals.
pub(super) fn most_common(numbers: impl Iterator<Item = usize>) -> Option<(usize, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for number in numbers {
        *counts.entry(number).or_insert(0) += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count)
}
