//! From a GGUF file to a [`Decoder`].

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{Device, Tensor};

use super::attention::{Attention, Rope};
use super::cache::KeyValueCache;
use super::linear::Linear;
use super::{Decoder, Layer, Norm};
use crate::{Error, ErrorKind, Result};

/// Longest context that is offered, whatever the model allows: the tables of
/// positions and the keys and values of more would cost memory on every start.
const MAX_CONTEXT_TOKENS: usize = 8192;

/// Reads tensors and figures of one file, with errors that name it.
struct Reader<'a> {
    path: &'a Path,
    content: &'a Content,
    file: BufReader<File>,
    architecture: String,
}

impl Reader<'_> {
    fn corrupt(&self, message: impl std::fmt::Display) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!("{}: {message}; pull the model again", self.path.display()),
        )
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

    fn tensor(&mut self, name: &str) -> Result<Arc<QTensor>> {
        match self.content.tensor(&mut self.file, name, &Device::Cpu) {
            Ok(tensor) => Ok(Arc::new(tensor)),
            Err(error) => Err(self.corrupt(format!("tensor `{name}`: {error}"))),
        }
    }

    fn dense(&mut self, name: &str) -> Result<Tensor> {
        let tensor = self.tensor(name)?;
        tensor.dequantize(&Device::Cpu).map_err(|e| self.corrupt(e))
    }

    fn linear(&mut self, name: &str) -> Result<Linear> {
        let weight = self.tensor(&format!("{name}.weight"))?;
        let bias = format!("{name}.bias");
        let bias = if self.has(&bias) {
            Some(self.dense(&bias)?)
        } else {
            None
        };
        Linear::new(weight, bias).map_err(|e| self.corrupt(e))
    }

    fn norm(&mut self, name: &str, epsilon: f32) -> Result<Norm> {
        Ok(Norm {
            weight: self.dense(&format!("{name}.weight"))?,
            epsilon,
        })
    }
}

impl Decoder {
    /// Loads the weights of the file at `path`, whose header is `content`.
    pub(crate) fn load(path: &Path, content: &Content) -> Result<Self> {
        let architecture = match content.metadata.get("general.architecture") {
            Some(Value::String(name)) => name.clone(),
            _ => String::new(),
        };
        let interleaved = match architecture.as_str() {
            "llama" => true,
            "qwen2" => false,
            other => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "{}: generators of the architecture `{other}` are not supported; \
                         llama and qwen2 are",
                        path.display()
                    ),
                ));
            }
        };
        let file = File::open(path).map_err(|error| {
            Error::new(
                ErrorKind::NotFound,
                format!("cannot open {}", path.display()),
            )
            .because(error)
        })?;
        let file = BufReader::new(file);
        let mut reader = Reader {
            path,
            content,
            file,
            architecture,
        };

        let hidden = reader.count("embedding_length")?;
        let heads = reader.count("attention.head_count")?;
        let key_value_heads = reader.count("attention.head_count_kv")?;
        if key_value_heads == 0 || heads % key_value_heads != 0 || hidden % heads != 0 {
            return Err(reader.corrupt("the numbers of heads do not divide each other"));
        }
        let width = hidden / heads;
        let epsilon = reader.value("attention.layer_norm_rms_epsilon")?;
        let epsilon = epsilon.to_f32().map_err(|e| reader.corrupt(e))?;
        let base = reader
            .value("rope.freq_base")
            .and_then(|v| v.to_f32().map_err(|e| reader.corrupt(e)));
        let base = base.unwrap_or(10_000.0);
        let context_tokens = reader.count("context_length")?.min(MAX_CONTEXT_TOKENS);
        let rope =
            Rope::new(width, base, context_tokens, interleaved).map_err(|e| reader.corrupt(e))?;

        let mut layers = Vec::new();
        for at in 0..reader.count("block_count")? {
            let name = |part: &str| format!("blk.{at}.{part}");
            layers.push(Layer {
                attention_norm: reader.norm(&name("attn_norm"), epsilon)?,
                attention: Attention {
                    query: reader.linear(&name("attn_q"))?,
                    key: reader.linear(&name("attn_k"))?,
                    value: reader.linear(&name("attn_v"))?,
                    output: reader.linear(&name("attn_output"))?,
                    heads,
                    key_value_heads,
                    width,
                    cache: KeyValueCache::new(key_value_heads, width),
                },
                feed_forward_norm: reader.norm(&name("ffn_norm"), epsilon)?,
                gate: reader.linear(&name("ffn_gate"))?,
                up: reader.linear(&name("ffn_up"))?,
                down: reader.linear(&name("ffn_down"))?,
            });
        }
        let embedding = reader.tensor("token_embd.weight")?;
        // Small models share the table of embeddings with the output.
        let head = if reader.has("output.weight") {
            reader.linear("output")?
        } else {
            Linear::new(Arc::clone(&embedding), None).map_err(|e| reader.corrupt(e))?
        };
        let norm = reader.norm("output_norm", epsilon)?;
        Ok(Self {
            embedding,
            layers,
            norm,
            head,
            rope,
            context_tokens,
            read: Vec::new(),
            in_whole_passes: 0,
        })
    }
}
