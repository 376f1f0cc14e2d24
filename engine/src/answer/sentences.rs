//! Splits running text into sentences, in spite of abbreviations, decimals, versions, initials and
//! code.

use std::ops::Range;

/// Words whose full stop does not end a sentence. Lower case, without the stop.
const ABBREVIATIONS: &[&str] = &[
    "al", "approx", "appx", "art", "assoc", "ca", "cf", "ch", "chap", "co", "corp", "dept", "dr",
    "e.g", "ed", "eds", "eq", "esp", "est", "et al", "fig", "figs", "gen", "gov", "i.e", "inc",
    "incl", "jr", "lt", "ltd", "max", "min", "mr", "mrs", "ms", "mt", "no", "nos", "p", "pp",
    "prof", "ref", "refs", "resp", "rev", "sec", "sect", "sen", "sr", "st", "u.k", "u.s", "viz",
    "vol", "vs",
];

/// Byte ranges of the sentences of `text`, in order, without the white space around them. Citation
/// marks and closing quotes after the final punctuation belong to the sentence. Every character
/// that is not white space is in exactly one sentence. A line break ends a sentence only if a blank
/// line, a list item or a heading follows, or if the line is a heading.
pub(super) fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    // Number of backticks that opened the code at `at`; 0 in prose.
    let mut code = 0;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let next = at + c.len_utf8();
        match c {
            '`' => {
                let run = text[at..].chars().take_while(|c| *c == '`').count();
                at += run;
                code = match code {
                    // Unclosed backticks are ordinary characters.
                    0 if closes(&text[at..], run) => run,
                    open if open == run || (open >= 3 && run >= open) => 0,
                    open => open,
                };
                continue;
            }
            '\n' if code == 0 && block_ends(text, at) => {
                push(text, start..at, &mut found);
                start = next;
            }
            '.' | '!' | '?' | '…' if code == 0 => {
                let end = sentence_end(text, next);
                if ends_here(text, start, at, c, end) {
                    push(text, start..end, &mut found);
                    start = end;
                }
                at = end.max(next);
                continue;
            }
            '。' | '！' | '？' if code == 0 => {
                let end = sentence_end(text, next);
                push(text, start..end, &mut found);
                start = end;
                at = end;
                continue;
            }
            _ => {}
        }
        at = next;
    }
    push(text, start..text.len(), &mut found);
    found
}

/// Sentences that cannot change, however the text continues, and the offset at which the undecided
/// rest begins.
pub(super) fn finished_sentences(text: &str) -> (Vec<Range<usize>>, usize) {
    let mut all = sentences(text);
    // The last one may still grow. If it is only white space so far, a mark may still follow the
    // one before it.
    let last = all.pop().map_or("", |range| &text[range]);
    let opens_mark = last
        .strip_prefix('[')
        .is_some_and(|number| number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit()));
    if opens_mark {
        all.pop();
    }
    if let Some(open) = open_code(text) {
        all.retain(|sentence| sentence.end <= open);
    }
    let rest = all.last().map_or(0, |last| last.end);
    (all, rest)
}

fn push(text: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let part = &text[range.clone()];
    let trimmed = part.trim();
    if trimmed.is_empty() {
        return;
    }
    let start = range.start + (part.len() - part.trim_start().len());
    found.push(start..start + trimmed.len());
}

/// Whether `run` backticks follow before the end of the paragraph.
fn closes(rest: &str, run: usize) -> bool {
    let paragraph = if run >= 3 {
        rest
    } else {
        rest.split("\n\n").next().unwrap_or(rest)
    };
    paragraph.contains(&"`".repeat(run))
}

/// Where code begins that is not closed yet, but still may be.
fn open_code(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        let start = at + found;
        let run = text[start..].chars().take_while(|c| *c == '`').count();
        at = start + run;
        let fence = "`".repeat(run);
        match text[at..].find(&fence) {
            Some(close) if run >= 3 || !text[at..at + close].contains("\n\n") => {
                let close = at + close;
                at = close + text[close..].chars().take_while(|c| *c == '`').count();
            }
            Some(_) => {}
            None if run >= 3 || !text[at..].contains("\n\n") => return Some(start),
            None => {}
        }
    }
    None
}

/// The position after the closing quotes, brackets and citation marks that follow a full stop.
fn sentence_end(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let closing = rest
            .chars()
            .take_while(|c| {
                matches!(
                    c,
                    '.' | '!' | '?' | '"' | '\'' | '”' | '’' | ')' | ']' | '*' | '_' | '»'
                )
            })
            .map(char::len_utf8)
            .sum::<usize>();
        at += closing;
        let spaces = text[at..].len() - text[at..].trim_start_matches([' ', '\t']).len();
        match mark_len(&text[at + spaces..]) {
            Some(len) => at += spaces + len,
            None if closing == 0 => return at,
            None => {}
        }
    }
}

/// Length in bytes of a citation mark at the start of `text`.
pub(super) fn mark_len(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(']')?;
    let number = &inside[..end];
    ((1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()))
        .then_some(end + 2)
}

