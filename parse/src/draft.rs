//! The document under construction: clean text, and what is where in it.
//!
//! Whatever a parser writes, the finished text has `\n` line ends, no control
//! or invisible formatting characters, no spaces at line ends and at most two
//! blank lines in a row; headings, pages and tables keep their offsets.

#[cfg(test)]
mod code_tests;
mod columns;
mod title;

use std::ops::Range;

pub(super) use columns::first_row_names;
use serde_json::Value;

use super::format::Format;
use super::language;
use crate::document::{Document, Metadata, Page, Section, is_reserved_name};
use crate::{Error, ErrorKind, Result};

/// Line ends in a row: two blank lines.
const MAX_NEWLINES: usize = 3;
/// Longest heading or title, in characters; more is not a heading.
const MAX_HEADING_CHARS: usize = 200;
/// Most warnings of one document: more would not be read.
const MAX_WARNINGS: usize = 1000;
/// Deepest level of a section.
const MAX_LEVEL: u8 = 12;

/// The fact that Cairn finds out itself.
const FORMAT: &str = "format";

/// Comes before a file's facts whose names stand for something else.
const FROM_FILE: &str = "file.";

/// Whether a block of code is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    Closed,
    /// From the next visible character on.
    Opening,
    Open,
}

/// Collects the text, sections, pages and facts of one document.
pub(super) struct Draft {
    /// The title, when the document names one itself.
    pub(super) title: Option<String>,
    text: String,
    limit: usize,
    overflowed: bool,
    /// Line ends that were written, line ends that were asked for, and spaces:
    /// all wait until something visible follows. The larger number counts.
    newlines: usize,
    min_newlines: usize,
    spaces: String,
    sections: Vec<Section>,
    pages: Vec<Page>,
    /// Lines that name columns, in order.
    columns: Vec<Range<usize>>,
    /// Blocks of code, in order; the last one may be open.
    code_blocks: Vec<Range<usize>>,
    code: Code,
    /// Sections and pages from these on begin at the next visible character.
    open_sections: usize,
    open_pages: usize,
    metadata: Metadata,
    warnings: Vec<String>,
}

