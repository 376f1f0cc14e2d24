//! The paragraphs and tables of one part of a Word document as text: its body, a
//! header, its notes.

use super::fields::{Ended, Fields};
use super::notes::Notes;
use super::numbering::{Counters, Label, Numbering};
use super::paragraph::{Paragraph, Properties};
use super::styles::{Role, Styles};
use super::symbols;
use crate::Result;
use crate::draft::Draft;
use crate::ooxml::{Relations, is_on};
use crate::raised::{self, Raised};
use crate::tables::{Merge, Tables};
use crate::xml::{self, Attributes, Xml};

/// Deepest list indentation that is shown.
const MAX_INDENT: usize = 16;

/// What all parts of a document refer to.
pub(super) struct Shared {
    pub(super) styles: Styles,
    pub(super) numbering: Numbering,
    /// Most text, in bytes.
    pub(super) limit: usize,
}

/// Writes one part; `notes` learns which notes it refers to.
pub(super) fn write(
    text: &str,
    shared: &Shared,
    relations: &Relations,
    notes: &mut Notes,
    draft: &mut Draft,
) -> Result<()> {
    let mut story = Story {
        shared,
        relations,
        notes,
        draft,
        paragraph: Paragraph::default(),
        outer: Vec::new(),
        joined: None,
        runs: Vec::new(),
        place: Place::default(),
        skip: 0,
        alternatives: Vec::new(),
        controls: Vec::new(),
        links: Vec::new(),
        fields: Fields::default(),
        tables: Tables::default(),
        counters: Counters::default(),
        after_item: false,
    };
    xml::read(text, "DOCX", |event| {
        story.event(event);
        Ok(())
    })?;
    story.flush();
    Ok(())
}

/// Where the reader is, as far as the names of elements do not say.
#[derive(Default)]
struct Place {
    in_text: bool,
    in_instruction: bool,
    /// In the properties of a paragraph, a row, a content control.
    in_paragraph: bool,
    in_row: bool,
    in_control: bool,
}

/// Whether a run's text is hidden, whether what holds it is, and where it stands.
#[derive(Clone, Copy, Default)]
struct Run {
    inherited: bool,
    own: Option<bool>,
    style: bool,
    raised: Option<Raised>,
}

impl Run {
    fn is_hidden(self) -> bool {
        self.inherited || self.own.unwrap_or(self.style)
    }
}

struct Story<'a> {
    shared: &'a Shared,
    relations: &'a Relations,
    notes: &'a mut Notes,
    draft: &'a mut Draft,
    paragraph: Paragraph,
    /// Paragraphs around a text box, which has paragraphs of its own.
    outer: Vec<Paragraph>,
    /// A paragraph whose mark is deleted.
    joined: Option<Paragraph>,
    /// The open runs: outside of them, a tab is a tab stop.
    runs: Vec<Run>,
    place: Place,
    /// Depth inside what is a copy of something else, or was deleted.
    skip: usize,
    /// For each choice between forms of the same content, whether one was read.
    alternatives: Vec<bool>,
    /// For each content control, whether it shows its prompt only.
    controls: Vec<bool>,
    links: Vec<(usize, String)>,
    fields: Fields,
    tables: Tables,
    counters: Counters,
    after_item: bool,
}

/// Elements whose content stands elsewhere, no longer counts, or was never
/// shown.
fn is_skipped(name: &str) -> bool {
    matches!(
        name,
        "del" | "moveFrom" | "delText" | "delInstrText" | "separator" | "rt"
    ) || name.len() > 6 && name.ends_with("Change")
}

