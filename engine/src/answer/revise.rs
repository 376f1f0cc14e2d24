//! Revises the output of a small local model, sentence by sentence, before it is shown: such a
//! model cites badly, invents things, and gets into loops.
//!
//! A sentence with a correct mark keeps it; one without a mark, or with a wrong one, gets the mark
//! of the source that supports it best. A sentence that no source supports, or that only repeats
//! the question, is dropped. Repeated sentences end the answer. Code is judged together with the
//! sentence that introduces it, and shares its mark.

use super::grounding::{split_marks, with_marks};
use super::sentences::finished_sentences;
use super::support::{Claim, Evidence, best_support};
use super::words::{Content, Words};

/// Two sentences that share this much of their content repeat each other.
const SAME: f32 = 0.8;
/// Number of consecutive repetitions that indicate a loop.
const MAX_REPEATS: usize = 2;
/// Number of characters without a sentence end that indicate a loop.
const MAX_SENTENCE_CHARS: usize = 1200;

/// Introduces code that has no introduction.
const BARE_LEAD: &str = "As the source has it:";

/// Collects deltas and returns the sentences that may be shown.
pub(super) struct Reviser<'a> {
    evidence: &'a [Evidence],
    words: &'a Words,
    asked: String,
    question: Content,
    buffer: String,
    /// A sentence that introduces what follows, without its marks, and its sources.
    lead: Option<(String, Vec<u32>)>,
    /// Whether the last thing shown was a block.
    after_block: bool,
    said: Vec<Content>,
    repeats: usize,
    kept: usize,
    dropped: usize,
}

impl<'a> Reviser<'a> {
    /// A reviser for answers to `question` from these sources.
    pub(super) fn new(question: &str, evidence: &'a [Evidence], words: &'a Words) -> Self {
        Self {
            evidence,
            words,
            asked: question.to_owned(),
            // "The answer to this question is" does not add anything either.
            question: words.content(&format!("{question} question answer")),
            buffer: String::new(),
            lead: None,
            after_block: false,
            said: Vec::new(),
            repeats: 0,
            kept: 0,
            dropped: 0,
        }
    }

