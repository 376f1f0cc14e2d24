//! Query and passage to the token ids that a cross-encoder reads.

use std::ops::Range;
use std::path::Path;

use tokenizers::{Encoding, PostProcessor, Tokenizer, TruncationDirection};

use crate::legible::Legibility;
use crate::{Error, ErrorKind, Result, TokenSpans};

/// Tokens of a title in front of a window.
const MAX_TITLE_TOKENS: usize = 40;

/// Tokens of a text that are read together: what a pair leaves to a passage alongside a title
/// and a question.
const WINDOW_TOKENS: usize = 160;

/// Most of them, in a text that is one endless word.
const MAX_WINDOW_TOKENS: usize = 400;

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

/// A part of a passage, ready to be read alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PassageWindow {
    pub(super) ids: Vec<u32>,
    /// Tokens after the first special one that are the title.
    pub(super) title: usize,
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

    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
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

    /// The ids of a question as those of a pair begin, special tokens among them.
    pub(super) fn question(&self, text: &str) -> Result<Vec<u32>> {
        let pair = self.pair(&self.query(text)?, "")?;
        Ok(pair.ids[..pair.passage].to_vec())
    }

    /// A whole passage in windows of about equal length, each with the title in front and
    /// as a pair's second side; none of a text without tokens. No word is cut in two.
    pub(super) fn windows(&self, title: &str, text: &str) -> Result<Vec<PassageWindow>> {
        let title = self.cut(title, MAX_TITLE_TOKENS)?;
        let title = title.get_ids();
        // Its fast twin does not say which tokens are of one word.
        let text = self.tokenizer.encode(text, false).map_err(unusable)?;
        let frame = self.pair(&self.query("")?, "")?;
        let frame = &frame.ids[frame.passage..];
        // One special token before the text and the rest behind it.
        let (before, behind) = frame.split_at(frame.len().min(1));
        let window = |range: Range<usize>| {
            let end = range.end.min(range.start + MAX_WINDOW_TOKENS);
            let ids = &text.get_ids()[range.start..end];
            // The beginning of a document often repeats its title.
            let title = if ids.starts_with(title) { &[] } else { title };
            PassageWindow {
                ids: [before, title, ids, behind].concat(),
                title: title.len(),
            }
        };
        let cuts = even_cuts(text.get_word_ids(), WINDOW_TOKENS);
        Ok(cuts.into_iter().map(window).collect())
    }

    fn cut(&self, text: &str, tokens: usize) -> Result<Encoding> {
        let mut encoding = self.tokenizer.encode_fast(text, false).map_err(unusable)?;
        encoding.truncate(tokens, 0, TruncationDirection::Right);
        // What was cut off must not be joined with the other side.
        encoding.take_overflowing();
        Ok(encoding)
    }
}

/// Ranges of about equal length, of `most` tokens or a word more, that cut no word in two.
fn even_cuts(words: &[Option<u32>], most: usize) -> Vec<Range<usize>> {
    let windows = words.len().div_ceil(most);
    let starts_word = |at: usize| at == words.len() || words[at - 1] != words[at];
    let mut cuts = Vec::with_capacity(windows);
    let mut start = 0;
    for window in 1..=windows {
        let wanted = window * words.len() / windows;
        let end = (wanted.max(1)..=words.len()).find(|&at| starts_word(at));
        let end = end.unwrap_or(words.len());
        if end > start {
            cuts.push(start..end);
            start = end;
        }
    }
    cuts
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_passage_is_read_in_windows_of_whole_words_each_below_the_title() {
        let pairs = Pairs::from_bytes(super::super::TOKENIZER, 192).unwrap();
        let text = "unbelievably long-winded explanations ".repeat(60);
        let tokens = pairs.token_spans(&text).unwrap().len();
        let title = pairs.token_spans("Of Ropes").unwrap().len();
        let windows = pairs.windows("Of Ropes", &text).unwrap();
        assert_eq!(windows.len(), tokens.div_ceil(WINDOW_TOKENS));
        let words: usize = windows.iter().map(|it| it.ids.len() - title - 2).sum();
        assert_eq!(words, tokens);
        for window in &windows {
            assert_eq!(window.title, title);
            assert!(window.ids.len() < WINDOW_TOKENS + title + 12);
            assert_eq!(window.ids[..3], windows[0].ids[..3]);
        }
        // A beginning that repeats the title does not get it twice; others do.
        let text = format!("Of ropes {text}");
        let windows = pairs.windows("Of Ropes", &text).unwrap();
        assert_eq!((windows[0].title, windows[1].title), (0, title));
        assert!(pairs.windows("Of Ropes", "").unwrap().is_empty());
        assert_eq!(pairs.windows("", "rope").unwrap()[0].ids.len(), 3);
    }

    #[test]
    fn windows_are_even_and_cut_no_word() {
        let alone = |count: u32| (0..count).map(Some).collect::<Vec<_>>();
        assert!(even_cuts(&[], 4).is_empty());
        assert_eq!(even_cuts(&alone(4), 4), Vec::from_iter(Some(0..4)));
        assert_eq!(even_cuts(&alone(9), 4), [0..3, 3..6, 6..9]);
        let words = [0, 1, 1, 1, 2, 3].map(Some);
        assert_eq!(even_cuts(&words, 3), [0..4, 4..6]);
        // One word that is longer than all windows.
        assert_eq!(even_cuts(&[Some(0); 9], 4), Vec::from_iter(Some(0..9)));
    }
}
