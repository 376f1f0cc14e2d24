//! One sheet: its filled cells, and the tables that they form.

use crate::spaces::single_spaced;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::cells::Cells;
use crate::links;
use crate::ooxml::{Relations, is_on};
use crate::xml::{self, Attributes, Xml};
use crate::{Error, ErrorKind, Result};

/// Most columns and rows of a sheet, as in Excel.
const MAX_COLUMNS: usize = 16_384;
const MAX_ROWS: usize = 1 << 20;
/// Most cells over which a merged value is repeated.
const MAX_MERGED: usize = 10_000;
/// Longest value that is repeated, in bytes.
const MAX_REPEATED: usize = 200;
/// Most fields of a table, empty ones included; cells further right are left
/// out, but never the first columns.
const MAX_FIELDS: usize = 1 << 25;
const MIN_WIDTH: usize = 64;
/// Most columns that are marked as hidden, counted again for each mark.
const MAX_HIDDEN: usize = 1 << 20;

/// A filled cell: its text, and whether it is a number or a date.
#[derive(Clone, Debug)]
struct Cell {
    text: String,
    is_text: bool,
}

/// The filled cells of a row, by column.
type Row = BTreeMap<usize, Cell>;

/// The filled cells of a sheet, by row and column.
#[derive(Default)]
pub(super) struct Sheet(BTreeMap<usize, Row>);

/// A table, and the lines above it.
pub(super) struct Block {
    pub(super) lines: Vec<String>,
    rows: Vec<Row>,
    first: usize,
    width: usize,
}

struct Reader<'a> {
    cells: &'a Cells,
    relations: &'a Relations,
    sheet: Sheet,
    row: usize,
    column: usize,
    kind: String,
    style: usize,
    value: String,
    in_value: bool,
    in_reading: bool,
    hidden_row: bool,
    hidden_columns: HashSet<usize>,
    hidden_room: usize,
    room: usize,
    merged: Vec<(usize, usize, usize, usize)>,
    links: HashMap<(usize, usize), String>,
}

/// Reads the cells of a worksheet.
pub(super) fn read(text: &str, cells: &Cells, relations: &Relations) -> Result<Sheet> {
    let mut reader = Reader {
        cells,
        relations,
        sheet: Sheet::default(),
        row: 0,
        column: 0,
        kind: String::new(),
        style: 0,
        value: String::new(),
        in_value: false,
        in_reading: false,
        hidden_row: false,
        hidden_columns: HashSet::new(),
        hidden_room: MAX_HIDDEN,
        room: cells.limit,
        merged: Vec::new(),
        links: HashMap::new(),
    };
    xml::read(text, "XLSX", |event| {
        match event {
            Xml::Start(name, attributes) => reader.start(name, &attributes),
            Xml::End("c") => return reader.end_cell(),
            Xml::End(name) => reader.end(name),
            Xml::Text(text) if reader.in_value && !reader.in_reading => {
                reader.value.push_str(&text);
            }
            Xml::Text(_) => {}
        }
        Ok(())
    })?;
    reader.finish();
    Ok(reader.sheet)
}

