//! From a GGUF file to a [`Decoder`].

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use memmap2::Mmap;

use super::matrix::{Bytes, Matrix};
use super::rope::Rope;
use super::{Decoder, Layer, Model};
use crate::kernels::ints::IntLevel;
use crate::kernels::quant::Layout;
use crate::kernels::simd::Level;
use crate::kernels::team::Team;
use crate::{Error, ErrorKind, Result};

/// Longest context that is offered, whatever the model allows: keys and values
/// of more would take gigabytes.
const MAX_CONTEXT_TOKENS: usize = 8192;

/// Reads tensors and figures of one file, with errors that name it.
struct Reader<'a> {
    path: &'a Path,
    content: &'a Content,
    file: Arc<Mmap>,
    architecture: String,
}

impl Reader<'_> {
    fn corrupt(&self, message: impl std::fmt::Display) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!("{}: {message}; pull the model again", self.path.display()),
        )
    }

    fn unsupported(&self, message: impl std::fmt::Display) -> Error {
        let message = format!("{}: {message}", self.path.display());
        Error::new(ErrorKind::InvalidInput, message)
    }

    fn value(&self, key: &str) -> Result<&Value> {
        let key = format!("{}.{key}", self.architecture);
        self.content
            .metadata
            .get(&key)
            .ok_or_else(|| self.corrupt(format!("the GGUF file has no `{key}`")))
    }

    fn count(&self, key: &str) -> Result<usize> {
        let count = self.value(key)?.to_u32().map_err(|e| self.corrupt(e))?;
        Ok(count as usize)
    }

    fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// The tensor as it is in the file, and its shape, the longest stride first.
    fn bytes(&self, name: &str) -> Result<(std::ops::Range<usize>, GgmlDType, &[usize])> {
        let info = self
            .content
            .tensor_infos
            .get(name)
            .ok_or_else(|| self.corrupt(format!("the GGUF file has no tensor `{name}`")))?;
        let count = info.shape.elem_count();
        let size = count / info.ggml_dtype.block_size() * info.ggml_dtype.type_size();
        let start = self.content.tensor_data_offset.checked_add(info.offset);
        let range = start
            .and_then(|start| usize::try_from(start).ok())
            .and_then(|start| Some(start..start.checked_add(size)?))
            .filter(|range| range.end <= self.file.len())
            .ok_or_else(|| self.corrupt(format!("tensor `{name}` ends after the file")))?;
        Ok((range, info.ggml_dtype, info.shape.dims()))
    }

    fn matrix(&self, name: &str, rows: usize, depth: usize) -> Result<Matrix> {
        let (range, kind, shape) = self.bytes(name)?;
        if shape != [rows, depth] {
            return Err(self.corrupt(format!(
                "tensor `{name}` is {shape:?}, the header says [{rows}, {depth}]"
            )));
        }
        let layout = match kind {
            GgmlDType::F32 => Some(Layout::F32),
            GgmlDType::F16 => Some(Layout::F16),
            GgmlDType::BF16 => Some(Layout::Bf16),
            GgmlDType::Q4_0 => Some(Layout::Q4_0),
            GgmlDType::Q4_1 => Some(Layout::Q4_1),
            GgmlDType::Q8_0 => Some(Layout::Q8_0),
            GgmlDType::Q4K => Some(Layout::Q4K),
            GgmlDType::Q6K => Some(Layout::Q6K),
            _ => None,
        };
        let matrix = match layout {
            Some(layout) => {
                let bytes = Bytes::Mapped(Arc::clone(&self.file), range);
                Matrix::new(bytes, layout, rows, depth)
            }
            None => {
                let bytes = self.convert(name)?;
                Matrix::new(Bytes::Owned(bytes), Layout::Q8_0, rows, depth)
            }
        };
        matrix.ok_or_else(|| {
            self.unsupported(format!(
                "tensor `{name}` has rows of {depth} weights, which are not whole blocks"
            ))
        })
    }

    /// A tensor of a layout that has no kernel, as 8-bit blocks: their error is
    /// far below that of every layout which this is for.
    fn convert(&self, name: &str) -> Result<Arc<[u8]>> {
        let failed = |error| self.corrupt(format!("tensor `{name}`: {error}"));
        let floats = self
            .candle(name)
            .and_then(|tensor| tensor.dequantize(&Device::Cpu))
            .map_err(failed)?;
        let bytes = QTensor::quantize(&floats, GgmlDType::Q8_0)
            .and_then(|tensor| tensor.data().map(|bytes| bytes.to_vec()))
            .map_err(failed)?;
        Ok(bytes.into())
    }

    fn candle(&self, name: &str) -> candle_core::Result<QTensor> {
        let mut file = std::io::Cursor::new(&self.file[..]);
        self.content.tensor(&mut file, name, &Device::Cpu)
    }

    fn floats(&self, name: &str, count: usize) -> Result<Vec<f32>> {
        self.bytes(name)?;
        let floats = self
            .candle(name)
            .and_then(|tensor| tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1())
            .map_err(|error| self.corrupt(format!("tensor `{name}`: {error}")))?;
        if floats.len() != count {
            let found = floats.len();
            return Err(self.corrupt(format!(
                "tensor `{name}` has {found} numbers, the header says {count}"
            )));
        }
        Ok(floats)
    }

    /// The biases of several linear layers, one after the other; nothing where
    /// none has one.
    fn biases(&self, parts: &[(String, usize)]) -> Result<Vec<f32>> {
        if !parts.iter().any(|(name, _)| self.has(name)) {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for (name, count) in parts {
            if self.has(name) {
                all.extend(self.floats(name, *count)?);
            } else {
                all.resize(all.len() + count, 0.0);
            }
        }
        Ok(all)
    }
}

