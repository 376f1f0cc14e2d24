//! What a file defines for use elsewhere in it: substitutions and link targets.

use std::cell::Cell;
use std::collections::HashMap;

/// Longest text of a substitution, in bytes.
const MAX_TEXT: usize = 400;
/// Deepest substitutions inside substitutions.
const MAX_DEPTH: usize = 4;
/// Most text that the substitutions of one line come to, in bytes.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// The names of a file.
#[derive(Debug, Default)]
pub(super) struct Names {
    substitutions: HashMap<String, String>,
    targets: HashMap<String, String>,
    /// Targets without names, in the order in which links use them.
    anonymous: Vec<String>,
    next_anonymous: Cell<usize>,
}

impl Names {
    /// Collects what `lines` define.
    pub(super) fn collect(lines: &[String]) -> Self {
        let mut names = Self::default();
        let mut waiting: Vec<String> = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let body = line.trim_start();
            if line.contains('`') {
                names.embedded(line);
            }
            if let Some(target) = body.strip_prefix("__ ") {
                names.anonymous.push(target.trim().to_owned());
            } else if let Some(body) = body.strip_prefix(".. ") {
                let indent = line.len() - line.trim_start().len();
                names.define(body.trim_start(), &lines[at + 1..], indent, &mut waiting);
            } else if !body.is_empty() && !line.starts_with(' ') {
                waiting.clear();
            }
        }
        names
    }

    fn define(&mut self, body: &str, below: &[String], indent: usize, waiting: &mut Vec<String>) {
        if let Some((name, rest)) = body.strip_prefix('|').and_then(|rest| rest.split_once('|')) {
            let text = substitution(rest.trim_start(), below, indent);
            self.substitutions.insert(normal(name), text);
        } else if let Some((name, target)) = body.strip_prefix('_').and_then(target_name) {
            let mut target = target.trim().to_owned();
            for line in continuation(below, indent) {
                target.push_str(line.trim());
            }
            if target.is_empty() {
                // It names what follows, which may be another target.
                waiting.push(name);
                return;
            }
            if name == "_" {
                self.anonymous.push(target);
                return;
            }
            for name in waiting.drain(..).chain([name]) {
                self.targets.insert(normal(&name), target.clone());
            }
        }
    }

    /// A link with its own address, `text <address>`_, names it by its text.
    fn embedded(&mut self, line: &str) {
        let mut rest = line;
        while let Some((link, after)) = rest.split_once(">`_") {
            let link = link.rsplit('`').next().unwrap_or(link);
            if let Some((text, address)) = link.rsplit_once('<')
                && !after.starts_with('_')
                && !address.ends_with('_')
            {
                let target = address.trim().to_owned();
                self.targets.entry(normal(text)).or_insert(target);
            }
            rest = after;
        }
    }

    /// The text of a substitution; `None` if the file does not define it.
    pub(super) fn substitution(&self, name: &str) -> Option<String> {
        let text = self.substitutions.get(&normal(name))?;
        Some(self.expand(text, MAX_DEPTH))
    }

    fn expand(&self, text: &str, depth: usize) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('|') {
            let inner = after.split_once('|').and_then(|(name, after)| {
                let inner = self
                    .substitutions
                    .get(&normal(name))
                    .filter(|_| depth > 0)?;
                Some((self.expand(inner, depth - 1), after))
            });
            expanded.push_str(before);
            match inner {
                Some((inner, after)) => {
                    expanded.push_str(&inner);
                    rest = after;
                }
                None => {
                    expanded.push('|');
                    rest = after;
                }
            }
            if expanded.len() > MAX_TEXT {
                break;
            }
        }
        if expanded.len() <= MAX_TEXT {
            expanded.push_str(rest);
        }
        expanded.truncate(expanded.floor_char_boundary(MAX_TEXT));
        expanded
    }

    /// The address that a name stands for; names may stand for names.
    pub(super) fn target(&self, name: &str) -> Option<&str> {
        let mut target = self.targets.get(&normal(name))?;
        for _ in 0..MAX_DEPTH {
            let Some(other) = target.strip_suffix('_') else {
                break;
            };
            match self.targets.get(&normal(other.trim_matches('`'))) {
                Some(next) => target = next,
                None => break,
            }
        }
        Some(target)
    }

    /// The target of the next link without a name.
    pub(super) fn next_anonymous(&self) -> Option<&str> {
        let at = self.next_anonymous.replace(self.next_anonymous.get() + 1);
        self.anonymous.get(at).map(String::as_str)
    }
}

/// The name and target of `name: target`, the name perhaps in backquotes.
fn target_name(body: &str) -> Option<(String, &str)> {
    if let Some(quoted) = body.strip_prefix('`') {
        let (name, rest) = quoted.split_once('`')?;
        return Some((name.to_owned(), rest.strip_prefix(':')?));
    }
    // A colon inside a name is escaped.
    let mut from = 0;
    loop {
        let at = from + body.get(from..)?.find(':')?;
        let ends = body[at + 1..].is_empty() || body[at + 1..].starts_with(' ');
        if ends && !body[..at].ends_with('\\') {
            return Some((body[..at].replace('\\', ""), &body[at + 1..]));
        }
        from = at + 1;
    }
}

