//! `/query`: a question in, a streamed answer out.
//!
//! `POST` takes a JSON body, `GET` the same fields in the query string for
//! `EventSource`. Dropping the response cancels the search and the writing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use cairn_models::{CancelOnDrop, Message, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::server::answering::{self, Observed};
use crate::server::auth::access_of;
use crate::server::error::{ApiError, ErrorBody};
use crate::server::extract::{JsonBody, parse_query};
use crate::server::json;
use crate::server::limits::{Permit, check_model_name};
use crate::server::observe;
use crate::server::state::Service;
use cairn_engine::answer::{AnswerRequest, Answered, InputRequired, Step, Whole, whole};
use cairn_engine::retrieve::{Expand, Mode, SearchRequest};
use cairn_gateway::accounts::Caller;
use cairn_settings::config::{AgentMode, Config};

/// Most contexts of an answer, and most sources of a search.
const MAX_TOP_K: usize = 100;
/// Most candidates from each search.
const MAX_CANDIDATES: usize = 1000;
/// Longest deadline, in milliseconds.
const MAX_DEADLINE_MS: u64 = 600_000;
/// Most earlier turns.
pub(crate) const MAX_HISTORY_TURNS: usize = 50;

/// A question and how to answer it, as a JSON body or a query string. An unknown field is
/// refused.
#[derive(Clone, Debug, Default, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct QueryBody {
    /// The question, in words; no character of it is syntax.
    #[schema(min_length = 1, example = "How do I install it?")]
    #[param(rename = "q", min_length = 1)]
    pub query: String,
    /// The collection to search; `storage.collection` of the configuration if
    /// none.
    pub collection: Option<String>,
    /// Contexts for the answer, or sources of a search.
    #[schema(minimum = 1, maximum = 100, default = 8)]
    #[param(minimum = 1, maximum = 100)]
    pub top_k: Option<usize>,
    /// Candidates taken from each search.
    #[schema(minimum = 1, maximum = 1000, default = 100)]
    #[param(minimum = 1, maximum = 1000)]
    pub candidates: Option<usize>,
    /// Which searches run.
    #[param(inline)]
    pub mode: Option<Mode>,
    /// Whether the re-ranker reads the best candidates.
    #[schema(default = true)]
    pub rerank: Option<bool>,
    /// What is searched besides the question: `hop`, the documents that question and first
    /// hits mention; `queries`, what a language model splits it into; `hyde`, a passage that
    /// one writes. `/search` knows `none` and `hop`. `hop` if `retrieval.hop` is on.
    #[schema(default = "none")]
    #[param(inline)]
    pub expand: Option<Expand>,
    /// Condition on metadata: `{"field": value}`, `{"field": {"in": [..]}}`,
    /// `{"field": {"gte": n, "lte": n}}`, `and`, `or`, `not`. In a query string, that JSON as
    /// text.
    #[schema(value_type = Option<Object>)]
    #[param(value_type = Option<String>)]
    pub filter: Option<Value>,
    /// Server-sent events, or the answer with its sources as one JSON object.
    #[schema(default = true)]
    pub stream: Option<bool>,
    /// Milliseconds until the answer must be there; what cannot finish is cut
    /// short and named in `degraded`.
    #[schema(minimum = 1, maximum = 600_000)]
    #[param(minimum = 1, maximum = 600_000)]
    pub deadline_ms: Option<u64>,
    /// False leaves language models alone: the answer is made of quotations.
    #[schema(default = true)]
    pub generate: Option<bool>,
    /// Provider or model that writes.
    pub model: Option<String>,
    /// Whether a language model may call tools before it answers; `agent.default` of the
    /// configuration if not given. `auto` decides by the shape of the question.
    #[param(inline)]
    pub agent: Option<AgentMode>,
    /// Earlier turns of the conversation, oldest first.
    #[schema(max_items = 50)]
    #[param(ignore)]
    pub history: Option<Vec<Turn>>,
}

/// What is sent instead of an answer when an agent waits for a person.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Waits {
    /// What it wants to do.
    pub input_required: InputRequired,
    /// What it has done.
    pub steps: Vec<Step>,
}

