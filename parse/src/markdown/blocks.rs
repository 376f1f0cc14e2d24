//! Blocks that dialects add to Markdown, as plain Markdown: notes and warnings
//! (`> [!WARNING]`, `:::warning`, `!!! warning`, MyST's directives), tabs, and
//! remarks of note-taking programs.

use std::borrow::Cow;

use super::remarks::Remarks;
use super::shortcodes;

/// What blocks of these dialects begin with, or a sign inside of a line.
const TRACES: &[&str] = &["[!", ":::", "!!! ", "???", "=== \"", "```{", "%%", "=="];
/// Fence around code that a tag begins; fences inside of it are shorter.
const CODE_OF_TAG: &str = "~~~~~~~~";
/// Columns by which the content of `!!! note` is indented.
const INDENT: usize = 4;

/// `markdown` without what only some dialects understand.
pub(super) fn to_markdown(markdown: &str) -> Cow<'_, str> {
    let mut traces = TRACES.iter().chain(&shortcodes::TRACES);
    if !traces.any(|trace| markdown.contains(trace)) {
        return Cow::Borrowed(markdown);
    }
    let mut blocks = Blocks::default();
    let mut rest = markdown;
    while !rest.is_empty() {
        let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let (line, below) = rest.split_at(end);
        blocks.line(line.trim_end_matches(['\n', '\r']), below);
        rest = below;
    }
    Cow::Owned(blocks.text)
}

/// A run of backticks or tildes that opens or closes code.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fence {
    sign: char,
    length: usize,
}

impl Fence {
    /// The fence at the start of a line, and what follows it.
    fn of(line: &str) -> Option<(Self, &str)> {
        let line = line.trim_start_matches([' ', '\t', '>']);
        let sign = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let rest = line.trim_start_matches(sign);
        let length = line.len() - rest.len();
        let opens = length >= 3 && !(sign == '`' && rest.contains('`'));
        opens.then_some((Self { sign, length }, rest.trim()))
    }

    fn is_closed_by(self, line: &str) -> bool {
        Self::of(line).is_some_and(|(fence, rest)| {
            fence.sign == self.sign && fence.length >= self.length && rest.is_empty()
        })
    }
}

#[derive(Default)]
struct Blocks {
    text: String,
    /// Code that is being read.
    code: Option<Fence>,
    /// Whether code is being read that a tag ends.
    in_tagged_code: bool,
    /// Directives that look like code and hold Markdown.
    directives: Vec<Fence>,
    /// Whether options of a directive may follow.
    in_options: bool,
    /// Columns at which the contents of open indented blocks begin.
    indented: Vec<usize>,
    in_list: bool,
    after_blank: bool,
    remarks: Remarks,
}

impl Blocks {
    fn line(&mut self, line: &str, below: &str) {
        let line = self.dedent(line);
        if let Some(code) = self.code {
            if code.is_closed_by(line) {
                self.code = None;
            }
            return self.keep(line);
        }
        if self.in_tagged_code {
            return self.tagged_code(line);
        }
        if self.is_option(line) || self.fence(line) {
            return;
        }
        self.follow_list(line);
        if self.alert(line) || self.container(line) || self.indented(line) || self.tag(line) {
            return;
        }
        let is_code = columns(line) >= INDENT && !self.in_list;
        match is_code {
            true => self.keep(line),
            false => {
                let line = shortcodes::shown(line);
                let line = self.remarks.take(&line, below);
                self.keep(&line);
            }
        }
    }

