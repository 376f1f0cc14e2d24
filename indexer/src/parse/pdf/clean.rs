//! From what stands on pages to text that reads on: words that were divided at
//! line ends are joined, running heads and page numbers go.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

/// Pages from which a repeated line counts as running.
const MIN_PAGES: usize = 4;
/// Lines at the top and at the bottom that may be running.
const EDGE_LINES: usize = 2;

/// Cleans the text of all pages.
pub(super) fn pages(pages: Vec<String>) -> Vec<String> {
    let pages: Vec<String> = pages.iter().map(|page| characters(page)).collect();
    let running = running_lines(&pages);
    pages
        .iter()
        .map(|page| {
            let joined = join_words(&without_running(page, &running));
            without_leaders(&joined).into_owned()
        })
        .collect()
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

/// What a line is apart from the numbers in it.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for c in line.trim().chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if c != '0' || !shape.ends_with('0') {
            shape.push(c);
        }
    }
    shape
}

/// The non-blank lines at the edges of a page, with their positions.
fn edges(page: &str) -> Vec<(usize, &str)> {
    let lines: Vec<(usize, &str)> = page
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    if lines.len() <= 2 * EDGE_LINES {
        // A short page is all edge; its first and last line may still be running.
        let ends = [lines.first(), lines.last().filter(|_| lines.len() > 1)];
        return ends.into_iter().flatten().copied().collect();
    }
    let tail = lines.len() - EDGE_LINES;
    lines[..EDGE_LINES]
        .iter()
        .chain(&lines[tail..])
        .copied()
        .collect()
}

/// Shapes that stand at the edge of at least every third page (left and right
/// pages often differ).
fn running_lines(pages: &[String]) -> Vec<String> {
    if pages.len() < MIN_PAGES {
        return Vec::new();
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for page in pages {
        let mut shapes: Vec<String> = edges(page)
            .into_iter()
            .map(|(_, line)| shape(line))
            .collect();
        shapes.sort();
        shapes.dedup();
        for shape in shapes {
            *counts.entry(shape).or_default() += 1;
        }
    }
    let enough = (pages.len() / 3).max(MIN_PAGES - 1);
    counts
        .into_iter()
        .filter(|(_, count)| *count >= enough)
        .map(|(shape, _)| shape)
        .collect()
}

fn without_running(page: &str, running: &[String]) -> String {
    let dropped: Vec<usize> = edges(page)
        .into_iter()
        .filter(|(_, line)| running.contains(&shape(line)))
        .map(|(number, _)| number)
        .collect();
    let mut out = String::with_capacity(page.len());
    for (number, line) in page.lines().enumerate() {
        if !dropped.contains(&number) {
            out.push_str(line.trim_end());
            out.push('\n');
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
    use super::*;

    #[test]
    fn divided_words_are_joined() {
        let page = "an exam-\nple of well-\nKnown and x-\ny, twenty-\n3 and soft\u{2}\nened ﬁt\n";
        let joined = pages(vec![page.to_owned()]).remove(0);
        assert_eq!(
            joined,
            "an example of well-\nKnown and x-\ny, twenty-\n3 and softened fit\n"
        );
    }

    #[test]
    fn running_heads_go_and_content_stays() {
        let book: Vec<String> = (1..=9)
            .map(|n| {
                format!(
                    "Chapter {n}  The Guide\nUnique line {0}\nbody\nmore\nlast {0}\n- {n} -\n",
                    "x".repeat(n)
                )
            })
            .collect();
        let cleaned = pages(book);
        assert_eq!(cleaned[2], "Unique line xxx\nbody\nmore\nlast xxx\n");
        let few = pages(vec!["1\na\n".into(), "2\na\n".into()]);
        assert_eq!(few, ["1\na\n", "2\na\n"]);
    }

    #[test]
    fn leaders_become_three_dots() {
        let page = "1.2 Scope . . . . . . . 12\nAnd so on... x......3\n";
        let cleaned = pages(vec![page.to_owned()]).remove(0);
        assert_eq!(cleaned, "1.2 Scope ... 12\nAnd so on... x ...3\n");
    }

    #[test]
    fn titles_are_found_in_lines() {
        let text = "some text\n2.1 Getting Started\nmore\n";
        assert_eq!(find_line(text, "Getting started"), Some(10));
        assert_eq!(find_line(text, "2.1. Getting\u{a0}Started"), Some(10));
        assert_eq!(find_line(text, "Absent"), None);
    }
}
