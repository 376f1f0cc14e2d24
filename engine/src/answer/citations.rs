//! The streaming citation checker: text goes in as it is written, checked text
//! and citations come out.
//!
//! It reads `[1]`, `[1, 2]`, `[1-3]`, `[1][2]`, `[^1]`, `[source 1]` and `【1】`
//! and writes all of them as `[1][2]`. A number that no source has is removed,
//! with the spaces that it leaves behind. Marks inside code are text. It works
//! character by character, so how the text was cut into deltas cannot change
//! the result; what may still become a mark is held back until it is decided.

use super::events::Citation;

/// Longest text between brackets that can be a mark; more is ordinary text.
const MAX_MARK_CHARS: usize = 40;
/// Most numbers that one range such as `[1-4]` may stand for.
const MAX_RANGE: u32 = 10;

/// One checked step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// Text of the answer, to be appended.
    Text(String),
    /// A citation whose mark ends where the text stands now.
    Citation(Citation),
}

/// Checks the citations of one answer.
pub(super) struct CitationChecker {
    /// `chunk_ids[n - 1]` is the chunk of source `n`.
    chunk_ids: Vec<String>,
    out: Vec<Checked>,
    /// Characters sent so far.
    position: usize,
    /// Last character sent, to know where a line begins.
    last: Option<char>,
    /// Spaces that a removed mark may take with it.
    spaces: String,
    /// An open bracket and what follows it.
    mark: Option<String>,
    /// A mark was removed and nothing was sent since.
    removed: bool,
    code: Code,
    /// Marks that pointed nowhere.
    dropped: usize,
}

/// Where in Markdown code the text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// In prose, after this many backticks in a row.
    Prose(usize),
    /// Inside a span or block that this many backticks opened; the second
    /// number counts the backticks just read.
    Inside(usize, usize),
}

impl CitationChecker {
    /// A checker for sources with these chunks; source `n` is the `n`-th.
    pub(super) fn new(chunk_ids: impl IntoIterator<Item = String>) -> Self {
        Self {
            chunk_ids: chunk_ids.into_iter().collect(),
            out: Vec::new(),
            position: 0,
            last: None,
            spaces: String::new(),
            mark: None,
            removed: false,
            code: Code::Prose(0),
            dropped: 0,
        }
    }

    /// Takes the next text and returns what is decided by now.
    pub(super) fn push(&mut self, delta: &str) -> Vec<Checked> {
        delta.chars().for_each(|c| self.step(c));
        std::mem::take(&mut self.out)
    }

    /// The end of the text: what was held back, as it is.
    pub(super) fn finish(&mut self) -> Vec<Checked> {
        self.abandon_mark();
        // Spaces at the end carry nothing.
        self.spaces.clear();
        std::mem::take(&mut self.out)
    }

    /// Numbers removed so far because no source has them.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    fn step(&mut self, c: char) {
        if let Some(mark) = &mut self.mark {
            let close = if mark.starts_with('【') { '】' } else { ']' };
            if c == close {
                let mark = self.mark.take().unwrap_or_default();
                self.decide(&mark, close);
                return;
            }
            let fits = is_mark_character(c) || (close == '】' && c != '\n');
            if fits && mark.chars().count() <= MAX_MARK_CHARS {
                mark.push(c);
                return;
            }
            self.abandon_mark();
        }
        let in_code = self.follow_code(c);
        if !in_code && matches!(c, '[' | '【') {
            self.mark = Some(c.to_string());
        } else if matches!(c, ' ' | '\t') {
            if !(self.removed && self.at_line_start()) {
                self.spaces.push(c);
            }
        } else {
            if self.removed && (is_closing(c) || c == '\n') {
                self.spaces.clear();
            }
            self.send(c);
        }
    }

    /// Keeps track of backticks; true when `c` is code or a backtick.
    fn follow_code(&mut self, c: char) -> bool {
        // A span that was never closed ends with its paragraph.
        let paragraph_ends = c == '\n' && self.last == Some('\n');
        self.code = match (self.code, c) {
            (Code::Prose(run), '`') => Code::Prose(run + 1),
            (Code::Prose(0), _) => Code::Prose(0),
            (Code::Prose(run), _) => Code::Inside(run, 0),
            (Code::Inside(open, run), '`') if run + 1 == open && open < 3 => Code::Prose(0),
            (Code::Inside(open, run), '`') => Code::Inside(open, run + 1),
            (Code::Inside(open, run), _) if open >= 3 && run >= open => Code::Prose(0),
            (Code::Inside(open, _), _) if open < 3 && paragraph_ends => Code::Prose(0),
            (Code::Inside(open, _), _) => Code::Inside(open, 0),
        };
        c == '`' || matches!(self.code, Code::Inside(..))
    }

    fn decide(&mut self, mark: &str, close: char) {
        let Some(numbers) = parse_mark(mark) else {
            self.flush_spaces();
            mark.chars().chain([close]).for_each(|c| self.send(c));
            return;
        };
        let known = self.chunk_ids.len() as u32;
        let (kept, lost): (Vec<u32>, Vec<u32>) =
            numbers.into_iter().partition(|n| (1..=known).contains(n));
        self.dropped += lost.len();
        if kept.is_empty() {
            self.removed = true;
            if self.at_line_start() {
                self.spaces.clear();
            }
            return;
        }
        self.flush_spaces();
        for n in kept {
            let start = self.position;
            format!("[{n}]").chars().for_each(|c| self.send(c));
            self.out.push(Checked::Citation(Citation {
                source_start: None,
                source_end: None,
                page: None,
                n,
                chunk_id: self.chunk_ids[n as usize - 1].clone(),
                start,
                end: self.position,
            }));
        }
    }

    /// What looked like the start of a mark is text.
    fn abandon_mark(&mut self) {
        if let Some(mark) = self.mark.take() {
            self.flush_spaces();
            mark.chars().for_each(|c| self.send(c));
        }
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

fn is_mark_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ' ' | ',' | ';' | '-' | '–' | '^' | '†' | '#')
}

