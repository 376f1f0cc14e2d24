//! What backslashes mean in roff.

use std::cell::Cell;
use std::collections::HashMap;

use crate::lines::until;
use crate::work;

/// Longest string that a page defines, in bytes.
const MAX_STRING_BYTES: usize = 200;
/// Most bytes that the strings of a page unfold to, all together: a short page cannot become
/// a long one. Strings beyond that are empty.
const MAX_UNFOLDED_BYTES: usize = 4 << 20;
/// Most strings of a page.
const MAX_STRINGS: usize = 500;

/// Special characters by their names.
const CHARS: [(&str, &str); 62] = [
    ("em", "—"),
    ("en", "–"),
    ("hy", "-"),
    ("mi", "-"),
    ("pl", "+"),
    ("bu", "•"),
    ("ci", "○"),
    ("sq", "□"),
    ("lq", "“"),
    ("rq", "”"),
    ("oq", "‘"),
    ("cq", "’"),
    ("aq", "'"),
    ("dq", "\""),
    ("ga", "`"),
    ("aa", "´"),
    ("ha", "^"),
    ("ti", "~"),
    ("rs", "\\"),
    ("at", "@"),
    ("sh", "#"),
    ("Do", "$"),
    ("ba", "|"),
    ("br", "|"),
    ("or", "|"),
    ("lB", "["),
    ("rB", "]"),
    ("lC", "{"),
    ("rC", "}"),
    ("la", "⟨"),
    ("ra", "⟩"),
    ("co", "©"),
    ("rg", "®"),
    ("tm", "™"),
    ("de", "°"),
    ("mu", "×"),
    ("di", "÷"),
    ("+-", "±"),
    ("<=", "≤"),
    (">=", "≥"),
    ("!=", "≠"),
    ("==", "≡"),
    ("~=", "≈"),
    ("->", "→"),
    ("<-", "←"),
    ("<>", "↔"),
    ("ua", "↑"),
    ("da", "↓"),
    ("if", "∞"),
    ("ss", "ß"),
    ("Fo", "«"),
    ("Fc", "»"),
    ("sc", "§"),
    ("ps", "¶"),
    ("12", "½"),
    ("14", "¼"),
    ("34", "¾"),
    ("no", "¬"),
    ("eu", "€"),
    ("Po", "£"),
    ("sl", "/"),
    ("ul", "_"),
];
/// Letters with accents: the accent, and the letters in the order of their results.
const ACCENTS: [(char, &str, &str); 6] = [
    (':', "aeiouyAEIOU", "äëïöüÿÄËÏÖÜ"),
    ('\'', "aeiouyAEIOUY", "áéíóúýÁÉÍÓÚÝ"),
    ('`', "aeiouAEIOU", "àèìòùÀÈÌÒÙ"),
    ('^', "aeiouAEIOU", "âêîôûÂÊÎÔÛ"),
    ('~', "anoANO", "ãñõÃÑÕ"),
    (',', "cC", "çÇ"),
];

/// Strings that a page defines.
#[derive(Debug, Default)]
pub(super) struct Strings {
    defined: HashMap<String, String>,
    /// Bytes that they have unfolded to.
    unfolded: Cell<usize>,
}

impl Strings {
    /// `name value`; a quotation mark keeps spaces in front.
    pub(super) fn define(&mut self, rest: &str) {
        let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
        let value = value.trim_start();
        let value = self.clean(value.strip_prefix('"').unwrap_or(value)).0;
        if value.len() <= MAX_STRING_BYTES && self.defined.len() < MAX_STRINGS {
            self.defined.insert(name.to_owned(), value);
        }
    }

    fn get(&self, name: &str) -> &str {
        match name {
            "lq" => "“",
            "rq" => "”",
            "Tm" => "™",
            "R" => "®",
            "q" | "dq" => "\"",
            _ => {
                let value = self.defined.get(name).map_or("", String::as_str);
                let unfolded = self.unfolded.get() + value.len();
                self.unfolded.set(unfolded);
                if unfolded <= MAX_UNFOLDED_BYTES {
                    value
                } else {
                    ""
                }
            }
        }
    }

