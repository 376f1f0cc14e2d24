//! Does a source say what a sentence says?
//!
//! The check that `grounded` means. A sentence rests on a source when
//!
//! 1. every number, version, identifier and path in it occurs in the source,
//!    title and headings included; and
//! 2. its content words are found close together there: at least
//!    [`WINDOW_SHARE`] of them within three sentences in a row, or
//!    [`SOURCE_SHARE`] of them in the whole source.
//!
//! It is a check of words. It finds invented facts, names and figures; it does
//! not find a "not" that was lost.

use super::sentences::sentences;
use super::words::{Content, Words};
use crate::retrieve::Source;

/// Share of a sentence's content words that one window must hold.
pub(super) const WINDOW_SHARE: f32 = 0.5;
/// Share that is enough when the words are spread over the whole source.
pub(super) const SOURCE_SHARE: f32 = 0.75;
/// Sentences of a window.
const WINDOW: usize = 3;

/// A source, ready to be compared.
pub(super) struct Evidence {
    /// The source's number.
    pub(super) n: u32,
    whole: Content,
    windows: Vec<Content>,
}

impl Evidence {
    /// Prepares one source.
    pub(super) fn of(source: &Source, words: &Words) -> Self {
        let parts: Vec<Content> = sentences(&source.text)
            .into_iter()
            .map(|range| words.content(&source.text[range]))
            .collect();
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
        let mut whole = words.content(&format!(
            "{} {}",
            source.title,
            source.heading_path.join(" ")
        ));
        parts.iter().for_each(|part| whole.extend(part));
        Self {
            n: source.n,
            whole,
            windows,
        }
    }

    /// How well the source supports `claim`, in 0..=1; none when it does not.
    /// A claim without content is supported by nothing.
    pub(super) fn support(&self, claim: &Content) -> Option<f32> {
        if claim.is_empty()
            || !claim
                .exact
                .iter()
                .all(|token| self.whole.holds_exact(token))
        {
            return None;
        }
        let near = self
            .windows
            .iter()
            .map(|window| claim.share_in(window))
            .fold(0.0, f32::max);
        let anywhere = claim.share_in(&self.whole);
        (near >= WINDOW_SHARE || anywhere >= SOURCE_SHARE).then_some(0.7 * near + 0.3 * anywhere)
    }
}

/// The source that supports `claim` best; the earlier one where two are equal.
pub(super) fn best_support(claim: &Content, evidence: &[Evidence]) -> Option<u32> {
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
        best_support(&words.content(claim), &evidence)
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
}
