//! `POST /embed`, `POST /rerank` and `GET /info`: the embedder and the re-ranker in the format
//! of text-embeddings-inference.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::embeddings;
use crate::server::error::{ApiError, Code, ErrorBody};
use crate::server::extract::JsonBody;
use crate::server::own_models::{
    Input, MAX_DOCUMENTS, MAX_INPUTS, MAX_VALUES, check_texts, probability, ranking,
};
use crate::server::state::Service;

/// The log-odds that stand for a text that the model has no words for.
const UNREADABLE_LOG_ODDS: f32 = -1000.0;

/// Texts to embed, in the format of text-embeddings-inference. An unknown field is refused.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbedBody {
    /// A text, or a list of up to 2,048; no token ids.
    #[schema(value_type = Object)]
    pub inputs: Input,
    /// Must be true: all vectors have length 1.
    #[schema(default = true)]
    pub normalize: Option<bool>,
    /// Has no effect: nothing is cut.
    #[serde(rename = "truncate")]
    #[schema(value_type = Option<bool>)]
    pub _truncate: Option<bool>,
    /// Has no effect: nothing is cut.
    #[serde(rename = "truncation_direction")]
    #[schema(value_type = Option<String>)]
    pub _truncation_direction: Option<String>,
    /// Must be the length of the model's vectors.
    pub dimensions: Option<usize>,
}

/// Turns texts into vectors, in the format of text-embeddings-inference.
///
/// # Errors
/// Those of `POST /v1/embeddings`.
#[utoipa::path(post, path = "/embed", tag = "models", request_body = EmbedBody,
    responses(
        (status = 200, description = "The vectors, in the order of the texts",
            body = Vec<Vec<f32>>),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No embedder is loaded", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn embed(
    State(service): State<Arc<Service>>,
    JsonBody(body): JsonBody<EmbedBody, MAX_VALUES>,
) -> Result<Json<Vec<Vec<f32>>>, ApiError> {
    if body.normalize == Some(false) {
        let message = "the vectors of this model have length 1; leave `normalize` out";
        return Err(ApiError::invalid("normalize", message));
    }
    embeddings::check_dimensions(&service, body.dimensions)?;
    let texts = body.inputs.into_texts("inputs")?;
    Ok(Json(embeddings::embed(service, texts).await?.vectors))
}

/// A question and the texts to rank, in the format of text-embeddings-inference. An unknown
/// field is refused.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextsBody {
    /// The question, at most `server.max_query_bytes` long.
    pub query: String,
    /// Up to 1,000 texts.
    pub texts: Vec<String>,
    /// Log-odds instead of probabilities.
    #[serde(default)]
    pub raw_scores: bool,
    /// Whether results hold the texts.
    #[serde(default)]
    pub return_text: bool,
    /// Has no effect: the best window of a long text is read.
    #[serde(rename = "truncate")]
    #[schema(value_type = Option<bool>)]
    pub _truncate: Option<bool>,
    /// Has no effect.
    #[serde(rename = "truncation_direction")]
    #[schema(value_type = Option<String>)]
    pub _truncation_direction: Option<String>,
}

/// One text of `POST /rerank`.
#[derive(Serialize, ToSchema)]
pub(crate) struct RankedText {
    /// Its place in the request, from 0.
    index: usize,
    /// The probability that it is relevant, from 0 to 1; or the model's log-odds, -1000 if
    /// it has no words for the text.
    score: f64,
    /// The text, if the request wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Ranks texts by their relevance to a question, in the format of text-embeddings-inference.
///
/// # Errors
/// Those of `POST /v1/rerank`.
#[utoipa::path(post, path = "/rerank", tag = "models", request_body = TextsBody,
    responses(
        (status = 200, description = "The texts, best first", body = Vec<RankedText>),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No re-ranker is loaded", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn rerank(
    State(service): State<Arc<Service>>,
    JsonBody(body): JsonBody<TextsBody>,
) -> Result<Json<Vec<RankedText>>, ApiError> {
    check_texts(
        "texts",
        body.texts.iter().map(String::as_str),
        MAX_DOCUMENTS,
    )?;
    let (judged, mut texts) =
        super::rerank::judge(service, body.query, body.texts, usize::MAX).await?;
    let score = |score: Option<f32>| match body.raw_scores {
        true => f64::from(score.unwrap_or(UNREADABLE_LOG_ODDS)),
        false => probability(score),
    };
    let ranked = ranking(&judged.scores).into_iter().map(|index| RankedText {
        index,
        score: score(judged.scores[index]),
        text: body.return_text.then(|| std::mem::take(&mut texts[index])),
    });
    Ok(Json(ranked.collect()))
}

/// What `GET /info` says, in the shape of text-embeddings-inference.
#[derive(Serialize, ToSchema)]
pub(crate) struct Info {
    /// The id of the embedder, or of the re-ranker if there is no embedder.
    model_id: String,
    /// Which of both are loaded.
    model_type: ModelTypes,
    /// The window of that model in tokens, special tokens included. Longer texts are read in
    /// windows, those to embed from `chunking.embed_window` on.
    max_input_length: usize,
    /// Requests that are worked on at the same time.
    max_concurrent_requests: usize,
    /// Texts of one request to `/embed`; `/rerank` takes 1,000.
    max_client_batch_size: usize,
    /// True: no text is refused for its tokens.
    auto_truncate: bool,
    /// Of Cairn.
    version: &'static str,
}

/// The models by their types.
#[derive(Serialize, ToSchema)]
struct ModelTypes {
    /// What `/embed` uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<ModelInfo>,
    /// What `/rerank` uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    reranker: Option<ModelInfo>,
}

/// One model.
#[derive(Serialize, ToSchema)]
struct ModelInfo {
    /// Its id.
    model_id: String,
    /// Its window in tokens, special tokens included.
    max_input_length: usize,
}

/// Says which models `/embed` and `/rerank` use, in the shape of text-embeddings-inference.
///
/// # Errors
/// `not_found` if neither is loaded, `not_ready`.
#[utoipa::path(get, path = "/info", tag = "models",
    responses(
        (status = 200, description = "The models", body = Info),
        (status = 404, description = "No model is loaded", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn info(State(service): State<Arc<Service>>) -> Result<Json<Info>, ApiError> {
    let engine = &service.core()?.engine;
    let embedding = engine.embedder().map(|model| ModelInfo {
        model_id: model.id().to_owned(),
        max_input_length: model.window(),
    });
    let reranker = engine.reranker().map(|model| ModelInfo {
        model_id: model.id().to_owned(),
        max_input_length: model.window(),
    });
    let main = embedding.as_ref().or(reranker.as_ref());
    let (model_id, max_input_length) = match main {
        Some(model) => (model.model_id.clone(), model.max_input_length),
        None => {
            let message = "neither an embedding nor a re-ranking model is loaded; set \
                           models.embedder or models.reranker";
            return Err(ApiError::new(Code::NotFound, message));
        }
    };
    Ok(Json(Info {
        model_id,
        model_type: ModelTypes {
            embedding,
            reranker,
        },
        max_input_length,
        max_concurrent_requests: service.config().server.max_concurrency,
        max_client_batch_size: MAX_INPUTS,
        auto_truncate: true,
        version: env!("CARGO_PKG_VERSION"),
    }))
}
