//! `read_document`: reads a part of a document, by chunk or by heading.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_engine::retrieve::Engine;
use cairn_gateway::accounts::Scope;
use cairn_indexer::StoredChunk;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Setup;
use super::visible::{Visible, source};
use crate::registry::unknown;
use crate::tool::{
    CostClass, Part, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, arguments, blocking,
    parameters,
};

/// Maximum chunks per call.
const MAX_CHUNKS: usize = 4;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The document's id (16 hexadecimal digits) or its URI, as results name it.
    #[schemars(length(min = 1))]
    document: String,
    /// The first chunk to read, from 0; results say which chunk they are from.
    from_chunk: Option<usize>,
    /// Read the section with this heading instead.
    heading: Option<String>,
}

struct ReadDocument {
    spec: ToolSpec,
    engine: Engine,
}

pub(super) fn open(setup: &Setup) -> Option<Arc<dyn Tool>> {
    Some(Arc::new(ReadDocument {
        spec: ToolSpec {
            name: "read_document".into(),
            description: format!(
                "Reads up to {MAX_CHUNKS} chunks of one document in full, in their order: what \
                 comes around a passage that was found, or a section."
            ),
            parameters: parameters::<Args>(),
            cost: CostClass::Local,
            scopes: &[Scope::Search],
        },
        engine: setup.engine.clone(),
    }))
}

#[async_trait]
impl Tool for ReadDocument {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn run(&self, given: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let args: Args = arguments(given)?;
        let (engine, own) = (self.engine.clone(), context.clone());
        blocking(&context.cancel, move |_| read(&engine, &own, &args)).await
    }
}

fn read(engine: &Engine, context: &ToolContext, args: &Args) -> Result<ToolOutput, ToolError> {
    let visible = Visible::open(engine, context)?;
    let document = visible.find(&args.document)?;
    let chunks = visible.chunks(document.id)?;
    let total = chunks.len();
    let from = match &args.heading {
        Some(heading) => section(&document.title, &chunks, heading)?,
        None => args.from_chunk.unwrap_or(0),
    };
    if from >= total {
        let message = format!(
            "{} has the chunks 0 to {}; there is no chunk {from}",
            document.uri,
            total.saturating_sub(1)
        );
        return Err(ToolError::not_found(message));
    }
    let end = (from + MAX_CHUNKS).min(total);
    let parts = chunks.into_iter().skip(from).take(end - from);
    Ok(ToolOutput {
        parts: parts
            .map(|chunk| Part::Evidence(Box::new(source(chunk))))
            .collect(),
        summary: format!(
            "chunks {from} to {} of {total} of {}",
            end - 1,
            document.uri
        ),
        more: (end < total).then(|| {
            format!(
                "{} more chunks follow; from_chunk {end} reads on.",
                total - end
            )
        }),
    })
}

/// The chunk in which the section with this heading begins; for the title, the first chunk.
fn section(title: &str, chunks: &[StoredChunk], heading: &str) -> Result<usize, ToolError> {
    let plain = |text: &str| text.trim().to_lowercase();
    let wanted = plain(heading);
    let is_wanted = |one: &String| plain(one) == wanted;
    let at = chunks
        .iter()
        .position(|chunk| chunk.chunk.heading_path.iter().any(is_wanted));
    if let Some(at) = at {
        return Ok(at);
    }
    if plain(title) == wanted {
        return Ok(0);
    }
    let mut known = vec![title];
    for chunk in chunks {
        known.extend(chunk.chunk.heading_path.iter().map(String::as_str));
    }
    known.dedup();
    Err(ToolError::not_found(unknown("heading", heading, &known)))
}
