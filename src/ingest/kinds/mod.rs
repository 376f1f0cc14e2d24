//! The kinds of jobs: one file each, and one line in [`KINDS`].

mod ask;
pub(super) mod batch;
mod bucket;
mod compact;
mod delete;
mod evaluate;
pub(crate) mod files;
mod folder;
mod git;
mod re_embed;
mod sitemap;
mod text;
mod upload;
mod url;

use std::collections::BTreeSet;

use cairn_indexer::{DocumentId, Metadata};
use cairn_settings::config::Jobs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fetch::Fetcher;
use super::submit::Asker;
use super::task::{Stop, Task, Tools};
use super::{Payload, Refusal, bounds};

pub(crate) use upload::Spooled;

/// A kind of work.
pub(crate) trait Kind: Send + Sync {
    /// As it stands in requests.
    fn name(&self) -> &'static str;

    /// Checks what a client asks for.
    ///
    /// # Errors
    /// Names the field that is wrong.
    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal>;

    /// Whether a worker with these tools takes such jobs.
    fn can_run(&self, _tools: &Tools) -> bool {
        true
    }

    /// Whether the work is mostly waiting for others: it takes no place of `jobs.workers`.
    fn mostly_waits(&self) -> bool {
        false
    }

    /// Does the work, on a thread that may block. Doing it twice gives the same index.
    ///
    /// # Errors
    /// Why it stopped.
    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop>;

    /// Lets go of what was kept for a job that will not run again.
    fn forget(&self, _payload: &Payload, _tools: &Tools) {}
}

/// Every kind.
pub(crate) const KINDS: &[&dyn Kind] = &[
    &text::Text,
    &upload::Files,
    &url::Address,
    &files::Files,
    &sitemap::Pages,
    &folder::Folder,
    &git::Git,
    &bucket::Objects,
    &delete::Delete,
    &compact::Compact,
    &re_embed::ReEmbed,
    &evaluate::Evaluate,
    &ask::Ask,
    &batch::Batch,
];

/// The kind with this name.
pub(crate) fn find(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// What a request is checked against.
pub(crate) struct Checks<'a> {
    /// The caller.
    pub asker: &'a Asker,
    /// What jobs may reach.
    pub settings: &'a Jobs,
    /// Says which addresses may be fetched.
    pub fetcher: &'a Fetcher,
    /// Where the documents go.
    pub collection: &'a str,
    /// Files that came with the request.
    pub spooled: Option<&'a Spooled>,
}

impl Checks<'_> {
    /// The address in the field `url`, if it may be fetched and name a document.
    fn address(&self, url: &str) -> Result<reqwest::Url, Refusal> {
        let url = self
            .fetcher
            .check(url)
            .map_err(|error| Refusal::invalid("url", error.message))?;
        bounds::check_name("url", url.as_str())?;
        Ok(url)
    }
}

/// A request that was checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// What the job remembers.
    pub input: Value,
    /// Jobs with the same key run one after the other.
    pub ordering_key: Option<String>,
    /// A job that still waits with the same key is the same job.
    pub unique_key: Option<String>,
    /// What the job fetches from.
    pub source: Option<String>,
}

/// What may be said of the documents of any job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Marks {
    /// Facts for filters.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Who may read them; empty for everyone.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
}

/// Reads the fields of a request strictly.
fn read<T: DeserializeOwned>(fields: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(fields).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "kind" } else { &path };
        Refusal::invalid(field, error.into_inner().to_string())
    })
}

/// As [`read`], of a request that may mark its documents.
///
/// # Errors
/// Names the field that is wrong, also a fact or label, or one that the caller does not hold.
fn read_marked<T: DeserializeOwned>(
    mut fields: Value,
    checks: &Checks<'_>,
) -> Result<(T, Marks), Refusal> {
    let mut marks = Map::new();
    if let Value::Object(fields) = &mut fields {
        let taken = ["metadata", "labels"].map(|name| fields.remove_entry(name));
        marks.extend(taken.into_iter().flatten());
    }
    let fields = read(fields)?;
    let marks: Marks = read(Value::Object(marks))?;
    bounds::check_metadata(&marks.metadata)?;
    bounds::check_labels(&marks.labels)?;
    bounds::check_held(&marks.labels, checks.asker.held.as_ref())?;
    Ok((fields, marks))
}

/// What a job wrote down as its input.
fn input<T: DeserializeOwned>(payload: &Payload) -> Result<T, Stop> {
    serde_json::from_value(payload.input.clone()).map_err(|error| {
        Stop::permanent(format!("the job was written by another version: {error}"))
    })
}

/// What orders the jobs about one document.
fn order_of(collection: &str, id: DocumentId) -> String {
    format!("document:{collection}:{id}")
}