/// One earlier turn of a conversation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Turn {
    /// Who said it.
    pub role: TurnRole,
    /// What was said.
    pub content: String,
}

/// Who said a [`Turn`]. Instructions to the model are not the caller's to give.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TurnRole {
    /// The person who asks.
    User,
    /// The service.
    Assistant,
}

/// A [`QueryBody`] from a query string: the question is `q`, `filter` is JSON as text, and
/// there are no earlier turns.
#[derive(Clone, Debug)]
pub(crate) struct QueryParams(QueryBody);

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        if let Some((name, _)) = pairs.clone().find(|(name, _)| BODY_ONLY.contains(&&**name)) {
            return Err(ApiError::invalid(
                name.to_string(),
                format!("unknown field `{name}`"),
            ));
        }
        let pairs = pairs.map(|(name, value)| match &*name {
            "q" => ("query".into(), value),
            _ => (name, value),
        });
        let mut as_in_body = form_urlencoded::Serializer::new(String::new());
        let as_in_body = as_in_body.extend_pairs(pairs).finish();
        let mut body: QueryBody = parse_query(&as_in_body).map_err(in_query_string)?;
        if let Some(Value::String(filter)) = &body.filter {
            json::check(filter.as_bytes(), json::MAX_VALUES)?;
            let filter = serde_json::from_str(filter).map_err(|error| {
                ApiError::invalid("filter", format!("`filter` is not JSON: {error}"))
            })?;
            body.filter = Some(filter);
        }
        Ok(Self(body))
    }
}

/// Names of fields that a query string does not have.
const BODY_ONLY: [&str; 2] = ["query", "history"];

/// `error` with the names that the fields have in a query string.
fn in_query_string(error: ApiError) -> ApiError {
    let named = |name: String| match name.as_str() {
        "query" => "q".to_owned(),
        _ => name,
    };
    ApiError {
        param: error.param.map(named),
        message: error
            .message
            .replace("`query`", "`q`")
            .replace(", `history`", ""),
        ..error
    }
}

fn within(param: &str, value: u64, most: u64) -> Result<(), ApiError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(ApiError::invalid(
        param,
        format!("`{param}` must lie in 1..={most}, not {value}"),
    ))
}

impl QueryBody {
    /// The earlier turns.
    pub(crate) fn history(&self) -> Vec<Message> {
        let turns = self.history.iter().flatten();
        turns
            .map(|turn| Message {
                role: match turn.role {
                    TurnRole::User => Role::User,
                    TurnRole::Assistant => Role::Assistant,
                },
                content: turn.content.clone(),
            })
            .collect()
    }

    /// The search that it asks for, by `caller`; what it leaves out comes from `config`.
    ///
    /// # Errors
    /// `invalid_request` with the field that is wrong.
    pub(crate) fn into_search(
        self,
        config: &Config,
        caller: &Caller,
    ) -> Result<SearchRequest, ApiError> {
        Ok(SearchRequest {
            access: access_of(caller),
            ..self.read(config)?
        })
    }

    /// The search that it asks for, whoever asks.
    fn read(self, config: &Config) -> Result<SearchRequest, ApiError> {
        let retrieval = &config.retrieval;
        let top_k = self.top_k.unwrap_or(retrieval.top_k);
        let candidates = self.candidates.unwrap_or(retrieval.candidates);
        within("top_k", top_k as u64, MAX_TOP_K as u64)?;
        within("candidates", candidates as u64, MAX_CANDIDATES as u64)?;
        if let Some(milliseconds) = self.deadline_ms {
            within("deadline_ms", milliseconds, MAX_DEADLINE_MS)?;
        }
        if let Some(model) = &self.model {
            check_model_name(model)?;
        }
        let turns = self.history.as_ref().map_or(0, Vec::len);
        if turns > MAX_HISTORY_TURNS {
            return Err(ApiError::invalid(
                "history",
                format!("`history` has {turns} turns; send the last {MAX_HISTORY_TURNS}"),
            ));
        }
        let filter = self
            .filter
            .as_ref()
            .map(cairn_indexer::Filter::parse)
            .transpose();
        let filter = filter.map_err(|error| ApiError::invalid("filter", error.message()))?;
        let collection = self
            .collection
            .unwrap_or_else(|| config.storage.collection.clone());
        Ok(SearchRequest {
            top_k,
            candidates,
            mode: self.mode.unwrap_or(retrieval.mode),
            rerank: self.rerank.unwrap_or(retrieval.rerank.enabled),
            expand: self.expand.unwrap_or(Expand::default_of(retrieval)),
            filter,
            deadline: self
                .deadline_ms
                .map(|ms| Instant::now() + Duration::from_millis(ms)),
            ..SearchRequest::new(self.query, collection)
        })
    }

