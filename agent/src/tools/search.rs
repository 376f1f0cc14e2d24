//! `search`: hybrid search over the documents.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_engine::retrieve::{Engine, Expand, SearchRequest};
use cairn_gateway::accounts::Scope;
use cairn_indexer::Filter;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Setup;
use super::visible::failed;
use crate::tool::{
    CostClass, Part, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, arguments, parameters,
};

/// Default number of passages.
const TOP_K: usize = 5;
const MAX_TOP_K: usize = 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// What to look for: one thing, in words; a question works best.
    #[schemars(length(min = 1))]
    query: String,
    /// Passages to return, 1 to 10; 5 if left out.
    top_k: Option<usize>,
    /// Condition on metadata, e.g. {"language": "en"} or {"year": {"gte": 2020}}; leave it out
    /// unless the question names one.
    filter: Option<serde_json::Map<String, Value>>,
}

struct Search {
    spec: ToolSpec,
    engine: Engine,
}

pub(super) fn open(setup: &Setup) -> Option<Arc<dyn Tool>> {
    Some(Arc::new(Search {
        spec: ToolSpec {
            name: "search".into(),
            description: "Finds passages of the documents by words and meaning. Search for one \
                fact at a time; several searches may go into one turn."
                .into(),
            parameters: parameters::<Args>(),
            cost: CostClass::Local,
            // A caller that may ask a question may search for its answer.
            scopes: &[Scope::Query, Scope::Search],
        },
        engine: setup.engine.clone(),
    }))
}

#[async_trait]
impl Tool for Search {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn run(&self, given: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let args: Args = arguments(given)?;
        let top_k = args.top_k.unwrap_or(TOP_K);
        if !(1..=MAX_TOP_K).contains(&top_k) {
            let message = format!("`top_k` must lie in 1..={MAX_TOP_K}, not {top_k}");
            return Err(ToolError::arguments(message));
        }
        let own = args.filter.filter(|filter| !filter.is_empty());
        let own = own.map(|filter| Filter::parse(&Value::Object(filter)));
        let own = own
            .transpose()
            .map_err(|error| ToolError::arguments(format!("`filter`: {}", error.message())))?;
        let request = SearchRequest {
            query: args.query,
            top_k,
            // The model can narrow the question's filter, but not widen it.
            filter: both(context.search.filter.clone(), own),
            access: context.access(),
            // For a chain of documents the model then needs fewer turns.
            expand: Expand::Hop,
            ..context.search.clone()
        };
        let found = self.engine.search(request, context.cancel.clone()).await;
        let found = found.map_err(|error| failed(&error))?;
        let count = found.sources.len();
        let titles: Vec<&str> = found.sources.iter().map(|one| one.title.as_str()).collect();
        let summary = match titles.first() {
            None => "nothing was found".to_owned(),
            Some(first) => format!("{count} passage(s), the best from \"{first}\""),
        };
        let parts: Vec<Part> = match count {
            0 => vec![Part::Text("Nothing was found; try other words.".into())],
            _ => found
                .sources
                .into_iter()
                .map(|source| Part::Evidence(Box::new(source)))
                .collect(),
        };
        Ok(ToolOutput {
            parts,
            summary,
            more: None,
        })
    }
}

fn both(one: Option<Filter>, other: Option<Filter>) -> Option<Filter> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Filter::And(vec![one, other])),
        (one, other) => one.or(other),
    }
}
