//! The text of an OpenDocument file.

use super::styles::{LEVELS, Levels, Styles};
use crate::Result;
use crate::draft::Draft;
use crate::numerals::Numerals;
use crate::tables::{Merge, Tables};
use crate::xml::{self, Attributes, Xml};
use crate::{links, running};

/// Deepest list indentation that is shown.
const MAX_INDENT: usize = 16;
/// Most columns that one element may repeat.
const MAX_REPEATED: usize = 64;
/// Most spaces that one element may stand for.
const MAX_SPACES: usize = 80;

/// Notes and comments, as they stand behind the text.
#[derive(Default)]
pub(super) struct Notes(Vec<(String, Draft)>);

impl Notes {
    /// Writes each behind its mark or author.
    pub(super) fn write(self, draft: &mut Draft) {
        for (mark, note) in self.0 {
            draft.blank_line();
            draft.push(&mark);
            draft.append(note, 0);
            draft.blank_line();
        }
    }
}

/// Writes the body of `content.xml`.
pub(super) fn write(
    text: &str,
    styles: &Styles,
    notes: &mut Notes,
    draft: &mut Draft,
    limit: usize,
) -> Result<()> {
    let mut footers = Draft::new(limit);
    read(text, styles, notes, draft, &mut footers, limit, "body")
}

/// Writes the headers of `styles.xml`; returns the footers.
pub(super) fn write_running(
    text: &str,
    styles: &Styles,
    notes: &mut Notes,
    headers: &mut Draft,
    limit: usize,
) -> Result<Draft> {
    let mut footers = Draft::new(limit);
    read(
        text,
        styles,
        notes,
        headers,
        &mut footers,
        limit,
        "master-styles",
    )?;
    Ok(footers)
}

fn read(
    text: &str,
    styles: &Styles,
    notes: &mut Notes,
    draft: &mut Draft,
    footers: &mut Draft,
    limit: usize,
    root: &str,
) -> Result<()> {
    let mut writer = BodyWriter {
        styles,
        notes,
        draft,
        footers,
        limit,
        inside: false,
        paragraph: Paragraph::default(),
        outer: Vec::new(),
        spans: Vec::new(),
        hidden: 0,
        skip: 0,
        lists: Vec::new(),
        counters: Counters::default(),
        tables: Tables::default(),
        in_head: false,
        aside: Vec::new(),
        value: None,
        after_item: false,
        header: None,
    };
    xml::read(text, "ODT", |event| {
        match event {
            Xml::Start(name, _) if name == root => writer.inside = true,
            Xml::End(name) if name == root => writer.inside = false,
            event if writer.inside => writer.event(event),
            _ => {}
        }
        Ok(())
    })
}

#[derive(Default)]
struct Paragraph {
    text: String,
    style: String,
    /// The level of a heading.
    outline: Option<u8>,
    unnumbered: bool,
    links: Vec<(usize, String)>,
    has_page_number: bool,
    exists: bool,
}

struct List {
    style: String,
    /// Whether the next paragraph begins an item, and with which number.
    begins: bool,
    start: Option<u64>,
}

/// What is read separately from the text around it.
struct Aside {
    draft: Draft,
    lists: Vec<List>,
    tables: Tables,
    mark: String,
    author: String,
}

/// The numbers that lists and headings have reached.
#[derive(Default)]
struct Counters(std::collections::HashMap<String, [Option<u64>; LEVELS]>);

struct BodyWriter<'a> {
    styles: &'a Styles,
    notes: &'a mut Notes,
    draft: &'a mut Draft,
    footers: &'a mut Draft,
    limit: usize,
    inside: bool,
    paragraph: Paragraph,
    outer: Vec<Paragraph>,
    /// For each open span, whether it is hidden.
    spans: Vec<bool>,
    hidden: usize,
    skip: usize,
    lists: Vec<List>,
    counters: Counters,
    tables: Tables,
    /// In the rows that a table has as its head.
    in_head: bool,
    aside: Vec<Aside>,
    /// The element whose text is a fact about a note: its mark, its author.
    value: Option<String>,
    after_item: bool,
    /// What was written before the footer that is read.
    header: Option<Draft>,
}