impl Draft {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            title: None,
            text: String::new(),
            limit,
            overflowed: false,
            newlines: 0,
            min_newlines: 0,
            spaces: String::new(),
            sections: Vec::new(),
            pages: Vec::new(),
            columns: Vec::new(),
            code_blocks: Vec::new(),
            code: Code::Closed,
            open_sections: 0,
            open_pages: 0,
            metadata: Metadata::new(),
            warnings: Vec::new(),
        }
    }

    /// Whether the limit is reached; what is written from now on is lost and
    /// [`Draft::finish`] fails, so a parser may stop.
    pub(super) fn is_full(&self) -> bool {
        self.overflowed
    }

    /// What has been written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing visible has been written.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Bytes of the text.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether a heading has been written.
    pub(super) fn has_sections(&self) -> bool {
        self.open_sections > 0
    }

    /// Whether the next character starts a line.
    pub(super) fn at_line_start(&self) -> bool {
        self.text.is_empty() || self.newlines > 0 || self.min_newlines > 0
    }

    /// The last character, unless a space or a line end is to follow it.
    pub(super) fn last_char(&self) -> Option<char> {
        let is_open = !self.at_line_start() && self.spaces.is_empty();
        self.text.chars().next_back().filter(|_| is_open)
    }

    /// Writes text as it stands, line breaks and indentation included.
    pub(super) fn push(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            // Printable ASCII is the long common run; the rest goes one by one.
            let plain = rest
                .bytes()
                .position(|b| !(0x21..0x7f).contains(&b))
                .unwrap_or(rest.len());
            if plain > 0 {
                self.visible(&rest[..plain]);
                rest = &rest[plain..];
                continue;
            }
            let Some(c) = rest.chars().next() else { break };
            rest = &rest[c.len_utf8()..];
            match c {
                '\r' => {
                    rest = rest.strip_prefix('\n').unwrap_or(rest);
                    self.line_end();
                }
                '\n' | '\u{b}' | '\u{85}' | '\u{2028}' => self.line_end(),
                '\u{c}' | '\u{2029}' => self.blank_line(),
                '\t' => self.spaces.push('\t'),
                c if is_dropped(c) => {}
                c if c.is_whitespace() => self.spaces.push(match c {
                    '\u{3000}' => c,
                    _ => ' ',
                }),
                c => self.visible(c.encode_utf8(&mut [0; 4])),
            }
        }
    }

    /// Writes text as one run of words: every run of white space is one space.
    pub(super) fn push_words(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            self.push(&rest[..word]);
            rest = &rest[word..];
            if !rest.is_empty() {
                self.space();
                rest = rest.trim_start();
            }
        }
    }

    /// A space between two words; nothing at the start of a line.
    pub(super) fn space(&mut self) {
        if !self.at_line_start() && self.spaces.is_empty() {
            self.spaces.push(' ');
        }
    }

    /// Makes what follows start on a line of its own.
    pub(super) fn break_line(&mut self) {
        self.min_newlines = self.min_newlines.max(1);
        self.spaces.clear();
    }

    /// Makes what follows start a paragraph: one blank line before it.
    pub(super) fn blank_line(&mut self) {
        self.min_newlines = self.min_newlines.max(2);
        self.spaces.clear();
    }

    /// A heading on its own line, which opens a section; level 1 is outermost.
    pub(super) fn heading(&mut self, level: u8, heading: &str) {
        let heading = one_line(heading);
        if heading.is_empty() {
            return;
        }
        self.blank_line();
        self.open_section(level, &heading);
        self.push(&heading);
        self.blank_line();
    }

    /// Opens a section at the next visible character, for text that holds its
    /// heading itself.
    pub(super) fn open_section(&mut self, level: u8, heading: &str) {
        let heading = one_line(heading);
        if !heading.is_empty() {
            self.sections.push(Section {
                heading,
                level: level.clamp(1, MAX_LEVEL),
                span: 0..0,
            });
        }
    }

    /// Says that the line just written names the columns of the rows below it, up to
    /// the next blank line, so that every chunk of the table can name them. A header of
    /// several lines says it after each, before the line ends.
    pub(super) fn name_columns(&mut self) {
        if !self.at_line_start() {
            let start = self.text.rfind('\n').map_or(0, |end| end + 1);
            columns::add(&mut self.columns, start..self.text.len());
        }
    }

    /// Starts a block of code at the next visible character.
    pub(super) fn open_code(&mut self) {
        self.close_code();
        self.code = Code::Opening;
    }

    /// Whether what is written is a block of code.
    pub(super) fn is_in_code(&self) -> bool {
        self.code != Code::Closed
    }

    /// Ends the block of code behind the last visible character.
    pub(super) fn close_code(&mut self) {
        if self.code == Code::Open
            && let Some(last) = self.code_blocks.last_mut()
        {
            last.end = self.text.len();
        }
        self.code = Code::Closed;
    }

    /// Starts a page at the next visible character.
    pub(super) fn start_page(&mut self, number: u32) {
        self.blank_line();
        self.pages.push(Page { number, span: 0..0 });
    }

    /// Takes over what another draft holds, its headings `deeper` levels down.
    pub(super) fn append(&mut self, other: Draft, deeper: u8) {
        let mut sections = other.sections.iter().take(other.open_sections).peekable();
        let mut columns = other.columns.iter().peekable();
        let blocks = other.code_blocks.iter();
        let mut edges = blocks.flat_map(|block| [block.start, block.end]).peekable();
        let (mut at, mut in_code) = (0, false);
        loop {
            let section = sections.peek().map(|section| section.span.start);
            let line = columns.peek().map(|line| line.end);
            let edge = edges.peek().copied();
            let Some(next) = section.into_iter().chain(line).chain(edge).min() else {
                break;
            };
            self.push(&other.text[at..next]);
            at = next;
            if edge == Some(next) {
                edges.next();
                in_code = !in_code;
                match in_code {
                    true => self.open_code(),
                    false => self.close_code(),
                }
                continue;
            }
            // A line of columns ends before the section that begins there.
            if line == Some(next) {
                let line = columns.next().map_or(0, |line| line.len());
                let start = self.text.len().saturating_sub(line);
                columns::add(&mut self.columns, start..self.text.len());
            } else if let Some(section) = sections.next() {
                self.open_section(section.level.saturating_add(deeper), &section.heading);
            }
        }
        self.push(&other.text[at..]);
        self.overflowed |= other.overflowed;
        let room = MAX_WARNINGS.saturating_sub(self.warnings.len());
        self.warnings.extend(other.warnings.into_iter().take(room));
    }

    /// Notes something that could not be read and is left out of the text.
    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning.into());
        }
    }

    /// Records a fact; empty ones are left out, and the first of two wins. A fact with the
    /// name of a document's own field gets another: whoever wrote the file does not
    /// decide who reads it.
    pub(super) fn fact(&mut self, name: &str, value: impl Into<Value>) {
        let value = match value.into() {
            Value::String(text) => Value::String(one_line(&text)),
            other => other,
        };
        let empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if empty || name == FORMAT {
            return;
        }
        let name = match is_reserved_name(name) {
            true => format!("{FROM_FILE}{name}"),
            false => name.to_owned(),
        };
        self.metadata.entry(name).or_insert(value);
    }

    /// Sets the title unless there is one, or `title` is blank.
    pub(super) fn propose_title(&mut self, title: &str) {
        if self.title.is_none() {
            self.title = Some(one_line(title)).filter(|title| !title.is_empty());
        }
    }

    /// The document, with spans closed and title and language settled.
    pub(super) fn finish(mut self, uri: &str, name: &str, format: &Format) -> Result<Document> {
        self.close_code();
        if self.overflowed {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "it unfolds to more than {} MB of text; split the file or raise the limit",
                    self.limit >> 20
                ),
            ));
        }
        if self.text.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, format.no_text));
        }
        self.sections.truncate(self.open_sections);
        self.pages.truncate(self.open_pages);
        close_sections(&mut self.sections, self.text.len());
        self.sections.retain(|section| !section.span.is_empty());
        close_pages(&mut self.pages, self.text.len());
        let tables = columns::close(&self.columns, &self.text);
        let heading = match format.title_from_heading {
            true => title::of_sections(&self.sections),
            false => None,
        };
        let title = self.title.take().or(heading);
        let title = title.unwrap_or_else(|| title::of_file(uri, name, format.prose));
        if format.prose
            && !self.metadata.contains_key("language")
            && let Some(code) = language::detect(&self.text)
        {
            self.metadata.insert("language".into(), code.into());
        }
        self.metadata.insert("format".into(), format.name.into());
        self.text.shrink_to_fit();
        Ok(Document {
            uri: uri.to_owned(),
            title,
            text: self.text,
            sections: self.sections,
            pages: self.pages,
            tables,
            code_blocks: self.code_blocks,
            metadata: self.metadata,
            labels: Default::default(),
            warnings: self.warnings,
        })
    }

    fn line_end(&mut self) {
        self.spaces.clear();
        self.newlines += 1;
    }

    /// Writes what waited, then `text`, which has no white space in it.
    fn visible(&mut self, text: &str) {
        if self.text.len() + text.len() + self.spaces.len() + MAX_NEWLINES > self.limit {
            self.overflowed = true;
        }
        if self.overflowed {
            return;
        }
        if !self.text.is_empty() {
            for _ in 0..self.newlines.max(self.min_newlines).min(MAX_NEWLINES) {
                self.text.push('\n');
            }
        }
        self.newlines = 0;
        self.min_newlines = 0;
        // A section in the middle of a line begins with its first word.
        let is_inside = !self.text.is_empty() && !self.text.ends_with('\n');
        let gap = if is_inside { self.spaces.len() } else { 0 };
        for section in &mut self.sections[self.open_sections..] {
            section.span.start = self.text.len() + gap;
        }
        for page in &mut self.pages[self.open_pages..] {
            page.span.start = self.text.len();
        }
        self.open_sections = self.sections.len();
        self.open_pages = self.pages.len();
        if self.code == Code::Opening {
            let start = self.text.len() + self.spaces.len();
            self.code_blocks.push(start..start);
            self.code = Code::Open;
        }
        self.text.push_str(&self.spaces);
        self.spaces.clear();
        self.text.push_str(text);
    }
}

