//! Org, the outlines of Emacs: words without markup, code as it stands, tables with
//! their columns; drawers stay shut, as in what Org exports.

mod inline;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::draft::Draft;
use super::format::Format;
use super::lines::{code, indent_of, item, paragraph, table};
use super::{Input, front_matter, html, work};
use crate::Result;
use inline::clean;

/// Org files.
pub(super) const FORMAT: Format = Format {
    name: "org",
    extensions: &["org", "org_archive"],
    content_types: &["text/org", "text/x-org"],
    prose: true,
    title_from_heading: true,
    looks_like: |text| {
        let head = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        head == "#+title:" || text.starts_with("# -*- mode: org")
    },
    ..Format::new(parse)
};

/// Left out parts that are named.
const MAX_WARNINGS: usize = 20;
/// Most lines of a drawer.
const MAX_DRAWER_LINES: usize = 1000;

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut reader = Reader {
        lines: &lines,
        draft,
        ends: Ends::of(&lines),
        lists: Vec::new(),
        states: HashSet::new(),
        tags: Vec::new(),
        warnings: 0,
    };
    reader.read();
    let tags = reader.tags.into_iter().map(Value::from).collect();
    front_matter::fact("tags", &Value::Array(tags), draft, 0);
    Ok(())
}

struct Reader<'a> {
    lines: &'a [&'a str],
    draft: &'a mut Draft,
    ends: Ends,
    /// Indents of the open lists.
    lists: Vec<usize>,
    /// Keywords of headings that the file names alongside the usual ones.
    states: HashSet<&'a str>,
    /// Tags of the whole file.
    tags: Vec<&'a str>,
    warnings: usize,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        let mut at = 0;
        while at < self.lines.len() && !self.draft.is_full() {
            let line = self.lines[at];
            let bare = line.trim_start();
            at = if bare.is_empty() {
                let next = self.lines[at..]
                    .iter()
                    .take(3)
                    .find(|line| !line.is_empty());
                let goes_on =
                    next.is_some_and(|next| marker(next).is_some() || self.is_in_list(next));
                if !goes_on {
                    self.lists.clear();
                    self.draft.blank_line();
                }
                at + 1
            } else if let Some((level, title)) = heading(line) {
                self.lists.clear();
                self.heading(level, title);
                at + 1
            } else if let Some(rest) = bare.strip_prefix("#+") {
                self.keyword(at, rest)
            } else if bare == "#" || bare.starts_with("# ") {
                at + 1
            } else if bare == ":" || bare.starts_with(": ") {
                let end = self.end_while(at, |line| line == ":" || line.starts_with(": "));
                let shown = self.lines[at..end].iter().map(|line| {
                    let line = line.trim_start();
                    line.get(2..).unwrap_or("")
                });
                code(self.draft, shown);
                end
            } else if let Some(name) = drawer(bare) {
                self.drawer(at, name)
            } else if bare.starts_with('|') {
                self.table(at)
            } else if let Some((mark, text)) = marker(line) {
                self.item(at, mark, text)
            } else if let Some((label, text)) = note(line) {
                let text = self.wrapped(at, text);
                paragraph(self.draft, &format!("[{label}] {}", text.0));
                text.1
            } else if bare.len() >= 5 && bare.bytes().all(|b| b == b'-') {
                self.draft.blank_line();
                at + 1
            } else if let Some(planned) = planning(bare) {
                self.draft.break_line();
                self.draft.push(&planned);
                self.draft.break_line();
                at + 1
            } else {
                let (text, end) = self.wrapped(at, bare);
                if self.is_in_list(line) {
                    self.draft.break_line();
                    self.draft.push(&"  ".repeat(self.lists.len()));
                    self.draft.push(&text);
                    self.draft.break_line();
                } else {
                    self.lists.clear();
                    paragraph(self.draft, &text);
                }
                end
            };
        }
    }

    /// Whether a line stands inside of the item above it.
    fn is_in_list(&self, line: &str) -> bool {
        self.lists
            .last()
            .is_some_and(|indent| indent_of(line) > *indent)
    }

    fn end_while(&self, at: usize, is_part: impl Fn(&str) -> bool) -> usize {
        let rest = self.lines[at..].iter();
        let count = rest.take_while(|line| is_part(line.trim_start())).count();
        work::add(count);
        at + count
    }

    fn heading(&mut self, level: usize, title: &str) {
        let (title, tags) = split_tags(title);
        let title = priority(title, &self.states);
        let title = clean(&title);
        self.draft
            .heading(u8::try_from(level).unwrap_or(u8::MAX), &title);
        if !tags.is_empty() {
            let tags: Vec<&str> = tags.split(':').filter(|tag| !tag.is_empty()).collect();
            self.draft.push(&format!("Tags: {}", tags.join(", ")));
            self.draft.blank_line();
        }
    }

    /// `#+NAME: value` or a block; returns the line after it.
    fn keyword(&mut self, at: usize, rest: &'a str) -> usize {
        let lower = rest.to_ascii_lowercase();
        if let Some(kind) = lower.strip_prefix("begin_") {
            let kind = kind.split_whitespace().next().unwrap_or_default();
            return self.block(at, kind);
        }
        let Some((name, value)) = rest.split_once(':') else {
            return at + 1;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "title" => {
                let title = clean(value);
                if !self.draft.has_sections() {
                    self.draft.heading(1, &title);
                }
                self.draft.propose_title(&title);
            }
            "subtitle" => paragraph(self.draft, &clean(value)),
            "caption" => {
                self.draft.blank_line();
                self.draft.push(&clean(value));
                self.draft.break_line();
            }
            name @ ("author" | "date" | "language" | "description" | "keywords") => {
                let value = value.trim_matches(['<', '>', '[', ']']);
                front_matter::fact(name, &Value::String(value.into()), self.draft, 0);
            }
            "filetags" => self
                .tags
                .extend(value.split([':', ' ']).filter(|tag| !tag.is_empty())),
            "todo" | "seq_todo" | "typ_todo" => self.states.extend(
                value
                    .split_whitespace()
                    .map(|state| state.split('(').next().unwrap_or(state))
                    .filter(|state| *state != "|"),
            ),
            "include" => {
                self.warnings += 1;
                if self.warnings <= MAX_WARNINGS {
                    let file = value
                        .trim_start_matches('"')
                        .split('"')
                        .next()
                        .unwrap_or(value);
                    self.draft.warn(format!(
                        "it includes {file}, which is a file of its own and left out here"
                    ));
                }
            }
            _ => {}
        }
        at + 1
    }

    /// `#+begin_src` to `#+end_src`.
    fn block(&mut self, at: usize, kind: &str) -> usize {
        // What is never closed is not a block.
        let Some(end) = self.ends.of_block(kind, at) else {
            return at + 1;
        };
        let inner = &self.lines[at + 1..end];
        match kind {
            "src" | "example" | "verse" => {
                let indents = inner.iter().filter(|line| !line.is_empty());
                let indent = indents.map(|line| indent_of(line)).min().unwrap_or(0);
                let bare = |line: &&'a str| {
                    let line = line.get(indent..).unwrap_or("");
                    // A comma keeps a line from being a heading.
                    let is_kept = line.starts_with(",*") || line.starts_with(",#+");
                    &line[usize::from(is_kept)..]
                };
                code(self.draft, inner.iter().map(bare));
            }
            "comment" => {}
            "export" => {
                let is_html = self.lines[at].to_ascii_lowercase().contains("html");
                // What is for another output is seen in none.
                if is_html && html::fragment(&inner.join("\n"), self.draft).is_err() {
                    self.draft.warn("a block of HTML in it cannot be read");
                }
            }
            // What it holds is read on as text; its end is a keyword without a value.
            _ => {
                self.draft.blank_line();
                return at + 1;
            }
        }
        end + 1
    }

    /// A drawer: what programs keep in it is not text.
    fn drawer(&mut self, at: usize, name: &str) -> usize {
        let end = self.ends.of_drawer(at);
        let Some(end) = end.filter(|end| end - at <= MAX_DRAWER_LINES) else {
            paragraph(self.draft, &clean(self.lines[at]));
            return at + 1;
        };
        if !name.eq_ignore_ascii_case("properties") && !name.eq_ignore_ascii_case("logbook") {
            return at + 1;
        }
        if !self.draft.has_sections() {
            for line in &self.lines[at + 1..end] {
                if let Some((name, value)) = line
                    .trim()
                    .strip_prefix(':')
                    .and_then(|rest| rest.split_once(':'))
                {
                    let value = Value::String(value.trim().into());
                    front_matter::fact(name, &value, self.draft, 0);
                }
            }
        }
        end + 1
    }

    fn table(&mut self, at: usize) -> usize {
        let end = self.end_while(at, |line| line.starts_with('|'));
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut heads = 0;
        for line in &self.lines[at..end] {
            let line = line.trim();
            if line.starts_with("|-") {
                if heads == 0 {
                    heads = rows.len();
                }
                continue;
            }
            let inner = line[1..].strip_suffix('|').unwrap_or(&line[1..]);
            let cells: Vec<String> = inner.split('|').map(|cell| clean(cell.trim())).collect();
            // `<l10>` says how wide a column is.
            let is_width =
                |cell: &String| cell.is_empty() || cell.starts_with('<') && cell.ends_with('>');
            if !cells.iter().all(is_width) {
                rows.push(cells);
            }
        }
        let heads = if heads < rows.len() { heads } else { 0 };
        table(self.draft, &rows, heads);
        end
    }

    fn item(&mut self, at: usize, mark: &str, text: &'a str) -> usize {
        let indent = indent_of(self.lines[at]);
        while self.lists.last().is_some_and(|open| *open > indent) {
            self.lists.pop();
        }
        if self.lists.last() != Some(&indent) {
            if self.lists.is_empty() {
                self.draft.blank_line();
            }
            self.lists.push(indent);
        }
        let (text, end) = self.wrapped(at, text);
        let depth = self.lines_depth();
        let shown = match mark.as_bytes() {
            [b'-' | b'+' | b'*'] => "-".to_owned(),
            _ => format!("{}.", mark.trim_end_matches(['.', ')'])),
        };
        match text.split_once(" :: ") {
            Some((term, text)) => item(self.draft, depth, &shown, &format!("{term}: {text}")),
            None => item(self.draft, depth, &shown, &text),
        }
        end
    }

    fn lines_depth(&self) -> usize {
        self.lists.len().saturating_sub(1)
    }

    /// `text`, which begins at `at`, with the lines that go on with it.
    fn wrapped(&self, at: usize, text: &str) -> (String, usize) {
        let mut whole = text.trim().to_owned();
        let mut end = at + 1;
        while let Some(line) = self.lines.get(end) {
            work::add(line.len());
            let bare = line.trim_start();
            let stops = bare.is_empty()
                || heading(line).is_some()
                || bare.starts_with("#+")
                || bare.starts_with('|')
                || bare.starts_with(": ")
                || drawer(bare).is_some()
                || marker(line).is_some()
                || note(line).is_some();
            if stops {
                break;
            }
            if !bare.starts_with("# ") {
                match whole.strip_suffix("\\\\") {
                    Some(before) => {
                        whole.truncate(before.len());
                        whole.push('\n');
                    }
                    None => whole.push(' '),
                }
                whole.push_str(bare);
            }
            end += 1;
        }
        let whole = whole.strip_suffix("\\\\").unwrap_or(&whole);
        (clean(whole), end)
    }
}

