//! From a name in the configuration to a model in memory.

use std::path::PathBuf;
use std::sync::Arc;

use crate::generator::GgufGenerator;
use crate::hub::{ArtifactKind, Hub, Located, Progress, sha256_of};
use crate::reranker::OnnxReranker;
use crate::{BertEmbedder, Embedder, Error, ErrorKind, Generator, Reranker, Result};

/// Hexadecimal digits of a checksum that tell weights apart in an id.
const ID_DIGITS: usize = 8;

/// How models are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Threads for one call; 0 takes every core.
    pub threads: usize,
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
    Ok(Arc::new(BertEmbedder::open(
        &model.folder,
        id,
        options.threads,
    )?))
}

/// Loads a re-ranker by its name, Hugging Face id or folder, and ONNX Runtime
/// with it, fetching both if need be.
///
/// # Errors
/// See [`Hub::ensure`]; `InvalidInput` for a model that is not a re-ranker and for
/// `none`; `Corrupt` for damaged weights; `Machine` when ONNX Runtime cannot be
/// loaded.
pub fn load_reranker(
    hub: &Hub,
    reference: &str,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<Arc<dyn Reranker>> {
    let located = hub.locate(on(reference)?, ArtifactKind::Reranker, progress)?;
    let runtime = hub.library("onnxruntime", progress)?;
    Ok(match located {
        Located::Builtin(_) => Arc::new(OnnxReranker::builtin(&runtime, options.threads)?),
        Located::Folder { name, folder, .. } => Arc::new(OnnxReranker::open(
            &folder,
            name,
            &runtime,
            options.threads,
        )?),
    })
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
