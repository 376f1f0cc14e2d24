//! Cairn as a server of the Model Context Protocol: `/mcp` (streamable HTTP, without sessions)
//! and `cairn mcp` (standard input and output), for both the stateless revision of 2026-07-28 and
//! that of 2025-11-25.
//!
//! Tools are few and bounded: `search` and `fetch` in the shape that ChatGPT's apps and deep
//! research expect, and `ask`. What a key may not read is not there, as on every route.

mod ask;
mod documents;
mod handler;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any_service;
use rmcp::ServiceExt as _;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

use self::handler::Handler;
use super::state::Service;
use cairn_gateway::accounts::Caller;

/// Bytes of one message of a client.
pub(super) const BODY_BYTES: usize = 1 << 20;

/// The route `/mcp`.
pub(super) fn route(service: &Arc<Service>) -> Router<Arc<Service>> {
    let config = StreamableHttpServerConfig::default()
        // Nothing is kept between requests: a key's rights are those of each request.
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(Some(Duration::from_secs(15)))
        .with_max_request_body_bytes(BODY_BYTES)
        .with_cancellation_token(service.lifecycle().aborted().clone())
        // `origin` guards this route as every other, by the configuration.
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let own = Arc::clone(service);
    let serve = move || Ok(Handler::new(Arc::clone(&own), None));
    let sessions = Arc::new(NeverSessionManager::default());
    let mcp = StreamableHttpService::new(serve, sessions, config);
    Router::new().route("/mcp", any_service(mcp))
}

/// Serves whoever started this process, on its standard input and output, until they close.
///
/// # Errors
/// When the protocol is not spoken there.
pub async fn serve_stdio(service: Arc<Service>) -> anyhow::Result<()> {
    let handler = Handler::new(service, Some(Caller::anonymous()));
    let running = handler.serve(rmcp::transport::stdio()).await?;
    running.waiting().await?;
    Ok(())
}
