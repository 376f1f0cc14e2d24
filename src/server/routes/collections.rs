//! `GET /collections`: what can be searched.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::{Extension, Json};
use cairn_indexer::Access;
use serde::Serialize;
use utoipa::ToSchema;

use crate::server::auth::access_of;
use crate::server::error::{ApiError, ErrorBody};
use crate::server::limits::blocking;
use crate::server::state::Service;
use cairn_engine::retrieve::Engine;
use cairn_gateway::accounts::Caller;

/// How long the list waits for collections that are being opened, all together.
const PATIENCE: Duration = Duration::from_secs(3);

/// One collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CollectionInfo {
    /// Its name.
    pub name: String,
    /// Number of its last commit; 0 when nothing was ever committed.
    pub generation: u64,
    /// Documents in it that the caller may read.
    pub documents: usize,
    /// Chunks of them.
    pub chunks: usize,
    /// Id of the embedder of its vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedder: Option<String>,
    /// Questions to try, drawn from what is in it.
    pub suggestions: Vec<String>,
    /// Why it cannot be opened, if it cannot; the others are listed all the
    /// same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
}

impl CollectionInfo {
    fn read(engine: &Engine, name: &str, access: &Access) -> Result<Self, ApiError> {
        let snapshot = engine.current_collection(name)?.snapshot();
        let overview = engine.overview(name, access)?;
        Ok(Self {
            name: name.to_owned(),
            generation: overview.generation,
            documents: overview.documents,
            chunks: overview.chunks,
            embedder: snapshot.embedder_id().map(Into::into),
            suggestions: overview.suggestions.clone(),
            error: None,
        })
    }

    fn broken(name: &str, error: ApiError) -> Self {
        Self {
            name: name.to_owned(),
            generation: 0,
            documents: 0,
            chunks: 0,
            embedder: None,
            suggestions: Vec::new(),
            error: Some(error),
        }
    }
}

/// All collections, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CollectionList {
    /// The collection that is used when a request names none.
    pub default: String,
    /// In the order of their names.
    pub collections: Vec<CollectionInfo>,
}

/// Lists the collections.
///
/// # Errors
/// `not_ready`.
#[utoipa::path(get, path = "/collections", tag = "documents",
    responses(
        (status = 200, description = "The collections", body = CollectionList),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<CollectionList>, ApiError> {
    let engine = service.core()?.engine.clone();
    let default = service.config().storage.collection.clone();
    blocking(move || {
        let until = Instant::now() + PATIENCE;
        let read = |name: String| {
            // One that opens slowly is listed as such, and does not hide the others.
            let left = until.saturating_duration_since(Instant::now());
            let opened = engine
                .collection_within(&name, left)
                .map_err(ApiError::from);
            opened
                .and_then(|_| CollectionInfo::read(&engine, &name, &access_of(&caller)))
                .unwrap_or_else(|error| CollectionInfo::broken(&name, error))
        };
        let collections = engine.collections()?.into_iter().map(read).collect();
        Ok(Json(CollectionList {
            default,
            collections,
        }))
    })
    .await
}
