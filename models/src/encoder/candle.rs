//! The forward pass on candle's operations: the oracle of our own kernels, and
//! the back end for activations that they do not have.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{self, BertModel, HiddenAct};

use super::config::Activation;
use super::{Config, Encoder, Pooling};
use crate::{Cancel, Error, ErrorKind, Result};

/// Tokens of one batch: bounds the memory of the attention scores.
const TOKENS_PER_BATCH: usize = 4096;

/// candle's BERT with padded batches.
pub(crate) struct CandleEncoder {
    model: BertModel,
    pooling: Pooling,
}

impl CandleEncoder {
    /// Maps the weights in `path`, which must be safetensors.
    pub(crate) fn open(path: &Path, config: &Config, pooling: Pooling) -> Result<Self> {
        let corrupt = |error: candle_core::Error| {
            let message = format!("{}: not the weights of this model", path.display());
            Error::new(ErrorKind::Corrupt, message).because(error)
        };
        // SAFETY: the file is one of our verified artifacts, which are replaced
        // by renaming and never written in place, so the mapping does not change.
        #[allow(unsafe_code)]
        let weights =
            unsafe { VarBuilder::from_mmaped_safetensors(&[path], DType::F32, &Device::Cpu) }
                .map_err(corrupt)?;
        let config = bert::Config {
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
        let model = BertModel::load(weights, &config).map_err(corrupt)?;
        Ok(Self { model, pooling })
    }

    fn pooled(&self, batch: &[&[u32]]) -> candle_core::Result<Vec<Vec<f32>>> {
        let width = batch.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let shape = (batch.len(), width);
        let pad = |ids: &[u32]| [ids, &vec![0; width - ids.len()]].concat();
        let mark = |ids: &[u32]| {
            (0..width)
                .map(|at| u32::from(at < ids.len()))
                .collect::<Vec<_>>()
        };
        let device = &self.model.device;
        let ids: Vec<u32> = batch.iter().flat_map(|ids| pad(ids)).collect();
        let mask: Vec<u32> = batch.iter().flat_map(|ids| mark(ids)).collect();
        let ids = Tensor::from_vec(ids, shape, device)?;
        let mask = Tensor::from_vec(mask, shape, device)?;
        let rows = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
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

    fn forward(&self, batch: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        cancel.check()?;
        self.pooled(batch).map_err(|error| {
            Error::new(
                ErrorKind::Internal,
                "the forward pass of the embedder failed",
            )
            .because(error)
        })
    }
}
