//! Tables of `tbl` inside of manual pages.

use super::escapes::Strings;
use crate::draft::Draft;
use crate::{draft, lines};

/// Writes the lines between `.TS` and `.TE`.
pub(super) fn write(inner: &[&str], strings: &mut Strings, draft: &mut Draft) {
    let mut separator = '\t';
    let mut start = 0;
    if let Some(options) = inner.first().filter(|line| line.trim_end().ends_with(';')) {
        let tab = options.split_once("tab").map(|(_, rest)| rest.trim_start());
        separator = tab
            .and_then(|rest| rest.strip_prefix('(')?.chars().next())
            .unwrap_or('\t');
        start = 1;
    }
    // The lines of the layout end in a full stop.
    let layout = inner[start..]
        .iter()
        .position(|line| line.trim_end().ends_with('.'));
    let body = layout.map_or(start, |at| start + at + 1);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut heads = 0;
    // The cell that goes on over lines.
    let mut block: Option<String> = None;
    let mut row: Vec<String> = Vec::new();
    for line in &inner[body.min(inner.len())..] {
        let mut rest = *line;
        if let Some(mut cell) = block.take() {
            let Some(after) = rest.strip_prefix("T}") else {
                let is_macro = rest.starts_with('.');
                let words = match is_macro {
                    true => rest.split_once(' ').map_or("", |(_, words)| words),
                    false => rest,
                };
                cell.push(' ');
                cell.push_str(&strings.clean(words).0);
                block = Some(cell);
                continue;
            };
            row.push(cell.trim().to_owned());
            match after.strip_prefix(separator) {
                Some(after) => rest = after,
                None => {
                    rows.push(std::mem::take(&mut row));
                    continue;
                }
            }
        } else if rest.starts_with(".T&") || rest.starts_with('.') {
            continue;
        } else if matches!(rest.trim(), "_" | "=") {
            if heads == 0 && rows.len() <= 3 {
                heads = rows.len();
            }
            continue;
        }
        let mut cells = rest.split(separator).peekable();
        while let Some(cell) = cells.next() {
            if cell.trim_end() == "T{" && cells.peek().is_none() {
                block = Some(String::new());
            } else {
                row.push(strings.clean(cell).0.trim().to_owned());
            }
        }
        if block.is_none() {
            rows.push(std::mem::take(&mut row));
        }
    }
    let heads = match heads {
        0 => usize::from(draft::first_row_names(&rows)),
        heads if heads < rows.len() => heads,
        _ => 0,
    };
    lines::table(draft, &rows, heads);
}
