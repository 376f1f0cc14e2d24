//! The streaming citation checker: text goes in as it is written, checked text
//! and citations come out.
//!
//! It reads `[1]`, `[1, 2]`, `[1-3]`, `[1][2]`, `[Source: 1]`, `[1 and 2]`, `【1】` and
//! their like ([`mark`]) and writes all of them as `[1][2]`. A number that no source has
//! is removed, with the spaces that it leaves behind. Brackets of code, links, formulas
//! and tables of contents ([`markdown`]), indices, types and intervals ([`context`]) are
//! text, and stay as they are. A footnote `[^1]` stays as it is too; it cites source 1
//! unless the text says itself what it stands for.
//!
//! What may still become one thing or another is held back until it is decided, so how
//! the text was cut into deltas cannot change the result.

mod context;
mod mark;
mod markdown;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use self::context::{After, Place};
use self::mark::{Form, Mark};
use self::markdown::{Blocks, Step};
use super::events::Citation;

/// Letters of a paragraph that are kept to know what stands before a bracket.
const MAX_SEEN_CHARS: usize = 120;
/// Letters of a list of lists.
const MAX_LITERAL_CHARS: usize = 200;
/// Letters that two forms of one word share at least.
const STEM_CHARS: usize = 5;

/// One checked step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// Text of the answer, to be appended.
    Text(String),
    /// A citation whose mark ends where the text stands now, or before.
    Citation(Citation),
}

/// The answer that is made of a text which came in these pieces, and the numbers of the
/// sources that it cites, where there are `sources` of them.
pub(super) fn check_pieces(pieces: &[&str], sources: u32) -> (String, Vec<u32>) {
    let mut checker = CitationChecker::new((1..=sources).map(|n| n.to_string()));
    let mut steps: Vec<Checked> = pieces.iter().flat_map(|text| checker.push(text)).collect();
    steps.extend(checker.finish());
    let (mut answer, mut cited) = (String::new(), Vec::new());
    for step in steps {
        match step {
            Checked::Text(text) => answer.push_str(&text),
            Checked::Citation(citation) => cited.push(citation.n),
        }
    }
    (answer, cited)
}

/// Checks the citations of one answer.
pub(super) struct CitationChecker {
    /// `chunk_ids[n - 1]` is the chunk of source `n`.
    chunk_ids: Vec<String>,
    /// The texts of the sources, in small letters, where they are known.
    texts: Vec<String>,
    out: Vec<Checked>,
    /// What is not decided yet.
    pending: Vec<char>,
    blocks: Blocks,
    /// The paragraph so far, as it was written.
    seen: Vec<char>,
    /// A mark ends where the text stands.
    after_mark: bool,
    /// A mark without a space before it was one: others are, too.
    attaches: bool,
    /// Characters sent so far.
    position: usize,
    /// Last character sent, to know where a line begins.
    last: Option<char>,
    /// Spaces that a removed mark may take with it.
    spaces: String,
    /// A mark was removed and nothing was sent since.
    removed: bool,
    /// Marks that pointed nowhere.
    dropped: usize,
    /// Footnotes that may be citations, and those that the text explains.
    footnotes: Vec<Citation>,
    explained: BTreeSet<u32>,
}

impl CitationChecker {
    /// A checker for sources with these chunks; source `n` is the `n`-th.
    pub(super) fn new(chunk_ids: impl IntoIterator<Item = String>) -> Self {
        Self {
            chunk_ids: chunk_ids.into_iter().collect(),
            texts: Vec::new(),
            out: Vec::new(),
            pending: Vec::new(),
            blocks: Blocks::default(),
            seen: Vec::new(),
            after_mark: false,
            attaches: false,
            position: 0,
            last: None,
            spaces: String::new(),
            removed: false,
            dropped: 0,
            footnotes: Vec::new(),
            explained: BTreeSet::new(),
        }
    }

