//! Reasoning that a model writes into its answer, between tags such as `<think>` and
//! `</think>`, taken out of it: it is not an answer, and nothing in it is cited.
//!
//! A block begins where an answer or a line of it does, or after a space; inside code a
//! tag is text. One that is never closed was cut and is reasoning to its end, unless it
//! stands in the middle of a line: somebody writes about tags there. The text is read
//! letter by letter, so how it was cut into deltas cannot change the result.

use futures::StreamExt as _;

use super::super::chat::{ProviderEvent, ProviderStream};

/// What stands between the brackets of such a tag.
const NAMES: &[&str] = &[
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "reflection",
    "scratchpad",
    "seed:think",
    "|begin_of_thought|",
    "|end_of_thought|",
];
/// Brackets of tags. All but the first stand around `think` alone.
const BRACKETS: &[(char, char)] = &[('<', '>'), ('[', ']'), ('◁', '▷')];
/// Longest tag, in letters.
const MAX_TAG_CHARS: usize = 48;
/// Letters of a block in the middle of a line after which it is text.
const MAX_HELD_CHARS: usize = 64 << 10;

/// `stream` with reasoning as texts without a letter.
pub(crate) fn apart(mut stream: ProviderStream) -> ProviderStream {
    async_stream::stream! {
        let mut splitter = Splitter::default();
        while let Some(event) = stream.next().await {
            match event {
                Ok(ProviderEvent::Delta(text)) => {
                    yield Ok(ProviderEvent::Delta(splitter.push(&text)));
                }
                other => {
                    // The text before a call or the end is whole.
                    let held = splitter.finish();
                    if !held.is_empty() {
                        yield Ok(ProviderEvent::Delta(held));
                    }
                    yield other;
                }
            }
        }
    }
    .boxed()
}

/// Takes reasoning out of a text.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    place: Place,
    /// What may become a tag.
    tag: String,
    /// The block that is open, where it may turn out to be text.
    held: String,
    /// Spaces before the first letter: not wanted before a block.
    lead: String,
    /// A letter or a block came.
    begun: bool,
    gap: Gap,
    /// What the line holds so far, to know where it stands.
    line: Line,
    out: String,
}

/// Where a letter stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// In the answer.
    #[default]
    Answer,
    /// In a block; `may_be_text` when it began in the middle of a line.
    Block { may_be_text: bool },
}

/// Which spaces go with the block that was just closed: the gap before it is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Gap {
    #[default]
    None,
    Spaces,
    Lines,
}

/// What is known of the line so far.
#[derive(Debug, Default)]
struct Line {
    /// Something other than spaces came.
    begun: bool,
    /// The last letter.
    last: Option<char>,
    /// Letters of a fence at its beginning.
    fence: (char, usize),
    only_fence: bool,
    /// The fence that is open.
    open: Option<(char, usize)>,
    /// Backticks of a span that is open, and those just read.
    span: usize,
    run: usize,
}

impl Splitter {
    /// Takes the next text; returns what belongs to the answer for certain.
    pub(super) fn push(&mut self, text: &str) -> String {
        text.chars().for_each(|c| self.step(c));
        std::mem::take(&mut self.out)
    }

    /// The end of the text.
    pub(super) fn finish(&mut self) -> String {
        let tag = std::mem::take(&mut self.tag);
        match self.place {
            Place::Answer => tag.chars().for_each(|c| self.answer(c)),
            Place::Block { may_be_text: true } => {
                let held = std::mem::take(&mut self.held) + &tag;
                held.chars().for_each(|c| self.answer(c));
            }
            Place::Block { may_be_text: false } => {}
        }
        self.place = Place::Answer;
        self.out.push_str(&std::mem::take(&mut self.lead));
        std::mem::take(&mut self.out)
    }

