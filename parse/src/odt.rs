//! OpenDocument texts: paragraphs, headings, lists, tables, notes, comments,
//! headers and footers.

mod body;
mod styles;

use std::collections::HashSet;

use serde_json::Value;

use super::archive::{self, Archive};
use super::draft::Draft;
use super::format::Format;
use super::xml;
use super::{Input, front_matter, malformed, running};
use crate::Result;
use body::Notes;
use styles::Styles;

/// Texts of LibreOffice and its relatives.
pub(super) const FORMAT: Format = Format {
    name: "odt",
    extensions: &["odt", "ott"],
    content_types: &["application/vnd.oasis.opendocument.text"],
    prose: true,
    title_from_heading: true,
    binary: true,
    matches,
    ..Format::new(parse)
};

/// Where the first file of an archive begins, when its name is `mimetype`.
const TYPE_AT: usize = 38;
const TYPE: &[u8] = b"application/vnd.oasis.opendocument.text";

/// The first file names the type, and is not packed.
fn matches(bytes: &[u8]) -> bool {
    bytes.starts_with(archive::MAGIC)
        && bytes
            .get(TYPE_AT..)
            .is_some_and(|rest| rest.starts_with(TYPE))
}

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let mut archive = Archive::open(source.bytes, "ODT", source.limits)?;
    let manifest = archive.text("META-INF/manifest.xml")?.unwrap_or_default();
    if manifest.contains("encryption-data") {
        return Err(archive::encrypted());
    }
    if let Some(meta) = archive.text("meta.xml")? {
        properties(&meta, draft)?;
    }
    let content = archive
        .text("content.xml")?
        .ok_or_else(|| malformed("ODT", "it has no content"))?;
    let page = archive.text("styles.xml")?.unwrap_or_default();
    let mut styles = Styles::default();
    styles.read(&page)?;
    styles.read(&content)?;

    let limit = source.limits.max_text_bytes;
    let mut notes = Notes::default();
    let mut headers = Draft::new(limit);
    let footers = body::write_running(&page, &styles, &mut notes, &mut headers, limit)?;
    let mut seen = HashSet::new();
    running::write_once(&headers, &mut seen, draft);
    body::write(&content, &styles, &mut notes, draft, limit)?;
    running::write_once(&footers, &mut seen, draft);
    notes.write(draft);
    Ok(())
}

fn properties(meta: &str, draft: &mut Draft) -> Result<()> {
    let mut tags = Vec::new();
    for (name, value) in xml::leaves(meta, "ODT")? {
        let fact = match name.as_str() {
            "title" | "description" | "language" => name.as_str(),
            "initial-creator" => "author",
            "creation-date" => "date",
            "date" => "modified",
            "keyword" => {
                tags.push(Value::String(value));
                continue;
            }
            _ => continue,
        };
        front_matter::fact(fact, &Value::String(value), draft, 0);
    }
    if !tags.is_empty() {
        front_matter::fact("tags", &Value::Array(tags), draft, 0);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
