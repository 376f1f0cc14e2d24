//! Listening, and stopping without breaking what is being answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::connection::accept;
use super::router::router;
use super::routes::batches;
use super::state::Service;
use cairn_settings::telemetry::metrics::recorder;

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
/// When metrics cannot be recorded in this process.
pub async fn serve(listener: TcpListener, service: Arc<Service>) -> anyhow::Result<()> {
    recorder()?;
    let stopping = service.lifecycle().stopping().clone();
    let router = router(Arc::clone(&service));
    let batches = tokio::spawn(work_batches(Arc::clone(&service)));
    let settings = &service.config().server;
    let server = accept::serve(listener, router, settings, stopping.clone());
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
        () = server => {}
        () = drain => tracing::warn!("some connections did not close in time"),
    }
    // What was under way goes on after the next start.
    batches.abort();
    Ok(())
}

/// Answers the chats of batches until the service stops.
async fn work_batches(service: Arc<Service>) {
    let lifecycle = service.lifecycle();
    tokio::select! {
        () = lifecycle.readied().cancelled() => {}
        () = lifecycle.stopping().cancelled() => return,
    }
    if let Ok(core) = service.core() {
        let stop = lifecycle.stopping().clone();
        let execute = batches::executor(Arc::clone(&service));
        core.batches.clone().run(execute, stop).await;
    }
}