    /// Knows what the sources say, which tells `Monday[1]` from `rows[1]`.
    pub(super) fn reading<'a>(mut self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        self.texts = texts.into_iter().map(str::to_lowercase).collect();
        self
    }

    /// Takes the next text and returns what is decided by now.
    pub(super) fn push(&mut self, delta: &str) -> Vec<Checked> {
        self.pending.extend(delta.chars());
        self.decide(false);
        std::mem::take(&mut self.out)
    }

    /// Takes text that cites nothing, as it is.
    pub(super) fn verbatim(&mut self, text: &str) -> Vec<Checked> {
        self.decide(true);
        text.chars().for_each(|c| self.send(c));
        std::mem::take(&mut self.out)
    }

    /// Takes the mark of source `n`.
    pub(super) fn cite(&mut self, n: u32) -> Vec<Checked> {
        self.decide(true);
        if (1..=self.known()).contains(&n) {
            self.write_mark(n);
        }
        std::mem::take(&mut self.out)
    }

    /// The end of the text: what was held back, as it is.
    pub(super) fn finish(&mut self) -> Vec<Checked> {
        self.decide(true);
        // Spaces at the end carry nothing.
        self.spaces.clear();
        for note in std::mem::take(&mut self.footnotes) {
            if !self.explained.contains(&note.n) {
                self.out.push(Checked::Citation(note));
            }
        }
        std::mem::take(&mut self.out)
    }

    /// Numbers removed so far because no source has them.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    fn known(&self) -> u32 {
        u32::try_from(self.chunk_ids.len()).unwrap_or(u32::MAX)
    }

    /// Works off what can be decided; everything at the `end` of the text.
    fn decide(&mut self, end: bool) {
        let pending = std::mem::take(&mut self.pending);
        let mut at = 0;
        while at < pending.len() {
            let rest = &pending[at..];
            let done = match self.blocks.next(rest, end) {
                Some(Step::Verbatim(len)) => {
                    rest[..len].iter().for_each(|c| self.keep(*c));
                    Some(len)
                }
                Some(Step::Prose(len)) => {
                    rest[..len].iter().for_each(|c| self.prose(*c));
                    Some(len)
                }
                Some(Step::Open) => self.bracket(rest, end),
                None => None,
            };
            match done {
                Some(len) => at += len,
                None => break,
            }
        }
        self.pending = pending[at..].to_vec();
    }

    /// What begins with a bracket: how many letters of it are decided; `None` while that
    /// depends on what follows.
    fn bracket(&mut self, rest: &[char], end: bool) -> Option<usize> {
        let open = rest[0];
        if open == '[' {
            match literal(rest, end)? {
                0 => {}
                len => {
                    rest[..len].iter().for_each(|c| self.keep(*c));
                    return Some(len);
                }
            }
        }
        let len = match enclosed(rest, end)? {
            0 => {
                self.prose(open);
                return Some(1);
            }
            len => len,
        };
        let inside: String = rest[1..len - 1].iter().collect();
        let Some(mark) = mark::read(open, &inside) else {
            self.prose(open);
            return Some(1);
        };
        let begins = self.seen.iter().all(|c| c.is_whitespace());
        let after = context::after(&rest[len..], begins, end)?;
        if mark.form == Form::Footnote {
            self.footnote(&mark, &rest[..len], begins && rest.get(len) == Some(&':'));
        } else if self.is_mark(&mark, after) {
            self.write(&mark);
            rest[..len].iter().for_each(|c| self.see(*c));
            self.after_mark = true;
        } else {
            rest[..len].iter().for_each(|c| self.keep(*c));
        }
        Some(len)
    }

    fn is_mark(&mut self, mark: &Mark, after: After) -> bool {
        let place = Place {
            seen: &self.seen,
            after_mark: self.after_mark,
            known: self.known(),
        };
        let mut attached = false;
        let found = context::is_mark(mark, place, after, |word| {
            attached = true;
            let plain = word.chars().count() > 3 && word.chars().all(char::is_alphabetic);
            (self.attaches && plain) || mark.numbers.iter().any(|n| self.says(*n, word))
        });
        self.attaches |= attached && found;
        found
    }

    /// Whether source `n` says `word`, and nowhere with an index.
    fn says(&self, n: u32, word: &str) -> bool {
        let text = (n as usize)
            .checked_sub(1)
            .and_then(|at| self.texts.get(at));
        let Some(text) = text else { return false };
        let same = |other: &str| {
            let (short, long) = match other.len() < word.len() {
                true => (other, word),
                false => (word, other),
            };
            other == word || (short.chars().count() >= STEM_CHARS && long.starts_with(short))
        };
        let indexed = |text: &String| text.contains(&format!("{word}["));
        !self.texts.iter().any(indexed) && text.split(|c: char| !c.is_alphanumeric()).any(same)
    }

    /// A footnote stays as it is; whether it cites is known at the end.
    fn footnote(&mut self, mark: &Mark, letters: &[char], explains: bool) {
        if explains {
            self.explained.extend(&mark.numbers);
        }
        self.flush_spaces();
        let start = self.position;
        letters.iter().for_each(|c| self.keep(*c));
        if explains {
            return;
        }
        let known = self.known();
        for n in mark.numbers.iter().filter(|n| (1..=known).contains(*n)) {
            let note = self.citation(*n, start);
            self.footnotes.push(note);
        }
    }

    fn write(&mut self, mark: &Mark) {
        let known = self.known();
        let (kept, lost): (Vec<u32>, Vec<u32>) =
            mark.numbers.iter().partition(|n| (1..=known).contains(*n));
        self.dropped += lost.len();
        if kept.is_empty() {
            self.removed = true;
            if self.at_line_start() {
                self.spaces.clear();
            }
            return;
        }
        kept.into_iter().for_each(|n| self.write_mark(n));
    }

    fn write_mark(&mut self, n: u32) {
        self.flush_spaces();
        let start = self.position;
        format!("[{n}]").chars().for_each(|c| self.append(c));
        let citation = self.citation(n, start);
        self.out.push(Checked::Citation(citation));
    }

    /// A citation of source `n` from `start` to where the text stands.
    fn citation(&self, n: u32, start: usize) -> Citation {
        Citation {
            source_start: None,
            source_end: None,
            page: None,
            n,
            chunk_id: self.chunk_ids[n as usize - 1].clone(),
            start,
            end: self.position,
        }
    }

    /// A letter of prose.
    fn prose(&mut self, c: char) {
        if matches!(c, ' ' | '\t') {
            if !(self.removed && self.at_line_start()) {
                self.spaces.push(c);
            }
        } else {
            if self.removed && (is_closing(c) || c == '\n') {
                self.spaces.clear();
            }
            self.send(c);
        }
        self.see(c);
    }

    /// A letter that stays whatever it is.
    fn keep(&mut self, c: char) {
        self.send(c);
        self.see(c);
    }

    fn see(&mut self, c: char) {
        self.after_mark = false;
        if c == '\n' {
            self.seen.clear();
            return;
        }
        if self.seen.len() >= 2 * MAX_SEEN_CHARS {
            self.seen.drain(..MAX_SEEN_CHARS);
        }
        self.seen.push(c);
    }

    fn at_line_start(&self) -> bool {
        matches!(self.last, None | Some('\n'))
    }

    fn flush_spaces(&mut self) {
        if self.removed && self.spaces.len() > 1 {
            // The space before a removed mark and the one after it.
            self.spaces.truncate(1);
        }
        let spaces = std::mem::take(&mut self.spaces);
        spaces.chars().for_each(|c| self.append(c));
        self.removed = false;
    }

    fn send(&mut self, c: char) {
        self.flush_spaces();
        self.append(c);
    }

    fn append(&mut self, c: char) {
        match self.out.last_mut() {
            Some(Checked::Text(text)) => text.push(c),
            _ => self.out.push(Checked::Text(c.to_string())),
        }
        self.position += 1;
        self.last = Some(c);
    }
}

