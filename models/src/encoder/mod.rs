//! BERT-family encoders: token ids in, one pooled row per text out. On the CPU the
//! kernels are ours, on a GPU candle's.

mod bert;
mod candle;
mod config;
mod layer;
mod source;
mod tokenize;
mod weights;

#[cfg(test)]
mod tests;

pub(crate) use bert::BertEncoder;
pub(crate) use candle::CandleEncoder;
pub(crate) use config::{Activation, Config, Pooling};
pub(crate) use tokenize::Tokens;
pub(crate) use weights::{Table, Tensors, Weights};

use crate::{Cancel, Precision, Result};

/// A forward pass. Implementations are exchangeable: the same ids give the
/// same rows, to rounding.
pub(crate) trait Encoder: Send + Sync {
    /// Tokens that should make up one batch; a longer sequence is one of its own.
    fn tokens_per_batch(&self) -> usize;

    /// Whether every sequence costs as much as the longest of its batch. Such an
    /// encoder spreads one batch over its whole device, so batches take turns.
    fn padded(&self) -> bool {
        false
    }

    /// One pooled row (not normalised) of hidden-size floats for each sequence
    /// of `batch`. Every sequence has at least one id and at most the window.
    fn forward(&self, batch: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>>;

    /// The last layer's rows, `[tokens, hidden]`, of each sequence.
    fn states(&self, batch: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>>;
}
