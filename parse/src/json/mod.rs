//! JSON as lines of `path: value`; the items of an outermost list, and the lines
//! of JSON Lines, are paragraphs.
//!
//! The text is written while the JSON is read, so memory does not grow with it.
//! What strict readers refuse (comments, a comma too many, several values after
//! each other, NaN) is read too; what cannot be read is left out and said.

mod faults;
mod reader;
mod records;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod writer;

use serde::de::IgnoredAny;

use super::draft::Draft;
use super::format::Format;
use super::{Input, malformed};
use crate::Result;
use reader::{Fault, Reader};
use writer::TextWriter;

pub(super) use tree::{read_damaged, read_first};

/// One JSON value.
pub(super) const FORMAT: Format = Format {
    name: "json",
    extensions: &["json", "geojson", "jsonld", "webmanifest", "json5", "jsonc"],
    content_types: &["application/json", "application/ld+json", "text/json"],
    looks_like: |text| {
        text.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
    },
    no_text: "the JSON holds no value; there is nothing to index",
    ..Format::new(parse)
};

/// A JSON value on every line.
pub(super) const LINES: Format = Format {
    name: "jsonl",
    extensions: &["jsonl", "ndjson", "jsonlines"],
    content_types: &[
        "application/x-ndjson",
        "application/jsonl",
        "application/x-jsonlines",
    ],
    looks_like: |text| {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        text.starts_with('{')
            && (0..2).all(|_| {
                lines
                    .next()
                    .is_some_and(|line| serde_json::from_str::<IgnoredAny>(line).is_ok())
            })
    },
    no_text: "the JSON holds no value; there is nothing to index",
    ..Format::new(parse_lines)
};

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader::new(text, 0);
    let read = reader.value(&mut TextWriter::document(draft));
    let is_whole = read.is_ok() && reader.position() == text.len() && reader.is_clean();
    if draft.is_full() || is_whole {
        return Ok(());
    }
    // What was written is not a whole document: once more, with care.
    *draft = Draft::new(source.limits.max_text_bytes);
    let faults = match read.is_ok() || records::are_lines(text) {
        true => records::write(text, draft),
        false => recover(text, draft),
    };
    report("JSON", text, &faults, draft)
}

fn parse_lines(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let text = text.trim_start_matches('\u{feff}');
    let faults = records::write(text, draft);
    report("JSON Lines", text, &faults, draft)
}

/// Writes what can be read of one damaged value.
fn recover(text: &str, draft: &mut Draft) -> Vec<Fault> {
    let mut reader = Reader::new(text, 0).recovering();
    // What follows a bracket too many belongs to the document too.
    while reader.position() < text.len() && !draft.is_full() {
        let start = reader.end();
        if reader.value(&mut TextWriter::document(draft)).is_err() && reader.end() == start {
            reader.step_over();
        }
    }
    reader.into_faults()
}

/// Says what was left out; it is an error if nothing was read.
fn report(format: &str, text: &str, faults: &[Fault], draft: &mut Draft) -> Result<()> {
    let told = faults::describe(text, faults);
    match told.first() {
        Some(first) if draft.is_empty() => Err(malformed(format, first)),
        _ => {
            for fault in told {
                draft.warn(fault);
            }
            Ok(())
        }
    }
}
