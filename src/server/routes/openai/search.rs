//! `/v1/vector_stores/{id}/search`: a search of a collection, in OpenAI's words.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use cairn_indexer::DocumentId;
use cairn_models::CancelOnDrop;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::stores::no_store;
use super::{attributes, file_id, file_name, refuse};
use crate::server::auth::access_of;
use crate::server::error::{ApiError, Code, ErrorBody, Result};
use crate::server::extract::JsonBody;
use crate::server::limits::blocking;
use crate::server::routes::query::QueryBody;
use crate::server::state::Service;
use cairn_engine::retrieve::{Mode, Source};
use cairn_gateway::accounts::Caller;

/// Results of a search that does not say how many, and most of one.
pub(super) const RESULTS: usize = 10;
pub(super) const MAX_RESULTS: usize = 50;

/// A question to a vector store.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchBody {
    /// The question; a list has one.
    #[schema(value_type = Object)]
    query: Asked,
    /// `{"type": "eq", "key": .., "value": ..}` (or `ne`, `gt`, `gte`, `lt`, `lte`, `in`,
    /// `nin`), `{"type": "and", "filters": [..]}` (or `or`).
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Results, 1 to 50.
    #[schema(minimum = 1, maximum = 50, default = 10)]
    max_num_results: Option<usize>,
    /// How results are ranked.
    ranking_options: Option<Ranking>,
    /// Must be false.
    rewrite_query: Option<bool>,
}

/// One question, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    One(String),
    Several(Vec<String>),
}

/// How results are ranked.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ranking {
    /// `none` leaves the re-ranker out; `auto` and `default-...` are the configured one.
    ranker: Option<String>,
    /// The least score of a result, from 0 to 1.
    pub(super) score_threshold: Option<f64>,
    /// How much vectors and words count: one of both may be 0, else they must be equal.
    hybrid_search: Option<Weights>,
}

/// How much vectors and words count.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Weights {
    embedding_weight: f64,
    text_weight: f64,
}

impl Ranking {
    /// Puts it into the words of a search.
    ///
    /// # Errors
    /// `invalid_request` names the field.
    pub(super) fn apply(&self, query: &mut QueryBody) -> Result<()> {
        let at = |field: &str| format!("ranking_options.{field}");
        match self.ranker.as_deref() {
            None | Some("auto") => {}
            Some("none") => query.rerank = Some(false),
            Some(ranker) if ranker.starts_with("default-") => {}
            Some(_) => {
                let message = "`ranker` is none, auto or default-2024-11-15";
                return Err(ApiError::invalid(at("ranker"), message));
            }
        }
        let unit = 0.0..=1.0;
        if self
            .score_threshold
            .is_some_and(|least| !unit.contains(&least))
        {
            let message = "`score_threshold` must be between 0 and 1";
            return Err(ApiError::invalid(at("score_threshold"), message));
        }
        if let Some(weights) = self.hybrid_search {
            let (vectors, words) = (weights.embedding_weight, weights.text_weight);
            query.mode = Some(match (vectors > 0.0, words > 0.0) {
                (true, false) => Mode::Dense,
                (false, true) => Mode::Lexical,
                (true, true) if vectors == words => Mode::Hybrid,
                _ => {
                    let message = "one of both weights may be 0, else they must be equal: how \
                                   the searches count is retrieval.fusion of the configuration";
                    return Err(ApiError::invalid(at("hybrid_search"), message));
                }
            });
        }
        Ok(())
    }

    /// The results that are good enough.
    pub(super) fn cut(&self, sources: &mut Vec<Source>) {
        if let Some(least) = self.score_threshold {
            sources.retain(|source| score(source) >= least);
        }
    }
}

