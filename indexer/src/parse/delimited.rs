//! CSV and its relatives: every row a paragraph of `column: value` lines, so
//! that a row makes sense wherever it is cut out.

use std::collections::HashSet;

use super::draft::{Draft, one_line};
use super::format::Format;
use super::{Source, malformed};
use crate::Result;

/// Tables as text.
pub(super) const FORMAT: Format = Format {
    name: "csv",
    extensions: &["csv", "tsv", "tab", "psv"],
    content_types: &["text/csv", "application/csv", "text/tab-separated-values"],
    no_text: "the table has no filled cell; there is nothing to index",
    ..Format::new(parse)
};

/// Bytes in which the delimiter is looked for.
const SAMPLE_BYTES: usize = 16 * 1024;

fn parse(source: &Source<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let mut text = text.trim_start_matches('\u{feff}');
    let mut delimiter = None;
    // Excel's own line about the delimiter.
    if let Some((first, rest)) = text.split_once('\n')
        && let Some(sep) = first.trim_end().strip_prefix("sep=")
    {
        delimiter = sep.bytes().next();
        text = rest;
    }
    let is_tsv = source.name.to_ascii_lowercase().ends_with(".tsv");
    let delimiter = delimiter.unwrap_or_else(|| if is_tsv { b'\t' } else { find_delimiter(text) });
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    let mut columns: Option<Vec<String>> = None;
    while reader
        .read_record(&mut record)
        .map_err(|e| malformed("CSV", e))?
    {
        match &columns {
            None => {
                let header = is_header(&record);
                columns = Some(if header {
                    record.iter().map(one_line).collect()
                } else {
                    Vec::new()
                });
                // A header is a row of its own, so that a table without rows,
                // or a question for the columns, finds it.
                if header {
                    draft.push(&record.iter().map(one_line).collect::<Vec<_>>().join(" | "));
                    draft.blank_line();
                } else {
                    row(&record, &[], draft);
                }
            }
            Some(columns) => row(&record, columns, draft),
        }
        if draft.is_full() {
            break;
        }
    }
    Ok(())
}

fn row(record: &csv::StringRecord, columns: &[String], draft: &mut Draft) {
    draft.blank_line();
    for (i, value) in record.iter().enumerate() {
        if value.trim().is_empty() {
            continue;
        }
        draft.break_line();
        match columns.get(i) {
            Some(column) => draft.push(column),
            None => draft.push(&format!("column {}", i + 1)),
        }
        draft.push(": ");
        draft.push_words(value.trim());
    }
    draft.blank_line();
}

/// The candidate that divides the first lines most evenly.
fn find_delimiter(text: &str) -> u8 {
    let sample = &text[..text.floor_char_boundary(SAMPLE_BYTES)];
    let score = |delimiter: u8| {
        let counts = sample
            .lines()
            .filter(|line| !line.trim().is_empty())
            .take(20)
            .map(|line| {
                let mut quoted = false;
                let hits = line.bytes().filter(|&b| {
                    quoted ^= b == b'"';
                    b == delimiter && !quoted
                });
                hits.count()
            });
        let counts: Vec<usize> = counts.collect();
        let first = counts.first().copied().unwrap_or(0);
        let even = counts.iter().filter(|&&count| count == first).count();
        if first == 0 { (0, 0) } else { (even, first) }
    };
    let candidates = *b"|;\t,";
    candidates
        .into_iter()
        .max_by_key(|&delimiter| score(delimiter))
        .unwrap_or(b',')
}

/// Whether a first row names columns: filled, distinct and no numbers.
fn is_header(record: &csv::StringRecord) -> bool {
    let mut seen = HashSet::new();
    record.iter().enumerate().all(|(i, cell)| {
        let cell = cell.trim();
        // The first column of an exported table often has no name.
        (i == 0 && record.len() > 1 && cell.is_empty())
            || (!cell.is_empty()
                && cell.len() <= 200
                && cell.parse::<f64>().is_err()
                && seen.insert(cell.to_lowercase()))
    })
}

#[cfg(test)]
mod tests {
    use crate::parse::testing::read;

    #[test]
    fn rows_carry_their_columns() {
        let document = read(
            "people.csv",
            "name,city,note\nAnn,\"Paris, FR\",\nBo,Rome,\"two\nlines \"\"quoted\"\"\"\n",
        );
        assert_eq!(
            document.text,
            "name | city | note\n\nname: Ann\ncity: Paris, FR\n\n\
             name: Bo\ncity: Rome\nnote: two lines \"quoted\""
        );
        assert_eq!(document.title, "people.csv");
        assert_eq!(document.metadata["format"], "csv");
    }

    #[test]
    fn delimiters_are_found() {
        for (name, text) in [
            ("a.csv", "a;b\n1,5;2\n"),
            ("a.csv", "sep=;\na;b\n1,5;2\n"),
            ("a.tsv", "a\tb\n1,5\t2\n"),
            ("a.csv", "a|b\n1,5|2\n"),
            ("a.csv", "\u{feff}a,b\r\n\"1,5\",2\r\n"),
        ] {
            assert_eq!(read(name, text).text, "a | b\n\na: 1,5\nb: 2", "{text:?}");
        }
    }

    #[test]
    fn tables_without_header_get_numbers() {
        assert_eq!(
            read("a.csv", "1,x\n2,y,z\n").text,
            "column 1: 1\ncolumn 2: x\n\ncolumn 1: 2\ncolumn 2: y\ncolumn 3: z"
        );
    }
}
