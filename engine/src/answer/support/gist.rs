//! Whether a source says what a text says, judged by words alone: every exact token, and half of
//! the words near them. For code and for languages other than English.

use crate::answer::prompt::place;
use crate::answer::sentences::sentences;
use crate::answer::words::{Content, Words};
use crate::retrieve::Source;

/// Share of a sentence's content words that one window must contain.
const WINDOW_SHARE: f32 = 0.5;
/// Sufficient share if the words are spread over the whole source.
const SOURCE_SHARE: f32 = 0.75;
/// Share from which a sentence of the source is considered to say the same thing, or its opposite.
const SAME_SHARE: f32 = 0.75;
/// Number of sentences in a window.
const WINDOW: usize = 3;
/// A source as sets of words.
pub(super) struct Gist {
    whole: Content,
    windows: Vec<Content>,
    /// Each sentence, and whether it is negated.
    sentences: Vec<(Content, bool)>,
}

impl Gist {
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
            whole,
            windows,
            sentences,
        }
    }

    /// How well the source covers the words of a claim: every exact token, and half of the words
    /// near them.
    pub(super) fn bears(&self, content: &Content, is_negated: bool) -> Option<f32> {
        if !content
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
            says_it.peek().is_some() && says_it.all(|(_, negated)| *negated != is_negated);
        (!contradicts).then_some(0.7 * near + 0.3 * anywhere)
    }
}