/// A section ends where the next of the same or a higher level begins.
fn close_sections(sections: &mut [Section], text_len: usize) {
    let mut open: Vec<usize> = Vec::new();
    for i in 0..sections.len() {
        let (level, start) = (sections[i].level, sections[i].span.start);
        while let Some(&last) = open.last() {
            if sections[last].level < level {
                break;
            }
            sections[last].span.end = start;
            open.pop();
        }
        open.push(i);
    }
    for i in open {
        sections[i].span.end = text_len;
    }
}

/// A page ends where the next one begins; pages without text go.
fn close_pages(pages: &mut Vec<Page>, text_len: usize) {
    let mut end = text_len;
    for page in pages.iter_mut().rev() {
        page.span.end = end;
        end = page.span.start;
    }
    pages.retain(|page| !page.span.is_empty());
}

/// `text` on one line, single-spaced, clean, and cut where no heading is longer.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let mut visible = word.chars().filter(|&c| !is_dropped(c)).peekable();
        if visible.peek().is_some() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(visible);
        }
    }
    if let Some((cut, _)) = line.char_indices().nth(MAX_HEADING_CHARS) {
        line.truncate(cut);
        line.truncate(line.trim_end().len());
        line.push('…');
    }
    line.truncate(line.trim_end().len());
    line
}

