//! CSV and its relatives: every row a paragraph of `column: value` lines, so
//! that a row makes sense wherever it is cut out. What stands above, between and
//! below the rows is text.

mod dialect;
mod kind;
mod layout;
mod reader;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::Input;
use super::draft::{Draft, one_line};
use super::format::Format;
use crate::Result;
use layout::Layout;
use reader::{Reader, Row};

/// Tables as text.
pub(super) const FORMAT: Format = Format {
    name: "csv",
    extensions: &["csv", "tsv", "tab", "psv"],
    content_types: &["text/csv", "application/csv", "text/tab-separated-values"],
    no_text: "the table has no filled cell; there is nothing to index",
    ..Format::new(parse)
};

/// Rows by which the layout of a table is judged.
const HEAD_ROWS: usize = 100;

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let mut text = text.trim_start_matches('\u{feff}');
    let mut delimiter = None;
    // Excel's own line about the delimiter.
    if let Some((first, rest)) = text.split_once('\n')
        && let Some(sep) = first
            .trim_end_matches('\r')
            .trim_matches('"')
            .strip_prefix("sep=")
    {
        delimiter = sep.bytes().next().filter(u8::is_ascii);
        text = rest;
    }
    let mut reader = Reader::new(text, dialect::find(text, source.name, delimiter));
    let mut head = Vec::new();
    let mut row = Row::default();
    while head.len() < HEAD_ROWS && reader.read(&mut row) {
        head.push(row.clone());
    }
    let mut table = Table::new(&head, draft);
    for (index, row) in head.iter().enumerate() {
        match index < table.layout.start {
            true => table.text(row),
            false => table.row(row),
        }
    }
    while !table.draft.is_full() && reader.read(&mut row) {
        table.row(&row);
    }
    Ok(())
}

/// Writes the rows of one table.
struct Table<'a> {
    layout: Layout,
    /// The row that names the columns.
    header: Option<&'a Row<'a>>,
    /// What the columns are called; those without a name get a number.
    names: Vec<String>,
    draft: &'a mut Draft,
}

impl<'a> Table<'a> {
    fn new(head: &'a [Row<'a>], draft: &'a mut Draft) -> Self {
        let layout = layout::find(head);
        let header = head.get(layout.start).filter(|_| layout.has_header);
        let mut names: Vec<String> = header
            .map(|header| layout::cells(header).into_iter().map(one_line).collect())
            .unwrap_or_default();
        if layout.names_are_shifted {
            names.insert(0, String::new());
        }
        for (index, name) in names.iter_mut().enumerate() {
            if name.is_empty() {
                *name = number(index);
            }
        }
        Self {
            layout,
            header,
            names,
            draft,
        }
    }

    fn row(&mut self, row: &Row<'_>) {
        if let Some(header) = self.header
            && header.cells == row.cells
        {
            // A header is a row of its own, so that a table without rows, or a
            // question for the columns, finds it. Where files were put behind
            // each other it comes again, and says nothing new.
            if std::ptr::eq(header.raw, row.raw) {
                self.header(header);
            }
        } else if self.layout.has_remarks && row.raw.starts_with('#') {
            self.text(row);
        } else if row.cells.len() == 1 && self.layout.width > 2 {
            // The name of a part of the table, or what is said below it.
            self.draft.blank_line();
            self.text(row);
            self.draft.blank_line();
        } else {
            self.record(row);
        }
    }

    fn header(&mut self, header: &Row<'_>) {
        let names: Vec<String> = layout::cells(header).into_iter().map(one_line).collect();
        self.draft.blank_line();
        self.draft.push(&names.join(" | "));
        self.draft.blank_line();
    }

    fn record(&mut self, row: &Row<'_>) {
        self.draft.blank_line();
        for (index, value) in row.cells.iter().enumerate() {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            self.draft.break_line();
            match self.names.get(index) {
                Some(name) => self.draft.push(name),
                None => self.draft.push(&number(index)),
            }
            self.draft.push(": ");
            self.draft.push_words(value);
        }
        self.draft.blank_line();
    }

    /// A line that is not a row of the table.
    fn text(&mut self, row: &Row<'_>) {
        if row.blank_above {
            self.draft.blank_line();
        }
        self.draft.break_line();
        self.draft.push_words(&line(row));
        self.draft.break_line();
    }
}

/// What a column without a name is called.
fn number(index: usize) -> String {
    format!("column {}", index + 1)
}

/// A line outside of the table in words: a name and its value, where it is two
/// cells; what stands behind the mark of a remark.
fn line<'a>(row: &'a Row<'_>) -> Cow<'a, str> {
    if let Some(remark) = row.raw.strip_prefix('#') {
        return remark.trim_start_matches('#').trim().into();
    }
    let cells: Vec<&str> = row.cells[..row.width()]
        .iter()
        .map(|cell| &**cell)
        .collect();
    match cells.as_slice() {
        [only] => only.trim().into(),
        // The comma of a sentence.
        [_, more @ ..] if more.iter().any(|cell| cell.starts_with(' ')) => row.raw.into(),
        [name, value] => format!("{}: {}", name.trim().trim_end_matches(':'), value.trim()).into(),
        _ => cells
            .iter()
            .map(|cell| cell.trim())
            .filter(|cell| !cell.is_empty())
            .collect::<Vec<_>>()
            .join(" | ")
            .into(),
    }
}
