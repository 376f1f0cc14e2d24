//! Plain text: as it stands, with underlined lines as headings.

use super::Input;
use super::draft::Draft;
use super::format::Format;
use crate::Result;

/// Text without markup, and the format of everything that is text and nothing
/// else that is known.
pub(super) const FORMAT: Format = Format {
    name: "text",
    // Numbers are sections of manual pages, which their look tells from old logs.
    extensions: &[
        "txt", "text", "log", "asc", "nfo", "man", "me", "1st", "1", "2", "3", "4", "5", "6", "7",
        "8", "9",
    ],
    names: &[
        "readme",
        "license",
        "licence",
        "copying",
        "copyright",
        "changelog",
        "changes",
        "news",
        "authors",
        "contributors",
        "install",
        "todo",
        "notice",
        "thanks",
        "history",
        "maintainers",
    ],
    content_types: &["text/plain"],
    prose: true,
    title_from_heading: true,
    ..Format::new(parse)
};

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    push_underlined(&source.text(), draft);
    Ok(())
}

/// Writes `text`; a line with a line of `===` or `---` of its length below it
/// and nothing above it is a heading.
pub(super) fn push_underlined(text: &str, draft: &mut Draft) {
    let mut lines = text.lines().peekable();
    let mut blank_above = true;
    while let Some(line) = lines.next() {
        if blank_above
            && let Some(level) = lines.peek().and_then(|next| underline_level(line, next))
        {
            draft.open_section(level, line);
        }
        blank_above = line.trim().is_empty();
        draft.push(line);
        draft.push("\n");
        if draft.is_full() {
            break;
        }
    }
}

fn underline_level(line: &str, next: &str) -> Option<u8> {
    let (line, next) = (line.trim(), next.trim());
    let first = next.bytes().next()?;
    let level = match first {
        b'=' => 1,
        b'-' => 2,
        _ => return None,
    };
    let width = line.chars().count();
    let fits = next.len() >= 3 && next.len().abs_diff(width) <= 2 && width <= 120;
    (fits && next.bytes().all(|b| b == first) && line.chars().any(char::is_alphanumeric))
        .then_some(level)
}

#[cfg(test)]
mod tests {
    use crate::{ParseInput, ParseLimits, parse};

    fn read(name: &str, text: &str) -> crate::Document {
        parse(
            &ParseInput::new(name, text.as_bytes()),
            &ParseLimits::default(),
        )
        .unwrap()
    }

    #[test]
    fn text_stays_and_the_file_names_it() {
        let document = read("notes/plan.txt", "One line.\r\n\r\n  indented\tcell\r\n");
        assert_eq!(document.text, "One line.\n\n  indented\tcell");
        assert_eq!(document.title, "plan.txt");
        assert_eq!(document.metadata["format"], "text");
        assert!(document.sections.is_empty());
    }

    #[test]
    fn underlined_lines_are_headings() {
        let text = "Guide\n=====\n\nFirst\n-----\nbody\n\nSecond part\n------------\n\nend\n\na | b\n--- | ---\n";
        let document = read("README", text);
        let found: Vec<_> = document
            .sections
            .iter()
            .map(|s| (s.level, s.heading.as_str()))
            .collect();
        assert_eq!(found, [(1, "Guide"), (2, "First"), (2, "Second part")]);
        assert_eq!(document.title, "Guide");
        assert!(document.text[document.sections[1].span.clone()].ends_with("body\n\n"));
    }
}
