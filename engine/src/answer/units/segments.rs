//! Splits a text into the pieces that are scored: the sentences of its prose, and the lines of
//! everything else. models/train/reading/segments.py splits in the same way, so that the reader is
//! trained on what it scores here.

use std::ops::Range;

use super::lines::{
    Form, form, gap_column, gap_column_above, has_prompt, indent, is_directive, is_rule, is_term,
};
use crate::answer::sentences::{is_item, sentences};

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::answer) enum Kind {
    /// A sentence of running text.
    Sentence,
    /// The first sentence of a list item.
    Item,
    /// A separate line without final punctuation: a heading, a term, an option.
    Label,
    /// A row of a table.
    Row,
    /// A line of code or configuration.
    Code,
}

/// Longest line that may be a heading or term, in bytes.
const MAX_LABEL: usize = 100;

/// A range of a text that is scored as one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::answer) struct Segment {
    /// Bytes of the text, without white space around them.
    pub(in crate::answer) range: Range<usize>,
    pub(in crate::answer) kind: Kind,
    /// The paragraph, table or block of code that contains it, counted from 0.
    pub(in crate::answer) block: usize,
    /// Columns before the block's first line.
    pub(in crate::answer) indent: usize,
}

/// The segments of `text`, in order. `code_blocks` are the byte ranges of the known blocks of code,
/// in order; other lines are code if they look like it.
pub(in crate::answer) fn segments(text: &str, code_blocks: &[Range<usize>]) -> Vec<Segment> {
    let mut cutter = Cutter {
        text,
        found: Vec::new(),
        paragraph: Vec::new(),
        column: None,
        block: 0,
    };
    let (mut at, mut fenced, mut before) = (0, false, Form::Blank);
    // Columns before a command at a prompt: its output is below it.
    let mut prompt = None;
    let (mut blocks, mut block_before) = (code_blocks.iter().peekable(), None);
    for line in text.split_inclusive('\n') {
        let range = at..at + line.trim_end_matches(['\n', '\r']).len();
        at += line.len();
        let bare = &text[range.clone()];
        while blocks.next_if(|block| block.end <= range.start).is_some() {}
        let block = blocks
            .peek()
            .filter(|block| block.start < range.end.max(range.start + 1));
        let begins = block != block_before.as_ref();
        block_before = block.copied();
        let here = match form(bare) {
            Form::Blank if fenced || block.is_some() => continue,
            _ if block.is_some() => Form::Code,
            Form::Fence => Form::Fence,
            _ if fenced => Form::Code,
            Form::Text if prompt == Some(indent(bare)) => Form::Code,
            form => form,
        };
        prompt = match here {
            Form::Code if has_prompt(bare) && indent(bare) > 0 => Some(indent(bare)),
            Form::Code => prompt,
            _ => None,
        };
        match here {
            Form::Fence => {
                cutter.close();
                fenced = !fenced;
                cutter.block += 1;
            }
            Form::Blank => cutter.close(),
            Form::Row | Form::Code => {
                cutter.close();
                let kind = if here == Form::Row {
                    Kind::Row
                } else {
                    Kind::Code
                };
                if before != here || begins {
                    cutter.block += 1;
                }
                cutter.push(range, kind, indent(bare));
            }
            Form::Text => {
                let goes_on = cutter.goes_on(bare);
                if !goes_on {
                    cutter.close();
                }
                if cutter.paragraph.is_empty() {
                    let next = text[at..].lines().next().unwrap_or_default();
                    cutter.column = gap_column_above(bare, next);
                }
                cutter.paragraph.push(range);
            }
        }
        before = here;
    }
    cutter.close();
    cutter.found
}

struct Cutter<'t> {
    text: &'t str,
    found: Vec<Segment>,
    /// Lines of the open paragraph.
    paragraph: Vec<Range<usize>>,
    /// Where the text to the right of a term begins, in its first line.
    column: Option<usize>,
    block: usize,
}

