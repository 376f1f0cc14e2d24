//! `POST /retrieval`: a collection as an external knowledge base of Dify.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use cairn_models::CancelOnDrop;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::openai::search::{attributes_of, score};
use super::query::QueryBody;
use crate::server::error::{ApiError, ErrorBody, Result};
use crate::server::extract::JsonBody;
use crate::server::links::link;
use crate::server::state::Service;
use cairn_gateway::accounts::Caller;

/// A question, in the format of Dify's external knowledge API.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetrievalBody {
    /// The collection.
    knowledge_id: String,
    /// The question.
    query: String,
    /// How many, and how good.
    #[serde(default)]
    retrieval_setting: Setting,
    /// Condition on facts.
    metadata_condition: Option<Condition>,
}

/// How many results, and how good.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Setting {
    /// Results, 1 to 100; `retrieval.top_k` if not given.
    top_k: Option<usize>,
    /// The least score, from 0 to 1.
    score_threshold: Option<f64>,
}

/// Conditions that all hold, or of which one does.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Condition {
    /// `and` or `or`; `and` if not given.
    logical_operator: Option<String>,
    /// Comparisons.
    conditions: Option<Vec<Comparison>>,
}

/// One comparison.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Comparison {
    /// The fact; with several, one of them.
    #[schema(value_type = Object)]
    name: Names,
    /// `is`, `=`, `is not`, `≠`, `>`, `≥`, `<`, `≤`, `before`, `after`, `in`, `not in`.
    comparison_operator: String,
    /// What it is compared with.
    #[schema(value_type = Option<Object>)]
    value: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

/// What was found.
#[derive(Serialize, ToSchema)]
pub(crate) struct Retrieved {
    /// Best first.
    records: Vec<Record>,
}

/// A passage.
#[derive(Serialize, ToSchema)]
struct Record {
    /// Its text.
    #[schema(value_type = String)]
    content: Arc<str>,
    /// From 0 to 1, where that of the best of a list is near 1.
    score: f64,
    /// The document's title.
    title: String,
    /// Facts of the document, its `path`, `url` and `document_id`, and the `page`.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
}

impl Comparison {
    /// In Cairn's words.
    fn filter(&self) -> Result<Value> {
        let wrong = |message: String| Err(ApiError::invalid("metadata_condition", message));
        let names = match &self.name {
            Names::One(name) => std::slice::from_ref(name),
            Names::Several(names) => names,
        };
        if names
            .iter()
            .any(|name| matches!(name.as_str(), "and" | "or" | "not"))
        {
            return wrong("`and`, `or` and `not` cannot be asked for: they join filters".into());
        }
        let value = self.value.clone().unwrap_or_default();
        // Dify sends what a person typed, so a number may come as a text.
        let number = value
            .as_str()
            .and_then(|text| text.trim().parse::<f64>().ok());
        let bound = number.map_or_else(|| value.clone(), |number| json!(number));
        let list = match &value {
            Value::Array(_) => value.clone(),
            Value::String(text) => text.split(',').map(str::trim).collect(),
            other => json!([other]),
        };
        let one = |name: &String| -> Result<Value> {
            let is = json!({ name: value });
            let least = json!({ name: {"gte": bound} });
            let most = json!({ name: {"lte": bound} });
            let equal = json!({ name: bound });
            Ok(match self.comparison_operator.as_str() {
                "is" => is,
                "is not" => json!({"not": is}),
                "=" => equal,
                "≠" | "!=" => json!({"not": equal}),
                "≥" | ">=" => least,
                "≤" | "<=" => most,
                ">" | "after" => json!({"and": [least, {"not": equal}]}),
                "<" | "before" => json!({"and": [most, {"not": equal}]}),
                "in" => json!({ name: {"in": list} }),
                "not in" => json!({"not": { name: {"in": list} }}),
                other => {
                    let other: String = other.chars().take(40).collect();
                    return wrong(format!(
                        "facts cannot be compared by `{other}`; by is, is not, =, ≠, >, ≥, <, ≤, \
                         before, after, in, not in they can"
                    ));
                }
            })
        };
        if value.is_object() || names.is_empty() {
            return wrong("a condition has a name and a plain value".into());
        }
        let filters = names.iter().map(one).collect::<Result<Vec<_>>>()?;
        Ok(json!({ "or": filters }))
    }
}

impl Condition {
    /// In Cairn's words; `None` for no condition.
    fn filter(&self) -> Result<Option<Value>> {
        let joint = match self.logical_operator.as_deref() {
            None | Some("and") => "and",
            Some("or") => "or",
            Some(_) => {
                let message = "`logical_operator` is `and` or `or`";
                return Err(ApiError::invalid("metadata_condition", message));
            }
        };
        let conditions = self.conditions.iter().flatten();
        let filters = conditions
            .map(Comparison::filter)
            .collect::<Result<Vec<_>>>()?;
        Ok((!filters.is_empty()).then(|| json!({ joint: filters })))
    }
}

/// Finds passages for Dify. The results are those of `POST /search`.
///
/// # Errors
/// `invalid_request`, `not_found`, `overloaded`, `timeout`.
#[utoipa::path(post, path = "/retrieval", tag = "questions", request_body = RetrievalBody,
    responses(
        (status = 200, description = "What was found", body = Retrieved),
        (status = 400, description = "The request is wrong", body = ErrorBody),
        (status = 404, description = "No such collection", body = ErrorBody),
        (status = 429, description = "Too many requests", body = ErrorBody),
        (status = 503, description = "Not ready", body = ErrorBody),
    ))]
pub(crate) async fn retrieve(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody<RetrievalBody>,
) -> Result<Json<Retrieved>> {
    let least = body.retrieval_setting.score_threshold.unwrap_or(0.0);
    if !(0.0..=1.0).contains(&least) {
        let message = "`score_threshold` must be between 0 and 1";
        return Err(ApiError::invalid(
            "retrieval_setting.score_threshold",
            message,
        ));
    }
    let condition = body.metadata_condition.as_ref();
    let store = body.knowledge_id;
    let asked = QueryBody {
        query: body.query,
        collection: Some(store.clone()),
        top_k: body.retrieval_setting.top_k,
        filter: condition.map(Condition::filter).transpose()?.flatten(),
        ..QueryBody::default()
    };
    let blame = |error: ApiError| {
        let param = match error.param.as_deref() {
            Some("filter") => "metadata_condition",
            Some("collection") => "knowledge_id",
            Some("top_k") => "retrieval_setting.top_k",
            _ => return error,
        };
        ApiError {
            param: Some(param.to_owned()),
            ..error
        }
    };
    let request = asked
        .into_search(service.config(), &caller)
        .map_err(blame)?;
    let cancel = CancelOnDrop::default();
    let found = service.core()?.engine.search(request, cancel.token()).await;
    let mut sources = found.map_err(|error| blame(error.into()))?.sources;
    sources.retain(|source| score(source) >= least);
    let facts = attributes_of(&service, &caller, &store, &sources).await?;
    let records = sources
        .into_iter()
        .zip(facts)
        .map(|(source, mut metadata)| {
            metadata.insert("path".into(), json!(source.uri));
            metadata.insert("url".into(), json!(link(&source.document_id, &source.uri)));
            metadata.insert("document_id".into(), json!(source.document_id));
            if let Some(page) = source.page {
                metadata.insert("page".into(), json!(page));
            }
            Record {
                score: score(&source),
                content: source.text,
                title: source.title,
                metadata,
            }
        });
    Ok(Json(Retrieved {
        records: records.collect(),
    }))
}
