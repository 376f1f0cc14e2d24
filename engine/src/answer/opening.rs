//! The first words of a remote model: text, or the agreed word for "the sources
//! do not say".

use super::prompt::NO_ANSWER;

/// Holds the beginning back until it is clear which of the two it is.
#[derive(Debug, Default)]
pub(super) struct Opening {
    held: String,
    decided: bool,
    refused: bool,
}

impl Opening {
    /// Takes the next piece of text; returns what may be shown.
    pub(super) fn push(&mut self, delta: &str) -> Option<String> {
        if self.refused {
            return None;
        }
        if self.decided {
            return Some(delta.to_owned());
        }
        self.held.push_str(delta);
        let begun = self.held.trim_start();
        if begun.starts_with(NO_ANSWER) {
            self.refused = true;
            return None;
        }
        if NO_ANSWER.starts_with(begun) {
            return None;
        }
        self.decided = true;
        Some(begun.to_owned())
    }

    /// The text that is still held back at the end.
    pub(super) fn finish(&mut self) -> Option<String> {
        let held = std::mem::take(&mut self.held);
        let show = !self.decided && !self.refused && !held.trim().is_empty();
        show.then_some(held)
    }

    /// Whether the model said that the sources do not contain an answer.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(deltas: &[&str]) -> (String, bool) {
        let mut opening = Opening::default();
        let mut shown: String = deltas
            .iter()
            .filter_map(|delta| opening.push(delta))
            .collect();
        shown.extend(opening.finish());
        (shown, opening.refused())
    }

    #[test]
    fn the_agreed_word_is_not_shown() {
        assert_eq!(open(&[" NO", "_ANS", "WER", "."]), (String::new(), true));
        assert_eq!(open(&["NO_ANSWER\nbut"]), (String::new(), true));
    }

    #[test]
    fn everything_else_is() {
        assert_eq!(open(&["\n", "No", " way."]), ("No way.".to_owned(), false));
        assert_eq!(open(&["N", "O"]), ("NO".to_owned(), false));
        assert_eq!(open(&[" "]), (String::new(), false));
    }
}
