//! The body of a request, read before anything is worked on: within its largest size, at
//! a least speed, and within the memory that the bodies of all requests share.
//!
//! A client that sends slowly holds its connection and what it has sent, and no permit.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, EXPECT};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use metrics::gauge;
use tokio::time::{Instant, timeout_at};

use super::error::{ApiError, Code, Result};
use super::extract::too_large;
use super::share::{Held, Shared};
use super::state::Service;
use cairn_gateway::accounts::{Caller, KeyId};
use cairn_settings::config::Server;
use cairn_settings::telemetry::metrics as names;

/// Bodies up to this size take from no budget: the number of connections bounds them.
const SMALL_BYTES: usize = 64 << 10;
/// Bodies up to this size have a budget of their own, so that a question does not wait
/// behind uploads.
const MEDIUM_BYTES: usize = 2 << 20;
/// What is reserved at once for a body that does not say how long it is, and the pieces
/// that a form is kept in.
const STEP_BYTES: usize = 1 << 20;
/// How much of a body that is refused is read, and for how long.
const DISCARD_BYTES: usize = 16 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);
/// What budgets are counted in.
const UNIT_BYTES: usize = 1 << 10;

/// Memory for the bodies of all requests.
#[derive(Debug)]
pub(super) struct Bodies {
    medium: Shared,
    large: Shared,
    /// For both, in bytes.
    all: usize,
}

impl Bodies {
    pub(super) fn new(server: &Server) -> Self {
        let bytes = |megabytes: usize| megabytes.saturating_mul(1 << 20);
        let (all, largest) = (bytes(server.max_bodies_mb), bytes(server.max_body_mb));
        let medium = all / 4;
        let budget = |most: usize, least: usize| {
            Shared::new(units(most), server.key_share, units(least.min(most)))
        };
        Self {
            medium: budget(medium, MEDIUM_BYTES),
            large: budget(all - medium, largest),
            all,
        }
    }

    /// The budget of a body with at most `bytes`.
    fn of(&self, bytes: usize) -> &Shared {
        match bytes <= MEDIUM_BYTES {
            true => &self.medium,
            false => &self.large,
        }
    }

    fn note(&self) {
        let left = |shared: &Shared| shared.semaphore().available_permits() * UNIT_BYTES;
        let taken = self
            .all
            .saturating_sub(left(&self.medium) + left(&self.large));
        gauge!(names::BODIES_BYTES).set(taken as f64);
    }
}

/// Units that hold `bytes`.
fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES)
}

/// How long a body may be, and how long it may take.
#[derive(Clone, Copy)]
struct Bounds {
    most: usize,
    silence: Duration,
    whole: Duration,
    min_bytes_per_second: u64,
    /// The client sends no body before it is asked for it.
    asks_first: bool,
}

/// Reads the whole body, up to `most` bytes, and hands the request on with it.
pub(super) async fn receive(
    State((service, most)): State<(Arc<Service>, usize)>,
    request: Request,
    next: Next,
) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let server = &service.config().server;
    let bounds = Bounds {
        most,
        silence: Duration::from_secs(server.body_seconds),
        whole: Duration::from_secs(server.upload_seconds),
        min_bytes_per_second: server.min_bytes_per_second,
        asks_first: request.headers().contains_key(EXPECT),
    };
    let (parts, body) = request.into_parts();
    let key = parts.extensions.get::<Caller>().and_then(Caller::key);
    let kind = parts.headers.get(CONTENT_TYPE);
    let in_pieces = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"));
    let read = read(body, bounds, service.bodies(), key, in_pieces).await;
    service.bodies().note();
    let (body, held) = match read {
        Ok(read) => read,
        Err(error) => return error.into_response(),
    };
    // Held until the work is done: it keeps what it makes of the body.
    let response = next.run(Request::from_parts(parts, body)).await;
    drop(held);
    service.bodies().note();
    response
}

