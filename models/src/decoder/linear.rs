//! A quantised matrix product that picks its method by the number of tokens.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Module as _, Result, Tensor};

/// From this many tokens on, unpacking the weights once and multiplying in f32
/// is faster than the quantised kernels, which work token by token.
const UNPACK_FROM_TOKENS: usize = 12;

/// `x · weightᵀ + bias` with a quantised `[out, in]` weight.
pub(super) struct Linear {
    weight: Arc<QTensor>,
    product: QMatMul,
    bias: Option<Tensor>,
}

impl Linear {
    pub(super) fn new(weight: Arc<QTensor>, bias: Option<Tensor>) -> Result<Self> {
        let product = QMatMul::from_arc(Arc::clone(&weight))?;
        Ok(Self {
            weight,
            product,
            bias,
        })
    }

    /// `x` is `[tokens, in]`; the result is `[tokens, out]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = if x.dim(0)? < UNPACK_FROM_TOKENS {
            self.product.forward(x)?
        } else {
            x.matmul(&self.weight.dequantize(x.device())?.t()?)?
        };
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}
