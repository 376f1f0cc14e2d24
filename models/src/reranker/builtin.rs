//! The re-rankers that are part of the binary.

use super::graph::Graph;
use crate::encoder::Tensors;
use crate::hub::{Artifact, sha256_of_bytes};
use crate::{Error, ErrorKind, Result};

/// A late interaction model: weights in `models/builtin`, named in `models.toml`.
#[derive(Debug)]
pub(crate) struct Builtin {
    pub(crate) id: &'static str,
    /// Most tokens of question and passage together, at most those of its training.
    pub(super) window: usize,
    /// Of its log-odds in [`crate::Reranker::worth`]; measured, docs/evaluation.md has the figures.
    pub(super) weight: f32,
    /// The graph over pairs, in int8.
    pub(super) model: &'static [u8],
}

pub(super) static ALL: [Builtin; 2] = [
    Builtin {
        id: "cairn-late-interaction-v2",
        window: 192,
        weight: 0.24,
        model: include_bytes!("../../builtin/late-interaction-v2/model.int8.onnx"),
    },
    Builtin {
        id: "cairn-late-interaction-small-v2",
        window: 128,
        weight: 0.08,
        model: include_bytes!("../../builtin/late-interaction-small-v2/model.int8.onnx"),
    },
];

/// The embedder's, with a pair of two texts that each have their own `[CLS]`.
pub(crate) static TOKENIZER: &[u8] =
    include_bytes!("../../builtin/late-interaction-v2/tokenizer.json");

/// The model whose embeddings the reader shares.
pub(crate) static TABLE_OF_WORDS: &Builtin = &ALL[0];

impl Builtin {
    /// Its weights by name.
    pub(crate) fn graph(&self) -> impl Tensors + use<> {
        Graph::read(self.model)
    }

    pub(crate) fn find(id: &str) -> Option<&'static Self> {
        ALL.iter().find(|model| model.id == id)
    }

    /// As [`Builtin::find`]; `NotFound` where there is none.
    pub(super) fn get(id: &str) -> Result<&'static Self> {
        Self::find(id).ok_or_else(|| {
            let message = format!("no re-ranker `{id}` is inside this binary");
            Error::new(ErrorKind::NotFound, message)
        })
    }
}

/// Whether the embedded bytes are those that the list of models names.
pub(crate) fn verify(artifact: &Artifact) -> Result<()> {
    let model = Builtin::get(&artifact.id)?.model;
    for (name, bytes) in [("model.int8.onnx", model), ("tokenizer.json", TOKENIZER)] {
        let listed = artifact.files.iter().find(|file| file.name == name);
        if listed.is_none_or(|file| file.sha256 != sha256_of_bytes(bytes)) {
            let message = format!("{name} inside this binary is not the one of the list of models");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
    }
    Ok(())
}
