//! What happens to every request, whatever its route: an id, a log line,
//! figures, and headers that keep browsers careful.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, gauge, histogram};
use tracing::Instrument as _;

use super::error::Code;
use cairn_gateway::accounts::KeyId;
use cairn_settings::telemetry::{self, REQUEST_SPAN, metrics as names};

/// Carries the id of a request in and out.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Scripts, styles and connections of our own origin only; nothing inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// Counts one request or stream as worked on until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight(());

impl InFlight {
    /// One more.
    pub(super) fn start() -> Self {
        gauge!(names::HTTP_IN_FLIGHT).increment(1.0);
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(names::HTTP_IN_FLIGHT).decrement(1.0);
    }
}

/// Gives the request an id, runs it in a span that carries it, and writes one
/// line about it. Neither the query string nor a body reaches the log.
pub(super) async fn observe(mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let _in_flight = InFlight::start();
    let id = request_id(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let method = request.method().clone();
    // The route as it was declared, so that ids in paths make no new series.
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        REQUEST_SPAN,
        id = id.to_str().unwrap_or_default(),
        method = method.as_str(),
        route,
        // Only set where traces are sent.
        otel.name = tracing::field::Empty,
        otel.kind = tracing::field::Empty,
    );
    telemetry::begin_request(&span, method.as_str(), &route, request.headers());
    let traced = span.clone();
    async move {
        let mut response = next.run(request).await;
        let status = response.status().as_u16();
        telemetry::end_request(&traced, status);
        let took = start.elapsed();
        let code = response.extensions().get::<Code>().copied();
        let key = response.extensions().get::<KeyId>();
        tracing::info!(
            status,
            milliseconds = telemetry::milliseconds(took),
            key = key.map(tracing::field::display),
            code = code.map(Code::as_str),
            "answered"
        );
        // Unknown methods come from the client: they must not make new series.
        let method = match method.as_str() {
            known @ ("GET" | "POST" | "DELETE" | "HEAD" | "OPTIONS" | "PUT" | "PATCH") => known,
            _ => "other",
        };
        counter!(
            names::HTTP_REQUESTS,
            "method" => method.to_owned(), "route" => route.clone(), "status" => status.to_string()
        )
        .increment(1);
        histogram!(names::HTTP_SECONDS, "route" => route).record(took.as_secs_f64());
        if let Some(code) = code {
            counter!(names::ERRORS, "code" => code.as_str()).increment(1);
        }
        add_headers(response.headers_mut(), id);
        response
    }
    .instrument(span)
    .await
}

/// The id of a request that passed [`observe`].
pub(super) fn id_of(headers: &HeaderMap) -> &str {
    let id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    id.unwrap_or_default()
}

fn add_headers(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(REQUEST_ID, id);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

/// The id that the caller sent, if it is fit for a log line, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let fit = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:".contains(b);
        (1..=128).contains(&bytes.len()) && bytes.iter().all(plain)
    };
    headers
        .get(REQUEST_ID)
        .filter(fit)
        .cloned()
        .unwrap_or_else(|| {
            let id = uuid::Uuid::now_v7().to_string();
            // A UUID is plain ASCII.
            HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_over() {
        let with = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            request_id(&headers)
        };
        assert_eq!(with(b"trace-1.a:b_c"), "trace-1.a:b_c");
        for bad in [&b""[..], b"a b", b"a\tb", &[b'x'; 129], b"\xff"] {
            assert_eq!(with(bad).len(), 36);
        }
    }
}
