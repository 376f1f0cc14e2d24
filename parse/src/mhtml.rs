//! MHTML: a web page with all that it shows in one file, as browsers save it.

use mail_parser::{HeaderValue, MessageParser, MessagePart, MimeHeaders, PartType};

use super::draft::Draft;
use super::format::Format;
use super::{Input, html, malformed};
use crate::Result;

/// Saved pages.
pub(super) const FORMAT: Format = Format {
    name: "mhtml",
    extensions: &["mhtml", "mht"],
    content_types: &["application/x-mimearchive", "multipart/related"],
    prose: true,
    title_from_heading: true,
    looks_like: |text| {
        let head = &text[..text.floor_char_boundary(HEAD_BYTES)];
        let head = head.split("\n\n").next().unwrap_or(head);
        let head = head.split("\r\n\r\n").next().unwrap_or(head);
        let lower = head.to_ascii_lowercase();
        let is_saved = lower.contains("snapshot-content-location:")
            || lower.contains("saved by")
            || !lower.contains("\nto:") && lower.contains("content-location:");
        is_saved && lower.contains("multipart/related")
    },
    no_text: "the saved page has no text; if scripts write it, save it once it is shown",
    ..Format::new(parse)
};

const HEAD_BYTES: usize = 4096;

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let message = MessageParser::default()
        .parse(source.bytes)
        .ok_or_else(|| malformed("MHTML", "it has no header"))?;
    let page = message.parts.iter().find_map(|part| match &part.body {
        PartType::Html(page) => Some((part, page)),
        _ => None,
    });
    let Some((part, page)) = page else {
        return Err(malformed("MHTML", "there is no page in it"));
    };
    let root = message.parts.first();
    let address = root
        .and_then(|root| location(root, "Snapshot-Content-Location"))
        .or_else(|| part.content_location().map(str::to_owned));
    if let Some(address) = address {
        draft.fact("url", address);
    }
    if let Some(date) = message.date() {
        draft.fact(
            "date",
            format!("{:04}-{:02}-{:02}", date.year, date.month, date.day),
        );
    }
    html::page(page, draft)?;
    if let Some(subject) = message.subject() {
        draft.propose_title(subject);
    }
    Ok(())
}

fn location(part: &MessagePart<'_>, name: &str) -> Option<String> {
    let header = part.headers.iter().find(|header| header.name() == name)?;
    match &header.value {
        HeaderValue::Text(text) => Some(text.trim().to_owned()),
        _ => None,
    }
}
