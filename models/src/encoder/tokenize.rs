//! Text to token ids, cut at the model's window.

use std::path::Path;

use tokenizers::Tokenizer;

use crate::legible::Legibility;
use crate::{Error, ErrorKind, Result, TokenSpans};

/// Bytes of a text that are tokenized at first, for each token of the window.
/// English has four bytes in a token; more is read only when this is not enough.
const BYTES_PER_TOKEN: usize = 16;

/// Tokens beyond the window that must be seen before a prefix of a text is
/// taken for the whole: the cut may change the last word of the prefix.
const MARGIN_IN_TOKENS: usize = 64;

/// A tokenizer without padding or truncation, and the special tokens that the
/// model wants around a text.
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    window: usize,
    vocabulary: usize,
    legibility: Legibility,
}

impl Tokens {
    /// Opens a `tokenizer.json`. `window` counts special tokens too, and
    /// `vocabulary` is the number of rows of the embedding table.
    pub(crate) fn open(path: &Path, window: usize, vocabulary: usize) -> Result<Self> {
        if !path.exists() {
            let message = format!("{} does not exist; pull the model", path.display());
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let corrupt = |why: &str| {
            Error::new(
                ErrorKind::Corrupt,
                format!("{}: {why}; pull the model again", path.display()),
            )
        };
        let mut tokenizer = Tokenizer::from_file(path)
            .map_err(|error| corrupt("not a tokenizer").because(error))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| corrupt("truncation cannot be switched off").because(error))?;
        let probe = tokenizer
            .encode_fast("a", true)
            .map_err(|error| corrupt("cannot tokenize").because(error))?;
        let special = |&(_, &mask): &(&u32, &u32)| mask == 1;
        let marked = || probe.get_ids().iter().zip(probe.get_special_tokens_mask());
        let prefix: Vec<u32> = marked().take_while(special).map(|(&id, _)| id).collect();
        let mut suffix: Vec<u32> = marked()
            .rev()
            .take_while(special)
            .map(|(&id, _)| id)
            .collect();
        suffix.reverse();
        if prefix.len() + suffix.len() >= window.min(probe.len()) {
            return Err(corrupt("special tokens leave no room for text"));
        }
        let legibility = Legibility::of(&tokenizer);
        Ok(Self {
            tokenizer,
            prefix,
            suffix,
            window,
            vocabulary,
            legibility,
        })
    }

    /// Special tokens around one text.
    pub(crate) fn specials(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// Ids of `text` between its special tokens, at most the window.
    pub(crate) fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let room = self.window - self.specials();
        let mut bytes = (self.window + MARGIN_IN_TOKENS) * BYTES_PER_TOKEN;
        loop {
            let part = &text[..text.floor_char_boundary(bytes)];
            let encoding = self
                .tokenizer
                .encode_fast(part, false)
                .map_err(cannot_tokenize)?;
            let ids = encoding.get_ids();
            if part.len() < text.len() && ids.len() < room + MARGIN_IN_TOKENS {
                bytes *= 4;
                continue;
            }
            let kept = &ids[..ids.len().min(room)];
            let ids = [&self.prefix, kept, &self.suffix].concat();
            if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocabulary) {
                let message = format!(
                    "the tokenizer gives the id {id}, and the model has {} embeddings: these files \
                     are not of one model; pull it again",
                    self.vocabulary
                );
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            return Ok(ids);
        }
    }

    /// The share of the letters of `text` that the vocabulary has words for.
    pub(crate) fn readable_share(&self, text: &str) -> Result<f32> {
        self.legibility.share(text, |text| {
            self.tokenizer.encode(text, false).map_err(cannot_tokenize)
        })
    }

    /// Byte spans of all tokens of `text`, without special tokens.
    pub(crate) fn spans(&self, text: &str) -> Result<TokenSpans> {
        let encoding = self
            .tokenizer
            .encode(text, false)
            .map_err(cannot_tokenize)?;
        Ok(encoding
            .get_offsets()
            .iter()
            .map(|&(start, end)| start..end)
            .collect())
    }
}

fn cannot_tokenize(error: tokenizers::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, "the text cannot be tokenized").because(error)
}
