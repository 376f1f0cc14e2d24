//! The four ways to write a table: each row comes out as one line.

use super::Reader;
use crate::spaces::single_spaced;

/// Deepest tables whose cells may hold tables.
const MAX_DEPTH: usize = 4;
/// Most columns of a drawn table; more are not a table.
const MAX_COLUMNS: usize = 200;

/// A cell's lines.
type Cell = Vec<String>;

impl Reader<'_> {
    /// Writes a row; one that `is_head` names the columns of those below it.
    fn row(&mut self, cells: &[Cell], is_head: bool) {
        let cells: Vec<String> = cells.iter().map(|cell| self.cell(cell)).collect();
        let line = cells.join(" | ");
        self.draft.break_line();
        self.draft.push(line.trim_end_matches([' ', '|']));
        if is_head {
            self.draft.name_columns();
        }
        self.draft.break_line();
    }

    /// What a cell says, on one line.
    fn cell(&self, lines: &[String]) -> String {
        let mut filled = lines.iter().filter(|line| !line.trim().is_empty());
        let first = filled.next().map_or("", |line| line.trim());
        if first == "\\" {
            return String::new();
        }
        if filled.next().is_none() || self.depth >= MAX_DEPTH {
            let text: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
            return single_spaced(&self.clean(text.join(" ").trim()));
        }
        single_spaced(self.inner(lines).text())
    }

    /// `* - cell` for the first cell of a row, `  - cell` for the others.
    pub(super) fn list_table(&mut self, options: &[(String, String)], block: &[String]) {
        let mut heads = head_rows(options);
        let mut cells: Vec<Cell> = Vec::new();
        let mut cell_at = 0;
        for line in block {
            let indent = super::indent_of(line);
            let body = line.trim_start();
            if indent == 0 && is_bullet(body) {
                if !cells.is_empty() {
                    self.row(&cells, heads > 0);
                    heads = heads.saturating_sub(1);
                    cells.clear();
                }
                let rest = &body[bullet_len(body)..];
                cell_at = bullet_len(body) + super::indent_of(rest);
                cells.extend(is_bullet(rest.trim_start()).then(|| vec![item(rest)]));
            } else if indent == cell_at && is_bullet(body) {
                cells.push(vec![item(body)]);
            } else if let Some(cell) = cells.last_mut() {
                let inside = indent.min(cell_at + 2);
                cell.push(line.get(inside..).unwrap_or_default().to_owned());
            }
        }
        if !cells.is_empty() {
            self.row(&cells, heads > 0);
        }
        self.draft.blank_line();
    }

    /// Comma-separated values; the header may be an option.
    pub(super) fn csv_table(&mut self, options: &[(String, String)], block: &[String]) {
        let option = |name: &str| {
            let found = options.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let byte = |name: &str| match option(name) {
            Some("tab") => Some(b'\t'),
            Some("space") => Some(b' '),
            other => other?.bytes().next().filter(u8::is_ascii),
        };
        let (delimiter, quote) = (byte("delim").unwrap_or(b','), byte("quote").unwrap_or(b'"'));
        let mut builder = csv::ReaderBuilder::new();
        builder
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .quote(quote)
            .escape(byte("escape"))
            .trim(csv::Trim::Fields);
        let header = option("header").unwrap_or_default().to_owned();
        let heads = head_rows(options);
        for (text, mut heads) in [(header, usize::MAX), (block.join("\n"), heads)] {
            let text = without_initial_space(&text, delimiter.into(), quote.into());
            let mut reader = builder.from_reader(text.as_bytes());
            let mut record = csv::StringRecord::new();
            // A line that is not a record ends the table.
            while reader.read_record(&mut record).unwrap_or(false) && !self.draft.is_full() {
                let cells: Vec<Cell> = record
                    .iter()
                    .map(|cell| cell.lines().map(str::to_owned).collect())
                    .collect();
                self.row(&cells, heads > 0);
                heads = heads.saturating_sub(1);
            }
        }
        self.draft.blank_line();
    }

    /// A table between lines of `====  ====`; returns the line after it.
    pub(super) fn simple_table(&mut self, at: usize) -> Option<usize> {
        let border = self.line(at);
        let indent = super::indent_of(border);
        let columns = simple_columns(border.trim_start());
        if columns.len() < 2 || columns.len() > MAX_COLUMNS {
            return None;
        }
        let mut borders = 0;
        let end = (at + 1..self.lines.len()).find(|&line| {
            let is_border = super::is_simple_border(self.line(line));
            borders += usize::from(is_border);
            is_border && (borders == 2 || self.line(line + 1).is_empty())
        })?;
        self.draft.blank_line();
        let is_border = |line: &usize| super::is_simple_border(self.line(*line));
        let head_end = (at + 1..end).find(is_border).unwrap_or(at);
        let mut cells: Vec<Cell> = Vec::new();
        for number in at + 1..end {
            let line = self.lines[number].get(indent..).unwrap_or_default();
            let is_rule = !line.is_empty() && line.bytes().all(|b| b"=- ".contains(&b));
            let parts = cut_simple(line, &columns);
            let begins = !parts[0].trim().is_empty();
            if (begins || is_rule) && !cells.is_empty() {
                self.row(&std::mem::take(&mut cells), number <= head_end);
            }
            if is_rule {
                continue;
            }
            if cells.is_empty() && !line.is_empty() {
                cells = vec![Cell::new(); columns.len()];
            }
            for (cell, part) in cells.iter_mut().zip(parts) {
                cell.push(part);
            }
        }
        if !cells.is_empty() {
            self.row(&cells, false);
        }
        self.draft.blank_line();
        Some(end + 1)
    }

    /// A table drawn with `+---+` and `|`; returns the line after it.
    pub(super) fn grid_table(&mut self, at: usize) -> Option<usize> {
        let indent = super::indent_of(self.line(at));
        let len = self.lines[at..].iter().take_while(|line| {
            super::indent_of(line) == indent && line.trim_start().starts_with(['+', '|'])
        });
        let end = at + len.count();
        let lines: Vec<Vec<char>> = self.lines[at..end]
            .iter()
            .map(|line| widen(line.trim()))
            .collect();
        let mut edges: Vec<usize> = lines
            .iter()
            .filter(|line| line.starts_with(&['+']))
            .flat_map(|line| line.iter().enumerate().filter(|(_, c)| **c == '+'))
            .map(|(edge, _)| edge)
            .collect();
        edges.sort_unstable();
        edges.dedup();
        if end - at < 3 || edges.len() < 2 || edges.len() > MAX_COLUMNS {
            return None;
        }
        self.draft.blank_line();
        let mut grid = Grid::new(edges);
        let head_end = lines
            .iter()
            .skip(1)
            .position(|line| line.contains(&'=') && is_rule(line));
        for (number, line) in lines[1..].iter().enumerate() {
            if let Some(cells) = grid.line(line) {
                self.row(&cells, head_end.is_some_and(|end| number <= end));
            }
        }
        if let Some(cells) = grid.take_row(&[]) {
            self.row(&cells, false);
        }
        self.draft.blank_line();
        Some(end)
    }
}

