//! reStructuredText, and Sphinx's: words without markup, code as it stands.
//!
//! Read line by line. Indentation is only looked at where it says what belongs
//! to a directive, a comment or a literal block.

mod directives;
mod inline;
mod names;
mod tables;

use std::borrow::Cow;

use serde_json::Value;

use super::draft::Draft;
use super::format::Format;
use super::{Input, front_matter};
use crate::Result;
use names::Names;

/// reStructuredText files.
pub(super) const FORMAT: Format = Format {
    name: "rst",
    extensions: &["rst", "rest"],
    content_types: &["text/x-rst", "text/prs.fallenstein.rst"],
    prose: true,
    title_from_heading: true,
    ..Format::new(parse)
};

/// Fields at the top of a page that tell Sphinx what to do with it.
const FOR_SPHINX: [&str; 4] = ["orphan", "nosearch", "nocomments", "tocdepth"];

/// Most lines over which one piece of markup reaches.
const MAX_MARKUP_LINES: usize = 4;

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let lines: Vec<String> = text.lines().map(expand_tabs).collect();
    let names = Names::collect(&lines);
    let mut reader = Reader {
        lines: &lines,
        names: &names,
        adornments: Vec::new(),
        depth: 0,
        draft,
    };
    reader.read();
    Ok(())
}

/// Tabs count to the next multiple of eight, as docutils has it.
fn expand_tabs(line: &str) -> String {
    if !line.contains('\t') {
        return line.trim_end().to_owned();
    }
    let mut out = String::new();
    for c in line.trim_end().chars() {
        if c == '\t' {
            let width = 8 - out.chars().count() % 8;
            out.extend(std::iter::repeat_n(' ', width));
        } else {
            out.push(c);
        }
    }
    out
}

struct Reader<'a> {
    lines: &'a [String],
    names: &'a Names,
    /// Kinds of heading in the order of their levels: the character, and
    /// whether it stands above too.
    adornments: Vec<(char, bool)>,
    /// Tables around what is read.
    depth: usize,
    draft: &'a mut Draft,
}

