//! Presentations: each slide a page under its title, tables as rows, then what
//! the speaker says.

use std::collections::HashSet;

use super::archive::{self, Archive};
use super::draft::Draft;
use super::format::Format;
use super::numerals::Numerals;
use super::ooxml::{self, Relations};
use super::raised::{self, Raised};
use super::tables::{self, Merge, Tables};
use super::xml::{self, Attributes, Xml};
use super::{Input, links, malformed};
use crate::Result;

/// PowerPoint presentations since 2007.
pub(super) const FORMAT: Format = Format {
    name: "pptx",
    extensions: &["pptx", "pptm", "ppsx", "ppsm", "potx"],
    content_types: &["application/vnd.openxmlformats-officedocument.presentationml.presentation"],
    prose: true,
    title_from_heading: true,
    binary: true,
    matches: |bytes| archive::holds(bytes, MAIN),
    no_text: "the presentation has no text: its slides are images; run text recognition (OCR) on it first",
    ..Format::new(parse)
};

const MAIN: &str = "ppt/presentation.xml";
/// Deepest level of a list that is shown.
const MAX_LEVEL: usize = 8;

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let mut archive = Archive::open(source.bytes, "PPTX", source.limits)?;
    ooxml::properties(&mut archive, "PPTX", draft)?;
    // What PowerPoint calls every presentation is not a title.
    draft.title = draft
        .title
        .take()
        .filter(|title| title != "PowerPoint Presentation");
    let main = archive
        .text(MAIN)?
        .ok_or_else(|| malformed("PPTX", "it has no list of slides"))?;
    let relations = Relations::read(&mut archive, MAIN, "PPTX")?;
    let mut number = 0;
    let mut seen = HashSet::new();
    for id in slide_ids(&main)? {
        let Some(slide) = relations.get(&id).filter(|slide| !slide.external) else {
            continue;
        };
        number += 1;
        draft.start_page(number);
        self::slide(&mut archive, &slide.target, number, &mut seen, draft)?;
        if draft.is_full() {
            break;
        }
    }
    Ok(())
}

/// The slides in the order in which they are shown.
fn slide_ids(main: &str) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    xml::read(main, "PPTX", |event| {
        if let Xml::Start("sldId", attributes) = event {
            ids.extend(attributes.get_prefixed("id"));
        }
        Ok(())
    })?;
    Ok(ids)
}

/// Writes a slide; `seen` holds the running lines of those before it.
fn slide(
    archive: &mut Archive<'_>,
    path: &str,
    number: u32,
    seen: &mut HashSet<String>,
    draft: &mut Draft,
) -> Result<()> {
    let Some(text) = archive.text(path)? else {
        return Ok(());
    };
    let relations = Relations::read(archive, path, "PPTX")?;
    let shapes = read_shapes(&text, &relations)?;
    match &shapes.title {
        Some(title) => draft.heading(1, title),
        // Else it would belong to the slide before.
        None => draft.open_section(1, &format!("Slide {number}")),
    }
    write(&shapes.blocks, draft);
    for id in &shapes.diagrams {
        let diagram = relations.get(id).filter(|part| !part.external);
        if let Some(part) = diagram
            && let Some(text) = archive.text(&part.target)?
        {
            let points = read_shapes(&text, &Relations::default())?;
            write(&points.blocks, draft);
        }
    }
    for line in shapes.running {
        if seen.insert(line.clone()) {
            draft.push(&line);
            draft.blank_line();
        }
    }
    if let Some(path) = relations.first("notesSlide")
        && let Some(text) = archive.text(path)?
    {
        let relations = Relations::read(archive, path, "PPTX")?;
        let notes = read_shapes(&text, &relations)?;
        if !notes.blocks.is_empty() {
            draft.blank_line();
            draft.push("Notes: ");
            write(&notes.blocks, draft);
        }
    }
    Ok(())
}

/// A piece of a slide.
enum Block {
    Paragraph(String),
    Item(usize, String),
    Row(tables::Line),
    /// A shape ends.
    Gap,
}

fn write(blocks: &[Block], draft: &mut Draft) {
    for block in blocks {
        match block {
            Block::Paragraph(text) => draft.push(text),
            Block::Item(level, text) => {
                draft.push(&"  ".repeat(*level));
                draft.push(text);
            }
            Block::Row(line) => line.write(draft),
            Block::Gap => draft.blank_line(),
        }
        draft.break_line();
    }
    draft.blank_line();
}

/// What the shapes of one slide say.
#[derive(Default)]
struct Shapes {
    title: Option<String>,
    blocks: Vec<Block>,
    running: Vec<String>,
    /// Relations to diagrams, whose text is in parts of their own.
    diagrams: Vec<String>,
}

/// The part that a shape plays on its slide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Text,
    Title,
    /// The main text, a list where nothing else is said.
    List,
    /// A line that stands on many slides.
    Running,
    /// Page numbers, dates, the picture of a slide.
    Furniture,
}

#[derive(Default)]
struct Shape {
    role: Role,
    /// Where a click on the shape leads.
    address: Option<String>,
    paragraphs: Vec<Block>,
    /// The numbers that its lists have reached, by level.
    numbers: [Option<u64>; MAX_LEVEL + 1],
}

