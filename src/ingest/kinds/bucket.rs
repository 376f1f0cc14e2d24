//! `bucket`: the objects of a bucket that the configuration names.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Checks, Kind, Marks, Plan, input, read_marked};
use crate::ingest::bucket::Store;
use crate::ingest::mirror::{Mirror, MirrorSource, Unread};
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal, bounds};

/// The fact that says of which version of an object a document was made, and in which way.
const MADE_OF: &str = "etag";

/// Indexes a bucket.
#[derive(Debug)]
pub(super) struct Objects;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    remove_most: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    name: String,
    prefix: String,
    remove_most: bool,
    #[serde(flatten)]
    marks: Marks,
}

impl Kind for Objects {
    fn name(&self) -> &'static str {
        "bucket"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let (fields, marks): (Fields, Marks) = read_marked(fields, checks)?;
        if checks.asker.held.is_some() {
            let message = "only API keys that read every document may index buckets";
            return Err(Refusal::forbidden("name", message));
        }
        if !checks.settings.buckets.contains_key(&fields.name) {
            let message = "`name` is the name of a bucket in jobs.buckets";
            return Err(Refusal::invalid("name", message));
        }
        if !fields.prefix.is_empty() {
            bounds::check_uri("prefix", &fields.prefix)?;
        }
        let input = Input {
            name: fields.name,
            prefix: fields.prefix,
            remove_most: fields.remove_most,
            marks,
        };
        Ok(Plan {
            ordering_key: Some(format!("bucket:{}:{}", checks.collection, input.name)),
            unique_key: Some(format!("bucket:{}:{}", checks.collection, json!(input))),
            source: Some(format!("bucket:{}", input.name)),
            input: json!(input),
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let input: Input = input(payload)?;
        let settings = &task.tools().jobs;
        let bucket = settings.buckets.get(&input.name).ok_or_else(|| {
            Stop::permanent(format!("jobs.buckets names no bucket `{}`", input.name))
        })?;
        task.stage("scan");
        let timeout = Duration::from_secs(settings.fetch.timeout_seconds);
        let mut store = Store::open(bucket, timeout)?;
        let items = task.wait(store.list(&input.prefix))??;
        let root = format!("bucket:{}/", input.name);
        let source = MirrorSource {
            scope: format!("{root}{}{}", bucket.prefix, input.prefix),
            root,
            fact: MADE_OF,
            marks: &input.marks,
            remove_most: input.remove_most,
        };
        Mirror::new(source, payload, task)?.follow(&items, |item| {
            match task.wait(store.read(item)) {
                Ok(read) => read,
                Err(stop) => Err(Unread::Source(stop)),
            }
        })
    }
}