    fn step(&mut self, c: char) {
        if !self.tag.is_empty() {
            self.tag.push(c);
            match tag(&self.tag) {
                Tag::Open if self.place == Place::Answer => return self.open(),
                Tag::Close if self.place != Place::Answer => return self.close(),
                // A closing tag right after a block says nothing more.
                Tag::Close if self.gap != Gap::None => return self.tag.clear(),
                Tag::Maybe => return,
                _ => {}
            }
            // The first letter is none of a tag; the others may begin one.
            let tag = std::mem::take(&mut self.tag);
            let mut letters = tag.chars();
            if let Some(first) = letters.next() {
                self.plain(first);
            }
            letters.for_each(|c| self.step(c));
            return;
        }
        let may_begin = match self.place {
            Place::Answer => self.line.may_open(),
            Place::Block { .. } => true,
        };
        match may_begin && BRACKETS.iter().any(|(open, _)| *open == c) {
            true => self.tag.push(c),
            false => self.plain(c),
        }
    }

    /// A letter that belongs to no tag.
    fn plain(&mut self, c: char) {
        match self.place {
            Place::Answer => self.answer(c),
            Place::Block { may_be_text: true } => {
                self.held.push(c);
                if self.held.len() > MAX_HELD_CHARS {
                    self.give_up();
                }
            }
            Place::Block { may_be_text: false } => {}
        }
    }

    fn open(&mut self) {
        let may_be_text = self.line.begun;
        self.place = Place::Block { may_be_text };
        let tag = std::mem::take(&mut self.tag);
        if may_be_text {
            self.held = tag;
        }
        self.lead.clear();
        self.begun = true;
    }

    fn close(&mut self) {
        self.gap = match self.place {
            Place::Block { may_be_text: true } => Gap::Spaces,
            _ => Gap::Lines,
        };
        self.tag.clear();
        self.held.clear();
        self.place = Place::Answer;
    }

    /// What was held as a block is text.
    fn give_up(&mut self) {
        self.place = Place::Answer;
        let held = std::mem::take(&mut self.held);
        held.chars().for_each(|c| self.answer(c));
    }

    fn answer(&mut self, c: char) {
        let goes = match self.gap {
            Gap::None => false,
            Gap::Spaces => matches!(c, ' ' | '\t'),
            Gap::Lines => c.is_whitespace(),
        };
        if goes {
            return;
        }
        self.gap = Gap::None;
        if !self.begun {
            self.lead.push(c);
            if c.is_whitespace() {
                return;
            }
            self.begun = true;
            let lead = std::mem::take(&mut self.lead);
            lead.chars().for_each(|c| self.line.follow(c));
            self.out.push_str(&lead);
            return;
        }
        self.line.follow(c);
        self.out.push(c);
    }
}

impl Line {
    /// Whether a tag may open here.
    fn may_open(&self) -> bool {
        let spaced = self.last.is_none_or(char::is_whitespace);
        spaced && self.open.is_none() && self.span == 0
    }

    /// Follows fences and spans of Markdown.
    fn follow(&mut self, c: char) {
        if c == '\n' {
            self.end();
            return;
        }
        if matches!(c, '`' | '~') && (!self.begun || (self.only_fence && c == self.fence.0)) {
            self.fence = (c, if self.begun { self.fence.1 + 1 } else { 1 });
            self.only_fence = true;
        } else if !c.is_whitespace() {
            self.only_fence = false;
        }
        if c == '`' {
            self.run += 1;
        } else {
            self.end_run();
        }
        self.begun |= !c.is_whitespace();
        self.last = Some(c);
    }

    fn end_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        if run > 0 {
            self.span = match self.span {
                0 => run,
                open if open == run => 0,
                open => open,
            };
        }
    }

    fn end(&mut self) {
        let (letter, count) = self.fence;
        self.open = match self.open {
            None if count >= 3 => Some(self.fence),
            Some((open, least)) if self.only_fence && letter == open && count >= least => None,
            other => other,
        };
        // A span that the line does not close is taken for a stray tick.
        *self = Self {
            last: Some('\n'),
            open: self.open,
            ..Self::default()
        };
    }
}

/// What a text that begins with a bracket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Open,
    Close,
    /// It may become one.
    Maybe,
    Not,
}