/// A filter of OpenAI's in Cairn's words.
///
/// # Errors
/// `invalid_request` names `filters`.
pub(super) fn filter(given: &Value) -> Result<Value> {
    let wrong = |message: String| Err(ApiError::invalid("filters", message));
    let kind = given["type"].as_str().unwrap_or_default();
    let known = |names: &[&str]| {
        let fields = given.as_object();
        fields.is_some_and(|fields| fields.keys().all(|name| names.contains(&name.as_str())))
    };
    if let "and" | "or" = kind {
        return match given["filters"].as_array() {
            Some(filters) if known(&["type", "filters"]) => {
                let filters = filters.iter().map(filter).collect::<Result<Vec<_>>>()?;
                Ok(json!({ kind: filters }))
            }
            _ => wrong(format!("a filter of type `{kind}` has `filters`, a list")),
        };
    }
    let (Some(key), Some(value)) = (given["key"].as_str(), given.get("value")) else {
        return wrong("a filter has `type`, `key` and `value`, or `filters`".into());
    };
    if !known(&["type", "key", "value"]) {
        return wrong("a comparison has `type`, `key` and `value` and nothing else".into());
    }
    if let "and" | "or" | "not" = key {
        return wrong(format!(
            "`{key}` cannot be asked for: filters are joined by it"
        ));
    }
    if value.is_object() {
        return wrong("`value` is a text, a number, a boolean, or a list of such".into());
    }
    let within = |operator: &str| json!({ key: { operator: value } });
    // A comparison with one value is one; a list has its own words.
    let is = json!({ key: value });
    Ok(match kind {
        "eq" => is,
        "ne" => json!({ "not": is }),
        "gte" | "lte" => within(kind),
        "gt" => json!({ "and": [within("gte"), { "not": is }] }),
        "lt" => json!({ "and": [within("lte"), { "not": is }] }),
        "in" => within("in"),
        "nin" => json!({ "not": within("in") }),
        _ => {
            return wrong(
                "`type` of a filter is eq, ne, gt, gte, lt, lte, in, nin, and, or".into(),
            );
        }
    })
}

/// The question that a search asks.
///
/// # Errors
/// `invalid_request` names the field.
pub(super) fn question(
    query: String,
    store: &str,
    filters: Option<&Value>,
    max_num_results: Option<usize>,
    ranking: &Ranking,
) -> Result<QueryBody> {
    let top_k = max_num_results.unwrap_or(RESULTS);
    if !(1..=MAX_RESULTS).contains(&top_k) {
        let message = format!("`max_num_results` must lie in 1..={MAX_RESULTS}, not {top_k}");
        return Err(ApiError::invalid("max_num_results", message));
    }
    let mut asked = QueryBody {
        query,
        collection: Some(store.to_owned()),
        top_k: Some(top_k),
        filter: filters
            .filter(|given| !given.is_null())
            .map(filter)
            .transpose()?,
        ..QueryBody::default()
    };
    ranking.apply(&mut asked)?;
    Ok(asked)
}

/// Names the fields of a search as OpenAI does.
pub(super) fn blame(error: ApiError) -> ApiError {
    match error.param.as_deref() {
        Some("filter") => ApiError {
            param: Some("filters".into()),
            ..error
        },
        _ if error.code == Code::NotFound => no_store(error),
        _ => error,
    }
}

/// The score of a result: from 0 to 1, where that of the best of a list is near 1.
pub(in crate::server) fn score(source: &Source) -> f64 {
    f64::from(source.score).clamp(0.0, 1.0)
}

/// A passage that was found.
#[derive(Serialize, ToSchema)]
pub(crate) struct Hit {
    /// The file that it is from.
    file_id: String,
    /// Its name.
    filename: String,
    /// From 0 to 1.
    score: f64,
    /// Facts of the file.
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
    /// One part of type `text`.
    #[schema(value_type = Vec<Object>)]
    content: Vec<Value>,
}

/// What was found.
#[derive(Serialize, ToSchema)]
pub(crate) struct Hits {
    /// `vector_store.search_results.page`.
    object: &'static str,
    /// The question.
    search_query: Vec<String>,
    /// Best first.
    data: Vec<Hit>,
    /// False: `max_num_results` says how many there are.
    has_more: bool,
    /// None.
    next_page: Option<String>,
}

/// The facts of the documents that `sources` are of, in their order.
///
/// # Errors
/// Those of the collection.
pub(in crate::server) async fn attributes_of(
    service: &Service,
    caller: &Caller,
    store: &str,
    sources: &[Source],
) -> Result<Vec<Map<String, Value>>> {
    let ids: Vec<Option<DocumentId>> = sources
        .iter()
        .map(|source| DocumentId::parse(&source.document_id))
        .collect();
    let (engine, store) = (service.core()?.engine.clone(), store.to_owned());
    let access = access_of(caller);
    blocking(move || {
        let snapshot = engine.collection(&store)?.snapshot();
        let read = |id: Option<DocumentId>| {
            let document = id.map(|id| snapshot.document(id, &access)).transpose()?;
            let metadata = document.flatten().map(|document| document.metadata);
            Ok(attributes(metadata.unwrap_or_default()))
        };
        ids.into_iter().map(read).collect()
    })
    .await
}