/// Elements whose content stands elsewhere or no longer counts.
fn is_skipped(name: &str, attributes: &Attributes<'_>) -> bool {
    match name {
        "creator-initials" | "date-string" | "tracked-changes" | "table-of-content"
        | "alphabetical-index" | "illustration-index" | "table-index" | "user-index"
        | "object-index" | "bibliography" | "ruby-text" | "forms" | "annotation-end"
        | "hidden-text" | "hidden-paragraph" | "script" | "sequence-decls" | "variable-decls"
        | "user-field-decls" | "date" => name != "date" || attributes.get("fixed").is_none(),
        "section" | "header" | "footer" | "header-left" | "footer-left" | "header-first"
        | "footer-first" => matches!(attributes.get("display").as_deref(), Some("none" | "false")),
        _ => false,
    }
}

impl BodyWriter<'_> {
    fn event(&mut self, event: Xml<'_>) {
        match event {
            Xml::Start(..) if self.skip > 0 => self.skip += 1,
            Xml::End(_) if self.skip > 0 => self.skip -= 1,
            Xml::Text(_) if self.skip > 0 => {}
            Xml::Start(name, attributes) if is_skipped(name, &attributes) => self.skip = 1,
            Xml::Start(name, attributes) => self.start(name, &attributes),
            Xml::End(name) => self.end(name),
            Xml::Text(text) => self.text(&text),
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(value) = &mut self.value {
            value.push_str(text);
        } else if self.paragraph.exists && self.hidden == 0 {
            // White space counts once; what counts more often is an element.
            let paragraph = &mut self.paragraph.text;
            for c in text.chars() {
                if !c.is_ascii_whitespace() {
                    paragraph.push(c);
                } else if !paragraph.ends_with([' ', '\t', '\n']) {
                    paragraph.push(' ');
                }
            }
        }
    }

    fn push(&mut self, text: &str) {
        if self.hidden == 0 {
            self.paragraph.text.push_str(text);
        }
    }

    fn start(&mut self, name: &str, attributes: &Attributes<'_>) {
        let number = |name: &str| attributes.get(name).and_then(|v| v.parse::<usize>().ok());
        match name {
            "p" | "h" => self.begin_paragraph(name, attributes),
            "span" => {
                let style = attributes.get("style-name").unwrap_or_default();
                self.hide(self.styles.is_hidden(&style));
            }
            "a" => {
                let address = attributes.get("href").unwrap_or_default();
                let start = self.paragraph.text.len();
                self.paragraph.links.push((start, address));
            }
            "s" => self.push(&" ".repeat(number("c").unwrap_or(1).min(MAX_SPACES))),
            "tab" => self.push("\t"),
            "line-break" => self.push("\n"),
            "page-number" | "page-count" => {
                self.paragraph.has_page_number = true;
                self.push(running::MARK.encode_utf8(&mut [0; 4]));
                self.skip = 1;
            }
            "desc" => self.text(" "),
            "footer" | "footer-left" | "footer-first" => {
                self.header = Some(std::mem::replace(self.draft, Draft::new(self.limit)));
            }
            "note-citation" | "creator" if !self.aside.is_empty() => {
                self.value = Some(String::new());
            }
            "note" | "annotation" => self.begin_aside(),
            "list" => {
                let outer = self.lists.last().map(|list| list.style.clone());
                let style = attributes.get("style-name").or(outer).unwrap_or_default();
                let goes_on = attributes.get("continue-numbering").as_deref() == Some("true")
                    || attributes.get("continue-list").is_some();
                if self.lists.is_empty() && !goes_on {
                    self.counters.0.remove(&style);
                }
                self.lists.push(List {
                    style,
                    begins: false,
                    start: None,
                });
            }
            "list-item" | "list-header" => {
                if let Some(list) = self.lists.last_mut() {
                    list.begins = name == "list-item";
                    list.start = number("start-value").map(|start| start as u64);
                }
            }
            "table" => {
                if self.tables.is_outside() {
                    self.draft.blank_line();
                    self.after_item = false;
                }
                self.tables.begin();
            }
            "table-header-rows" => self.in_head = true,
            "table-cell" => {
                self.tables.span(1);
                let rows = number("number-rows-spanned").unwrap_or(1);
                self.tables.merge(Merge::Begins(rows.saturating_sub(1)));
                self.repeat(number("number-columns-repeated"));
            }
            "covered-table-cell" => {
                self.tables.merge(Merge::GoesOn);
                self.repeat(number("number-columns-repeated"));
            }
            _ => {}
        }
    }

    /// Cells that repeat are empty ones in texts; each has its column.
    fn repeat(&mut self, times: Option<usize>) {
        let more = times.unwrap_or(1).saturating_sub(1).min(MAX_REPEATED);
        self.tables.leave_out(more);
    }

    fn hide(&mut self, hidden: bool) {
        self.spans.push(hidden);
        self.hidden += usize::from(hidden);
    }

    fn begin_paragraph(&mut self, name: &str, attributes: &Attributes<'_>) {
        let style = attributes.get("style-name").unwrap_or_default();
        self.hide(self.styles.is_hidden(&style));
        let level = attributes.get("outline-level").and_then(|v| v.parse().ok());
        let next = Paragraph {
            outline: (name == "h").then(|| level.unwrap_or(1).clamp(1, 10)),
            unnumbered: attributes.get("is-list-header").as_deref() == Some("true"),
            style,
            exists: true,
            ..Paragraph::default()
        };
        self.outer
            .push(std::mem::replace(&mut self.paragraph, next));
    }

    /// A note or comment is read separately.
    fn begin_aside(&mut self) {
        self.aside.push(Aside {
            draft: std::mem::replace(self.draft, Draft::new(self.limit)),
            lists: std::mem::take(&mut self.lists),
            tables: std::mem::take(&mut self.tables),
            mark: String::new(),
            author: String::new(),
        });
    }

    fn end_aside(&mut self, name: &str) {
        let Some(aside) = self.aside.pop() else {
            return;
        };
        let text = std::mem::replace(self.draft, aside.draft);
        self.lists = aside.lists;
        self.tables = aside.tables;
        let mark = match (name, aside.author.trim()) {
            ("note", _) => format!("[{}] ", aside.mark.trim()),
            (_, "") => "Comment: ".to_owned(),
            (_, author) => format!("Comment by {author}: "),
        };
        if self.hidden > 0 {
            return;
        }
        if name == "note" {
            self.push(mark.trim_end());
        }
        if !text.is_empty() {
            self.notes.0.push((mark, text));
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "p" | "h" => {
                let outer = self.outer.pop().unwrap_or_default();
                let paragraph = std::mem::replace(&mut self.paragraph, outer);
                self.unhide();
                self.write(&paragraph);
            }
            "span" => self.unhide(),
            "a" => {
                if let Some((start, address)) = self.paragraph.links.pop() {
                    let text = self.paragraph.text.get(start..).unwrap_or_default();
                    let suffix = links::suffix(&address, text);
                    if !text.trim().is_empty() {
                        self.push(&suffix);
                    }
                }
            }
            "note-citation" | "creator" => {
                if let (Some(value), Some(aside)) = (self.value.take(), self.aside.last_mut()) {
                    let slot = if name == "creator" {
                        &mut aside.author
                    } else {
                        &mut aside.mark
                    };
                    *slot = value;
                }
            }
            "note" | "annotation" => self.end_aside(name),
            "list" => {
                self.lists.pop();
            }
            "table-cell" | "covered-table-cell" => self.tables.end_cell(),
            "table-header-rows" => self.in_head = false,
            "table-row" => {
                if self.in_head {
                    self.tables.name_columns();
                }
                for line in self.tables.end_row() {
                    line.write(self.draft);
                }
            }
            "table" => self.end_table(),
            "footer" | "footer-left" | "footer-first" => {
                if let Some(header) = self.header.take() {
                    let footer = std::mem::replace(self.draft, header);
                    self.footers.append(footer, 0);
                    self.footers.break_line();
                }
            }
            _ => {}
        }
    }

    fn end_table(&mut self) {
        if self.tables.end() {
            self.draft.blank_line();
        }
    }

    fn unhide(&mut self) {
        if self.spans.pop() == Some(true) {
            self.hidden -= 1;
        }
    }

    fn write(&mut self, paragraph: &Paragraph) {
        let label = self.label(paragraph);
        let text = if paragraph.has_page_number {
            running::without_page_numbers(&paragraph.text)
        } else {
            paragraph.text.trim_end().to_owned()
        };
        if text.trim().is_empty() {
            return;
        }
        let labelled = match &label {
            Some(label) => format!("{label} {}", text.trim_start()),
            None => text.clone(),
        };
        if !self.tables.is_outside() {
            return self.tables.push(&labelled);
        }
        if let Some(level) = paragraph.outline {
            self.after_item = false;
            return self.draft.heading(level, &labelled);
        }
        if label.is_some() {
            if !self.after_item {
                self.draft.blank_line();
            }
            self.after_item = true;
            self.draft.break_line();
            let indent = self.lists.len().saturating_sub(1).min(MAX_INDENT);
            self.draft.push(&"  ".repeat(indent));
            return self.draft.push(&labelled);
        }
        self.after_item = false;
        if self.styles.is_title(&paragraph.style) {
            self.draft.propose_title(&text);
        }
        self.draft.blank_line();
        let is_first = self.draft.is_empty();
        self.draft
            .push(if is_first { text.trim_start() } else { &text });
        self.draft.blank_line();
    }

    /// The number or bullet of a paragraph.
    fn label(&mut self, paragraph: &Paragraph) -> Option<String> {
        let styles = self.styles;
        if let Some(level) = paragraph.outline {
            let number = (!paragraph.unnumbered).then(|| {
                let level = usize::from(level) - 1;
                self.counters.next("", &styles.outline, level, None)
            });
            return number.flatten().filter(|label| label != "-");
        }
        let level = self.lists.len().checked_sub(1)?.min(LEVELS - 1);
        let list = self.lists.last_mut().filter(|list| list.begins)?;
        list.begins = false;
        let style = match styles.list_of(&paragraph.style) {
            Some(style) if list.style.is_empty() => style,
            _ => list.style.as_str(),
        };
        match styles.list(style) {
            Some(levels) => self.counters.next(style, levels, level, list.start),
            None => Some("-".to_owned()),
        }
    }
}

impl Counters {
    /// The label of the next item.
    fn next(
        &mut self,
        list: &str,
        levels: &Levels,
        level: usize,
        start: Option<u64>,
    ) -> Option<String> {
        let format = levels.get(level)?;
        let reached = self.0.entry(list.to_owned()).or_default();
        reached[level] = start.or_else(|| match reached[level] {
            Some(number) => Some(number.saturating_add(1)),
            None => Some(format.start),
        });
        reached[level + 1..].fill(None);
        match format.numerals {
            Numerals::Bullet => return Some("-".to_owned()),
            Numerals::None => return None,
            _ => {}
        }
        let first = (level + 1).saturating_sub(format.shown.max(1));
        let numbers = (first..=level).filter(|at| levels[*at].numerals.counts());
        let numbers: Vec<String> = numbers
            .map(|at| {
                levels[at]
                    .numerals
                    .write(reached[at].unwrap_or(levels[at].start))
            })
            .collect();
        Some(format!(
            "{}{}{}",
            format.prefix.trim_start(),
            numbers.join("."),
            format.suffix.trim_end()
        ))
    }
}