impl Story<'_> {
    fn event(&mut self, event: Xml<'_>) {
        match event {
            Xml::Start(..) if self.skip > 0 => self.skip += 1,
            Xml::End(_) if self.skip > 0 => self.skip -= 1,
            Xml::Text(_) if self.skip > 0 => {}
            Xml::Start(name, attributes) => self.start(name, &attributes),
            Xml::End(name) => self.end(name),
            Xml::Text(text) if self.place.in_instruction => self.fields.instruct(&text),
            Xml::Text(text) if self.place.in_text => {
                self.push_run(self.runs.last().and_then(|run| run.raised), &text);
            }
            Xml::Text(_) => {}
        }
    }

    /// Adds to the paragraph what a reader sees.
    fn push(&mut self, text: &str) {
        self.push_run(None, text);
    }

    fn push_run(&mut self, raised: Option<Raised>, text: &str) {
        if self.is_silent() {
            return;
        }
        raised::push(raised, &mut self.paragraph.text, text);
        self.notes.quote(text);
    }

    fn is_silent(&self) -> bool {
        let hidden = self.runs.last().is_some_and(|run| run.is_hidden());
        hidden || self.fields.is_silent()
    }

    fn start(&mut self, name: &str, attributes: &Attributes<'_>) {
        if self.place.in_paragraph {
            self.paragraph_property(name, attributes);
        } else if self.place.in_control {
            self.control_property(name, attributes);
        } else if self.place.in_row {
            self.row_property(name, attributes);
        } else if self.skips(name) {
            self.skip = 1;
        } else if !self.structure(name, attributes) {
            self.content(name, attributes);
        }
    }

    /// Whether an element that begins here is left out.
    fn skips(&mut self, name: &str) -> bool {
        match name {
            "AlternateContent" => self.alternatives.push(false),
            "Choice" | "Fallback" => {
                let Some(taken) = self.alternatives.last_mut() else {
                    return name == "Fallback";
                };
                return std::mem::replace(taken, true);
            }
            "sdtContent" => return self.controls.last().copied().unwrap_or(false),
            name => return is_skipped(name),
        }
        false
    }

    fn paragraph_property(&mut self, name: &str, attributes: &Attributes<'_>) {
        let properties = &mut self.paragraph.properties;
        let value = attributes.get("val");
        match name {
            "pStyle" => properties.style = value.unwrap_or_default(),
            "outlineLvl" => properties.outline = value.and_then(|v| v.parse().ok()),
            "numId" => properties.list = value,
            "ilvl" => properties.level = value.and_then(|v| v.parse().ok()),
            "vanish" => properties.is_hidden = is_on(value.as_deref()),
            "del" | "moveFrom" => properties.is_joined = true,
            // The large first letter of a paragraph.
            "framePr" => {
                let drop = attributes.get("dropCap");
                properties.is_joined |= drop.is_some_and(|drop| drop != "none");
            }
            name if name.ends_with("Change") => self.skip = 1,
            _ => {}
        }
    }

    fn control_property(&mut self, name: &str, attributes: &Attributes<'_>) {
        let value = attributes.get("val");
        let only_prompt = match name {
            "showingPlcHdr" => is_on(value.as_deref()),
            "docPartGallery" => value.as_deref() == Some("Table of Contents"),
            _ => false,
        };
        if let Some(control) = self.controls.last_mut() {
            *control |= only_prompt;
        }
    }

    fn row_property(&mut self, name: &str, attributes: &Attributes<'_>) {
        let columns = || attributes.get("val").and_then(|v| v.parse().ok());
        match name {
            "del" => self.tables.delete_row(),
            "tblHeader" if is_on(attributes.get("val").as_deref()) => self.tables.name_columns(),
            "gridBefore" => self.tables.leave_out(columns().unwrap_or(0)),
            name if name.ends_with("Change") => self.skip = 1,
            _ => {}
        }
    }

    /// Elements that hold others; false for all others.
    fn structure(&mut self, name: &str, attributes: &Attributes<'_>) -> bool {
        let value = || attributes.get("val");
        match name {
            "p" => {
                let next = Paragraph::after(self.joined.take());
                self.outer
                    .push(std::mem::replace(&mut self.paragraph, next));
            }
            "pPr" => self.place.in_paragraph = true,
            "trPr" => self.place.in_row = true,
            "sdtPr" => self.place.in_control = true,
            "sdt" => self.controls.push(false),
            "r" => self.runs.push(Run {
                inherited: self.runs.last().is_some_and(|run| run.is_hidden()),
                own: None,
                style: self
                    .shared
                    .styles
                    .get(&self.paragraph.properties.style)
                    .hidden,
                raised: None,
            }),
            "hyperlink" => {
                let id = attributes.get_prefixed("id").unwrap_or_default();
                let mut address = self.relations.address(&id).unwrap_or_default().to_owned();
                if let Some(anchor) = attributes.get("anchor").filter(|_| !address.is_empty()) {
                    address = format!("{address}#{anchor}");
                }
                let start = self.paragraph.begin_link(&address);
                self.links.push((start, address));
            }
            "fldSimple" => {
                self.fields.begin(self.outer.len());
                self.fields
                    .instruct(&attributes.get("instr").unwrap_or_default());
                self.fields.separate(self.paragraph.text.len());
            }
            "fldChar" => self.field(attributes.get("fldCharType").as_deref()),
            "tbl" => {
                if self.tables.is_outside() {
                    self.draft.blank_line();
                    self.after_item = false;
                }
                self.tables.begin();
            }
            "gridSpan" => self
                .tables
                .span(value().and_then(|v| v.parse().ok()).unwrap_or(1)),
            "vMerge" => self.tables.merge(match value().as_deref() {
                Some("restart") => Merge::Begins(usize::MAX),
                _ => Merge::GoesOn,
            }),
            "footnote" | "endnote" | "comment" => self.notes.begin(attributes),
            _ => return false,
        }
        true
    }

    /// Characters, and what says how they are to be read.
    fn content(&mut self, name: &str, attributes: &Attributes<'_>) {
        let value = || attributes.get("val");
        let in_run = !self.runs.is_empty();
        match name {
            "t" => self.place.in_text = true,
            "instrText" => self.place.in_instruction = true,
            "tab" | "ptab" if in_run => self.push("\t"),
            "br" | "cr" if in_run => self.push("\n"),
            "noBreakHyphen" => self.push("-"),
            "sym" => {
                let code = attributes.get("char");
                let code = code.and_then(|c| u32::from_str_radix(&c, 16).ok());
                let font = attributes.get("font").unwrap_or_default();
                if let Some(c) = code.and_then(|code| symbols::character(&font, code)) {
                    self.push(c.encode_utf8(&mut [0; 4]));
                }
            }
            "pgNum" if !self.is_silent() => self.paragraph.push_page_mark(),
            // A fraction's denominator, exponents and indexes of a formula.
            "den" => self.push("/"),
            "sup" => self.push("^"),
            "sub" => self.push("_"),
            "rStyle" => {
                let style = value().unwrap_or_default();
                let hidden = self.shared.styles.get(&style).hidden;
                if let Some(run) = self.runs.last_mut() {
                    run.style |= hidden;
                }
            }
            "vertAlign" => {
                if let Some(run) = self.runs.last_mut() {
                    run.raised = value().and_then(|name| Raised::named(&name));
                }
            }
            "vanish" => {
                if let Some(run) = self.runs.last_mut() {
                    run.own = Some(is_on(value().as_deref()));
                }
            }
            "footnoteReference" | "endnoteReference" if !self.is_silent() => {
                if let Some(mark) = self.notes.refer(name, attributes) {
                    self.push(&mark);
                }
            }
            "commentRangeStart" => self.notes.open_quote(attributes),
            "commentRangeEnd" => self.notes.close_quote(attributes),
            "docPr" => {
                if let Some(description) = attributes.get("descr") {
                    self.push(&format!(" {description} "));
                }
            }
            // The controls of old forms.
            "checkBox" | "ddList" | "checked" | "default" | "result" | "listEntry" if in_run => {
                self.fields.control(name, value());
            }
            _ => {}
        }
    }

    fn field(&mut self, kind: Option<&str>) {
        match kind {
            Some("begin") => self.fields.begin(self.outer.len()),
            Some("separate") => self.fields.separate(self.paragraph.text.len()),
            Some("end") => self.end_field(),
            _ => {}
        }
    }

    fn end_field(&mut self) {
        let ended = self.fields.end();
        if self.is_silent() {
            return;
        }
        match ended {
            Ended::Nothing => {}
            Ended::PageNumber => self.paragraph.push_page_mark(),
            Ended::Link(start, address) => self.paragraph.end_link(start, &address),
            Ended::Value(text) => self.push(&text),
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "t" => self.place.in_text = false,
            "instrText" => self.place.in_instruction = false,
            "pPr" => self.place.in_paragraph = false,
            "trPr" => self.place.in_row = false,
            "sdtPr" => self.place.in_control = false,
            "AlternateContent" => {
                self.alternatives.pop();
            }
            "sdt" => {
                self.controls.pop();
            }
            "r" => {
                self.runs.pop();
            }
            "hyperlink" => {
                if let Some((start, address)) = self.links.pop() {
                    self.paragraph.end_link(start, &address);
                }
            }
            "fldSimple" => self.end_field(),
            "p" => self.end_paragraph(),
            "tc" => {
                self.flush();
                self.tables.end_cell();
            }
            "tr" => self.end_row(),
            "tbl" => self.end_table(),
            "footnote" | "endnote" | "comment" => {
                self.flush();
                self.notes.end(self.draft, self.shared.limit);
            }
            _ => {}
        }
    }

    fn end_table(&mut self) {
        if self.tables.end() {
            self.draft.blank_line();
        }
    }

    fn end_row(&mut self) {
        for line in self.tables.end_row() {
            line.write(self.draft);
        }
    }

    fn end_paragraph(&mut self) {
        for (start, address) in self.fields.end_paragraph(self.outer.len()) {
            self.paragraph.end_link(start, &address);
        }
        self.notes.quote(" ");
        let outer = self.outer.pop().unwrap_or_default();
        let paragraph = std::mem::replace(&mut self.paragraph, outer);
        if paragraph.properties.is_joined {
            self.joined = Some(paragraph);
        } else {
            self.write(&paragraph);
        }
    }

    /// Writes a joined paragraph that no other follows.
    fn flush(&mut self) {
        if let Some(paragraph) = self.joined.take() {
            self.write(&paragraph);
        }
    }

    fn write(&mut self, paragraph: &Paragraph) {
        let properties = paragraph.settled();
        let role = match (
            self.shared.styles.role(&properties.style),
            properties.outline,
        ) {
            (Role::Body, Some(level)) if level < 9 => Role::Heading(level + 1),
            (role, _) => role,
        };
        if role == Role::Contents {
            return;
        }
        let label = self.label(properties);
        let text = paragraph.finished();
        if text.trim().is_empty() {
            return;
        }
        if !self.tables.is_outside() {
            return self.tables.push(&labelled(label.as_ref(), &text));
        }
        match role {
            Role::Heading(level) => {
                let label = label.filter(|label| *label != Label::Bullet);
                self.draft.heading(level, &labelled(label.as_ref(), &text));
                self.after_item = false;
            }
            Role::Title => {
                self.draft.propose_title(&text);
                self.block(&labelled(label.as_ref(), &text));
            }
            Role::Body | Role::Contents => match label {
                Some(Label::Blank) | None => self.block(&text),
                Some(label) => self.item(&label, self.level(properties), &text),
            },
        }
    }

    /// The list of a paragraph; list 0 takes it out of its style's.
    fn list<'p>(&'p self, properties: &'p Properties) -> Option<&'p str> {
        let style = || self.shared.styles.get(&properties.style).list.as_ref();
        let own = properties.list.as_deref();
        own.or_else(|| style().map(|(list, _)| list.as_str()))
            .filter(|list| *list != "0")
    }

    fn level(&self, properties: &Properties) -> usize {
        let style = self.shared.styles.get(&properties.style).list.as_ref();
        let style =
            style.filter(|(list, _)| properties.list.as_ref().is_none_or(|own| own == list));
        properties
            .level
            .or_else(|| style.map(|(_, level)| *level))
            .unwrap_or(0)
    }

    /// Counts a paragraph; Word does not count hidden ones.
    fn label(&mut self, properties: &Properties) -> Option<Label> {
        if properties.is_hidden {
            return None;
        }
        let list = self.list(properties)?.to_owned();
        let level = self.level(properties);
        Some(self.counters.next(&self.shared.numbering, &list, level))
    }

    fn block(&mut self, text: &str) {
        self.after_item = false;
        self.draft.blank_line();
        // Notes begin where their mark ends.
        self.draft.push(if self.draft.is_empty() {
            text.trim_start()
        } else {
            text
        });
        self.draft.blank_line();
    }

    fn item(&mut self, label: &Label, level: usize, text: &str) {
        if !self.after_item {
            self.draft.blank_line();
        }
        self.after_item = true;
        self.draft.break_line();
        self.draft.push(&"  ".repeat(level.min(MAX_INDENT)));
        self.draft.push(&labelled(Some(label), text));
    }
}

/// `text` behind its number or bullet.
fn labelled(label: Option<&Label>, text: &str) -> String {
    match label {
        Some(Label::Number(number, gap)) => format!("{number}{gap}{}", text.trim_start()),
        Some(Label::Bullet) => format!("- {}", text.trim_start()),
        Some(Label::Blank) | None => text.to_owned(),
    }
}
