//! A decoder-only transformer (Llama and Qwen2 families) over GGUF weights.
//!
//! candle reads the file's header and is the twin of the tests; the weights stay
//! in the mapped file. A chat has two very different loads:
//!
//! - *reading a prompt* ([`prompt`]): many tokens at once, bound by arithmetic.
//!   Weights are unpacked a few rows at a time and multiplied in f32.
//! - *writing* ([`token`]): one token at a time, bound by the reading of the
//!   weights, which are multiplied as the small integers that they are.
//!
//! Keys and values of the tokens read so far stay ([`cache`]); a new prompt that
//! starts like the last one is read from where they part.

mod cache;
mod load;
mod matrix;
mod prompt;
mod rope;
mod token;

#[cfg(test)]
mod tests;

use crate::kernels::ints::IntLevel;
use crate::kernels::simd::Level;
use crate::kernels::team::Team;
use crate::{Cancel, Error, ErrorKind, Result};
use cache::Cache;
use matrix::Matrix;
use rope::Rope;

/// Tokens that are read in one pass, a multiple of every panel: enough to make
/// unpacking the weights cheap, few enough for the activations to stay in the
/// last-level cache.
const TOKENS_PER_PASS: usize = 256;

/// A loaded model with the keys and values of one conversation.
pub(crate) struct Decoder {
    model: Model,
    caches: Vec<Cache>,
    pass: prompt::Buffers,
    one: token::Buffers,
    /// Of the next token, one for each token of the vocabulary.
    logits: Vec<f32>,
    /// Tokens whose keys and values the caches hold.
    read: Vec<u32>,
    /// How many of them were read as a prompt.
    as_prompt: usize,
}

/// What does not change.
struct Model {
    level: Level,
    ints: IntLevel,
    team: Team,
    context_tokens: usize,
    hidden: usize,
    heads: usize,
    key_value_heads: usize,
    /// Floats of one head.
    width: usize,
    epsilon: f32,
    rope: Rope,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: Matrix,
}

struct Layer {
    attention_norm: Vec<f32>,
    query: Matrix,
    key: Matrix,
    value: Matrix,
    /// Of queries, keys and values, one after the other; none, or one for each.
    bias: Vec<f32>,
    output: Matrix,
    feed_forward_norm: Vec<f32>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

impl Model {
    /// What queries are multiplied by: the softmax takes powers of two.
    fn query_factor(&self) -> f32 {
        (std::f64::consts::LOG2_E / (self.width as f64).sqrt()) as f32
    }

    /// Rows of queries, keys and values together.
    fn projected(&self) -> usize {
        (self.heads + 2 * self.key_value_heads) * self.width
    }
}

impl Decoder {
    fn new(model: Model) -> Self {
        let caches = model
            .layers
            .iter()
            .map(|_| Cache::new(model.key_value_heads, model.width))
            .collect();
        Self {
            caches,
            pass: prompt::Buffers::default(),
            one: token::Buffers::default(),
            logits: vec![0.0; model.head.rows],
            read: Vec::new(),
            as_prompt: 0,
            model,
        }
    }

    /// Most tokens of prompt and answer together.
    pub(crate) fn context_tokens(&self) -> usize {
        self.model.context_tokens
    }

    /// Logits of the next token, `[vocabulary]`; the sampler may change them.
    pub(crate) fn logits(&mut self) -> &mut [f32] {
        &mut self.logits
    }

    /// Reads `prompt`, after which [`Decoder::logits`] are those of the next token.
    ///
    /// What it shares with the last prompt is not read again. Written tokens
    /// are: their keys and values went through other roundings, and a prompt
    /// must give the same logits whatever was read before it. How a prompt is cut
    /// into passes changes nothing: each token's arithmetic is its own.
    pub(crate) fn read_prompt(&mut self, prompt: &[u32], cancel: &Cancel) -> Result<()> {
        let Some((_, but_last)) = prompt.split_last() else {
            return Err(Error::new(ErrorKind::InvalidInput, "the prompt is empty"));
        };
        // The last token is always read again: its logits are the result.
        let same = but_last
            .iter()
            .zip(&self.read[..self.as_prompt])
            .take_while(|(a, b)| a == b)
            .count();
        self.forget_after(same);
        self.check_room(prompt.len() - same)?;
        for pass in prompt[same..].chunks(TOKENS_PER_PASS) {
            let Self {
                model,
                caches,
                pass: buffers,
                read,
                ..
            } = self;
            buffers.read(model, caches, pass, read.len(), cancel)?;
            self.read.extend_from_slice(pass);
            self.as_prompt = self.read.len();
        }
        self.one.take_last(&self.model, &self.pass);
        self.one.head(&self.model, &mut self.logits);
        Ok(())
    }

    /// Appends one token, after which [`Decoder::logits`] are those of the next.
    pub(crate) fn append(&mut self, token: u32, cancel: &Cancel) -> Result<()> {
        self.check_room(1)?;
        let Self {
            model,
            caches,
            one,
            read,
            ..
        } = self;
        one.append(model, caches, token, read.len(), cancel)?;
        self.read.push(token);
        self.one.head(&self.model, &mut self.logits);
        Ok(())
    }

    fn forget_after(&mut self, tokens: usize) {
        self.read.truncate(tokens);
        self.as_prompt = self.as_prompt.min(tokens);
    }

    fn check_room(&self, tokens: usize) -> Result<()> {
        let all = self.read.len() + tokens;
        if all <= self.model.context_tokens {
            return Ok(());
        }
        let most = self.model.context_tokens;
        let message = format!("{all} tokens do not fit the model's context of {most}");
        Err(Error::new(ErrorKind::InvalidInput, message))
    }
}