/// The bytes of a mark that `text` begins with, whatever sources there are; `None` if it
/// begins with something else. `before` is what stands before it.
pub(super) fn mark_at(before: &str, text: &str) -> Option<usize> {
    let near = before.ceil_char_boundary(before.len().saturating_sub(MAX_SEEN_CHARS));
    let line = before[near..].rsplit('\n').next().unwrap_or_default();
    let seen: Vec<char> = line.chars().collect();
    let rest: Vec<char> = text.chars().take(MAX_SEEN_CHARS).collect();
    if rest.first() == Some(&'[') && literal(&rest, true) != Some(0) {
        return None;
    }
    let len = enclosed(&rest, true).filter(|len| *len > 0)?;
    let inside: String = rest[1..len - 1].iter().collect();
    let mark = mark::read(rest[0], &inside)?;
    let begins = seen.iter().all(|c| c.is_whitespace());
    let after = context::after(&rest[len..], begins, true)?;
    let place = Place {
        seen: &seen,
        after_mark: false,
        known: u32::MAX,
    };
    let found = mark.form == Form::Footnote || context::is_mark(&mark, place, after, |_| false);
    found.then(|| rest[..len].iter().map(|c| c.len_utf8()).sum())
}

/// `answer` with its citations as the only marks, each after a space: brackets that
/// stand for something else are round.
pub(super) fn only_marks(answer: &str, citations: &[Citation]) -> String {
    let marks = citations.iter().map(|it| (it.start, it.end, it.n));
    let mut marks: Vec<(usize, usize, u32)> = marks.collect();
    marks.sort_unstable();
    let mut marks = marks.into_iter().peekable();
    let mut plain = String::with_capacity(answer.len());
    let mut inside = 0;
    let mut letters = answer.chars().enumerate().peekable();
    while let Some((at, c)) = letters.next() {
        while let Some((_, end, n)) = marks.next_if(|(start, ..)| *start == at) {
            if plain.ends_with(char::is_alphanumeric) {
                plain.push(' ');
            }
            plain.push_str(&format!("[{n}]"));
            inside = inside.max(end);
        }
        if at < inside {
            continue;
        }
        let numbered = letters.peek().is_some_and(|(_, c)| c.is_ascii_digit());
        plain.push(if c == '[' && numbered { '(' } else { c });
    }
    plain
}

