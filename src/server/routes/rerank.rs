//! The re-ranker for other programs: `POST /v1/rerank` and `/v2/rerank` in the formats of
//! Cohere and Jina, `POST /rerank` in that of text-embeddings-inference, whose `GET /info`
//! says what is loaded.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::server::error::{ApiError, Code, ErrorBody};
use crate::server::extract::JsonBody;
use crate::server::limits::{CancelOnDrop, blocking};
use crate::server::own_models::{
    Kind, MAX_DOCUMENTS, MAX_INPUTS, check_texts, probability, ranking,
};
use crate::server::state::Service;
use cairn_engine::retrieve::Judged;

/// The log-odds that stand for a text that the model has no words for.
const UNREADABLE_LOG_ODDS: f32 = -1000.0;

/// A question and the documents to rank, in the format of Cohere and Jina. An unknown field
/// is refused.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RerankBody {
    /// The loaded re-ranker, by its id or by what stands before its `@`; it if not given.
    pub model: Option<String>,
    /// The question, at most `server.max_query_bytes` long.
    pub query: String,
    /// Up to 1,000 texts, or objects with a `text`.
    #[schema(value_type = Vec<Object>)]
    pub documents: Vec<Document>,
    /// How many results; all if not given.
    #[schema(minimum = 1)]
    pub top_n: Option<usize>,
    /// Whether results hold the texts.
    #[schema(default = false)]
    pub return_documents: Option<bool>,
    /// Tokens of a document that count; all if not given.
    #[schema(minimum = 1)]
    pub max_tokens_per_doc: Option<usize>,
    /// Has no effect: who comes first is served first.
    #[serde(rename = "priority")]
    #[schema(value_type = Option<i64>)]
    pub _priority: Option<i64>,
}

/// A document to rank.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a document is a text, or an object with a `text`"
)]
pub(crate) enum Document {
    Text(String),
    Fields { text: String },
}

impl Document {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Fields { text } => text,
        }
    }
}

/// Documents in the order of their relevance.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ranking {
    /// Of this request.
    id: String,
    /// `list`.
    object: &'static str,
    /// The id of the re-ranker.
    model: String,
    /// The best first.
    results: Vec<Ranked>,
    /// As Cohere says it.
    meta: RankingMeta,
    /// As Jina says it.
    usage: RankingUsage,
}

/// One document.
#[derive(Serialize, ToSchema)]
struct Ranked {
    /// Its place in the request, from 0.
    index: usize,
    /// The probability that it is relevant, from 0 to 1: 1 / (1 + e^-x) of the model's
    /// log-odds x; 0 if the model has no words for it.
    relevance_score: f64,
    /// The document, if the request wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<RankedDocument>,
}

/// The text of a result.
#[derive(Serialize, ToSchema)]
struct RankedDocument {
    /// As it was sent.
    text: String,
}

/// Figures in Cohere's shape.
#[derive(Serialize, ToSchema)]
struct RankingMeta {
    /// Of the route.
    api_version: ApiVersion,
    /// What was read.
    tokens: RankingTokens,
}

/// `1` or `2`.
#[derive(Serialize, ToSchema)]
struct ApiVersion {
    /// `1` of `/v1/rerank`, `2` of `/v2/rerank`.
    version: &'static str,
}

/// Tokens in Cohere's shape.
#[derive(Serialize, ToSchema)]
struct RankingTokens {
    /// Tokens of the question and of all documents.
    input_tokens: usize,
    /// None are written: 0.
    output_tokens: usize,
}

/// Tokens in Jina's shape.
#[derive(Serialize, ToSchema)]
struct RankingUsage {
    /// Tokens of the question and of all documents.
    total_tokens: usize,
}