/// Invisible characters: controls, soft hyphens, zero-width spaces,
/// direction overrides and tag characters, which can hide text from a reader
/// but not from a model. Joiners stay, since scripts and emoji need them.
fn is_dropped(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats;

    fn finish(draft: Draft) -> Document {
        draft.finish("a", "a.txt", &formats::PLAIN).unwrap()
    }

    #[test]
    fn text_comes_out_clean() {
        let mut draft = Draft::new(1000);
        draft.push("\n\n  a \t\r\nb\0\u{7}\rc\u{ad}d\n\n\n\n\n\ne\u{a0}f\u{c}g  \n\n");
        assert_eq!(finish(draft).text, "  a\nb\ncd\n\n\ne f\n\ng");
    }

    #[test]
    fn words_are_single_spaced() {
        let mut draft = Draft::new(1000);
        draft.push_words("  a\n b");
        draft.push_words("c \t");
        draft.push_words(" d");
        assert_eq!(finish(draft).text, "a bc d");
    }

    #[test]
    fn sections_nest_and_end_where_the_next_begins() {
        let mut draft = Draft::new(1000);
        draft.push("intro");
        for (level, heading) in [(1, "A"), (2, "B"), (3, "C"), (2, "D"), (1, "E")] {
            draft.heading(level, heading);
            draft.push("x");
        }
        draft.heading(4, " \n ");
        draft.open_section(1, "nothing follows");
        let document = finish(draft);
        let found: Vec<_> = document
            .sections
            .iter()
            .map(|s| document.text[s.span.clone()].replace("\n\n", ""))
            .collect();
        assert_eq!(found, ["AxBxCxDx", "BxCx", "Cx", "Dx", "Ex"]);
        assert_eq!(document.title, "A");
    }

    #[test]
    fn pages_without_text_are_left_out() {
        let mut draft = Draft::new(1000);
        for (number, text) in [(1, "one"), (2, " \n"), (3, "three"), (4, "")] {
            draft.start_page(number);
            draft.push(text);
        }
        let document = finish(draft);
        let pages: Vec<_> = document
            .pages
            .iter()
            .map(|p| (p.number, p.span.clone()))
            .collect();
        assert_eq!(pages, [(1, 0..5), (3, 5..10)]);
    }

    #[test]
    fn past_the_limit_it_is_too_large() {
        let mut draft = Draft::new(10);
        draft.push("0123456789");
        assert!(draft.is_full());
        let error = draft.finish("a", "a", &formats::PLAIN).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn facts_cannot_take_the_names_of_fields() {
        let mut draft = Draft::new(10);
        draft.push("x");
        draft.fact("labels", "admin");
        draft.fact("author", " Ann\nLee ");
        draft.fact("author", "Second");
        draft.fact("empty", "");
        let metadata = finish(draft).metadata;
        assert_eq!(metadata["author"], "Ann Lee");
        assert!(!metadata.contains_key("labels") && !metadata.contains_key("empty"));
        assert_eq!(metadata["file.labels"], "admin");
    }

    #[test]
    fn headings_are_one_clean_line() {
        assert_eq!(one_line(" a\n\u{200b} b\0 "), "a b");
        assert_eq!(one_line(&"x".repeat(500)).chars().count(), 201);
    }
}
