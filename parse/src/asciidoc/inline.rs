//! AsciiDoc inside of paragraphs: macros, links, attributes, marks.

use std::cell::Cell;
use std::collections::HashMap;

use crate::lines::{InlineText, until};
use crate::{links, work};

/// Characters that have names.
const NAMED: [(&str, &str); 16] = [
    ("nbsp", " "),
    ("sp", " "),
    ("empty", ""),
    ("blank", ""),
    ("zwsp", ""),
    ("wj", ""),
    ("lt", "<"),
    ("gt", ">"),
    ("amp", "&"),
    ("plus", "+"),
    ("asterisk", "*"),
    ("backtick", "`"),
    ("vbar", "|"),
    ("startsb", "["),
    ("endsb", "]"),
    ("cpp", "C++"),
];
/// Macros that show what stands in their brackets.
const SHOWN: [&str; 8] = [
    "kbd",
    "btn",
    "stem",
    "latexmath",
    "asciimath",
    "pass",
    "image",
    "video",
];
/// Macros that show nothing.
const HIDDEN: [&str; 4] = ["anchor", "icon", "indexterm", "toc"];
/// Longest value of an attribute, in bytes.
const MAX_VALUE_BYTES: usize = 1000;
/// Most bytes that the attributes of a document unfold to, all together: a short text cannot
/// become a long one. Names beyond that stay as they are.
const MAX_UNFOLDED_BYTES: usize = 4 << 20;
/// Longest target of a macro.
const MAX_TARGET_BYTES: usize = 4096;

/// What the document defines, and the notes that it makes.
#[derive(Debug, Default)]
pub(super) struct Names {
    attributes: HashMap<String, String>,
    /// Bytes that they have unfolded to.
    unfolded: Cell<usize>,
    pub(super) notes: Vec<String>,
}

impl Names {
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.attributes.contains_key(&name.to_lowercase())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        let name = name.to_lowercase();
        if let Some(name) = name.strip_prefix('!').or(name.strip_suffix('!')) {
            self.attributes.remove(name);
        } else if value.len() <= MAX_VALUE_BYTES {
            self.attributes.insert(name, value.to_owned());
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let own = self
            .attributes
            .get(&name.to_lowercase())
            .map(String::as_str);
        own.or_else(|| {
            let named = NAMED.iter().find(|(known, _)| *known == name);
            named.map(|(_, value)| *value)
        })
    }