impl Decoder {
    /// Maps the weights of the file at `path`, whose header is `content`.
    /// `threads` work on one call, 0 takes all cores.
    pub(crate) fn load(path: &Path, content: &Content, threads: usize) -> Result<Self> {
        let architecture = match content.metadata.get("general.architecture") {
            Some(Value::String(name)) => name.clone(),
            _ => String::new(),
        };
        let reader = Reader {
            path,
            content,
            file: map(path)?,
            architecture,
        };
        let interleaved = match reader.architecture.as_str() {
            "llama" => true,
            "qwen2" => false,
            other => {
                return Err(reader.unsupported(format!(
                    "generators of the architecture `{other}` are not supported; \
                     llama and qwen2 are"
                )));
            }
        };
        let hidden = reader.count("embedding_length")?;
        let heads = reader.count("attention.head_count")?;
        let key_value_heads = reader.count("attention.head_count_kv")?;
        let divides = |a: usize, b: usize| b != 0 && a.is_multiple_of(b);
        if !divides(heads, key_value_heads) || !divides(hidden, heads) || hidden == 0 {
            return Err(reader.corrupt("the numbers of heads do not divide each other"));
        }
        let width = hidden / heads;
        let epsilon = reader.value("attention.layer_norm_rms_epsilon")?;
        let epsilon = epsilon.to_f32().map_err(|e| reader.corrupt(e))?;
        let base = reader
            .value("rope.freq_base")
            .and_then(|v| v.to_f32().map_err(|e| reader.corrupt(e)))
            .unwrap_or(10_000.0);
        if reader.count("rope.dimension_count").unwrap_or(width) != width || width % 2 != 0 {
            return Err(reader.unsupported("positions that turn a part of a head only"));
        }
        let slower = match reader.has("rope_freqs.weight") {
            true => Some(reader.floats("rope_freqs.weight", width / 2)?),
            false => None,
        };
        let layers = (0..reader.count("block_count")?)
            .map(|at| layer(&reader, at, hidden, width, heads, key_value_heads))
            .collect::<Result<_>>()?;
        let (_, _, shape) = reader.bytes("token_embd.weight")?;
        let vocabulary = shape.first().copied().unwrap_or(0);
        let embedding = reader.matrix("token_embd.weight", vocabulary, hidden)?;
        // Small models share the table of embeddings with the output.
        let head = match reader.has("output.weight") {
            true => reader.matrix("output.weight", vocabulary, hidden)?,
            false => embedding.clone(),
        };
        Ok(Self::new(Model {
            level: Level::best(),
            ints: IntLevel::best(),
            team: Team::start("generator", threads)?,
            context_tokens: reader.count("context_length")?.min(MAX_CONTEXT_TOKENS),
            hidden,
            heads,
            key_value_heads,
            width,
            epsilon,
            rope: Rope::new(width, base, interleaved, slower.as_deref()),
            embedding,
            layers,
            norm: reader.floats("output_norm.weight", hidden)?,
            head,
        }))
    }
}

fn layer(
    reader: &Reader<'_>,
    at: usize,
    hidden: usize,
    width: usize,
    heads: usize,
    key_value_heads: usize,
) -> Result<Layer> {
    let name = |part: &str| format!("blk.{at}.{part}");
    for part in [
        "attn_output.bias",
        "ffn_gate.bias",
        "ffn_up.bias",
        "ffn_down.bias",
    ] {
        if reader.has(&name(part)) {
            return Err(reader.unsupported(format!("`{}` is not supported", name(part))));
        }
    }
    let (queries, keys) = (heads * width, key_value_heads * width);
    let matrix = |part: &str, rows, depth| reader.matrix(&name(part), rows, depth);
    let middle = reader.count("feed_forward_length")?;
    Ok(Layer {
        attention_norm: reader.floats(&name("attn_norm.weight"), hidden)?,
        query: matrix("attn_q.weight", queries, hidden)?,
        key: matrix("attn_k.weight", keys, hidden)?,
        value: matrix("attn_v.weight", keys, hidden)?,
        bias: reader.biases(&[
            (name("attn_q.bias"), queries),
            (name("attn_k.bias"), keys),
            (name("attn_v.bias"), keys),
        ])?,
        output: matrix("attn_output.weight", hidden, queries)?,
        feed_forward_norm: reader.floats(&name("ffn_norm.weight"), hidden)?,
        gate: matrix("ffn_gate.weight", middle, hidden)?,
        up: matrix("ffn_up.weight", middle, hidden)?,
        down: matrix("ffn_down.weight", hidden, middle)?,
    })
}

fn map(path: &Path) -> Result<Arc<Mmap>> {
    let failed = |kind, what, error| {
        Error::new(kind, format!("cannot {what} {}", path.display())).because(error)
    };
    let file = File::open(path).map_err(|e| failed(ErrorKind::NotFound, "open", e))?;
    // SAFETY: as in `encoder::weights::Weights::open`, with the same exception of files in
    // folders that the operator names.
    #[allow(unsafe_code)]
    let file = unsafe { Mmap::map(&file) }.map_err(|e| failed(ErrorKind::Machine, "map", e))?;
    // The first pass needs all of it; reading ahead is only a hint.
    #[cfg(unix)]
    let _ = file.advise(memmap2::Advice::WillNeed);
    Ok(Arc::new(file))
}
