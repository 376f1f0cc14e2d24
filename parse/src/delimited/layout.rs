//! Where in a file the table begins, and which row names its columns.

use super::dialect::most_common;
use super::kind::{Kind, shape};
use super::reader::Row;

/// Longest name of a column, in bytes.
const MAX_NAME_NUM_BYTES: usize = 200;
/// Most lines above a table that an empty line divides from it.
const MAX_PREAMBLE_ROWS: usize = 20;

/// What is known about a table from its first rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Rows before this one are text above the table.
    pub(super) start: usize,
    /// Whether the row at `start` names the columns.
    pub(super) has_header: bool,
    /// Whether the names begin with the second column, as R writes them.
    pub(super) names_are_shifted: bool,
    /// Cells of most rows.
    pub(super) width: usize,
    /// Whether lines that begin with `#` are remarks.
    pub(super) has_remarks: bool,
}

/// The layout of a table of which `rows` are the first ones.
pub(super) fn find(rows: &[Row<'_>]) -> Layout {
    let has_remarks = has_remarks(rows);
    let is_remark = |row: &Row<'_>| has_remarks && row.raw.starts_with('#');
    let width = width(rows.iter().filter(|row| !is_remark(row)));
    let fits = |row: &&Row<'_>| !is_remark(row) && row.width() >= width;
    let mut layout = Layout {
        start: rows.iter().position(|row| fits(&row)).unwrap_or(0),
        has_header: false,
        names_are_shifted: false,
        width,
        has_remarks,
    };
    match below_preamble(rows, layout.start, width) {
        Some(start) => layout.start = start,
        None => {
            // Rows that lack their last cells are rows all the same.
            while let Some(above) = layout.start.checked_sub(1)
                && !is_remark(&rows[above])
                && is_row_like(&rows[above], &rows[layout.start])
            {
                layout.start = above;
            }
        }
    }
    let data = |from: usize| -> Vec<&Row<'_>> {
        let header = &rows[from];
        let rows = rows[from + 1..].iter();
        rows.filter(fits)
            .filter(|row| row.cells != header.cells)
            .collect()
    };
    let Some(first) = rows.get(layout.start) else {
        return layout;
    };
    layout.has_header = names_columns(first, &data(layout.start), width);
    if !layout.has_header
        && let Some(above) = layout.start.checked_sub(1)
        && is_name_row_above(&rows[above], first, width, has_remarks)
    {
        layout.start = above;
        layout.has_header = true;
        layout.names_are_shifted = rows[above].cells.len() + 1 == width && counts(&data(above));
    }
    layout
}

/// The cells of a row that may name columns; a remark may, without its mark.
pub(super) fn cells<'a>(row: &'a Row<'_>) -> Vec<&'a str> {
    let mut cells: Vec<&str> = row.cells.iter().map(|cell| cell.trim()).collect();
    cells.truncate(row.width());
    if let Some(first) = cells.first_mut()
        && let Some(name) = first.strip_prefix('#')
        && !name.trim().is_empty()
    {
        *first = name.trim_start_matches('#').trim();
    }
    cells
}

/// Whether lines that begin with `#` are remarks: not where rows do as well, as
/// in a table of colours, nor where it is the name of a column.
fn has_remarks(rows: &[Row<'_>]) -> bool {
    let marked = || rows.iter().filter(|row| row.raw.starts_with('#'));
    let others = rows.iter().filter(|row| !row.raw.starts_with('#'));
    let width = width(others);
    let alike =
        marked().filter(|row| row.cells.len() == width && width > 1 && !row.raw.starts_with("# "));
    marked().count() > 0 && alike.count() < marked().count()
}

/// Cells of most rows. Rows that are one cell say nothing, if there are others.
fn width<'a>(rows: impl Iterator<Item = &'a Row<'a>> + Clone) -> usize {
    let widths = || rows.clone().map(Row::width);
    let several = most_common(widths().filter(|&width| width > 1));
    match several {
        Some((width, count)) if count * 4 >= widths().count() => width,
        _ => most_common(widths().filter(|&width| width > 0)).map_or(1, |(width, _)| width),
    }
}

/// Whether a row is one of the table's, going by numbers and dates in the same
/// places.
fn is_row_like(row: &Row<'_>, other: &Row<'_>) -> bool {
    row.cells.len() > 1
        && row.cells.iter().zip(&other.cells).any(|(a, b)| {
            let kind = Kind::of(a);
            kind != Kind::Text && kind != Kind::Empty && kind == Kind::of(b)
        })
}