#[derive(Default)]
struct Paragraph {
    text: String,
    level: usize,
    bullet: Bullet,
}

#[derive(Default)]
enum Bullet {
    /// As the master has it.
    #[default]
    Inherited,
    None,
    Sign,
    Number(String, u64),
}

fn read_shapes(text: &str, relations: &Relations) -> Result<Shapes> {
    let mut reader = Reader {
        relations,
        found: Shapes::default(),
        shape: Shape::default(),
        paragraph: Paragraph::default(),
        link: None,
        run_start: 0,
        raised: None,
        in_text: false,
        in_shape_name: false,
        alternatives: Vec::new(),
        skip: 0,
        tables: Tables::default(),
    };
    xml::read(text, "PPTX", |event| {
        reader.event(event);
        Ok(())
    })?;
    reader.end_shape();
    Ok(reader.found)
}

struct Reader<'a> {
    relations: &'a Relations,
    found: Shapes,
    shape: Shape,
    paragraph: Paragraph,
    /// Where the run leads.
    link: Option<String>,
    run_start: usize,
    /// Where the run stands.
    raised: Option<Raised>,
    in_text: bool,
    in_shape_name: bool,
    /// For each choice between forms of the same content, whether one was read.
    alternatives: Vec<bool>,
    skip: usize,
    tables: Tables,
}

impl Reader<'_> {
    fn event(&mut self, event: Xml<'_>) {
        match event {
            Xml::Start(..) if self.skip > 0 => self.skip += 1,
            Xml::End(_) if self.skip > 0 => self.skip -= 1,
            Xml::Text(_) if self.skip > 0 => {}
            Xml::Start(name, attributes) if self.skips(name, &attributes) => self.skip = 1,
            Xml::Start(name, attributes) => self.start(name, &attributes),
            Xml::End(name) => self.end(name),
            Xml::Text(text) if self.in_text => {
                raised::push(self.raised, &mut self.paragraph.text, &text);
            }
            Xml::Text(_) => {}
        }
    }

    fn skips(&mut self, name: &str, attributes: &Attributes<'_>) -> bool {
        match name {
            "AlternateContent" => self.alternatives.push(false),
            "Choice" | "Fallback" => {
                return self
                    .alternatives
                    .last_mut()
                    .is_some_and(|taken| std::mem::replace(taken, true));
            }
            "fld" => return attributes.get("type").as_deref() == Some("slidenum"),
            "txBody" => return self.shape.role == Role::Furniture,
            _ => {}
        }
        false
    }

    fn start(&mut self, name: &str, attributes: &Attributes<'_>) {
        match name {
            "sp" | "pic" | "graphicFrame" | "cxnSp" | "pt" => {
                self.end_shape();
                self.in_shape_name = true;
            }
            "txBody" | "spPr" => self.in_shape_name = false,
            "cNvPr" => {
                let hidden = attributes.get("hidden");
                if hidden.is_some_and(|hidden| ooxml::is_on(Some(&hidden))) {
                    self.shape.role = Role::Furniture;
                } else if let Some(description) = attributes.get("descr") {
                    let description = super::draft::one_line(&description);
                    if !description.is_empty() {
                        self.shape.paragraphs.push(Block::Paragraph(description));
                    }
                }
            }
            "ph" if self.shape.role == Role::Text => {
                self.shape.role = match attributes.get("type").as_deref() {
                    Some("title" | "ctrTitle") => Role::Title,
                    Some("ftr" | "hdr") => Role::Running,
                    Some("sldNum" | "dt" | "sldImg") => Role::Furniture,
                    None | Some("obj") => Role::List,
                    Some(_) => Role::Text,
                };
            }
            "hlinkClick" => {
                let id = attributes.get_prefixed("id").unwrap_or_default();
                let address = self.relations.address(&id).map(str::to_owned);
                if self.in_shape_name {
                    self.shape.address = address;
                } else {
                    self.link = address;
                }
            }
            "relIds" => self.found.diagrams.extend(attributes.get_prefixed("dm")),
            "p" => self.paragraph = Paragraph::default(),
            "pPr" => {
                let level = attributes.get("lvl").and_then(|v| v.parse().ok());
                self.paragraph.level = level.unwrap_or(0).min(MAX_LEVEL);
            }
            "buNone" => self.paragraph.bullet = Bullet::None,
            "buChar" | "buBlip" => self.paragraph.bullet = Bullet::Sign,
            "buAutoNum" => {
                let start = attributes.get("startAt").and_then(|v| v.parse().ok());
                let kind = attributes.get("type").unwrap_or_default();
                self.paragraph.bullet = Bullet::Number(kind, start.unwrap_or(1));
            }
            "r" => self.run_start = self.paragraph.text.len(),
            "rPr" => {
                let baseline = attributes
                    .get("baseline")
                    .and_then(|v| v.parse::<i64>().ok());
                self.raised = match baseline.unwrap_or(0) {
                    1.. => Some(Raised::Above),
                    0 => None,
                    _ => Some(Raised::Below),
                };
            }
            "t" => self.in_text = true,
            "br" => self.paragraph.text.push('\n'),
            "tbl" => {
                self.in_shape_name = false;
                self.tables.begin();
            }
            "tc" => self.tables.merge(merge(attributes)),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "AlternateContent" => {
                self.alternatives.pop();
            }
            "t" => self.in_text = false,
            "r" => {
                self.raised = None;
                if let Some(address) = self.link.take() {
                    let text = self
                        .paragraph
                        .text
                        .get(self.run_start..)
                        .unwrap_or_default();
                    let suffix = links::suffix(&address, text);
                    if !text.trim().is_empty() {
                        self.paragraph.text.push_str(&suffix);
                    }
                }
            }
            "p" => self.end_paragraph(),
            "tc" => self.tables.end_cell(),
            "tr" => {
                let rows = self.tables.end_row();
                self.shape
                    .paragraphs
                    .extend(rows.into_iter().map(Block::Row));
            }
            "tbl" => {
                self.tables.end();
            }
            "sp" | "pic" | "graphicFrame" | "cxnSp" | "pt" => self.end_shape(),
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        let text = paragraph.text.trim();
        if !self.tables.is_outside() {
            return self.tables.push(text);
        }
        if text.is_empty() {
            return;
        }
        let label = self.shape.label(&paragraph);
        self.shape.paragraphs.push(match label {
            Some(label) => Block::Item(paragraph.level, format!("{label} {text}")),
            None => Block::Paragraph(text.to_owned()),
        });
    }

    fn end_shape(&mut self) {
        let shape = std::mem::take(&mut self.shape);
        self.in_shape_name = false;
        if shape.role == Role::Furniture || shape.paragraphs.is_empty() {
            return;
        }
        if shape.role == Role::Title && self.found.title.is_none() {
            let words: Vec<&str> = shape.paragraphs.iter().map(Block::text).collect();
            self.found.title = Some(words.join(" "));
            return;
        }
        if shape.role == Role::Running {
            let lines = shape.paragraphs.iter().map(|line| line.text().to_owned());
            return self.found.running.extend(lines);
        }
        let last = shape.paragraphs.last().map_or("", Block::text);
        let address = shape.address.as_deref().unwrap_or_default();
        let suffix = links::suffix(address, last);
        let mut paragraphs = shape.paragraphs;
        if let Some(Block::Paragraph(text) | Block::Item(_, text)) = paragraphs.last_mut() {
            text.push_str(&suffix);
        }
        self.found.blocks.extend(paragraphs);
        self.found.blocks.push(Block::Gap);
    }
}

