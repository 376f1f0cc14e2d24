//! The prose of a chunk: which of its lines are sentences that a person would
//! read out, and which are headings, code, tables and other debris.

use std::ops::Range;

use super::sentences::{is_item, sentences};

/// A sentence of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    /// Its text on one line, without markup of its block.
    pub(super) text: String,
    /// The block that it comes from, counted from 0 within the chunk.
    pub(super) block: usize,
    /// Whether it reads as prose.
    pub(super) prose: bool,
}

/// Most letters of a sentence that is quoted; longer ones are run-together
/// lists and tables that lost their structure.
const MAX_CHARS: usize = 420;
/// Fewest words of a sentence that says something on its own.
const MIN_WORDS: usize = 4;

/// The sentences of a chunk in order. Chunks may begin and end inside a
/// sentence; such halves are not prose.
pub(super) fn chunk_sentences(text: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    for (number, block) in blocks(text).into_iter().enumerate() {
        let inner = strip_block_markup(&text[block.range.clone()]);
        for range in sentences(&inner) {
            let part = one_line(&inner[range]);
            let part = strip_marks(&part);
            if part.is_empty() {
                continue;
            }
            let cut_off = (block.range.start == 0 && found.is_empty() && starts_inside(&part))
                || (block.range.end == text.trim_end().len()
                    && !ends_whole(&part)
                    && block.kind == Kind::Prose);
            let prose = block.kind == Kind::Prose && !cut_off && reads_as_prose(&part);
            found.push(Sentence {
                text: part,
                block: number,
                prose,
            });
        }
    }
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Prose,
    Heading,
    Debris,
}

struct Block {
    range: Range<usize>,
    kind: Kind,
}

/// Blank lines, headings, list items and fences part blocks. A paragraph of
/// which a third looks like code is code as a whole: comments in it read like
/// prose.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut paragraph: Vec<(Range<usize>, Kind)> = Vec::new();
    let mut fence = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.trim_end().len();
        at += line.len();
        let trimmed = line.trim();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            fence = !fence;
            close_paragraph(text, &mut paragraph, &mut blocks);
        } else if trimmed.is_empty() {
            close_paragraph(text, &mut paragraph, &mut blocks);
        } else {
            let kind = if fence { Kind::Debris } else { line_kind(line) };
            paragraph.push((range, kind));
        }
    }
    close_paragraph(text, &mut paragraph, &mut blocks);
    blocks
}

fn close_paragraph(text: &str, lines: &mut Vec<(Range<usize>, Kind)>, blocks: &mut Vec<Block>) {
    let debris = lines
        .iter()
        .filter(|(_, kind)| *kind == Kind::Debris)
        .count();
    let is_code = lines.len() > 1 && debris * 3 >= lines.len();
    let mut open = false;
    for (range, kind) in lines.drain(..) {
        let kind = if is_code { Kind::Debris } else { kind };
        let continues = open && kind == Kind::Prose && !is_item(text[range.clone()].trim_start());
        match blocks.last_mut() {
            Some(Block { range: block, .. }) if continues => block.end = range.end,
            _ => blocks.push(Block { range, kind }),
        }
        open = kind == Kind::Prose;
    }
}

/// What a line looks like by itself.
fn line_kind(line: &str) -> Kind {
    const CODE_STARTS: &[&str] = &[
        "//", "/*", "*/", "$ ", ">>> ", "|", "<", "}", "@", "%", "#[", "#!", "--- ",
    ];
    const CODE_SIGNS: &[char] = &[
        '{', '}', ';', '=', '<', '>', '|', '\\', '_', '*', '&', '$', '~', '^', '#', '+',
    ];
    let trimmed = line.trim();
    if trimmed.starts_with('#') && trimmed.trim_start_matches('#').starts_with([' ', '\t']) {
        return Kind::Heading;
    }
    let signs = trimmed.chars().filter(|c| CODE_SIGNS.contains(c)).count();
    let is_code = trimmed.ends_with(['{', '}', ';', '\\'])
        || CODE_STARTS.iter().any(|start| trimmed.starts_with(start))
        || signs * 8 > trimmed.chars().count();
    let is_row = trimmed.contains(" | ") || trimmed.contains('\t');
    let indented = line.starts_with("    ") && !is_item(trimmed) && signs > 0;
    if is_code || is_row || indented {
        Kind::Debris
    } else {
        Kind::Prose
    }
}

