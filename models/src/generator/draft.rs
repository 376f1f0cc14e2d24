//! What may come next in a text that repeats its prompt: prompt-lookup decoding.
//!
//! A grounded answer copies from its sources. So where the last tokens stand in the
//! prompt already, those that followed there are a guess, which costs no model. A few
//! guessed tokens are checked in one pass over the weights
//! (<https://github.com/apoorvumang/prompt-lookup-decoding>, after speculative decoding,
//! Leviathan et al., 2023). What is written is the same as without.

/// Tokens that must stand together to be found again, the longest first.
const RUNS: [usize; 2] = [3, 2];
/// Most tokens of a guess: each costs a part of a pass even if it is wrong.
const MOST: usize = 6;
/// Tokens guessed after a wrong guess.
const LEAST: usize = 2;

/// Guesses for one text.
pub(super) struct Draft {
    /// Prompt and what was written.
    text: Vec<u32>,
    /// Tokens of the next guess.
    size: usize,
}

impl Draft {
    pub(super) fn new(prompt: &[u32]) -> Self {
        Self {
            text: prompt.to_vec(),
            size: MOST,
        }
    }

    /// Takes a token that was written.
    pub(super) fn push(&mut self, token: u32) {
        self.text.push(token);
    }

    /// Says how much of a guess of `guessed` tokens was right. Long guesses pay where
    /// the text is copied and cost where it is not.
    pub(super) fn learn(&mut self, guessed: usize, right: usize) {
        match guessed {
            0 => {}
            _ if right == guessed => self.size = (2 * self.size).min(MOST),
            _ => self.size = right.clamp(LEAST, MOST),
        }
    }

    /// The tokens that followed the last ones where they stood before, at most `most`.
    pub(super) fn guess(&self, most: usize) -> &[u32] {
        let most = most.min(self.size);
        RUNS.iter()
            .find_map(|&run| self.after(run, most))
            .unwrap_or_default()
    }

    fn after(&self, run: usize, most: usize) -> Option<&[u32]> {
        let last = self.text.len().checked_sub(run)?;
        let wanted = &self.text[last..];
        // The latest place is the likeliest; the run at the very end is the run itself.
        let at = (0..last)
            .rev()
            .find(|&at| &self.text[at..at + run] == wanted)?;
        let next = at + run;
        Some(&self.text[next..self.text.len().min(next + most)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(prompt: &[u32], written: &[u32]) -> Draft {
        let mut draft = Draft::new(prompt);
        written.iter().for_each(|&token| draft.push(token));
        draft
    }

    #[test]
    fn what_followed_before_is_guessed_again() {
        let prompt = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 0];
        assert_eq!(after(&prompt, &[2, 3, 4]).guess(3), [5, 6, 7]);
        // Three tokens in a row say more than two, the later place more than the earlier.
        assert_eq!(after(&prompt, &[9, 1, 2]).guess(1), [0]);
        assert_eq!(after(&prompt, &[7, 1, 2]).guess(2), [0, 7]);
    }

    #[test]
    fn what_is_new_is_not_guessed() {
        assert!(after(&[1, 2, 3], &[5]).guess(4).is_empty());
        assert!(after(&[], &[]).guess(4).is_empty());
        assert!(after(&[1, 2, 3, 1, 2], &[]).guess(0).is_empty());
    }

    #[test]
    fn a_loop_goes_on() {
        assert_eq!(after(&[4, 4, 4, 4], &[]).guess(4), [4]);
    }

    #[test]
    fn guesses_are_as_long_as_they_were_right() {
        let prompt: Vec<u32> = (0..40).chain(0..3).collect();
        let mut draft = Draft::new(&prompt);
        assert_eq!(draft.guess(99).len(), MOST);
        draft.learn(MOST, 0);
        assert_eq!(draft.guess(99).len(), LEAST);
        draft.learn(LEAST, LEAST);
        assert_eq!(draft.guess(99).len(), 2 * LEAST);
        draft.learn(0, 0);
        assert_eq!(draft.guess(99).len(), 2 * LEAST);
        draft.learn(4, 3);
        assert_eq!(draft.guess(99).len(), 3);
    }
}
