//! What happens to a job, as it happens: as server-sent events, or over a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use cairn_jobs::{Event, JobId, Queue};
use futures::{SinkExt as _, Stream, StreamExt as _};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use crate::server::error::{ApiError, ErrorBody, Result};
use crate::server::event_stream;
use crate::server::extract::QueryString;
use crate::server::job_rights::find;
use crate::server::limits::Permit;
use crate::server::sse;
use crate::server::state::Service;
use cairn_gateway::accounts::Caller;

/// Longest silence.
const KEEP_ALIVE: Duration = Duration::from_secs(sse::KEEP_ALIVE_SECONDS);

/// Bytes of a message from a client, which has nothing to say.
const MAX_MESSAGE_BYTES: usize = 4 << 10;

/// How long a client may take to close its side.
const CLOSING: Duration = Duration::from_secs(2);

/// Streams the changes of a job as server-sent events named by its state, until it ends. A
/// client that reconnects with `Last-Event-ID` misses nothing that matters.
///
/// # Errors
/// `not_found`, `invalid_request` for the header.
#[utoipa::path(get, path = "/jobs/{id}/events", tag = "jobs",
    params(("id" = String, Path, description = "The id of the job"),
        ("last-event-id" = Option<u64>, Header, description = "The last event that was seen")),
    responses(
        (status = 200, description = "Events", content_type = "text/event-stream", body = Object),
        (status = 404, description = "No such job", body = ErrorBody),
    ))]
pub(crate) async fn events(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response> {
    let job = find(&service, &caller, &id).await?;
    let last = headers.get("last-event-id").map(|value| {
        let number = value
            .to_str()
            .ok()
            .and_then(|text| text.parse::<u64>().ok());
        number.ok_or_else(|| ApiError::invalid("last-event-id", "the header is not a number"))
    });
    let after = last.transpose()?.unwrap_or(0);
    let queue = service.jobs()?.clone();
    let stopping = service.lifecycle().stopping().clone();
    let changes = changes(queue, job.id, after, stopping);
    let frames = changes.map(|event| event.as_ref().map_or_else(comment, frame));
    let first = futures::stream::once(async { comment() });
    Ok(event_stream::respond(first.chain(frames)))
}

/// Where a client goes on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SocketParams {
    /// The last event that was seen; `None` for all that are kept.
    after: Option<u64>,
}

/// The same events over a WebSocket, one JSON text each, as in `data` there. It is closed
/// with 1000 when the job has ended, and with 1001 when the service stops. What a client says
/// is not heard.
///
/// # Errors
/// `not_found`; `invalid_request` for a request that is no WebSocket's.
#[utoipa::path(get, path = "/jobs/{id}/ws", tag = "jobs",
    params(("id" = String, Path, description = "The id of the job"), SocketParams),
    responses(
        (status = 101, description = "A WebSocket"),
        (status = 400, description = "Not a request for a WebSocket", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
    ))]
pub(crate) async fn socket(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Extension(permit): Extension<Permit>,
    Path(id): Path<String>,
    QueryString(params): QueryString<SocketParams>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    let job = find(&service, &caller, &id).await?;
    let upgrade = upgrade.map_err(|refused| {
        let why = refused.body_text();
        ApiError::invalid("upgrade", format!("this route speaks WebSocket: {why}"))
    })?;
    let queue = service.jobs()?.clone();
    let stopping = service.lifecycle().stopping().clone();
    let patience = Duration::from_secs(service.config().server.send_seconds);
    let changes = changes(queue, job.id, params.after.unwrap_or(0), stopping.clone());
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .max_write_buffer_size(MAX_MESSAGE_BYTES.max(256 << 10));
    Ok(upgrade.on_upgrade(move |socket| async move {
        let code = send(socket, Box::pin(changes), patience, &stopping).await;
        tracing::debug!(job = %job.id, code, "a socket was closed");
        drop(permit);
    }))
}

/// Sends `changes` until they end or the client goes away; the code that it ended with.
async fn send(
    socket: WebSocket,
    mut changes: impl Stream<Item = Option<Event>> + Unpin,
    patience: Duration,
    stopping: &CancellationToken,
) -> u16 {
    let (mut out, mut heard) = socket.split();
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            said = heard.next() => match said {
                // Pongs, and unexpected frames.
                Some(Ok(Message::Close(_)) | Err(_)) | None => return close_code::AWAY,
                Some(Ok(_)) => continue,
            },
        };
        let message = match change {
            Some(Some(event)) => Message::text(json(&event)),
            Some(None) => Message::Ping(Default::default()),
            None => break,
        };
        // A client that does not read is disconnected.
        if !matches!(
            tokio::time::timeout(patience, out.send(message)).await,
            Ok(Ok(()))
        ) {
            return close_code::ABNORMAL;
        }
    }
    let (code, reason) = match stopping.is_cancelled() {
        true => (close_code::AWAY, "the service stops"),
        false => (close_code::NORMAL, "the job has ended"),
    };
    let reason = reason.into();
    let close = async {
        out.send(Message::Close(Some(CloseFrame { code, reason })))
            .await?;
        while let Some(Ok(_)) = heard.next().await {}
        Ok::<_, axum::Error>(())
    };
    tokio::time::timeout(CLOSING, close).await.ok();
    code
}

/// The events of a job after `seq`, until it has ended or the service stops; `None` if there
/// was nothing to say for a while.
fn changes(
    queue: Arc<dyn Queue>,
    id: JobId,
    after: u64,
    stopping: CancellationToken,
) -> impl Stream<Item = Option<Event>> + Send {
    async_stream::stream! {
        let mut seq = after;
        loop {
            let events = tokio::select! {
                events = queue.wait_events(id, seq, KEEP_ALIVE) => events,
                () = stopping.cancelled() => return,
            };
            let Ok(events) = events else { return };
            let ended = match events.last() {
                Some(event) => event.state.is_terminal(),
                None => has_ended(queue.as_ref(), id).await,
            };
            if events.is_empty() {
                yield None;
            }
            for event in events {
                seq = event.seq;
                yield Some(event);
            }
            if ended {
                return;
            }
        }
    }
}

fn comment() -> String {
    sse::COMMENT.to_owned()
}

fn json(event: &Event) -> String {
    // Strings and numbers, which always serialize.
    serde_json::to_string(event).unwrap_or_else(|_| "{}".into())
}

fn frame(event: &Event) -> String {
    format!(
        "event: {}\nid: {}\ndata: {}\n\n",
        event.state,
        event.seq,
        json(event)
    )
}

/// Whether nothing more comes of a job: it has ended, or is not kept any more.
async fn has_ended(queue: &dyn Queue, id: JobId) -> bool {
    let job = queue.get(id).await;
    job.is_ok_and(|job| job.is_none_or(|job| job.state.is_terminal()))
}
