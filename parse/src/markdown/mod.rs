//! Markdown (CommonMark and the usual extensions): words without markup, code as
//! it stands, front matter as facts.
//!
//! What dialects write alongside it ([`blocks`], [`mdx`]) is made into plain Markdown
//! first.

mod blocks;
mod jsx;
mod links;
mod mdx;
mod remarks;
mod shortcodes;

use pulldown_cmark::{Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};

use super::draft::Draft;
use super::format::Format;
use super::{Input, front_matter, html, is_known_binary_name};
use crate::Result;
use links::Link;

/// Markdown files.
pub(super) const FORMAT: Format = Format {
    name: "markdown",
    extensions: &[
        "md", "markdown", "mdown", "mkd", "mkdn", "mdwn", "mdx", "qmd", "rmd",
    ],
    content_types: &["text/markdown", "text/x-markdown"],
    prose: true,
    title_from_heading: true,
    ..Format::new(parse)
};

/// Deepest list indentation that is shown.
const MAX_INDENT: usize = 16;

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let body = front_matter::take(&text, draft);
    match mdx::is_mdx(source.name, body) {
        true => push(&mdx::to_markdown(body), draft),
        false => push(body, draft),
    }
}

/// Writes Markdown into `draft`.
pub(super) fn push(markdown: &str, draft: &mut Draft) -> Result<()> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_WIKILINKS;
    let markdown = blocks::to_markdown(markdown);
    let mut writer = Renderer::new(draft);
    for event in Parser::new_ext(&markdown, options) {
        writer.event(event)?;
        if writer.draft.is_full() {
            break;
        }
    }
    Ok(())
}

struct Renderer<'a> {
    draft: &'a mut Draft,
    /// Open lists: the next number, or `None` for bullets.
    lists: Vec<Option<u64>>,
    /// A list marker that is written before the next text.
    marker: String,
    /// The heading that is being read.
    heading: Option<(u8, String)>,
    /// HTML that is being read.
    html: Option<String>,
    /// Cells of the table row that is being read.
    cells: usize,
    in_cell: bool,
    /// Open links.
    links: Vec<Link>,
    /// Addresses of links in the heading that is being read.
    heading_addresses: Vec<String>,
    /// Open images without words: those inside of links are badges and buttons,
    /// whose description says nothing about the subject.
    badges: usize,
    /// What of an open image is not a badge.
    images: Vec<bool>,
}

impl<'a> Renderer<'a> {
    fn new(draft: &'a mut Draft) -> Self {
        Self {
            draft,
            lists: Vec::new(),
            marker: String::new(),
            heading: None,
            html: None,
            cells: 0,
            in_cell: false,
            links: Vec::new(),
            heading_addresses: Vec::new(),
            badges: 0,
            images: Vec::new(),
        }
    }

    fn text(&mut self, text: &str) {
        if self.badges > 0 {
            return;
        }
        if let Some(link) = self.links.last_mut() {
            link.label.push_str(text);
        }
        if let Some((_, heading)) = &mut self.heading {
            heading.push_str(text);
            return;
        }
        if !self.marker.is_empty() {
            let marker = std::mem::take(&mut self.marker);
            self.draft.push(&marker);
        }
        // What a badge left behind; in code, it is indentation.
        let is_start = self.draft.at_line_start() && !self.draft.is_in_code();
        self.draft
            .push(if is_start { text.trim_start() } else { text });
    }

    /// Starts a block: a blank line above, but not inside lists, where blocks
    /// stand close.
    fn block(&mut self) {
        if !self.marker.is_empty() {
        } else if self.lists.is_empty() {
            self.draft.blank_line();
        } else {
            self.draft.break_line();
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => return self.end(tag),
            Event::Text(text) => match self.links.last() {
                Some(link) if link.is_page_name => self.text(&links::page_name(&text)),
                _ => self.text(&text),
            },
            Event::Code(code) => self.text(&code),
            Event::InlineMath(math) | Event::DisplayMath(math) => self.text(&math),
            Event::Html(text) => match &mut self.html {
                Some(html) => html.push_str(&text),
                None => html::fragment(&text, self.draft)?,
            },
            Event::InlineHtml(tag) => self.inline_html(&tag),
            Event::FootnoteReference(label) => self.text(&format!("[{label}]")),
            // How a paragraph was wrapped in the file says nothing.
            Event::SoftBreak => self.text(" "),
            Event::HardBreak => self.hard_break(),
            Event::Rule => self.block(),
            Event::TaskListMarker(done) => self.text(if done { "[x] " } else { "[ ] " }),
        }
        Ok(())
    }

