//! Tables of data as lines of cells, `a | b`, every row by itself: what a cell spans
//! stands in each row and column of it.

use html5ever::{LocalName, local_name};

use super::is_heading;
use super::line::View;
use super::tree::Tree;
use crate::draft::first_row_names;

/// Widest table that spans are followed in; browsers draw the line at 1000 for one cell.
const MAX_COLUMNS: usize = 1000;
/// Bytes that may be written again because a cell spans rows or columns: these, and so
/// many times the table's text.
const MIN_REPEATED: usize = 64 * 1024;
const MAX_REPEATED: usize = 4;
/// What a cell costs alongside its text.
const CELL_BYTES: usize = 24;
/// Text of a cell from which it is a part of a page rather than a value.
const LONG_CELL: u32 = 1000;

/// What a table is made of, without the tables inside it.
#[derive(Default)]
struct Shape {
    rows: usize,
    /// Most cells of a row.
    cells: usize,
    has_headers: bool,
    /// Headings, or parts of a page, inside cells.
    has_sections: bool,
    /// Lists, code and tables inside cells.
    has_blocks: bool,
    /// Text of its longest cell, and of the tables inside.
    longest: u32,
    nested: u32,
}

/// Whether a table arranges parts of a page rather than data.
pub(super) fn is_layout(view: &View<'_>, table: usize) -> bool {
    let role = view.tree.nodes[table].attribute(&local_name!("role"));
    if matches!(role, Some("presentation" | "none")) {
        return true;
    }
    let mut shape = Shape::default();
    measure(view, table, &mut shape);
    let is_long = shape.longest > LONG_CELL;
    let is_nest = shape.nested * 2 > view.selection.weight(table).text;
    match shape.has_headers {
        true => (shape.has_sections && is_long) || (shape.cells <= 1 && shape.has_blocks),
        false => {
            shape.has_sections
                || is_nest
                || (is_long && shape.has_blocks)
                || ((shape.cells <= 1 || shape.rows <= 1) && shape.has_blocks)
        }
    }
}

fn measure(view: &View<'_>, index: usize, shape: &mut Shape) {
    for child in view.tree.children(index) {
        let Some(name) = view.tree.nodes[child].name() else {
            continue;
        };
        if view.selection.skips(child) {
            continue;
        }
        match &**name {
            "table" => {
                shape.has_blocks = true;
                shape.nested += view.selection.weight(child).text;
                continue;
            }
            "tr" => {
                shape.rows += 1;
                let cells = view
                    .tree
                    .children(child)
                    .filter(|&cell| is_cell(view.tree, cell) && !view.selection.skips(cell));
                shape.cells = shape.cells.max(cells.count());
            }
            "td" | "th" => {
                shape.has_headers |= *name == local_name!("th");
                shape.longest = shape.longest.max(view.selection.weight(child).text);
            }
            "thead" | "caption" => shape.has_headers = true,
            "article" | "section" | "main" => shape.has_sections = true,
            "pre" | "ul" | "ol" | "dl" | "blockquote" => shape.has_blocks = true,
            _ => shape.has_sections |= is_heading(name),
        }
        measure(view, child, shape);
    }
}

fn is_cell(tree: &Tree, index: usize) -> bool {
    let name = tree.nodes[index].name();
    name.is_some_and(|name| matches!(&**name, "td" | "th"))
}

/// A cell that reaches into rows below.
#[derive(Clone)]
struct Spanning {
    rows: usize,
    text: std::rc::Rc<str>,
}

