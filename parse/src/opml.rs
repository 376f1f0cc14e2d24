//! OPML: outlines of notes, and lists of feeds.

use serde_json::Value;

use super::draft::Draft;
use super::format::Format;
use super::lines::item;
use super::xml::{self, Attributes, Xml};
use super::{Input, front_matter, html, links};
use crate::Result;

/// Outlines.
pub(super) const FORMAT: Format = Format {
    name: "opml",
    extensions: &["opml"],
    content_types: &["text/x-opml", "application/opml+xml"],
    prose: true,
    title_from_heading: true,
    looks_like: |text| {
        let head = &text[..text.floor_char_boundary(HEAD_BYTES)];
        text.starts_with('<') && head.contains("<opml")
    },
    ..Format::new(parse)
};

const HEAD_BYTES: usize = 1024;
/// Nodes with others below them are headings down to here, and items of lists below.
const MAX_HEADING_LEVEL: usize = 4;

/// A node of the outline.
struct Node {
    depth: usize,
    text: String,
    note: String,
    address: String,
}

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let mut nodes: Vec<Node> = Vec::new();
    let (mut depth, mut value) = (0, String::new());
    xml::read(&text, "OPML", |event| {
        match event {
            Xml::Start("outline", attributes) => {
                nodes.push(node(depth, &attributes)?);
                depth += 1;
            }
            Xml::End("outline") => depth = depth.saturating_sub(1),
            Xml::Start(..) => value.clear(),
            Xml::Text(text) => value.push_str(&text),
            Xml::End(name) => {
                let value = Value::String(value.trim().to_owned());
                match name {
                    "title" if depth == 0 => {
                        front_matter::fact("title", &value, draft, 0);
                    }
                    "ownerName" => front_matter::fact("author", &value, draft, 0),
                    "dateModified" => front_matter::fact("date", &value, draft, 0),
                    _ => {}
                }
            }
        }
        Ok(())
    })?;
    let mut is_in_list = false;
    for (at, node) in nodes.iter().enumerate() {
        let is_parent = nodes
            .get(at + 1)
            .is_some_and(|next| next.depth > node.depth);
        let is_heading = (is_parent || !node.note.is_empty()) && node.depth < MAX_HEADING_LEVEL;
        if is_heading {
            let level = u8::try_from(node.depth + 1).unwrap_or(u8::MAX);
            draft.heading(level, &node.text);
            if !node.address.is_empty() {
                draft.push(&node.address);
            }
        } else if !node.text.is_empty() {
            if !is_in_list {
                draft.blank_line();
            }
            let text = format!("{}{}", node.text, links::suffix(&node.address, &node.text));
            item(
                draft,
                node.depth.saturating_sub(MAX_HEADING_LEVEL),
                "-",
                &text,
            );
        }
        is_in_list = !is_heading;
        if !node.note.is_empty() {
            draft.blank_line();
            draft.push(&node.note);
            draft.blank_line();
        }
    }
    Ok(())
}

fn node(depth: usize, attributes: &Attributes<'_>) -> Result<Node> {
    let get = |name: &str| attributes.get(name).unwrap_or_default();
    let title = attributes.get("text").filter(|text| !text.is_empty());
    let address = ["htmlUrl", "url", "xmlUrl"]
        .iter()
        .find_map(|name| attributes.get(name));
    Ok(Node {
        depth,
        text: plain(title.unwrap_or_else(|| get("title")))?,
        note: plain(get("_note"))?,
        address: address.unwrap_or_default(),
    })
}

/// Text that may hold HTML, as some outliners write it.
fn plain(text: String) -> Result<String> {
    if !text.contains("</") && !text.contains("<br") {
        return Ok(text);
    }
    let mut draft = Draft::new(4 * text.len() + 64);
    html::fragment(&text, &mut draft)?;
    Ok(draft.text().to_owned())
}
