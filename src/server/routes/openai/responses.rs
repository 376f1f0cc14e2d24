//! `/v1/responses`: an answer from the documents as OpenAI's newer format has it, with the
//! search as a call of the tool `file_search`.

mod format;
mod request;

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use cairn_models::CancelOnDrop;
use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};

pub(crate) use self::request::ResponseBody;

use self::format::Shape;
use self::request::{Asked, blame};
use super::search::attributes_of;
use crate::server::answering;
use crate::server::error::{ApiError, ErrorBody, Result};
use crate::server::extract::JsonBody;
use crate::server::limits::{Permit, shutting_down};
use crate::server::routes::chat::documents::{About, Begun, Told};
use crate::server::state::Service;
use crate::server::{event_stream, observe};
use cairn_engine::answer::Answered;
use cairn_engine::retrieve::Source;
use cairn_gateway::accounts::Caller;

/// Answers from the documents, in the format of OpenAI's Responses.
///
/// `model` is `cairn`, `cairn/COLLECTION`, either with `@WRITER` behind it, or, with the tool
/// `file_search`, a model that writes from what it finds. `input` is a question, or a
/// conversation that ends with one. Nothing is kept: `previous_response_id` is refused.
///
/// # Errors
/// Those of `POST /query`; once a stream has begun, failures are a last event
/// `response.failed`.
#[utoipa::path(post, path = "/v1/responses", tag = "vector stores", request_body = ResponseBody,
    responses(
        (status = 200, description = "A `response`, or its events", body = Object),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such vector store", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 502, description = "No provider answered", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
        (status = 504, description = "No provider answered in time", body = ErrorBody),
    ))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ResponseBody>,
) -> Result<Response> {
    let id = observe::id_of(&headers).to_owned();
    let stream = body.stream.unwrap_or(false);
    let asked = body.read(service.core()?.answerer.gateway())?;
    let Asked {
        query,
        shape,
        note,
        with_results,
    } = asked;
    let request = query
        .into_answer(service.config(), caller.clone(), id)
        .map_err(blame)?;
    let cancel = CancelOnDrop::default();
    let begun = answering::begin(&service, request, None, &cancel).await;
    let events = begun.map_err(blame)?;
    let made = Made {
        service: Arc::clone(&service),
        caller,
        shape,
        note,
        with_results,
    };
    if !stream {
        let answered = answering::answered(events).await?;
        return Ok(Json(made.whole(&answered).await?).into_response());
    }
    let begun = Begun::wait(events).await?;
    let stopped = format::failed_event(&made.shape, 0, &shutting_down());
    let frames = made.frames(begun);
    Ok(event_stream::kept_alive(
        frames,
        &service,
        stopped,
        (cancel, permit),
    ))
}

/// A response that is being made.
struct Made {
    service: Arc<Service>,
    caller: Caller,
    shape: Shape,
    note: Option<String>,
    with_results: bool,
}

impl Made {
    /// What the search found, where the request wants to see it.
    async fn results(&self, collection: &str, sources: &[Source]) -> Result<Option<Vec<Value>>> {
        if !self.with_results {
            return Ok(None);
        }
        let facts = attributes_of(&self.service, &self.caller, collection, sources).await?;
        Ok(Some(format::results(sources, facts)))
    }

    async fn whole(&self, answered: &Answered) -> Result<Value> {
        let results = self
            .results(&answered.collection, &answered.sources)
            .await?;
        let call = self.shape.call("completed", results);
        let message = self.shape.message("completed", &format::content(answered));
        let mut whole = self
            .shape
            .response(format::status(answered), vec![call, message]);
        whole["usage"] = format::usage(&answered.done.usage);
        if whole["status"] == "incomplete" {
            whole["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        whole["cairn"] = json!(About::new(answered, None, self.note.clone()));
        Ok(whole)
    }

    /// The events of a stream: the search and its results, the text, and all of it.
    fn frames(self, begun: Begun) -> impl Stream<Item = String> + Send {
        async_stream::stream! {
            let mut events = format::Events::new(&self.shape);
            yield events.begin();
            let found = begun.found.as_ref();
            let results = match found {
                Some(found) => self.results(&found.collection, &found.sources).await,
                None => Ok(None),
            };
            match results {
                Ok(results) => yield events.searched(results),
                Err(error) => {
                    yield events.failed(&error);
                    return;
                }
            }
            let mut told = std::pin::pin!(begun.tell());
            while let Some(told) = told.next().await {
                yield match told {
                    Told::Text(text) => events.delta(&text),
                    Told::Whole(answered) => match self.whole(&answered).await {
                        Ok(whole) => events.end(&format::content(&answered), &whole),
                        Err(error) => events.failed(&error),
                    },
                    Told::Failed(error) => events.failed(&error),
                };
            }
        }
    }
}

/// What a client is told of a failure within a stream.
fn failure(error: &ApiError) -> Value {
    json!({"code": error.code, "message": error.message})
}
