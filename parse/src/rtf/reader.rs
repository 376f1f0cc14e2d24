//! From tokens to paragraphs.

use std::collections::{HashMap, HashSet};

use encoding_rs::Encoding;
use serde_json::Value;

use super::purposes::{Purpose, character, is_plain, purpose};
use super::tokens::{Token, code_page, page_of_charset};
use crate::draft::Draft;
use crate::raised::{self, Raised};
use crate::tables::{Merge, Tables};
use crate::{front_matter, links, running};

/// What holds inside a group and ends with it.
#[derive(Clone, Debug, Default)]
struct Group {
    purpose: Purpose,
    hidden: bool,
    raised: Option<Raised>,
    /// The page of the font's character set.
    page: Option<i32>,
    /// Bytes that stand for a code point in older programs.
    fallback: usize,
    /// What the end of the group does.
    ends: Ends,
}

#[derive(Clone, Debug, Default)]
enum Ends {
    #[default]
    Nothing,
    Field,
    /// A story of its own ends.
    Story(Story),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Story {
    Header,
    Footer,
    Note(String),
}

#[derive(Default)]
struct Paragraph {
    text: String,
    style: i32,
    outline: Option<u8>,
    in_table: bool,
    is_item: bool,
    has_page_number: bool,
}

/// What was read before a note or header began.
struct Outer {
    draft: Draft,
    paragraph: Paragraph,
    tables: Tables,
    cells: Vec<Merge>,
    cell: usize,
}

pub(super) struct Reader {
    limit: usize,
    groups: Vec<Group>,
    /// Whether `\*` stands before the next word.
    starred: bool,
    document_page: i32,
    fonts: HashMap<i32, i32>,
    font: i32,
    styles: HashMap<i32, String>,
    style: i32,
    bytes: Vec<u8>,
    surrogate: Option<u16>,
    skip: usize,
    /// Text of facts, instructions, names of styles.
    aside: String,
    author: String,
    fields: Vec<(usize, String)>,
    paragraph: Paragraph,
    tables: Tables,
    /// How the cells of the row belong together, and which is read.
    cells: Vec<Merge>,
    merge: Merge,
    cell: usize,
    draft: Draft,
    outer: Vec<Outer>,
    headers: Draft,
    footers: Draft,
    notes: Vec<(String, Draft)>,
    note_count: usize,
    facts: Vec<(&'static str, String)>,
    after_item: bool,
}

impl Reader {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            groups: vec![Group {
                fallback: 1,
                ..Group::default()
            }],
            starred: false,
            document_page: 1252,
            fonts: HashMap::new(),
            font: 0,
            styles: HashMap::new(),
            style: 0,
            bytes: Vec::new(),
            surrogate: None,
            skip: 0,
            aside: String::new(),
            author: String::new(),
            fields: Vec::new(),
            paragraph: Paragraph::default(),
            tables: Tables::default(),
            cells: Vec::new(),
            merge: Merge::No,
            cell: 0,
            draft: Draft::new(limit),
            outer: Vec::new(),
            headers: Draft::new(limit),
            footers: Draft::new(limit),
            notes: Vec::new(),
            note_count: 0,
            facts: Vec::new(),
            after_item: false,
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.groups.len()
    }

    fn group(&mut self) -> &mut Group {
        if self.groups.is_empty() {
            self.groups.push(Group::default());
        }
        let last = self.groups.len() - 1;
        &mut self.groups[last]
    }

    pub(super) fn token(&mut self, token: Token<'_>) {
        if self.skip > 0 && !matches!(token, Token::Open | Token::Close) {
            // What older programs show instead of a code point.
            self.skip -= 1;
            return;
        }
        if !matches!(token, Token::Byte(_)) {
            self.flush_bytes();
        }
        let starred = std::mem::take(&mut self.starred);
        match token {
            Token::Open => {
                self.skip = 0;
                let mut inner = self.group().clone();
                inner.ends = Ends::Nothing;
                self.groups.push(inner);
            }
            Token::Close => {
                self.skip = 0;
                self.close();
            }
            Token::Byte(byte) => self.bytes.push(byte),
            Token::Symbol(b'*') => self.starred = true,
            Token::Symbol(b'~') => self.push("\u{a0}"),
            Token::Symbol(b'_') => self.push("-"),
            Token::Symbol(b'\n' | b'\r') => self.end_paragraph(),
            Token::Symbol(c @ (b'\\' | b'{' | b'}')) => self.bytes.push(c),
            Token::Symbol(_) => {}
            Token::Word(word, number) => self.word(word, number, starred),
        }
    }