/// Punctuation that no space precedes.
fn is_closing(c: char) -> bool {
    matches!(
        c,
        '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '。' | '，' | '、'
    )
}

/// The length of a pair of brackets that may be a mark; 0 when it is none, none while
/// that is not decided.
fn enclosed(rest: &[char], end: bool) -> Option<usize> {
    let open = rest[0];
    let close = mark::closing(open)?;
    for (at, c) in rest.iter().enumerate().skip(1) {
        if *c == close {
            return Some(at + 1);
        }
        if at > mark::MAX_CHARS || !mark::may_hold(open, *c) {
            return Some(0);
        }
    }
    end.then_some(0)
}

/// The length of a list of lists of numbers, `[[1, 2], [3, 4]]`, which cites nothing; 0
/// when `rest` begins with something else, none while that is not decided.
fn literal(rest: &[char], end: bool) -> Option<usize> {
    let (mut depth, mut several, mut nested) = (0, false, false);
    for (at, c) in rest.iter().enumerate().take(MAX_LITERAL_CHARS) {
        match c {
            '[' => {
                depth += 1;
                nested |= depth > 1;
            }
            ']' => depth -= 1,
            ',' => several = true,
            ' ' | '\n' | '.' | '-' | '+' => {}
            c if c.is_ascii_digit() => {}
            _ => return Some(0),
        }
        if depth == 0 {
            return Some(if nested && several { at + 1 } else { 0 });
        }
    }
    (end || rest.len() >= MAX_LITERAL_CHARS).then_some(0)
}
