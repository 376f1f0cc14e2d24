//! Removes reasoning whose opening tag is missing: some chat templates write the tag themselves, so
//! that an answer begins in the middle of a block.
//!
//! Only a beginning that looks like reasoning is held back until its end is clear; any other answer
//! passes through at once, and at most loses a stray closing tag.

/// Closing tags of such a block.
const CLOSING: &[&str] = &[
    "</think>",
    "</thinking>",
    "</thought>",
    "</reasoning>",
    "</reflection>",
    "</seed:think>",
    "[/THINK]",
    "◁/think▷",
];

/// How models begin their reasoning, in lower case.
const BEGINNINGS: &[&str] = &[
    "okay",
    "ok,",
    "ok.",
    "hmm",
    "hm,",
    "hm.",
    "alright",
    "all right",
    "let me",
    "let's",
    "let us",
    "the user",
    "the question asks",
    "the question is",
    "user asks",
    "user wants",
    "we need",
    "we have to",
    "we should",
    "we must",
    "we are asked",
    "we are given",
    "i need",
    "i should",
    "i have to",
    "i must",
    "i'll",
    "i will",
    "i think",
    "i'm",
    "first, i",
    "first i ",
    "first, let",
    "first, we",
    "so the user",
    "so, the user",
    "so i ",
    "so we ",
    "so, i ",
    "so, we ",
    "wait",
    "now, i",
    "got it",
    "thinking",
    "thought",
    "reasoning",
    "analysis",
    "looking at the sources",
    "looking at the question",
    "to answer this",
    "checking",
    "der nutzer",
    "der benutzer",
    "die frage",
    "gut,",
    "l'utilisateur",
    "d'accord",
    "el usuario",
    "l'utente",
    "o usuário",
    "好的",
    "嗯",
    "用户",
    "首先",
    "我们",
    "让我",
    "ユーザー",
];

/// Maximum bytes of reasoning that are held back; longer text is considered the answer.
const MAX_HELD_BYTES: usize = 256 << 10;

/// Removes such reasoning from a text.
#[derive(Debug, Default)]
pub(super) struct Orphan {
    held: String,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The beginning is not clear yet.
    #[default]
    Beginning,
    /// It looks like reasoning.
    Held,
    /// The answer; a stray closing tag may still come.
    Answer,
}

impl Orphan {
    /// Takes the next piece of text; returns what belongs to the answer.
    pub(super) fn push(&mut self, text: &str) -> String {
        let mut out = String::new();
        for c in text.chars() {
            self.held.push(c);
            self.step(&mut out);
        }
        out
    }

    /// Text that was held back until the end is the answer after all.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    fn step(&mut self, out: &mut String) {
        if let Some(tag) = CLOSING.iter().find(|tag| ends_with(&self.held, tag)) {
            if self.state == State::Answer {
                // The text before it has been shown already.
                let before = self.held.len() - tag.len();
                out.push_str(&self.held[..before]);
            }
            self.held.clear();
            self.state = State::Answer;
            return;
        }
        match self.state {
            State::Beginning => {
                let begun = self.held.trim_start().to_lowercase();
                let fits = |known: &&str| known.starts_with(&begun);
                if BEGINNINGS.iter().any(|known| begun.starts_with(known)) {
                    self.state = State::Held;
                } else if !BEGINNINGS.iter().any(fits) && !may_close(&begun) {
                    self.state = State::Answer;
                    self.show(out);
                }
            }
            State::Held if self.held.len() > MAX_HELD_BYTES => {
                self.state = State::Answer;
                self.show(out);
            }
            State::Held => {}
            State::Answer => self.show(out),
        }
    }

    /// Releases everything that cannot be the beginning of a closing tag.
    fn show(&mut self, out: &mut String) {
        let starts = self.held.char_indices().map(|(at, _)| at);
        let keep = starts
            .filter(|at| self.held[*at..].starts_with(['<', '[', '◁']))
            .find(|at| may_close(&self.held[*at..]));
        let len = keep.unwrap_or(self.held.len());
        out.push_str(&self.held[..len]);
        self.held.drain(..len);
    }
}

fn ends_with(text: &str, tag: &str) -> bool {
    let Some(at) = text.len().checked_sub(tag.len()) else {
        return false;
    };
    text.is_char_boundary(at) && text[at..].eq_ignore_ascii_case(tag)
}

/// Whether `text` is the beginning of a closing tag.
fn may_close(text: &str) -> bool {
    let begins = |tag: &&str| {
        tag.get(..text.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(text))
    };
    CLOSING.iter().any(begins)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&str]) -> String {
        let mut orphan = Orphan::default();
        let mut answer: String = pieces.iter().map(|piece| orphan.push(piece)).collect();
        answer.push_str(&orphan.finish());
        answer
    }

    #[test]
    fn reasoning_without_its_beginning() {
        for (text, expected) in [
            (
                "The user asks [1]. Let me see.</think>\n\nMonday [1].",
                "\n\nMonday [1].",
            ),
            ("Okay, so.\n</thinking>Monday.", "Monday."),
            ("\nHmm.[/THINK]Monday.", "Monday."),
            ("</think>Monday.", "Monday."),
            ("Okay, it is Monday.", "Okay, it is Monday."),
            ("Monday [1].</think> Tuesday.", "Monday [1]. Tuesday."),
            ("Monday <b>", "Monday <b>"),
            ("Monday </thin", "Monday </thin"),
            ("o", "o"),
        ] {
            assert_eq!(read(&[text]), expected, "{text}");
        }
    }

    #[test]
    fn other_answers_go_on_at_once() {
        let mut orphan = Orphan::default();
        assert_eq!(orphan.push("The pump is"), "The pump is");
        assert_eq!(orphan.push(" greased [1]"), " greased [1]");
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            text in "(Okay|The user|Pump)[ a<\\[</>é]{0,9}(</think>)?[ a<]{0,9}(</think>)?b",
            cut in 1usize..5,
        ) {
            let letters: Vec<char> = text.chars().collect();
            let parts: Vec<String> = letters.chunks(cut).map(|part| part.iter().collect()).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            prop_assert_eq!(read(&parts), read(&[&text]));
        }
    }
}
