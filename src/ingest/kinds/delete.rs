//! `delete`: removes one document.

use cairn_indexer::DocumentId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Checks, Kind, Plan, input, order_of, read};
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal, store};

/// Removes a document.
#[derive(Debug)]
pub(super) struct Delete;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    document_id: Option<String>,
}

impl Kind for Delete {
    fn name(&self) -> &'static str {
        "delete"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let fields: Fields = read(fields)?;
        let id = match (fields.uri, fields.document_id) {
            (Some(uri), None) => DocumentId::of_uri(&uri),
            (None, Some(id)) => DocumentId::parse(&id).ok_or_else(|| {
                Refusal::invalid("document_id", "a document's id has 16 hexadecimal digits")
            })?,
            _ => {
                let message = "say either `uri` or `document_id`";
                return Err(Refusal::invalid("uri", message));
            }
        };
        Ok(Plan {
            input: json!({ "document_id": id.to_string() }),
            ordering_key: Some(order_of(checks.collection, id)),
            unique_key: None,
            source: None,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let fields: Fields = input(payload)?;
        let id = DocumentId::parse(&fields.document_id.unwrap_or_default());
        let id = id.ok_or_else(|| Stop::permanent("the job names no document"))?;
        store::delete(id, payload, task)
    }
}
