//! Accepting connections and serving HTTP on each, until the service stops.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::activity::Bounds;
use super::registry::{Connection, Entered, Registry};
use super::tls::{self, Tls};
use super::watched::{Answering, Asking, Watched};
use cairn_settings::config::Server;

/// Largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Most header lines of a request.
const MAX_HEADERS: usize = 100;
/// Streams that a client may open on one connection of HTTP/2.
const MAX_STREAMS: u32 = 32;
/// What a stream, and a connection, of HTTP/2 may send before it is read.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;
/// What is kept for one stream of HTTP/2 that is not read.
const MAX_SEND_BYTES: usize = 256 << 10;
/// How often a silent connection of HTTP/2 is asked whether it lives, and for how long.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_PATIENCE: Duration = Duration::from_secs(10);
/// How long no connection is accepted when the process has no file for it, or every
/// place is worked for.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` on the connections of `listener`, which speak TLS if there is `tls`, until
/// `stopping` fires and all connections have ended.
pub(in crate::server) async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &Server,
    tls: Option<Arc<Tls>>,
    stopping: CancellationToken,
) {
    let registry = Arc::new(Registry::new(
        settings.max_connections,
        Bounds::new(settings),
    ));
    let builder = Arc::new(builder());
    let connections = TaskTracker::new();
    let accepting = async {
        loop {
            let stream = accept(&listener, &registry).await;
            let entered = loop {
                match registry.enter() {
                    Some(entered) => break entered,
                    None => tokio::time::sleep(PAUSE).await,
                }
            };
            let one = Serving {
                entered,
                router: router.clone(),
                builder: Arc::clone(&builder),
                stopping: stopping.clone(),
            };
            connections.spawn(one.serve(stream, tls.clone()));
        }
    };
    let renewing = async {
        match &tls {
            Some(tls) => tls.follow().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stopping.cancelled() => {}
        () = accepting => {}
        () = renewing => {}
        () = registry.watch() => {}
    }
    // Nobody else gets in, while slow ones are still closed.
    drop(listener);
    connections.close();
    tokio::select! {
        () = connections.wait() => {}
        () = registry.watch() => {}
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The registry watches heads: also those of connections that say nothing.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_SEND_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE);
    builder
}

/// The next connection. Errors of a connection that is gone already are passed over;
/// where the process has no file left, the longest idle connection is closed.
async fn accept(listener: &TcpListener, registry: &Registry) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Streams are made of small frames: none may wait for the acknowledgement
                // of the one before it, which systems hold back for 40 ms.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection keeps its small frames back");
                }
                return stream;
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                match registry.close_longest_idle() {
                    true => tracing::debug!(%error, "an idle connection made room"),
                    false => tracing::warn!(%error, "a connection could not be accepted"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// What one connection is served with.
struct Serving {
    entered: Entered,
    router: Router,
    builder: Arc<Builder<TokioExecutor>>,
    stopping: CancellationToken,
}

impl Serving {
    /// Serves one connection until it ends, must go, or the service stops.
    async fn serve(self, stream: TcpStream, tls: Option<Arc<Tls>>) {
        let connection = self.entered.connection();
        let watched = Watched::new(stream, Arc::clone(connection));
        let Some(tls) = tls else {
            return self.requests(watched).await;
        };
        // To the bounds, a handshake is part of the first head.
        let accepted = tokio::select! {
            accepted = tls.acceptor().accept(watched) => accepted,
            () = connection.closed().cancelled() => return,
            () = self.stopping.cancelled() => return,
        };
        match accepted {
            Ok(stream) => self.requests(stream).await,
            Err(error) => {
                let why = tls::failure(&error);
                tracing::debug!(why, "a TLS handshake failed");
            }
        }
    }

    /// Answers the requests that come over `stream`.
    async fn requests(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let connection = self.entered.connection();
        let service = Requests {
            router: self.router.clone(),
            connection: Arc::clone(connection),
        };
        let io = TokioIo::new(stream);
        let serving = self.builder.serve_connection_with_upgrades(io, service);
        let mut serving = std::pin::pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = connection.closed().cancelled() => return,
            () = self.stopping.cancelled() => {
                // A connection without a request has nothing to end.
                if !connection.activity().is_asking() {
                    return;
                }
                serving.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = serving => ended,
                    () = connection.closed().cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection ended in the middle");
        }
    }
}

/// The requests of one connection.
struct Requests {
    router: Router,
    connection: Arc<Connection>,
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response<Answering>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let http2 = request.version() == Version::HTTP_2;
        let asking = Asking::begin(Arc::clone(&self.connection), http2);
        let mut request = request.map(Body::new);
        request
            .extensions_mut()
            .insert(Arc::clone(&self.connection));
        let router = self.router.clone();
        Box::pin(async move {
            let response = router.oneshot(request).await?;
            Ok(response.map(|body| Answering::new(body, asking)))
        })
    }
}