    /// The answer that it asks for.
    ///
    /// # Errors
    /// Those of [`QueryBody::into_search`].
    pub(crate) fn into_answer(
        self,
        config: &Config,
        caller: Caller,
        request_id: String,
    ) -> Result<AnswerRequest, ApiError> {
        let history = self.history();
        let generate = self.generate.unwrap_or(true);
        let model = self.model.clone();
        let mut request = AnswerRequest::asked_by(caller, self.read(config)?);
        request.request_id = request_id;
        request.generate = generate;
        request.model = model;
        request.history = history;
        Ok(request)
    }
}

/// Answers a question from the indexed documents.
///
/// With `stream` (the default) the response is a stream of server-sent events:
/// `sources`, then `delta` and `citation`, then `done` or `error`; with `agent`, `step`
/// comes before them, and `input_required` may end it. Without, it
/// is the data of `done` with the sources alongside it.
///
/// # Errors
/// `invalid_request`, `not_ready`, `overloaded`, `timeout`; once the stream has
/// begun, failures are its `error` event.
#[utoipa::path(post, path = "/query", tag = "questions", request_body = QueryBody,
    responses(
        (status = 200, description = "Server-sent events; with `stream: false` one object",
            content((Answered = "application/json"), (String = "text/event-stream"))),
        (status = 202, description = "With `stream: false`: an agent waits for a person", body = Waits),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such collection", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn by_body(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<QueryBody>,
) -> Result<Response, ApiError> {
    answer(&service, permit, caller, &headers, body).await
}

/// The same for `EventSource`, which can only send `GET`.
///
/// # Errors
/// Those of `POST /query`.
#[utoipa::path(get, path = "/query", tag = "questions", params(QueryBody),
    responses(
        (status = 200, description = "Server-sent events", body = String,
            content_type = "text/event-stream"),
        (status = 204, description = "An `EventSource` reconnected after the end: it stops"),
        (status = 400, description = "The request is wrong", body = ErrorBody),
    ))]
pub(crate) async fn by_url(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    QueryParams(body): QueryParams,
) -> Result<Response, ApiError> {
    // An `EventSource` takes the end of a stream for a broken connection and
    // asks again, with the id of the last event: 204 tells it to stop.
    if headers.contains_key("last-event-id") {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let answered = answer(&service, permit, caller, &headers, body).await;
    answered.map_err(in_query_string)
}

async fn answer(
    service: &Arc<Service>,
    permit: Permit,
    caller: Caller,
    headers: &HeaderMap,
    body: QueryBody,
) -> Result<Response, ApiError> {
    let stream = body.stream.unwrap_or(true);
    let mode = body.agent;
    let request = body.into_answer(service.config(), caller, observe::id_of(headers).to_owned())?;
    let cancel = CancelOnDrop::default();
    let events = answering::begin(service, request, mode, &cancel).await?;
    match stream {
        true => Ok(answering::respond(events, cancel, permit, service)),
        false => in_one_piece(events).await,
    }
}

/// The answer in one piece, or 202 where a person has to decide first.
pub(super) async fn in_one_piece(events: Observed) -> Result<Response, ApiError> {
    Ok(match whole(events, |_| {}).await? {
        Whole::Answered(answered) => Json(answered).into_response(),
        Whole::Waits(required, steps) => {
            let body = Waits {
                input_required: *required,
                steps,
            };
            (StatusCode::ACCEPTED, Json(body)).into_response()
        }
    })
}