impl Cutter<'_> {
    fn push(&mut self, range: Range<usize>, kind: Kind, indent: usize) {
        let part = &self.text[range.clone()];
        let start = range.start + (part.len() - part.trim_start().len());
        let range = start..start + part.trim().len();
        let part = &self.text[range.clone()];
        if !part.is_empty() && !is_rule(part) && !is_directive(part) {
            let block = self.block;
            self.found.push(Segment {
                range,
                kind,
                block,
                indent,
            });
        }
    }

    /// Ends the open paragraph: its sentences become segments.
    fn close(&mut self) {
        let (Some(first), Some(last)) = (self.paragraph.first(), self.paragraph.last()) else {
            return;
        };
        let whole = first.start..last.end;
        let line = &self.text[first.clone()];
        let (lines, indent) = (self.paragraph.len(), indent(line));
        let item = is_item(line.trim_start());
        let bare = self.text[whole.clone()].trim();
        let label = lines == 1
            && !item
            && bare.len() <= MAX_LABEL
            && self.column.is_none()
            && !bare.ends_with([
                '.', '!', '?', ':', ',', ';', '…', '。', '！', '？', '\u{2010}',
            ]);
        self.block += 1;
        self.paragraph.clear();
        if label {
            self.push(whole, Kind::Label, indent);
            self.block += 1;
            return;
        }
        let (mut whole, mut indent) = (whole, indent);
        if let Some(column) = self.column.filter(|_| !item) {
            // A term by itself, so that each sentence about it can be shown with it.
            let split = whole.start + column;
            let term = self.text[whole.start..split].trim();
            if term.starts_with(|c: char| !c.is_uppercase()) {
                self.push(whole.start..split, Kind::Label, indent);
                self.block += 1;
                (whole.start, indent) = (split, column);
            }
        }
        let mut kind = if item { Kind::Item } else { Kind::Sentence };
        for part in sentences(&self.text[whole.clone()]) {
            self.push(
                whole.start + part.start..whole.start + part.end,
                kind,
                indent,
            );
            kind = Kind::Sentence;
        }
        self.block += 1;
    }

    /// Whether `line` continues the open paragraph.
    fn goes_on(&self, line: &str) -> bool {
        let Some(first) = self.paragraph.first() else {
            return false;
        };
        let (opens, first) = (first.start == 0, &self.text[first.clone()]);
        if is_item(line.trim_start()) {
            return false;
        }
        let last = &self.text[self.paragraph[self.paragraph.len() - 1].clone()];
        if last.ends_with('\u{2010}') {
            // A broken word.
            return true;
        }
        let (here, item) = (indent(line), is_item(first.trim_start()));
        if opens && self.paragraph.len() == 1 && indent(first) == 0 && !item {
            // A text may begin in the middle of a line.
            return !first.trim_end().ends_with(['.', ':']) && !is_term(first);
        }
        if let Some(column) = self.column {
            // Some manual pages continue directly below the term.
            let goes_on_below = here == indent(first) && !is_term(line) && !ends_sentence(last);
            return here.abs_diff(column) <= 1 || goes_on_below;
        }
        if is_term(line) && (gap_column(line).is_some() || is_term(first)) {
            return false;
        }
        if self.paragraph.len() > 1 {
            here.abs_diff(indent(last)) <= 1
        } else if item {
            here > indent(first) || here == 0
        } else {
            here.abs_diff(indent(first)) <= 1
        }
    }
}

