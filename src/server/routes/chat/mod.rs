//! `/v1`: the gateway for other services, in OpenAI's format. A call goes the
//! whole way: admission, cache, routing, retries, fallback, settlement.

pub(in crate::server) mod documents;
mod request;
mod response;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use cairn_models::CancelOnDrop;
use futures::StreamExt as _;
use serde_json::{Value, json};

pub(crate) use request::{ChatBody, MessageBody, StreamOptions};

use self::documents::Named;
pub(in crate::server) use self::response::failure;
use self::response::{Ending, Head};
use crate::server::auth::require;
use crate::server::error::{ApiError, ErrorBody};
use crate::server::extract::{JsonBody, parse_json};
use crate::server::limits::{Permit, check_model_name, shutting_down};
use crate::server::observe;
use crate::server::state::Service;
use crate::server::{auth, event_stream};
use cairn_gateway::accounts::{Caller, Scope};
use cairn_gateway::{
    AnswerBackend, Call, ChatEvent, ChatStream, Gateway, LimitsCell, Plan, ProviderErrorKind,
    Reuse, routes,
};

/// Completes a chat with a language model behind the gateway.
///
/// The format is OpenAI's. `model` names a route, a provider, `provider/model`
/// or a configured model; `cairn`, `cairn/COLLECTION`, and either with `@WRITER` behind it,
/// answer from the documents as `/query` does, with `url_citation` annotations. With
/// `stream`, failures before the first text have a status of their own, since the head is
/// sent with the first text. The header `cache-control: no-store` asks a model for a new
/// answer.
///
/// # Errors
/// `invalid_request`, `forbidden`, `rate_limited`, `overloaded`, `provider_failed`, `timeout`;
/// once a stream has begun, failures are a last event `{"error": ..}`.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "models", request_body = ChatBody,
    responses(
        (status = 200, description = "A `chat.completion`, or `chat.completion.chunk` events; \
            `cairn` in the last one says who answered and what it cost", body = Object),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 403, description = "Not with this API key", body = ErrorBody),
        (status = 404, description = "No such collection", body = ErrorBody),
        (status = 429, description = "A limit is reached", body = ErrorBody),
        (status = 502, description = "No provider answered", body = ErrorBody),
        (status = 504, description = "No provider answered in time", body = ErrorBody),
    ))]
pub(crate) async fn complete(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ChatBody>,
) -> Result<Response, ApiError> {
    if let Some(named) = Named::read(&body.model) {
        let answering = documents::complete(&service, permit, caller, &headers, body, named);
        return Box::pin(answering).await;
    }
    require(&caller, Scope::Chat)?;
    let gateway = service.core()?.answerer.gateway();
    let model = body.model.clone();
    let plan = plan(gateway, routes::CHAT, &model)?;
    let (stream, with_usage) = (body.stream, body.wants_usage());
    let request = body.into_request()?;
    let limits = LimitsCell::default();
    let call = Call {
        caller,
        request_id: observe::id_of(&headers).to_owned(),
        reuse: Reuse {
            never: asks_anew(&headers),
            ..Reuse::default()
        },
        limits: Some(Arc::clone(&limits)),
        ..Call::default()
    };
    let cancel = CancelOnDrop::default();
    let events = gateway.chat(&plan, request, call, cancel.token());
    let answer = Answer {
        head: Head::new(model),
        events,
        held: (cancel, permit),
    };
    let mut response = match stream {
        true => answer.streamed(&service, with_usage).await,
        false => answer.whole().await,
    };
    let limits = limits.get().copied().unwrap_or_default();
    auth::add_rate_headers(response.headers_mut(), &limits);
    Ok(response)
}

/// Whether the client wants no earlier answer.
fn asks_anew(headers: &HeaderMap) -> bool {
    let control = headers.get(header::CACHE_CONTROL);
    control
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("no-store") || value.contains("no-cache"))
}

/// One answer on its way.
struct Answer {
    head: Head,
    events: ChatStream,
    /// Dropped with the response, which cancels the call.
    held: (CancelOnDrop, Permit),
}

impl Answer {
    async fn whole(self) -> Response {
        let Self { head, events, held } = self;
        let _held = held;
        match collect(&head, events).await {
            Ok(completion) => Json(completion).into_response(),
            Err(error) => failed(error),
        }
    }

