//! Texts to unit vectors with a BERT-family encoder.

use std::path::Path;

use candle_core::Device;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::encoder::{
    Activation, BertEncoder, CandleEncoder, Config, Encoder, Pooling, Tokens, Weights,
};
use crate::{
    Cancel, DeviceChoice, Embedder, Error, ErrorKind, LoadOptions, Precision, Result, TokenSpans,
    device, threads,
};

/// Bytes of all texts of one call that still count as a question.
const QUESTION_NUM_BYTES: usize = 2048;

/// A sentence encoder: tokenizer, weights, pooling and threads.
///
/// Calls from several threads are safe. Short calls have threads of their own,
/// so that a question does not wait until a folder is indexed; the operating
/// system shares the cores.
pub struct BertEmbedder {
    id: String,
    dimension: usize,
    intermediate: usize,
    layers: usize,
    window: usize,
    tokens: Tokens,
    encoder: Box<dyn Encoder>,
    device: String,
    many: ThreadPool,
    few: ThreadPool,
}

impl BertEmbedder {
    /// Opens the model in `folder`, which holds `config.json`, `tokenizer.json`
    /// and `model.safetensors`, and perhaps `1_Pooling/config.json`.
    ///
    /// `id` names the weights; the pooling is added to it when it is not the
    /// mean, and the precision when it is not f32. The device is not: vectors are
    /// the same on all, to rounding.
    ///
    /// # Errors
    /// `NotFound` when a file is missing, `Corrupt` when one is not what it
    /// should be, `InvalidInput` when the architecture is not supported, or
    /// bytes are wanted on a GPU. And those of [`DeviceChoice::find`].
    pub fn open(folder: &Path, id: impl Into<String>, options: &LoadOptions) -> Result<Self> {
        let gpu = match (options.precision, options.device) {
            // Only our own kernels have bytes, and the vectors must not depend on
            // what `auto` finds.
            (Precision::Int8, DeviceChoice::Auto) => None,
            (Precision::Int8, choice) if choice != DeviceChoice::Cpu => {
                let message = format!(
                    "models.precision = \"int8\" does not run on the device \"{choice}\"; set \
                     models.precision to \"f32\" or models.device to \"cpu\""
                );
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
            (_, choice) => choice.gpu()?,
        };
        Self::open_on(gpu.as_ref(), folder, id, options)
    }

    /// The same with candle's operations on the device `candle`; without one, on our
    /// own kernels where they have what the model needs.
    fn open_on(
        candle: Option<&Device>,
        folder: &Path,
        id: impl Into<String>,
        options: &LoadOptions,
    ) -> Result<Self> {
        let LoadOptions {
            threads, precision, ..
        } = *options;
        let config = Config::read(&folder.join("config.json"))?;
        let pooling = Pooling::read(folder)?;
        let window = config.max_position_embeddings;
        let tokens = Tokens::open(&folder.join("tokenizer.json"), window, config.vocab_size)?;
        let path = folder.join("model.safetensors");
        let (many, few) = (
            threads::pool(threads, "embed", "embedder")?,
            threads::pool(threads, "embed-question", "embedder")?,
        );
        let weights = Weights::open(&path)?;
        let kernels = config.hidden_act == Activation::Gelu;
        // Our kernels have no other activation, and candle's no bytes.
        let cpu = Device::Cpu;
        let candle = candle.or((!kernels).then_some(&cpu));
        let encoder: Box<dyn Encoder> = match candle {
            None => {
                let open = || BertEncoder::open(&weights, &config, pooling, precision);
                Box::new(many.install(open)?)
            }
            Some(device) => Box::new(CandleEncoder::open(&weights, &config, pooling, device)?),
        };
        weights.release();
        let mut id = id.into();
        if pooling == Pooling::First {
            id.push_str("+first");
        }
        if precision == Precision::Int8 && candle.is_none() {
            id.push_str("+int8");
        }
        Ok(Self {
            id,
            dimension: config.hidden_size,
            intermediate: config.intermediate_size,
            layers: config.num_hidden_layers,
            window,
            tokens,
            encoder,
            device: device::name(candle.unwrap_or(&cpu)),
            many,
            few,
        })
    }

    fn embed_in_pool(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        let ids = texts
            .par_iter()
            .map(|text| cancel.check().and_then(|()| self.tokens.ids(text)))
            .collect::<Result<Vec<_>>>()?;
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        let padded = self.encoder.padded();
        let batches = batches(&lengths, self.encoder.tokens_per_batch(), padded);
        let forward = |batch: &Vec<usize>| {
            cancel.check()?;
            let members: Vec<&[u32]> = batch.iter().map(|&at| ids[at].as_slice()).collect();
            self.encoder.forward(&members, cancel)
        };
        let rows: Vec<_> = match padded {
            true => batches.iter().map(forward).collect::<Result<_>>()?,
            false => batches.par_iter().map(forward).collect::<Result<_>>()?,
        };
        let mut vectors = vec![Vec::new(); texts.len()];
        for (&at, mut row) in batches.iter().flatten().zip(rows.into_iter().flatten()) {
            normalise(&mut row);
            vectors[at] = row;
        }
        Ok(vectors)
    }
}

impl Embedder for BertEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn window(&self) -> usize {
        self.window
    }

    fn special_tokens(&self) -> usize {
        self.tokens.specials()
    }

    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        self.tokens.spans(text)
    }

    fn readable_share(&self, text: &str) -> Result<f32> {
        self.tokens.readable_share(text)
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let pool = if bytes <= QUESTION_NUM_BYTES {
            &self.few
        } else {
            &self.many
        };
        pool.install(|| self.embed_in_pool(texts, cancel))
    }

    fn device(&self) -> &str {
        &self.device
    }

    /// Four projections of `hidden × hidden`, two of `hidden × intermediate`, and
    /// the two products of attention, in every layer; a multiplication and an
    /// addition are two operations.
    fn operations(&self, tokens: usize) -> f64 {
        let (tokens, hidden) = (tokens as f64, self.dimension as f64);
        let linear = 8.0 * hidden * hidden + 4.0 * hidden * self.intermediate as f64;
        self.layers as f64 * tokens * (linear + 4.0 * tokens * hidden)
    }
}

/// Indices into `lengths`, longest first, cut into batches of at most `budget`
/// tokens (a longer text is a batch of its own), padding included where texts are
/// `padded` to the longest of their batch.
fn batches(lengths: &[usize], budget: usize, padded: bool) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(lengths[at]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut left = 0;
    let cost = |longest: usize, at: usize| lengths[if padded { longest } else { at }];
    for at in order {
        match batches.last_mut() {
            Some(batch) if cost(batch[0], at) <= left => {
                left -= cost(batch[0], at);
                batch.push(at);
            }
            _ => {
                batches.push(vec![at]);
                left = budget.saturating_sub(lengths[at]);
            }
        }
    }
    batches
}

/// Scales `row` to length 1. A row of zeros stays as it is.
fn normalise(row: &mut [f32]) {
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        row.iter_mut().for_each(|x| *x /= norm);
    }
}

#[cfg(test)]
mod device_tests;
#[cfg(test)]
mod tests;