    fn keep(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Writes `Warning:` or `Warning: a title`; the text follows in the same
    /// paragraph if there is no title.
    fn label(&mut self, prefix: &str, label: &str, title: &str) {
        let colon = if label.is_empty() { "" } else { ":" };
        let space = if title.is_empty() || label.is_empty() {
            ""
        } else {
            " "
        };
        self.keep(&format!("{prefix}{label}{colon}{space}{title}"));
        if !title.is_empty() {
            self.keep(prefix.trim_end());
        }
    }

    /// The line without the indentation of the blocks that it is inside of.
    fn dedent<'a>(&mut self, line: &'a str) -> &'a str {
        if self.indented.is_empty() || line.trim().is_empty() {
            return line;
        }
        let own = columns(line);
        if self.code.is_none() {
            while self.indented.last().is_some_and(|content| own < *content) {
                self.indented.pop();
            }
        }
        without_columns(line, INDENT * self.indented.len())
    }

    fn follow_list(&mut self, line: &str) {
        let content = line.trim_start();
        let marker = content.split(' ').next().unwrap_or_default();
        let is_item = matches!(marker, "-" | "*" | "+")
            || (marker.ends_with(['.', ')']) && marker.starts_with(|c: char| c.is_ascii_digit()));
        if is_item && columns(line) < INDENT {
            self.in_list = true;
        } else if self.after_blank && !content.is_empty() && columns(line) == 0 {
            self.in_list = false;
        }
        self.after_blank = content.is_empty();
    }

    /// Code, or a directive of MyST that looks like it.
    fn fence(&mut self, line: &str) -> bool {
        if let Some(open) = self.directives.last()
            && open.is_closed_by(line)
        {
            self.directives.pop();
            self.keep("");
            return true;
        }
        let Some((fence, info)) = Fence::of(line) else {
            return false;
        };
        let directive = info
            .strip_prefix('{')
            .and_then(|info| info.split_once('}'))
            .and_then(|(name, title)| Some((label_of(name)?, title)));
        match directive {
            Some((label, title)) => {
                self.directives.push(fence);
                self.in_options = true;
                self.label("", &label, title.trim());
            }
            None => {
                self.code = Some(fence);
                self.keep(line);
            }
        }
        true
    }

    /// `:class: wide` below the first line of a directive.
    fn is_option(&mut self, line: &str) -> bool {
        let is_option = self.in_options
            && line
                .trim()
                .strip_prefix(':')
                .and_then(|line| line.split_once(':'))
                .is_some_and(|(name, _)| !name.is_empty() && !name.contains(' '));
        self.in_options = is_option;
        is_option
    }

    /// `> [!WARNING]`, with the titles and folds that note-taking programs add.
    fn alert(&mut self, line: &str) -> bool {
        let content = line.trim_start_matches([' ', '\t', '>']);
        let prefix = &line[..line.len() - content.len()];
        let found = content
            .strip_prefix("[!")
            .filter(|_| prefix.contains('>'))
            .and_then(|content| content.split_once(']'));
        let Some((kind, title)) = found else {
            return false;
        };
        let kind = kind.split('|').next().unwrap_or(kind).trim();
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        if kind.is_empty() || !kind.chars().all(is_word) {
            return false;
        }
        let title = title.trim_start_matches(['+', '-']).trim();
        let label = label_of(kind).unwrap_or_else(|| capitalized(kind));
        self.label(prefix, &label, title);
        true
    }

    /// `:::warning`, `:::tip[A title]`, `::: {.callout-note title="A title"}`, and
    /// the colons that close it.
    fn container(&mut self, line: &str) -> bool {
        let content = line.trim_start();
        let rest = content.trim_start_matches(':');
        if content.len() - rest.len() < 3 {
            return false;
        }
        let rest = rest.trim();
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let (name, title) = if let Some(attributes) = rest.strip_prefix('{') {
            let (attributes, title) = attributes.split_once('}').unwrap_or((attributes, ""));
            let class = attributes
                .split_whitespace()
                .map(|word| word.trim_start_matches(['.', '#']))
                .map(|word| word.strip_prefix("callout-").unwrap_or(word))
                .find(|word| label_of(word).is_some());
            let titled = attributes.split_once("title=\"");
            let title = titled
                .and_then(|(_, title)| title.split('"').next())
                .unwrap_or(title);
            (class.unwrap_or_default(), title)
        } else {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (name, title) = rest.split_at(end);
            let title = match title.split_once('{') {
                Some((title, _)) => title,
                None => title,
            };
            (
                name,
                title.trim().trim_start_matches('[').trim_end_matches(']'),
            )
        };
        if name.is_empty() && !rest.is_empty() && !rest.starts_with('{') {
            return false;
        }
        let indent = &line[..line.len() - content.len()];
        match label_of(name) {
            Some(label) => {
                self.in_options = true;
                self.label(indent, &label, title.trim());
            }
            None => self.label(indent, "", title.trim()),
        }
        true
    }

    /// A tag of a site generator that has the line to itself.
    fn tag(&mut self, line: &str) -> bool {
        let Some(shown) = shortcodes::whole_line(line) else {
            return false;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        match shown {
            shortcodes::Line::Code(language) => {
                self.in_tagged_code = true;
                self.keep(&format!("{CODE_OF_TAG}{language}"));
            }
            shortcodes::Line::Part(label, title) => self.label(indent, &label, title),
            shortcodes::Line::Words(words) => self.keep(&format!("{indent}{words}")),
            shortcodes::Line::Nothing => self.keep(""),
        }
        true
    }

    fn tagged_code(&mut self, line: &str) {
        match shortcodes::ends_code(line) {
            true => {
                self.in_tagged_code = false;
                self.keep(CODE_OF_TAG);
            }
            false => self.keep(line),
        }
    }

    /// `!!! warning "A title"`, `??? note`, `=== "A tab"`: what is indented below
    /// belongs to it.
    fn indented(&mut self, line: &str) -> bool {
        let content = line.trim_start();
        let indent = &line[..line.len() - content.len()];
        let marks = ["!!! ", "???+ ", "??? ", "===! ", "===+ ", "=== "];
        let Some((mark, rest)) = marks
            .iter()
            .find_map(|mark| Some((*mark, content.strip_prefix(mark)?)))
        else {
            return false;
        };
        let (kind, title) = match rest.split_once('"') {
            Some((kind, title)) => (kind.trim(), title.trim_end().strip_suffix('"')),
            None => (rest.trim(), Some("")),
        };
        let kind = kind.split_whitespace().next().unwrap_or_default();
        let is_tab = mark.starts_with('=');
        let (Some(title), true) = (title, is_tab == kind.is_empty()) else {
            return false;
        };
        if !kind.chars().all(|c| c.is_alphanumeric() || c == '-') {
            return false;
        }
        let label = match is_tab {
            true => String::new(),
            false => label_of(kind).unwrap_or_else(|| capitalized(kind)),
        };
        self.label(indent, &label, title.trim());
        let level = INDENT * self.indented.len();
        self.indented.push(level + columns(line) + INDENT);
        true
    }
}

