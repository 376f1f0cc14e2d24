//! Tracks the position in Markdown text, looking ahead as far as a decision requires: code, links
//! and formulas are left as they are.

use super::context::target;

/// Maximum length of a code span or formula, in characters; anything longer is ordinary text.
const MAX_SPAN_CHARS: usize = 600;
/// Maximum length of a closing delimiter, in characters.
const MAX_CLOSE_CHARS: usize = 16;
/// How many characters of a line are read to classify it.
const MAX_LINE_CHARS: usize = 300;
/// Columns of indentation that make a line code.
const CODE_INDENT: usize = 4;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This many characters to be left as they are.
    Verbatim(usize),
    /// This many characters of prose, without a mark.
    Prose(usize),
    /// A character that may begin a mark.
    Open,
}

/// Follows the blocks of a text.
#[derive(Debug)]
pub(super) struct Blocks {
    /// The next character begins a line.
    at_line: bool,
    /// The previous line was empty, or code by indentation.
    may_indent: bool,
    /// Columns at which the texts of the open list items begin.
    items: Vec<usize>,
    fence: Option<Fence>,
    /// The rest of the line is code; the inner `true` means by indentation.
    code_line: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Fence {
    letter: char,
    count: usize,
    indent: usize,
    quotes: usize,
}

/// The beginning of a line.
#[derive(Debug, Default)]
struct Prefix {
    /// Its length in characters.
    len: usize,
    /// Columns before the text, within quotes.
    indent: usize,
    /// Columns before the first list marker.
    start: usize,
    quotes: usize,
    /// Columns at which the texts of the items that this line opens begin.
    items: Vec<usize>,
    /// More indentation than its container allows.
    is_code: bool,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            at_line: true,
            may_indent: true,
            items: Vec::new(),
            fence: None,
            code_line: None,
        }
    }
}

impl Blocks {
    /// What `rest` begins with; `None` while that depends on what follows, which is never so at the
    /// `end` of the text.
    pub(super) fn next(&mut self, rest: &[char], end: bool) -> Option<Step> {
        if let Some(indented) = self.code_line {
            return Some(self.code(rest, indented));
        }
        if self.at_line {
            let step = self.line(rest, end)?;
            if step != Step::Prose(0) {
                return Some(step);
            }
        }
        inline(rest, end, &mut self.at_line)
    }

    /// Characters of a line of code.
    fn code(&mut self, rest: &[char], indented: bool) -> Step {
        match rest.iter().position(|c| *c == '\n') {
            Some(at) => {
                self.code_line = None;
                self.at_line = true;
                self.may_indent = indented;
                Step::Verbatim(at + 1)
            }
            None => Step::Verbatim(rest.len()),
        }
    }

    fn line(&mut self, rest: &[char], end: bool) -> Option<Step> {
        if let Some(fence) = self.fence {
            return self.fenced(fence, rest, end);
        }
        let prefix = prefix(rest, end, &self.items, self.may_indent)?;
        let text = &rest[prefix.len..];
        if text.first() == Some(&'\n') {
            self.may_indent = true;
            return Some(Step::Prose(prefix.len + 1));
        }
        if prefix.is_code {
            self.at_line = false;
            self.code_line = Some(true);
            return Some(Step::Verbatim(prefix.len));
        }
        if let Some((letter, count)) = fence(text, end)? {
            self.fence = Some(Fence {
                letter,
                count,
                indent: prefix.indent,
                quotes: prefix.quotes,
            });
            self.at_line = false;
            self.code_line = Some(false);
            self.keep_items(&prefix);
            return Some(Step::Verbatim(prefix.len + count));
        }
        self.keep_items(&prefix);
        self.at_line = false;
        self.may_indent = false;
        Some(Step::Prose(prefix.len))
    }

    fn keep_items(&mut self, prefix: &Prefix) {
        let first = prefix.items.first().copied();
        if self.may_indent || first.is_some() {
            self.items.retain(|column| *column <= prefix.start);
        }
        self.items.extend(&prefix.items);
    }

