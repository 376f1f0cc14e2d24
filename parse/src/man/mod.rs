//! Manual pages, in the `man` and the `mdoc` macros of roff: what `man` shows, options
//! with their descriptions, examples as they stand, tables with their columns.

mod escapes;
mod mdoc;
mod tables;

use super::draft::Draft;
use super::format::Format;
use super::{Input, plain};
use crate::Result;
use crate::spaces::single_spaced;
use escapes::Strings;

/// Manual pages. Their names end in the number of a section, as those of old logs do, so
/// that only the look tells them.
pub(super) const FORMAT: Format = Format {
    name: "man",
    extensions: &["mdoc"],
    content_types: &["text/troff", "application/x-troff-man", "text/x-troff"],
    prose: true,
    looks_like,
    no_text: "the page leads to another one or is empty; there is nothing to index",
    ..Format::new(parse)
};

/// Lines within which the macros of the head stand; programs write definitions first.
const HEAD_LINES: usize = 500;
/// Spaces before the description of an option.
const INDENT: &str = "    ";

fn looks_like(text: &str) -> bool {
    let is_remark = |line: &str| {
        [".\\\"", "'\\\"", "'.\\\"", "\\\"", "..", "."]
            .iter()
            .any(|mark| line.starts_with(mark))
    };
    let is_head = |line: &str| {
        [".TH ", ".Dd ", ".so man"]
            .iter()
            .any(|head| line.starts_with(head))
    };
    let mut lines = text.lines().take(HEAD_LINES);
    let first = lines.clone().find(|line| !line.trim().is_empty());
    first.is_some_and(is_remark) && lines.any(is_head)
}

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    if !looks_like(text.trim_start()) {
        plain::push_underlined(&text, draft);
        return Ok(());
    }
    let mut page = Page::new(draft);
    page.read(&text);
    let (name, section) = (page.name.clone(), page.section.clone());
    if !name.is_empty() {
        let title = match section.is_empty() {
            true => name.clone(),
            false => format!("{name}({section})"),
        };
        let brief = std::mem::take(&mut page.brief);
        draft.propose_title(&match brief.is_empty() {
            true => title,
            false => format!("{title} – {brief}"),
        });
        draft.fact("section", section);
    }
    Ok(())
}

/// What lines of text are part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// Words that are filled.
    #[default]
    Filled,
    /// Lines as they stand.
    Verbatim,
}

struct Page<'a> {
    draft: &'a mut Draft,
    strings: Strings,
    /// The words of the paragraph that is being read.
    words: String,
    mode: Mode,
    /// Whether the next line is the term of a description.
    awaits_term: bool,
    /// Whether words are the description of a term.
    in_description: bool,
    /// The bullet or number that the next paragraph has.
    marker: String,
    /// Whether the last paragraph had one.
    in_items: bool,
    /// Whether the next words go on with the last.
    joined: bool,
    /// The font of the next line of text, as the name of a macro.
    address: String,
    heading: Option<u8>,
    in_name: bool,
    name: String,
    section: String,
    brief: String,
    mdoc: mdoc::State,
}

impl<'a> Page<'a> {
    fn new(draft: &'a mut Draft) -> Self {
        Self {
            draft,
            strings: Strings::default(),
            words: String::new(),
            mode: Mode::default(),
            awaits_term: false,
            in_description: false,
            marker: String::new(),
            in_items: false,
            joined: false,
            address: String::new(),
            heading: None,
            in_name: false,
            name: String::new(),
            section: String::new(),
            brief: String::new(),
            mdoc: mdoc::State::default(),
        }
    }

    fn read(&mut self, text: &str) {
        let mut lines = text.lines().peekable();
        // Braces of conditions that are open, and whether what they hold is left out.
        let mut skipped = 0_usize;
        let mut last_condition = true;
        while let Some(line) = lines.next() {
            if self.draft.is_full() {
                return;
            }
            let mut whole = line.trim_end().to_owned();
            // A backslash at its end joins a line with the next.
            while whole.ends_with('\\') && !whole.ends_with("\\\\") && lines.peek().is_some() {
                whole.pop();
                whole.push_str(lines.next().unwrap_or_default());
            }
            if skipped > 0 {
                skipped += whole.matches("\\{").count();
                skipped = skipped.saturating_sub(whole.matches("\\}").count());
                continue;
            }
            let control = whole
                .strip_prefix(['.', '\''])
                .map(|rest| rest.trim_start().to_owned());
            let Some(control) = control else {
                self.text(&whole);
                continue;
            };
            let (name, _) = request(&control);
            match name {
                "de" | "de1" | "am" | "ig" => {
                    let arguments = request(&control).1;
                    let end = match name {
                        "ig" => arguments.to_owned(),
                        _ => arguments.split_whitespace().nth(1).unwrap_or("").to_owned(),
                    };
                    let end = format!(".{}", if end.is_empty() { "." } else { &end });
                    for line in lines.by_ref() {
                        if line.trim_end() == end {
                            break;
                        }
                    }
                }
                "TS" => {
                    let mut inner = Vec::new();
                    for line in lines.by_ref() {
                        if line.starts_with(".TE") {
                            break;
                        }
                        inner.push(line);
                    }
                    self.flush();
                    tables::write(&inner, &mut self.strings, self.draft);
                }
                "if" | "ie" | "el" => {
                    let (holds, rest) = condition(&control, last_condition);
                    if name != "el" {
                        last_condition = holds;
                    }
                    let rest = rest.trim();
                    let opens = rest.matches("\\{").count();
                    let closes = rest.matches("\\}").count();
                    if !holds {
                        skipped = opens.saturating_sub(closes);
                    } else {
                        let body = rest.trim_start_matches("\\{").trim_end_matches("\\}");
                        let body = body.trim_start_matches('\\').trim();
                        match body.strip_prefix(['.', '\'']) {
                            Some(body) => self.control(body.trim_start()),
                            None if !body.is_empty() => self.text(body),
                            None => {}
                        }
                    }
                }
                _ => self.control(&control),
            }
        }
        self.flush();
    }

