//! From a name in the configuration to a model in memory.

use std::sync::Arc;

use crate::hub::{ArtifactKind, Hub, Located, Progress, sha256_of};
use crate::reranker::OnnxReranker;
use crate::{BertEmbedder, Embedder, Error, ErrorKind, Reranker, Result};

/// How models are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Threads for one call; 0 takes every core.
    pub threads: usize,
}

/// Loads an embedder by its name, Hugging Face id or folder, fetching it if
/// need be. Its id is the name and the first eight digits of the SHA-256 of the weights.
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
    match hub.locate(on(reference)?, ArtifactKind::Embedder, progress)? {
        Located::Folder {
            name,
            folder,
            sha256,
        } => {
            let sha256 = match sha256 {
                Some(sha256) => sha256,
                None => sha256_of(&folder.join("model.safetensors"))?,
            };
            let id = format!("{name}@{}", &sha256[..8]);
            Ok(Arc::new(BertEmbedder::open(&folder, id, options.threads)?))
        }
        Located::Builtin(name) => {
            let message = format!("`{name}` is built in, and no embedder is; name another model");
            Err(Error::new(ErrorKind::InvalidInput, message))
        }
    }
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

fn on(reference: &str) -> Result<&str> {
    if crate::hub::is_off(reference) || reference.is_empty() {
        let message = format!("`{reference}` names no model");
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(reference)
}
