//! `/webhooks`: endpoints that are told when jobs end.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use cairn_jobs::notify::{
    Delivery, DeliveryState, Endpoint, EndpointId, NewEndpoint, Secret, Webhooks,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::server::auth::access_of;
use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::extract::{JsonBody, QueryString};
use crate::server::job_rights::sees_all;
use crate::server::state::Service;
use cairn_gateway::accounts::Caller;
use cairn_indexer::Access;

/// Most endpoints of a tenant.
const MAX_ENDPOINTS: usize = 100;
/// Deliveries of a list that does not say how many, and most of one.
const LIST: usize = 100;
const MAX_LIST: usize = 1000;
/// Seconds for which the old secret signs alongside the new one, if the caller does not say.
const OVERLAP: u64 = 86_400;
const MAX_OVERLAP: u64 = 30 * 86_400;

/// Whom to tell.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointBody {
    /// Where to post; the rules for addresses that jobs fetch apply.
    #[schema(example = "https://example.com/hooks/cairn")]
    url: String,
    /// `job.done`, `job.failed`, `job.cancelled`, `job.input_required`; empty for all.
    #[serde(default)]
    types: Vec<String>,
    /// Kinds of jobs; empty for all.
    #[serde(default)]
    kinds: Vec<String>,
}

/// An endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointInfo {
    /// Its name.
    id: String,
    /// Where it is.
    url: String,
    /// Events that it hears of; empty for all.
    types: Vec<String>,
    /// Kinds of jobs; empty for all.
    kinds: Vec<String>,
    /// Whether it is told anything.
    active: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    off_reason: Option<String>,
    /// What signs its messages; shown once, when it is made or replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// When it was made.
    created_at: String,
}

impl EndpointInfo {
    fn new(endpoint: Endpoint, secret: Option<&Secret>) -> Self {
        Self {
            id: endpoint.id.to_string(),
            url: endpoint.endpoint.url,
            types: endpoint.endpoint.types,
            kinds: endpoint.endpoint.kinds,
            active: endpoint.is_active,
            off_reason: endpoint.off_reason,
            secret: secret.map(Secret::expose),
            created_at: endpoint.created_at.to_string(),
        }
    }
}

/// The endpoints of the caller's tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointList {
    /// By age.
    endpoints: Vec<EndpointInfo>,
}

/// How a secret is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateBody {
    /// Seconds for which the old secret signs alongside the new one; a day if not given.
    overlap_seconds: Option<u64>,
}

/// Which messages to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryParams {
    /// Only the dead letters.
    #[serde(default)]
    dead: bool,
    /// Messages of the page, 1 to 1000; 100 if not given.
    limit: Option<usize>,
}

/// Messages to an endpoint, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryList {
    /// The page.
    #[schema(value_type = Vec<Object>)]
    deliveries: Vec<Delivery>,
}

/// Makes an endpoint that is told when jobs of the caller's tenant end or ask, after
/// Standard Webhooks. The secret is shown this once.
///
/// # Errors
/// `invalid_request` names the field.
#[utoipa::path(post, path = "/webhooks", tag = "jobs", request_body = EndpointBody,
    responses(
        (status = 201, description = "Made", body = EndpointInfo),
        (status = 400, description = "The request is wrong", body = ErrorBody),
    ))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<EndpointBody>,
) -> Result<(StatusCode, Json<EndpointInfo>)> {
    if access_of(&caller) != Access::All {
        let message = "an endpoint is told of every job of its tenant, so only API keys that \
                       read every document make one";
        return Err(ApiError::new(Code::Forbidden, message));
    }
    let webhooks = webhooks(&service)?;
    service
        .fetcher()?
        .check(&body.url)
        .map_err(|error| ApiError::invalid("url", error.message))?;
    if webhooks.list(Some(caller.tenant())).await?.len() >= MAX_ENDPOINTS {
        let message = format!("there are {MAX_ENDPOINTS} endpoints already; delete one first");
        return Err(ApiError::invalid("url", message));
    }
    let endpoint = NewEndpoint {
        tenant: caller.tenant().to_owned(),
        url: body.url,
        types: body.types,
        kinds: body.kinds,
    };
    let (endpoint, secret) = webhooks.add(endpoint).await?;
    let info = EndpointInfo::new(endpoint, Some(&secret));
    Ok((StatusCode::CREATED, Json(info)))
}

