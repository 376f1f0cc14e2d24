//! `text`: one document, whose text is in the request.

use cairn_indexer::{DocumentId, ParseInput};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Checks, Kind, Marks, Plan, input, order_of, read_marked};
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal, bounds, store};

/// Stores a text.
#[derive(Debug)]
pub(super) struct Text;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    text: String,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    title: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    uri: String,
    title: Option<String>,
    text: String,
    #[serde(flatten)]
    marks: Marks,
}

impl Kind for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let (fields, marks): (Fields, Marks) = read_marked(fields, checks)?;
        // The same text without a URI is the same document, however often it comes.
        let uri = fields
            .uri
            .unwrap_or_else(|| format!("text:{}", DocumentId::of_uri(&fields.text)));
        bounds::check_uri("uri", &uri)?;
        if let Some(title) = &fields.title {
            bounds::check_name("title", title)?;
        }
        let order = order_of(checks.collection, DocumentId::of_uri(&uri));
        let input = Input {
            uri,
            title: fields.title,
            text: fields.text,
            marks,
        };
        Ok(Plan {
            input: json!(input),
            ordering_key: Some(order),
            unique_key: None,
            source: None,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let Input {
            uri,
            title,
            text,
            marks,
        } = input(payload)?;
        task.stage("parse");
        let mut parse = ParseInput::new(&uri, text.as_bytes());
        parse.content_type = Some("text/markdown; charset=utf-8");
        let mut document = store::parse(&parse, task)?;
        if let Some(title) = title {
            document.title = title;
        }
        store::put(document, &marks, payload, task)
    }
}
