//! HTML: the main content as readable text, with headings as sections.
//!
//! html5ever's tokenizer feeds a light tree of our own ([`tree`]) that, unlike
//! its tree builder, takes linear time and bounded depth on hostile nesting.
//! [`visible`] tells what a reader can get to, [`content`] leaves out what surrounds the
//! content, and [`render`] writes it, with [`line`] for what stands on one line and
//! [`table`] for tables.

mod attributes;
mod content;
mod count;
mod furniture;
mod line;
mod links;
mod outline;
mod render;
mod table;
mod tree;
mod visible;

use serde_json::Value;

use super::draft::Draft;
use super::format::Format;
use super::front_matter;
use super::{Input, encoding};
use crate::{Error, ErrorKind, Result};
pub(super) use outline::Place;
use tree::Tree;

/// Bytes at the start in which an encoding may be declared.
const DECLARATION_BYTES: usize = 4096;

/// A page that leads elsewhere and has less text of its own is not a document.
const MAX_REDIRECT_BYTES: u32 = 300;

/// Longest `<br />` that is looked for.
const MAX_BREAK_BYTES: usize = 16;

/// Web pages.
pub(super) const FORMAT: Format = Format {
    name: "html",
    extensions: &["html", "htm", "xhtml", "xht", "shtml"],
    content_types: &["text/html", "application/xhtml+xml"],
    prose: true,
    title_from_heading: true,
    looks_like: |text| {
        ["<!doctype html", "<html"].iter().any(|tag| {
            text.get(..tag.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(tag))
        })
    },
    no_text: "the page has no text; if scripts write it, save the page from a browser",
    ..Format::new(parse)
};

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let declared = source.charset.or_else(|| declared_charset(source.bytes));
    let text = encoding::decode(source.bytes, declared);
    page(&text, draft)
}

/// Reads a whole page: its facts, its title, its main content.
pub(super) fn page(html: &str, draft: &mut Draft) -> Result<()> {
    let tree = Tree::build(html)?;
    draft.propose_title(&title(&tree));
    if let Some(lang) = &tree.lang {
        front_matter::fact("language", &Value::String(lang.clone()), draft, 0);
    }
    for (name, content) in tree.metas() {
        if let Some(name) = fact_name(name) {
            front_matter::fact(name, &Value::String(content.to_owned()), draft, 0);
        }
    }
    let selection = content::select(&tree);
    if selection.text_bytes < MAX_REDIRECT_BYTES && leads_elsewhere(&tree) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a page that only leads to another one; there is nothing to index",
        ));
    }
    render::render(&tree, &selection, &[], draft);
    Ok(())
}

/// The title of a page; the line breaks in it were meant for a heading.
fn title(tree: &Tree) -> String {
    let mut title = String::new();
    let mut rest = tree.title.as_str();
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        title.push_str(before);
        let is_break = tag
            .get(..3)
            .is_some_and(|tag| tag.eq_ignore_ascii_case("<br"));
        let head = &tag[..tag.floor_char_boundary(MAX_BREAK_BYTES)];
        let end = head
            .find('>')
            .filter(|&end| is_break && head[3..end].trim_end_matches('/').trim().is_empty());
        title.push_str(if end.is_some() { " " } else { "<" });
        rest = &tag[end.unwrap_or(0) + 1..];
    }
    title + rest
}

/// What a page of a book is.
pub(super) struct Chapter {
    /// The page's own title.
    pub(super) title: String,
    /// Whether it is a list of links to other pages of the book.
    pub(super) is_contents: bool,
}

/// Reads a page of a book, with the sections that begin at `places`.
pub(super) fn chapter(html: &str, places: &[Place], draft: &mut Draft) -> Result<Chapter> {
    let tree = Tree::build(html)?;
    let selection = content::select_chapter(&tree);
    render::render(&tree, &selection, places, draft);
    Ok(Chapter {
        title: title(&tree),
        is_contents: content::is_contents(&tree, &selection),
    })
}

/// Whether the browser goes on to another page by itself.
fn leads_elsewhere(tree: &Tree) -> bool {
    tree.metas().any(|(name, content)| {
        name.eq_ignore_ascii_case("refresh") && content.to_ascii_lowercase().contains("url=")
    })
}

/// Writes a piece of HTML inside another text: everything that is visible.
pub(super) fn fragment(html: &str, draft: &mut Draft) -> Result<()> {
    let tree = Tree::build(html)?;
    render::render(&tree, &content::everything(&tree), &[], draft);
    Ok(())
}

/// The fact that a `meta` element of this name states.
fn fact_name(meta: &str) -> Option<&'static str> {
    Some(match meta.to_ascii_lowercase().as_str() {
        "author" | "dc.creator" | "dcterms.creator" | "article:author" => "author",
        "keywords" | "article:tag" => "tags",
        "description" | "og:description" => "description",
        "date" | "dc.date" | "dcterms.date" | "dcterms.created" | "article:published_time" => {
            "date"
        }
        "last-modified" | "dcterms.modified" | "article:modified_time" => "modified",
        _ => return None,
    })
}

/// The encoding that a `meta` element or an XML declaration names.
fn declared_charset(bytes: &[u8]) -> Option<&str> {
    let head = &bytes[..bytes.len().min(DECLARATION_BYTES)];
    let label = |key: &[u8]| {
        let at = head
            .windows(key.len())
            .position(|window| window.eq_ignore_ascii_case(key))?;
        let rest = head[at + key.len()..]
            .trim_ascii_start()
            .strip_prefix(b"=")?;
        let rest = rest.trim_ascii_start();
        let rest = rest
            .strip_prefix(b"\"")
            .or(rest.strip_prefix(b"'"))
            .unwrap_or(rest);
        let end = rest
            .iter()
            .position(|b| !b.is_ascii_alphanumeric() && !b"-_:".contains(b))?;
        std::str::from_utf8(&rest[..end])
            .ok()
            .filter(|label| !label.is_empty())
    };
    if head.trim_ascii_start().starts_with(b"<?xml") {
        label(b"encoding").or_else(|| label(b"charset"))
    } else {
        label(b"charset")
    }
}

fn is_heading(name: &html5ever::LocalName) -> bool {
    matches!(name.as_bytes(), [b'h', b'1'..=b'6'])
}

/// Elements that are part of a line of text: all but those that the standard
/// lays out as blocks, unknown ones included.
fn is_inline(name: &html5ever::LocalName) -> bool {
    const BLOCKS: &[&str] = &[
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "col",
        "colgroup",
        "dd",
        "details",
        "dialog",
        "dir",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "hr",
        "legend",
        "li",
        "listing",
        "main",
        "menu",
        "nav",
        "noscript",
        "ol",
        "optgroup",
        "option",
        "p",
        "pre",
        "search",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
        "xmp",
    ];
    BLOCKS.binary_search(&&**name).is_err()
}

#[cfg(test)]
mod content_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_tests;
