//! Word documents: paragraphs, headings by style, lists, tables, notes.

mod body;
mod styles;

use serde_json::Value;

use super::archive::{self, Archive};
use super::draft::Draft;
use super::format::Format;
use super::{Source, front_matter, malformed, xml};
use crate::Result;

/// Word documents since 2007.
pub(super) const FORMAT: Format = Format {
    name: "docx",
    extensions: &["docx", "docm", "dotx"],
    content_types: &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
    prose: true,
    title_from_heading: true,
    binary: true,
    matches: |bytes| archive::holds(bytes, BODY),
    ..Format::new(parse)
};

const BODY: &str = "word/document.xml";

fn parse(source: &Source<'_>, draft: &mut Draft) -> Result<()> {
    let mut archive = Archive::open(source.bytes, "DOCX", source.limits)?;
    if let Some(properties) = archive.text("docProps/core.xml")? {
        for (name, value) in xml::leaves(&properties, "DOCX")? {
            if let Some(fact) = fact_name(&name) {
                front_matter::fact(fact, &Value::String(value), draft, 0);
            }
        }
    }
    let styles = archive.text("word/styles.xml")?.unwrap_or_default();
    let numbering = archive.text("word/numbering.xml")?.unwrap_or_default();
    let styles = styles::Styles::read(&styles, &numbering)?;
    let body = archive
        .text(BODY)?
        .ok_or_else(|| malformed("DOCX", "it has no main document"))?;
    body::write(&body, &styles, draft)?;
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(notes) = archive.text(notes)? {
            draft.blank_line();
            body::write(&notes, &styles, draft)?;
        }
    }
    Ok(())
}

/// The fact that a core property states.
fn fact_name(property: &str) -> Option<&'static str> {
    Some(match property {
        "title" => "title",
        "creator" => "author",
        "created" => "date",
        "modified" => "modified",
        "keywords" => "tags",
        "category" => "categories",
        "language" => "language",
        "description" => "description",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