    fn flush_bytes(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let page = self.group().page.unwrap_or(self.document_page);
        let encoding: &'static Encoding = code_page(page);
        let bytes = std::mem::take(&mut self.bytes);
        let (text, _) = encoding.decode_without_bom_handling(&bytes);
        self.push(&text);
    }

    /// Adds text to whatever the group is for.
    fn push(&mut self, text: &str) {
        self.surrogate = None;
        let group = self.group();
        let (purpose, hidden, raised) = (group.purpose, group.hidden, group.raised);
        match purpose {
            Purpose::Text if !hidden => raised::push(raised, &mut self.paragraph.text, text),
            Purpose::Text | Purpose::None | Purpose::Fonts => {}
            _ if self.aside.len() < 64 * 1024 => self.aside.push_str(text),
            _ => {}
        }
    }

    fn word(&mut self, word: &str, number: Option<i32>, starred: bool) {
        if self.character(word, number) || self.destination(word) {
            return;
        }
        if starred {
            // A part that only other programs know.
            self.group().purpose = Purpose::None;
            return;
        }
        let is_on = number != Some(0);
        match word {
            "v" | "deleted" => self.group().hidden = is_on,
            "super" => self.group().raised = is_on.then_some(Raised::Above),
            "sub" => self.group().raised = is_on.then_some(Raised::Below),
            "nosupersub" => self.group().raised = None,
            "plain" => {
                self.group().hidden = false;
                self.group().raised = None;
            }
            "uc" => self.group().fallback = number.and_then(|n| n.try_into().ok()).unwrap_or(1),
            "ansicpg" => self.document_page = number.unwrap_or(1252),
            "f" | "deff" => self.use_font(number.unwrap_or(0)),
            "fcharset" => {
                if let Some(page) = page_of_charset(number.unwrap_or(0)) {
                    self.fonts.insert(self.font, page);
                }
            }
            "s" => {
                self.style = number.unwrap_or(0);
                self.paragraph.style = self.style;
            }
            "pard" => {
                self.paragraph.style = 0;
                self.paragraph.outline = None;
                self.paragraph.in_table = false;
            }
            "outlinelevel" if self.group().purpose == Purpose::Text => {
                let level = number.and_then(|level| u8::try_from(level).ok());
                self.paragraph.outline = level.filter(|level| *level < 9);
            }
            "intbl" => self.paragraph.in_table = true,
            "par" | "sect" | "page" => self.end_paragraph(),
            _ => self.table_word(word),
        }
    }

    fn table_word(&mut self, word: &str) {
        if self.group().purpose != Purpose::Text {
            return;
        }
        match word {
            "trowd" => {
                self.cells.clear();
                self.merge = Merge::No;
            }
            "trhdr" => {
                self.begin_table();
                self.tables.name_columns();
            }
            "clvmgf" => self.merge = Merge::Begins(usize::MAX),
            "clvmrg" => self.merge = Merge::GoesOn,
            "clmrg" => self.merge = Merge::Left,
            "cellx" => {
                let merge = std::mem::take(&mut self.merge);
                if self.cells.len() < 64 {
                    self.cells.push(merge);
                }
            }
            "cell" | "nestcell" => {
                self.paragraph.in_table = true;
                self.end_paragraph();
                self.begin_table();
                let merge = self.cells.get(self.cell).copied().unwrap_or_default();
                self.tables.merge(merge);
                self.tables.end_cell();
                self.cell += 1;
            }
            "row" | "nestrow" => {
                self.begin_table();
                for line in self.tables.end_row() {
                    line.write(&mut self.draft);
                }
                self.cell = 0;
            }
            _ => {}
        }
    }

    /// Words that stand for characters.
    fn character(&mut self, word: &str, number: Option<i32>) -> bool {
        match word {
            "u" => self.code_point(number.unwrap_or(0)),
            "chpgn" => {
                self.paragraph.has_page_number = true;
                self.push(running::MARK.encode_utf8(&mut [0; 4]));
            }
            word => match character(word) {
                Some(text) => self.push(text),
                None => return false,
            },
        }
        true
    }

