//! The reader: question and passage read together, to find the segments that answer.
//!
//! A re-ranker says which passage to show; a reader says which sentence, line or row of
//! it. The built-in one is a BERT of the re-ranker's size on the same kernels, trained
//! by models/train/reading.

mod head;
mod weights;

use std::ops::Range;

use rayon::ThreadPool;
use rayon::prelude::*;
use tokenizers::Tokenizer;

use self::head::Head;
use self::weights::Shared;
use crate::encoder::{BertEncoder, Encoder, Pooling};
use crate::reranker::{
    TABLE_OF_WORDS, TOKENIZER, builtin_precision, builtin_shape, parse_tokenizer, unusable,
    without_limits,
};
use crate::{Cancel, Error, ErrorKind, Reader, ReaderPassage, Result, memory, threads};

/// Identity of the built-in weights.
const ID: &str = "cairn-reader-v3";
static WEIGHTS: &[u8] = include_bytes!("../../builtin/reader-v3/model.int8.safetensors");

/// The files of the built-in reader, by the names of the list of models.
pub(crate) fn builtin_files(id: &str) -> Result<Vec<(&'static str, &'static [u8])>> {
    match id {
        ID => Ok(vec![("model.int8.safetensors", WEIGHTS)]),
        _ => {
            let message = format!("no reader `{id}` is inside this binary");
            Err(Error::new(ErrorKind::NotFound, message))
        }
    }
}

/// Most tokens of question, place and passage, as in training.
const WINDOW: usize = 288;
const MAX_QUESTION: usize = 48;
const MAX_PLACE: usize = 24;

/// The reader that is compiled into this crate.
///
/// Calls from several threads are safe.
pub struct SegmentReader {
    encoder: BertEncoder,
    head: Head,
    tokenizer: Tokenizer,
    cls: u32,
    sep: u32,
    pool: ThreadPool,
}

/// `[CLS] question [SEP] place passage [SEP]`.
struct Input {
    ids: Vec<u32>,
    /// The segment of each token.
    of: Vec<Option<usize>>,
}

impl SegmentReader {
    /// Opens the built-in weights; `threads` work on one call, 0 takes all cores.
    ///
    /// # Errors
    /// `Machine` when the threads cannot be started.
    pub fn builtin(threads: usize) -> Result<Self> {
        let pool = threads::pool(threads, "read", "reader")?;
        let table = TABLE_OF_WORDS.graph();
        let weights = Shared::read(WEIGHTS, &table)?;
        let shape = builtin_shape(weights.layers());
        let encoder = pool
            .install(|| BertEncoder::open(&weights, &shape, Pooling::First, builtin_precision()))?;
        let head = Head::open(&weights, shape.hidden_size)?;
        // SAFETY: `include_bytes!` made them, and nothing writes to them.
        #[allow(unsafe_code)]
        unsafe {
            memory::release(WEIGHTS);
        }
        let tokenizer = without_limits(parse_tokenizer(TOKENIZER)?)?;
        let special = |token| {
            tokenizer.token_to_id(token).ok_or_else(|| {
                let message = format!("the tokenizer has no {token}");
                Error::new(ErrorKind::Corrupt, message)
            })
        };
        Ok(Self {
            encoder,
            head,
            cls: special("[CLS]")?,
            sep: special("[SEP]")?,
            tokenizer,
            pool,
        })
    }

    fn ids(&self, text: &str, most: usize) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(unusable)?;
        let ids = encoding.get_ids();
        Ok(ids[..ids.len().min(most)].to_vec())
    }

    fn input(&self, question: &[u32], passage: &ReaderPassage<'_>) -> Result<Input> {
        let mut ids = Vec::with_capacity(WINDOW);
        ids.push(self.cls);
        ids.extend(question);
        ids.push(self.sep);
        ids.extend(self.ids(passage.place, MAX_PLACE)?);
        let mut of = vec![None; ids.len()];
        let encoding = self
            .tokenizer
            .encode(passage.text, false)
            .map_err(unusable)?;
        let mut segments = passage.segments.iter().enumerate().peekable();
        for (&id, &(start, _)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
            if ids.len() + 1 == WINDOW {
                break;
            }
            while segments.next_if(|(_, range)| range.end <= start).is_some() {}
            let within =
                |(at, range): &(usize, &Range<usize>)| (range.start <= start).then_some(*at);
            of.push(segments.peek().and_then(within));
            ids.push(id);
        }
        ids.push(self.sep);
        of.push(None);
        Ok(Input { ids, of })
    }
}

impl Reader for SegmentReader {
    fn id(&self) -> &str {
        ID
    }

    fn read(
        &self,
        question: &str,
        passages: &[ReaderPassage<'_>],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>> {
        cancel.check()?;
        let question = self.ids(question, MAX_QUESTION)?;
        let inputs: Vec<Input> = passages
            .iter()
            .map(|passage| self.input(&question, passage))
            .collect::<Result<_>>()?;
        self.pool.install(|| {
            let batch: Vec<&[u32]> = inputs.iter().map(|input| &input.ids[..]).collect();
            let states = self.encoder.states(&batch, cancel)?;
            Ok(states
                .par_iter()
                .zip(&inputs)
                .zip(passages)
                .map(|((states, input), passage)| {
                    self.head.scores(states, &input.of, passage.segments.len())
                })
                .collect())
        })
    }
}
