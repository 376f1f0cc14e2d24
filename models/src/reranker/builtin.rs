//! The re-rankers that are part of the binary.

use super::graph::Graph;
use crate::encoder::Tensors;
use crate::{Error, ErrorKind, Result};

/// A late interaction model: weights in `models/builtin`, named in `models.toml`.
#[derive(Debug)]
pub(crate) struct Builtin {
    pub(crate) id: &'static str,
    /// Most tokens of question and passage together, at most those of its training.
    pub(super) window: usize,
    /// Of its log-odds in [`crate::Reranker::calibrated`]; measured, docs/notes/retrieval.md has the figures.
    pub(super) weight: f32,
    /// The graph over pairs, in int8.
    pub(super) model: &'static [u8],
    /// Names the model's states as they are packed: changes with either.
    pub(super) states_id: &'static str,
    /// How they are packed.
    pub(super) packing: &'static [u8],
}

pub(super) static ALL: [Builtin; 2] = [
    Builtin {
        id: "cairn-late-interaction-v2",
        window: 192,
        weight: 0.24,
        model: include_bytes!("../../builtin/late-interaction-v2/model.int8.onnx"),
        states_id: "cairn-late-interaction-v2/packed-1",
        packing: include_bytes!("../../builtin/late-interaction-v2/packing.safetensors"),
    },
    Builtin {
        id: "cairn-late-interaction-small-v2",
        window: 128,
        weight: 0.08,
        model: include_bytes!("../../builtin/late-interaction-small-v2/model.int8.onnx"),
        states_id: "cairn-late-interaction-small-v2/packed-1",
        packing: include_bytes!("../../builtin/late-interaction-small-v2/packing.safetensors"),
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

/// The files of a built-in model, by the names of the list of models.
pub(crate) fn files(id: &str) -> Result<Vec<(&'static str, &'static [u8])>> {
    let model = Builtin::get(id)?.model;
    Ok(vec![
        ("model.int8.onnx", model),
        ("tokenizer.json", TOKENIZER),
    ])
}