    /// A line within a fence: the closing fence, or code.
    fn fenced(&mut self, fence: Fence, rest: &[char], end: bool) -> Option<Step> {
        let mut at = 0;
        let (mut indent, mut quotes) = (0, 0);
        while let Some(c) = rest.get(at).filter(|_| at < MAX_LINE_CHARS) {
            match c {
                ' ' => indent += 1,
                '\t' => indent += 4 - indent % 4,
                '>' if quotes < fence.quotes => (quotes, indent) = (quotes + 1, 0),
                _ => break,
            }
            at += 1;
        }
        if at == rest.len() && at < MAX_LINE_CHARS && !end {
            return None;
        }
        if quotes < fence.quotes && rest.get(at) != Some(&'\n') {
            // The block quote that contains it has ended.
            self.fence = None;
            self.may_indent = true;
            return self.line(rest, end);
        }
        let letters = rest[at..].iter().take(MAX_LINE_CHARS);
        let count = letters.take_while(|c| **c == fence.letter).count();
        if count > 0 && count < MAX_LINE_CHARS && at + count == rest.len() && !end {
            return None;
        }
        let tail = &rest[at + count..];
        let spaces = tail.iter().take(MAX_LINE_CHARS);
        let gap = spaces
            .take_while(|c| matches!(c, ' ' | '\t' | '\r'))
            .count();
        let may_close = count >= fence.count && count < MAX_LINE_CHARS;
        if may_close && indent <= fence.indent + 3 {
            match tail.get(gap) {
                None if !end && gap < MAX_LINE_CHARS => return None,
                None | Some('\n') => {
                    self.fence = None;
                    self.may_indent = true;
                    let line_end = usize::from(tail.len() > gap);
                    return Some(Step::Verbatim(at + count + gap + line_end));
                }
                Some(_) => {}
            }
        }
        self.at_line = false;
        self.code_line = Some(false);
        Some(self.code(rest, false))
    }
}

/// Indentation, block quote markers and list markers at the beginning of a line.
fn prefix(rest: &[char], end: bool, items: &[usize], may_indent: bool) -> Option<Prefix> {
    let mut found = Prefix::default();
    // Columns from the beginning of the line, and those that belong to the container.
    let mut base = 0;
    loop {
        let start = found.len;
        let space = |at: usize| {
            rest.get(at)
                .filter(|c| matches!(c, ' ' | '\t') && at < MAX_LINE_CHARS)
        };
        while let Some(c) = space(found.len) {
            found.indent += if *c == '\t' { 4 - found.indent % 4 } else { 1 };
            found.len += 1;
        }
        if found.items.is_empty() {
            found.start = found.indent;
        }
        if found.items.is_empty() && found.quotes == 0 {
            base = items
                .iter()
                .copied()
                .rfind(|column| *column <= found.indent)
                .unwrap_or(0);
        }
        let decided = end || found.len >= MAX_LINE_CHARS;
        let Some(&c) = rest.get(found.len) else {
            return decided.then_some(found);
        };
        if c == '\n' {
            return Some(found);
        }
        if found.indent >= base + CODE_INDENT && (may_indent || !found.items.is_empty()) {
            found.is_code = true;
            return Some(found);
        }
        if found.len >= MAX_LINE_CHARS {
            return Some(found);
        }
        if c == '>' {
            found.len += 1;
            found.quotes += 1;
            (found.indent, base) = (0, 0);
            found.items.clear();
            if rest.get(found.len) == Some(&' ') {
                found.len += 1;
            }
            continue;
        }
        let sign = match list_sign(&rest[found.len..], end)? {
            0 => return Some(found),
            sign => sign,
        };
        found.len += sign;
        found.indent += sign;
        // One space belongs to the marker; further ones belong to the text.
        let spaces = rest[found.len..].iter().take(MAX_LINE_CHARS);
        let gap = spaces.take_while(|c| **c == ' ').count();
        if found.len + gap == rest.len() && !end && gap < MAX_LINE_CHARS {
            return None;
        }
        let own = if gap > CODE_INDENT { 1 } else { gap };
        base = found.indent + own;
        found.items.push(base);
        debug_assert!(found.len > start);
    }
}