/// How many rows an option says to be the head.
fn head_rows(options: &[(String, String)]) -> usize {
    let rows = options.iter().find(|(name, _)| name == "header-rows");
    rows.and_then(|(_, rows)| rows.parse().ok()).unwrap_or(0)
}

/// Whether a line of a drawn table parts the rows in all columns.
fn is_rule(line: &[char]) -> bool {
    line.iter().all(|c| "+-=".contains(*c))
}

/// `text` without the spaces in front of its fields, which docutils allows: a
/// quote behind them still quotes.
fn without_initial_space(text: &str, delimiter: char, quote: char) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut at_start) = (false, true);
    for c in text.chars() {
        if at_start && !quoted && c == ' ' && delimiter != ' ' {
            continue;
        }
        quoted ^= c == quote;
        at_start = c == delimiter || c == '\n';
        out.push(c);
    }
    out
}

fn is_bullet(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| "*-+•‣⁃".contains(c)) && chars.next().is_none_or(|c| c == ' ')
}

fn bullet_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// What follows the bullet that `text` begins with.
fn item(text: &str) -> String {
    let text = text.trim_start();
    text[bullet_len(text)..].trim_start().to_owned()
}

/// First and last place of each column.
fn simple_columns(border: &str) -> Vec<(usize, usize)> {
    let mut columns = Vec::new();
    let mut start = None;
    for (at, b) in border.bytes().chain([b' ']).enumerate() {
        match (b, start) {
            (b'=', None) => start = Some(at),
            (b' ', Some(from)) => {
                columns.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    columns
}

/// The text in each column; what runs on over a gap belongs to the first.
fn cut_simple(line: &str, columns: &[(usize, usize)]) -> Vec<String> {
    let line = widen(line);
    let mut parts = vec![String::new(); columns.len()];
    let mut first = 0;
    for (at, (start, end)) in columns.iter().enumerate() {
        let next = columns.get(at + 1).map(|next| next.0);
        // The last column has no right edge.
        let text = slice(&line, *start, next.unwrap_or(usize::MAX));
        parts[first].push_str(&text);
        let gap = slice(&line, *end, next.unwrap_or(*end));
        let runs_on = !gap.is_empty() && !gap.contains(' ');
        if !runs_on {
            first = at + 1;
        }
    }
    for part in &mut parts {
        part.truncate(part.trim_end().len());
    }
    parts
}

/// The rows of a grid table, line by line.
struct Grid {
    edges: Vec<usize>,
    cells: Vec<Cell>,
    /// Columns that are part of the one before them, in this row.
    joined: Vec<bool>,
    is_first: bool,
}

impl Grid {
    fn new(edges: Vec<usize>) -> Self {
        let columns = edges.len() - 1;
        Self {
            edges,
            cells: vec![Cell::new(); columns],
            joined: vec![false; columns],
            is_first: true,
        }
    }

    /// Takes a line; gives the row that it ends.
    fn line(&mut self, line: &[char]) -> Option<Vec<Cell>> {
        let columns = self.cells.len();
        let closed: Vec<bool> = (0..columns)
            .map(|column| {
                let (start, end) = (self.edges[column] + 1, self.edges[column + 1]);
                start < end
                    && line.len() >= end
                    && line[start..end].iter().all(|c| "-=+".contains(*c))
            })
            .collect();
        let row = closed
            .contains(&true)
            .then(|| self.take_row(&closed))
            .flatten();
        let mut first = 0;
        for column in 0..columns {
            let edge = line.get(self.edges[column]);
            if closed[column] {
                continue;
            }
            if column > 0 && !closed[column - 1] && !matches!(edge, Some('|' | '+') | None) {
                self.joined[column] = true;
            } else {
                first = column;
            }
            // A joined column takes the place of its edge along.
            let start = self.edges[column] + usize::from(first == column);
            let text = slice(line, start, self.edges[column + 1]);
            if first == column {
                self.cells[first].push(text);
            } else if let Some(last) = self.cells[first].last_mut() {
                last.push_str(&text);
            }
        }
        row
    }

    /// The row so far. A cell that is not closed goes on, and its value counts
    /// for the next row too.
    fn take_row(&mut self, closed: &[bool]) -> Option<Vec<Cell>> {
        let is_filled = |cell: &Cell| cell.iter().any(|line| !line.trim().is_empty());
        if !self.cells.iter().any(is_filled) {
            return None;
        }
        let mut row = self.cells.clone();
        if self.is_first {
            // A head over several columns names each of them.
            for column in 1..row.len() {
                if self.joined[column] {
                    row[column] = row[column - 1].clone();
                }
            }
        }
        self.is_first = false;
        for (column, cell) in self.cells.iter_mut().enumerate() {
            if closed.get(column).copied().unwrap_or(true) {
                cell.clear();
            }
        }
        self.joined.fill(false);
        Some(row)
    }
}

/// A line in which every character is as many places long as it is wide: the
/// wide ones of East Asia are followed by a filler.
fn widen(line: &str) -> Vec<char> {
    let mut wide = Vec::with_capacity(line.len());
    for c in line.chars() {
        wide.push(c);
        if is_wide(c) {
            wide.push(FILLER);
        }
    }
    wide
}

const FILLER: char = '\0';

fn is_wide(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff01}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}')
}

fn slice(line: &[char], start: usize, end: usize) -> String {
    let end = end.min(line.len());
    let text = line.get(start..end).unwrap_or_default();
    text.iter().filter(|c| **c != FILLER).collect()
}