    /// `text` with the attributes that it names; values are not read a second time.
    pub(super) fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, tail) = rest.split_at(start);
            let name = until(&tail[1..], "}").map(|(name, _)| name);
            let value = name.and_then(|name| self.get(name));
            let value = value.filter(|value| {
                let unfolded = self.unfolded.get() + value.len();
                self.unfolded.set(unfolded);
                unfolded <= MAX_UNFOLDED_BYTES
            });
            match value.zip(name) {
                Some((_, name)) if before.ends_with('\\') => {
                    out.push_str(&before[..before.len() - 1]);
                    out.push_str(&tail[..name.len() + 2]);
                    rest = &tail[name.len() + 2..];
                }
                Some((value, name)) => {
                    out.push_str(before);
                    out.push_str(value);
                    rest = &tail[name.len() + 2..];
                }
                None => {
                    out.push_str(before);
                    out.push('{');
                    rest = &tail[1..];
                }
            }
        }
        out + rest
    }

    /// The words of a paragraph as a reader sees them.
    pub(super) fn clean(&mut self, text: &str) -> String {
        let text = self.expand(text);
        self.marked(&text)
    }

    /// As [`Names::clean`], of text whose attributes are expanded: a value that names itself
    /// must not be expanded for ever.
    fn marked(&mut self, text: &str) -> String {
        InlineText::read(text, |rest, words| self.piece(rest, words)).finish("*_#^~", true)
    }

    /// Reads what begins at the start of `rest`, if it is markup; returns what follows.
    fn piece<'a>(&mut self, rest: &'a str, words: &mut InlineText) -> Option<&'a str> {
        for (mark, is_code) in [("+++", false), ("++", false), ("``", true)] {
            if let Some(found) = rest.strip_prefix(mark).and_then(|rest| until(rest, mark)) {
                words.push_literal(strip_pass(found.0, is_code));
                return Some(found.1);
            }
        }
        match rest.chars().next()? {
            mark @ ('`' | '+') if words.at_word_start() => {
                let (inner, after) = until(&rest[1..], &mark.to_string())?;
                let is_code = !inner.is_empty()
                    && !inner.starts_with(' ')
                    && !inner.ends_with(' ')
                    && !after.starts_with(char::is_alphanumeric);
                is_code.then(|| {
                    words.push_literal(strip_pass(inner, mark == '`'));
                    after
                })
            }
            '\\' => {
                let next = rest[1..].chars().next()?;
                "*_`#^~+<[({".contains(next).then(|| {
                    let marks = rest[1..].len() - rest[1..].trim_start_matches(next).len();
                    work::add(marks);
                    words.push_literal(&rest[1..1 + marks]);
                    &rest[1 + marks..]
                })
            }
            '<' => self.reference(rest, words),
            '[' => {
                if let Some((_, after)) = rest.strip_prefix("[[").and_then(|rest| until(rest, "]]"))
                {
                    return Some(after);
                }
                // `[.role]#text#`.
                let (role, after) = until(&rest[1..], "]")?;
                let is_role = !role.contains(' ') && after.starts_with(['#', '*', '_', '`']);
                is_role.then_some(after)
            }
            '(' => {
                if let Some((_, after)) =
                    rest.strip_prefix("(((").and_then(|rest| until(rest, ")))"))
                {
                    return Some(after);
                }
                let (term, after) = until(rest.strip_prefix("((")?, "))")?;
                words.push(term);
                Some(after)
            }
            first if first.is_alphanumeric() && words.at_word_start() => self.named(rest, words),
            _ => None,
        }
    }

    /// `<<id,text>>` and `<https://…>`.
    fn reference<'a>(&mut self, rest: &'a str, words: &mut InlineText) -> Option<&'a str> {
        if let Some((target, after)) = rest.strip_prefix("<<").and_then(|rest| until(rest, ">>")) {
            words.push(&reference_text(
                target.split_once(',').map(|pair| pair.1),
                target,
            ));
            return Some(after);
        }
        let (address, after) = until(&rest[1..], ">")?;
        links::address(address)?;
        words.push_literal(address);
        Some(after)
    }

    /// A macro, `name:target[text]`, or an address.
    fn named<'a>(&mut self, rest: &'a str, words: &mut InlineText) -> Option<&'a str> {
        let name_len = rest.find(|c: char| !c.is_alphanumeric())?;
        work::add(name_len);
        let (mut name, tail) = rest.split_at(name_len);
        let tail = tail.strip_prefix(':')?;
        let is_address = tail.starts_with("//");
        let ends = |c: char| c.is_whitespace() || c == '[';
        let head = &tail[..tail.floor_char_boundary(MAX_TARGET_BYTES)];
        work::add(head.find(ends).unwrap_or(head.len()));
        let target_len = match head.find(ends) {
            Some(len) => len,
            None if head.len() == tail.len() => tail.len(),
            // Further off than any target is long.
            None => return None,
        };
        let (target, after) = tail.split_at(target_len);
        let text = after.strip_prefix('[').and_then(|rest| until(rest, "]"));
        let Some((text, after)) = text else {
            let address = format!("{name}:{target}");
            let bare = address.trim_end_matches(|c: char| ".,;:!?)>\"'".contains(c));
            links::address(bare).filter(|_| is_address)?;
            words.push_literal(bare);
            return Some(&rest[bare.len()..]);
        };
        let label = first_value(text);
        // The mark of a note follows its word without a space.
        let note = ["footnote", "footnoteref"];
        if let Some((word, note)) = note.iter().find_map(|n| Some((name.strip_suffix(n)?, n))) {
            words.push(word);
            name = note;
        }
        match name {
            "link" | "mailto" | "http" | "https" | "ftp" => {
                let address = match name {
                    "link" => target.to_owned(),
                    _ => format!("{name}:{target}"),
                };
                let label = self.marked(label.trim_end_matches('^'));
                match label.is_empty() {
                    true => words.push_literal(&links::address(&address).unwrap_or(address)),
                    false => {
                        words.push(&label);
                        words.push_literal(&links::suffix(&address, &label));
                    }
                }
            }
            "xref" => words.push(&reference_text(
                Some(text).filter(|t| !t.is_empty()),
                target,
            )),
            "footnote" | "footnoteref" => {
                if !text.is_empty() {
                    let note = self.marked(text);
                    self.notes.push(note);
                }
                words.push_literal(&format!("[{}]", self.notes.len()));
            }
            "menu" => words.push(&format!("{target} > {text}")),
            "indexterm2" => words.push(text),
            _ if SHOWN.contains(&name) => words.push_literal(label),
            _ if HIDDEN.contains(&name) => {}
            _ => return None,
        }
        Some(after)
    }
}

/// What of a literal is shown: a passthrough in code is there for its marks only.
fn strip_pass(text: &str, is_code: bool) -> &str {
    let inner = text
        .strip_prefix('+')
        .and_then(|text| text.strip_suffix('+'));
    inner.filter(|_| is_code).unwrap_or(text)
}

/// The first of the values in brackets.
fn first_value(text: &str) -> &str {
    if let Some((quoted, _)) = text.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        return quoted;
    }
    // `text,window=_blank`: values with names end the text.
    let named = text.match_indices(',').find(|(at, _)| {
        text[at + 1..]
            .split(',')
            .next()
            .is_some_and(|v| v.contains('='))
    });
    named.map_or(text, |(at, _)| &text[..at])
}

/// The text of a reference; one without shows where it leads.
fn reference_text(text: Option<&str>, target: &str) -> String {
    match text {
        Some(text) => text.trim().to_owned(),
        None => {
            let name = target
                .trim()
                .trim_start_matches('#')
                .trim_start_matches('_');
            name.rsplit('#').next().unwrap_or(name).replace('_', " ")
        }
    }
}