/// Where the table begins below lines of as many cells that an empty line
/// divides from it: those have no column of numbers, it has one.
fn below_preamble(rows: &[Row<'_>], start: usize, width: usize) -> Option<usize> {
    if width != 2 {
        return None;
    }
    let below = (start + 1..rows.len().min(start + 1 + MAX_PREAMBLE_ROWS))
        .find(|&at| rows[at].blank_above && rows[at].width() >= width)?;
    let above: Vec<&Row<'_>> = rows[start..below].iter().collect();
    let data: Vec<&Row<'_>> = rows[below + 1..].iter().collect();
    let typed = |rows: &[&Row<'_>]| (0..width).any(|column| column_kind(rows, column).is_some());
    let names = rows[below]
        .cells
        .iter()
        .all(|cell| Kind::of(cell) == Kind::Text);
    (names && typed(&data) && !typed(&above[1..]) && (above.len() == 1 || !typed(&above)))
        .then_some(below)
}

/// What nearly all cells of a column hold, if that is not text.
fn column_kind(rows: &[&Row<'_>], column: usize) -> Option<Kind> {
    let kinds: Vec<Kind> = rows
        .iter()
        .filter_map(|row| row.cells.get(column))
        .map(|cell| Kind::of(cell))
        .filter(|kind| *kind != Kind::Empty)
        .collect();
    let first = *kinds.iter().find(|kind| **kind != Kind::Text)?;
    let same = kinds.iter().filter(|kind| **kind == first).count();
    (same * 10 >= kinds.len() * 8).then_some(first)
}

/// Whether `first` names the columns of `data`: its cells are of another kind
/// than those below them, or, where all are text, it looks like names.
fn names_columns(first: &Row<'_>, data: &[&Row<'_>], width: usize) -> bool {
    let names = cells(first);
    let filled = names.iter().filter(|name| !name.is_empty()).count();
    if filled * 2 < width || names.iter().any(|name| name.len() > MAX_NAME_NUM_BYTES) {
        return false;
    }
    let series = is_series(&names)
        && may_be_names(&names)
        && data.iter().take(3).all(|row| !is_series(&cells(row)));
    let (mut evidence, mut numbers) = (0i32, 0);
    for (column, name) in names.iter().enumerate() {
        let kind = match Kind::of(name) {
            Kind::Empty => continue,
            kind => kind,
        };
        let is_excused = kind == Kind::Number && (series || is_year(name));
        numbers += usize::from(kind != Kind::Text && !is_excused);
        let below = column_kind(data, column);
        evidence += match below {
            Some(below) if below != kind => 1,
            Some(_) if is_excused && !is_year_column(data, column) => 0,
            Some(_) => -1,
            // A value of its own column is not a name.
            None if occurs(data, column, name) => -1,
            None => match column_shape(data, column) {
                Some(below) if Some(&below) == shape(name).as_ref() => -1,
                Some(_) => 1,
                None => 0,
            },
        };
    }
    evidence > 0 || (evidence == 0 && numbers == 0)
}

/// The pattern of nearly all cells of a column of codes.
fn column_shape(data: &[&Row<'_>], column: usize) -> Option<String> {
    let filled = |cell: &&std::borrow::Cow<'_, str>| Kind::of(cell) != Kind::Empty;
    let cells = || {
        data.iter()
            .filter_map(|row| row.cells.get(column))
            .filter(filled)
    };
    let first = cells().next().and_then(|cell| shape(cell))?;
    let same = cells().filter(|cell| shape(cell).as_ref() == Some(&first));
    (cells().count() > 1 && same.count() * 10 >= cells().count() * 8).then_some(first)
}

fn occurs(data: &[&Row<'_>], column: usize, name: &str) -> bool {
    data.iter()
        .filter_map(|row| row.cells.get(column))
        .any(|cell| cell.trim() == name)
}

/// A whole number that may be a year.
fn is_year(name: &str) -> bool {
    name.len() == 4
        && name
            .parse::<u16>()
            .is_ok_and(|year| (1800..=2200).contains(&year))
}

fn is_year_column(data: &[&Row<'_>], column: usize) -> bool {
    let cells = || data.iter().filter_map(|row| row.cells.get(column));
    let years = cells().filter(|cell| is_year(cell.trim())).count();
    years * 2 > cells().count()
}

/// Whether the numbers among `names` count up or down in equal steps: years,
/// months, weeks, hours.
fn is_series(names: &[&str]) -> bool {
    let numbers: Vec<i64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let step = match numbers.as_slice() {
        [] => return false,
        [only] => return is_year(&only.to_string()),
        [first, second, ..] => second - first,
    };
    // Two numbers always have equal steps.
    step != 0
        && numbers.windows(2).all(|pair| pair[1] - pair[0] == step)
        && (numbers.len() > 2 || numbers.iter().all(|number| is_year(&number.to_string())))
}

/// Whether numbers may be names: alongside a name in words, as years, or counted
/// from 0, as programs do.
fn may_be_names(names: &[&str]) -> bool {
    names.iter().any(|name| Kind::of(name) == Kind::Text)
        || names.iter().all(|name| name.is_empty() || is_year(name))
        || names.iter().find(|name| !name.is_empty()) == Some(&"0")
        || names.first() == Some(&"")
}

/// Whether the row above the first whole one names the columns: it has fewer
/// names than there are columns, or it is a remark.
fn is_name_row_above(above: &Row<'_>, first: &Row<'_>, width: usize, has_remarks: bool) -> bool {
    let names = cells(above);
    let is_remark = has_remarks && above.raw.starts_with('#');
    let fits = match is_remark {
        true => names.len() == width,
        false => names.len() + 1 >= width || names.len() * 3 >= width * 2,
    };
    let differs = first
        .cells
        .iter()
        .any(|cell| matches!(Kind::of(cell), Kind::Number | Kind::Date));
    let filled = names.iter().filter(|name| !name.is_empty()).count();
    // A cell without a name among those that have one is a column's all the same.
    let may_be_empty = !is_remark && above.cells.len() == width;
    width > 1
        && filled > 1
        && filled * 2 >= width.min(names.len())
        && fits
        && differs
        && !first.blank_above
        && names.iter().all(|name| {
            let kind = Kind::of(name);
            let is_name = kind == Kind::Text || (kind == Kind::Empty && may_be_empty);
            is_name && name.len() <= MAX_NAME_NUM_BYTES
        })
}

/// Whether the first cells are the numbers of the rows.
fn counts(data: &[&Row<'_>]) -> bool {
    let numbers = data
        .iter()
        .map(|row| row.cells.first()?.trim().parse::<i64>().ok());
    let numbers: Option<Vec<i64>> = numbers.collect();
    numbers.is_some_and(|numbers| {
        matches!(numbers.first(), Some(0 | 1))
            && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
    })
}
