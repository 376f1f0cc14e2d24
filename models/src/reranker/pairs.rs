//! Query and passage to the token ids that a cross-encoder reads.

use std::path::Path;

use tokenizers::{Encoding, PostProcessor, Tokenizer, TruncationDirection};

use crate::legible::Legibility;
use crate::{Error, ErrorKind, Result, TokenSpans};

/// A tokenizer that joins query and passage and never exceeds its window.
pub(super) struct Pairs {
    tokenizer: Tokenizer,
    window: usize,
    /// Special tokens that a pair needs.
    specials: usize,
    pad_id: u32,
    legibility: Legibility,
}

/// One query with one passage, ready for the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) ids: Vec<u32>,
    pub(super) segments: Vec<u32>,
    /// First token of the second segment.
    pub(super) passage: usize,
    /// Whether the passage has no token.
    pub(super) blank: bool,
}

impl Pair {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

impl Pairs {
    pub(super) fn open(path: &Path, window: usize) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|cause| {
            let message = format!("{} cannot be read", path.display());
            Error::new(ErrorKind::NotFound, message).because(cause)
        })?;
        Self::from_bytes(&bytes, window)
            .map_err(|error| Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    pub(super) fn from_bytes(json: &[u8], window: usize) -> Result<Self> {
        let tokenizer = parse_tokenizer(json)?;
        let pad_id = tokenizer
            .get_padding()
            .map(|padding| padding.pad_id)
            .or_else(|| tokenizer.token_to_id("[PAD]"))
            .or_else(|| tokenizer.token_to_id("<pad>"))
            .unwrap_or(0);
        let tokenizer = without_limits(tokenizer)?;
        let specials = tokenizer
            .get_post_processor()
            .map_or(0, |it| it.added_tokens(true));
        if window < specials + 2 {
            let message = format!("a window of {window} tokens has no room for query and passage");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let legibility = Legibility::of(&tokenizer);
        Ok(Self {
            tokenizer,
            window,
            specials,
            pad_id,
            legibility,
        })
    }

    pub(super) fn window(&self) -> usize {
        self.window
    }

    pub(super) fn pad_id(&self) -> u32 {
        self.pad_id
    }

    pub(super) fn readable_share(&self, text: &str) -> Result<f32> {
        self.legibility.share(text, |text| {
            self.tokenizer.encode(text, false).map_err(unusable)
        })
    }

    pub(super) fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        let encoding = self.tokenizer.encode(text, false).map_err(unusable)?;
        Ok(encoding
            .get_offsets()
            .iter()
            .map(|&(start, end)| start..end)
            .collect())
    }

    /// Tokens of a query: at most half of what a pair can hold.
    pub(super) fn query(&self, text: &str) -> Result<Encoding> {
        self.cut(text, (self.window - self.specials) / 2)
    }

    /// Joins a query with a passage, which is cut to the rest of the window.
    pub(super) fn pair(&self, query: &Encoding, passage: &str) -> Result<Pair> {
        let passage = self.cut(passage, self.window - self.specials - query.len())?;
        let blank = passage.is_empty();
        let joined = self
            .tokenizer
            .post_process(query.clone(), Some(passage), true)
            .map_err(unusable)?;
        let segments = joined.get_type_ids();
        Ok(Pair {
            ids: joined.get_ids().to_vec(),
            segments: segments.to_vec(),
            passage: segments.partition_point(|&segment| segment == 0),
            blank,
        })
    }

    fn cut(&self, text: &str, tokens: usize) -> Result<Encoding> {
        let mut encoding = self.tokenizer.encode_fast(text, false).map_err(unusable)?;
        encoding.truncate(tokens, 0, TruncationDirection::Right);
        // What was cut off must not be joined with the other side.
        encoding.take_overflowing();
        Ok(encoding)
    }
}

/// The tokenizer of a `tokenizer.json`.
pub(crate) fn parse_tokenizer(json: &[u8]) -> Result<Tokenizer> {
    Tokenizer::from_bytes(json).map_err(|cause| {
        Error::new(ErrorKind::Corrupt, "the tokenizer cannot be read").because(cause)
    })
}

/// Files often carry the limits of their training run: without them.
pub(crate) fn without_limits(mut tokenizer: Tokenizer) -> Result<Tokenizer> {
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(unusable)?;
    Ok(tokenizer)
}

pub(crate) fn unusable(cause: tokenizers::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, "the text cannot be tokenized").because(cause)
}
