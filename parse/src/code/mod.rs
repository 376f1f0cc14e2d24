//! Source code and configuration: the text as it stands, its definitions as
//! sections, the comment that the file opens with as its description.
//!
//! A language is one line in [`languages::LANGUAGES`].

mod languages;

use super::Input;
use super::draft::Draft;
use super::format::Format;
use crate::{Error, ErrorKind, Result};
use languages::Language;

/// Source code of any language.
pub(super) const FORMAT: Format = Format {
    name: "code",
    content_types: &[
        "text/x-python",
        "text/x-c",
        "text/javascript",
        "application/javascript",
    ],
    looks_like: |text| text.starts_with("#!"),
    ..Format::new(parse)
};

/// Longer lines are generated; no definition is looked for in them.
const MAX_LINE_BYTES: usize = 400;
/// A file of at least this size whose lines are longer than that on average is a
/// bundle or a search index that a machine wrote: it would fill the results with
/// noise, and a documentation site has one alongside every few pages.
const MIN_GENERATED_BYTES: usize = 16 * 1024;
/// Lines above a definition that may be its comment.
const MAX_COMMENT_LINES: usize = 200;

/// Words that look like the name of a function before a bracket.
const CONTROL: &[&str] = &[
    "if",
    "for",
    "while",
    "switch",
    "return",
    "catch",
    "else",
    "do",
    "case",
    "when",
    "match",
    "sizeof",
    "defined",
    "assert",
    "new",
    "throw",
    "await",
    "yield",
    "with",
    "using",
    "lock",
    "synchronized",
    "until",
    "unless",
    "foreach",
    "elseif",
    "elif",
    "typeof",
    "delete",
    "super",
];

/// Whether a file of this name is source code.
pub(super) fn is_source_name(name: &str) -> bool {
    languages::by_name(name).is_some()
}

fn parse(source: &Input<'_>, draft: &mut Draft) -> Result<()> {
    let text = source.text();
    let lines: Vec<&str> = text.lines().collect();
    if text.len() >= MIN_GENERATED_BYTES && text.len() / lines.len().max(1) > MAX_LINE_BYTES {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "generated or minified code, which is not for reading",
        ));
    }
    let language = languages::by_name(source.name)
        .or_else(|| languages::by_interpreter(lines.first().copied().unwrap_or("")));
    let Some(language) = language else {
        draft.push(&text);
        return Ok(());
    };
    draft.fact("programming_language", language.name);
    if let Some(description) = description(&lines) {
        draft.fact("description", description);
    }
    let mut found = definitions(&lines, language).into_iter().peekable();
    for (number, line) in lines.iter().enumerate() {
        while let Some(definition) = found.next_if(|definition| definition.start == number) {
            draft.open_section(definition.level, &definition.heading);
        }
        draft.push(line);
        draft.push("\n");
        if draft.is_full() {
            break;
        }
    }
    Ok(())
}

struct Definition {
    heading: String,
    level: u8,
    /// The line at which it starts, with the comment above it.
    start: usize,
}

fn definitions(lines: &[&str], language: &Language) -> Vec<Definition> {
    let mut found: Vec<Definition> = Vec::new();
    let Some(pattern) = &*language.definition else {
        return found;
    };
    let mut indents: Vec<usize> = Vec::new();
    let mut free_from = 0;
    for (number, line) in lines.iter().enumerate() {
        if line.len() > MAX_LINE_BYTES {
            continue;
        }
        let Some(heading) = heading(pattern, line) else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        while indents.last().is_some_and(|outer| *outer >= indent) {
            indents.pop();
        }
        indents.push(indent);
        let start = comment_above(lines, number, free_from, indent);
        free_from = number + 1;
        found.push(Definition {
            heading,
            level: u8::try_from(indents.len()).unwrap_or(u8::MAX),
            start,
        });
    }
    found
}

fn heading(pattern: &regex::Regex, line: &str) -> Option<String> {
    let captures = pattern.captures(line)?;
    let heading = captures.iter().skip(1).flatten().next()?.as_str();
    let heading = heading
        .trim_end_matches([' ', '{', '(', ':', '=', '\t'])
        .trim();
    let first = heading
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()?;
    (!heading.is_empty() && !CONTROL.contains(&first)).then(|| heading.to_owned())
}

/// The first of the comment and attribute lines right above a definition.
fn comment_above(lines: &[&str], number: usize, free_from: usize, indent: usize) -> usize {
    let mut start = number;
    while start > free_from && number - start < MAX_COMMENT_LINES {
        let above = lines[start - 1];
        let text = above.trim_start();
        let marked = [
            "//", "#", "/*", "*", "--", ";", "%", "@", "\"\"\"", "'''", "(*", "{-",
        ]
        .iter()
        .any(|mark| text.starts_with(mark));
        if !marked || text.starts_with("#include") || above.len() - text.len() < indent {
            break;
        }
        start -= 1;
    }
    start
}

/// The first paragraph of the comment at the top, unless it is a licence.
fn description(lines: &[&str]) -> Option<String> {
    const MARKS: &[&str] = &[
        "//!", "///", "//", "/**", "/*", "*/", "*", "\"\"\"", "'''", "#", "--", ";;;", ";;", ";",
        "%", "{-", "(*",
    ];
    let mut words = String::new();
    let mut inside = None;
    for line in lines.iter().take(40) {
        let line = line.trim();
        if words.is_empty() && (line.is_empty() || line.starts_with("#!") || line.contains("-*-")) {
            continue;
        }
        let mark = MARKS.iter().find(|mark| line.starts_with(**mark));
        if mark.is_none() && inside.is_none() {
            break;
        }
        if mark.is_some_and(|mark| matches!(*mark, "\"\"\"" | "'''" | "/*" | "/**" | "{-" | "(*")) {
            inside = mark;
        }
        let body = mark.map_or(line, |mark| &line[mark.len()..]);
        let body = body
            .trim_end_matches("*/")
            .trim_end_matches("\"\"\"")
            .trim_end_matches("'''");
        if body.trim().is_empty() {
            if words.is_empty() {
                continue;
            }
            break;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(body.trim());
    }
    let lower = words.to_lowercase();
    let legal = ["copyright", "license", "licence", "spdx-"]
        .iter()
        .any(|w| lower.contains(w));
    (!legal && words.split_whitespace().count() >= 3).then_some(words)
}

#[cfg(test)]
mod tests;