impl Block {
    fn text(&self) -> &str {
        match self {
            Self::Paragraph(text) | Self::Item(_, text) => text,
            Self::Row(line) => line.text(),
            Self::Gap => "",
        }
    }
}

impl Shape {
    /// What stands in front of a paragraph.
    fn label(&mut self, paragraph: &Paragraph) -> Option<String> {
        let level = paragraph.level;
        for deeper in &mut self.numbers[level + 1..] {
            *deeper = None;
        }
        match &paragraph.bullet {
            Bullet::Number(kind, start) => {
                let number = self.numbers[level].map_or(*start, |number| number + 1);
                self.numbers[level] = Some(number);
                Some(numbered(kind, number))
            }
            bullet => {
                self.numbers[level] = None;
                let is_item = match bullet {
                    Bullet::Sign => true,
                    Bullet::Inherited => self.role == Role::List || level > 0,
                    _ => false,
                };
                is_item.then(|| "-".to_owned())
            }
        }
    }
}

/// How a cell belongs to its neighbours.
fn merge(attributes: &Attributes<'_>) -> Merge {
    let is_set = |name: &str| {
        let value = attributes.get(name);
        value.is_some_and(|value| ooxml::is_on(Some(&value)))
    };
    let rows = attributes.get("rowSpan").and_then(|v| v.parse().ok());
    if is_set("vMerge") {
        Merge::GoesOn
    } else if is_set("hMerge") {
        Merge::Left
    } else {
        rows.map_or(Merge::No, |rows: usize| {
            Merge::Begins(rows.saturating_sub(1))
        })
    }
}

/// A number as `alphaLcParenR` and the like have it.
fn numbered(kind: &str, number: u64) -> String {
    let numerals = if kind.starts_with("alphaLc") {
        Numerals::LowerLetters
    } else if kind.starts_with("alphaUc") {
        Numerals::UpperLetters
    } else if kind.starts_with("romanLc") {
        Numerals::LowerRoman
    } else if kind.starts_with("romanUc") {
        Numerals::UpperRoman
    } else if kind.starts_with("circleNum") {
        Numerals::Circled
    } else {
        Numerals::Decimal(0)
    };
    let number = numerals.write(number);
    if kind.ends_with("ParenBoth") {
        format!("({number})")
    } else if kind.ends_with("ParenR") {
        format!("{number})")
    } else if kind.ends_with("Period") {
        format!("{number}.")
    } else {
        number
    }
}

#[cfg(test)]
mod tests;
