//! Does a source say what a sentence says?
//!
//! The check that `grounded` means. A sentence rests on a source when
//!
//! 1. every number, version, identifier and path in it occurs in the source,
//!    title and headings included;
//! 2. its content words are found close together there: at least
//!    [`WINDOW_SHARE`] of them within three sentences in a row that hold its
//!    numbers too, or, where it has no number, [`SOURCE_SHARE`] of them in the
//!    whole source; and
//! 3. no "not" was lost or added: where single sentences of the source hold
//!    nearly all of its content words ([`SAME_SHARE`]), one of them is negated
//!    just as it is. English only.
//!
//! It is a check of words. It finds invented facts, names and figures; it does
//! not find a relation that was turned round.

use super::prompt::place;
use super::sentences::sentences;
use super::words::{Content, Words};
use crate::retrieve::Source;

/// Share of a sentence's content words that one window must hold.
pub(super) const WINDOW_SHARE: f32 = 0.5;
/// Share that is enough when the words are spread over the whole source.
pub(super) const SOURCE_SHARE: f32 = 0.75;
/// Share from which a sentence of the source says the same thing, or its
/// opposite.
pub(super) const SAME_SHARE: f32 = 0.75;
/// Sentences of a window.
const WINDOW: usize = 3;

/// A source, ready to be compared.
pub(super) struct Evidence {
    /// The source's number.
    pub(super) n: u32,
    whole: Content,
    windows: Vec<Content>,
    /// Each sentence, and whether it is negated.
    sentences: Vec<(Content, bool)>,
}

/// What a sentence claims.
pub(super) struct Claim {
    /// Its content words.
    pub(super) content: Content,
    negated: bool,
}

impl Claim {
    /// The claim of `text`, which carries no marks.
    pub(super) fn of(text: &str, words: &Words) -> Self {
        Self {
            content: words.content(text),
            negated: words.is_negated(text),
        }
    }
}

impl Evidence {
    /// Prepares one source.
    pub(super) fn of(source: &Source, words: &Words) -> Self {
        let sentences: Vec<(Content, bool)> = sentences(&source.text)
            .into_iter()
            .map(|range| &source.text[range])
            .map(|sentence| (words.content(sentence), words.is_negated(sentence)))
            .collect();
        let parts: Vec<&Content> = sentences.iter().map(|(content, _)| content).collect();
        let windows = (0..parts.len())
            .map(|at| {
                let mut window = Content::default();
                parts[at..]
                    .iter()
                    .take(WINDOW)
                    .for_each(|part| window.extend(part));
                window
            })
            .collect();
        let mut whole = words.content(&place(source, " "));
        parts.iter().for_each(|part| whole.extend(part));
        Self {
            n: source.n,
            whole,
            windows,
            sentences,
        }
    }

    /// How well the source supports `claim`, in 0..=1; none when it does not.
    /// A claim without content is supported by nothing.
    pub(super) fn support(&self, claim: &Claim) -> Option<f32> {
        let content = &claim.content;
        if content.is_empty()
            || !content
                .exact
                .iter()
                .all(|token| self.whole.holds_exact(token))
        {
            return None;
        }
        let numbers: Vec<&String> = content
            .exact
            .iter()
            .filter(|token| token.contains(|c: char| c.is_numeric()))
            .collect();
        let near = self
            .windows
            .iter()
            .filter(|window| numbers.iter().all(|number| window.holds_exact(number)))
            .map(|window| content.share_in(window))
            .fold(0.0, f32::max);
        let anywhere = content.share_in(&self.whole);
        let spread = numbers.is_empty() && anywhere >= SOURCE_SHARE;
        if near < WINDOW_SHARE && !spread {
            return None;
        }
        let mut says_it = self
            .sentences
            .iter()
            .filter(|(own, _)| content.share_in(own) >= SAME_SHARE)
            .peekable();
        let contradicts =
            says_it.peek().is_some() && says_it.all(|(_, negated)| *negated != claim.negated);
        (!contradicts).then_some(0.7 * near + 0.3 * anywhere)
    }
}

/// The source that supports `claim` best; the earlier one where two are equal.
pub(super) fn best_support(claim: &Claim, evidence: &[Evidence]) -> Option<u32> {
    let mut best: Option<(f32, u32)> = None;
    for source in evidence {
        if let Some(support) = source.support(claim)
            && best.is_none_or(|(most, _)| support > most)
        {
            best = Some((support, source.n));
        }
    }
    best.map(|(_, n)| n)
}

#[cfg(test)]
mod tests {
    use super::super::testing::source;
    use super::*;

    fn supported(claim: &str) -> Option<u32> {
        let words = Words::new("english");
        let texts = [
            "Cairn listens on port 8620. It keeps its data in the folder .cairn. Restart it with `cairn serve`.",
            "Rust's ownership rules: each value has one owner. When the owner goes out of scope, the value is dropped.",
        ];
        let evidence: Vec<Evidence> = (1..)
            .zip(texts)
            .map(|(n, text)| Evidence::of(&source(n, text), &words))
            .collect();
        best_support(&Claim::of(claim, &words), &evidence)
    }

    #[test]
    fn what_a_source_says_is_supported() {
        assert_eq!(
            supported("The port that Cairn listens on is 8620."),
            Some(1)
        );
        assert_eq!(
            supported("A value is dropped when its owner leaves the scope."),
            Some(2)
        );
    }

    #[test]
    fn what_none_says_is_not() {
        assert_eq!(supported("Cairn listens on port 9000."), None);
        assert_eq!(
            supported("Cairn supports PostgreSQL clusters and replication."),
            None
        );
        assert_eq!(supported("Restart it with `cairn_restart`."), None);
        assert_eq!(supported("It is so."), None);
    }

    #[test]
    fn a_number_must_stand_near_its_words() {
        let words = Words::new("english");
        let text = "A char has a size of 4 bytes. It holds a scalar value. Strings are different. They are encoded. An ASCII letter takes 1 of them.";
        let evidence = [Evidence::of(&source(1, text), &words)];
        let check = |claim: &str| best_support(&Claim::of(claim, &words), &evidence);
        assert_eq!(check("The size of a char is 4 bytes."), Some(1));
        assert_eq!(check("The size of a char is 1 byte."), None);
    }

    #[test]
    fn a_lost_or_added_not_is_noticed() {
        assert_eq!(
            supported("The value is not dropped when the owner goes out of scope."),
            None
        );
        assert_eq!(supported("Cairn doesn't listen on port 8620."), None);
        assert_eq!(
            supported("When the owner goes out of scope, its value is dropped."),
            Some(2)
        );
    }
}
