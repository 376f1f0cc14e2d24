//! Workbooks: each sheet a section, each row with the names of its columns, as
//! in CSV.

mod cells;
mod numbers;
mod sheet;

use super::archive::{self, Archive};
use super::draft::Draft;
use super::format::Format;
use super::ooxml::{self, Relations};
use super::xml::{self, Xml};
use super::{Input, malformed, nested};
use crate::Result;
use cells::Cells;
use numbers::Formats;

/// Excel workbooks since 2007.
pub(super) const FORMAT: Format = Format {
    name: "xlsx",
    extensions: &["xlsx", "xlsm", "xltx"],
    content_types: &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
    binary: true,
    matches: |bytes| archive::holds(bytes, MAIN),
    no_text: "the workbook has no filled cell; there is nothing to index",
    ..Format::new(parse)
};

const MAIN: &str = "xl/workbook.xml";

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let mut archive = Archive::open(source.bytes, "XLSX", source.limits)?;
    ooxml::properties(&mut archive, "XLSX", draft)?;
    let main = archive
        .text(MAIN)?
        .ok_or_else(|| malformed("XLSX", "it has no list of sheets"))?;
    let relations = Relations::read(&mut archive, MAIN, "XLSX")?;
    let workbook = Workbook::read(&main)?;
    let styles = relations.first("styles").unwrap_or("xl/styles.xml");
    let styles = archive.text(styles)?.unwrap_or_default();
    let strings = relations
        .first("sharedStrings")
        .unwrap_or("xl/sharedStrings.xml");
    let strings = archive.text(strings)?.unwrap_or_default();
    let cells = Cells {
        formats: Formats::read(&styles, workbook.since_1904)?,
        strings: cells::shared_strings(&strings)?,
        limit: source.limits.max_text_bytes,
    };
    for (name, id) in workbook.sheets {
        let Some(part) = relations.get(&id).filter(|part| part.kind == "worksheet") else {
            continue;
        };
        let Some(text) = archive.text(&part.target)? else {
            continue;
        };
        let links = Relations::read(&mut archive, &part.target, "XLSX")?;
        let sheet = sheet::read(&text, &cells, &links)?;
        let blocks = sheet::blocks(sheet);
        if blocks.is_empty() {
            continue;
        }
        draft.heading(1, &name);
        for block in blocks {
            draft.blank_line();
            write(source, &block, draft)?;
        }
        if draft.is_full() {
            break;
        }
    }
    Ok(())
}

/// Writes the lines above a table, and the table as CSV is written.
fn write(source: &Input<'_>, block: &sheet::Block, draft: &mut Draft) -> Result<()> {
    for line in &block.lines {
        draft.push(line);
        draft.break_line();
    }
    draft.blank_line();
    let mut records = block.records().peekable();
    if records.peek().is_none() {
        return Ok(());
    }
    // Excel's own line about the delimiter, so that none has to be guessed.
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .from_writer(b"sep=,\n".to_vec());
    for record in records {
        writer
            .write_record(record)
            .map_err(|error| malformed("XLSX", error))?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| malformed("XLSX", error.error()))?;
    let table = nested(source, "sheet.csv", Some("utf-8"), None, &bytes)?;
    draft.append(table, 1);
    draft.blank_line();
    Ok(())
}

/// What the workbook says about its sheets.
#[derive(Default)]
struct Workbook {
    /// Name and relation of the sheets that are shown.
    sheets: Vec<(String, String)>,
    /// Whether days count from 1904, as they did on the Macintosh.
    since_1904: bool,
}

impl Workbook {
    fn read(text: &str) -> Result<Self> {
        let mut workbook = Self::default();
        xml::read(text, "XLSX", |event| {
            match event {
                Xml::Start("sheet", attributes) => {
                    let is_shown = attributes
                        .get("state")
                        .is_none_or(|state| state == "visible");
                    if is_shown && let Some(id) = attributes.get_prefixed("id") {
                        let name = attributes.get("name").unwrap_or_default();
                        workbook.sheets.push((name, id));
                    }
                }
                Xml::Start("workbookPr", attributes) => {
                    workbook.since_1904 = attributes
                        .get("date1904")
                        .is_some_and(|value| ooxml::is_on(Some(&value)));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(workbook)
    }
}

#[cfg(test)]
mod tests;
