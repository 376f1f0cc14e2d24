//! What each token adds to a text, and with how few tokens given bytes are written.

use std::sync::OnceLock;

/// Tokens with more bytes are not looked for when bytes are counted.
const LONGEST: usize = 16;

/// The tokens of a model as bytes.
pub(super) struct Vocabulary {
    bytes: Vec<Box<[u8]>>,
    ends: Vec<u32>,
    writes_every_byte: bool,
    /// Tokens with bytes, ordered by them; made when first needed.
    sorted: OnceLock<Vec<u32>>,
}

impl Vocabulary {
    /// `bytes` of each token, none for control tokens; `ends` are those that end a turn.
    pub(super) fn new(bytes: Vec<Box<[u8]>>, ends: Vec<u32>) -> Self {
        let mut single = [false; 256];
        for bytes in &bytes {
            if let [byte] = **bytes {
                single[usize::from(byte)] = true;
            }
        }
        // Bytes that UTF-8 has no use for may be missing, and so may control characters.
        let used = (0x20..0x7f).chain(0x80..0xc0).chain(0xc2..0xf5);
        Self {
            writes_every_byte: used.into_iter().all(|byte: usize| single[byte]),
            bytes,
            ends,
            sorted: OnceLock::new(),
        }
    }

    /// What a token adds to the text: perhaps a part of a character, nothing for a control
    /// token.
    pub(super) fn bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], |bytes| bytes)
    }

    /// Whether the model says with this token that it is done.
    pub(super) fn ends_turn(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// Whether every byte of a text has a token of its own, so that a text never takes more
    /// tokens than it has bytes.
    pub(super) fn writes_every_byte(&self) -> bool {
        self.writes_every_byte
    }

    /// Tokens for `text` if at each place the longest that fits is taken; `None` if none
    /// fits somewhere. What follows the first of them takes one token less.
    pub(super) fn count(&self, text: &[u8]) -> Option<usize> {
        let mut rest = text;
        let mut tokens = 0;
        while !rest.is_empty() {
            let most = rest.len().min(LONGEST);
            let taken = (1..=most).rev().find(|&len| self.has(&rest[..len]))?;
            rest = &rest[taken..];
            tokens += 1;
        }
        Some(tokens)
    }

    fn has(&self, piece: &[u8]) -> bool {
        let sorted = self.sorted.get_or_init(|| {
            let all = 0..u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
            let mut tokens: Vec<u32> = all
                .filter(|&token| !self.bytes(token).is_empty() && !self.ends_turn(token))
                .collect();
            tokens.sort_unstable_by(|&a, &b| self.bytes(a).cmp(self.bytes(b)));
            tokens
        });
        sorted
            .binary_search_by(|&token| self.bytes(token).cmp(piece))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_in_the_longest_tokens() {
        let pieces = ["", "a", "b", "ab", "abc", "<end>"];
        let bytes = pieces.iter().map(|piece| piece.as_bytes().into()).collect();
        let vocabulary = Vocabulary::new(bytes, vec![5]);
        assert_eq!(vocabulary.count(b""), Some(0));
        assert_eq!(vocabulary.count(b"abcab"), Some(2));
        assert_eq!(vocabulary.count(b"ababa"), Some(3));
        assert_eq!(vocabulary.count(b"abd"), None);
        assert_eq!(vocabulary.count(b"<end>"), None, "it is not text");
        assert!(!vocabulary.writes_every_byte());
        let all = (0..=255).map(|byte: u8| [byte].into()).collect();
        assert!(Vocabulary::new(all, Vec::new()).writes_every_byte());
    }
}
