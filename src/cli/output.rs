//! Results on stdout. A reader that goes away (`cairn search x | head -1`) is
//! an error of kind `BrokenPipe`, which [`super::failure`] ends quietly.

use std::io::{self, Write as _};

use serde::Serialize;

/// Writes one line.
pub(super) fn line(text: impl AsRef<str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref().as_bytes())?;
    out.write_all(b"\n")
}

/// Writes text without a line end and shows it at once.
pub(super) fn piece(text: &str) -> io::Result<()> {
    bytes(text.as_bytes())
}

/// Writes bytes as they are and shows them at once.
pub(super) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes `value` as one indented JSON document.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    bytes(text.as_bytes())?;
    Ok(())
}

/// Text of a document made fit for a terminal: control characters, which could
/// move the cursor or change colours, become spaces.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}

/// Rows as aligned columns, two spaces apart, the first row as the head.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells
            .map(|cell| console::measure_text_width(cell))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            let pad = width.saturating_sub(console::measure_text_width(cell));
            line.extend(std::iter::repeat_n(' ', pad + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_by_width_and_not_by_bytes() {
        let rows = [["id", "size"], ["é", "1"], ["long", "2"]];
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| (*cell).into()).collect())
            .collect();
        assert_eq!(table(&rows), "id    size\né     1\nlong  2\n");
    }

    #[test]
    fn escape_sequences_of_documents_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\r\nc\u{7}"), "a [31mb \nc ");
    }
}
