//! `/v1/models`: what a chat may ask for, and what this service embeds and re-ranks with.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::limits::blocking;
use crate::server::own_models::Kind;
use crate::server::state::Service;
use cairn_gateway::DOCUMENTS;
use cairn_gateway::accounts::{Caller, Scope};

/// What `GET /v1/models` gives.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelList {
    /// `list`.
    object: &'static str,
    /// Every name that `model` of a chat may be.
    data: Vec<Model>,
}

/// A name that `model` may be.
#[derive(Serialize, ToSchema)]
pub(crate) struct Model {
    /// `cairn` and `cairn/COLLECTION` for documents; a route, a provider, `provider/model`; or
    /// the id of the embedder or the re-ranker.
    id: String,
    /// `model`.
    object: &'static str,
    /// Not known: 0.
    created: u64,
    /// The provider, or `cairn` for documents, routes and models of this service.
    owned_by: String,
    /// `chat`, `embedding` or `rerank`.
    #[serde(rename = "type")]
    kind: &'static str,
}

impl Model {
    fn new(id: String, owned_by: &str, kind: &'static str) -> Self {
        Self {
            id,
            object: "model",
            created: 0,
            owned_by: owned_by.to_owned(),
            kind,
        }
    }
}

/// Every model that `caller` may name: those of chats first.
async fn all(service: &Arc<Service>, caller: &Caller) -> Result<Vec<Model>> {
    let core = service.core()?;
    let mut models = Vec::new();
    if caller.scopes().allow(Scope::Query) {
        let engine = core.engine.clone();
        let collections = blocking(move || Ok(engine.collections()?)).await?;
        let named = collections
            .into_iter()
            .map(|name| format!("{DOCUMENTS}/{name}"));
        let names = std::iter::once(DOCUMENTS.to_owned()).chain(named);
        models.extend(names.map(|name| Model::new(name, DOCUMENTS, "chat")));
    }
    if caller.scopes().allow(Scope::Chat) {
        let names = core.answerer.gateway().model_names();
        models.extend(
            names
                .into_iter()
                .map(|(id, owner)| Model::new(id, &owner, "chat")),
        );
    }
    for (kind, name) in [(Kind::Embedding, "embedding"), (Kind::Reranking, "rerank")] {
        models.extend(
            kind.id(&core.engine)
                .map(|id| Model::new(id, DOCUMENTS, name)),
        );
    }
    Ok(models)
}

/// Lists every name that a chat may ask for with the caller's key. Programs offer what they
/// find here for chats, so the embedder and the re-ranker are not among them.
///
/// # Errors
/// `not_ready` while the models are loaded.
#[utoipa::path(get, path = "/v1/models", tag = "models",
    responses((status = 200, description = "The names", body = ModelList)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ModelList>> {
    let mut data = all(&service, &caller).await?;
    data.retain(|model| model.kind == "chat");
    let object = "list";
    Ok(Json(ModelList { object, data }))
}

/// Says what a model is for: also the embedder and the re-ranker, by their id.
///
/// # Errors
/// `not_found`, `not_ready`.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "models",
    params(("id" = String, Path, description = "A name; it may hold `/`")),
    responses(
        (status = 200, description = "The model", body = Model),
        (status = 404, description = "No such model", body = ErrorBody),
    ))]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Model>> {
    let all = all(&service, &caller).await?;
    let found = all.into_iter().find(|model| model.id == id);
    found.map(Json).ok_or_else(|| {
        let id: String = id.chars().take(100).collect();
        let message = format!("there is no model `{id}`; GET /v1/models lists those of chats");
        ApiError {
            param: Some("model".into()),
            ..ApiError::new(Code::NotFound, message)
        }
    })
}
