//! `GET /openapi.json`: every route and every shape, derived from the code.

mod common;

use axum::Json;
use utoipa::OpenApi;

use common::Common;

use super::openai::{self, batches as file_batches, files, store_files, stores};
use super::{
    agent, batches, chat, collections, deletion, dify, documents, embeddings, feedback, follow,
    health, inference, jobs, metrics, models, query, rerank, schedules, search, usage, webhooks,
};
use crate::server::error::ErrorBody;
use cairn_engine::answer::{Answered, Citation, Done, InputRequired, Step};
use cairn_engine::retrieve::SearchResponse;

#[derive(OpenApi)]
#[openapi(
    modifiers(&Common),
    info(
        title = "Cairn",
        description = "Hybrid search over your documents, and answers with checked citations, \
            streamed. `POST /query` streams `sources`, then `delta` and `citation`, then `done` \
            or `error`, and of an agent `step` before them; the data of each is described by the \
            schemas `SearchResponse`, `Delta`, `Citation`, `Done`, `StreamError`, `Step` and \
            `InputRequired`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        query::by_body,
        query::by_url,
        agent::input,
        agent::trace,
        feedback::put,
        feedback::delete,
        feedback::list,
        search::search,
        dify::retrieve,
        documents::list,
        documents::upload,
        documents::show,
        deletion::delete,
        collections::list,
        chat::complete,
        models::list,
        models::show,
        embeddings::create,
        rerank::first,
        rerank::second,
        files::create,
        files::list,
        files::show,
        files::content,
        files::delete,
        stores::create,
        stores::list,
        stores::show,
        stores::delete,
        openai::search::search,
        openai::responses::create,
        store_files::create,
        store_files::list,
        store_files::show,
        store_files::content,
        store_files::delete,
        file_batches::create,
        file_batches::show,
        file_batches::cancel,
        file_batches::files,
        inference::embed,
        inference::rerank,
        inference::info,
        batches::submit,
        batches::list,
        batches::show,
        batches::results,
        batches::cancel,
        jobs::submit,
        jobs::list,
        jobs::show,
        follow::events,
        follow::socket,
        jobs::cancel,
        jobs::retry,
        jobs::input,
        jobs::delete,
        schedules::list,
        schedules::show,
        schedules::put,
        schedules::delete,
        webhooks::create,
        webhooks::list,
        webhooks::delete,
        webhooks::rotate,
        webhooks::deliveries,
        health::health,
        health::ready,
        metrics::metrics,
        usage::usage,
        openapi,
    ),
    components(schemas(SearchResponse, Citation, Done, Answered, Step, InputRequired, ErrorBody, Delta, StreamError, chat::MessageBody, chat::StreamOptions)),
    tags(
        (name = "questions", description = "Ask and search"),
        (name = "documents", description = "What is searched"),
        (name = "jobs", description = "Work that is done in its own time"),
        (name = "models", description = "Language models behind the gateway, and the models of this service"),
        (name = "vector stores", description = "Collections, in OpenAI's format"),
        (name = "operations", description = "Health, figures and this document"),
    ),
)]
struct Api;

/// Data of a `delta` event.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes an event in the OpenAPI document")]
struct Delta {
    /// Some text of the answer.
    text: String,
}

/// Data of an `error` event.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes an event in the OpenAPI document")]
struct StreamError {
    /// What went wrong.
    error: StreamErrorFields,
}

/// What went wrong with a stream.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes an event in the OpenAPI document")]
struct StreamErrorFields {
    /// For programs.
    code: crate::server::error::Code,
    /// For people: what happened and what to do.
    message: String,
    /// Whether the same request may succeed later.
    retryable: bool,
}

/// Describes the API (OpenAPI 3.1).
#[utoipa::path(get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "This document", body = Object)))]
pub(crate) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

/// The document itself.
pub fn document() -> utoipa::openapi::OpenApi {
    Api::openapi()
}