/// The whole body, and the memory it holds of the budget.
async fn read(
    body: Body,
    bounds: Bounds,
    bodies: &Bodies,
    key: Option<&KeyId>,
    in_pieces: bool,
) -> Result<(Body, Vec<Held>)> {
    let hint = body.size_hint();
    let declared = hint
        .exact()
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if declared.is_some_and(|declared| declared > bounds.most) {
        if !bounds.asks_first {
            discard(body).await;
        }
        return Err(too_large());
    }
    let mut budget = Budget {
        shared: bodies.of(declared.unwrap_or(bounds.most)),
        key,
        room: SMALL_BYTES,
        held: Vec::new(),
        until: Instant::now() + bounds.whole,
    };
    if let Some(declared) = declared {
        budget.make_room(declared).await?;
    }
    let step = match (declared, in_pieces) {
        (Some(declared), false) => declared,
        (Some(declared), true) => declared.min(STEP_BYTES),
        (None, _) => SMALL_BYTES,
    };
    let mut pieces = Pieces::new(step);
    let mut pace = Pace::new(bounds, Instant::now());
    let mut stream = body.into_data_stream();
    loop {
        let bytes = match timeout_at(pace.until(), stream.next()).await {
            Ok(Some(Ok(bytes))) => bytes,
            Ok(Some(Err(_))) => {
                let message = "the body broke off before its end";
                return Err(ApiError::new(Code::InvalidRequest, message));
            }
            Ok(None) => break,
            Err(_) => return Err(slow()),
        };
        let all = pieces.bytes + bytes.len();
        if all > bounds.most {
            return Err(too_large());
        }
        if all > budget.room {
            budget
                .make_room(all.max(budget.room + STEP_BYTES).min(bounds.most))
                .await?;
            pace.restart(Instant::now());
        }
        pieces.push(&bytes);
        pace.took(bytes.len(), Instant::now())?;
    }
    Ok((pieces.into_body(), budget.held))
}

/// Reads some of a body that is refused, and keeps nothing: most clients look for an
/// answer only when they have sent everything, and a connection that is closed before
/// loses it.
async fn discard(body: Body) {
    let mut stream = body.into_data_stream();
    let mut bytes = 0;
    let until = Instant::now() + DISCARD_TIME;
    while bytes < DISCARD_BYTES
        && let Ok(Some(Ok(piece))) = timeout_at(until, stream.next()).await
    {
        bytes += piece.len();
    }
}

fn slow() -> ApiError {
    ApiError::new(
        Code::SlowBody,
        "the body came too slowly; the limits are server.body_seconds, server.upload_seconds and \
         server.min_bytes_per_second",
    )
}

/// What one body holds of the memory of all.
struct Budget<'a> {
    shared: &'a Shared,
    key: Option<&'a KeyId>,
    /// Bytes that it may have.
    room: usize,
    held: Vec<Held>,
    until: Instant,
}

impl Budget<'_> {
    /// Makes room for `bytes` in all. Waits for its turn: meanwhile the client is not
    /// read.
    async fn make_room(&mut self, bytes: usize) -> Result<()> {
        // The small part that was free is counted as soon as there is more.
        let missing = match self.held.is_empty() {
            _ if bytes <= self.room => return Ok(()),
            true => bytes,
            false => bytes - self.room,
        };
        let amount = u32::try_from(units(missing)).unwrap_or(u32::MAX);
        // A request that holds some does not wait for more: two that both do would wait for
        // each other.
        let held = if self.held.is_empty() {
            let turn = self.shared.take(amount, self.key);
            timeout_at(self.until, turn).await.ok().flatten()
        } else {
            self.shared.try_take(amount, self.key).ok()
        };
        self.held.push(held.ok_or_else(full)?);
        self.room = bytes;
        Ok(())
    }
}

fn full() -> ApiError {
    ApiError::new(
        Code::Overloaded,
        "the bodies of other requests take all of server.max_bodies_mb, or this key's share of it; \
         try again in a moment",
    )
}

