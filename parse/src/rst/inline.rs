//! Markup inside a line of reStructuredText.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::names::{MAX_LINE, Names};
use crate::links;

/// In order of preference at each place: literal, role, link with text, plain
/// reference, strong, emphasis, substitution.
static MARKUP: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = [
        r"``(?<literal>.+?)``",
        r"(?<role>:[A-Za-z][\w:+.-]*:)`(?<content>[^`]+)`",
        r"`(?<named>[^`<]+?)\s*<(?<address>[^`>]*)>`__?",
        r"`(?<plain>[^`]+)`(?:(?<ends>__?)\b|:[\w:-]+:)?(?<more>_{0,2})",
        r"\*\*(?<strong>[^*]+)\*\*",
        r"\*(?<emphasis>[^*\s](?:[^*]*[^*\s])?)\*",
        r"\|(?<substitution>[^|\s](?:[^|]*[^|\s])?)\|(?<linked>_{0,2})",
        r"\[(?<footnote>#?\w+)\]_",
        r"\b(?<reference>[A-Za-z0-9]+(?:[-._+:][A-Za-z0-9]+)*)(?<last>__?)(?:\b|$)",
    ]
    .join("|");
    Regex::new(&pattern).expect("the pattern is a constant that the tests compile")
});

/// `line` as a reader sees it.
pub(super) fn clean(line: &str, names: &Names) -> String {
    if !line.contains(['`', '*', '|', '_', '\\']) {
        return line.to_owned();
    }
    let mut room = MAX_LINE;
    let cleaned = MARKUP.replace_all(line, |found: &Captures<'_>| {
        let group = |name: &str| found.name(name).map(|m| m.as_str());
        if let Some(content) = group("content") {
            return role(group("role").unwrap_or_default(), content);
        }
        if let Some(label) = group("footnote") {
            return format!("[{}]", label.trim_start_matches('#'));
        }
        if let Some(name) = group("substitution") {
            return substitution(found, name, names, &mut room);
        }
        if let (Some(text), Some(address)) = (group("named"), group("address")) {
            let named = address
                .strip_suffix('_')
                .and_then(|name| names.target(name));
            return linked(text.trim_end(), Some(named.unwrap_or(address)));
        }
        if let Some(text) = group("plain") {
            let ends = group("ends").or(group("more")).unwrap_or_default();
            return linked(text, target(text, ends, names));
        }
        if let Some(text) = group("reference") {
            let last = group("last").unwrap_or_default();
            return linked(text, target(text, last, names));
        }
        ["literal", "strong", "emphasis"]
            .iter()
            .find_map(|name| group(name))
            .unwrap_or_default()
            .to_owned()
    });
    unescape(&cleaned).into_owned()
}

/// What a name that ends in underscores leads to.
fn target<'a>(text: &str, ends: &str, names: &'a Names) -> Option<&'a str> {
    match ends {
        "_" => names.target(text),
        "__" => names.next_anonymous(),
        _ => None,
    }
}

/// A link's text, and its address where that is elsewhere.
fn linked(text: &str, address: Option<&str>) -> String {
    let suffix = address.map(|address| links::suffix(address, text));
    format!("{text}{}", suffix.unwrap_or_default())
}

/// The text of a substitution; the name itself where Sphinx would know it, and
/// everything as it stands where it is none.
fn substitution(found: &Captures<'_>, name: &str, names: &Names, room: &mut usize) -> String {
    let Some(text) = names.substitution(name).filter(|text| text.len() <= *room) else {
        let is_name = !name.contains(char::is_whitespace)
            && name.starts_with(|c: char| c.is_ascii_alphanumeric());
        return if is_name { name } else { &found[0] }.to_owned();
    };
    *room -= text.len();
    let address = found
        .name("linked")
        .and_then(|ends| target(name, ends.as_str(), names));
    linked(&clean_once(&text, names), address)
}

/// Markup inside a substitution, whose own substitutions are resolved.
fn clean_once(text: &str, names: &Names) -> String {
    clean(&text.replace('|', ""), names)
}

/// What a role shows: `text <target>` is its text, `~a.b.c` the whole name.
fn role(role: &str, content: &str) -> String {
    let text = content
        .strip_suffix('>')
        .and_then(|c| c.rsplit_once('<'))
        .filter(|(text, _)| !text.trim().is_empty());
    if let Some((text, target)) = text {
        return linked(text.trim(), Some(target));
    }
    match role.trim_matches(':').rsplit(':').next() {
        Some("pep" | "PEP") => format!("PEP {content}"),
        Some("rfc" | "RFC") => format!("RFC {content}"),
        _ => content.trim_start_matches(['~', '!']).to_owned(),
    }
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.peek() {
            // Only markup is escaped; `C:\new` is not.
            Some('*' | '`' | '|' | '_' | '\\') => out.extend(chars.next()),
            Some(' ') => {
                chars.next();
            }
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_goes_and_words_stay() {
        for (markup, expected) in [
            ("a ``x = *p`` b", "a x = *p b"),
            (
                ":func:`~os.path.join` and :ref:`the guide <guide>`",
                "os.path.join and the guide",
            ),
            (":py:class:`!Local`, :c:macro:`X`", "Local, X"),
            (":pep:`8` and :rfc:`2616`", "PEP 8 and RFC 2616"),
            (
                "`Home page <http://x>`_ and `Title here`_.",
                "Home page (http://x) and Title here.",
            ),
            ("**bold** and *soft* 2 * 3 * 4", "bold and soft 2 * 3 * 4"),
            (
                "see Python_ or snake_case_name, x_ [1]_ [#n]_",
                "see Python or snake_case_name, x [1] [n]",
            ),
            ("|version| a | b | c", "version a | b | c"),
            (r"\*args and C:\new \`x", "*args and C:\\new `x"),
            ("unclosed `tick and **star", "unclosed `tick and **star"),
            ("__init__ and _private", "__init__ and _private"),
        ] {
            assert_eq!(clean(markup, &Names::default()), expected, "{markup}");
        }
    }

    #[test]
    fn names_are_looked_up() {
        let lines = [
            ".. |min ver| replace:: 3.11",
            ".. |logo| image:: x.png",
            ".. _portal: https://a.example/x",
            ".. _the guide: https://b.example",
            "__ https://c.example",
        ]
        .map(str::to_owned);
        let names = Names::collect(&lines);
        for (markup, expected) in [
            ("Python |min ver| or later", "Python 3.11 or later"),
            ("|logo| a |x y| b", " a |x y| b"),
            (
                "portal_ and `The Guide`_",
                "portal (https://a.example/x) and The Guide (https://b.example)",
            ),
            ("`way in <portal_>`_", "way in (https://a.example/x)"),
            ("`this`__", "this (https://c.example)"),
            ("`mail us <mailto:a@b.example>`_", "mail us (a@b.example)"),
            ("`below <#part>`_", "below"),
        ] {
            assert_eq!(clean(markup, &names), expected, "{markup}");
        }
    }
}
