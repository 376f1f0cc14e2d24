//! What packing needs to know of a model, measured on a training set by
//! models/train/pack.py: a safetensors file of plain floats.

use safetensors::{Dtype, SafeTensors};

use super::DIMENSIONS;
use crate::{Error, ErrorKind, Result};

#[derive(Debug)]
pub(in crate::reranker) struct Weights {
    /// The map of passages, `[dimensions, width]`.
    pub(super) passage: Vec<f32>,
    /// The map of questions, likewise.
    pub(super) question: Vec<f32>,
    /// The spread of tokens along each dimension; their mean is near 0.
    pub(super) row_scales: Vec<f32>,
    /// Mean and spread of sums along each dimension.
    pub(super) sum_means: Vec<f32>,
    pub(super) sum_scales: Vec<f32>,
    /// From each part of a packed score to that of an unpacked one: slope and offset.
    pub(super) lines: [[f32; 2]; 3],
}

impl Weights {
    pub(in crate::reranker) fn read(bytes: &[u8], width: usize) -> Result<Self> {
        let corrupt = |what: &str| {
            let message = format!("the file of packed states {what}");
            Error::new(ErrorKind::Corrupt, message)
        };
        let file = SafeTensors::deserialize(bytes)
            .map_err(|cause| corrupt("is not a safetensors file").because(cause))?;
        let floats = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let tensor = file
                .tensor(name)
                .map_err(|cause| corrupt(&format!("lacks `{name}`")).because(cause))?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
                return Err(corrupt(&format!("has `{name}` as {:?}", tensor.shape())));
            }
            let (floats, _) = tensor.data().as_chunks();
            Ok(floats
                .iter()
                .map(|&bytes| f32::from_le_bytes(bytes))
                .collect())
        };
        let lines = floats("lines", &[3, 2])?;
        let line = |part: usize| [lines[2 * part], lines[2 * part + 1]];
        Ok(Self {
            passage: floats("passage", &[DIMENSIONS, width])?,
            question: floats("question", &[DIMENSIONS, width])?,
            row_scales: floats("row_scales", &[DIMENSIONS])?,
            sum_means: floats("sum_means", &[DIMENSIONS])?,
            sum_scales: floats("sum_scales", &[DIMENSIONS])?,
            lines: [line(0), line(1), line(2)],
        })
    }
}
