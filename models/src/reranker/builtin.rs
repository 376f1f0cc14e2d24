//! The cross-encoder that is part of the binary.

use crate::hub::{Artifact, sha256_of_bytes};
use crate::{Error, ErrorKind, Result};

pub(crate) const ID: &str = "cairn-cross-encoder-v0";

/// The model saw pairs of 160 tokens in training and was measured at 192.
pub(super) const WINDOW: usize = 192;

pub(super) static MODEL: &[u8] = include_bytes!("../../builtin/cross-encoder-v0/model.int8.onnx");

pub(super) static TOKENIZER: &[u8] =
    include_bytes!("../../builtin/cross-encoder-v0/tokenizer.json");

/// Whether the embedded bytes are those that the list of models names.
pub(crate) fn verify(artifact: &Artifact) -> Result<()> {
    for (name, bytes) in [("model.int8.onnx", MODEL), ("tokenizer.json", TOKENIZER)] {
        let listed = artifact.files.iter().find(|file| file.name == name);
        if listed.is_none_or(|file| file.sha256 != sha256_of_bytes(bytes)) {
            let message = format!("{name} inside this binary is not the one of the list of models");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
    }
    Ok(())
}
