//! `POST /v1/rerank` and `/v2/rerank`: the re-ranker for other programs, in the formats of
//! Cohere and Jina.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use cairn_models::CancelOnDrop;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::server::error::{ApiError, ErrorBody};
use crate::server::extract::JsonBody;
use crate::server::limits::blocking;
use crate::server::own_models::{Kind, MAX_DOCUMENTS, check_texts, probability, ranking};
use crate::server::state::Service;
use cairn_engine::retrieve::Judged;

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
    /// Has no effect: requests are served in the order in which they arrive.
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
    /// Nothing is written: 0.
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
pub(super) async fn judge(
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
