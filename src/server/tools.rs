//! The agent of this installation, with the tools that the configuration allows.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_agent::{Agent, Page, Setup, ToolError, Web};
use url::Url;

use crate::ingest::fetch::Fetcher;
use cairn_engine::answer::Answerer;
use cairn_engine::retrieve::Engine;
use cairn_settings::config::{Config, Fetching};

/// Bytes of an answer to a tool.
const MAX_BYTES: usize = 4 << 20;

/// An agent over `engine` that writes through `answerer`.
pub(crate) fn agent(config: &Config, engine: &Engine, answerer: &Answerer) -> Agent {
    let setup = Setup {
        engine: engine.clone(),
        settings: config.agent.clone(),
        web: web(config),
    };
    Agent::new(answerer.clone(), engine.clone(), setup.registry(), config)
}

/// What gets the addresses of `agent.apis`; `None` if there are none.
fn web(config: &Config) -> Option<Arc<dyn Web>> {
    let settings = &config.agent;
    if settings.apis.is_empty() {
        return None;
    }
    let rules = Fetching {
        // The tool knows which addresses are allowed, to the path.
        hosts: vec!["*".to_owned()],
        allow_private_addresses: settings.allow_private_addresses,
        // These are addresses that the operator named.
        respect_robots_txt: false,
        // The tool itself gives up first, and says so.
        timeout_seconds: settings.tool_seconds + 1,
    };
    let fetcher = Fetcher::new(&rules, MAX_BYTES);
    let fetcher = fetcher.inspect_err(|error| {
        tracing::warn!(%error, "the agent cannot get addresses: this machine has no usable TLS");
    });
    Some(Arc::new(ToolFetcher(fetcher.ok()?)))
}

struct ToolFetcher(Fetcher);

#[async_trait]
impl Web for ToolFetcher {
    async fn get(
        &self,
        url: &Url,
        may_get: &(dyn for<'u> Fn(&'u Url) -> bool + Send + Sync),
    ) -> Result<Page, ToolError> {
        let fetched = self.0.fetch_where(url.as_str(), may_get).await;
        let fetched = fetched.map_err(|error| ToolError::failed(error.message))?;
        Ok(Page {
            url: fetched.url,
            content_type: fetched.content_type,
            bytes: fetched.bytes,
        })
    }
}
