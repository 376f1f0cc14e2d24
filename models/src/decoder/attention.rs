//! Causal self-attention with grouped queries and rotary positions.

use candle_core::{D, DType, Device, Result, Tensor};

use super::cache::KeyValueCache;
use super::linear::Linear;

/// Rotary position embedding (Su et al., 2021): tables of cosines and sines.
pub(super) struct Rope {
    cos: Tensor,
    sin: Tensor,
    /// Llama's GGUF files pair neighbouring components, Qwen2's pair the halves.
    interleaved: bool,
}

impl Rope {
    /// Tables for `positions` positions of heads that are `width` wide.
    pub(super) fn new(
        width: usize,
        base: f32,
        positions: usize,
        interleaved: bool,
    ) -> Result<Self> {
        let frequencies: Vec<f32> = (0..width)
            .step_by(2)
            .map(|i| base.powf(-(i as f32) / width as f32))
            .collect();
        let frequencies = Tensor::new(frequencies, &Device::Cpu)?.unsqueeze(0)?;
        let angles = Tensor::arange(0u32, positions as u32, &Device::Cpu)?
            .to_dtype(DType::F32)?
            .unsqueeze(1)?
            .matmul(&frequencies)?;
        Ok(Self {
            cos: angles.cos()?,
            sin: angles.sin()?,
            interleaved,
        })
    }

    /// Turns `[heads, tokens, width]`, whose first token is at `position`.
    fn turn(&self, x: &Tensor, position: usize) -> Result<Tensor> {
        let tokens = x.dim(1)?;
        let cos = self.cos.narrow(0, position, tokens)?;
        let sin = self.sin.narrow(0, position, tokens)?;
        let x = x.unsqueeze(0)?;
        let turned = if self.interleaved {
            candle_nn::rotary_emb::rope_i(&x, &cos, &sin)?
        } else {
            candle_nn::rotary_emb::rope(&x, &cos, &sin)?
        };
        turned.squeeze(0)
    }
}

/// One layer's attention with its cache.
pub(super) struct Attention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) heads: usize,
    pub(super) key_value_heads: usize,
    pub(super) width: usize,
    pub(super) cache: KeyValueCache,
}

impl Attention {
    /// `x` is `[tokens, hidden]`; the tokens follow those already cached.
    pub(super) fn forward(&mut self, x: &Tensor, rope: &Rope) -> Result<Tensor> {
        let tokens = x.dim(0)?;
        let before = self.cache.len();
        let split = |y: Tensor, heads: usize| {
            y.reshape((tokens, heads, self.width))?
                .transpose(0, 1)?
                .contiguous()
        };
        let query = rope.turn(&split(self.query.forward(x)?, self.heads)?, before)?;
        let key = rope.turn(&split(self.key.forward(x)?, self.key_value_heads)?, before)?;
        let value = split(self.value.forward(x)?, self.key_value_heads)?;
        let (keys, values) = self.cache.append(&key, &value)?;

        // Query heads that share a key head are neighbours, so a group's rows
        // stack into one product and nothing is repeated.
        let group = self.heads / self.key_value_heads;
        let stacked = (self.key_value_heads, group * tokens, self.width);
        let query = (query * (1.0 / (self.width as f64).sqrt()))?.reshape(stacked)?;
        let mut scores = query.matmul(&keys.transpose(1, 2)?)?;
        if tokens > 1 {
            let shape = (self.key_value_heads, group, tokens, before + tokens);
            let masked = scores
                .reshape(shape)?
                .broadcast_add(&causal_mask(before, tokens)?)?;
            scores = masked.reshape((stacked.0, stacked.1, before + tokens))?;
        }
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
        let mixed = weights
            .matmul(&values)?
            .reshape((self.heads, tokens, self.width))?
            .transpose(0, 1)?
            .reshape((tokens, self.heads * self.width))?;
        self.output.forward(&mixed)
    }
}

/// `[tokens, before + tokens]`: minus infinity where a token would see a later
/// one, 0 elsewhere.
fn causal_mask(before: usize, tokens: usize) -> Result<Tensor> {
    let width = before + tokens;
    let mut mask = vec![0f32; tokens * width];
    for (token, row) in mask.chunks_exact_mut(width).enumerate() {
        row[before + token + 1..].fill(f32::NEG_INFINITY);
    }
    Tensor::from_vec(mask, (tokens, width), &Device::Cpu)
}
