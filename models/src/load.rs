//! From a name in the configuration to a model in memory.

use std::sync::Arc;

use crate::hub::{ArtifactKind, Hub, Located, Progress};
use crate::reranker::OnnxReranker;
use crate::{Error, ErrorKind, Reranker, Result};

/// How models are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Threads for one call; 0 takes every core.
    pub threads: usize,
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
