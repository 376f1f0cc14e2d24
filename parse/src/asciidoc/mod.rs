//! AsciiDoc: words without markup, code as it stands, tables with their columns.
//!
//! Read line by line, as Asciidoctor has it. What a document includes is not followed.

mod inline;
mod marks;
mod tables;

use serde_json::Value;

use super::draft::Draft;
use super::format::Format;
use super::lines::{self, code, indent_of, item, paragraph};
use super::numerals::Numerals;
use super::{Input, front_matter};
use crate::Result;
use inline::Names;
use marks::{
    Block, attribute, author, block_attributes, block_title, delimiter, end_of, heading, join,
    kind_of, label, marker, underlined,
};

/// AsciiDoc files.
pub(super) const FORMAT: Format = Format {
    name: "asciidoc",
    extensions: &["adoc", "asciidoc", "asciidoctor"],
    content_types: &["text/asciidoc", "text/x-asciidoc"],
    prose: true,
    title_from_heading: true,
    looks_like: |text| {
        let mut lines = text.lines().filter(|line| !line.starts_with("//"));
        let is_title = |line: &str| {
            line.strip_prefix("= ")
                .is_some_and(|title| !title.is_empty())
        };
        lines.next().is_some_and(is_title)
            && text
                .lines()
                .take(200)
                .any(|line| attribute(line).is_some() || line.starts_with("== ") || line == "----")
    },
    ..Format::new(parse)
};

/// Blocks inside of blocks that are told apart.
const MAX_DEPTH: usize = 16;
/// Left out parts that are named.
const MAX_WARNINGS: usize = 20;
const ADMONITIONS: [&str; 5] = ["NOTE", "TIP", "IMPORTANT", "WARNING", "CAUTION"];

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let body = front_matter::take(&text, draft);
    let lines: Vec<&str> = body.lines().map(str::trim_end).collect();
    let mut names = Names::default();
    let mut reader = Reader {
        draft,
        names: &mut names,
        warnings: 0,
    };
    let start = reader.header(&lines);
    reader.blocks(&lines[start..], 0);
    let notes = std::mem::take(&mut reader.names.notes);
    for (number, note) in notes.iter().enumerate() {
        paragraph(draft, &format!("[{}] {note}", number + 1));
    }
    Ok(())
}

struct Reader<'a> {
    draft: &'a mut Draft,
    names: &'a mut Names,
    warnings: usize,
}

/// What the lines of attributes above a block say of it.
#[derive(Debug, Default)]
struct Above<'a> {
    /// The first value: `NOTE`, `source`, `quote`.
    style: &'a str,
    /// All of the brackets.
    attributes: &'a str,
}

/// A list whose items are being read.
struct List {
    /// What marks its items.
    kind: &'static str,
    numerals: Numerals,
    next: u64,
}

impl List {
    fn new(kind: &'static str, mark: &str, above: &Above<'_>) -> Self {
        let (numerals, next) = marks::numerals(above.style, above.attributes, mark);
        Self {
            kind,
            numerals,
            next,
        }
    }

    /// The number of the next item.
    fn count(&mut self) -> String {
        self.next += 1;
        self.numerals.write(self.next - 1)
    }
}

