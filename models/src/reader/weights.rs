//! The built-in reader's weights: a safetensors file of bytes with a scale for each
//! output, `x` and `x_scale`, alongside plain floats. What it lacks, the table of words
//! and positions, is the re-ranker's, which was not trained further.

use std::borrow::Cow;

use safetensors::{Dtype, SafeTensors};

use crate::encoder::{Table, Tensors};
use crate::{Error, ErrorKind, Result};

/// What goes before the names of the shared tensors.
const SHARED: &str = "embeddings.";

pub(super) struct Shared<'a> {
    own: SafeTensors<'static>,
    embeddings: &'a dyn Tensors,
}

impl<'a> Shared<'a> {
    pub(super) fn read(bytes: &'static [u8], embeddings: &'a dyn Tensors) -> Result<Self> {
        let own = SafeTensors::deserialize(bytes)
            .map_err(|cause| corrupt("is not a safetensors file").because(cause))?;
        Ok(Self { own, embeddings })
    }

    /// How many layers there are.
    pub(super) fn layers(&self) -> usize {
        let number = |name: &&str| {
            let after = name.strip_prefix("encoder.layer.")?;
            after.split('.').next()?.parse::<usize>().ok()
        };
        let names = self.own.names();
        let last = names.iter().filter_map(number).max();
        last.map_or(0, |last| last + 1)
    }

    fn data(&self, name: &str, kind: Dtype, shape: &[usize]) -> Result<&'static [u8]> {
        let tensor = self
            .own
            .tensor(name)
            .map_err(|cause| corrupt(&format!("lacks `{name}`")).because(cause))?;
        if tensor.dtype() != kind || tensor.shape() != shape {
            let found = tensor.shape();
            return Err(corrupt(&format!("has `{name}` as {found:?}")));
        }
        Ok(tensor.data())
    }

    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (floats, _) = self.data(name, Dtype::F32, shape)?.as_chunks();
        Ok(floats
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect())
    }
}

impl Tensors for Shared<'_> {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>> {
        if name.starts_with(SHARED) {
            return self.embeddings.get(name, shape);
        }
        let &[rows, columns] = shape else {
            return self.floats(name, shape).map(Cow::Owned);
        };
        let bytes = self.data(name, Dtype::I8, shape)?;
        let scales = self.floats(&format!("{name}_scale"), &[rows])?;
        let mut floats = Vec::with_capacity(rows * columns);
        for (row, scale) in bytes.chunks_exact(columns).zip(scales) {
            floats.extend(row.iter().map(|byte| f32::from(byte.cast_signed()) * scale));
        }
        Ok(Cow::Owned(floats))
    }

    fn table(&self, name: &str, shape: &[usize]) -> Result<Table> {
        self.embeddings.table(name, shape)
    }
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the built-in reader {what}"))
}