    /// Numbers are signed or not; what is beyond 16 bits comes in two parts.
    fn code_point(&mut self, number: i32) {
        self.skip = self.group().fallback;
        let unit = number as u16;
        let high = self.surrogate.take();
        match (unit, high) {
            (0xd800..=0xdbff, _) => self.surrogate = Some(unit),
            (0xdc00..=0xdfff, Some(high)) => {
                let text = String::from_utf16_lossy(&[high, unit]);
                self.push(&text);
            }
            (0xdc00..=0xdfff, None) => {}
            // Symbol fonts use the private area.
            (0xf020..=0xf0ff, _) => {}
            _ => {
                let text = String::from_utf16_lossy(&[unit]);
                self.push(&text);
            }
        }
    }

    /// Words that say what their group is for.
    fn destination(&mut self, word: &str) -> bool {
        if self.group().purpose == Purpose::None {
            return true;
        }
        match word {
            "fldrslt" => {
                let start = self.paragraph.text.len();
                if let Some(field) = self.fields.last_mut() {
                    field.0 = start;
                }
            }
            "field" => {
                self.fields.push((self.paragraph.text.len(), String::new()));
                self.group().ends = Ends::Field;
            }
            "listtext" | "pntext" => self.paragraph.is_item = true,
            "header" | "headerl" | "headerr" | "headerf" => self.begin(Story::Header),
            "footer" | "footerl" | "footerr" | "footerf" => self.begin(Story::Footer),
            "footnote" => {
                self.note_count += 1;
                let mark = format!("[{}]", self.note_count);
                self.push(&mark);
                self.begin(Story::Note(format!("{mark} ")));
            }
            "annotation" => {
                let author = std::mem::take(&mut self.author);
                let by = if author.is_empty() { "" } else { " by " };
                self.begin(Story::Note(format!("Comment{by}{author}: ")));
            }
            word if is_plain(word) => {}
            word => {
                let Some(purpose) = purpose(word) else {
                    return false;
                };
                self.group().purpose = purpose;
                self.aside.clear();
            }
        }
        true
    }

    /// A story of its own begins; the text around it waits.
    fn begin(&mut self, story: Story) {
        if self.group().hidden {
            self.group().purpose = Purpose::None;
            return;
        }
        self.outer.push(Outer {
            draft: std::mem::replace(&mut self.draft, Draft::new(self.limit)),
            paragraph: std::mem::take(&mut self.paragraph),
            tables: std::mem::take(&mut self.tables),
            cells: std::mem::take(&mut self.cells),
            cell: std::mem::take(&mut self.cell),
        });
        self.group().ends = Ends::Story(story);
    }

    fn close(&mut self) {
        if self.groups.len() < 2 {
            return;
        }
        let Some(group) = self.groups.pop() else {
            return;
        };
        let before = self.group().purpose;
        match group.purpose {
            Purpose::Styles if before == Purpose::Styles => {
                let name = std::mem::take(&mut self.aside);
                let name = name.trim().trim_end_matches(';').to_lowercase();
                self.styles.insert(std::mem::take(&mut self.style), name);
            }
            Purpose::Fact(name) if before != group.purpose => {
                self.facts.push((name, std::mem::take(&mut self.aside)));
            }
            Purpose::Author if before != group.purpose => {
                self.author = std::mem::take(&mut self.aside).trim().to_owned();
            }
            Purpose::Instruction if before != group.purpose => {
                let instruction = std::mem::take(&mut self.aside);
                if let Some(field) = self.fields.last_mut() {
                    field.1.push_str(&instruction);
                }
            }
            _ => {}
        }
        match group.ends {
            Ends::Nothing => {}
            Ends::Field => self.end_field(),
            Ends::Story(story) => self.end_story(story),
        }
    }