    /// A line of text.
    fn text(&mut self, line: &str) {
        let (clean, joins) = self.strings.clean(line);
        self.write(&clean, joins);
    }

    /// Adds words, or a line where lines stand as they are.
    fn write(&mut self, clean: &str, joins: bool) {
        if let Some(level) = self.heading.take() {
            self.start_section(level, clean);
            return;
        }
        if self.awaits_term {
            if clean.trim().is_empty() {
                return;
            }
            self.awaits_term = false;
            self.term(clean);
            return;
        }
        match self.mode {
            Mode::Verbatim => {
                if self.joined {
                    self.draft.push(clean);
                } else {
                    self.draft.push("\n");
                    self.draft.push(clean);
                }
            }
            Mode::Filled if clean.trim().is_empty() && !clean.is_empty() => {}
            Mode::Filled if clean.is_empty() => self.paragraph(),
            Mode::Filled => {
                if !self.joined && !self.words.is_empty() {
                    // An indented line stands for itself.
                    self.words
                        .push(if clean.starts_with(' ') { '\n' } else { ' ' });
                }
                let is_new = !self.joined;
                self.words
                    .push_str(if is_new { clean.trim_start() } else { clean });
            }
        }
        self.joined = joins;
    }

    fn term(&mut self, clean: &str) {
        self.flush();
        if !self.in_description {
            self.draft.blank_line();
        }
        self.draft.break_line();
        self.draft.push(clean.trim());
        self.draft.break_line();
        self.in_description = true;
        self.joined = false;
    }

    /// Writes the words that wait.
    fn flush(&mut self) {
        let words = std::mem::take(&mut self.words);
        self.joined = false;
        let marker = std::mem::take(&mut self.marker);
        if words.trim().is_empty() {
            return;
        }
        if self.in_name {
            self.name_line(&words);
        }
        self.draft.break_line();
        for (number, line) in words.trim().split('\n').enumerate() {
            self.draft.break_line();
            if self.in_description {
                self.draft.push(INDENT);
            }
            if number == 0 && !marker.is_empty() {
                self.draft.push(&format!("{marker} "));
            }
            self.draft.push_words(line.trim());
        }
        self.draft.break_line();
    }

    /// `name, other \- what it does`.
    fn name_line(&mut self, words: &str) {
        let found = [" - ", " – ", " — "]
            .iter()
            .find_map(|dash| words.split_once(dash));
        if let Some((_, brief)) = found
            && self.brief.is_empty()
        {
            self.brief = single_spaced(brief);
        }
    }

    /// Ends a paragraph.
    fn paragraph(&mut self) {
        self.flush();
        self.draft.blank_line();
    }

    fn start_section(&mut self, level: u8, title: &str) {
        self.paragraph();
        self.in_description = false;
        self.draft.heading(level, title);
        self.in_name = matches!(
            title.trim().to_uppercase().as_str(),
            "NAME" | "BEZEICHNUNG" | "NOM"
        );
    }

    fn control(&mut self, line: &str) {
        let (name, rest) = request(line);
        if name.starts_with("\\\"") || name.is_empty() {
            return;
        }
        let arguments = escapes::arguments(rest);
        let is_mdoc = self.mdoc.is_on() || name == "Dd";
        if is_mdoc && self.mdoc_line(name, &arguments) {
            return;
        }
        self.man(name, rest, &arguments);
    }