/// Ranks documents by their relevance to a question, in the format of Cohere and Jina.
///
/// A document that is longer than the model reads at once is judged by its best window.
///
/// # Errors
/// `invalid_request`, `not_found` for another model, `overloaded`, `not_ready`.
#[utoipa::path(post, path = "/v1/rerank", tag = "models", request_body = RerankBody,
    responses(
        (status = 200, description = "The documents, best first", body = Ranking),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn first(
    state: State<Arc<Service>>,
    body: JsonBody<RerankBody>,
) -> Result<Json<Ranking>, ApiError> {
    rank(state, body, "1").await
}

/// The same under the address of Cohere's second version.
///
/// # Errors
/// Those of `POST /v1/rerank`.
#[utoipa::path(post, path = "/v2/rerank", tag = "models", request_body = RerankBody,
    responses(
        (status = 200, description = "The documents, best first", body = Ranking),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn second(
    state: State<Arc<Service>>,
    body: JsonBody<RerankBody>,
) -> Result<Json<Ranking>, ApiError> {
    rank(state, body, "2").await
}

async fn rank(
    State(service): State<Arc<Service>>,
    JsonBody(body): JsonBody<RerankBody>,
    version: &'static str,
) -> Result<Json<Ranking>, ApiError> {
    let model = Kind::Reranking.named(&service.core()?.engine, body.model.as_deref())?;
    for (field, value) in [
        ("top_n", body.top_n),
        ("max_tokens_per_doc", body.max_tokens_per_doc),
    ] {
        if value == Some(0) {
            let message = format!("`{field}` must be at least 1; leave it out for all");
            return Err(ApiError::invalid(field, message));
        }
    }
    let texts: Vec<String> = body
        .documents
        .into_iter()
        .map(Document::into_text)
        .collect();
    check_texts("documents", texts.iter().map(String::as_str), MAX_DOCUMENTS)?;
    let most_tokens = body.max_tokens_per_doc.unwrap_or(usize::MAX);
    let (judged, mut texts) = judge(service, body.query, texts, most_tokens).await?;
    let wanted = body.return_documents == Some(true);
    let places = ranking(&judged.scores).into_iter();
    let results = places
        .take(body.top_n.unwrap_or(usize::MAX))
        .map(|index| Ranked {
            index,
            relevance_score: probability(judged.scores[index]),
            document: wanted.then(|| RankedDocument {
                text: std::mem::take(&mut texts[index]),
            }),
        });
    Ok(Json(Ranking {
        id: uuid::Uuid::now_v7().to_string(),
        object: "list",
        model,
        results: results.collect(),
        meta: RankingMeta {
            api_version: ApiVersion { version },
            tokens: RankingTokens {
                input_tokens: judged.tokens,
                output_tokens: 0,
            },
        },
        usage: RankingUsage {
            total_tokens: judged.tokens,
        },
    }))
}

/// Judges `texts` on a thread that may block, and gives them back; a client that leaves
/// ends it.
async fn judge(
    service: Arc<Service>,
    question: String,
    texts: Vec<String>,
    most_tokens: usize,
) -> Result<(Judged, Vec<String>), ApiError> {
    let engine = service.core()?.engine.clone();
    let cancel = CancelOnDrop::default();
    let token = cancel.token();
    blocking(move || {
        let slices: Vec<&str> = texts.iter().map(String::as_str).collect();
        let judged = engine.judge_texts(&question, &slices, most_tokens, &token)?;
        Ok((judged, texts))
    })
    .await
}

/// A question and the texts to rank, in the format of text-embeddings-inference. An unknown
/// field is refused.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlainRerankBody {
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
pub(crate) struct PlainRank {
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
#[utoipa::path(post, path = "/rerank", tag = "models", request_body = PlainRerankBody,
    responses(
        (status = 200, description = "The texts, best first", body = Vec<PlainRank>),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No re-ranker is loaded", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn plain(
    State(service): State<Arc<Service>>,
    JsonBody(body): JsonBody<PlainRerankBody>,
) -> Result<Json<Vec<PlainRank>>, ApiError> {
    check_texts(
        "texts",
        body.texts.iter().map(String::as_str),
        MAX_DOCUMENTS,
    )?;
    let (judged, mut texts) = judge(service, body.query, body.texts, usize::MAX).await?;
    let score = |score: Option<f32>| match body.raw_scores {
        true => f64::from(score.unwrap_or(UNREADABLE_LOG_ODDS)),
        false => probability(score),
    };
    let ranked = ranking(&judged.scores).into_iter().map(|index| PlainRank {
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
    /// Tokens that the embedder, or else the re-ranker, reads at once; longer texts are read
    /// in windows.
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
    /// Tokens that it reads at once, special tokens included.
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