impl Reader<'_> {
    fn start(&mut self, name: &str, attributes: &Attributes<'_>) {
        let number = |name: &str| attributes.get(name).and_then(|v| v.parse::<usize>().ok());
        let is_hidden = || {
            let hidden = attributes.get("hidden");
            hidden.is_some_and(|hidden| is_on(Some(&hidden)))
        };
        match name {
            "col" if is_hidden() => {
                let (first, last) = (number("min").unwrap_or(1), number("max").unwrap_or(1));
                let columns = first..=last.min(MAX_COLUMNS).min(first + self.hidden_room);
                self.hidden_room -= columns.clone().count().min(self.hidden_room);
                self.hidden_columns.extend(columns);
            }
            "row" => {
                self.row = number("r").unwrap_or(self.row + 1);
                self.column = 0;
                self.hidden_row = is_hidden();
            }
            "c" => {
                match attributes.get("r").as_deref().and_then(place) {
                    Some((row, column)) => (self.row, self.column) = (row, column),
                    None => self.column += 1,
                }
                self.kind = attributes.get("t").unwrap_or_default();
                self.style = number("s").unwrap_or(0);
                self.value.clear();
            }
            "v" | "t" => self.in_value = true,
            "rPh" => self.in_reading = true,
            "mergeCell" => {
                let range = attributes.get("ref").unwrap_or_default();
                if let Some((from, to)) = range.split_once(':')
                    && let (Some(from), Some(to)) = (place(from), place(to))
                {
                    self.merged.push((from.0, from.1, to.0, to.1));
                }
            }
            "hyperlink" => {
                let id = attributes.get_prefixed("id").unwrap_or_default();
                let at = attributes.get("ref").unwrap_or_default();
                let at = place(at.split(':').next().unwrap_or_default());
                if let (Some(at), Some(address)) = (at, self.relations.address(&id)) {
                    self.links.insert(at, address.to_owned());
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "v" | "t" => self.in_value = false,
            "rPh" => self.in_reading = false,
            _ => {}
        }
    }

    fn end_cell(&mut self) -> Result<()> {
        let is_hidden = self.hidden_row || self.hidden_columns.contains(&self.column);
        if is_hidden || self.row > MAX_ROWS || self.column > MAX_COLUMNS {
            return Ok(());
        }
        let text = self.cells.show(&self.kind, self.style, &self.value);
        if text.trim().is_empty() {
            return Ok(());
        }
        // Many cells may refer to one long string.
        self.room = self.room.checked_sub(text.len()).ok_or_else(|| {
            let limit = self.cells.limit >> 20;
            let message = format!(
                "it unfolds to more than {limit} MB of text; split the file or raise the limit"
            );
            Error::new(ErrorKind::TooLarge, message)
        })?;
        let is_text = matches!(self.kind.as_str(), "s" | "str" | "inlineStr");
        let row = self.sheet.0.entry(self.row).or_default();
        row.insert(self.column, Cell { text, is_text });
        Ok(())
    }

    /// Adds what stands behind the cells: addresses and merged ranges.
    fn finish(&mut self) {
        for ((row, column), address) in &self.links {
            let row = self.sheet.0.get_mut(row);
            if let Some(cell) = row.and_then(|row| row.get_mut(column)) {
                let suffix = links::suffix(address, &cell.text);
                cell.text.push_str(&suffix);
            }
        }
        let mut room = MAX_MERGED;
        for (top, left, bottom, right) in std::mem::take(&mut self.merged) {
            let value = self
                .sheet
                .0
                .get(&top)
                .and_then(|row| row.get(&left))
                .cloned();
            let height = bottom.saturating_sub(top);
            let Some(value) = value.filter(|v| v.text.len() <= MAX_REPEATED) else {
                continue;
            };
            // A value merged downwards counts for every row; one merged to the
            // right is a title, or stands in its first column.
            if height == 0 || height > room || right < left {
                continue;
            }
            room -= height;
            for row in top + 1..=bottom {
                if let Some(row) = self.sheet.0.get_mut(&row) {
                    row.entry(left).or_insert_with(|| value.clone());
                }
            }
        }
    }
}

/// Row and column of `B12`, both from 1.
fn place(reference: &str) -> Option<(usize, usize)> {
    let reference = reference.replace('$', "");
    let digits = reference.find(|c: char| c.is_ascii_digit())?;
    let (letters, digits) = reference.split_at(digits);
    let mut column = 0_usize;
    for letter in letters.bytes() {
        let value = letter.to_ascii_uppercase().checked_sub(b'A')?;
        column = column
            .checked_mul(26)?
            .checked_add(usize::from(value) + 1)?;
    }
    Some((digits.parse().ok()?, column))
}

/// The tables of a sheet: rows below each other. A gap ends a table only where
/// what follows looks like the head of another.
pub(super) fn blocks(sheet: Sheet) -> Vec<Block> {
    let mut groups: Vec<Group> = Vec::new();
    let mut last = None;
    for (number, row) in sheet.0 {
        let follows = last.is_some_and(|last| number == last + 1);
        last = Some(number);
        match groups.last_mut() {
            Some(group) if follows || group.goes_on(&row) => group.push(row),
            _ => {
                let mut group = Group::default();
                group.push(row);
                groups.push(group);
            }
        }
    }
    groups.into_iter().map(Group::into_block).collect()
}

/// Rows that belong together.
#[derive(Default)]
struct Group {
    rows: Vec<Row>,
    has_number: bool,
    is_table: bool,
}

impl Group {
    fn push(&mut self, row: Row) {
        self.has_number |= has_number(&row);
        self.is_table |= row.len() > 1;
        self.rows.push(row);
    }

    /// Whether a row below a gap still belongs to the table.
    fn goes_on(&self, row: &Row) -> bool {
        if self.rows.len() < 2 || !self.is_table || row.len() < 2 {
            return false;
        }
        let head = &self.rows[0];
        let is_alike = row.keys().next() == head.keys().next() && row.len() == head.len();
        has_number(row) || !self.has_number && is_alike
    }

    fn into_block(mut self) -> Block {
        // Titles and remarks above a table fill one cell each.
        let alone = self.rows.iter().take_while(|row| row.len() == 1).count();
        let above = if self.is_table {
            alone
        } else {
            self.rows.len()
        };
        let lines = self.rows.drain(..above).flat_map(Row::into_values);
        let lines = lines.map(|cell| single_spaced(&cell.text)).collect();
        let first = self.rows.iter().filter_map(|row| row.keys().next()).min();
        let last = self.rows.iter().filter_map(|row| row.keys().next_back());
        let first = first.copied().unwrap_or(0);
        let width = last.max().map_or(0, |last| last + 1 - first);
        // A table is as wide as its rows leave room for.
        let room = (MAX_FIELDS / self.rows.len().max(1)).max(MIN_WIDTH);
        Block {
            lines,
            rows: self.rows,
            first,
            width: width.min(room),
        }
    }
}

fn has_number(row: &Row) -> bool {
    row.values().any(|cell| !cell.is_text)
}

impl Block {
    /// The table's rows, each with all its columns.
    pub(super) fn records(&self) -> impl Iterator<Item = Vec<&str>> {
        self.rows.iter().map(|row| {
            let last = row
                .keys()
                .next_back()
                .map_or(0, |last| last + 1 - self.first);
            let mut fields = vec![""; last.min(self.width)];
            for (column, cell) in row {
                if let Some(field) = fields.get_mut(column - self.first) {
                    *field = &cell.text;
                }
            }
            fields
        })
    }
}