/// Searches a vector store. The results are those of `POST /search`.
///
/// # Errors
/// `invalid_request`, `not_found`, `overloaded`, `timeout`.
#[utoipa::path(post, path = "/v1/vector_stores/{id}/search", tag = "vector stores",
    request_body = SearchBody,
    params(("id" = String, Path, description = "The collection's name")),
    responses(
        (status = 200, description = "What was found", body = Hits),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such store", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn search(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(store): Path<String>,
    JsonBody(body): JsonBody<SearchBody>,
) -> Result<Json<Hits>> {
    refuse(
        &[("rewrite_query", body.rewrite_query == Some(true))],
        "the question is searched as it is",
    )?;
    let query = match body.query {
        Asked::One(query) => query,
        Asked::Several(queries) => match <[String; 1]>::try_from(queries) {
            Ok([query]) => query,
            Err(_) => {
                let message = "`query` is one question; send the others on their own";
                return Err(ApiError::invalid("query", message));
            }
        },
    };
    let ranking = body.ranking_options.unwrap_or_default();
    let asked = question(
        query.clone(),
        &store,
        body.filters.as_ref(),
        body.max_num_results,
        &ranking,
    )?;
    let request = asked
        .into_search(service.config(), &caller)
        .map_err(blame)?;
    let cancel = CancelOnDrop::default();
    let engine = &service.core()?.engine;
    let found = engine.search(request, cancel.token()).await;
    let mut sources = found.map_err(|error| blame(error.into()))?.sources;
    ranking.cut(&mut sources);
    let facts = attributes_of(&service, &caller, &store, &sources).await?;
    let hits = sources
        .into_iter()
        .zip(facts)
        .map(|(source, attributes)| Hit {
            file_id: file_id(&source.document_id),
            filename: file_name(&source.uri).to_owned(),
            score: score(&source),
            attributes,
            content: vec![json!({"type": "text", "text": source.text})],
        });
    Ok(Json(Hits {
        object: "vector_store.search_results.page",
        search_query: vec![query],
        data: hits.collect(),
        has_more: false,
        next_page: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_cairns_own() {
        let compare =
            |kind: &str, value: Value| json!({"type": kind, "key": "year", "value": value});
        for (given, expected) in [
            (compare("eq", json!(3)), json!({"year": 3})),
            (compare("ne", json!(3)), json!({"not": {"year": 3}})),
            (compare("gte", json!(3)), json!({"year": {"gte": 3}})),
            (
                compare("gt", json!(3)),
                json!({"and": [{"year": {"gte": 3}}, {"not": {"year": 3}}]}),
            ),
            (
                compare("lt", json!(3)),
                json!({"and": [{"year": {"lte": 3}}, {"not": {"year": 3}}]}),
            ),
            (compare("in", json!([3])), json!({"year": {"in": [3]}})),
            (
                compare("nin", json!([3])),
                json!({"not": {"year": {"in": [3]}}}),
            ),
            (
                json!({"type": "or", "filters": [compare("eq", json!(1)), compare("eq", json!(2))]}),
                json!({"or": [{"year": 1}, {"year": 2}]}),
            ),
        ] {
            let filter = filter(&given).unwrap();
            assert_eq!(filter, expected);
            cairn_indexer::Filter::parse(&filter).unwrap();
        }
        for wrong in [
            json!(3),
            json!({}),
            json!({"type": "and"}),
            json!({"type": "like", "key": "a", "value": "b"}),
            json!({"type": "eq", "key": "or", "value": []}),
            json!({"type": "eq", "key": "a"}),
            compare("eq", json!({"gte": 1})),
            json!({"type": "eq", "key": "a", "value": 1, "more": 2}),
        ] {
            let error = filter(&wrong).unwrap_err();
            assert_eq!(error.param.as_deref(), Some("filters"), "{wrong}");
        }
    }
}
