//! Tables of office documents: a line for each row, merged cells in every row
//! that they span, inner tables as lines of their own below the row that holds
//! them.

use std::collections::HashMap;

use super::draft::Draft;

/// Deepest tables inside tables that are told apart.
const MAX_DEPTH: usize = 12;
/// Most columns of a table, as in Word.
const MAX_COLUMNS: usize = 63;
/// Longest value that is repeated in the rows below, in characters.
const MAX_REPEATED_CHARS: usize = 200;
/// Longest name of a column where nothing says that a row names them, in bytes.
const MAX_NAME_BYTES: usize = 60;

#[derive(Debug, Default)]
struct Cell {
    text: String,
    span: usize,
    merge: Merge,
}

/// How a cell belongs to those above it and before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Merge {
    #[default]
    No,
    /// It reaches down from here, over this many more rows.
    Begins(usize),
    /// It goes on from above, or else from the left.
    GoesOn,
    /// It goes on from the left.
    Left,
}

/// A row of a table as a line of text.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    /// Whether it says what the columns are called.
    names_columns: bool,
}

impl Line {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn write(&self, draft: &mut Draft) {
        draft.break_line();
        draft.push(&self.text);
        if self.names_columns {
            draft.name_columns();
        }
        draft.break_line();
    }
}

#[derive(Debug, Default)]
struct Table {
    rows: usize,
    /// Whether the file says that this row is a part of the head.
    is_head: bool,
    /// Whether all rows so far are.
    in_head: bool,
    cells: Vec<String>,
    cell: Cell,
    /// Lines of the inner tables of this row.
    inner: Vec<String>,
    /// By column, what a merged cell above says, and for how many rows more.
    above: HashMap<usize, (String, usize)>,
    deleted: bool,
}

/// The open tables, innermost last.
#[derive(Debug, Default)]
pub(super) struct Tables {
    open: Vec<Table>,
    /// Tables below the deepest that is told apart.
    deeper: usize,
}

impl Tables {
    pub(super) fn is_outside(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn begin(&mut self) {
        if self.open.len() < MAX_DEPTH {
            self.open.push(Table {
                in_head: true,
                ..Table::default()
            });
        } else {
            self.deeper += 1;
        }
    }

    /// Ends a table; true where it was the outermost.
    pub(super) fn end(&mut self) -> bool {
        if self.deeper > 0 {
            self.deeper -= 1;
            return false;
        }
        // What stands between the rows belongs to no row.
        self.open.pop();
        self.open.is_empty()
    }

    fn current(&mut self) -> Option<&mut Table> {
        self.open.last_mut().filter(|_| self.deeper == 0)
    }

    /// Adds a paragraph to the cell.
    pub(super) fn push(&mut self, text: &str) {
        let Some(table) = self.open.last_mut() else {
            return;
        };
        for word in text.split_whitespace() {
            if !table.cell.text.is_empty() {
                table.cell.text.push(' ');
            }
            table.cell.text.push_str(word);
        }
    }

    /// The cell reaches over this many columns.
    pub(super) fn span(&mut self, columns: usize) {
        if let Some(table) = self.current() {
            table.cell.span = columns;
        }
    }

    pub(super) fn merge(&mut self, merge: Merge) {
        if let Some(table) = self.current() {
            table.cell.merge = merge;
        }
    }

    /// The row begins, or ends, with this many columns without a cell.
    pub(super) fn leave_out(&mut self, columns: usize) {
        if let Some(table) = self.current() {
            table.pad(columns);
        }
    }

    /// The row is a part of the table's head.
    pub(super) fn name_columns(&mut self) {
        if let Some(table) = self.current() {
            table.is_head = true;
        }
    }

    /// The row was deleted.
    pub(super) fn delete_row(&mut self) {
        if let Some(table) = self.current() {
            table.deleted = true;
        }
    }

    pub(super) fn end_cell(&mut self) {
        if let Some(table) = self.current() {
            table.end_cell();
        }
    }

    /// Ends a row; its lines where the table is the outermost, else they wait
    /// for the row around it.
    pub(super) fn end_row(&mut self) -> Vec<Line> {
        let Some(table) = self.current() else {
            return Vec::new();
        };
        let lines = table.end_row();
        let outer = self.open.len().checked_sub(2);
        match outer.and_then(|outer| self.open.get_mut(outer)) {
            Some(outer) => {
                outer.inner.extend(lines.into_iter().map(|line| line.text));
                Vec::new()
            }
            None => lines,
        }
    }
}

impl Table {
    fn pad(&mut self, columns: usize) {
        let room = MAX_COLUMNS.saturating_sub(self.cells.len());
        let cells = self.cells.len() + columns.min(room);
        self.cells
            .resize(cells.max(self.cells.len()), String::new());
    }

