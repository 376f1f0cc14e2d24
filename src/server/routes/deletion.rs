//! `DELETE /documents/{id}`: how a document goes out.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use cairn_indexer::DocumentId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::documents::{collection_or_default, no_document, read_id};
use crate::ingest::writer::Work;
use crate::server::auth::access_of;
use crate::server::error::{ErrorBody, Result};
use crate::server::extract::QueryString;
use crate::server::limits::blocking;
use crate::server::state::Service;
use cairn_gateway::accounts::Caller;

/// What a deletion did. It is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct DeleteReport {
    /// The document that is gone.
    pub id: String,
    /// The collection.
    pub collection: String,
    /// The first commit without it.
    pub generation: u64,
}

/// Which collection.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteParams {
    /// The collection; the default one if none.
    collection: Option<String>,
}

/// Deletes a document. The response comes after the commit.
///
/// # Errors
/// `invalid_request`, `not_found`, `collection_locked`, `overloaded`.
#[utoipa::path(delete, path = "/documents/{id}", tag = "documents",
    params(("id" = String, Path, description = "16 hexadecimal digits"), DeleteParams),
    responses(
        (status = 200, description = "Deleted", body = DeleteReport),
        (status = 404, description = "No such document", body = ErrorBody),
        (status = 409, description = "The collection is locked", body = ErrorBody),
    ))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    QueryString(params): QueryString<DeleteParams>,
) -> Result<Json<DeleteReport>> {
    let id = read_id(path)?;
    let collection = collection_or_default(&service, params.collection);
    let generation = remove(&service, &caller, &collection, id).await?;
    Ok(Json(DeleteReport {
        id: id.to_string(),
        collection,
        generation,
    }))
}

/// Deletes the document `id`; returns the first commit without it.
///
/// # Errors
/// Those of [`delete`].
pub(super) async fn remove(
    service: &Service,
    caller: &Caller,
    collection: &str,
    id: DocumentId,
) -> Result<u64> {
    let core = service.core()?;
    let (engine, name) = (core.engine.clone(), collection.to_owned());
    let access = access_of(caller);
    // Asked first, so that a wrong id or name makes no commit and no folder.
    blocking(move || {
        let snapshot = engine.current_collection(&name)?.snapshot();
        let found = snapshot.document(id, &access)?;
        found.map(drop).ok_or_else(|| no_document(id, &name))
    })
    .await?;
    let receipt = core
        .writes
        .write(collection, Work::Delete(vec![id]), &access_of(caller))
        .await?;
    match receipt.deleted {
        0 => Err(no_document(id, collection)),
        _ => Ok(receipt.generation),
    }
}
