//! Word documents: paragraphs, headings by style, lists, tables, notes, headers
//! and footers.

mod fields;
mod notes;
mod numbering;
mod paragraph;
mod story;
mod styles;
mod symbols;

use std::collections::HashSet;

use super::archive::{self, Archive};
use super::draft::Draft;
use super::format::Format;
use super::ooxml::{self, Relations};
use super::xml::{self, Xml};
use super::{Input, malformed, running};
use crate::Result;
use notes::Notes;
use story::Shared;

/// Word documents since 2007.
pub(super) const FORMAT: Format = Format {
    name: "docx",
    extensions: &["docx", "docm", "dotx", "dotm"],
    content_types: &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
    prose: true,
    title_from_heading: true,
    binary: true,
    // Some programs number the main document.
    matches: |bytes| archive::holds_any(bytes, &[BODY, "word/document2.xml"]),
    ..Format::new(parse)
};

const BODY: &str = "word/document.xml";
/// Longest prefix of a name, and longest tag, in bytes.
const MAX_PREFIX: usize = 32;
const MAX_TAG: usize = 1000;

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let mut archive = Archive::open(source.bytes, "DOCX", source.limits)?;
    ooxml::properties(&mut archive, "DOCX", draft)?;
    let package = Relations::read(&mut archive, "", "DOCX")?;
    let path = package.first("officeDocument").unwrap_or(BODY);
    let body = match archive.text(path)? {
        Some(body) => Some(body),
        None => archive.text(BODY)?,
    };
    let body = body.ok_or_else(|| malformed("DOCX", "it has no main document"))?;
    let relations = Relations::read(&mut archive, path, "DOCX")?;
    let mut reader = Reader::open(&mut archive, &relations, source)?;

    let parts = running_parts(&body, &relations)?;
    let mut seen = HashSet::new();
    for path in &parts.headers {
        reader.running(path, &mut seen, draft)?;
    }
    story::write(&body, &reader.shared, &relations, &mut reader.notes, draft)?;
    for path in &parts.footers {
        reader.running(path, &mut seen, draft)?;
    }
    reader.notes_of("footnotes", draft)?;
    reader.notes.write_footnotes(draft);
    reader.notes_of("endnotes", draft)?;
    reader.notes.write_endnotes(draft);
    reader.notes_of("comments", draft)?;
    reader.notes.write_comments(draft);
    Ok(())
}

struct Reader<'a, 'b> {
    archive: &'a mut Archive<'b>,
    relations: &'a Relations,
    shared: Shared,
    notes: Notes,
}

impl<'a, 'b> Reader<'a, 'b> {
    fn open(
        archive: &'a mut Archive<'b>,
        relations: &'a Relations,
        source: &Input<'_>,
    ) -> Result<Self> {
        let numbering = part(archive, relations, "numbering")?;
        let numbering = numbering::Numbering::read(&numbering)?;
        let styles = part(archive, relations, "styles")?;
        let styles = styles::Styles::read(&styles, &numbering)?;
        let settings = part(archive, relations, "settings")?;
        Ok(Self {
            archive,
            relations,
            shared: Shared {
                styles,
                numbering,
                limit: source.limits.max_text_bytes,
            },
            notes: Notes::new(&settings)?,
        })
    }

    /// Writes a header or footer, without the lines that another had.
    fn running(&mut self, path: &str, seen: &mut HashSet<String>, draft: &mut Draft) -> Result<()> {
        let Some(text) = self.archive.text(path)? else {
            return Ok(());
        };
        let relations = Relations::read(self.archive, path, "DOCX")?;
        let mut part = Draft::new(self.shared.limit);
        story::write(&text, &self.shared, &relations, &mut self.notes, &mut part)?;
        running::write_once(&part, seen, draft);
        Ok(())
    }

    /// Reads the notes of one kind.
    fn notes_of(&mut self, kind: &str, draft: &mut Draft) -> Result<()> {
        let text = part(self.archive, self.relations, kind)?;
        if text.is_empty() || draft.is_full() {
            return Ok(());
        }
        let path = self.relations.first(kind).unwrap_or_default();
        let relations = Relations::read(self.archive, path, "DOCX")?;
        // The notes are taken out of it one by one.
        let mut scratch = Draft::new(self.shared.limit);
        let (shared, notes) = (&self.shared, &mut self.notes);
        story::write(&text, shared, &relations, notes, &mut scratch)
    }
}

/// The part of this kind, where it usually is when no relation names it.
fn part(archive: &mut Archive<'_>, relations: &Relations, kind: &str) -> Result<String> {
    let usual = format!("word/{kind}.xml");
    let path = relations.first(kind).unwrap_or(&usual);
    Ok(archive.text(path)?.unwrap_or_default())
}

/// The parts of headers and footers in the order of their sections.
#[derive(Default)]
struct Running {
    headers: Vec<String>,
    footers: Vec<String>,
}

fn running_parts(body: &str, relations: &Relations) -> Result<Running> {
    let mut running = Running::default();
    for (name, parts) in [
        ("headerReference", &mut running.headers),
        ("footerReference", &mut running.footers),
    ] {
        let mut seen = HashSet::new();
        for (at, _) in body.match_indices(name) {
            // The tag alone is read: the body comes later.
            let Some(tag) = tag_around(body, at) else {
                continue;
            };
            xml::read(&tag, "DOCX", |event| {
                if let Xml::Start(found, attributes) = event
                    && found == name
                    && let Some(id) = attributes.get_prefixed("id")
                    && let Some(part) = relations.get(&id).filter(|part| !part.external)
                    && seen.insert(part.target.clone())
                {
                    parts.push(part.target.clone());
                }
                Ok(())
            })?;
        }
    }
    Ok(running)
}

/// The start tag whose name is at `at`, as an element of its own.
fn tag_around(body: &str, at: usize) -> Option<String> {
    let before = body.floor_char_boundary(at.saturating_sub(MAX_PREFIX));
    let after = body.floor_char_boundary(at.saturating_add(MAX_TAG));
    let start = before + body[before..at].rfind('<')?;
    let end = at + body[at..after].find('>')?;
    let tag = body[start..end].trim_end_matches('/');
    Some(format!("{tag}/>"))
}

#[cfg(test)]
mod tests;
