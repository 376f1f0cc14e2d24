//! `cairn serve`: the page and the API over what is indexed already.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::context::Context;
use super::failure::{Advised, BadUsage};
use super::loading;
use super::{Outcome, interrupt, output};
use crate::server::{self, Service};
use cairn_gateway::accounts::Accounts;

/// Where to listen.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Address and port to listen on [default: 127.0.0.1:8620]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) bind: Option<String>,
}

impl Args {
    /// What it overrides in the configuration.
    pub(super) fn settings(&self) -> Vec<(&'static str, serde_json::Value)> {
        let bind = self.bind.iter().map(|bind| ("server.bind", json!(bind)));
        bind.collect()
    }
}

/// Serves until a signal.
pub(super) fn run(context: Context) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let listener = runtime.block_on(listen(&context.config.server.bind))?;
    let service = service(&context, &listener)?;
    stop_on_interrupt(&service)?;
    announce(&context, &listener)?;
    let loading = {
        let service = Arc::clone(&service);
        std::thread::spawn(move || load(&context, &service))
    };
    runtime.block_on(server::serve(listener, Arc::clone(&service)))?;
    service.accounts().flush();
    finish(loading, &service)
}

/// A service that does not answer yet. Where it can be reached from other machines,
/// there must be a key, or somebody who wants it open.
///
/// # Errors
/// When there is neither, or keys were required and are lost; when it is to speak TLS and has no
/// certificate for that.
pub(super) fn service(context: &Context, listener: &TcpListener) -> anyhow::Result<Arc<Service>> {
    server::check_tls(&context.config.server)?;
    let accounts = Accounts::open(&context.config)?;
    let address = listener.local_addr()?;
    if !accounts.requires_keys() && !is_loopback(address) {
        let danger = format!(
            "{address} can be reached from other machines, and there is no API key: whoever reaches \
             it could read, add and delete every document"
        );
        if !context.config.server.open_to_network {
            let hint = "make a key first: cairn keys create admin --scope admin; or, if everybody may, \
                        set server.open_to_network = true";
            return Err(Advised::new(danger, hint).into());
        }
        context.say_warning(format!("{danger}; server.open_to_network allows that"));
    }
    Ok(Service::starting(context.config.clone(), accounts))
}

/// Whether only this machine reaches `address`.
fn is_loopback(address: SocketAddr) -> bool {
    // ::ffff:127.0.0.1 is 127.0.0.1.
    address.ip().to_canonical().is_loopback()
}

/// Many threads, for handlers; models have their own.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.context("the machine has no threads for the service")
}

/// Listens, or says what to do instead.
pub(super) async fn listen(bind: &str) -> anyhow::Result<TcpListener> {
    let address: SocketAddr = match bind.parse() {
        Ok(address) => address,
        Err(_) => tokio::net::lookup_host(bind)
            .await
            .ok()
            .and_then(|mut found| found.next())
            .ok_or_else(|| {
                BadUsage::new(format!(
                    "`{bind}` is not an address; write it like 127.0.0.1:8620"
                ))
            })?,
    };
    match server::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let free = next_free(address).await;
            let hint = match free {
                Some(free) => {
                    format!("is Cairn running there already? {free} is free: --bind {free}")
                }
                None => "choose another port with --bind ADDR:PORT".to_owned(),
            };
            Err(Advised::new(format!("another program listens on {address}"), hint).into())
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("cannot listen on {address}"))),
    }
}

/// The first of the next twenty ports that nobody listens on.
async fn next_free(mut address: SocketAddr) -> Option<SocketAddr> {
    for _ in 0..20 {
        address.set_port(address.port().checked_add(1)?);
        if server::bind(address).await.is_ok() {
            return Some(address);
        }
    }
    None
}

/// The first signal lets streams end, as does the service's own stop; the
/// second one ends the process.
pub(super) fn stop_on_interrupt(service: &Arc<Service>) -> anyhow::Result<()> {
    let service = Arc::clone(service);
    interrupt::on_interrupt(move || {
        tracing::info!("stopping; open answers may end, a second signal ends them");
        service.lifecycle().stop();
    })
    .context("signals cannot be handled")
}

/// Says where the service is: as text, or as one JSON document.
pub(super) fn announce(context: &Context, listener: &TcpListener) -> anyhow::Result<String> {
    let scheme = context
        .config
        .server
        .tls
        .as_ref()
        .map_or("http", |_| "https");
    let url = url(scheme, listener.local_addr()?);
    if context.json {
        output::json(&json!({ "url": url }))?;
    } else {
        output::line(format!("Serving {url}"))?;
    }
    Ok(url)
}

/// Where a browser on this machine finds the page.
fn url(scheme: &str, address: SocketAddr) -> String {
    let mut shown = address;
    if address.ip().is_unspecified() {
        shown.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("{scheme}://{shown}")
}

/// Loads the models and lets the service answer. A failure stops it.
pub(super) fn load(context: &Context, service: &Arc<Service>) -> anyhow::Result<()> {
    service
        .lifecycle()
        .set_activity(Some("The models are being fetched and loaded.".into()));
    let result = loading::start(context, service);
    service.lifecycle().set_activity(None);
    if result.is_err() {
        service.lifecycle().stop();
    }
    result
}

/// What the work alongside the service came to.
pub(super) fn finish(
    work: std::thread::JoinHandle<anyhow::Result<()>>,
    service: &Service,
) -> anyhow::Result<Outcome> {
    // Before it was ready, nothing is lost by leaving the loading thread alone.
    if !work.is_finished() && service.core().is_err() {
        return Ok(Outcome::Done);
    }
    work.join()
        .unwrap_or_else(|_| Err(anyhow::anyhow!("a worker thread panicked")))?;
    Ok(Outcome::Done)
}
