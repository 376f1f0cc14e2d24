//! From the bytes of tokens to pieces of text that can be shown: whole
//! characters, and nothing that may turn out to begin a stop sequence.

/// What a push found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Going,
    Stopped,
}

impl Pushed {
    pub(crate) fn is_stopped(self) -> bool {
        self == Self::Stopped
    }
}

/// Text that is still being written.
pub(crate) struct TextStream<'a> {
    stops: Vec<&'a str>,
    /// Bytes of a character that is not whole yet.
    bytes: Vec<u8>,
    /// Text that may begin a stop sequence.
    held: String,
    stopped: bool,
}

impl<'a> TextStream<'a> {
    /// Empty stop sequences stop nothing.
    pub(crate) fn new(stops: &'a [String]) -> Self {
        Self {
            stops: stops
                .iter()
                .map(String::as_str)
                .filter(|stop| !stop.is_empty())
                .collect(),
            bytes: Vec::new(),
            held: String::new(),
            stopped: false,
        }
    }

    /// Takes the bytes of one token.
    pub(crate) fn push(&mut self, bytes: &[u8], on_text: &mut dyn FnMut(&str)) -> Pushed {
        self.bytes.extend_from_slice(bytes);
        self.take_characters();
        let first = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop))
            .min();
        let sure = match first {
            Some(at) => {
                self.stopped = true;
                at
            }
            None => self.held.len() - self.suspicious(),
        };
        if sure > 0 {
            on_text(&self.held[..sure]);
            self.held.drain(..sure);
        }
        if self.stopped {
            Pushed::Stopped
        } else {
            Pushed::Going
        }
    }

    /// Gives out what was held back, unless a stop sequence ended the text.
    pub(crate) fn finish(&mut self, on_text: &mut dyn FnMut(&str)) {
        if !self.stopped && !self.held.is_empty() {
            on_text(&self.held);
        }
        self.held.clear();
    }

    /// Moves whole characters from bytes to text; what can never become one is
    /// replaced by U+FFFD.
    fn take_characters(&mut self) {
        let mut rest = self.bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.held.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (whole, after) = rest.split_at(error.valid_up_to());
                    // `valid_up_to` has just said so.
                    self.held.push_str(&String::from_utf8_lossy(whole));
                    rest = after;
                    let Some(bad) = error.error_len() else { break };
                    self.held.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[bad..];
                }
            }
        }
        self.bytes = rest.to_vec();
    }

    /// Bytes at the end of the held text that begin a stop sequence.
    fn suspicious(&self) -> usize {
        let longest = |stop: &&str| {
            (1..stop.len())
                .rev()
                .find(|&len| stop.is_char_boundary(len) && self.held.ends_with(&stop[..len]))
                .unwrap_or(0)
        };
        self.stops.iter().map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(pieces: &[&[u8]], stops: &[&str]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut stream = TextStream::new(&stops);
        let mut out = Vec::new();
        let mut keep = |text: &str| out.push(text.to_owned());
        let stopped = pieces
            .iter()
            .any(|piece| stream.push(piece, &mut keep).is_stopped());
        stream.finish(&mut keep);
        (out, stopped)
    }

    #[test]
    fn a_character_split_over_tokens_comes_out_whole() {
        let (out, _) = run(&[b"caf", b"\xc3", b"\xa9 ", b"\xf0\x9f", b"\x98\x80"], &[]);
        assert_eq!(out, ["caf", "é ", "😀"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_an_unfinished_end_is_dropped() {
        let (out, _) = run(&[b"a\xffb", b"\xc3"], &[]);
        assert_eq!(out.concat(), "a\u{fffd}b");
    }

    #[test]
    fn a_stop_sequence_split_over_tokens_never_shows() {
        let (out, stopped) = run(&[b"answer", b"\n", b"User", b": hi"], &["\nUser:"]);
        assert_eq!((out.concat().as_str(), stopped), ("answer", true));
    }

    #[test]
    fn what_looked_like_a_stop_sequence_and_was_none_comes_out() {
        let (out, stopped) = run(&[b"one", b"\n", b"Use", b"less"], &["\nUser:"]);
        assert_eq!((out.concat().as_str(), stopped), ("one\nUseless", false));
        let (out, _) = run(&[b"end\nUs"], &["\nUser:"]);
        assert_eq!(out.concat(), "end\nUs");
    }

    #[test]
    fn the_first_of_several_stop_sequences_counts() {
        let (out, _) = run(&[b"abcdef"], &["e", "cd", ""]);
        assert_eq!(out.concat(), "ab");
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_text_is_the_one_before_the_first_stop(
            text in "[ab\u{e9}\u{1f600}]{0,30}",
            stop in "[ab\u{e9}]{1,4}",
            cuts in proptest::collection::vec(1..5usize, 0..40),
        ) {
            let mut pieces = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            let (out, stopped) = run(&pieces, &[&stop]);
            let expected = text.split(&stop).next().unwrap();
            prop_assert_eq!(out.concat(), expected);
            prop_assert_eq!(stopped, text.contains(&stop));
        }
    }
}