/// The least speed of a body.
struct Pace {
    bounds: Bounds,
    end: Instant,
    /// The window in which speed is measured, and what came in it.
    window: Instant,
    bytes: u64,
    heard: Instant,
}

impl Pace {
    fn new(bounds: Bounds, now: Instant) -> Self {
        Self {
            bounds,
            end: now + bounds.whole,
            window: now,
            bytes: 0,
            heard: now,
        }
    }

    /// When the next bytes must be there.
    fn until(&self) -> Instant {
        (self.heard + self.bounds.silence).min(self.end)
    }

    /// It was not the client who waited.
    fn restart(&mut self, now: Instant) {
        (self.window, self.heard, self.bytes) = (now, now, 0);
    }

    /// Some bytes came.
    ///
    /// # Errors
    /// When they were too few for the time they took.
    fn took(&mut self, bytes: usize, now: Instant) -> Result<()> {
        self.heard = now;
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let window = self.heard.saturating_duration_since(self.window);
        if window < self.bounds.silence {
            return Ok(());
        }
        let expected = self.bounds.min_bytes_per_second as f64 * window.as_secs_f64();
        if (self.bytes as f64) < expected {
            return Err(slow());
        }
        self.restart(now);
        Ok(())
    }
}

/// The bytes of a body, in few pieces however small those were that came: each of those
/// would cost more than its bytes.
struct Pieces {
    step: usize,
    whole: Vec<Bytes>,
    last: Vec<u8>,
    bytes: usize,
}

impl Pieces {
    fn new(step: usize) -> Self {
        Self {
            step: step.max(1),
            whole: Vec::new(),
            last: Vec::new(),
            bytes: 0,
        }
    }

    fn push(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len();
        while !bytes.is_empty() {
            if self.last.capacity() == 0 {
                self.last.reserve_exact(self.step);
            }
            let room = self.last.capacity() - self.last.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.last.extend_from_slice(now);
            bytes = later;
            if self.last.len() == self.last.capacity() {
                self.whole.push(std::mem::take(&mut self.last).into());
                // Bodies of unknown length are kept in pieces that grow.
                self.step = (self.step * 2).min(STEP_BYTES);
            }
        }
    }

