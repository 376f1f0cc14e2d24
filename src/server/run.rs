//! Listening, and stopping without breaking what is being answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::router::router;
use super::state::Service;
use crate::telemetry::metrics::recorder;

/// How long connections may take to close once their streams were ended.
const CLOSING: Duration = Duration::from_secs(2);

/// Listens on `address`.
///
/// # Errors
/// Those of the system; `AddrInUse` when another process listens there.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until [`super::Lifecycle::stop`]. Then no connection is accepted, and
/// open requests and streams have `server.drain_seconds` to end; what is left
/// gets an `error` event.
///
/// # Errors
/// When metrics cannot be recorded in this process, or the listener fails.
pub async fn serve(listener: TcpListener, service: Arc<Service>) -> anyhow::Result<()> {
    recorder()?;
    let stopping = service.lifecycle().stopping().clone();
    let router = router(Arc::clone(&service));
    let server =
        axum::serve(listener, router).with_graceful_shutdown(stopping.clone().cancelled_owned());
    let drain = async {
        stopping.cancelled().await;
        let patience = Duration::from_secs(service.config().server.drain_seconds);
        let aborted = service.lifecycle().aborted().cancelled();
        if tokio::time::timeout(patience, aborted).await.is_err() {
            tracing::warn!(
                seconds = patience.as_secs(),
                "streams are still open; ending them"
            );
            service.lifecycle().abort();
        }
        tokio::time::sleep(CLOSING).await;
    };
    tokio::select! {
        result = server.into_future() => result?,
        () = drain => tracing::warn!("some connections did not close in time"),
    }
    Ok(())
}