    /// The text of a line, and whether the next one goes on with its last word.
    pub(super) fn clean(&self, line: &str) -> (String, bool) {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(at) = rest.find('\\') {
            work::add(at + 1);
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let Some(c) = rest.chars().next() else { break };
            rest = &rest[c.len_utf8()..];
            match c {
                '"' | '#' => return (out, false),
                'c' => return (out, true),
                'e' | '\\' => out.push('\\'),
                '-' => out.push('-'),
                '\'' => out.push('\''),
                '`' => out.push('`'),
                '~' | ' ' | '0' => out.push(' '),
                't' => out.push('\t'),
                '(' => {
                    let end = rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
                    special(&rest[..end], &mut out);
                    rest = &rest[end..];
                }
                '[' => {
                    let (name, after) = rest.split_once(']').unwrap_or((rest, ""));
                    special(name, &mut out);
                    rest = after;
                }
                '*' => {
                    let (name, after) = name_of(rest);
                    out.push_str(self.get(name));
                    rest = after;
                }
                'f' | 'F' | 'n' | 'm' | 'M' | 'g' | 'k' | 'V' | 'Y' => rest = name_of(rest).1,
                's' => {
                    let after = rest.strip_prefix(['+', '-']).unwrap_or(rest);
                    rest = match after.chars().next() {
                        Some('(' | '[') => name_of(after).1,
                        Some('\'') => quoted(after).1,
                        Some(digit) if digit.is_ascii_digit() => {
                            let two = after.starts_with(['1', '2', '3'])
                                && after[1..].starts_with(|c: char| c.is_ascii_digit());
                            &after[1 + usize::from(two)..]
                        }
                        _ => after,
                    };
                }
                'h' | 'v' | 'w' | 'l' | 'L' | 'D' | 'b' | 'o' | 'x' | 'X' | 'N' | 'A' | 'B'
                | 'H' | 'R' | 'S' | 'Z' | 'C' => {
                    let (inner, after) = quoted(rest);
                    if c == 'C' {
                        special(inner, &mut out);
                    }
                    rest = after;
                }
                // Spaces too thin to see, and marks for the machine.
                '&' | '|' | '^' | '/' | ',' | ')' | ':' | '%' | 'u' | 'd' | 'r' | 'p' | 'z'
                | '!' | '?' | 'a' | '{' | '}' => {}
                other => out.push(other),
            }
        }
        out.push_str(rest);
        (out, false)
    }
}

/// The name that follows an escape: one character, `(xx` or `[name]`.
fn name_of(rest: &str) -> (&str, &str) {
    if let Some(rest) = rest.strip_prefix('[') {
        return rest.split_once(']').unwrap_or((rest, ""));
    }
    let (rest, len) = match rest.strip_prefix('(') {
        Some(rest) => (rest, 2),
        None => (rest, 1),
    };
    let end = rest
        .char_indices()
        .nth(len)
        .map_or(rest.len(), |(at, _)| at);
    rest.split_at(end)
}

/// What stands between two equal marks that are near each other.
fn quoted(rest: &str) -> (&str, &str) {
    let Some(mark) = rest.chars().next() else {
        return ("", "");
    };
    let inner = &rest[mark.len_utf8()..];
    until(inner, mark.encode_utf8(&mut [0; 4])).unwrap_or(("", inner))
}

fn special(name: &str, out: &mut String) {
    if let Some((_, text)) = CHARS.iter().find(|(known, _)| *known == name) {
        out.push_str(text);
        return;
    }
    let code = name
        .strip_prefix('u')
        .and_then(|hex| u32::from_str_radix(hex, 16).ok());
    if let Some(c) = code.and_then(char::from_u32) {
        out.push(c);
        return;
    }
    let mut chars = name.chars();
    if let (Some(accent), Some(letter), None) = (chars.next(), chars.next(), chars.next()) {
        let row = ACCENTS.iter().find(|(known, ..)| *known == accent);
        let found = row.and_then(|(_, from, to)| {
            let at = from.chars().position(|c| c == letter)?;
            to.chars().nth(at)
        });
        out.extend(found);
    }
}

/// The arguments of a macro: words, or what stands in quotation marks. Escapes stay.
pub(super) fn arguments(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with("\\\"") {
        let mut argument = String::new();
        if let Some(inner) = rest.strip_prefix('"') {
            let mut chars = inner.char_indices().peekable();
            let mut end = inner.len();
            while let Some((at, c)) = chars.next() {
                if c == '"' {
                    // Two are one that is meant.
                    if chars.next_if(|(_, next)| *next == '"').is_none() {
                        end = at + 1;
                        break;
                    }
                }
                argument.push(c);
            }
            rest = inner[end..].trim_start();
        } else {
            let mut escaped = false;
            let end = rest.find(|c: char| {
                let ends = c.is_whitespace() && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let end = end.unwrap_or(rest.len());
            argument.push_str(&rest[..end]);
            rest = rest[end..].trim_start();
        }
        found.push(argument);
    }
    found
}