fn ends_sentence(line: &str) -> bool {
    line.trim_end().ends_with(['.', '!', '?', ':'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<(Kind, &str)> {
        segments(text, &[])
            .into_iter()
            .map(|segment| (segment.kind, &text[segment.range]))
            .collect()
    }

    #[test]
    fn a_manual_page() {
        let text = "       --port=PORT\n              This  specifies  a port other\n              than 873.  See below.\n\n       -v        Say more.  Say\n                 much more.\n       -q        Say less.\n";
        assert_eq!(
            cut(text),
            [
                (Kind::Label, "--port=PORT"),
                (
                    Kind::Sentence,
                    "This  specifies  a port other\n              than 873."
                ),
                (Kind::Sentence, "See below."),
                (Kind::Label, "-v"),
                (Kind::Sentence, "Say more."),
                (Kind::Sentence, "Say\n                 much more."),
                (Kind::Label, "-q"),
                (Kind::Sentence, "Say less."),
            ]
        );
    }

    #[test]
    fn terms_beside_what_they_mean() {
        let text = "       start  Start it.  It is\n              searched for.\n\n       --limit=0      limits the rate. (default: un\u{2010}\n       limited)\n\n       --quiet      be quiet\n";
        assert_eq!(
            cut(text),
            [
                (Kind::Label, "start"),
                (Kind::Sentence, "Start it."),
                (Kind::Sentence, "It is\n              searched for."),
                (Kind::Label, "--limit=0"),
                (Kind::Sentence, "limits the rate."),
                (Kind::Sentence, "(default: un\u{2010}\n       limited)"),
                (Kind::Label, "--quiet"),
                (Kind::Sentence, "be quiet"),
            ]
        );
    }

    #[test]
    fn what_a_command_prints_is_code() {
        let text = "Mount it::\n\n    $ tool mount /mnt\n    enter password:\n    Now serving /mnt\n\nDone.\n";
        let kinds: Vec<Kind> = cut(text).into_iter().map(|(kind, _)| kind).collect();
        use Kind::{Code, Sentence};
        assert_eq!(kinds, [Sentence, Code, Code, Code, Sentence]);
    }

    #[test]
    fn known_code_is_code_whatever_it_looks_like() {
        let code =
            "with open(path) as file:\n    - for line in file:\n\n        print(line)\na | b";
        let text = format!("Read it:\n\n{code}\n\nrun it now\n\nThen look at the lines.\n");
        let blocks = [10..10 + code.len(), 12 + code.len()..22 + code.len()];
        let found = segments(&text, &blocks);
        let kinds: Vec<Kind> = found.iter().map(|segment| segment.kind).collect();
        use Kind::{Code, Sentence};
        assert_eq!(kinds, [Sentence, Code, Code, Code, Code, Code, Sentence]);
        let blocks: Vec<usize> = found.iter().map(|segment| segment.block).collect();
        assert!(blocks[1..5].iter().all(|block| *block == blocks[1]));
        assert_ne!(blocks[4], blocks[5]);
        assert_eq!(&text[found[5].range.clone()], "run it now");
    }

    #[test]
    fn code_rows_items_and_headings() {
        let text = "Retries\n\nTwo settings exist:\n\n- the first. It counts.\n- the second\n\n# most\nmax = 5\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nrun it\n\nagain.\n```\n";
        let kinds: Vec<Kind> = cut(text).into_iter().map(|(kind, _)| kind).collect();
        use Kind::{Code, Item, Label, Row, Sentence};
        assert_eq!(
            kinds,
            [
                Label, Sentence, Item, Sentence, Item, Code, Code, Row, Row, Code, Code
            ]
        );
        let blocks: Vec<usize> = segments(text, &[]).iter().map(|s| s.block).collect();
        assert_eq!(blocks[5], blocks[6]);
        assert_eq!(blocks[7], blocks[8]);
        assert_eq!(blocks[9], blocks[10]);
        assert_ne!(blocks[6], blocks[7]);
        assert_ne!(blocks[2], blocks[4]);
    }

    proptest! {
        #[test]
        fn segments_are_apart_and_hold_every_word(text in "[ a-c.#|`=$\n-]{0,120}") {
            let found = segments(&text, &[]);
            let mut end = 0;
            for segment in &found {
                prop_assert!(segment.range.start >= end && !segment.range.is_empty());
                end = segment.range.end;
            }
            let held: usize = found
                .iter()
                .map(|s| text[s.range.clone()].chars().filter(|c| c.is_alphabetic()).count())
                .sum();
            let fences: usize = text
                .lines()
                .filter(|line| line.trim().starts_with("```"))
                .map(|line| line.chars().filter(|c| c.is_alphabetic()).count())
                .sum();
            prop_assert_eq!(held + fences, text.chars().filter(|c| c.is_alphabetic()).count());
        }
    }
}
