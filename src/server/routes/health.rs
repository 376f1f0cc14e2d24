//! `GET /health`: the process runs. `GET /ready`: it answers questions.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::server::lifecycle::Readiness;
use crate::server::state::Service;
use cairn_gateway::accounts::Caller;

/// What `/health` says.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`: a process that cannot say so does not answer.
    pub status: &'static str,
    /// Version of Cairn.
    pub version: &'static str,
}

/// Says that the process runs.
#[utoipa::path(get, path = "/health", tag = "operations",
    responses((status = 200, description = "The process runs", body = Health)))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Says whether questions are answered now.
#[utoipa::path(get, path = "/ready", tag = "operations",
    responses(
        (status = 200, description = "Questions are answered", body = Readiness),
        (status = 503, description = "The service starts or stops", body = Readiness),
    ))]
pub(crate) async fn ready(
    State(service): State<Arc<Service>>,
    caller: Option<Extension<Caller>>,
) -> (StatusCode, Json<Readiness>) {
    let mut readiness = service.lifecycle().readiness();
    // How much there is may be known by those who may read all of it.
    if caller.is_none_or(|Extension(caller)| caller.labels().is_some()) {
        readiness.indexing = None;
    }
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness))
}
