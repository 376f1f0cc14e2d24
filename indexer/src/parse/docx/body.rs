//! The paragraphs and tables of a Word document as text.

use std::collections::HashMap;

use super::styles::{Role, Styles};
use crate::Result;
use crate::parse::draft::Draft;
use crate::parse::xml::{self, Attributes, Xml};

/// Deepest list indentation that is shown.
const MAX_INDENT: usize = 16;

/// Writes `word/document.xml` or a file of notes.
pub(super) fn write(text: &str, styles: &Styles, draft: &mut Draft) -> Result<()> {
    let mut writer = Writer {
        styles,
        draft,
        paragraph: Paragraph::default(),
        outer: Vec::new(),
        note: String::new(),
        runs: 0,
        in_text: false,
        skipped: 0,
        tables: 0,
        cells: Vec::new(),
        cell: String::new(),
        numbers: HashMap::new(),
        after_item: false,
    };
    xml::read(text, "DOCX", |event| {
        writer.event(event);
        Ok(())
    })
}

#[derive(Default)]
struct Paragraph {
    text: String,
    style: String,
    outline: Option<u8>,
    list: Option<String>,
    level: usize,
}

struct Writer<'a> {
    styles: &'a Styles,
    draft: &'a mut Draft,
    paragraph: Paragraph,
    /// Paragraphs around a text box, which has paragraphs of its own.
    outer: Vec<Paragraph>,
    /// The mark of the note that the next paragraph begins.
    note: String,
    /// Depth of runs: outside of them, a tab is a tab stop.
    runs: usize,
    in_text: bool,
    /// Depth inside what is a copy of something else, or was deleted.
    skipped: usize,
    /// Depth of tables; the cells are the outermost table's.
    tables: usize,
    cells: Vec<String>,
    cell: String,
    /// The last number of each list and level.
    numbers: HashMap<(String, usize), u64>,
    after_item: bool,
}

/// Elements whose content also stands elsewhere or no longer counts.
fn is_skipped(name: &str) -> bool {
    matches!(
        name,
        "Fallback" | "del" | "moveFrom" | "instrText" | "delText" | "separator"
    )
}

impl Writer<'_> {
    fn event(&mut self, event: Xml<'_>) {
        match event {
            Xml::Start(name, _) if is_skipped(name) => self.skipped += 1,
            Xml::End(name) if is_skipped(name) => self.skipped = self.skipped.saturating_sub(1),
            _ if self.skipped > 0 => {}
            Xml::Start(name, attributes) => self.start(name, &attributes),
            Xml::End(name) => self.end(name),
            Xml::Text(text) if self.in_text => self.paragraph.text.push_str(&text),
            Xml::Text(_) => {}
        }
    }

    fn start(&mut self, name: &str, attributes: &Attributes<'_>) {
        let value = || attributes.get("val");
        match name {
            "p" => self.outer.push(std::mem::take(&mut self.paragraph)),
            "t" => self.in_text = true,
            "r" => self.runs += 1,
            "tab" if self.runs > 0 => self.paragraph.text.push('\t'),
            "br" | "cr" if self.runs > 0 => self.paragraph.text.push('\n'),
            "noBreakHyphen" => self.paragraph.text.push('-'),
            "pStyle" => self.paragraph.style = value().unwrap_or_default(),
            "outlineLvl" => self.paragraph.outline = value().and_then(|v| v.parse().ok()),
            "numId" => self.paragraph.list = value(),
            "ilvl" => {
                self.paragraph.level = value().and_then(|v| v.parse().ok()).unwrap_or(0);
            }
            "footnoteReference" | "endnoteReference" => {
                let id = attributes.get("id").unwrap_or_default();
                self.paragraph.text.push_str(&format!("[{id}]"));
            }
            // A note's own text begins with its mark.
            "footnote" | "endnote" => {
                let id = attributes.get("id").unwrap_or_default();
                if attributes.get("type").is_none() {
                    self.note = format!("[{id}] ");
                }
            }
            "docPr" => {
                if let Some(description) = attributes.get("descr") {
                    self.paragraph.text.push_str(&format!(" {description} "));
                }
            }
            "tbl" => self.tables += 1,
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "t" => self.in_text = false,
            "r" => self.runs = self.runs.saturating_sub(1),
            "p" => {
                let paragraph =
                    std::mem::replace(&mut self.paragraph, self.outer.pop().unwrap_or_default());
                self.paragraph(paragraph);
            }
            "tc" if self.tables == 1 => self.cells.push(std::mem::take(&mut self.cell)),
            "tr" if self.tables == 1 => self.row(),
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                self.draft.blank_line();
            }
            _ => {}
        }
    }

    fn row(&mut self) {
        let cells = std::mem::take(&mut self.cells);
        self.draft.break_line();
        self.draft
            .push(cells.join(" | ").trim_end_matches([' ', '|']));
        self.draft.break_line();
    }

    fn paragraph(&mut self, paragraph: Paragraph) {
        let text = paragraph.text.trim_end();
        if text.trim().is_empty() {
            return;
        }
        if self.tables > 0 {
            for word in text.split_whitespace() {
                if !self.cell.is_empty() {
                    self.cell.push(' ');
                }
                self.cell.push_str(word);
            }
            return;
        }
        let role = match (self.styles.role(&paragraph.style), paragraph.outline) {
            (Role::Body | Role::List, Some(level)) if level < 9 => Role::Heading(level + 1),
            (role, _) => role,
        };
        match role {
            Role::Heading(level) => {
                self.draft.heading(level, text);
                self.after_item = false;
            }
            Role::Title => {
                self.draft.propose_title(text);
                self.draft.blank_line();
                self.draft.push(text);
                self.draft.blank_line();
            }
            Role::Body | Role::List => self.body(&paragraph, text),
        }
    }

    fn body(&mut self, paragraph: &Paragraph, text: &str) {
        let list = paragraph
            .list
            .as_deref()
            .or_else(|| self.styles.list_of(&paragraph.style));
        // List 0 takes a paragraph out of its style's list.
        let Some(list) = list.filter(|list| *list != "0") else {
            self.after_item = false;
            self.draft.blank_line();
            let note = std::mem::take(&mut self.note);
            self.draft.push(&note);
            self.draft.push(if note.is_empty() {
                text
            } else {
                text.trim_start()
            });
            self.draft.blank_line();
            return;
        };
        if !self.after_item {
            self.draft.blank_line();
        }
        self.after_item = true;
        let level = paragraph.level;
        let marker = if self.styles.is_counted(list, level) {
            self.numbers
                .retain(|(other, deeper), _| other != list || *deeper <= level);
            let number = self.numbers.entry((list.to_owned(), level)).or_default();
            *number += 1;
            format!("{number}. ")
        } else {
            "- ".to_owned()
        };
        self.draft.break_line();
        self.draft.push(&"  ".repeat(level.min(MAX_INDENT)));
        self.draft.push(&marker);
        self.draft.push(text.trim_start());
    }
}
