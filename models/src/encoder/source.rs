//! Our named tensors as candle asks for them.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;

use super::Tensors;

/// Hands tensors to candle, and remembers the first error of ours, of which candle
/// keeps only the text.
#[derive(Clone)]
pub(super) struct CandleTensors<'a> {
    weights: &'a dyn Tensors,
    error: Arc<Mutex<Option<crate::Error>>>,
}

impl<'a> CandleTensors<'a> {
    pub(super) fn new(weights: &'a dyn Tensors) -> Self {
        Self {
            weights,
            error: Arc::default(),
        }
    }

    /// Why the first tensor was not given.
    pub(super) fn error(&self) -> Option<crate::Error> {
        self.error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl SimpleBackend for CandleTensors<'_> {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        match self.weights.get(name, shape.dims()) {
            Ok(floats) => Tensor::from_slice(&floats, shape, device)?.to_dtype(dtype),
            Err(error) => {
                let told = candle_core::Error::msg(&error);
                // candle tries other names after the first failure.
                self.error
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
                Err(told)
            }
        }
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("`{name}` is read without a shape")
    }

    /// Asked for old names of tensors only, which our own kernels do not read either.
    fn contains_tensor(&self, _: &str) -> bool {
        false
    }
}
