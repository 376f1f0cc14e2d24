//! Keys and values of the tokens read so far, of one layer.

use crate::kernels::causal::Cached;

/// Room for keys and values grows by this many tokens at least.
const STEP_TOKENS: usize = 256;

/// Added to the room, so that the rows of the values do not all start at the
/// same place of a page, where the first-level cache has few lines for them.
const ODD_TOKENS: usize = 16;

/// Keys as `[heads, room, width]`, so that a token's key is a row; values as
/// `[heads, width, room]`, so that a feature of all tokens is a row.
pub(super) struct Cache {
    heads: usize,
    width: usize,
    room: usize,
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

impl Cache {
    pub(super) fn new(heads: usize, width: usize) -> Self {
        Self {
            heads,
            width,
            room: 0,
            keys: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Makes room for `tokens`, of which the first `used` are kept.
    pub(super) fn reserve(&mut self, tokens: usize, used: usize) {
        if tokens <= self.room {
            return;
        }
        // Doubling keeps the copying linear in the length of the conversation.
        let room = tokens.max(2 * used).next_multiple_of(STEP_TOKENS) + ODD_TOKENS;
        let mut larger = Self {
            room,
            keys: vec![0.0; self.heads * room * self.width],
            values: vec![0.0; self.heads * room * self.width],
            ..*self
        };
        for head in 0..self.heads {
            let (from, to) = (self.key_at(head, 0), larger.key_at(head, 0));
            larger.keys[to..to + used * self.width]
                .copy_from_slice(&self.keys[from..from + used * self.width]);
            for feature in 0..self.width {
                let (from, to) = (
                    self.value_at(head, feature, 0),
                    larger.value_at(head, feature, 0),
                );
                larger.values[to..to + used].copy_from_slice(&self.values[from..from + used]);
            }
        }
        *self = larger;
    }

    /// Where the key of a token starts.
    pub(super) fn key_at(&self, head: usize, token: usize) -> usize {
        (head * self.room + token) * self.width
    }

    /// Where a feature of a token's value is; the next token's is alongside it.
    pub(super) fn value_at(&self, head: usize, feature: usize, token: usize) -> usize {
        (head * self.width + feature) * self.room + token
    }

    /// All that is cached of one head.
    pub(super) fn head(&self, head: usize) -> Cached<'_> {
        let floats = self.room * self.width;
        Cached {
            keys: &self.keys[head * floats..][..floats],
            values: &self.values[head * floats..][..floats],
            stride: self.room,
            width: self.width,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_the_same_after_growth() {
        let mut cache = Cache::new(2, 3);
        let float = |head: usize, feature: usize, token: usize| {
            (head * 10_000 + feature * 1000 + token) as f32
        };
        let mut used = 0;
        for tokens in [1, 200, 300, 700] {
            cache.reserve(tokens, used);
            for head in 0..2 {
                for token in used..tokens {
                    for feature in 0..3 {
                        let key = cache.key_at(head, token) + feature;
                        cache.keys[key] = float(head, feature, token);
                        let value = cache.value_at(head, feature, token);
                        cache.values[value] = -float(head, feature, token);
                    }
                }
            }
            used = tokens;
            for head in 0..2 {
                let cached = cache.head(head);
                for token in 0..tokens {
                    for feature in 0..3 {
                        let key = cached.keys[token * 3 + feature];
                        let value = cached.values[feature * cached.stride + token];
                        assert_eq!(key, float(head, feature, token));
                        assert_eq!(value, -key);
                    }
                }
            }
        }
    }
}