    fn end_cell(&mut self) {
        let mut cell = std::mem::take(&mut self.cell);
        let column = self.cells.len();
        let left = || match self.cells.last() {
            Some(left) if self.rows == 0 => left.clone(),
            _ => String::new(),
        };
        match cell.merge {
            Merge::GoesOn => match self.above.get_mut(&column) {
                Some((above, rows)) => {
                    if !above.is_empty() {
                        cell.text.clone_from(above);
                    }
                    *rows -= 1;
                    if *rows == 0 {
                        self.above.remove(&column);
                    }
                }
                None if cell.text.is_empty() => cell.text = left(),
                None => {}
            },
            Merge::Left => cell.text = left(),
            Merge::Begins(rows) if rows > 0 => {
                let value = cell.text.chars().take(MAX_REPEATED_CHARS).collect();
                self.above.insert(column, (value, rows));
            }
            Merge::No | Merge::Begins(_) => {
                self.above.remove(&column);
            }
        }
        let more = cell.span.saturating_sub(1);
        // A head over several columns names each of them.
        let named = (self.rows == 0 && more > 0 && cell.text.len() <= MAX_REPEATED_CHARS)
            .then(|| cell.text.clone());
        self.cells.push(cell.text);
        self.pad(more);
        if let Some(name) = named {
            self.cells[column + 1..].fill(name);
        }
    }

    fn end_row(&mut self) -> Vec<Line> {
        let mut cells = std::mem::take(&mut self.cells);
        let inner = std::mem::take(&mut self.inner);
        let is_head = std::mem::take(&mut self.is_head);
        if std::mem::take(&mut self.deleted) {
            return Vec::new();
        }
        let is_first = self.rows == 0;
        // A head over the whole table is said once, and is not a head of columns.
        if self.rows == 0 && cells.len() > 1 && cells.iter().all(|cell| *cell == cells[0]) {
            cells.truncate(1);
        } else {
            self.rows += 1;
        }
        self.in_head &= is_head;
        // Few writers say which rows are the head: most tables begin with it.
        let names_columns = cells.len() > 1 && (self.in_head || (is_first && are_names(&cells)));
        let line = cells.join(" | ");
        let line = line.trim_end_matches([' ', '|']);
        let own = (!line.is_empty()).then(|| Line {
            text: line.to_owned(),
            names_columns,
        });
        let inner = inner.into_iter().map(|text| Line {
            text,
            names_columns: false,
        });
        own.into_iter().chain(inner).collect()
    }
}

/// Whether cells may be the names of columns: short, and words rather than values.
fn are_names(cells: &[String]) -> bool {
    cells.iter().all(|cell| {
        let is_short = (1..=MAX_NAME_BYTES).contains(&cell.len());
        is_short && cell.contains(char::is_alphabetic) && !cell.ends_with(['.', ':'])
    })
}

#[cfg(test)]
mod tests {
    use super::Tables;

    /// Which of some rows are said to name the columns.
    fn names(rows: &[&[&str]], heads: usize) -> Vec<bool> {
        let mut tables = Tables::default();
        tables.begin();
        let mut found = Vec::new();
        for (number, row) in rows.iter().enumerate() {
            if number < heads {
                tables.name_columns();
            }
            for cell in *row {
                tables.push(cell);
                tables.end_cell();
            }
            let lines = tables.end_row();
            found.extend(lines.iter().map(|line| line.names_columns));
        }
        found
    }

    #[test]
    fn the_head_names_the_columns() {
        let rows: &[&[&str]] = &[&["Key", "2020"], &["Old", "New"], &["A1", "4"]];
        assert_eq!(names(rows, 2), [true, true, false]);
        assert_eq!(names(&rows[1..], 0), [true, false]);
        // Values, or a text of its own, are no names.
        assert_eq!(names(&[&["1", "2"], &["3", "4"]], 0), [false, false]);
        assert_eq!(
            names(&[&["Name:", "Ann"], &["Age:", "4"]], 0),
            [false, false]
        );
    }
}