    fn man(&mut self, name: &str, rest: &str, arguments: &[String]) {
        match name {
            "TH" => {
                let mut fields = arguments.iter().map(|field| self.strings.clean(field).0);
                self.name = fields.next().unwrap_or_default();
                self.section = fields.next().unwrap_or_default();
                let date = fields.next().unwrap_or_default();
                self.draft.fact("date", date);
            }
            "SH" | "SS" => {
                let level = if name == "SH" { 1 } else { 2 };
                self.mode = Mode::Filled;
                self.awaits_term = false;
                match arguments.is_empty() {
                    true => self.heading = Some(level),
                    false => {
                        let title = self.strings.clean(&arguments.join(" ")).0;
                        self.start_section(level, &title);
                    }
                }
            }
            "PP" | "P" | "LP" | "HP" | "sp" | "YS" => {
                self.paragraph();
                self.in_items = false;
                if name != "sp" {
                    self.in_description = false;
                }
            }
            "br" | "Pp" => self.words.push('\n'),
            "TP" => {
                self.paragraph();
                self.in_description = false;
                self.awaits_term = true;
            }
            "TQ" => {
                self.flush();
                self.awaits_term = true;
            }
            "IP" => {
                let was_item = std::mem::take(&mut self.in_items);
                let mark = arguments.first().map(|mark| self.strings.clean(mark).0);
                let mark = mark.as_deref().map(str::trim).unwrap_or_default();
                let is_bullet = mark.chars().count() == 1 && !mark.contains(char::is_alphanumeric);
                let is_item = is_bullet || is_number(mark);
                match is_item && was_item {
                    true => self.flush(),
                    false => self.paragraph(),
                }
                if is_item {
                    self.in_description = false;
                    self.in_items = true;
                    self.marker = if is_bullet { "-" } else { mark }.to_owned();
                } else if !mark.is_empty() {
                    self.in_description = false;
                    self.term(mark);
                }
            }
            "RS" | "RE" => self.flush(),
            "nf" | "EX" => {
                self.flush();
                self.draft.blank_line();
                self.mode = Mode::Verbatim;
            }
            "fi" | "EE" => {
                self.mode = Mode::Filled;
                self.draft.blank_line();
            }
            "B" | "I" | "SM" | "SB" | "R" => match arguments.is_empty() {
                // The next line has the font.
                true => {}
                false => self.text(&arguments.join(" ")),
            },
            "BR" | "RB" | "BI" | "IB" | "IR" | "RI" => self.text(&arguments.concat()),
            "UR" | "MT" => self.address = arguments.first().cloned().unwrap_or_default(),
            "UE" | "ME" => {
                let (address, _) = self.strings.clean(&std::mem::take(&mut self.address));
                let is_told = self.words.ends_with(&address) || address.is_empty();
                if !is_told {
                    let shown = format!("<{address}>");
                    self.joined = false;
                    self.write(&shown, true);
                }
                let after = arguments.first().cloned().unwrap_or_default();
                let (after, joins) = self.strings.clean(&after);
                self.words.push_str(&after);
                self.joined = joins;
            }
            "SY" => {
                self.paragraph();
                self.text(&arguments.join(" "));
            }
            "OP" => {
                let inner = arguments.join(" ");
                self.text(&format!("[{inner}]"));
            }
            "ds" | "as" => self.strings.define(rest),
            "so" => {
                let file = arguments.first().cloned().unwrap_or_default();
                self.draft.warn(format!(
                    "it includes {file}, which is a file of its own and left out here"
                ));
            }
            _ => {}
        }
    }
}

/// The name of a request or macro, and what follows it.
fn request(line: &str) -> (&str, &str) {
    let end = line
        .find(|c: char| c.is_whitespace())
        .or(line.find("\\\"").filter(|at| *at > 0))
        .unwrap_or(line.len());
    (&line[..end], line[end..].trim_start())
}

/// `1.`, `(2)`, `[3]`.
fn is_number(mark: &str) -> bool {
    let bare = mark.trim_matches(|c: char| ".()[]".contains(c));
    !bare.is_empty() && bare.len() <= 3 && bare.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a condition holds where a terminal shows the page, and what it governs.
fn condition(control: &str, last: bool) -> (bool, &str) {
    let (name, rest) = request(control);
    if name == "el" {
        return (!last, rest);
    }
    let (is_not, test) = match rest.strip_prefix('!') {
        Some(test) => (true, test),
        None => (false, rest),
    };
    let (holds, len) = match test.chars().next() {
        Some('n') => (true, 1),
        Some('t' | 'v') => (false, 1),
        // A comparison of texts or numbers: about the device or the version of roff.
        Some(quote @ ('\'' | '"')) => {
            let end = test
                .match_indices(quote)
                .nth(2)
                .map_or(test.len(), |(at, _)| at + 1);
            let mut parts = test[1..].split(quote);
            (parts.next() == parts.next(), end)
        }
        _ => (false, test.find(' ').unwrap_or(test.len())),
    };
    (holds != is_not, &test[len.min(test.len())..])
}