    /// A tag inside of a paragraph.
    fn inline_html(&mut self, tag: &str) {
        match links::tag_name(tag).as_str() {
            "br" => self.hard_break(),
            "a" => self.links.push(Link::to(links::attribute(tag, "href"))),
            "/a" => self.end_link(),
            "img" if self.links.is_empty() => {
                let text = links::attribute(tag, "alt").unwrap_or_default();
                self.text(&text);
            }
            _ => {}
        }
    }

    /// Writes where a link leads, if its text does not say it.
    fn end_link(&mut self) {
        let Some(link) = self.links.pop() else {
            return;
        };
        if link.is_nested_brackets {
            self.text("]]");
        }
        let Some(address) = link.address_to_tell() else {
            return;
        };
        match self.heading {
            // A heading is the name of its section, not the place for it.
            Some(_) => self.heading_addresses.push(address),
            None => self.text(&format!(" ({address})")),
        }
    }

    fn start_image(&mut self, link_type: LinkType, file: &str) {
        let is_wordless = match link_type {
            LinkType::WikiLink { has_pothole } => !has_pothole && is_known_binary_name(file),
            _ => !self.links.is_empty(),
        };
        self.badges += usize::from(is_wordless);
        self.images.push(is_wordless);
    }

    fn end_image(&mut self) {
        self.badges -= usize::from(self.images.pop().unwrap_or(false));
    }

    fn hard_break(&mut self) {
        if self.heading.is_some() || self.in_cell {
            self.text(" ");
        } else {
            self.draft.break_line();
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::BlockQuote(_) | Tag::DefinitionList | Tag::Table(_) => {
                self.block();
            }
            Tag::CodeBlock(_) => {
                self.block();
                // An item's marker is not a part of its code.
                let marker = std::mem::take(&mut self.marker);
                self.draft.push(&marker);
                self.draft.open_code();
            }
            Tag::Heading { level, .. } => self.heading = Some((depth(level), String::new())),
            Tag::HtmlBlock => self.html = Some(String::new()),
            Tag::List(start) => {
                self.block();
                self.lists.push(start);
            }
            Tag::Item => self.item(),
            Tag::FootnoteDefinition(label) => {
                self.block();
                self.marker = format!("[{label}] ");
            }
            Tag::DefinitionListTitle | Tag::DefinitionListDefinition => self.draft.break_line(),
            Tag::TableHead | Tag::TableRow => {
                self.draft.break_line();
                self.cells = 0;
            }
            Tag::TableCell => {
                if self.cells > 0 {
                    self.text(" | ");
                }
                self.cells += 1;
                self.in_cell = true;
            }
            Tag::Link {
                link_type,
                dest_url,
                ..
            } => {
                let link = match link_type {
                    LinkType::WikiLink { .. } if dest_url.contains(['[', ']']) => {
                        self.text("[[");
                        Link::nested_brackets()
                    }
                    LinkType::WikiLink { has_pothole } => Link::to_page(!has_pothole),
                    _ => Link::to(Some(dest_url.into_string())),
                };
                self.links.push(link);
            }
            Tag::Image {
                link_type,
                dest_url,
                ..
            } => self.start_image(link_type, &dest_url),
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => {}
        }
    }

    fn end(&mut self, tag: TagEnd) -> Result<()> {
        match tag {
            TagEnd::Heading(_) => {
                if let Some((level, heading)) = self.heading.take() {
                    self.marker.clear();
                    self.draft.heading(level, &heading);
                    for address in std::mem::take(&mut self.heading_addresses) {
                        self.draft.break_line();
                        self.draft.push(&address);
                    }
                }
            }
            TagEnd::HtmlBlock => {
                self.block();
                html::fragment(&self.html.take().unwrap_or_default(), self.draft)?;
                self.block();
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.marker.clear();
                self.block();
            }
            TagEnd::Item | TagEnd::FootnoteDefinition => {
                self.marker.clear();
                self.draft.break_line();
            }
            TagEnd::TableCell => self.in_cell = false,
            TagEnd::Link => self.end_link(),
            TagEnd::Image => self.end_image(),
            TagEnd::CodeBlock => {
                self.draft.close_code();
                self.block();
            }
            TagEnd::Paragraph | TagEnd::BlockQuote(_) | TagEnd::Table => self.block(),
            TagEnd::TableHead => {
                self.draft.name_columns();
                self.draft.break_line();
            }
            TagEnd::TableRow => self.draft.break_line(),
            _ => {}
        }
        Ok(())
    }

    fn item(&mut self) {
        self.draft.break_line();
        let depth = self.lists.len().saturating_sub(1).min(MAX_INDENT);
        self.marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number = number.saturating_add(1);
                format!("{}{}. ", "  ".repeat(depth), *number - 1)
            }
            _ => format!("{}- ", "  ".repeat(depth)),
        };
    }
}

fn depth(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