/// Lists the endpoints of the caller's tenant; `admin` sees all.
///
/// # Errors
/// `storage`.
#[utoipa::path(get, path = "/webhooks", tag = "jobs",
    responses((status = 200, description = "The endpoints", body = EndpointList)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<EndpointList>> {
    let tenant = (!sees_all(&caller)).then(|| caller.tenant());
    let endpoints = webhooks(&service)?.list(tenant).await?;
    let endpoints = endpoints
        .into_iter()
        .map(|one| EndpointInfo::new(one, None));
    Ok(Json(EndpointList {
        endpoints: endpoints.collect(),
    }))
}

/// Deletes an endpoint and what it was to be told.
///
/// # Errors
/// `not_found`.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "jobs",
    params(("id" = String, Path, description = "The id of the endpoint")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such endpoint", body = ErrorBody),
    ))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let endpoint = find(&service, &caller, &id).await?;
    webhooks(&service)?.delete(endpoint.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an endpoint a new secret, which is shown this once. It also switches on an endpoint
/// that was switched off.
///
/// # Errors
/// `not_found`, `invalid_request`.
#[utoipa::path(post, path = "/webhooks/{id}/rotate", tag = "jobs", request_body = RotateBody,
    params(("id" = String, Path, description = "The id of the endpoint")),
    responses(
        (status = 200, description = "The endpoint with its secret", body = EndpointInfo),
        (status = 404, description = "No such endpoint", body = ErrorBody),
    ))]
pub(crate) async fn rotate(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<RotateBody>,
) -> Result<Json<EndpointInfo>> {
    let overlap = body.overlap_seconds.unwrap_or(OVERLAP);
    if overlap > MAX_OVERLAP {
        let message = format!("`overlap_seconds` is at most {MAX_OVERLAP}");
        return Err(ApiError::invalid("overlap_seconds", message));
    }
    let endpoint = find(&service, &caller, &id).await?;
    let webhooks = webhooks(&service)?;
    let secret = webhooks
        .rotate(endpoint.id, Duration::from_secs(overlap))
        .await?;
    let endpoint = webhooks.set_active(endpoint.id, true).await?;
    Ok(Json(EndpointInfo::new(endpoint, Some(&secret))))
}

/// Lists the latest messages to an endpoint.
///
/// # Errors
/// `not_found`, `invalid_request`.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "jobs",
    params(("id" = String, Path, description = "The id of the endpoint"), DeliveryParams),
    responses(
        (status = 200, description = "The messages", body = DeliveryList),
        (status = 404, description = "No such endpoint", body = ErrorBody),
    ))]
pub(crate) async fn deliveries(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    QueryString(params): QueryString<DeliveryParams>,
) -> Result<Json<DeliveryList>> {
    let limit = params.limit.unwrap_or(LIST);
    if !(1..=MAX_LIST).contains(&limit) {
        let message = format!("`limit` must lie in 1..={MAX_LIST}, not {limit}");
        return Err(ApiError::invalid("limit", message));
    }
    let endpoint = find(&service, &caller, &id).await?;
    let state = params.dead.then_some(DeliveryState::Dead);
    let deliveries = webhooks(&service)?
        .deliveries(endpoint.id, state, limit)
        .await?;
    Ok(Json(DeliveryList { deliveries }))
}

fn webhooks(service: &Service) -> Result<Webhooks> {
    Ok(service.webhooks()?.clone())
}

/// The endpoint, if the caller may know of it.
async fn find(service: &Service, caller: &Caller, id: &str) -> Result<Endpoint> {
    let missing = || ApiError::new(Code::NotFound, format!("there is no endpoint {id}"));
    let id: EndpointId = id.parse().map_err(|_| missing())?;
    let endpoint = webhooks(service)?.get(id).await?;
    let visible = |one: &Endpoint| sees_all(caller) || one.endpoint.tenant == caller.tenant();
    endpoint.filter(visible).ok_or_else(missing)
}
