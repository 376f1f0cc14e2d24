//! `list_documents`: lists what is in the collection.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_engine::retrieve::Engine;
use cairn_gateway::accounts::Scope;
use cairn_indexer::StoredDocument;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Setup;
use super::visible::Visible;
use crate::tool::{
    CostClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, arguments, blocking, parameters,
};

const LIMIT: usize = 20;
const MAX_LIMIT: usize = 50;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Only documents whose title or URI contains this; all if left out.
    contains: Option<String>,
    /// Documents to skip.
    offset: Option<usize>,
    /// Documents to list, 1 to 50; 20 if left out.
    limit: Option<usize>,
}

struct ListDocuments {
    spec: ToolSpec,
    engine: Engine,
}

pub(super) fn open(setup: &Setup) -> Option<Arc<dyn Tool>> {
    Some(Arc::new(ListDocuments {
        spec: ToolSpec {
            name: "list_documents".into(),
            description: "Lists documents with their titles, URIs, ids and sizes. For questions \
                about what there is; to find what documents say, search."
                .into(),
            parameters: parameters::<Args>(),
            cost: CostClass::Local,
            scopes: &[Scope::Search],
        },
        engine: setup.engine.clone(),
    }))
}

#[async_trait]
impl Tool for ListDocuments {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn run(&self, given: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let args: Args = arguments(given)?;
        let limit = args.limit.unwrap_or(LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let message = format!("`limit` must lie in 1..={MAX_LIMIT}, not {limit}");
            return Err(ToolError::arguments(message));
        }
        let (engine, own) = (self.engine.clone(), context.clone());
        blocking(&context.cancel, move |_| list(&engine, &own, &args, limit)).await
    }
}

fn list(
    engine: &Engine,
    context: &ToolContext,
    args: &Args,
    limit: usize,
) -> Result<ToolOutput, ToolError> {
    let visible = Visible::open(engine, context)?;
    let offset = args.offset.unwrap_or(0);
    let part = args.contains.as_deref().unwrap_or_default().to_lowercase();
    let wanted = |document: &StoredDocument| {
        part.is_empty()
            || document.title.to_lowercase().contains(&part)
            || document.uri.to_lowercase().contains(&part)
    };
    let (documents, has_more) = visible.list(offset, limit, wanted)?;
    let collection = &context.search.collection;
    let lines = documents.iter().map(|document| {
        format!(
            "- {} ({}, document {}, {} chunks)\n",
            document.title.replace(['\n', '\r'], " "),
            document.uri,
            document.id,
            document.chunk_count
        )
    });
    let count = documents.len();
    let text = match count {
        0 => "No document.".to_owned(),
        _ => lines.collect(),
    };
    let summary = match has_more {
        true => format!("{count} documents, and there are more"),
        false => format!("{count} document(s)"),
    };
    let title = format!("Documents of {collection}");
    let uri = format!("documents:{collection}");
    let mut output = ToolOutput::evidence(summary, uri, title, text);
    if has_more {
        output.more = Some(format!(
            "There are more; offset {} lists on.",
            offset + count
        ));
    }
    Ok(output)
}
