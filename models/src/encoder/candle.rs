//! The forward pass on candle's operations: what runs on a GPU, the back end for
//! activations that our kernels do not have, and the oracle of our kernels.
//!
//! A batch is one tensor, padded to its longest sequence; what is padding is
//! masked in attention and left out of what is pooled.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{self, BertModel, HiddenAct};

use super::config::Activation;
use super::source::CandleTensors;
use super::{Config, Encoder, Pooling, Tensors};
use crate::{Cancel, Error, ErrorKind, Result, device};

/// Tokens of one batch, padding included: bounds the memory of the attention
/// scores.
const TOKENS_PER_BATCH: usize = 4096;

/// candle's BERT on a device.
pub(crate) struct CandleEncoder {
    model: BertModel,
    pooling: Pooling,
    hidden: usize,
}

impl CandleEncoder {
    /// Copies the weights to `device`.
    pub(crate) fn open(
        weights: &dyn Tensors,
        config: &Config,
        pooling: Pooling,
        device: &Device,
    ) -> Result<Self> {
        let shape = bert::Config {
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            num_hidden_layers: config.num_hidden_layers,
            num_attention_heads: config.num_attention_heads,
            intermediate_size: config.intermediate_size,
            hidden_act: match config.hidden_act {
                Activation::Gelu => HiddenAct::Gelu,
                Activation::GeluTanh => HiddenAct::GeluApproximate,
                Activation::Relu => HiddenAct::Relu,
            },
            max_position_embeddings: config.max_position_embeddings,
            type_vocab_size: config.type_vocab_size,
            layer_norm_eps: config.layer_norm_eps,
            ..bert::Config::default()
        };
        let source = CandleTensors::new(weights);
        let backend = Box::new(source.clone());
        let weights = VarBuilder::from_backend(backend, DType::F32, device.clone());
        // An error of the weights says more than candle's, which holds its text.
        let model = BertModel::load(weights, &shape)
            .map_err(|error| source.error().unwrap_or_else(|| failed(device, error)))?;
        Ok(Self {
            model,
            pooling,
            hidden: config.hidden_size,
        })
    }

    /// The last layer, `[sequences, width, hidden]`, and a mask,
    /// `[sequences, width]`, that is 1 where there is a token.
    fn rows(&self, batch: &[&[u32]]) -> candle_core::Result<(Tensor, Tensor)> {
        let width = width(batch);
        let tensor = |number: &dyn Fn(&[u32], usize) -> u32| {
            let numbers: Vec<u32> = batch
                .iter()
                .flat_map(|ids| (0..width).map(move |at| number(ids, at)))
                .collect();
            Tensor::from_vec(numbers, (batch.len(), width), &self.model.device)
        };
        let ids = tensor(&|ids, at| ids.get(at).copied().unwrap_or(0))?;
        let mask = tensor(&|ids, at| u32::from(at < ids.len()))?;
        let types = ids.zeros_like()?;
        let rows = self.model.forward(&ids, &types, Some(&mask))?;
        Ok((rows, mask))
    }

    fn pooled(&self, batch: &[&[u32]]) -> candle_core::Result<Vec<Vec<f32>>> {
        let (rows, mask) = self.rows(batch)?;
        let pooled = match self.pooling {
            Pooling::First => rows.narrow(1, 0, 1)?.squeeze(1)?,
            Pooling::Mean => {
                let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
                let sum = rows.broadcast_mul(&mask)?.sum(1)?;
                sum.broadcast_div(&mask.sum(1)?)?
            }
        };
        pooled.to_vec2()
    }
}

impl Encoder for CandleEncoder {
    fn tokens_per_batch(&self) -> usize {
        TOKENS_PER_BATCH
    }

    fn padded(&self) -> bool {
        true
    }

    fn forward(&self, batch: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        cancel.check()?;
        self.pooled(batch)
            .map_err(|error| failed(&self.model.device, error))
    }

    fn states(&self, batch: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        cancel.check()?;
        let rows = self
            .rows(batch)
            .and_then(|(rows, _)| rows.flatten_all()?.to_vec1::<f32>())
            .map_err(|error| failed(&self.model.device, error))?;
        let padded = rows.chunks_exact(width(batch) * self.hidden);
        let whole = |(rows, ids): (&[f32], &&[u32])| rows[..ids.len() * self.hidden].to_vec();
        Ok(padded.zip(batch).map(whole).collect())
    }
}

/// Tokens of the longest sequence.
fn width(batch: &[&[u32]]) -> usize {
    batch.iter().map(|ids| ids.len()).max().unwrap_or(0)
}

/// A GPU fails for its own reasons, its memory above all; the CPU only for ours.
fn failed(device: &Device, cause: candle_core::Error) -> Error {
    let error = match device {
        Device::Cpu => Error::new(ErrorKind::Internal, "the encoder's forward pass failed"),
        _ => {
            let message = format!(
                "the encoder failed on {}; if its memory is full, free some or set models.device \
                 to \"cpu\"",
                device::name(device)
            );
            Error::new(ErrorKind::Machine, message)
        }
    };
    error.because(cause)
}