/// Without quote and list signs at line starts.
fn strip_block_markup(block: &str) -> String {
    let mut lines = Vec::new();
    for (number, line) in block.lines().enumerate() {
        let mut line = line.trim();
        while let Some(rest) = line.strip_prefix('>') {
            line = rest.trim_start();
        }
        if number == 0 && is_item(line) {
            line = line
                .split_once(' ')
                .map_or(line, |(_, rest)| rest.trim_start());
            line = line
                .strip_prefix("[ ] ")
                .or(line.strip_prefix("[x] "))
                .unwrap_or(line);
        }
        lines.push(line);
    }
    lines.join("\n")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without emphasis and without the source's own reference marks, which would
/// read as citations of ours: `[12]` goes, `[text](url)` becomes `text`.
fn strip_marks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_code = false;
    while let Some(c) = rest.chars().next() {
        if c == '`' {
            in_code = !in_code;
        } else if !in_code {
            if rest.starts_with("**")
                || rest.starts_with("__") && !out.ends_with(char::is_alphanumeric)
            {
                rest = &rest[2..];
                continue;
            }
            if c == '['
                && let Some((shown, after)) = link(rest)
            {
                if shown.is_empty() {
                    out.truncate(out.trim_end().len());
                } else {
                    out.push_str(shown);
                }
                rest = after;
                continue;
            }
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out.trim().to_owned()
}

/// What a bracket at the start of `text` shows, and the text after it; none
/// when it is an ordinary bracket.
fn link(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(']')?;
    let (shown, after) = (&inside[..end], &inside[end + 1..]);
    if shown.contains('[') {
        return None;
    }
    if let Some(target) = after.strip_prefix('(') {
        return Some((shown, &target[target.find(')')? + 1..]));
    }
    if let Some(target) = after.strip_prefix('[') {
        return Some((shown, &target[target.find(']')? + 1..]));
    }
    let number = |part: &str| {
        let part = part.trim().trim_start_matches('^');
        (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    let is_reference = !shown.is_empty() && shown.split([',', ';', '-', '–']).all(number);
    is_reference.then_some(("", after))
}

fn starts_inside(text: &str) -> bool {
    let first = text
        .trim_start_matches(['"', '\'', '“', '(', '`'])
        .chars()
        .next();
    first.is_none_or(|c| c.is_lowercase() || matches!(c, ',' | ';' | ')' | '.' | ':' | '-' | '/'))
}

fn ends_whole(text: &str) -> bool {
    text.trim_end_matches(['"', '\'', '”', '’', ')', ']', '*', '_'])
        .ends_with(['.', '!', '?', ':', '…', '。', '！', '？'])
}

fn reads_as_prose(text: &str) -> bool {
    let words = text
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_alphabetic))
        .count();
    let characters = text.chars().count();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let unspaced = text.chars().any(super::words::is_unspaced);
    // Console output and halves of code begin in lower case; names may.
    let first = text.split_whitespace().next().unwrap_or("");
    let begins_well = !first.starts_with(char::is_lowercase)
        || first.contains(['_', '-', '.', ':', '`', '(', '!']);
    let long_enough = words >= MIN_WORDS || (unspaced && characters >= 8);
    begins_well
        && long_enough
        && characters <= MAX_CHARS
        && letters * 10 >= characters * 6
        && ends_whole(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose(text: &str) -> Vec<String> {
        chunk_sentences(text)
            .into_iter()
            .filter(|s| s.prose)
            .map(|s| s.text)
            .collect()
    }

    #[test]
    fn headings_code_and_tables_are_not_prose() {
        let text = "# Ownership rules\n\nEach value has an owner. There can\nonly be one owner.\n\n\
            ```rust\nlet s = String::from(\"x\");\n```\n\n| a | b |\n|---|---|\n| one two | three four five. |\n\n\
            fn main() {\n    println!(\"hi there you all.\");\n}\n\n- The owner drops the value at the end.\n- Next\n";
        assert_eq!(
            prose(text),
            [
                "Each value has an owner.",
                "There can only be one owner.",
                "The owner drops the value at the end."
            ]
        );
    }

    #[test]
    fn halves_at_the_edges_are_not_prose() {
        let text = "and so the value is moved. The variable is no longer valid. After that the compiler will";
        assert_eq!(prose(text), ["The variable is no longer valid."]);
        let text = "-day, --tokens-per-month and the like set a budget. A key may have several.";
        assert_eq!(prose(text), ["A key may have several."]);
    }

    #[test]
    fn marks_of_the_source_do_not_survive() {
        let text = "As was shown before [12], the **method** works [3, 4]. See [the book](http://x/y) for more of `v[1]` please.";
        assert_eq!(
            prose(text),
            [
                "As was shown before, the method works.",
                "See the book for more of `v[1]` please."
            ]
        );
    }

    #[test]
    fn blocks_are_counted() {
        let found = chunk_sentences("One is here now. Two is here now.\n\nThree is here now.");
        assert_eq!(found.iter().map(|s| s.block).collect::<Vec<_>>(), [0, 0, 1]);
    }
}