/// A table, row by row.
pub(super) struct Rows<'a> {
    view: &'a View<'a>,
    /// What reaches down into the next row, by column.
    spanning: Vec<Option<Spanning>>,
    /// Bytes that may still be repeated.
    left: usize,
    rows: Vec<Vec<String>>,
    /// Rows at the top that name columns; one that is a title of the table is between.
    heads: Vec<bool>,
    in_heads: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(view: &'a View<'a>, table: usize) -> Self {
        let text = view.selection.weight(table).text as usize;
        Self {
            view,
            spanning: Vec::new(),
            left: MIN_REPEATED.max(text.saturating_mul(MAX_REPEATED)),
            rows: Vec::new(),
            heads: Vec::new(),
            in_heads: true,
        }
    }

    /// A group of rows ends, and with it what its cells span.
    pub(super) fn end_group(&mut self) {
        self.spanning.clear();
    }

    /// Reads a row; `in_head` says that it stands in the table's head.
    pub(super) fn read(&mut self, row: usize, in_head: bool) {
        let mut line = Vec::new();
        let (mut count, mut headers) = (0, 0);
        for cell in self.view.tree.children(row) {
            let Some(name) = self.view.tree.nodes[cell].name() else {
                continue;
            };
            if self.view.selection.skips(cell) {
                continue;
            }
            self.fill(&mut line, false);
            let text: std::rc::Rc<str> = self.view.cell(cell).into();
            count += 1;
            headers += usize::from(*name == local_name!("th") || text.is_empty());
            self.place(&mut line, cell, text);
        }
        self.fill(&mut line, true);
        let is_head = self.in_heads && count > 0 && (in_head || headers == count);
        // A head of one cell over all columns is a title.
        let names = is_head && line.iter().filter(|cell| !cell.is_empty()).count() > 1 && count > 1;
        self.in_heads &= is_head;
        if count == 1 && line.iter().all(|cell| *cell == line[0]) {
            line.truncate(1);
        }
        self.rows.push(line);
        self.heads.push(names);
    }

    /// Writes a cell's text into every column of it, and remembers it for the rows below.
    fn place(&mut self, line: &mut Vec<String>, cell: usize, text: std::rc::Rc<str>) {
        let span = |name: LocalName| {
            let value = self.view.tree.nodes[cell].attribute(&name)?;
            value.trim().parse::<usize>().ok()
        };
        let columns = span(local_name!("colspan")).unwrap_or(1);
        let columns = columns.clamp(1, MAX_COLUMNS.saturating_sub(line.len()).max(1));
        // 0 is to the end of the group.
        let rows = match span(local_name!("rowspan")) {
            Some(0) => usize::MAX,
            rows => rows.unwrap_or(1),
        };
        for number in 0..columns {
            let repeated = number > 0;
            if repeated && !self.may_repeat(&text) {
                break;
            }
            if rows > 1 && line.len() < MAX_COLUMNS {
                if self.spanning.len() <= line.len() {
                    self.spanning.resize(line.len() + 1, None);
                }
                self.spanning[line.len()] = Some(Spanning {
                    rows: rows - 1,
                    text: text.clone(),
                });
            }
            line.push(text.to_string());
        }
    }

    /// Writes what reaches down from above, up to the next free column; `all` of it at
    /// the end of a row.
    fn fill(&mut self, line: &mut Vec<String>, all: bool) {
        while let Some(column) = self.spanning.get_mut(line.len()) {
            let text = match column {
                Some(above) => {
                    let text = above.text.clone();
                    above.rows -= 1;
                    if above.rows == 0 {
                        *column = None;
                    }
                    text
                }
                // A row that ends early has a hole here.
                None if all => "".into(),
                None => return,
            };
            if self.may_repeat(&text) {
                line.push(text.to_string());
            } else {
                self.spanning.clear();
            }
        }
        if all {
            let used = self.spanning.iter().rposition(Option::is_some);
            self.spanning.truncate(used.map_or(0, |used| used + 1));
        }
    }

    fn may_repeat(&mut self, text: &str) -> bool {
        let cost = text.len() + CELL_BYTES;
        let may = self.left >= cost;
        self.left -= if may { cost } else { 0 };
        may
    }

    /// The lines of the rows, and whether each names columns.
    pub(super) fn finish(self) -> Vec<(String, bool)> {
        let guessed = !self.heads.contains(&true) && first_row_names(&self.rows);
        let lines = self.rows.iter().map(|row| joined(row)).zip(self.heads);
        let named = lines.enumerate();
        named
            .map(|(at, (line, names))| (line, names || (guessed && at == 0)))
            .collect()
    }
}

/// Cells with bars between them; empty ones at the end say nothing.
fn joined(row: &[String]) -> String {
    let end = row.iter().rposition(|cell| !cell.is_empty());
    let mut line = String::new();
    for (at, cell) in row[..end.map_or(0, |end| end + 1)].iter().enumerate() {
        if at > 0 {
            line.push_str(if line.is_empty() { "|" } else { " |" });
        }
        if !cell.is_empty() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(cell);
        }
    }
    line
}
