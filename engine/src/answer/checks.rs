//! What the evaluation of answers examines: the claims of an answer, as the answerer itself sees
//! them, and the units that people read.

use super::citations::only_marks;
use super::events::Citation;
use super::grounding;
use super::sentences::{is_item, sentences};
use crate::text::one_line;

/// A part of an answer that a source must support.
pub struct Claim {
    /// The text without its marks.
    pub text: String,
    /// The numbers it cites.
    pub cites: Vec<u32>,
}

/// The claims of `answer`, given its citations.
pub fn claims(answer: &str, citations: &[Citation]) -> Vec<Claim> {
    grounding::claims(&only_marks(answer, citations))
        .into_iter()
        .map(|claim| Claim {
            text: claim.text,
            cites: claim.cites,
        })
        .collect()
}

/// `answer` without its `[n]` marks. Other brackets stay, as in `a[0]`.
pub fn without_marks(answer: &str) -> String {
    grounding::split_marks(answer).0
}

/// The units of `answer` that people read one after the other: sentences, and blocks (code, lists,
/// tables). A sentence that ends in a colon forms one unit with the block after it. Without marks
/// and line ends; headings are left out.
pub fn units(answer: &str) -> Vec<String> {
    let mut units = Units::default();
    let mut is_code = false;
    for line in answer.lines() {
        let start = line.trim_start();
        let is_row = is_item(start) || start.starts_with(['|', '>']) || line.contains(" | ");
        if start.starts_with("```") || start.starts_with("~~~") {
            units.end();
            is_code = !is_code;
        } else if is_code {
            units.block.push(start.trim_end().to_owned());
        } else if start.is_empty() || start.starts_with('#') {
            units.end();
        } else if is_row || line.starts_with("    ") || line.starts_with('\t') {
            units.end_prose();
            units.block.push(grounding::split_marks(start.trim_end()).0);
        } else {
            units.end_block();
            units.prose.push_str(line);
            units.prose.push('\n');
        }
    }
    units.end();
    units.found
}

#[derive(Default)]
struct Units {
    found: Vec<String>,
    prose: String,
    block: Vec<String>,
}

impl Units {
    fn end(&mut self) {
        self.end_prose();
        self.end_block();
    }

    fn end_prose(&mut self) {
        let prose = std::mem::take(&mut self.prose);
        for range in sentences(&prose) {
            let (text, _) = grounding::split_marks(&prose[range]);
            let text = one_line(&text);
            if !text.is_empty() {
                self.found.push(text);
            }
        }
    }

    fn end_block(&mut self) {
        let text = one_line(&std::mem::take(&mut self.block).join(" "));
        match self.found.last_mut() {
            _ if text.is_empty() => {}
            Some(lead) if lead.ends_with(':') => {
                lead.push(' ');
                lead.push_str(&text);
            }
            _ => self.found.push(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_what_people_read() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("# Title\n\n", &[]),
            (
                "It is so [1]. And e.g. that [2].\n\nMore [1].",
                &["It is so.", "And e.g. that.", "More."],
            ),
            (
                "Settings [1]:\n\n- `a`: one\n- `b`: two\n\nThen go [2].",
                &["Settings: - `a`: one - `b`: two", "Then go."],
            ),
            (
                "Run this [1]:\n\n```\ncp a[1] b\n\nls\n```\nDone.",
                &["Run this: cp a[1] b ls", "Done."],
            ),
            (
                "- one [1]\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |",
                &["- one - two", "| a | b | |---|---| | 1 | 2 |"],
            ),
            (
                "Before\n1. first\n2. second",
                &["Before", "1. first 2. second"],
            ),
            ("```\nnever closed", &["never closed"]),
        ];
        for (answer, expected) in cases {
            assert_eq!(units(answer), *expected, "{answer}");
        }
    }
}