fn tag(text: &str) -> Tag {
    let mut letters = text.chars();
    let first = letters.next();
    let Some((open, end)) = BRACKETS.iter().find(|(open, _)| Some(*open) == first) else {
        return Tag::Not;
    };
    let names = match open {
        '<' => NAMES,
        _ => &NAMES[..1],
    };
    let inside = letters.as_str();
    let (inside, whole) = match inside.strip_suffix(*end) {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let (inside, closes) = match inside.strip_prefix('/') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let lower = inside.to_ascii_lowercase();
    // Attributes may follow the name.
    let name = lower.split([' ', '\t']).next().unwrap_or_default();
    if text.chars().count() > MAX_TAG_CHARS || inside.contains(['\n', '<', '>']) {
        return Tag::Not;
    }
    let is_name = names.contains(&name);
    match (whole, is_name) {
        (true, true) if closes || name.starts_with("|end") => Tag::Close,
        (true, true) => Tag::Open,
        (true, false) => Tag::Not,
        (false, true) => Tag::Maybe,
        (false, false) if name.len() < lower.len() => Tag::Not,
        (false, false) if names.iter().any(|known| known.starts_with(name)) => Tag::Maybe,
        (false, false) => Tag::Not,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&str]) -> String {
        let mut splitter = Splitter::default();
        let mut answer: String = pieces.iter().map(|piece| splitter.push(piece)).collect();
        answer.push_str(&splitter.finish());
        answer
    }

    #[test]
    fn reasoning_is_no_answer() {
        for (text, expected) in [
            (
                "<think>The user asks [1].</think>\n\nMonday [1].",
                "Monday [1].",
            ),
            ("\n <think>\nhm\n</think>Monday.", "Monday."),
            ("<thinking>a < b</thinking> Monday.", "Monday."),
            ("<Reasoning>hm</Reasoning>Monday.", "Monday."),
            ("<think></think>\n\nMonday.", "Monday."),
            ("<think>a</think>\n<think>b</think>\nMonday.", "Monday."),
            ("<think>a</think></think>Monday.", "Monday."),
            ("<think>a<think>b</think>Monday.", "Monday."),
            ("<think signature=\"x\">a</think>Monday.", "Monday."),
            ("[THINK]a[/THINK]Monday.", "Monday."),
            ("◁think▷a◁/think▷Monday.", "Monday."),
            ("<|begin_of_thought|>a<|end_of_thought|>Monday.", "Monday."),
            ("<think>never closed", ""),
            ("<think>cut in its end</thi", ""),
            (
                "Monday.\n\n<think>check</think>\n\nTuesday.",
                "Monday.\n\nTuesday.",
            ),
            (
                "Monday [1]. <think>check</think> Tuesday.",
                "Monday [1]. Tuesday.",
            ),
            ("Monday.\n<think>never closed", "Monday.\n"),
        ] {
            assert_eq!(split(&[text]), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_about_tags_is() {
        for text in [
            "Use `<think>x</think>` here.",
            "```\n<think>\nx\n</think>\n```\nMonday.",
            "~~~~\n```\n<think>x</think>\n~~~\n~~~~\nMonday.",
            "The tag <think> opens it.",
            "a<think>b</think>",
            "<thinker>x</thinker>",
            "<p>think</p> [1] < 3 [THINKER]",
            "Orphan </think> stays.",
            "<",
            "[1] is first.",
            "  two spaces",
        ] {
            assert_eq!(split(&[text]), text);
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("<think>"), Just("</think>"), Just("<"), Just("[THINK]"), Just("[/THINK]"),
                    Just(" "), Just("\n"), Just("`"), Just("```"), Just("~~~"), Just("word"), Just("[1]"), Just("é"),
                ],
                0..24,
            ),
            cut in 1usize..7,
        ) {
            let text = pieces.concat();
            let letters: Vec<char> = text.chars().collect();
            let cuts: Vec<String> = letters.chunks(cut).map(|part| part.iter().collect()).collect();
            let cuts: Vec<&str> = cuts.iter().map(String::as_str).collect();
            prop_assert_eq!(split(&cuts), split(&[&text]));
        }
    }
}
