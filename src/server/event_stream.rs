//! A response of server-sent events, whatever they say.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, StreamExt as _};

use super::observe::InFlight;
use super::sse;
use super::state::Service;

/// Sends `frames` as they come. Dropping the response drops them.
pub(super) fn respond(frames: impl Stream<Item = String> + Send + 'static) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        // nginx would collect the stream before it passes it on.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let body = Body::from_stream(frames.map(|frame| Ok::<_, Infallible>(Bytes::from(frame))));
    (headers, body).into_response()
}

/// As [`respond`], with a comment after each silence, and `stopped` as the last frame when
/// the service stops first. `held` is dropped with the response.
pub(super) fn kept_alive(
    frames: impl Stream<Item = String> + Send + 'static,
    service: &Arc<Service>,
    stopped: String,
    held: impl Send + 'static,
) -> Response {
    let aborted = service.lifecycle().aborted().clone();
    let silence = Duration::from_secs(sse::KEEP_ALIVE_SECONDS);
    respond(async_stream::stream! {
        let _held = (held, InFlight::start());
        // On the heap, as it was made: it is polled in place.
        let mut frames = Box::pin(frames);
        loop {
            tokio::select! {
                biased;
                frame = frames.next() => match frame {
                    Some(frame) => yield frame,
                    None => return,
                },
                () = aborted.cancelled() => {
                    yield stopped;
                    return;
                }
                () = tokio::time::sleep(silence) => yield sse::COMMENT.to_owned(),
            }
        }
    })
}