const END_MARK: &str = "#+end_";

/// Where blocks and drawers end, found in one pass: what never closes must not be looked for
/// once more at each beginning.
struct Ends {
    /// Lines by the kind of block, in small letters.
    blocks: HashMap<String, Vec<usize>>,
    drawers: Vec<usize>,
}

impl Ends {
    fn of(lines: &[&str]) -> Self {
        let mut ends = Self {
            blocks: HashMap::new(),
            drawers: Vec::new(),
        };
        work::add(lines.len());
        for (at, line) in lines.iter().enumerate() {
            let bare = line.trim_start();
            if bare.eq_ignore_ascii_case(":end:") {
                ends.drawers.push(at);
            } else if let Some((mark, kind)) = bare.split_at_checked(END_MARK.len())
                && mark.eq_ignore_ascii_case(END_MARK)
            {
                let kind = kind.to_ascii_lowercase();
                ends.blocks.entry(kind).or_default().push(at);
            }
        }
        ends
    }

    /// The end of the block of this kind that begins at `at`.
    fn of_block(&self, kind: &str, at: usize) -> Option<usize> {
        next(self.blocks.get(kind)?, at)
    }

    /// The end of the drawer that begins at `at`.
    fn of_drawer(&self, at: usize) -> Option<usize> {
        next(&self.drawers, at)
    }
}