    fn end_field(&mut self) {
        let Some((start, instruction)) = self.fields.pop() else {
            return;
        };
        let instruction = instruction.trim();
        let name = instruction.split_whitespace().next().unwrap_or_default();
        match name.to_ascii_uppercase().as_str() {
            "HYPERLINK" => {
                let target = match instruction.split('"').nth(1) {
                    Some(quoted) => quoted,
                    None => instruction.split_whitespace().nth(1).unwrap_or_default(),
                };
                let text = self.paragraph.text.get(start..).unwrap_or_default();
                if !text.trim().is_empty() {
                    let suffix = links::suffix(target, text.trim_end());
                    let kept = start + text.trim_end().len();
                    let space = self.paragraph.text.split_off(kept);
                    self.paragraph.text.push_str(&suffix);
                    self.paragraph.text.push_str(&space);
                }
            }
            "PAGE" | "NUMPAGES" | "SECTIONPAGES" if start <= self.paragraph.text.len() => {
                self.paragraph.text.truncate(start);
                self.paragraph.text.push(running::MARK);
                self.paragraph.has_page_number = true;
            }
            _ => {}
        }
    }

    fn end_story(&mut self, story: Story) {
        self.end_paragraph();
        self.end_table();
        let Some(outer) = self.outer.pop() else {
            return;
        };
        let text = std::mem::replace(&mut self.draft, outer.draft);
        self.paragraph = outer.paragraph;
        self.tables = outer.tables;
        self.cells = outer.cells;
        self.cell = outer.cell;
        match story {
            Story::Header => self.headers.append(text, 0),
            Story::Footer => self.footers.append(text, 0),
            Story::Note(mark) if !text.is_empty() => self.notes.push((mark, text)),
            Story::Note(_) => {}
        }
        self.headers.break_line();
        self.footers.break_line();
    }

    fn use_font(&mut self, font: i32) {
        self.font = font;
        let page = self.fonts.get(&font).copied();
        self.group().page = page;
    }

    fn begin_table(&mut self) {
        if self.tables.is_outside() {
            self.draft.blank_line();
            self.after_item = false;
            self.tables.begin();
        }
    }

    fn end_table(&mut self) {
        if !self.tables.is_outside() {
            self.tables.end();
            self.draft.blank_line();
            self.cell = 0;
        }
    }

    fn end_paragraph(&mut self) {
        if self.group().purpose != Purpose::Text {
            return;
        }
        let paragraph = &mut self.paragraph;
        let text = std::mem::take(&mut paragraph.text);
        let is_item = std::mem::take(&mut paragraph.is_item);
        let text = if std::mem::take(&mut paragraph.has_page_number) {
            running::without_page_numbers(&text)
        } else {
            text.trim_end().to_owned()
        };
        if text.trim().is_empty() {
            return;
        }
        if self.paragraph.in_table {
            self.begin_table();
            return self.tables.push(&text);
        }
        self.end_table();
        let style = self
            .styles
            .get(&self.paragraph.style)
            .map_or("", String::as_str);
        let by_name = style
            .strip_prefix("heading ")
            .and_then(|level| level.parse().ok());
        let level = by_name.or(self.paragraph.outline.map(|level| level + 1));
        if let Some(level) = level {
            self.after_item = false;
            return self.draft.heading(level, &text);
        }
        let is_first = self.draft.is_empty();
        if is_item {
            if !self.after_item {
                self.draft.blank_line();
            }
            self.after_item = true;
            self.draft.break_line();
            let (label, rest) = text.trim_start().split_once('\t').unwrap_or((&text, ""));
            let label = if label.chars().any(char::is_alphanumeric) {
                label
            } else {
                "-"
            };
            return self.draft.push(&format!("{label} {}", rest.trim_start()));
        }
        if style == "title" {
            self.draft.propose_title(&text);
        }
        self.after_item = false;
        self.draft.blank_line();
        self.draft
            .push(if is_first { text.trim_start() } else { &text });
        self.draft.blank_line();
    }

    /// Writes everything that was read.
    pub(super) fn finish(mut self, draft: &mut Draft) {
        self.flush_bytes();
        while self.groups.len() > 1 {
            self.close();
        }
        self.end_paragraph();
        self.end_table();
        for (name, value) in self.facts {
            front_matter::fact(name, &Value::String(value), draft, 0);
        }
        let mut seen = HashSet::new();
        running::write_once(&self.headers, &mut seen, draft);
        if draft.title.is_none() {
            draft.title = self.draft.title.take();
        }
        draft.append(self.draft, 0);
        running::write_once(&self.footers, &mut seen, draft);
        for (mark, note) in self.notes {
            draft.blank_line();
            draft.push(&mark);
            draft.append(note, 0);
            draft.blank_line();
        }
    }
}
