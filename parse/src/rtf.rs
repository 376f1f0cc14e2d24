//! Rich Text Format: paragraphs, headings by outline level, tables, links,
//! notes, comments, headers and footers.

mod purposes;
mod reader;
mod tokens;

use super::draft::Draft;
use super::format::Format;
use super::{Input, malformed};
use crate::Result;
use reader::Reader;
use tokens::Tokens;

/// Rich Text Format files.
pub(super) const FORMAT: Format = Format {
    name: "rtf",
    extensions: &["rtf"],
    content_types: &["application/rtf", "text/rtf"],
    prose: true,
    title_from_heading: true,
    binary: true,
    matches: |bytes| bytes.starts_with(b"{\\rtf"),
    ..Format::new(parse)
};

/// Deepest groups inside groups.
const MAX_DEPTH: usize = 2000;

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let mut reader = Reader::new(source.limits.max_text_bytes);
    for token in Tokens::new(source.bytes) {
        reader.token(token);
        if reader.depth() > MAX_DEPTH {
            return Err(malformed("RTF", "its groups are nested too deep"));
        }
    }
    reader.finish(draft);
    Ok(())
}

#[cfg(test)]
mod tests;