/// The first of the ascending `lines` behind `at`.
fn next(lines: &[usize], at: usize) -> Option<usize> {
    work::add(1);
    lines
        .get(lines.partition_point(|line| *line <= at))
        .copied()
}

/// Level and title.
fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.len() - line.trim_start_matches('*').len();
    let title = line[level..].strip_prefix(' ')?.trim();
    (level > 0 && !title.is_empty()).then_some((level, title))
}

/// `title :a:b:` to the title and `:a:b:`.
fn split_tags(title: &str) -> (&str, &str) {
    let Some((before, last)) = title.rsplit_once(char::is_whitespace) else {
        return (title, "");
    };
    let is_tags = last.len() > 2
        && last.starts_with(':')
        && last.ends_with(':')
        && last
            .chars()
            .all(|c| c.is_alphanumeric() || "_@#%:".contains(c));
    match is_tags {
        true => (before.trim_end(), last),
        false => (title, ""),
    }
}

/// A title without its priority, `[#A]`, which may follow a keyword.
fn priority(title: &str, states: &HashSet<&str>) -> String {
    let word = title.split(' ').next().unwrap_or_default();
    let is_state = matches!(word, "TODO" | "DONE") || states.contains(word);
    let (state, rest) = match is_state {
        true => title.split_at(word.len()),
        false => ("", title),
    };
    let rest = rest.trim_start();
    let rest = match rest
        .strip_prefix("[#")
        .and_then(|rest| rest.split_once(']'))
    {
        Some((mark, rest)) if mark.len() <= 2 => rest.trim_start(),
        _ => rest,
    };
    format!("{state} {rest}").trim().to_owned()
}

