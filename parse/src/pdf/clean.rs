//! From what stands on pages to text that reads on: words that were divided at
//! line ends are joined, running titles and page numbers go.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::layout::Page;
use super::running;

/// Cleans the lines of all pages, and takes running ones out.
pub(super) fn pages(pages: &mut [Page]) {
    for line in pages.iter_mut().flat_map(|page| &mut page.lines) {
        let is_plain = |byte: &u8| (b' '..0x7f).contains(byte) || *byte == b'\t';
        if !line.text.as_bytes().iter().all(is_plain) {
            line.text = characters(&line.text);
        }
    }
    running::remove(pages);
}

/// The text of a cleaned page.
pub(super) fn text(page: &Page) -> String {
    let mut lines = String::new();
    for line in &page.lines {
        lines.push_str(running::plain(&line.text).trim_end());
        lines.push('\n');
    }
    let joined = join_words(&lines);
    match without_leaders(&joined) {
        Cow::Borrowed(_) => joined,
        Cow::Owned(changed) => changed,
    }
}

/// Ligatures and pdfium's marks for divided words, as usual characters.
fn characters(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    for c in page.chars() {
        match c {
            '\u{fb00}' => out.push_str("ff"),
            '\u{fb01}' => out.push_str("fi"),
            '\u{fb02}' => out.push_str("fl"),
            '\u{fb03}' => out.push_str("ffi"),
            '\u{fb04}' => out.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => out.push_str("st"),
            '\r' => {}
            '\u{2}' | '\u{fffe}' => out.push('\u{ad}'),
            c => out.push(c),
        }
    }
    out
}

/// Joins words that a hyphen divides between two lines: `exam-` + `ple`. A
/// capital or digit after the break means that the hyphen is the word's own.
fn join_words(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().and_then(|next| next.chars().next());
        let soft = line.strip_suffix('\u{ad}');
        let hard = line.strip_suffix(['-', '\u{2010}']).filter(|stem| {
            let mut before = stem.chars().rev();
            before.next().is_some_and(char::is_lowercase)
                && before.next().is_some_and(char::is_alphabetic)
        });
        match soft.or(hard) {
            Some(stem) if next.is_some_and(char::is_lowercase) => out.push_str(stem),
            Some(_) if soft.is_some() => {
                out.push_str(line.trim_end_matches('\u{ad}'));
                out.push_str("-\n");
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// Dots that lead to a page number in a table of contents, as three.
fn without_leaders(page: &str) -> Cow<'_, str> {
    static LEADERS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?: ?\.){4,}").expect("a constant that the tests compile"));
    // Most pages have none, and a plain search is faster.
    if !page.contains("....") && !page.contains(". .") {
        return Cow::Borrowed(page);
    }
    LEADERS.replace_all(page, " ...")
}

/// Where the line begins that holds `title`, compared without case, spaces and
/// numbering.
pub(super) fn find_line(text: &str, title: &str) -> Option<usize> {
    let wanted = letters(title);
    if wanted.is_empty() {
        return None;
    }
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let found = letters(line);
        // A long title may be broken; its line then begins it.
        let same = found == wanted
            || (found.len() >= 12 && wanted.starts_with(&found))
            || (found.ends_with(&wanted) && found.len() <= wanted.len() + 10);
        if same {
            return Some(at);
        }
        at += line.len();
    }
    None
}

fn letters(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphabetic())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout::Line;
    use super::*;

    fn cleaned(text: &str) -> String {
        let line = |text: &str| Line {
            text: text.into(),
            ..Line::default()
        };
        let mut one = [Page {
            lines: text.lines().map(line).collect(),
            notes: Vec::new(),
        }];
        pages(&mut one);
        super::text(&one[0])
    }

    #[test]
    fn divided_words_are_joined() {
        let page = "an exam-\nple of well-\nKnown and x-\ny, twenty-\n3 and soft\u{2}\nened ﬁt\n";
        assert_eq!(
            cleaned(page),
            "an example of well-\nKnown and x-\ny, twenty-\n3 and softened fit\n"
        );
    }

    #[test]
    fn leaders_become_three_dots() {
        let page = "1.2 Scope . . . . . . . 12\nAnd so on... x......3\n";
        let expected = "1.2 Scope ... 12\nAnd so on... x ...3\n";
        assert_eq!(cleaned(page), expected);
    }

    #[test]
    fn titles_are_found_in_lines() {
        let text = "some text\n2.1 Getting Started\nmore\n";
        assert_eq!(find_line(text, "Getting started"), Some(10));
        assert_eq!(find_line(text, "2.1. Getting\u{a0}Started"), Some(10));
        assert_eq!(find_line(text, "Absent"), None);
    }
}