    fn into_body(mut self) -> Body {
        if !self.last.is_empty() {
            self.whole.push(self.last.into());
        }
        if self.whole.len() <= 1 {
            return Body::from(self.whole.pop().unwrap_or_default());
        }
        let pieces = self
            .whole
            .into_iter()
            .map(Ok::<_, std::convert::Infallible>);
        Body::from_stream(futures::stream::iter(pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        Bounds {
            most: 4 << 20,
            silence: Duration::from_secs(10),
            whole: Duration::from_secs(600),
            min_bytes_per_second: 1000,
            asks_first: false,
        }
    }

    fn bodies(max_bodies_mb: usize) -> Bodies {
        let mut server = cairn_settings::config::Config::default().server;
        server.max_bodies_mb = max_bodies_mb;
        server.max_body_mb = 4;
        Bodies::new(&server)
    }

    fn of(pieces: Vec<Vec<u8>>) -> Body {
        let pieces = pieces.into_iter().map(Ok::<_, std::convert::Infallible>);
        Body::from_stream(futures::stream::iter(pieces))
    }

    #[tokio::test]
    async fn what_came_in_crumbs_is_kept_in_few_pieces() {
        let crumbs = (0..200_000_u32).map(|n| vec![n as u8]).collect();
        let bodies = bodies(16);
        let (body, held) = read(of(crumbs), bounds(), &bodies, None, false)
            .await
            .unwrap();
        let mut pieces = body.into_data_stream();
        let (mut count, mut bytes) = (0, Vec::new());
        while let Some(piece) = pieces.next().await {
            count += 1;
            bytes.extend_from_slice(&piece.unwrap());
        }
        assert!(count <= 3, "{count}");
        assert!(bytes.iter().enumerate().all(|(n, byte)| *byte == n as u8));
        assert_eq!((bytes.len(), held.len()), (200_000, 1));
    }

    #[tokio::test]
    async fn more_than_the_most_is_refused_whatever_was_declared() {
        let mut small = bounds();
        small.most = 1000;
        let bodies = bodies(16);
        for body in [of(vec![vec![0; 600]; 2]), Body::from(vec![0; 1001])] {
            let error = read(body, small, &bodies, None, false).await.unwrap_err();
            assert_eq!(error.code, Code::TooLarge);
        }
        let body = Body::from(vec![0; 1000]);
        assert!(read(body, small, &bodies, None, true).await.is_ok());
    }

    #[tokio::test]
    async fn bodies_share_their_memory_and_wait_for_it() {
        let bodies = Arc::new(bodies(16));
        // Twelve megabytes for large ones.
        let mut held = Vec::new();
        for _ in 0..3 {
            let body = Body::from(vec![0; 4 << 20]);
            held.push(read(body, bounds(), &bodies, None, false).await.unwrap().1);
        }
        // One of unknown length asks for a first part as the others do.
        let mut hurried = bounds();
        hurried.whole = Duration::from_millis(50);
        let unknown = of(vec![vec![0; 3 << 20]]);
        let error = read(unknown, hurried, &bodies, None, false)
            .await
            .unwrap_err();
        assert_eq!(error.code, Code::Overloaded);
        let waiting = tokio::spawn({
            let bodies = Arc::clone(&bodies);
            async move {
                let body = Body::from(vec![0; 4 << 20]);
                read(body, bounds(), &bodies, None, false).await.is_ok()
            }
        });
        // A question does not wait behind them, and a small body waits for none.
        for bytes in [1 << 20, 1000] {
            let question = Body::from(vec![0; bytes]);
            let read = read(question, bounds(), &bodies, None, false).await;
            assert!(read.is_ok());
        }
        assert!(!waiting.is_finished());
        held.pop();
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn one_key_does_not_take_all_memory() {
        let bodies = bodies(64);
        let key = KeyId::new("a");
        let mut hurried = bounds();
        hurried.whole = Duration::from_millis(50);
        let mut held = Vec::new();
        let refused = loop {
            let body = Body::from(vec![0; 4 << 20]);
            match read(body, hurried, &bodies, Some(&key), false).await {
                Ok((_, reserved)) => held.push(reserved),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.code, Code::Overloaded);
        assert_eq!(held.len(), 9, "three quarters of 48 MB");
        let body = Body::from(vec![0; 4 << 20]);
        let other = KeyId::new("b");
        let others = read(body, hurried, &bodies, Some(&other), false).await;
        assert!(others.is_ok());
    }

    #[test]
    fn silence_and_dripping_end_a_body() {
        let start = Instant::now();
        let second = |n: u64| start + Duration::from_secs(n);
        let mut pace = Pace::new(bounds(), start);
        assert_eq!(pace.until(), second(10));
        // Too few bytes over a window.
        for n in 1..10 {
            pace.took(100, second(n)).unwrap();
        }
        assert_eq!(pace.until(), second(19));
        let slow = pace.took(100, second(10)).unwrap_err();
        assert_eq!(slow.code, Code::SlowBody);
        // Fast enough, and never at an end.
        let mut pace = Pace::new(bounds(), start);
        for n in 1..600 {
            pace.took(1500, second(n)).unwrap();
        }
        assert_eq!(pace.until(), second(600));
        // Waiting for its turn is not the client's slowness.
        let mut pace = Pace::new(bounds(), start);
        pace.took(1, second(1)).unwrap();
        pace.restart(second(300));
        pace.took(1, second(301)).unwrap();
        assert_eq!(pace.until(), second(311));
    }
}