/// `SCHEDULED: <2024-05-01 Wed>` in words.
fn planning(line: &str) -> Option<String> {
    let kinds = ["SCHEDULED:", "DEADLINE:", "CLOSED:"];
    kinds.iter().any(|kind| line.starts_with(kind)).then(|| {
        let words = line
            .split_whitespace()
            .map(|word| match kinds.contains(&word) {
                true => format!("{}{}", &word[..1], word[1..].to_lowercase()),
                false => word.trim_matches(['<', '>', '[', ']']).to_owned(),
            });
        words.collect::<Vec<_>>().join(" ")
    })
}

/// The name of the drawer that a line opens.
fn drawer(line: &str) -> Option<&str> {
    let name = line.strip_prefix(':')?.strip_suffix(':')?;
    let is_name = !name.is_empty()
        && !name.eq_ignore_ascii_case("end")
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || "-_".contains(c));
    is_name.then_some(name)
}

/// The marker of a list item, and its text.
fn marker(line: &str) -> Option<(&str, &str)> {
    let bare = line.trim_start();
    let (mark, text) = bare.split_once(' ').unwrap_or((bare, ""));
    let is_number = mark.strip_suffix(['.', ')']).is_some_and(|number| {
        !number.is_empty() && number.len() <= 9 && number.bytes().all(|b| b.is_ascii_digit())
    });
    // A star at the start of a line is a heading.
    let is_bullet = matches!(mark, "-" | "+") || mark == "*" && bare.len() < line.len();
    (!text.is_empty() && (is_bullet || is_number)).then_some((mark, text))
}

/// `[fn:1] text` at the start of a line.
fn note(line: &str) -> Option<(&str, &str)> {
    let (label, text) = line.strip_prefix("[fn:")?.split_once(']')?;
    (!label.contains(':') && !text.is_empty()).then_some((label, text))
}