/// The length of a list marker: `-`, `*`, `+`, `1.`, `1)`; 0 if there is none.
fn list_sign(rest: &[char], end: bool) -> Option<usize> {
    let len = match rest.first() {
        Some('-' | '*' | '+') => 1,
        Some(c) if c.is_ascii_digit() => {
            let digits = rest
                .iter()
                .take(10)
                .take_while(|c| c.is_ascii_digit())
                .count();
            match rest.get(digits) {
                None if !end => return None,
                Some('.' | ')') if digits < 10 => digits + 1,
                _ => return Some(0),
            }
        }
        _ => return Some(0),
    };
    match rest.get(len) {
        None if !end => None,
        Some(' ' | '\t') => Some(len),
        _ => Some(0),
    }
}

/// The character and length of the fence that `text` begins with; the inner `None` if it is not a
/// fence. The line of a backtick fence has no further backticks.
#[allow(clippy::option_option)]
fn fence(text: &[char], end: bool) -> Option<Option<(char, usize)>> {
    let Some(&letter) = text.first().filter(|c| matches!(c, '`' | '~')) else {
        return Some(None);
    };
    let count = run(text);
    if count == text.len() && count < MAX_LINE_CHARS && !end {
        return None;
    }
    if !(3..MAX_LINE_CHARS).contains(&count) {
        return Some(None);
    }
    let rest = &text[count..];
    let line = rest
        .iter()
        .take(MAX_LINE_CHARS)
        .take_while(|c| **c != '\n')
        .count();
    if letter == '`' && rest[..line].contains(&'`') {
        return Some(None);
    }
    let whole = end || letter == '~' || line < rest.len() || line >= MAX_LINE_CHARS;
    whole.then_some(Some((letter, count)))
}

/// What `rest` begins with, within a line.
fn inline(rest: &[char], end: bool, at_line: &mut bool) -> Option<Step> {
    let &first = rest.first()?;
    let second = rest.get(1).copied();
    Some(match first {
        '\n' => {
            *at_line = true;
            Step::Prose(1)
        }
        '\\' | '$' | '<' | ']' if second.is_none() && !end => return None,
        '`' => {
            let count = run(rest);
            if count == MAX_LINE_CHARS {
                return Some(Step::Prose(count));
            }
            if count == rest.len() && !end {
                return None;
            }
            let ends = |tail: &[char]| (tail[0] == '`' && run(tail) == count).then_some(count);
            match closes(rest, count, end, ends)? {
                Some(len) => Step::Verbatim(len),
                None => Step::Prose(count),
            }
        }
        '\\' => match second {
            Some('(') => formula(rest, end, &['\\', ')'], 2)?,
            Some('[') => formula(rest, end, &['\\', ']'], 2)?,
            Some(c) if c.is_ascii_punctuation() => Step::Verbatim(2),
            _ => Step::Prose(1),
        },
        '$' if second == Some('$') => formula(rest, end, &['$', '$'], 2)?,
        '$' if second.is_some_and(|c| !c.is_whitespace() && !c.is_ascii_digit()) => {
            dollars(rest, end)?
        }
        '<' => angle(rest, end)?,
        ']' if second == Some('(') => match target(&rest[1..], end)? {
            Some(len) => Step::Verbatim(len + 1),
            None => Step::Prose(1),
        },
        c if super::mark::closing(c).is_some() => Step::Open,
        _ => Step::Prose(1),
    })
}

/// The length of the span that `rest` begins with, including its end; `ends` gives the length of
/// the end. The inner `None` if the paragraph ends first.
#[allow(clippy::option_option)]
fn closes(
    rest: &[char],
    from: usize,
    end: bool,
    ends: impl Fn(&[char]) -> Option<usize>,
) -> Option<Option<usize>> {
    let mut at = from;
    while at < rest.len() && at < MAX_SPAN_CHARS {
        let tail = &rest[at..];
        let count = if tail[0] == '`' { run(tail) } else { 1 };
        if tail[0] == '`' && count == tail.len() && !end {
            // More of the same character may follow.
            return None;
        }
        if let Some(len) = ends(tail) {
            return Some(Some(at + len));
        }
        if tail[0] == '\n' && block_begins(&tail[1..], end)? {
            return Some(None);
        }
        // A run of backticks is one delimiter.
        at += count;
    }
    (end || rest.len() >= MAX_SPAN_CHARS + MAX_CLOSE_CHARS).then_some(None)
}

