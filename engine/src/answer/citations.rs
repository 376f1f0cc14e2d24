//! The streaming citation checker: text goes in as it is written, checked text
//! and citations come out.
//!
//! It reads `[1]`, `[1, 2]`, `[1-3]`, `[1][2]`, `[Source: 1]`, `[1 and 2]`, `【1】` and similar marks
//! ([`mark`]) and writes all of them as `[1][2]`. A number without a source is removed, with the
//! spaces that it leaves behind. Brackets of code, links, formulas and tables of contents
//! ([`markdown`]), indices, types and intervals ([`context`]) are text and stay as they are. A
//! footnote `[^1]` also stays; it cites source 1 unless the text itself explains the footnote.
//!
//! Text is held back until its meaning is clear, so the result does not depend on how the text was
//! split into deltas.

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

/// How many characters of a paragraph are kept, to know what precedes a bracket.
const MAX_SEEN_CHARS: usize = 120;
/// Maximum length of a list of lists, in characters.
const MAX_LITERAL_CHARS: usize = 200;
/// Minimum number of characters that two forms of a word share.
const STEM_CHARS: usize = 5;

/// One checked step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// Text to append to the answer.
    Text(String),
    /// A citation whose mark ends at or before the current end of the text.
    Citation(Citation),
}

/// The answer made from a text that arrived in these pieces, and the numbers of the sources that it
/// cites, out of `sources` sources.
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
    /// The texts of the sources in lower case, as far as they are known.
    texts: Vec<String>,
    out: Vec<Checked>,
    /// Text that is not decided yet.
    pending: Vec<char>,
    blocks: Blocks,
    /// The paragraph so far, as it was written.
    seen: Vec<char>,
    /// The text sent so far ends with a mark.
    after_mark: bool,
    /// A bracket directly after a word was a mark, so others may be, too.
    attaches: bool,
    /// Characters sent so far.
    position: usize,
    /// Last character sent, to know whether a line begins.
    last: Option<char>,
    /// Spaces to be removed if the next mark is removed.
    spaces: String,
    /// A mark was removed and nothing has been sent since.
    removed: bool,
    /// Marks without a source.
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

    /// Adds the texts of the sources, to distinguish `Monday[1]` from `rows[1]`.
    pub(super) fn reading<'a>(mut self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        self.texts = texts.into_iter().map(str::to_lowercase).collect();
        self
    }

    /// Takes the next piece of text and returns everything decided so far.
    pub(super) fn push(&mut self, delta: &str) -> Vec<Checked> {
        self.pending.extend(delta.chars());
        self.decide(false);
        std::mem::take(&mut self.out)
    }

    /// Takes text without citations, unchanged.
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

    /// Ends the text: returns what was held back, unchanged.
    pub(super) fn finish(&mut self) -> Vec<Checked> {
        self.decide(true);
        // Trailing spaces are dropped.
        self.spaces.clear();
        for note in std::mem::take(&mut self.footnotes) {
            if !self.explained.contains(&note.n) {
                self.out.push(Checked::Citation(note));
            }
        }
        std::mem::take(&mut self.out)
    }

    /// Numbers removed so far because they have no source.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    fn known(&self) -> u32 {
        u32::try_from(self.chunk_ids.len()).unwrap_or(u32::MAX)
    }

    /// Processes what can be decided; at the `end` of the text, everything.
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

    /// Handles text that begins with a bracket. Returns how many of its characters are decided;
    /// `None` while that depends on what follows.
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

    /// Whether source `n` contains `word`, and never with an index.
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

    /// A footnote stays as it is; whether it cites a source is known only at the end.
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

    /// Adds a citation of source `n` from `start` to the current end of the text.
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

    /// A character of prose.
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

    /// A character that stays unchanged.
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

/// The length in bytes of the mark that `text` begins with, whether or not its sources exist;
/// `None` if there is no mark. `before` is the preceding text.
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

/// `answer` with its citations as the only marks, each after a space: other brackets become round.
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

/// Punctuation that has no space before it.
fn is_closing(c: char) -> bool {
    matches!(
        c,
        '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '。' | '，' | '、'
    )
}

/// The length of a pair of brackets that may be a mark: 0 if it is not one, `None` while that is
/// undecided.
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

/// The length of a list of lists of numbers, `[[1, 2], [3, 4]]`, which does not cite anything: 0 if
/// `rest` begins with something else, `None` while that is undecided.
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
