//! `GET /metrics`: the figures of the process for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use metrics::gauge;

use crate::server::error::ApiError;
use crate::server::limits::blocking;
use crate::server::state::Service;
use cairn_settings::telemetry::metrics as names;

/// Renders all metrics.
///
/// # Errors
/// `internal` when they cannot be recorded in this process.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Prometheus text format", body = String,
        content_type = "text/plain; version=0.0.4")))]
pub(crate) async fn metrics(State(service): State<Arc<Service>>) -> Result<Response, ApiError> {
    let recorder = names::recorder().map_err(ApiError::internal)?;
    let page = blocking(move || {
        // Sizes are read when they are asked for, so that they are never stale.
        if let Ok(core) = service.core() {
            // What opens slowly or not at all must not take the other figures along: what
            // is not open yet is on the next page.
            core.engine.open_in_background();
            for (name, index) in core.engine.open_collections() {
                let snapshot = index.snapshot();
                let labels = [("collection", name)];
                gauge!(names::INDEX_CHUNKS, &labels).set(snapshot.chunk_count() as f64);
                gauge!(names::INDEX_DOCUMENTS, &labels).set(snapshot.document_count() as f64);
                gauge!(names::INDEX_GENERATION, &labels).set(snapshot.generation() as f64);
            }
        }
        // Histograms keep what was not rendered yet; this makes room.
        recorder.run_upkeep();
        Ok(recorder.render())
    })
    .await?;
    Ok((
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        page,
    )
        .into_response())
}