/// How often the first character is repeated, up to the longest run that matters.
fn run(text: &[char]) -> usize {
    let letters = text.iter().take(MAX_LINE_CHARS);
    letters.take_while(|c| Some(*c) == text.first()).count()
}

/// Whether a line begins a block that ends any open span.
fn block_begins(line: &[char], end: bool) -> Option<bool> {
    let spaces = line.iter().take(MAX_LINE_CHARS);
    let gap = spaces.take_while(|c| matches!(c, ' ' | '\t')).count();
    let text = &line[gap..];
    match text.first() {
        _ if gap == MAX_LINE_CHARS => Some(true),
        None => end.then_some(true),
        Some('\n' | '#' | '|' | '~') => Some(true),
        Some('`') => {
            let count = run(text);
            (end || count < text.len() || count >= 3).then_some(count >= 3)
        }
        Some(_) => list_sign(text, end).map(|sign| sign > 0),
    }
}

/// A formula up to its closing sign; only the opening sign if there is no closing one.
fn formula(rest: &[char], end: bool, close: &[char; 2], open: usize) -> Option<Step> {
    let ends = |tail: &[char]| tail.starts_with(close).then_some(2);
    Some(match closes(rest, open, end, ends)? {
        Some(len) => Step::Verbatim(len),
        None => Step::Verbatim(open),
    })
}

/// A formula between single dollar signs, on one line: no space inside next to either sign, and no
/// digit after the closing one, as there would be with prices.
fn dollars(rest: &[char], end: bool) -> Option<Step> {
    for at in 2..rest.len().min(MAX_LINE_CHARS) {
        match rest[at] {
            '\n' => return Some(Step::Prose(1)),
            '$' if !rest[at - 1].is_whitespace() => {
                let next = rest.get(at + 1);
                if next.is_none() && !end {
                    return None;
                }
                if next.is_none_or(|c| !c.is_alphanumeric()) {
                    return Some(Step::Verbatim(at + 1));
                }
            }
            _ => {}
        }
    }
    (end || rest.len() >= MAX_LINE_CHARS).then_some(Step::Prose(1))
}

/// An address in angle brackets, or an HTML code element; otherwise only the bracket.
fn angle(rest: &[char], end: bool) -> Option<Step> {
    let head = rest[1..]
        .iter()
        .take(12)
        .take_while(|c| c.is_ascii_alphanumeric() || **c == ':');
    let head: String = head.collect();
    if head.chars().count() + 1 == rest.len() && !end && head.len() < 12 {
        return None;
    }
    let name = head.to_ascii_lowercase();
    if name.contains(':') {
        let stop = rest.iter().position(|c| *c == '>' || c.is_whitespace());
        return match stop {
            Some(at) if rest[at] == '>' => Some(Step::Verbatim(at + 1)),
            None if !end && rest.len() < MAX_LINE_CHARS => None,
            _ => Some(Step::Prose(1)),
        };
    }
    if matches!(
        name.as_str(),
        "code" | "pre" | "kbd" | "samp" | "tt" | "math" | "var"
    ) {
        let close: Vec<char> = format!("</{name}>").chars().collect();
        let ends = |tail: &[char]| {
            let same = tail[0] == '<'
                && tail.len() >= close.len()
                && tail
                    .iter()
                    .zip(&close)
                    .all(|(a, b)| a.eq_ignore_ascii_case(b));
            same.then_some(close.len())
        };
        return Some(match closes(rest, 1, end, ends)? {
            Some(len) => Step::Verbatim(len),
            None => Step::Prose(1),
        });
    }
    Some(Step::Prose(1))
}