impl<'a> Reader<'a> {
    fn line(&self, at: usize) -> &'a str {
        self.lines.get(at).map_or("", String::as_str)
    }

    /// Markup inside a line.
    fn clean(&self, text: &str) -> String {
        inline::clean(text, self.names)
    }

    /// What a part of the text, such as a cell, comes to by itself.
    fn inner(&self, lines: &[String]) -> Draft {
        let mut draft = Draft::new(lines.iter().map(|line| 4 * line.len() + 64).sum());
        let mut reader = Reader {
            lines,
            names: self.names,
            adornments: Vec::new(),
            depth: self.depth + 1,
            draft: &mut draft,
        };
        reader.read();
        draft
    }

    fn read(&mut self) {
        let mut at = 0;
        let mut blank_above = true;
        while at < self.lines.len() && !self.draft.is_full() {
            let line = self.line(at);
            let next = if line.is_empty() {
                self.draft.push("\n");
                at + 1
            } else if let Some(next) = blank_above.then(|| self.heading(at)).flatten() {
                next
            } else if line.trim_start().starts_with(".. ") || line.trim() == ".." {
                self.explicit(at)
            } else if let Some(next) = self.table(at) {
                next
            } else if is_adornment(line) || is_simple_border(line) {
                // A transition, or the border of what is not a whole table.
                self.draft.break_line();
                at + 1
            } else if line.starts_with("__ ") {
                // The target of a link without a name.
                at + 1
            } else if let Some(next) = self.field(at) {
                next
            } else if line.trim_start().starts_with(">>> ") {
                self.doctest(at)
            } else {
                self.text(at)
            };
            blank_above = self.line(next.saturating_sub(1)).is_empty()
                || is_adornment(self.line(next.saturating_sub(1)));
            at = next;
        }
    }

    /// A drawn table here, if there is one; returns the line after it.
    fn table(&mut self, at: usize) -> Option<usize> {
        if !is_simple_border(self.line(at)) {
            return None;
        }
        if self.line(at).trim_start().starts_with('+') {
            self.grid_table(at)
        } else {
            self.simple_table(at)
        }
    }

    /// A heading here, if there is one; returns the line after it.
    fn heading(&mut self, at: usize) -> Option<usize> {
        let (title, over, under) = if is_adornment(self.line(at)) {
            let (title, under) = (self.line(at + 1), self.line(at + 2));
            (title, true, (under == self.line(at)).then_some(under)?)
        } else {
            (self.line(at), false, self.line(at + 1))
        };
        if title.trim().is_empty() || !is_adornment(under) || (!over && title.starts_with(' ')) {
            return None;
        }
        // A short underline is a rule of docutils for short titles only.
        let width = title.trim_end().chars().count();
        if under.len() < width && under.len() < 4 {
            return None;
        }
        let kind = (under.chars().next()?, over);
        let level = match self.adornments.iter().position(|known| *known == kind) {
            Some(level) => level,
            None => {
                self.adornments.push(kind);
                self.adornments.len() - 1
            }
        };
        let title = self.clean(title);
        self.draft
            .heading(u8::try_from(level + 1).unwrap_or(u8::MAX), &title);
        Some(at + if over { 3 } else { 2 })
    }

    /// A line of ordinary text; a `::` at its end starts a literal block.
    fn text(&mut self, mut at: usize) -> usize {
        let indent = indent_of(self.line(at));
        let whole = self.markup_lines(&mut at);
        let mut body = whole.trim_start();
        for marker in ["* ", "+ ", "• "] {
            if let Some(rest) = body.strip_prefix(marker) {
                self.draft.push(&" ".repeat(indent));
                self.draft.push("- ");
                body = rest.trim_start();
                break;
            }
        }
        if body.starts_with("| ") || body.starts_with('|') && body.ends_with('|') {
            // A line block, or a row of a grid table.
            body = body.trim_start_matches('|').trim_end_matches('|').trim();
        }
        let literal = body.ends_with("::");
        if literal {
            body = body.trim_end_matches("::").trim_end();
        }
        if self.draft.at_line_start() {
            self.draft.push(&" ".repeat(indent));
        }
        let text = self.clean(body);
        self.draft.push(&text);
        if !literal {
            self.draft.push("\n");
            return at + 1;
        }
        self.draft.push(if body.is_empty() { "\n" } else { ":\n" });
        self.literal(at + 1, indent)
    }

    /// The line at `at` and those below it in which its markup ends; `at` moves
    /// to the last of them.
    fn markup_lines(&self, at: &mut usize) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(self.line(*at));
        if is_balanced(&text) {
            return text;
        }
        for next in *at + 1..=*at + MAX_MARKUP_LINES {
            let line = self.line(next).trim();
            if line.is_empty() || line.starts_with(".. ") {
                break;
            }
            text.to_mut().push(' ');
            text.to_mut().push_str(line);
            if is_balanced(&text) {
                *at = next;
                return text;
            }
        }
        Cow::Borrowed(self.line(*at))
    }

    /// An indented block as it stands; returns the line after it.
    fn literal(&mut self, at: usize, indent: usize) -> usize {
        let end = self.block_end(at, indent);
        self.draft.blank_line();
        self.draft.open_code();
        for line in at..end {
            self.draft.push(&self.lines[line]);
            self.draft.push("\n");
        }
        self.draft.close_code();
        self.draft.blank_line();
        end
    }

    fn doctest(&mut self, at: usize) -> usize {
        let mut end = at;
        self.draft.open_code();
        while !self.line(end).is_empty() {
            self.draft.push(&self.lines[end]);
            self.draft.push("\n");
            end += 1;
        }
        self.draft.close_code();
        end
    }

    /// The line after the block that is indented deeper than `indent`.
    fn block_end(&self, at: usize, indent: usize) -> usize {
        let mut end = at;
        for (i, line) in self.lines.iter().enumerate().skip(at) {
            if line.is_empty() {
                continue;
            }
            if indent_of(line) <= indent {
                break;
            }
            end = i + 1;
        }
        end
    }

    /// `:name: value` alone on a line: a fact where the document begins, text
    /// without colons elsewhere.
    fn field(&mut self, at: usize) -> Option<usize> {
        let line = self.line(at);
        let (name, value) = line
            .trim_start()
            .strip_prefix(':')?
            .split_once(": ")
            .or_else(|| {
                line.trim_start()
                    .strip_prefix(':')?
                    .strip_suffix(':')
                    .map(|name| (name, ""))
            })?;
        if name.is_empty() || name.contains('`') || name.len() > 100 {
            return None;
        }
        let is_in_front = self.draft.text().is_empty();
        if is_in_front && FOR_SPHINX.contains(&name) && indent_of(line) == 0 {
            return Some(at + 1);
        }
        let (name, value) = (name.to_owned(), self.clean(value.trim()));
        let fact = matches!(
            name.to_ascii_lowercase().as_str(),
            "author" | "authors" | "date" | "language" | "tags" | "keywords" | "version" | "status"
        );
        if fact && indent_of(line) == 0 {
            front_matter::fact(&name, &Value::String(value.clone()), self.draft, 0);
        }
        let indent = indent_of(line);
        self.draft.break_line();
        self.draft
            .push(&format!("{}{name}: {value}\n", " ".repeat(indent)));
        Some(at + 1)
    }

    /// A directive, comment, target, footnote or substitution.
    fn explicit(&mut self, at: usize) -> usize {
        let line = self.line(at);
        let indent = indent_of(line);
        let body = line.trim_start().trim_start_matches("..").trim().to_owned();
        let end = self.block_end(at + 1, indent);
        if let Some((name, argument)) = directives::parts(&body) {
            return self.directive(at + 1, end, name, argument);
        }
        // `.. [1] note` and `.. [Name2020] reference`.
        if let Some((label, note)) = body.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            self.draft.blank_line();
            let label = label.trim_start_matches('#');
            let note = self.clean(&format!("[{label}] {}", note.trim()));
            self.draft.push(&note);
            self.draft.push("\n");
            return at + 1;
        }
        // A target, a substitution or a comment: nothing that is read.
        end
    }
}

/// Whether backquotes and bars that open in `text` also close.
fn is_balanced(text: &str) -> bool {
    if !text.contains('`') {
        return true;
    }
    let quotes = text.replace("``", "").matches('`').count();
    let literals = text.matches("``").count();
    quotes.is_multiple_of(2) && literals.is_multiple_of(2)
}

/// A line of one punctuation mark, at least two of it.
fn is_adornment(line: &str) -> bool {
    let mut chars = line.chars();
    chars.next().is_some_and(|first| {
        first.is_ascii_punctuation()
            && line.len() >= 2
            && chars.all(|c| c == first)
            && line != ".."
            && line != "::"
    })
}

/// `====  ===` or `+---+---+`: the border of a table.
fn is_simple_border(line: &str) -> bool {
    let line = line.trim();
    // A column may be one character wide; one sign alone is no border.
    (line.starts_with('=') && line.len() > 1 && line.bytes().all(|b| b == b'=' || b == b' '))
        || (line.starts_with("+-") || line.starts_with("+="))
            && line.bytes().all(|b| b"+-=".contains(&b))
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}
