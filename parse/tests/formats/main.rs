//! What documents in formats of text say, read as other crates read them.

mod asciidoc;
mod man;
mod markdown;
mod mhtml;
mod opml;
mod org;
mod rst;

use cairn_parse::{Document, ParseInput, ParseLimits, parse};

/// Parses with the default limits; panics on errors.
fn read(name: &str, bytes: impl AsRef<[u8]>) -> Document {
    let input = ParseInput::new(name, bytes.as_ref());
    parse(&input, &ParseLimits::default()).unwrap()
}

/// Level and heading of every section.
fn headings(document: &Document) -> Vec<(u8, &str)> {
    let sections = document.sections.iter();
    sections
        .map(|section| (section.level, section.heading.as_str()))
        .collect()
}
