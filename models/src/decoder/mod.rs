//! A decoder-only transformer (Llama and Qwen2 families) over GGUF weights.
//!
//! candle keeps the weights, the tensors and the quantised kernels; this room
//! arranges them for the two very different loads of a chat:
//!
//! - *reading a prompt*: many tokens at once. The quantised kernels work token
//!   by token, so each weight matrix is unpacked to f32 once per pass and
//!   multiplied with all tokens through `gemm` ([`linear`]).
//! - *writing*: one token at a time, bound by memory bandwidth. The quantised
//!   kernels read a quarter of the bytes and win.
//!
//! Keys and values of the tokens read so far stay ([`cache`]); a new prompt that
//! starts like the last one is read from where they part.

mod attention;
mod cache;
mod linear;
mod load;

use candle_core::{Device, IndexOp as _, Tensor};
use std::sync::Arc;

use crate::{Cancel, Error, ErrorKind, Result};
use attention::{Attention, Rope};
use linear::Linear;

/// Tokens that are read in one pass: enough to make unpacking the weights
/// cheap, few enough to bound the memory of one pass and to re-use prefixes,
/// which end where a pass does.
const TOKENS_PER_PASS: usize = 256;

/// A loaded model with the keys and values of one conversation.
pub(crate) struct Decoder {
    embedding: Arc<candle_core::quantized::QTensor>,
    layers: Vec<Layer>,
    norm: Norm,
    head: Linear,
    rope: Rope,
    context_tokens: usize,
    /// Tokens whose keys and values the layers hold.
    read: Vec<u32>,
    /// How many of them were read in whole passes of a prompt.
    in_whole_passes: usize,
}

struct Layer {
    attention_norm: Norm,
    attention: Attention,
    feed_forward_norm: Norm,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// Root mean square normalisation (Zhang and Sennrich, 2019).
struct Norm {
    weight: Tensor,
    epsilon: f32,
}

impl Norm {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        candle_nn::ops::rms_norm(x, &self.weight, self.epsilon)
    }
}

impl Layer {
    /// `x` is `[tokens, hidden]`; the tokens follow those already cached.
    fn forward(&mut self, x: &Tensor, rope: &Rope) -> candle_core::Result<Tensor> {
        let attended = self
            .attention
            .forward(&self.attention_norm.forward(x)?, rope)?;
        let x = (x + attended)?;
        let normed = self.feed_forward_norm.forward(&x)?;
        let gated = (self.gate.forward(&normed)?.silu()? * self.up.forward(&normed)?)?;
        x + self.down.forward(&gated)?
    }
}

fn internal(error: candle_core::Error) -> Error {
    Error::new(ErrorKind::Internal, "the generator's arithmetic failed").because(error)
}

impl Decoder {
    /// Most tokens of prompt and answer together.
    pub(crate) fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    /// Reads `prompt` and returns the logits of the next token, `[vocabulary]`.
    ///
    /// Whole passes that it shares with the last prompt are not read again. The
    /// rest of a pass and written tokens are: their keys and values went through
    /// other roundings, and a prompt must give the same logits whatever was read
    /// before it.
    pub(crate) fn read_prompt(&mut self, prompt: &[u32], cancel: &Cancel) -> Result<Tensor> {
        if prompt.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "the prompt is empty"));
        }
        let same = prompt
            .iter()
            .zip(&self.read)
            .take_while(|(a, b)| a == b)
            .count();
        // The last token is always read anew: its logits are the result.
        let known = same.min(self.in_whole_passes).min(prompt.len() - 1);
        self.forget_after(known / TOKENS_PER_PASS * TOKENS_PER_PASS);
        let mut logits = None;
        while self.read.len() < prompt.len() {
            let start = self.read.len();
            let end = prompt.len().min(start + TOKENS_PER_PASS);
            logits = Some(self.forward(&prompt[start..end], cancel)?);
            if end - start == TOKENS_PER_PASS {
                self.in_whole_passes = end;
            }
        }
        logits.ok_or_else(|| Error::new(ErrorKind::Internal, "no token was read"))
    }

    /// Appends one token and returns the logits of the next, `[vocabulary]`.
    pub(crate) fn append(&mut self, token: u32, cancel: &Cancel) -> Result<Tensor> {
        self.forward(&[token], cancel)
    }

    fn forget_after(&mut self, tokens: usize) {
        self.read.truncate(tokens);
        self.in_whole_passes = self.in_whole_passes.min(tokens);
        for layer in &mut self.layers {
            layer.attention.cache.truncate(tokens);
        }
    }

    fn forward(&mut self, tokens: &[u32], cancel: &Cancel) -> Result<Tensor> {
        let before = self.read.len();
        if before + tokens.len() > self.context_tokens {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "{} tokens do not fit the model's context of {}",
                    before + tokens.len(),
                    self.context_tokens
                ),
            ));
        }
        let logits = self.forward_layers(tokens, cancel);
        match &logits {
            Ok(_) => self.read.extend_from_slice(tokens),
            // Some layers may hold the new tokens and some not.
            Err(_) => self.forget_after(before),
        }
        logits
    }

    fn forward_layers(&mut self, tokens: &[u32], cancel: &Cancel) -> Result<Tensor> {
        let ids = Tensor::new(tokens, &Device::Cpu).map_err(internal)?;
        let mut x = self.embedding.embedding(&ids).map_err(internal)?;
        for layer in &mut self.layers {
            cancel.check()?;
            x = layer.forward(&x, &self.rope).map_err(internal)?;
        }
        let last = x
            .i(tokens.len() - 1..)
            .and_then(|x| x.contiguous())
            .map_err(internal)?;
        let normed = self.norm.forward(&last).map_err(internal)?;
        self.head
            .forward(&normed)
            .and_then(|logits| logits.i(0))
            .map_err(internal)
    }
}

#[cfg(test)]
mod tests;
