//! What a job remembers until it runs.

use std::collections::BTreeSet;

use cairn_indexer::Access;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The payload of every ingestion job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payload {
    /// Where the documents go.
    pub collection: String,
    /// Labels that the caller holds: documents with others are not touched. `None` for a
    /// caller who may read everything.
    #[serde(default)]
    pub held: Option<BTreeSet<String>>,
    /// What the kind was asked to do, checked by it.
    pub input: Value,
}

impl Payload {
    /// Which documents the job may replace or delete.
    pub(crate) fn access(&self) -> Access {
        Access::from(self.held.as_ref())
    }
}
