//! Named tensors of a safetensors file, as f32.

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use crate::{Error, ErrorKind, Result};

/// Named tensors of a model, wherever they come from.
pub(crate) trait Tensors: Sync {
    /// The tensor `name`, which must have this `shape`. Matrices of linear
    /// layers are `[out, in]`.
    fn get(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>>;

    /// Like [`Tensors::get`], for a table that is kept: it stays where it is if
    /// it can.
    fn table(&self, name: &str, shape: &[usize]) -> Result<Table>;
}

/// A mapped file of weights.
pub(crate) struct Weights {
    path: PathBuf,
    file: Arc<Mmap>,
    // What some exports put before every name.
    prefix: &'static str,
}

impl Weights {
    /// Maps `path` and checks its header.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| {
            let message = format!("cannot read {}; pull the model", path.display());
            Error::new(ErrorKind::NotFound, message).because(error)
        })?;
        // SAFETY: nothing in Cairn writes to a model's file in place: pulled ones are replaced
        // by renaming. A folder that the operator names may hold a file that another program
        // writes or truncates while it is mapped, which is undefined behaviour or ends the
        // process; docs/inference.md says so, and reading into memory instead would double the
        // memory of every model.
        #[allow(unsafe_code)]
        let file = unsafe { Mmap::map(&file) }.map_err(|error| {
            let message = format!("cannot map {}", path.display());
            Error::new(ErrorKind::Machine, message).because(error)
        })?;
        let mut weights = Self {
            path: path.to_owned(),
            file: Arc::new(file),
            prefix: "",
        };
        if weights
            .tensors()?
            .names()
            .iter()
            .any(|name| name.starts_with("bert."))
        {
            weights.prefix = "bert.";
        }
        Ok(weights)
    }

    /// Lets go of the pages that were read, once the weights are packed: otherwise they
    /// stay in memory twice. What is kept in the mapping is read again when it is used.
    pub(crate) fn release(&self) {
        // SAFETY: the mapping is of a file and read-only, so pages that are let go come back
        // from the file, which does not change while it is mapped (see `Weights::open`).
        #[cfg(unix)]
        #[allow(unsafe_code)]
        // It is a hint: without it, only memory is lost.
        let _ = unsafe {
            self.file
                .unchecked_advise(memmap2::UncheckedAdvice::DontNeed)
        };
    }

    fn corrupt(&self, why: &str) -> Error {
        let message = format!("{}: {why}; pull the model again", self.path.display());
        Error::new(ErrorKind::Corrupt, message)
    }

    fn tensors(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.file)
            .map_err(|error| self.corrupt("not a safetensors file").because(error))
    }
}

impl Tensors for Weights {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>> {
        let tensors = self.tensors()?;
        let name = format!("{}{name}", self.prefix);
        let view = tensors
            .tensor(&name)
            .map_err(|error| self.corrupt("a tensor is missing").because(error))?;
        if view.shape() != shape {
            let found = view.shape();
            return Err(self.corrupt(&format!("{name} is {found:?}, config.json says {shape:?}")));
        }
        let bytes = view.data();
        Ok(match view.dtype() {
            Dtype::F32 => match bytemuck::try_cast_slice(bytes) {
                Ok(floats) => Cow::Borrowed(floats),
                Err(_) => Cow::Owned(floats(bytes, f32::from_le_bytes)),
            },
            Dtype::F16 => Cow::Owned(floats(bytes, |b| f16::from_le_bytes(b).to_f32())),
            Dtype::BF16 => Cow::Owned(floats(bytes, |b| bf16::from_le_bytes(b).to_f32())),
            other => return Err(self.corrupt(&format!("{name} has the type {other:?}"))),
        })
    }

    fn table(&self, name: &str, shape: &[usize]) -> Result<Table> {
        Ok(match self.get(name, shape)? {
            Cow::Owned(floats) => Table::Owned(floats),
            Cow::Borrowed(floats) => {
                let bytes: &[u8] = bytemuck::cast_slice(floats);
                let start = bytes.as_ptr() as usize - self.file.as_ptr() as usize;
                Table::Mapped(Arc::clone(&self.file), start..start + bytes.len())
            }
        })
    }
}

fn floats<const N: usize>(bytes: &[u8], float: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().map(|&number| float(number)).collect()
}

/// The rows of one tensor, without the lifetime of a borrow.
pub(crate) enum Table {
    Owned(Vec<f32>),
    /// Bytes of the file, aligned for f32.
    Mapped(Arc<Mmap>, Range<usize>),
    /// Bytes of the binary: float = scale · (byte − zero).
    Bytes {
        bytes: &'static [u8],
        zero: u8,
        scale: f32,
    },
}

impl Table {
    /// Copies row `at`, as long as `out` is.
    pub(crate) fn row(&self, at: usize, out: &mut [f32]) {
        let range = at * out.len()..(at + 1) * out.len();
        match self {
            Self::Owned(floats) => out.copy_from_slice(&floats[range]),
            Self::Mapped(file, part) => {
                let floats: &[f32] = bytemuck::cast_slice(&file[part.clone()]);
                out.copy_from_slice(&floats[range]);
            }
            Self::Bytes { bytes, zero, scale } => {
                for (out, &byte) in out.iter_mut().zip(&bytes[range]) {
                    *out = scale * f32::from(i16::from(byte) - i16::from(*zero));
                }
            }
        }
    }
}