/// The lines that go on with an explicit markup block.
fn continuation(below: &[String], indent: usize) -> impl Iterator<Item = &String> {
    below
        .iter()
        .take_while(move |line| line.len() - line.trim_start().len() > indent)
        .take(20)
}

/// What `replace:: text`, `unicode:: 0xA9` or `image:: x` put in a text.
fn substitution(body: &str, below: &[String], indent: usize) -> String {
    let Some((kind, argument)) = body.split_once("::") else {
        return String::new();
    };
    let mut text = argument.trim().to_owned();
    let mut alt = String::new();
    for line in continuation(below, indent) {
        let line = line.trim();
        match line.strip_prefix(':').and_then(|line| line.split_once(':')) {
            Some(("alt", value)) => alt = value.trim().to_owned(),
            Some((name, _)) if !name.contains(' ') => {}
            _ => {
                text.push(' ');
                text.push_str(line);
            }
        }
    }
    let text = match kind.trim() {
        "replace" => text.trim().to_owned(),
        "unicode" => unicode(&text),
        "image" => alt,
        // A date is that of the day on which the page is made.
        _ => String::new(),
    };
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

/// Code points in the ways that docutils reads, and text as it stands; what
/// follows `..` is a remark.
fn unicode(text: &str) -> String {
    let text = text.split(" .. ").next().unwrap_or(text);
    let mut out = String::new();
    let mut after_text = false;
    for word in text.split_whitespace() {
        let c = code_point(word);
        if c.is_none() && after_text {
            out.push(' ');
        }
        match c {
            Some(c) => out.push(c),
            None => out.push_str(word),
        }
        after_text = c.is_none();
    }
    out
}

fn code_point(word: &str) -> Option<char> {
    let lower = word.to_lowercase();
    let hex = ["0x", "x", "\\x", "u+", "\\u", "u", "&#x"]
        .iter()
        .find_map(|prefix| lower.strip_prefix(prefix));
    let code = match hex {
        Some(hex) => u32::from_str_radix(hex.trim_end_matches(';'), 16).ok()?,
        None => lower.parse().ok()?,
    };
    char::from_u32(code)
}

/// Names are compared without case, and any white space is one space.
fn normal(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::Names;

    fn collect(text: &str) -> Names {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        Names::collect(&lines)
    }

    #[test]
    fn substitutions_have_several_kinds() {
        let names = collect(
            ".. |a b| replace:: one\n   two\n.. |c| unicode:: 0xA9 .. sign\n.. |d| unicode:: U+2014\n   :trim:\n\
             .. |e| image:: x.png\n   :alt: An eye\n.. |f| date::\n.. |g| replace:: <|A  b|>\n.. |h| unicode:: 169 Acme Ltd\n",
        );
        for (name, expected) in [
            ("a b", "one two"),
            ("c", "©"),
            ("D", "—"),
            ("e", "An eye"),
            ("f", ""),
            ("g", "<one two>"),
            ("h", "©Acme Ltd"),
        ] {
            assert_eq!(
                names.substitution(name).as_deref(),
                Some(expected),
                "{name}"
            );
        }
        assert_eq!(names.substitution("x"), None);
    }

    #[test]
    fn substitutions_do_not_grow_without_end() {
        let mut text = String::from(".. |a| replace:: |a| |a|\n.. |b0| replace:: x\n");
        for i in 1..40 {
            let inner = format!("|b{}|", i - 1);
            text += &format!(".. |b{i}| replace:: {}\n", inner.repeat(9));
        }
        let names = collect(&text);
        assert!(names.substitution("a").unwrap().len() <= super::MAX_TEXT);
        assert!(names.substitution("b39").unwrap().len() <= super::MAX_TEXT);
    }

    #[test]
    fn targets_have_names_or_their_order() {
        let names = collect(
            ".. _portal: https://a.example/x\n.. _one:\n.. _Two Words: https://b.example/\n   path\n\
             .. _`odd: name`: https://c.example\n.. _other: portal_\n.. __: https://d.example\n__ https://e.example\n",
        );
        for (name, expected) in [
            ("Portal", "https://a.example/x"),
            ("one", "https://b.example/path"),
            ("two  words", "https://b.example/path"),
            ("odd: name", "https://c.example"),
            ("other", "https://a.example/x"),
        ] {
            assert_eq!(names.target(name), Some(expected), "{name}");
        }
        assert_eq!(names.next_anonymous(), Some("https://d.example"));
        assert_eq!(names.next_anonymous(), Some("https://e.example"));
        assert_eq!(names.next_anonymous(), None);
    }
}
