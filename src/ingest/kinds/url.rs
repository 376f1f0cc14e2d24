//! `url`: one document, fetched from an address.

use cairn_indexer::{DocumentId, ParseInput};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Checks, Kind, Marks, Plan, input, order_of, read_marked};
use crate::ingest::fetch::FetchError;
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal, store};

/// Fetches an address and stores what it holds.
#[derive(Debug)]
pub(super) struct Address;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    url: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    url: String,
    #[serde(flatten)]
    marks: Marks,
}

impl Kind for Address {
    fn name(&self) -> &'static str {
        "url"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let (fields, marks): (Fields, Marks) = read_marked(fields, checks)?;
        let url = checks.address(&fields.url)?;
        let order = order_of(checks.collection, DocumentId::of_uri(url.as_str()));
        let host = url.host_str().map(ToOwned::to_owned);
        let input = Input {
            url: url.into(),
            marks,
        };
        Ok(Plan {
            unique_key: Some(format!("url:{}:{}", checks.collection, json!(input))),
            input: json!(input),
            ordering_key: Some(order),
            source: host,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let Input { url, marks } = input(payload)?;
        task.stage("fetch");
        let page = task
            .wait(task.tools().fetcher.fetch(&url))?
            .map_err(Stop::from)?;
        task.stage("parse");
        // The address that was asked for is the document's name, also when it redirects.
        let mut parse = ParseInput::new(&url, &page.bytes);
        parse.content_type = page.content_type.as_deref();
        let document = store::parse(&parse, task)?;
        let mut result = store::put(document, &marks, payload, task)?;
        result["fetched"] = json!(page.url.as_str());
        Ok(result)
    }
}

impl From<FetchError> for Stop {
    fn from(error: FetchError) -> Self {
        let mut failure = match error.transient {
            true => cairn_jobs::Failure::transient(error.message),
            false => cairn_jobs::Failure::permanent(error.message),
        };
        failure.retry_after = error.retry_after;
        Self::Failed(failure)
    }
}