/// What the name of a note says, in words.
pub(super) fn label_of(kind: &str) -> Option<String> {
    let kind = kind.trim().to_lowercase();
    let known = [
        "note",
        "tip",
        "info",
        "warning",
        "danger",
        "caution",
        "important",
        "hint",
        "attention",
        "error",
        "success",
        "question",
        "bug",
        "example",
        "quote",
        "abstract",
        "summary",
        "todo",
        "failure",
        "seealso",
        "details",
        "faq",
        "check",
        "fail",
        "help",
        "tldr",
        "cite",
        "done",
        "missing",
    ];
    if !known.contains(&kind.as_str()) {
        return None;
    }
    Some(match kind.as_str() {
        "seealso" => "See also".into(),
        "todo" => "To do".into(),
        _ => capitalized(&kind),
    })
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars.flat_map(char::to_lowercase)).collect()
}

/// Columns of the white space that a line begins with.
fn columns(line: &str) -> usize {
    let mut columns = 0;
    for c in line.chars() {
        match c {
            ' ' => columns += 1,
            '\t' => columns += INDENT - columns % INDENT,
            _ => break,
        }
    }
    columns
}

/// `line` without so many columns of white space, or all that it has.
fn without_columns(line: &str, columns: usize) -> &str {
    let mut left = columns;
    let mut rest = line;
    while left > 0 {
        rest = match rest.as_bytes().first() {
            Some(b' ') => {
                left -= 1;
                &rest[1..]
            }
            Some(b'\t') => {
                left = left.saturating_sub(INDENT);
                &rest[1..]
            }
            _ => return rest,
        };
    }
    rest
}