impl Reader<'_> {
    /// Reads title, author and attributes; returns the line after them.
    fn header(&mut self, lines: &[&str]) -> usize {
        let mut at = 0;
        let mut after_title = 0;
        while let Some(line) = lines.get(at) {
            let is_first = after_title == 0;
            if let Some(title) = line.strip_prefix("= ").filter(|_| is_first) {
                let title = self.names.clean(title);
                self.draft.heading(1, &title);
                after_title = 1;
            } else if line.starts_with("////") {
                at = end_of(lines, at);
            } else if line.starts_with("//") || line.is_empty() && is_first {
            } else if attribute(line).is_some() {
                at = self.attribute(lines, at);
                continue;
            } else if after_title == 1 && !line.is_empty() {
                let authors: Vec<Value> = line.split("; ").map(author).map(Value::from).collect();
                match <[Value; 1]>::try_from(authors) {
                    Ok([one]) => self.draft.fact("author", one),
                    Err(many) => self.draft.fact("author", Value::Array(many)),
                }
                after_title = 2;
            } else if after_title == 2 && !line.is_empty() {
                let (version, date) = line.split_once(',').unwrap_or(match line.starts_with('v') {
                    true => (line, ""),
                    false => ("", line),
                });
                let version = version.trim_start_matches(|c: char| c.is_alphabetic());
                self.draft.fact("version", version.trim());
                self.fact("date", date.split(':').next().unwrap_or(date).trim());
                after_title = 3;
            } else {
                return at;
            }
            at += 1;
        }
        at
    }

    fn fact(&mut self, name: &str, value: &str) {
        front_matter::fact(name, &Value::String(value.to_owned()), self.draft, 0);
    }

    /// An attribute, with the lines that it goes on in; returns the line after it.
    fn attribute(&mut self, lines: &[&str], mut at: usize) -> usize {
        let Some((name, value)) = lines.get(at).and_then(|line| attribute(line)) else {
            return at + 1;
        };
        let mut whole = value.to_owned();
        while whole.ends_with('\\') && at + 1 < lines.len() {
            at += 1;
            whole.pop();
            whole.push_str(lines[at].trim());
        }
        let value = self.names.expand(&whole);
        match name {
            "author" | "description" | "keywords" | "lang" | "version" => self.fact(name, &value),
            "revdate" => self.fact("date", &value),
            "revnumber" => self.fact("version", &value),
            _ => {}
        }
        self.names.set(name, &value);
        at + 1
    }

    /// Reads blocks, `depth` blocks deep.
    fn blocks(&mut self, lines: &[&str], depth: usize) {
        let mut at = 0;
        let mut above = Above::default();
        let mut lists: Vec<List> = Vec::new();
        let mut skipped = 0_usize;
        while at < lines.len() && !self.draft.is_full() {
            let line = lines[at];
            if let Some(is_kept) = self.condition(line) {
                match is_kept {
                    None => skipped = skipped.saturating_sub(1),
                    Some(is_kept) => skipped += usize::from(!is_kept || skipped > 0),
                }
                at += 1;
                continue;
            }
            if skipped > 0 {
                at += 1;
                continue;
            }
            if line.is_empty() || line == "+" {
                // A list goes on below an empty line if its next item stands there.
                let next = lines[at..].iter().take(20).find(|line| !line.is_empty());
                let goes_on = next.is_some_and(|next| marker(next).is_some() || *next == "+");
                if line.is_empty() && !goes_on {
                    lists.clear();
                    self.draft.blank_line();
                }
                at += 1;
            } else if line.starts_with("//") && delimiter(line).is_none() {
                at += 1;
            } else if attribute(line).is_some() {
                at = self.attribute(lines, at);
            } else if let Some(brackets) = block_attributes(line) {
                if !brackets.starts_with('[') && !brackets.is_empty() {
                    above.style = brackets
                        .split([',', '%', '.', '#'])
                        .next()
                        .unwrap_or("")
                        .trim();
                    above.attributes = brackets;
                }
                at += 1;
            } else if let Some((level, title)) = heading(line) {
                let title = self.names.clean(title);
                self.draft.heading(level, &title);
                (above, at) = (Above::default(), at + 1);
                lists.clear();
            } else if let Some((level, title)) = underlined(lines, at) {
                let title = self.names.clean(title);
                self.draft.heading(level, &title);
                (above, at) = (Above::default(), at + 2);
            } else if let Some(title) = block_title(line) {
                let title = self.names.clean(title);
                self.draft.blank_line();
                self.draft.push(&title);
                self.draft.break_line();
                at += 1;
            } else if let Some(kind) = delimiter(line).filter(|_| depth < MAX_DEPTH) {
                let end = end_of(lines, at);
                let inner = &lines[(at + 1).min(end)..end];
                self.delimited(kind, inner, &std::mem::take(&mut above), depth);
                at = end + 1;
            } else if matches!(line, "<<<" | "'''" | "---" | "***" | "- - -" | "* * *") {
                self.draft.blank_line();
                at += 1;
            } else if self.block_macro(line) {
                at += 1;
            } else if let Some((mark, text)) = marker(line) {
                at = self.item(
                    lines,
                    at,
                    (mark, text),
                    &std::mem::take(&mut above),
                    &mut lists,
                );
            } else {
                at = self.paragraph(lines, at, &std::mem::take(&mut above), !lists.is_empty());
            }
        }
    }

    /// `ifdef::name[]` and its kin: `None` if the line is nothing of the kind, the inner
    /// none where a condition ends.
    fn condition(&self, line: &str) -> Option<Option<bool>> {
        let (kind, rest) = line.split_once("::")?;
        let (names, text) = rest.strip_suffix(']')?.split_once('[')?;
        let any_set = names.split([',', '+']).any(|name| self.names.is_set(name));
        let is_kept = match kind {
            "endif" => return Some(None),
            "ifdef" => any_set,
            "ifndef" => !any_set,
            "ifeval" => true,
            _ => return None,
        };
        if text.is_empty() || kind == "ifeval" {
            return Some(Some(is_kept));
        }
        // One that ends on its own line is a part of a line at most: nothing opens.
        None
    }

    /// `name::target[text]` alone on a line.
    fn block_macro(&mut self, line: &str) -> bool {
        let parts = line.split_once("::").and_then(|(name, rest)| {
            let (target, text) = rest.strip_suffix(']')?.split_once('[')?;
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
            (is_name && !target.starts_with(' ')).then_some((name, target, text))
        });
        let Some((name, target, text)) = parts else {
            return false;
        };
        match name {
            "include" => {
                self.warnings += 1;
                if self.warnings <= MAX_WARNINGS {
                    let target = self.names.expand(target);
                    self.draft.warn(format!(
                        "it includes {target}, which is a file of its own and left out here"
                    ));
                }
            }
            "image" | "video" | "audio" => {
                let text = text.split(',').next().unwrap_or("");
                let text = self.names.clean(text.trim_matches('"'));
                let is_told = !text.is_empty() && !text.contains('=');
                if is_told {
                    paragraph(self.draft, &text);
                }
            }
            _ => {}
        }
        true
    }

    fn item(
        &mut self,
        lines: &[&str],
        at: usize,
        (mark, text): (&str, &str),
        above: &Above<'_>,
        lists: &mut Vec<List>,
    ) -> usize {
        let kind = kind_of(mark);
        let known = lists.iter().position(|list| list.kind == kind);
        match known {
            // Attributes above an item begin another list.
            Some(depth) if depth + 1 == lists.len() && !above.attributes.is_empty() => {
                lists[depth] = List::new(kind, mark, above);
            }
            Some(depth) => lists.truncate(depth + 1),
            None if lists.len() < MAX_DEPTH => {
                if lists.is_empty() {
                    self.draft.blank_line();
                }
                lists.push(List::new(kind, mark, above));
            }
            None => {}
        }
        let depth = lists.len().saturating_sub(1);
        let count = lists.last_mut().map_or_else(|| "1".into(), List::count);
        let (text, end) = self.wrapped(lines, at, text);
        if mark.contains("::") || mark == ";;" {
            self.draft.break_line();
            let term = mark.trim_end_matches([':', ';']);
            let term = self.names.clean(term);
            self.draft.push(&format!("{}{term}", "  ".repeat(depth)));
            self.draft.break_line();
            if !text.is_empty() {
                self.draft.push(&"  ".repeat(depth + 1));
                lines::broken(self.draft, &text);
                self.draft.break_line();
            }
            return end;
        }
        let number;
        let shown = match mark {
            _ if kind.starts_with('.') || matches!(kind, "1" | "a" | "<") => {
                let own = mark.trim_matches(['<', '>', '.']);
                number = match own.is_empty() {
                    true => format!("{count}."),
                    false => format!("{own}."),
                };
                number.as_str()
            }
            _ => "-",
        };
        item(self.draft, depth, shown, &text);
        end
    }

    /// `text`, which begins on the line at `at`, with the lines that go on with it;
    /// returns the line after them.
    fn wrapped(&mut self, lines: &[&str], at: usize, text: &str) -> (String, usize) {
        let mut whole = text.trim_start().to_owned();
        let mut end = at + 1;
        while let Some(line) = lines.get(end) {
            let stops = line.is_empty()
                || *line == "+"
                || marker(line).is_some()
                || delimiter(line).is_some()
                || block_attributes(line).is_some()
                || self.condition(line).is_some();
            if stops {
                break;
            }
            if !line.starts_with("//") {
                join(&mut whole, line.trim_start());
            }
            end += 1;
        }
        (self.words(&whole), end)
    }

    /// Markup inside of lines that are joined; ` +` at the end of one is a line end.
    fn words(&mut self, text: &str) -> String {
        let lines: Vec<String> = text
            .split('\n')
            .map(|line| self.names.clean(line))
            .collect();
        lines.join("\n")
    }

    fn paragraph(&mut self, lines: &[&str], at: usize, above: &Above<'_>, in_list: bool) -> usize {
        let line = lines[at];
        let verbatim = matches!(above.style, "source" | "listing" | "literal" | "verse");
        if verbatim || (line.starts_with([' ', '\t']) && !in_list) {
            let end = (at..lines.len())
                .find(|&end| lines[end].is_empty())
                .unwrap_or(lines.len());
            let indent = lines[at..end]
                .iter()
                .map(|line| indent_of(line))
                .min()
                .unwrap_or(0);
            let bare = lines[at..end]
                .iter()
                .map(|line| line.get(indent..).unwrap_or(line));
            code(self.draft, bare);
            return end;
        }
        let (kind, text) = line
            .split_once(": ")
            .filter(|(kind, _)| ADMONITIONS.contains(kind))
            .unwrap_or((above.style, line));
        let (text, end) = self.wrapped(lines, at, text);
        match ADMONITIONS.contains(&kind) {
            true => paragraph(self.draft, &format!("{}: {text}", label(kind))),
            false => paragraph(self.draft, &text),
        }
        self.attribution(above);
        end
    }

    /// Who said what is quoted.
    fn attribution(&mut self, above: &Above<'_>) {
        if !matches!(above.style, "quote" | "verse") {
            return;
        }
        let mut parts = above
            .attributes
            .split(',')
            .skip(1)
            .map(|part| part.trim().trim_matches('"'));
        let who = parts
            .by_ref()
            .filter(|part| !part.is_empty() && !part.contains('='));
        let who = who.collect::<Vec<_>>().join(", ");
        if !who.is_empty() {
            let who = self.names.clean(&who);
            self.draft.push(&format!("— {who}"));
            self.draft.blank_line();
        }
    }

    fn delimited(&mut self, kind: Block, inner: &[&str], above: &Above<'_>, depth: usize) {
        match kind {
            Block::Comment => {}
            Block::Literal if above.style == "verse" => {
                code(self.draft, inner.iter().copied());
                self.attribution(above);
            }
            Block::Literal => code(self.draft, inner.iter().copied()),
            Block::Table(separator) => {
                tables::write(inner, separator, above.attributes, self.names, self.draft);
            }
            Block::Passed => {
                let html = inner.join("\n");
                // Markup of the output: what it shows is part of the page.
                if super::html::fragment(&html, self.draft).is_err() {
                    code(self.draft, inner.iter().copied());
                }
            }
            Block::Compound
                if matches!(above.style, "source" | "listing" | "literal" | "verse") =>
            {
                code(self.draft, inner.iter().copied());
                self.attribution(above);
            }
            Block::Compound if above.style == "comment" => {}
            Block::Compound => {
                self.draft.blank_line();
                if ADMONITIONS.contains(&above.style) {
                    self.draft.push(&format!("{}:", label(above.style)));
                    self.draft.break_line();
                }
                self.blocks(inner, depth + 1);
                self.draft.blank_line();
                self.attribution(above);
            }
        }
    }
}