    /// Takes the next piece of text; returns the sentences that are finished and supported by a
    /// source, with their marks and the space before them.
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
            .flat_map(|sentence| self.revise(sentence))
            .collect()
    }

    /// Ends the text. A last sentence that was cut off is dropped.
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
            shown.extend(self.revise(sentence));
        }
        shown.extend(self.close_lead());
        shown
    }

    /// Whether the model only repeats itself and can be stopped.
    pub(super) fn loops(&self) -> bool {
        self.repeats >= MAX_REPEATS || self.buffer.chars().count() > MAX_SENTENCE_CHARS
    }

    /// Number of sentences left out.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    fn revise(&mut self, sentence: &str) -> Vec<String> {
        let (prose, code) = match sentence.find("```") {
            Some(at) => sentence.split_at(at),
            None => (sentence, ""),
        };
        let mut shown = Vec::new();
        let (text, cites) = split_marks(prose);
        if !text.trim().is_empty() {
            shown.extend(self.close_lead());
            shown.extend(self.sentence(text.trim(), &cites));
        }
        if !code.is_empty() {
            shown.extend(self.code(code));
        }
        shown
    }

    /// A sentence with its marks, unless it is held back because it introduces something.
    fn sentence(&mut self, text: &str, cites: &[u32]) -> Option<String> {
        let claim = Claim::answering(text, &self.asked, self.words);
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
        let right = self.sources_of(&claim, cites);
        self.said.push(claim.content);
        if text.ends_with(':') {
            self.lead = Some((text.to_owned(), right));
            return None;
        }
        self.show(text, &right)
    }

    /// The cited sources that support the claim, or else the source that supports it best.
    fn sources_of(&self, claim: &Claim, cites: &[u32]) -> Vec<u32> {
        let bears =
            |source: &&Evidence| cites.contains(&source.n) && source.support(claim).is_some();
        let cited: Vec<u32> = self.evidence.iter().filter(bears).map(|it| it.n).collect();
        match cited.is_empty() {
            true => best_support(claim, self.evidence).into_iter().collect(),
            false => cited,
        }
    }

    fn show(&mut self, text: &str, cites: &[u32]) -> Option<String> {
        if cites.is_empty() {
            self.dropped += 1;
            return None;
        }
        let after_block = std::mem::take(&mut self.after_block);
        let gap = match (self.kept, super::sentences::is_item(text)) {
            (0, _) => "",
            _ if after_block => "",
            (_, true) => "\n",
            (_, false) => " ",
        };
        self.kept += 1;
        Some(format!("{gap}{}", with_marks(text, cites)))
    }

    /// A held-back sentence whose block is not shown, as a sentence of its own.
    fn close_lead(&mut self) -> Option<String> {
        let (text, cites) = self.lead.take()?;
        self.show(&text, &cites)
    }

    /// A block of code with its introduction.
    fn code(&mut self, code: &str) -> Option<String> {
        let lead = self.lead.take();
        let lines: Vec<&str> = code.lines().collect();
        let body = lines[1..lines.len().max(2) - 1].join("\n");
        let inside = if lines.len() > 2 {
            &body
        } else {
            code.trim_matches('`')
        };
        let led = lead.as_ref().map_or("", |(text, _)| text);
        let claim = Claim::answering(&format!("{led} {inside}"), &self.asked, self.words);
        let cites = self.sources_of(&claim, &[]);
        if cites.is_empty() {
            self.dropped += 1;
            let (text, cites) = lead?;
            return self.show(&text, &cites);
        }
        let after_block = std::mem::replace(&mut self.after_block, true);
        let (lead, gap) = match (lead, self.kept) {
            (Some((text, _)), 0) => (text, ""),
            (Some((text, _)), _) => (text, if after_block { "" } else { " " }),
            (None, 0) => (BARE_LEAD.to_owned(), ""),
            // The sentence before it has a mark.
            (None, _) => {
                self.kept += 1;
                return Some(format!("\n\n{code}\n\n"));
            }
        };
        self.kept += 1;
        let marks: String = cites.iter().map(|n| format!("[{n}]")).collect();
        let lead = lead.trim_end_matches(':');
        Some(format!("{gap}{lead} {marks}:\n\n{code}\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::source;
    use super::*;

    fn revise(text: &str, cut_off: bool) -> (String, usize) {
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
        let mut reviser = Reviser::new("Which port is it?", &evidence, &words);
        let mut answer = String::new();
        for c in text.chars() {
            answer.extend(reviser.push(&c.to_string()));
            if reviser.loops() {
                break;
            }
        }
        answer.extend(reviser.finish(cut_off));
        (answer, reviser.dropped())
    }

    #[test]
    fn marks_are_added_corrected_and_kept() {
        assert_eq!(
            revise("Cairn listens on port 8620.", false),
            ("Cairn listens on port 8620 [1].".to_owned(), 0)
        );
        assert_eq!(
            revise("Values are dropped at the end of scope [1].", false).0,
            "Values are dropped at the end of scope [2]."
        );
        assert_eq!(
            revise("Cairn listens on port 8620 [1][2]. [9]", false).0,
            "Cairn listens on port 8620 [1]."
        );
    }

    #[test]
    fn the_question_is_no_answer() {
        let (answer, dropped) = revise(
            "The answer to this question is [1]. Question: Which port is it? It is port 8620.",
            false,
        );
        assert_eq!((answer.as_str(), dropped), ("It is port 8620 [1].", 2));
    }

    #[test]
    fn inventions_are_dropped() {
        let (answer, dropped) = revise(
            "Cairn listens on port 9000. The moon is made of cheese. The data lies in the folder.",
            false,
        );
        assert_eq!(answer, "The data lies in the folder [1].");
        assert_eq!(dropped, 2);
    }

    #[test]
    fn loops_are_cut() {
        let (answer, dropped) = revise(&"Cairn listens on port 8620. ".repeat(50), true);
        assert_eq!(answer, "Cairn listens on port 8620 [1].");
        assert!(dropped < 5, "{dropped}");
    }

    #[test]
    fn half_sentences_are_dropped() {
        assert_eq!(
            revise("Cairn listens on port 8620. The data lies in the", true).0,
            "Cairn listens on port 8620 [1]."
        );
    }

    #[test]
    fn code_is_shown_with_what_leads_to_it() {
        let words = Words::new("english");
        let evidence = [Evidence::of(
            &source(
                1,
                "To start the service again, run:\n\n    cairn serve --port 8620\n",
            ),
            &words,
        )];
        let revise = |text: &str| {
            let mut reviser = Reviser::new("How do I restart it?", &evidence, &words);
            let mut answer: String = reviser.push(text).concat();
            answer.extend(reviser.finish(false));
            (answer.trim_end().to_owned(), reviser.dropped())
        };
        let code = "```sh\ncairn serve --port 8620\n```";
        assert_eq!(
            revise(&format!("To start the service again, run:\n{code}")),
            (format!("To start the service again, run [1]:\n\n{code}"), 0)
        );
        assert_eq!(
            revise(code),
            (format!("As the source has it [1]:\n\n{code}"), 0)
        );
        // Invented code is left out; its introduction stands alone.
        let (answer, dropped) =
            revise("To start the service again, run:\n```\ncairn stop --all\n```");
        assert!(!answer.contains("```") && dropped == 1, "{answer}");
    }
}
