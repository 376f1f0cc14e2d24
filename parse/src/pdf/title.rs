//! What a PDF is called.

use super::layout::{Line, Page};
use super::running;

/// A heading is this many times as large as the text of its page.
const HEADING: f32 = 1.15;
/// Most lines of one heading.
const MAX_LINES: usize = 4;
/// A longer heading is text in large letters.
const MAX_CHARS: usize = 200;
/// Pages that tell how large the text is.
const TEXT_PAGES: usize = 6;
/// What programs write where the author gave no title.
const EMPTY: [&str; 25] = [
    "untitled",
    "untitled document",
    "no title",
    "notitle",
    "title",
    "document",
    "dokument",
    "documento",
    "doc",
    "none",
    "null",
    "unknown",
    "unnamed",
    "unbenannt",
    "ohne titel",
    "sans titre",
    "sin título",
    "sin titulo",
    "anonymous",
    "unspecified",
    "powerpoint presentation",
    "presentation",
    "präsentation",
    "slide",
    "print",
];
/// What programs write before the name of a file.
const PROGRAMS: [&str; 5] = [
    "microsoft word -",
    "microsoft powerpoint -",
    "microsoft excel -",
    "openoffice -",
    "libreoffice -",
];
const FILES: [&str; 30] = [
    "doc", "docx", "docm", "dot", "odt", "rtf", "txt", "tex", "dvi", "ps", "eps", "indd", "qxd",
    "qxp", "pmd", "p65", "fm", "pdf", "ppt", "pptx", "odp", "xls", "xlsx", "ods", "html", "htm",
    "md", "pages", "pub", "cdr",
];

/// The title that the file gives itself, if it tells what the file is about.
pub(super) fn telling(title: &str) -> Option<&str> {
    let title = title.trim();
    let lower = title.to_lowercase();
    let is_file = lower
        .rsplit_once('.')
        .is_some_and(|(_, ending)| FILES.contains(&ending));
    let is_from_program = PROGRAMS.iter().any(|program| lower.starts_with(program));
    // `Document1`, `(untitled)`, `Untitled-2`.
    let bare = lower.trim_matches(|c: char| !c.is_alphabetic());
    let tells = title.chars().any(char::is_alphabetic)
        && !is_file
        && !is_from_program
        && !EMPTY.contains(&bare);
    tells.then_some(title)
}

/// The first heading of the first page: its lines in letters that are larger
/// than the text of the first `pages`.
pub(super) fn heading(pages: &[Page]) -> Option<String> {
    let usual = usual_size(&pages[..pages.len().min(TEXT_PAGES)])?;
    let lines = || upright(pages.first());
    let is_word = |line: &&Line| line.text.chars().filter(|c| c.is_alphabetic()).count() >= 3;
    let sizes = lines().filter(is_word).map(|line| line.size);
    let largest = sizes.max_by(f32::total_cmp)?;
    if largest < HEADING * usual {
        return None;
    }
    let is_large = |line: &&Line| line.size > 0.97 * largest;
    let words: Vec<String> = lines()
        .skip_while(|line| !(is_large(line) && is_word(line)))
        .take_while(is_large)
        .take(MAX_LINES)
        .map(|line| running::plain(line.text.trim()))
        .collect();
    let heading = words.join(" ").replace("\u{ad} ", "");
    (heading.chars().count() <= MAX_CHARS).then_some(heading)
}

fn upright<'a>(pages: impl IntoIterator<Item = &'a Page>) -> impl Iterator<Item = &'a Line> {
    let lines = pages.into_iter().flat_map(|page| &page.lines);
    lines.filter(|line| !line.is_turned && line.size.is_finite())
}

/// The size in which most of the text stands.
fn usual_size(pages: &[Page]) -> Option<f32> {
    let mut sizes: Vec<(f32, usize)> = upright(pages)
        .map(|line| (line.size, line.text.len()))
        .collect();
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = sizes.iter().map(|(_, length)| length).sum::<usize>() / 2;
    let mut seen = 0;
    let usual = sizes.iter().find(|(_, length)| {
        seen += length;
        seen > half
    });
    usual.map(|(size, _)| *size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_programs_tell_nothing() {
        for title in [
            "Microsoft Word - report.doc",
            "untitled",
            "(untitled)",
            "Untitled-2",
            "Document1",
            "PowerPoint Presentation",
            "thesis.dvi",
            "annual report.indd",
            "  ",
            "-",
            "(anonymous)",
            "20240501",
            "Slide 1",
        ] {
            assert_eq!(telling(title), None, "{title}");
        }
        for title in [
            "Tide tables",
            "RFC 9110",
            "Node.js",
            "Untitled works of Ann Lee",
            " Plan B ",
        ] {
            assert_eq!(telling(title), Some(title.trim()));
        }
    }

    #[test]
    fn the_largest_lines_are_the_heading() {
        let line = |text: &str, size: f32| Line {
            text: text.into(),
            size,
            ..Line::default()
        };
        let page = |lines: &[Line]| {
            let lines = lines.to_vec();
            let notes = Vec::new();
            [Page { lines, notes }]
        };
        let text = line("a long line of text as it stands on any page", 10.0);
        let found = page(&[
            line("12", 40.0),
            line("Harbour office", 11.0),
            line("Tide tables for", 24.0),
            line("the north coast", 24.0),
            text.clone(),
            text.clone(),
        ]);
        assert_eq!(
            heading(&found).as_deref(),
            Some("Tide tables for the north coast")
        );
        assert_eq!(heading(&page(&[text.clone(), text.clone()])), None);
        assert_eq!(heading(&page(&[])), None);
        assert_eq!(heading(&[]), None);
        // A cover that holds the title alone.
        let [cover] = page(&[line("Tide tables", 24.0)]);
        let [body] = page(&[text]);
        assert_eq!(heading(&[cover, body]).as_deref(), Some("Tide tables"));
    }
}
