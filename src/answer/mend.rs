//! Mends what a small local model writes, sentence by sentence, before anybody
//! sees it: it cites badly, invents, and falls into loops.
//!
//! A sentence with a right mark keeps it; one without, or with a wrong one, gets
//! the mark of the source that supports it best; one that no source supports is
//! dropped, and so is one that only says the question again. Sentences that say
//! again what was said end the answer.

use super::grounding::{split_marks, with_marks};
use super::sentences::finished_sentences;
use super::support::{Claim, Evidence, best_support};
use super::words::{Content, Words};

/// Two sentences that share this much of their content repeat each other.
const SAME: f32 = 0.8;
/// Repetitions in a row after which the model is in a loop.
const MAX_REPEATS: usize = 2;
/// Letters without the end of a sentence after which the model is in a loop.
const MAX_SENTENCE_CHARS: usize = 1200;

/// Collects deltas and gives back sentences that may be shown.
pub(super) struct Mender<'a> {
    evidence: &'a [Evidence],
    words: &'a Words,
    question: Content,
    buffer: String,
    said: Vec<Content>,
    repeats: usize,
    kept: usize,
    dropped: usize,
}

impl<'a> Mender<'a> {
    /// A mender of answers to `question` that knows these sources.
    pub(super) fn new(question: &str, evidence: &'a [Evidence], words: &'a Words) -> Self {
        Self {
            evidence,
            words,
            // "The answer to this question is" adds nothing either.
            question: words.content(&format!("{question} question answer")),
            buffer: String::new(),
            said: Vec::new(),
            repeats: 0,
            kept: 0,
            dropped: 0,
        }
    }

    /// Takes the next text; returns the sentences that are finished and true to
    /// a source, with their marks and the space before them.
    pub(super) fn push(&mut self, delta: &str) -> Vec<String> {
        self.buffer.push_str(delta);
        let (ranges, rest) = finished_sentences(&self.buffer);
        let sentences: Vec<String> = ranges
            .into_iter()
            .map(|range| self.buffer[range].to_owned())
            .collect();
        self.buffer.drain(..rest);
        sentences
            .iter()
            .filter_map(|sentence| self.mend(sentence))
            .collect()
    }

    /// The end of the text. A last sentence that was cut off is dropped.
    pub(super) fn finish(&mut self, cut_off: bool) -> Vec<String> {
        let rest = std::mem::take(&mut self.buffer);
        let ranges = super::sentences::sentences(&rest);
        let count = ranges.len();
        let mut shown = Vec::new();
        for (at, range) in ranges.into_iter().enumerate() {
            let sentence = &rest[range];
            let whole = split_marks(sentence)
                .0
                .trim_end()
                .ends_with(['.', '!', '?', '"', ')', '。', '！', '？']);
            if at + 1 == count && cut_off && !whole {
                self.dropped += 1;
                continue;
            }
            shown.extend(self.mend(sentence));
        }
        shown
    }

    /// Whether the model only repeats itself, so that it may be stopped.
    pub(super) fn loops(&self) -> bool {
        self.repeats >= MAX_REPEATS || self.buffer.chars().count() > MAX_SENTENCE_CHARS
    }

    /// Sentences that were left out.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    fn mend(&mut self, sentence: &str) -> Option<String> {
        let (text, cites) = split_marks(sentence);
        let text = text.trim();
        let claim = Claim::of(text, self.words);
        if claim.content.is_empty() {
            return None;
        }
        if claim.content.share_in(&self.question) >= 1.0 {
            self.dropped += 1;
            return None;
        }
        let repeats = |said: &Content| {
            claim.content.share_in(said) >= SAME && said.share_in(&claim.content) >= SAME
        };
        if self.said.iter().any(repeats) {
            self.repeats += 1;
            self.dropped += 1;
            return None;
        }
        self.repeats = 0;
        let mut right: Vec<u32> = Vec::new();
        for source in self.evidence {
            if cites.contains(&source.n) && source.support(&claim).is_some() {
                right.push(source.n);
            }
        }
        if right.is_empty() {
            right.extend(best_support(&claim, self.evidence));
        }
        self.said.push(claim.content);
        if right.is_empty() {
            self.dropped += 1;
            return None;
        }
        let gap = match (self.kept, super::sentences::is_item(text)) {
            (0, _) => "",
            (_, true) => "\n",
            (_, false) => " ",
        };
        self.kept += 1;
        Some(format!("{gap}{}", with_marks(text, &right)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::source;
    use super::*;

    fn mend(text: &str, cut_off: bool) -> (String, usize) {
        let words = Words::new("english");
        let evidence = [
            Evidence::of(
                &source(
                    1,
                    "Cairn listens on port 8620. The data lies in the folder .cairn.",
                ),
                &words,
            ),
            Evidence::of(
                &source(2, "Values are dropped at the end of their scope."),
                &words,
            ),
        ];
        let mut mender = Mender::new("Which port is it?", &evidence, &words);
        let mut answer = String::new();
        for c in text.chars() {
            answer.extend(mender.push(&c.to_string()));
            if mender.loops() {
                break;
            }
        }
        answer.extend(mender.finish(cut_off));
        (answer, mender.dropped())
    }

    #[test]
    fn marks_are_added_corrected_and_kept() {
        assert_eq!(
            mend("Cairn listens on port 8620.", false),
            ("Cairn listens on port 8620 [1].".to_owned(), 0)
        );
        assert_eq!(
            mend("Values are dropped at the end of scope [1].", false).0,
            "Values are dropped at the end of scope [2]."
        );
        assert_eq!(
            mend("Cairn listens on port 8620 [1][2]. [9]", false).0,
            "Cairn listens on port 8620 [1]."
        );
    }

    #[test]
    fn the_question_is_no_answer() {
        let (answer, dropped) = mend(
            "The answer to this question is [1]. Question: Which port is it? It is port 8620.",
            false,
        );
        assert_eq!((answer.as_str(), dropped), ("It is port 8620 [1].", 2));
    }

    #[test]
    fn inventions_are_dropped() {
        let (answer, dropped) = mend(
            "Cairn listens on port 9000. The moon is made of cheese. The data lies in the folder.",
            false,
        );
        assert_eq!(answer, "The data lies in the folder [1].");
        assert_eq!(dropped, 2);
    }

    #[test]
    fn loops_are_cut() {
        let (answer, dropped) = mend(&"Cairn listens on port 8620. ".repeat(50), true);
        assert_eq!(answer, "Cairn listens on port 8620 [1].");
        assert!(dropped < 5, "{dropped}");
    }

    #[test]
    fn half_sentences_are_dropped() {
        assert_eq!(
            mend("Cairn listens on port 8620. The data lies in the", true).0,
            "Cairn listens on port 8620 [1]."
        );
    }
}
