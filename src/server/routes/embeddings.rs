//! `POST /v1/embeddings`: the embedder for other programs, in OpenAI's format.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cairn_models::CancelOnDrop;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::server::error::{ApiError, ErrorBody};
use crate::server::extract::JsonBody;
use crate::server::limits::blocking;
use crate::server::own_models::{Input, Kind, MAX_VALUES};
use crate::server::state::Service;
use cairn_engine::retrieve::Embedded;

/// Texts to embed, in OpenAI's format. An unknown field is refused.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbeddingsBody {
    /// A text, or a list of up to 2,048; no token ids.
    #[schema(value_type = Object)]
    pub input: Input,
    /// The loaded embedder, by its id or by what stands before its `@`.
    pub model: String,
    /// `float` or `base64`: little-endian floats of 32 bits.
    #[schema(default = "float")]
    pub encoding_format: Option<String>,
    /// Must be the length of the model's vectors.
    pub dimensions: Option<usize>,
    /// Has no effect.
    #[serde(rename = "user")]
    #[schema(value_type = Option<String>)]
    pub _user: Option<String>,
}

/// Vectors of texts.
#[derive(Serialize, ToSchema)]
pub(crate) struct EmbeddingList {
    /// `list`.
    object: &'static str,
    /// One for each text, in their order.
    data: Vec<Embedding>,
    /// The id of the embedder: vectors of different ids cannot be compared.
    model: String,
    /// What was read.
    usage: EmbeddingUsage,
}

/// The vector of one text.
#[derive(Serialize, ToSchema)]
struct Embedding {
    /// `embedding`.
    object: &'static str,
    /// The place of the text in the request, from 0.
    index: usize,
    /// Numbers, or base64 of them; the vector has length 1.
    #[schema(value_type = Object)]
    embedding: Numbers,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Numbers {
    Floats(Vec<f32>),
    Base64(String),
}

/// How much was embedded.
#[derive(Serialize, ToSchema)]
struct EmbeddingUsage {
    /// Tokens of all texts by the model's own tokenizer, without special tokens.
    prompt_tokens: usize,
    /// The same.
    total_tokens: usize,
}

/// Turns texts into vectors, in OpenAI's format.
///
/// A text of more than `chunking.embed_window` tokens is embedded in windows, whose mean is
/// its vector.
///
/// # Errors
/// `invalid_request`, `not_found` for another model, `overloaded`, `not_ready`.
#[utoipa::path(post, path = "/v1/embeddings", tag = "models", request_body = EmbeddingsBody,
    responses(
        (status = 200, description = "The vectors, in the order of the texts", body = EmbeddingList),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    JsonBody(body): JsonBody<EmbeddingsBody, MAX_VALUES>,
) -> Result<Json<EmbeddingList>, ApiError> {
    let model = Kind::Embedding.named(&service.core()?.engine, Some(&body.model))?;
    let encode = match body.encoding_format.as_deref() {
        None | Some("float") => Numbers::Floats,
        Some("base64") => base64,
        Some(_) => {
            let message = "`encoding_format` must be `float` or `base64`";
            return Err(ApiError::invalid("encoding_format", message));
        }
    };
    check_dimensions(&service, body.dimensions)?;
    let texts = body.input.into_texts("input")?;
    let Embedded { vectors, tokens } = embed(service, texts).await?;
    let embedding = |(index, vector)| Embedding {
        object: "embedding",
        index,
        embedding: encode(vector),
    };
    Ok(Json(EmbeddingList {
        object: "list",
        data: vectors.into_iter().enumerate().map(embedding).collect(),
        model,
        usage: EmbeddingUsage {
            prompt_tokens: tokens,
            total_tokens: tokens,
        },
    }))
}

fn base64(vector: Vec<f32>) -> Numbers {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    Numbers::Base64(BASE64_STANDARD.encode(bytes))
}

/// Refuses another length than that of the model's vectors.
pub(super) fn check_dimensions(service: &Service, wanted: Option<usize>) -> Result<(), ApiError> {
    let embedder = service.core()?.engine.embedder();
    let own = embedder.map_or(0, |model| model.dimension());
    match wanted {
        Some(wanted) if wanted != own => {
            let message = format!(
                "the vectors of this model have {own} numbers and cannot be shortened; leave \
                 `dimensions` out"
            );
            Err(ApiError::invalid("dimensions", message))
        }
        _ => Ok(()),
    }
}

/// Embeds `texts` on a thread that may block; a client that leaves ends it.
pub(super) async fn embed(service: Arc<Service>, texts: Vec<String>) -> Result<Embedded, ApiError> {
    let engine = service.core()?.engine.clone();
    let cancel = CancelOnDrop::default();
    let token = cancel.token();
    blocking(move || {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(engine.embed_texts(&texts, &token)?)
    })
    .await
}