/// Punctuation that no space precedes.
fn is_closing(c: char) -> bool {
    matches!(
        c,
        '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '。' | '，' | '、'
    )
}

/// The numbers of a mark such as `[1, 2`, without its closing bracket; none
/// when it is ordinary text. Years and other long numbers are text.
fn parse_mark(mark: &str) -> Option<Vec<u32>> {
    let mut inside = mark.get(mark.chars().next()?.len_utf8()..)?;
    if mark.starts_with('【') {
        inside = inside.split('†').next()?;
    }
    let mut numbers = Vec::new();
    for item in inside.split([',', ';']) {
        let item = item.trim().trim_start_matches(['^', '#']);
        let item = ["sources", "source", "Sources", "Source"]
            .iter()
            .find_map(|word| item.strip_prefix(word))
            .unwrap_or(item)
            .trim();
        match item.split_once(['-', '–']) {
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                if from > to || to - from >= MAX_RANGE {
                    return None;
                }
                numbers.extend(from..=to);
            }
            None => numbers.push(number(item)?),
        }
    }
    let mut seen = Vec::new();
    numbers.retain(|n| {
        !seen.contains(n) && {
            seen.push(*n);
            true
        }
    });
    Some(numbers)
}

fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Checks a whole text at once.
#[cfg(test)]
pub(super) fn check(text: &str, chunk_ids: &[String]) -> (String, Vec<Citation>) {
    let mut checker = CitationChecker::new(chunk_ids.iter().cloned());
    let mut steps = checker.push(text);
    steps.extend(checker.finish());
    let mut answer = String::new();
    let mut citations = Vec::new();
    for step in steps {
        match step {
            Checked::Text(text) => answer.push_str(&text),
            Checked::Citation(citation) => citations.push(citation),
        }
    }
    (answer, citations)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn three() -> Vec<String> {
        ["a-0000", "b-0001", "c-0002"].map(str::to_owned).to_vec()
    }

    fn answer(text: &str) -> String {
        check(text, &three()).0
    }

    fn cited(text: &str) -> Vec<u32> {
        check(text, &three())
            .1
            .iter()
            .map(|citation| citation.n)
            .collect()
    }

    #[test]
    fn every_way_of_writing_a_mark() {
        for mark in [
            "[1, 2]",
            "[1][2]",
            "[1,2]",
            "[1; 2]",
            "[^1][^2]",
            "【1】【2】",
            "[1-2]",
            "[Source 1, Source 2]",
            "[source 1][2]",
            "【1†a.md】[2]",
            "[1–2]",
            "[1, 1, 2]",
        ] {
            assert_eq!(
                answer(&format!("So it is {mark}.")),
                "So it is [1][2].",
                "{mark}"
            );
            assert_eq!(cited(&format!("So it is {mark}.")), [1, 2], "{mark}");
        }
    }

    #[test]
    fn offsets_count_scalar_values_of_the_final_answer() {
        let text = "Größe [9] zählt 【2】 — 👍🏽 [1, 3].";
        let (answer, citations) = check(text, &three());
        assert_eq!(answer, "Größe zählt [2] — 👍🏽 [1][3].");
        let characters: Vec<char> = answer.chars().collect();
        for citation in &citations {
            let mark: String = characters[citation.start..citation.end].iter().collect();
            assert_eq!(mark, format!("[{}]", citation.n));
            assert_eq!(citation.chunk_id, three()[citation.n as usize - 1]);
        }
        assert_eq!(citations.len(), 3);
    }

    #[test]
    fn marks_that_point_nowhere_leave_no_trace() {
        assert_eq!(answer("It is so [9]. And so [0]!"), "It is so. And so!");
        assert_eq!(answer("It [9] is"), "It is");
        assert_eq!(answer("It [9][1] is"), "It [1] is");
        assert_eq!(answer("It [1, 9] is"), "It [1] is");
        assert_eq!(answer("[7] It is"), "It is");
        assert_eq!(answer("a\n [7] It is"), "a\nIt is");
        assert_eq!(answer("It is [9]\nso [8]"), "It is\nso");
        assert_eq!(answer("one[9] two"), "one two");
        assert_eq!(answer("one [9]two"), "one two");
        assert_eq!(answer("one [8] [9] two"), "one two");
        assert_eq!(answer("(see [9])"), "(see)");
    }

    #[test]
    fn other_brackets_are_text() {
        for text in [
            "a [note] b",
            "in [2024] it",
            "[",
            "x [1",
            "x [1,",
            "[]",
            "[a][b]",
            "[ ] todo",
            "[1.5]",
            "[link](url)",
            "[[x]]",
            "[1-900]",
        ] {
            assert_eq!(answer(text), text);
            assert!(cited(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn code_is_text() {
        for text in [
            "use `args[1]` here",
            "```rust\nlet a = v[9];\n```\nend",
            "``a`[9]`` b",
        ] {
            assert_eq!(answer(text), text);
            assert!(cited(text).is_empty(), "{text}");
        }
        assert_eq!(answer("use `a[9]` here [9]."), "use `a[9]` here.");
        assert_eq!(answer("```\nx\n```\ndone [2][9]"), "```\nx\n```\ndone [2]");
        assert_eq!(
            answer("a stray ` tick\n\nthen [9] text"),
            "a stray ` tick\n\nthen text"
        );
    }

    proptest! {
        /// However the text arrives, the answer and its citations are the same.
        #[test]
        fn chunking_changes_nothing(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("[1]"), Just("[9]"), Just("["), Just("]"), Just(" "), Just("1, 2"),
                    Just("【3】"), Just("`"), Just("```"), Just("\n"), Just("é"), Just("word"),
                    Just("."), Just("[^2]"), Just("👍🏽"),
                ],
                0..40,
            ),
            cuts in proptest::collection::vec(0usize..120, 0..20),
        ) {
            let text = pieces.concat();
            let whole = check(&text, &three());

            let mut checker = CitationChecker::new(three());
            let mut answer = String::new();
            let mut citations = Vec::new();
            let characters: Vec<char> = text.chars().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(characters.len())).collect();
            cuts.extend([0, characters.len()]);
            cuts.sort_unstable();
            let mut steps = Vec::new();
            for pair in cuts.windows(2) {
                let delta: String = characters[pair[0]..pair[1]].iter().collect();
                steps.extend(checker.push(&delta));
            }
            steps.extend(checker.finish());
            for step in steps {
                match step {
                    Checked::Text(text) => answer.push_str(&text),
                    Checked::Citation(citation) => {
                        prop_assert_eq!(citation.end, answer.chars().count());
                        citations.push(citation);
                    }
                }
            }
            prop_assert_eq!((answer, citations), whole);
        }

        /// Every citation lies where it says, and cites a source that exists.
        #[test]
        fn citations_lie_on_their_marks(text in "[ a\\[\\]0-9,.`\n]{0,60}") {
            let (answer, citations) = check(&text, &three());
            let characters: Vec<char> = answer.chars().collect();
            for citation in citations {
                let mark: String = characters[citation.start..citation.end].iter().collect();
                prop_assert_eq!(mark, format!("[{}]", citation.n));
                prop_assert!((1..=3).contains(&citation.n));
            }
        }
    }
}
