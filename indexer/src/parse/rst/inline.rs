//! Markup inside a line of reStructuredText.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// In order of preference at each place: literal, role, link with text, plain
/// reference, strong, emphasis, substitution.
static MARKUP: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = [
        r"``(?<literal>.+?)``",
        r"(?<role>:[A-Za-z][\w:+.-]*:)`(?<content>[^`]+)`",
        r"`(?<named>[^`<]+?)\s*<[^`>]*>`__?",
        r"`(?<plain>[^`]+)`(?:__?\b|:[\w:-]+:)?_{0,2}",
        r"\*\*(?<strong>[^*]+)\*\*",
        r"\*(?<emphasis>[^*\s](?:[^*]*[^*\s])?)\*",
        r"\|(?<substitution>[A-Za-z0-9][^|\s]*)\|_{0,2}",
        r"\[(?<footnote>#?\w+)\]_",
        r"\b(?<reference>[A-Za-z0-9]+)__?(?:\b|$)",
    ]
    .join("|");
    Regex::new(&pattern).expect("the pattern is a constant that the tests compile")
});

/// `line` as a reader sees it.
pub(super) fn clean(line: &str) -> String {
    if !line.contains(['`', '*', '|', '_', '\\']) {
        return line.to_owned();
    }
    let cleaned = MARKUP.replace_all(line, |found: &Captures<'_>| {
        let group = |name: &str| found.name(name).map(|m| m.as_str());
        if let Some(content) = group("content") {
            return role(content).into_owned();
        }
        if let Some(label) = group("footnote") {
            return format!("[{}]", label.trim_start_matches('#'));
        }
        [
            "literal",
            "named",
            "plain",
            "strong",
            "emphasis",
            "substitution",
            "reference",
        ]
        .iter()
        .find_map(|name| group(name))
        .unwrap_or_default()
        .to_owned()
    });
    unescape(&cleaned).into_owned()
}

/// What a role shows: `text <target>` is its text, `~a.b.c` the whole name.
fn role(content: &str) -> Cow<'_, str> {
    if let Some((text, _)) = content
        .strip_suffix('>')
        .and_then(|c| c.rsplit_once('<'))
        .filter(|(text, _)| !text.trim().is_empty())
    {
        return Cow::Borrowed(text.trim());
    }
    Cow::Borrowed(content.trim_start_matches(['~', '!']))
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
    use super::clean;

    #[test]
    fn markup_goes_and_words_stay() {
        for (markup, expected) in [
            ("a ``x = *p`` b", "a x = *p b"),
            (
                ":func:`~os.path.join` and :ref:`the guide <guide>`",
                "os.path.join and the guide",
            ),
            (":py:class:`!Local`, :c:macro:`X`", "Local, X"),
            (
                "`Home page <http://x>`_ and `Title here`_.",
                "Home page and Title here.",
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
            assert_eq!(clean(markup), expected, "{markup}");
        }
    }
}
