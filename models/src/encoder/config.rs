//! What a model folder says about its encoder: `config.json`, and the pooling
//! that sentence-transformers keeps in `1_Pooling/config.json`.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::{Error, ErrorKind, Result};

/// How the rows of a text become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The mean over all tokens, special tokens included.
    Mean,
    /// The row of the first token.
    First,
}

/// The non-linearity between the two halves of the feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Activation {
    /// x · Φ(x) with the exact error function.
    #[serde(rename = "gelu")]
    Gelu,
    /// The tanh approximation of GELU.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluTanh,
    /// max(x, 0).
    #[serde(rename = "relu")]
    Relu,
}

/// Shape of a BERT encoder, as `config.json` names it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) hidden_act: Activation,
    pub(crate) max_position_embeddings: usize,
    #[serde(default = "default_type_vocab_size")]
    pub(crate) type_vocab_size: usize,
    #[serde(default = "default_layer_norm_eps")]
    pub(crate) layer_norm_eps: f64,
    #[serde(default = "default_position_embedding_type")]
    pub(crate) position_embedding_type: String,
}

fn default_type_vocab_size() -> usize {
    2
}

fn default_layer_norm_eps() -> f64 {
    1e-12
}

fn default_position_embedding_type() -> String {
    "absolute".to_owned()
}

impl Config {
    /// Reads `path` and checks that it describes an encoder that we can run.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let unusable = |why: &str| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("{}: {why}", path.display()),
            )
        };
        let value: serde_json::Value = serde_json::from_slice(&read(path)?).map_err(|error| {
            let message = format!("{} is not JSON; pull the model again", path.display());
            Error::new(ErrorKind::Corrupt, message).because(error)
        })?;
        let kind = value
            .get("model_type")
            .and_then(|kind| kind.as_str())
            .unwrap_or("missing");
        if kind != "bert" {
            return Err(unusable(&format!(
                "model_type is {kind}, and only BERT encoders (model_type bert) can embed; choose \
                 one of those, for example all-minilm-l6-v2"
            )));
        }
        let config: Self = serde_json::from_value(value)
            .map_err(|error| unusable("not the shape of a BERT encoder").because(error))?;
        let sizes = [
            config.vocab_size,
            config.hidden_size,
            config.num_hidden_layers,
            config.num_attention_heads,
            config.intermediate_size,
            config.max_position_embeddings,
            config.type_vocab_size,
        ];
        if sizes.contains(&0)
            || !config
                .hidden_size
                .is_multiple_of(config.num_attention_heads)
        {
            return Err(unusable(
                "sizes must be positive and hidden_size a multiple of num_attention_heads",
            ));
        }
        if config.position_embedding_type != "absolute" {
            return Err(unusable("only absolute position embeddings are supported"));
        }
        Ok(config)
    }
}

impl Pooling {
    /// Reads the pooling of the model in `folder`; the mean where it says nothing.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("1_Pooling").join("config.json");
        if !path.exists() {
            return Ok(Self::Mean);
        }
        let unusable = |why: &str| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("{}: {why}", path.display()),
            )
        };
        let modes: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&read(&path)?)
                .map_err(|error| unusable("not a JSON object").because(error))?;
        let on: Vec<&str> = modes
            .iter()
            .filter(|(key, value)| {
                key.starts_with("pooling_mode_") && value.as_bool() == Some(true)
            })
            .map(|(key, _)| key.as_str())
            .collect();
        match on[..] {
            ["pooling_mode_mean_tokens"] => Ok(Self::Mean),
            ["pooling_mode_cls_token"] => Ok(Self::First),
            _ => Err(unusable(
                "pooling must be the mean of the tokens or the first token",
            )),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        let message = format!("cannot read {}; pull the model", path.display());
        Error::new(ErrorKind::NotFound, message).because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, json).unwrap();
        Config::read(&path)
    }

    const BERT: &str = r#"{"model_type": "bert", "vocab_size": 100, "hidden_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 48,
        "hidden_act": "gelu", "max_position_embeddings": 64}"#;

    #[test]
    fn fills_in_what_old_files_leave_out() {
        let config = config(BERT).unwrap();
        assert_eq!(config.hidden_act, Activation::Gelu);
        assert_eq!(config.type_vocab_size, 2);
        assert_eq!(config.layer_norm_eps, 1e-12);
    }

    #[test]
    fn says_why_a_model_cannot_embed() {
        let cases = [
            (r#"{"model_type": "t5"}"#, "model_type is t5"),
            ("{}", "model_type is missing"),
            (
                &BERT.replace("\"num_attention_heads\": 3", "\"num_attention_heads\": 5"),
                "multiple",
            ),
            (
                &BERT.replace("\"hidden_size\": 24", "\"hidden_size\": 0"),
                "positive",
            ),
            (&BERT.replace("\"gelu\"", "\"silu\""), "silu"),
            (&BERT.replace("\"hidden_size\": 24,", ""), "hidden_size"),
            (
                &BERT.replace('}', r#", "position_embedding_type": "relative_key"}"#),
                "absolute",
            ),
        ];
        for (json, needle) in cases {
            let error = config(json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(
                error.to_string().contains(needle),
                "{error} should name {needle}"
            );
            assert!(error.to_string().contains("config.json"), "{error}");
        }
        assert_eq!(config("[").unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn reads_the_pooling_of_sentence_transformers() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Pooling::read(folder.path()).unwrap(), Pooling::Mean);
        fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        let write =
            |json: &str| fs::write(folder.path().join("1_Pooling/config.json"), json).unwrap();
        write(r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#);
        assert_eq!(Pooling::read(folder.path()).unwrap(), Pooling::First);
        write(r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#);
        assert_eq!(
            Pooling::read(folder.path()).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
}