/// Whether the punctuation at `at` ends the sentence that began at `start`; the quotes and marks
/// that belong to it end at `end`.
fn ends_here(text: &str, start: usize, at: usize, c: char, end: usize) -> bool {
    let after = &text[end..];
    let Some(following) = after.chars().next() else {
        return true;
    };
    if !following.is_whitespace() {
        // `v1.2`, `a.b`, `?x=1`.
        return false;
    }
    let Some(next) = after.trim_start().chars().next() else {
        return true;
    };
    if c != '.' {
        // `Why? because` is rare, and `Yahoo! is` must not be split.
        return !next.is_lowercase();
    }
    if next.is_lowercase() {
        return false;
    }
    let before = &text[start..at];
    let word_start = before
        .rfind(|c: char| c.is_whitespace() || matches!(c, '(' | '['))
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
    let word = before[word_start..].trim_start_matches(['"', '\'', '“', '‘', '*', '_']);
    let lower = word.to_lowercase();
    if ABBREVIATIONS.contains(&lower.as_str()) {
        // `No. 5` and `p. 12`, but `The answer is no.`
        return matches!(lower.as_str(), "no" | "co" | "max" | "min" | "p" | "est")
            && !next.is_numeric();
    }
    // `J. Smith`; but `It is in C. Then` goes on with a word that is not a name.
    let one_capital = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    let next_word = after.split_whitespace().next().unwrap_or("");
    if one_capital && !super::words::is_stop_word(&next_word.to_lowercase()) {
        return false;
    }
    // `1. First` is the number of a list item.
    let item_number =
        word_start == 0 && !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    !item_number
}

/// Whether the line break at `at` ends a block.
fn block_ends(text: &str, at: usize) -> bool {
    let line = text[..at].rsplit('\n').next().unwrap_or("").trim_start();
    let rest = &text[at + 1..];
    let next = rest.split('\n').next().unwrap_or("").trim_start();
    let edge = |line: &str| line.starts_with('#') || line.starts_with("```");
    next.is_empty() || is_item(next) || edge(next) || edge(line)
}

/// Whether a line opens a list item.
pub(super) fn is_item(line: &str) -> bool {
    let bullet = ["- ", "* ", "+ ", "• "]
        .iter()
        .any(|mark| line.starts_with(mark));
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let numbered = (1..=3).contains(&digits)
        && (line[digits..].starts_with(". ") || line[digits..].starts_with(") "));
    bullet || numbered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text)
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    #[test]
    fn plain_sentences() {
        assert_eq!(
            split("It works. Does it? Yes! Good"),
            ["It works.", "Does it?", "Yes!", "Good"]
        );
        assert_eq!(split("  \n "), Vec::<&str>::new());
        assert_eq!(split("東京です。大阪です。"), ["東京です。", "大阪です。"]);
    }

    #[test]
    fn stops_that_end_nothing() {
        for text in [
            "Use e.g. Rust or i.e. Cargo here.",
            "Dr. Smith and Mr. Jones met J. R. Tolkien.",
            "Version 1.2.3 costs 3.14 USD.",
            "See Fig. 3 and No. 5 in vol. 2 of it.",
            "Call foo.bar() or `x. Y` now.",
            "Look at https://example.com/a.b?c=1 first.",
            "The U.S. Senate, Acme Inc. Berlin, et al. Rome agree.",
            "1. First do this.",
            "Files such as .gitignore are read.",
        ] {
            assert_eq!(split(text), [text]);
        }
    }

    #[test]
    fn stops_that_do() {
        assert_eq!(
            split("It is written in C. Then it runs."),
            ["It is written in C.", "Then it runs."]
        );
        assert_eq!(
            split("The answer is no. Try again."),
            ["The answer is no.", "Try again."]
        );
        assert_eq!(
            split("He said \"stop.\" Then he left."),
            ["He said \"stop.\"", "Then he left."]
        );
        assert_eq!(split("It is 5. Next."), ["It is 5.", "Next."]);
    }

    #[test]
    fn marks_belong_to_the_sentence_before_them() {
        assert_eq!(
            split("It is so. [1][2] Then not [3]. End.[1] X"),
            ["It is so. [1][2]", "Then not [3].", "End.[1]", "X"]
        );
        assert_eq!(split("An array [0; 4]. Yes."), ["An array [0; 4].", "Yes."]);
    }

    #[test]
    fn lines() {
        assert_eq!(
            split("# Title\nText goes\non here.\n\nNew one"),
            ["# Title", "Text goes\non here.", "New one"]
        );
        assert_eq!(
            split("Do:\n- one\n- two. Three\n1. four"),
            ["Do:", "- one", "- two.", "Three", "1. four"]
        );
        assert_eq!(
            split("```rust\nlet a = 1. + b;\n\nOk. Fine.\n```\nDone."),
            ["```rust\nlet a = 1. + b;\n\nOk. Fine.\n```", "Done."]
        );
    }

    #[test]
    fn a_growing_text_never_takes_a_finished_sentence_back() {
        let text =
            "It is so. [1] Dr. Who came. He left! [2] \n\nEnd of `a. B` it. Version 1.2 is out";
        let mut seen: Vec<String> = Vec::new();
        for (at, _) in text.char_indices() {
            let (finished, _) = finished_sentences(&text[..at]);
            let finished: Vec<String> = finished
                .into_iter()
                .map(|range| text[range].to_owned())
                .collect();
            assert!(finished.len() >= seen.len(), "{finished:?} after {seen:?}");
            assert_eq!(finished[..seen.len()], seen, "at {at}");
            seen = finished;
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "[ A-Ca-c.!?`\\[\\]1\n#é-]{0,80}") {
            let ranges = sentences(&text);
            let mut end = 0;
            for range in &ranges {
                prop_assert!(range.start >= end && range.end > range.start);
                prop_assert!(text[end..range.start].trim().is_empty());
                end = range.end;
            }
            prop_assert!(text[end..].trim().is_empty());
        }
    }
}
