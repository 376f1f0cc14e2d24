//! The built-in tools: one file for each, and one line in [`TOOLS`].

mod api_call;
mod calculate;
mod db_query;
mod list_documents;
mod read_document;
mod read_file;
mod search;
mod visible;

use std::sync::Arc;

use async_trait::async_trait;
use cairn_engine::retrieve::Engine;
use cairn_settings::config::{Agent as Settings, AgentPath};
use url::Url;

use crate::registry::{Registry, unknown};
use crate::tool::{Tool, ToolContext, ToolError};

/// Creates a tool if there is something for it to do.
type Open = fn(&Setup) -> Option<Arc<dyn Tool>>;

/// Every tool that is part of Cairn.
const TOOLS: &[Open] = &[
    search::open,
    read_document::open,
    list_documents::open,
    calculate::open,
    db_query::open,
    api_call::open,
    read_file::open,
];

/// What tools work with.
#[derive(Clone)]
pub struct Setup {
    /// The documents.
    pub engine: Engine,
    /// Databases, folders and addresses, and who may use them.
    pub settings: Settings,
    /// What fetches pages; `None` disables `api_call`.
    pub web: Option<Arc<dyn Web>>,
}

impl Setup {
    /// The tools of this installation.
    pub fn registry(&self) -> Registry {
        Registry::new(TOOLS.iter().filter_map(|open| open(self)))
    }
}

/// Fetches pages from other machines, following redirects one by one.
#[async_trait]
pub trait Web: Send + Sync {
    /// The page at `url`, if `may_get` allows it and every address that it redirects to.
    ///
    /// # Errors
    /// If an address is not allowed, cannot be reached, or returns too much.
    async fn get(
        &self,
        url: &Url,
        may_get: &(dyn for<'u> Fn(&'u Url) -> bool + Send + Sync),
    ) -> Result<Page, ToolError>;
}

/// A fetched page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its final address.
    pub url: Url,
    /// Its `content-type`.
    pub content_type: Option<String>,
    /// Its body.
    pub bytes: Vec<u8>,
}

/// The one of `all` with this name, among those that the caller may use: to the caller, others do
/// not exist.
///
/// # Errors
/// [`ToolErrorKind::NotFound`](crate::ToolErrorKind::NotFound) lists the existing names.
fn pick<'a>(
    what: &str,
    all: &'a [AgentPath],
    name: &str,
    context: &ToolContext,
) -> Result<&'a AgentPath, ToolError> {
    let usable = all.iter().filter(|one| context.may_use(&one.labels));
    let usable: Vec<&AgentPath> = usable.collect();
    if let Some(found) = usable.iter().find(|one| one.name == name) {
        return Ok(found);
    }
    let known: Vec<&str> = usable.iter().map(|one| one.name.as_str()).collect();
    let about = usable
        .iter()
        .map(|one| (one.name.as_str(), one.description.as_str()));
    let message = format!("{} ({})", unknown(what, name, &known), named(about));
    Err(ToolError::not_found(message))
}

/// A list of named things for a description: `name (what it is)`.
fn named<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let lines = all.map(|(name, description)| match description {
        "" => name.to_owned(),
        description => format!("{name} ({description})"),
    });
    lines.collect::<Vec<_>>().join("; ")
}
