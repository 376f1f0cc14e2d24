//! Which route goes where, and what is around the routes.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;

use super::error::{ApiError, Code};
use super::routes::openai::{self, batches as file_batches, files, store_files, stores};
use super::routes::{
    agent, batches, chat, collections, deletion, dify, documents, embeddings, feedback, follow,
    health, inference, jobs, metrics, models, openapi, query, rerank, schedules, search, ui, usage,
    webhooks,
};
use super::state::Service;
use super::{auth, limits, mcp, observe, origin, own_models, receive};
use cairn_gateway::accounts::RateHeaders;

/// Room in the body of a question alongside the question itself: filter, history
/// and escapes.
const QUESTION_BODY_BYTES: usize = 1 << 20;

/// Bytes of a chat: a conversation that fills a context of a million tokens.
const CHAT_BODY_BYTES: usize = 8 << 20;

/// Bytes of a job: references and short texts.
const JOB_BODY_BYTES: usize = 1 << 20;

/// The whole service as one tower service.
pub fn router(service: Arc<Service>) -> Router {
    let server = &service.config().server;
    let upload_bytes = server.max_body_mb.saturating_mul(1 << 20);
    let question_bytes = server.max_query_bytes.saturating_add(QUESTION_BODY_BYTES);
    let timed = || from_fn_with_state(Arc::clone(&service), limits::time_out);
    // The body is there before a permit is taken, so that none waits for a client.
    let admitted = || from_fn_with_state(Arc::clone(&service), limits::admit);
    let received = |most| from_fn_with_state((Arc::clone(&service), most), receive::receive);

    let questions = Router::new()
        .route("/query", get(query::by_url).post(query::by_body))
        .route("/query/{id}/input", post(agent::input))
        .route("/search", post(search::search))
        .route("/retrieval", post(dify::retrieve))
        .route(
            "/v1/vector_stores/{id}/search",
            post(openai::search::search),
        )
        .layer(DefaultBodyLimit::max(question_bytes))
        .layer(timed())
        .layer(admitted())
        .layer(received(question_bytes));
    let said = Router::new()
        .route(
            "/feedback/{query_id}",
            put(feedback::put).delete(feedback::delete),
        )
        .layer(DefaultBodyLimit::max(QUESTION_BODY_BYTES))
        .layer(timed())
        .layer(admitted())
        .layer(received(QUESTION_BODY_BYTES));
    let reading = Router::new()
        .route("/collections", get(collections::list))
        .route("/traces/{id}", get(agent::trace))
        .route("/usage", get(usage::usage))
        .route("/feedback", get(feedback::list))
        .route("/v1/files/{id}", get(files::show).delete(files::delete))
        .route("/v1/files/{id}/content", get(files::content))
        .route(
            "/v1/vector_stores/{id}",
            get(stores::show).delete(stores::delete),
        )
        .route(
            "/v1/vector_stores/{id}/files/{file_id}",
            get(store_files::show).delete(store_files::delete),
        )
        .route(
            "/v1/vector_stores/{id}/files/{file_id}/content",
            get(store_files::content),
        )
        .route(
            "/v1/vector_stores/{id}/file_batches/{batch_id}",
            get(file_batches::show),
        )
        .route(
            "/v1/vector_stores/{id}/file_batches/{batch_id}/files",
            get(file_batches::files),
        )
        .route(
            "/v1/vector_stores/{id}/file_batches/{batch_id}/cancel",
            post(file_batches::cancel),
        )
        .route("/documents/{id}", get(documents::show))
        .layer(timed())
        .layer(admitted());
    // Writers wait for their turn, by a setting of their own.
    let deletions = Router::new()
        .route("/documents/{id}", delete(deletion::delete))
        .layer(admitted());
    // An upload takes as long as embedding it does; only its body is timed.
    let uploads = Router::new()
        .route("/documents", get(documents::list).post(documents::upload))
        .route("/v1/files", get(files::list).post(files::create))
        .layer(DefaultBodyLimit::max(upload_bytes))
        .layer(admitted())
        .layer(received(upload_bytes));
    // A chat has the deadlines of its route.
    let chats = Router::new()
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/responses", post(openai::responses::create))
        .layer(DefaultBodyLimit::max(CHAT_BODY_BYTES))
        .layer(admitted())
        .layer(received(CHAT_BODY_BYTES));
    // Many texts take as long as an upload of them does.
    let texts = Router::new()
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/rerank", post(rerank::first))
        .route("/v2/rerank", post(rerank::second))
        .route("/embed", post(inference::embed))
        .route("/rerank", post(inference::rerank))
        .layer(DefaultBodyLimit::max(own_models::BODY_BYTES))
        .layer(admitted())
        .layer(received(own_models::BODY_BYTES));
    let polls = Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::show))
        .route("/info", get(inference::info))
        .route("/v1/batches/{id}", get(batches::show))
        .route("/v1/batches/{id}/results", get(batches::results))
        .route("/v1/batches/{id}/cancel", post(batches::cancel))
        .layer(timed())
        .layer(admitted());
    let batches = Router::new()
        .route("/v1/batches", get(batches::list).post(batches::submit))
        .layer(DefaultBodyLimit::max(upload_bytes))
        .layer(timed())
        .layer(admitted())
        .layer(received(upload_bytes));
    let followed = Router::new()
        .route("/jobs/{id}", get(jobs::show).delete(jobs::delete))
        .route("/jobs/{id}/cancel", post(jobs::cancel))
        .route("/jobs/{id}/retry", post(jobs::retry))
        .route("/schedules", get(schedules::list))
        .route("/webhooks/{id}", delete(webhooks::delete))
        .route("/webhooks/{id}/deliveries", get(webhooks::deliveries))
        .layer(timed())
        .layer(admitted());
    let submitted = Router::new()
        .route("/jobs", get(jobs::list).post(jobs::submit))
        .route("/jobs/{id}/input", post(jobs::input))
        .route("/v1/vector_stores", get(stores::list).post(stores::create))
        .route(
            "/v1/vector_stores/{id}/files",
            get(store_files::list).post(store_files::create),
        )
        .route(
            "/v1/vector_stores/{id}/file_batches",
            post(file_batches::create),
        )
        .route(
            "/schedules/{name}",
            put(schedules::put)
                .get(schedules::show)
                .delete(schedules::delete),
        )
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/webhooks/{id}/rotate", post(webhooks::rotate))
        .layer(DefaultBodyLimit::max(JOB_BODY_BYTES))
        .layer(timed())
        .layer(admitted())
        .layer(received(JOB_BODY_BYTES));
    // A stream lasts as long as its job.
    let watched = Router::new()
        .route("/jobs/{id}/events", get(follow::events))
        .route("/jobs/{id}/ws", get(follow::socket))
        .layer(admitted());
    let clients = mcp::route(&service)
        .layer(DefaultBodyLimit::max(mcp::BODY_BYTES))
        .layer(timed())
        .layer(admitted())
        .layer(received(mcp::BODY_BYTES));
    let work = questions
        .merge(said)
        .merge(reading)
        .merge(deletions)
        .merge(uploads)
        .merge(chats)
        .merge(texts)
        .merge(polls)
        .merge(batches)
        .merge(followed)
        .merge(submitted)
        .merge(watched)
        .merge(clients);

    // Always answered, also when the service is full.
    let light = Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::openapi));

    work.merge(light)
        .merge(ui::routes())
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(Arc::clone(&service), auth::guard))
        .layer(from_fn_with_state(Arc::clone(&service), origin::guard))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(CompressionLayer::new())
        .layer(cors(&server.cors_origins))
        .layer(from_fn(observe::observe))
        .with_state(service)
}

async fn no_route() -> ApiError {
    ApiError::new(
        Code::NotFound,
        "there is no such route; GET /openapi.json lists them",
    )
}

async fn no_method() -> ApiError {
    ApiError::new(
        Code::MethodNotAllowed,
        "this route does not take that method; the `allow` header lists those it takes",
    )
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    ApiError::internal(text.as_deref().unwrap_or("a handler panicked")).into_response()
}

/// Lets pages of `origins` read responses; without any, no header is sent and
/// browsers allow our own page only.
fn cors(origins: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> = origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    if origins.is_empty() {
        return CorsLayer::new();
    }
    const REQUEST_ID: HeaderName = observe::REQUEST_ID;
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            auth::API_KEY,
            REQUEST_ID,
            documents::PREFER,
            HeaderName::from_static(jobs::IDEMPOTENCY_KEY),
        ])
        .expose_headers(
            [REQUEST_ID, header::RETRY_AFTER, header::LOCATION]
                .into_iter()
                .chain(RateHeaders::NAMES.map(HeaderName::from_static))
                .collect::<Vec<_>>(),
        )
        .max_age(Duration::from_secs(600))
}
