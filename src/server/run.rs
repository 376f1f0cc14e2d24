//! Listening, and stopping without breaking what is being answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::connection::accept;
use super::connection::tls::{Tls, TlsError};
use super::router::router;
use super::routes::batches::answering;
use super::state::Service;
use crate::ingest::batches::Chats;
use crate::ingest::task::Asking;
use crate::ingest::worker::Worker;
use crate::ingest::{notify, setup as jobs};
use cairn_settings::config::Server;
use cairn_settings::telemetry::metrics::recorder;

/// How long connections may take to close once their streams were ended.
const CLOSING: Duration = Duration::from_secs(2);

/// How long jobs may take to end before they are stopped and given back.
const DRAIN: Duration = Duration::from_secs(3);

/// Listens on `address`.
///
/// # Errors
/// Those of the system; `AddrInUse` when another process listens there.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Checks what [`serve`] needs to speak TLS, if it is to.
///
/// # Errors
/// When the files of `server.tls` cannot be read, or are no certificate with its key.
pub fn check_tls(server: &Server) -> Result<(), TlsError> {
    server
        .tls
        .as_ref()
        .map_or(Ok(()), |tls| Tls::load(tls).map(drop))
}

/// Serves until [`super::Lifecycle::stop`]. Then no connection is accepted, and
/// open requests and streams have `server.drain_seconds` to end; what is left
/// gets an `error` event.
///
/// # Errors
/// When metrics cannot be recorded in this process, and those of [`check_tls`].
pub async fn serve(listener: TcpListener, service: Arc<Service>) -> anyhow::Result<()> {
    recorder()?;
    let tls = service.config().server.tls.as_ref().map(Tls::load);
    let tls = tls.transpose()?.map(Arc::new);
    let stopping = service.lifecycle().stopping().clone();
    let router = router(Arc::clone(&service));
    open_jobs(&service).await;
    let jobs = tokio::spawn(work_jobs(Arc::clone(&service)));
    let settings = &service.config().server;
    let server = accept::serve(listener, router, settings, tls, stopping.clone());
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
    jobs.await.ok();
    Ok(())
}

/// Opens the queue of jobs. Without it the service answers questions all the same. Part of
/// [`serve`]; for those who call the router themselves.
pub async fn open_jobs(service: &Service) {
    let config = service.config();
    let opened = async { anyhow::Ok((jobs::open(config).await?, jobs::fetcher(config)?)) };
    match opened.await {
        Ok((jobs, fetcher)) => service.set_jobs(jobs, fetcher),
        Err(error) => tracing::warn!(%error, "jobs cannot be taken"),
    }
}

/// Works on jobs until the service stops. Part of [`serve`]; for those who call the router
/// themselves.
pub async fn work_jobs(service: Arc<Service>) {
    let lifecycle = service.lifecycle();
    tokio::select! {
        () = lifecycle.readied().cancelled() => {}
        () = lifecycle.stopping().cancelled() => return,
    }
    let (Ok(core), Ok(room), Ok(fetcher)) = (service.core(), service.job_room(), service.fetcher())
    else {
        return;
    };
    let (config, fetcher) = (service.config(), fetcher.clone());
    let (engine, parser) = (core.engine.clone(), core.parser.clone());
    let asking = Asking {
        agent: core.agent.clone(),
        retrieval: config.retrieval.clone(),
    };
    let mut tools = jobs::tools(
        config,
        engine,
        core.writes.clone(),
        parser,
        fetcher.clone(),
        service.accounts().clone(),
    );
    tools.asking = Some(asking);
    let answer = answering(core.answerer.shared_gateway());
    tools.chats = Some(Chats::new(&config.batches, core.batches.clone(), answer));
    tools.spool = Arc::clone(service.spool());
    if let Some(load) = service.load_embedder() {
        tools.load_embedder = Arc::clone(load);
    }
    match Worker::new(Arc::clone(&room.queue), tools, config.jobs.clone()) {
        Ok(worker) => {
            let told = tokio::spawn(notify::run(room.webhooks.clone(), fetcher));
            worker.run(lifecycle.stopping().clone(), DRAIN).await;
            // What was on its way is sent again after the next start.
            told.abort();
        }
        Err(error) => tracing::warn!(%error, "jobs wait for another worker"),
    }
}