    /// Waits for the first event, so that a failure before it has a status.
    async fn streamed(mut self, service: &Arc<Service>, with_usage: bool) -> Response {
        let first = match self.events.next().await {
            Some(Ok(event)) => event,
            Some(Err(error)) => return failed(failure(error)),
            None => return ApiError::internal("a chat without any event").into_response(),
        };
        let Self {
            head,
            mut events,
            held,
        } = self;
        let frames = async_stream::stream! {
            let mut calls = 0;
            let mut frame = head.first();
            let mut event = Some(Ok(first));
            loop {
                let last = !matches!(event, Some(Ok(ChatEvent::Delta(_) | ChatEvent::ToolCall(_))));
                match event {
                    Some(Ok(ChatEvent::Delta(text))) => frame.push_str(&head.delta(&text)),
                    Some(Ok(ChatEvent::ToolCall(call))) => {
                        frame.push_str(&head.tool_call(calls, &call));
                        calls += 1;
                    }
                    Some(Ok(ChatEvent::Done(served))) => {
                        frame.push_str(&head.last(&Ending::of(&served), with_usage));
                    }
                    Some(Err(error)) => frame.push_str(&response::error(&failure(error).0)),
                    None => {
                        let error = ApiError::internal("a chat ended without its last event");
                        frame.push_str(&response::error(&error));
                    }
                }
                yield std::mem::take(&mut frame);
                if last {
                    return;
                }
                event = events.next().await;
            }
        };
        let stopped = response::error(&shutting_down());
        event_stream::kept_alive(frames, service, stopped, held)
    }
}

/// A failure, and how long to wait until another try may help.
type Failed = (ApiError, Option<Duration>);

/// A whole completion, when all of it is there.
async fn collect(head: &Head, mut events: ChatStream) -> Result<Value, Failed> {
    let (mut text, mut calls) = (String::new(), Vec::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(ChatEvent::Delta(delta)) => text.push_str(&delta),
            Ok(ChatEvent::ToolCall(call)) => calls.push(call),
            Ok(ChatEvent::Done(served)) => {
                let message = response::message(&text, &calls);
                return Ok(json!(head.completion(&message, &Ending::of(&served))));
            }
            Err(error) => return Err(failure(error)),
        }
    }
    let error = ApiError::internal("a chat ended without its last event");
    Err((error, None))
}

/// The plan of a model that a request names.
fn plan(gateway: &Gateway, route: &str, model: &str) -> Result<Plan, ApiError> {
    check_model_name(model)?;
    match gateway.select(route, Some(model)) {
        Ok(AnswerBackend::Model(plan)) => Ok(plan),
        Ok(AnswerBackend::Extractive) => {
            let message = "`extractive` answers are made from documents; ask `cairn@extractive`";
            Err(ApiError::invalid("model", message))
        }
        // No call was made: the model of this machine is asked for, and there is none.
        Err(error) if error.kind == ProviderErrorKind::Unreachable => {
            Err(ApiError::invalid("model", error.message))
        }
        Err(error) => Err(failure(error).0),
    }
}

/// The body of a chat in a batch.
fn read(request: &Value) -> Result<ChatBody, ApiError> {
    let body: ChatBody = parse_json(request.to_string().as_bytes())?;
    if body.stream {
        let message = "the answers of a batch are not streamed; leave `stream` out";
        return Err(ApiError::invalid("stream", message));
    }
    Ok(body)
}

/// Whether `request` is a chat for a batch.
///
/// # Errors
/// `invalid_request` with the field that is wrong.
pub(super) fn check(request: &Value) -> Result<(), ApiError> {
    let body = read(request)?;
    check_model_name(&body.model)?;
    body.into_request().map(drop)
}

/// Answers a chat of a batch, by the deadlines of its route.
///
/// # Errors
/// Those of [`complete`].
pub(super) async fn answer(
    gateway: &Gateway,
    caller: Caller,
    request: &Value,
) -> Result<Value, Failed> {
    let alone = |error: ApiError| (error, None);
    let body = read(request).map_err(alone)?;
    let plan = plan(gateway, routes::BATCH, &body.model).map_err(alone)?;
    let head = Head::new(body.model.clone());
    let call = Call {
        caller,
        ..Call::default()
    };
    let cancel = CancelOnDrop::default();
    let request = body.into_request().map_err(alone)?;
    collect(&head, gateway.chat(&plan, request, call, cancel.token())).await
}

/// A failure before the first text, with its own status and wait.
fn failed((error, wait): Failed) -> Response {
    let mut response = error.into_response();
    if let Some(wait) = wait {
        let seconds = HeaderValue::from((wait.as_secs_f64().ceil() as u64).max(1));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}
