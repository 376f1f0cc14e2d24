//! From a name in the configuration to a model in memory.

use std::path::PathBuf;
use std::sync::Arc;

use crate::generator::GgufGenerator;
use crate::hub::{ArtifactKind, Hub, Located, Progress, sha256_of};
use crate::reranker::CrossEncoder;
use crate::{
    BertEmbedder, DeviceChoice, Embedder, Error, ErrorKind, Generator, Reranker, Result, memory,
};

/// Hexadecimal digits of a checksum that tell weights apart in an id.
const ID_DIGITS: usize = 8;

/// How models are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Threads for one call; 0 takes every core.
    pub threads: usize,
    /// Arithmetic of the embedder.
    pub precision: Precision,
    /// Where the embedder and the built-in re-ranker run. Other re-rankers and
    /// generators run on the CPU.
    pub device: DeviceChoice,
    /// Most bytes of passages that a built-in re-ranker keeps, once it has read them,
    /// for the next question that finds them. 0 keeps none.
    pub reranker_cache_num_bytes: usize,
}

/// Arithmetic of the linear layers of an encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// The fastest that gives the vectors of f32 to a cosine of 0.99999: integers of
    /// 16 bits where the processor multiplies those faster (AVX2, VNNI), and
    /// else f32.
    #[default]
    Auto,
    /// Floats everywhere.
    F32,
    /// Weights rounded to bytes by output, activations by token. Vectors differ a
    /// little from those in f32, so they have an id of their own. Faster only where
    /// the processor multiplies bytes (VNNI).
    Int8,
}

/// Loads an embedder by its name, Hugging Face id or folder, fetching it if
/// need be. Its id is the name and the first digits of the SHA-256 of the weights.
///
/// # Errors
/// See [`Hub::ensure`] and [`BertEmbedder::open`]; `InvalidInput` for a model that
/// is not an embedder and for `none`.
pub fn load_embedder(
    hub: &Hub,
    reference: &str,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<Arc<dyn Embedder>> {
    let model = folder_of(hub, reference, ArtifactKind::Embedder, progress)?;
    let sha256 = match model.sha256 {
        Some(sha256) => sha256,
        None => sha256_of(&model.folder.join("model.safetensors"))?,
    };
    let id = format!("{}@{}", model.name, &sha256[..ID_DIGITS]);
    let embedder = BertEmbedder::open(&model.folder, id, options)?;
    memory::trim();
    Ok(Arc::new(embedder))
}

/// Loads a re-ranker by its name, Hugging Face id or folder, fetching it if need
/// be; and ONNX Runtime with it, unless it is the built-in one.
///
/// # Errors
/// See [`Hub::ensure`]; `InvalidInput` for a model that is not a re-ranker and for
/// `none`; `Corrupt` for damaged weights; `Machine` when ONNX Runtime cannot be
/// loaded. For the built-in one, those of [`DeviceChoice::find`].
pub fn load_reranker(
    hub: &Hub,
    reference: &str,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<Arc<dyn Reranker>> {
    let located = hub.locate(on(reference)?, ArtifactKind::Reranker, progress)?;
    let reranker = match located {
        Located::Builtin(id) => CrossEncoder::builtin(&id, options)?,
        Located::Folder { name, folder, .. } => {
            let runtime = hub.library("onnxruntime", progress)?;
            CrossEncoder::open(&folder, name, &runtime, options.threads)?
        }
    };
    memory::trim();
    Ok(Arc::new(reranker))
}

/// Whether the re-ranker of this name runs in ONNX Runtime: all but the built-in
/// ones, which have kernels of their own.
pub fn needs_onnx_runtime(reference: &str) -> bool {
    !crate::hub::is_off(reference) && crate::reranker::Builtin::find(reference).is_none()
}

/// Loads a generator by its name, Hugging Face id or folder, fetching it if
/// need be.
///
/// # Errors
/// See [`Hub::ensure`]; `InvalidInput` for a model that is not a generator, of an
/// unknown architecture or tokenizer, and for `none`; `Corrupt` for damaged
/// weights.
pub fn load_generator(
    hub: &Hub,
    reference: &str,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<Arc<dyn Generator>> {
    let model = folder_of(hub, reference, ArtifactKind::Generator, progress)?;
    let generator = GgufGenerator::open(&model.folder, model.name, options.threads)?;
    Ok(Arc::new(generator))
}

struct ModelFolder {
    name: String,
    folder: PathBuf,
    sha256: Option<String>,
}

fn folder_of(
    hub: &Hub,
    reference: &str,
    kind: ArtifactKind,
    progress: &dyn Progress,
) -> Result<ModelFolder> {
    match hub.locate(on(reference)?, kind, progress)? {
        Located::Folder {
            name,
            folder,
            sha256,
        } => Ok(ModelFolder {
            name,
            folder,
            sha256,
        }),
        Located::Builtin(name) => {
            let message = format!("`{name}` is built in, and for another use; name another model");
            Err(Error::new(ErrorKind::InvalidInput, message))
        }
    }
}

fn on(reference: &str) -> Result<&str> {
    if crate::hub::is_off(reference) || reference.is_empty() {
        let message = format!("`{reference}` names no model");
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(reference)
}
