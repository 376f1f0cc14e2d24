//! Markdown (CommonMark and the usual extensions): words without markup, code as
//! it stands, front matter as facts.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::draft::Draft;
use super::format::Format;
use super::{Source, front_matter, html};
use crate::Result;

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

fn parse(source: &Source<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    push(front_matter::take(&text, draft), draft)
}

/// Writes Markdown into `draft`.
pub(super) fn push(markdown: &str, draft: &mut Draft) -> Result<()> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_GFM;
    let mut writer = Writer::new(draft);
    for event in Parser::new_ext(markdown, options) {
        writer.event(event)?;
        if writer.draft.is_full() {
            break;
        }
    }
    Ok(())
}

struct Writer<'a> {
    draft: &'a mut Draft,
    /// Open lists: the next number, or none for bullets.
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
    /// Open links, and images inside them: those are badges and buttons, whose
    /// description says nothing about the subject.
    links: usize,
    badges: usize,
    in_code: bool,
}

impl<'a> Writer<'a> {
    fn new(draft: &'a mut Draft) -> Self {
        Self {
            draft,
            lists: Vec::new(),
            marker: String::new(),
            heading: None,
            html: None,
            cells: 0,
            in_cell: false,
            links: 0,
            badges: 0,
            in_code: false,
        }
    }

    fn text(&mut self, text: &str) {
        if self.badges > 0 {
            return;
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
        let is_start = self.draft.at_line_start() && !self.in_code;
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
            Event::Text(text) => self.text(&text),
            Event::Code(code) => self.text(&code),
            Event::InlineMath(math) | Event::DisplayMath(math) => self.text(&math),
            Event::Html(text) => match &mut self.html {
                Some(html) => html.push_str(&text),
                None => html::fragment(&text, self.draft)?,
            },
            Event::InlineHtml(tag) => {
                let name = tag.trim_start_matches(['<', '/']);
                if name
                    .get(..2)
                    .is_some_and(|name| name.eq_ignore_ascii_case("br"))
                {
                    self.hard_break();
                }
            }
            Event::FootnoteReference(label) => self.text(&format!("[{label}]")),
            // How a paragraph was wrapped in the file says nothing.
            Event::SoftBreak => self.text(" "),
            Event::HardBreak => self.hard_break(),
            Event::Rule => self.block(),
            Event::TaskListMarker(done) => self.text(if done { "[x] " } else { "[ ] " }),
        }
        Ok(())
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
                self.in_code = true;
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
            Tag::Link { .. } => self.links += 1,
            Tag::Image { .. } if self.links > 0 => self.badges += 1,
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Image { .. }
            | Tag::MetadataBlock(_) => {}
        }
    }

    fn end(&mut self, tag: TagEnd) -> Result<()> {
        match tag {
            TagEnd::Heading(_) => {
                if let Some((level, heading)) = self.heading.take() {
                    self.marker.clear();
                    self.draft.heading(level, &heading);
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
            TagEnd::Link => self.links = self.links.saturating_sub(1),
            TagEnd::Image => self.badges = self.badges.saturating_sub(1),
            TagEnd::Paragraph | TagEnd::BlockQuote(_) | TagEnd::CodeBlock | TagEnd::Table => {
                self.in_code = false;
                self.block();
            }
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

#[cfg(test)]
mod tests {
    use crate::parse::{ParseInput, ParseLimits, parse};

    fn read(text: &str) -> crate::Document {
        parse(
            &ParseInput::new("guide.md", text.as_bytes()),
            &ParseLimits::default(),
        )
        .unwrap()
    }

    #[test]
    fn markup_goes_and_words_stay() {
        let document = read(
            "Intro with *stress*, `code()`, a [link](http://x \"t\") and ![a cat](c.png)[^1].\n\n\
             # Set *up*\n\n> quoted\n> text\n\n```rust\nfn main() {\n\n    body();\n}\n```\n\n\
             Two  \nlines\n\n[^1]: The note.\n",
        );
        assert_eq!(
            document.text,
            "Intro with stress, code(), a link and a cat[1].\n\nSet up\n\nquoted text\n\n\
             fn main() {\n\n    body();\n}\n\nTwo\nlines\n\n[1] The note."
        );
        assert_eq!(document.title, "Set up");
    }

    #[test]
    fn badges_say_nothing() {
        let document =
            read("[![Build status](b.svg)](http://ci) ![A chart](c.png)\n\n# Name\n\ntext\n");
        assert_eq!(document.text, "A chart\n\nName\n\ntext");
    }

    #[test]
    fn lists_and_tables_are_readable() {
        let document = read(
            "- one\n- two\n  - inner\n\n    more\n- [x] done\n\n3. c\n4. d\n\n\
             | A | B |\n|---|---|\n| 1 | |\n| `x` | y<br>z |\n",
        );
        assert_eq!(
            document.text,
            "- one\n- two\n  - inner\nmore\n- [x] done\n\n3. c\n4. d\n\nA | B\n1 |\nx | y z"
        );
    }

    #[test]
    fn sections_hold_their_subsections() {
        let document = read("# A\na\n## B\nb\n# C\nc\n");
        let spans: Vec<_> = document
            .sections
            .iter()
            .map(|s| (s.heading.as_str(), s.level, &document.text[s.span.clone()]))
            .collect();
        assert_eq!(
            spans,
            [
                ("A", 1, "A\n\na\n\nB\n\nb\n\n"),
                ("B", 2, "B\n\nb\n\n"),
                ("C", 1, "C\n\nc")
            ]
        );
    }

    #[test]
    fn html_inside_is_read_as_html() {
        let document = read(
            "<h1 align=center>Logo &amp; name</h1>\n\n<!-- hidden -->\n\n<p>In a <b>block</b></p>\n\n\
             Press <kbd>Ctrl</kbd><br>now\n\n<script>alert(1)</script>\n",
        );
        assert_eq!(
            document.text,
            "Logo & name\n\nIn a block\n\nPress Ctrl\nnow"
        );
        assert_eq!(document.sections[0].heading, "Logo & name");
    }

    #[test]
    fn deep_nesting_ends() {
        for text in [
            "> ".repeat(50_000) + "x",
            "- ".repeat(20_000) + "x",
            "[".repeat(50_000) + "x",
            "*a ".repeat(50_000) + "x",
            "<div>".repeat(50_000) + "x",
        ] {
            assert!(read(&text).text.contains('x'));
        }
    }
}
