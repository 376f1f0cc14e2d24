//! How much a target has written, against what it was asked for: not every provider
//! keeps to `max_tokens`.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::estimate;
use crate::chat::{ProviderError, ProviderErrorKind, ProviderEvent, ProviderStream, Usage};

/// How many of our own tokens one of the provider's may be: ours are four bytes, and a
/// run of spaces is a single one of theirs.
const ROOM_FACTOR: usize = 4;
/// Room for what short answers have besides, such as an opening line.
const ROOM_TOKENS: usize = 256;

/// How long a provider that is cut may take to say what its answer took.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What it may write meanwhile, in tokens: some megabyte, which no model writes in that
/// time.
const FLOOD_TOKENS: usize = 1 << 18;

/// How much was written, and how much may be.
pub(super) struct Written {
    /// Characters that were passed on.
    characters: usize,
    /// Bytes that came.
    pub(super) bytes: usize,
    /// Tokens that came, by our estimate.
    pub(super) tokens: usize,
    most: usize,
}

impl Written {
    /// Of an answer of `max_tokens`.
    pub(super) fn new(max_tokens: usize) -> Self {
        Self {
            characters: 0,
            bytes: 0,
            tokens: 0,
            most: max_tokens
                .saturating_mul(ROOM_FACTOR)
                .saturating_add(ROOM_TOKENS),
        }
    }

    /// The part of `text` that may be passed on, and whether that was the last.
    pub(super) fn take(&mut self, mut text: String) -> (String, bool) {
        let left = self.most.saturating_sub(self.tokens);
        self.bytes = self.bytes.saturating_add(text.len());
        self.tokens = self.tokens.saturating_add(estimate::tokens(&text));
        let over = self.tokens > self.most;
        if over {
            text.truncate(longest(&text, left));
        }
        self.characters += text.chars().count();
        (text, over)
    }

    /// Whether `texts`, of which none may be cut, are more than may be passed on.
    pub(super) fn take_whole(&mut self, texts: &[&str]) -> bool {
        for text in texts {
            self.bytes = self.bytes.saturating_add(text.len());
            self.tokens = self.tokens.saturating_add(estimate::tokens(text));
            self.characters += text.chars().count();
        }
        self.tokens > self.most
    }

    /// What a client is told that has half an answer already.
    pub(super) fn cut_by(&self, error: ProviderError) -> ProviderError {
        if self.characters == 0 || error.kind == ProviderErrorKind::Cancelled {
            return error;
        }
        ProviderError {
            message: format!(
                "{}; {} characters of the answer had been sent",
                error.message, self.characters
            ),
            ..error
        }
    }
}

/// Bytes of the longest beginning of `text` that has at most `tokens`.
fn longest(text: &str, tokens: usize) -> usize {
    // Counted in quarters, as many as an ASCII character is worth.
    let mut left = tokens.saturating_mul(4);
    for (at, character) in text.char_indices() {
        let quarters = if character.is_ascii() { 1 } else { 4 };
        if left < quarters {
            return at;
        }
        left -= quarters;
    }
    text.len()
}

/// What a provider does that is not passed on any more.
pub(super) enum Overrun {
    /// It ends, and says what the answer took; meanwhile it wrote so many bytes.
    Ended {
        usage: Option<Usage>,
        model: String,
        bytes: usize,
    },
    /// It does not end soon, or breaks off; meanwhile it wrote so many tokens.
    Quiet { tokens: usize },
    /// It writes without any measure.
    Flood,
}

/// Reads on for a moment: most providers that write too much end by themselves, and what
/// they count is better than an estimate.
pub(super) async fn after_overrun(stream: &mut ProviderStream, end: Instant) -> Overrun {
    let until = (Instant::now() + LAST_WORDS).min(end);
    let (mut tokens, mut bytes) = (0_usize, 0_usize);
    loop {
        let more = match timeout_at(until, stream.next()).await {
            Ok(Some(Ok(ProviderEvent::Done { usage, model, .. }))) => {
                return Overrun::Ended {
                    usage,
                    model,
                    bytes,
                };
            }
            Ok(Some(Ok(ProviderEvent::Delta(text)))) => text,
            Ok(Some(Ok(ProviderEvent::ToolCall(call)))) => call.arguments,
            Ok(Some(Err(error))) if error.kind == ProviderErrorKind::TooLarge => {
                return Overrun::Flood;
            }
            Ok(Some(Err(_)) | None) | Err(_) => return Overrun::Quiet { tokens },
        };
        tokens = tokens.saturating_add(estimate::tokens(&more));
        bytes = bytes.saturating_add(more.len());
        if tokens > FLOOD_TOKENS {
            return Overrun::Flood;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_room_and_an_end() {
        let mut written = Written::new(10);
        let most = 4 * (10 * ROOM_FACTOR + ROOM_TOKENS);
        let (text, over) = written.take("x".repeat(most - 4));
        assert_eq!((text.len(), over), (most - 4, false));
        let (text, over) = written.take("\u{e9}\u{e9}".to_owned());
        assert_eq!((text.as_str(), over), ("\u{e9}", true));
        assert_eq!(written.take("x".to_owned()), (String::new(), true));
        // One huge piece is cut too.
        let (text, over) = Written::new(0).take("y".repeat(1 << 20));
        assert_eq!((text.len(), over), (4 * ROOM_TOKENS, true));
        assert!(Written::new(0).take_whole(&[&"z".repeat(1 << 20)]));
        let mut endless = Written::new(usize::MAX);
        assert!(!endless.take("x".repeat(1 << 20)).1);
    }
}
