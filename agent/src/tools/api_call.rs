//! `api_call`: GET requests to addresses that the configuration allows.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_gateway::accounts::Scope;
use cairn_settings::config::AgentApi;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{Setup, Web, named};
use crate::tool::{
    CostClass, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, arguments, parameters,
};

/// Longest address, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// Maximum bytes of a response that are kept.
const MAX_TEXT_BYTES: usize = 64 << 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The complete address, with its query.
    #[schemars(length(min = 1))]
    url: String,
}

struct ApiCall {
    spec: ToolSpec,
    apis: Vec<(Url, AgentApi)>,
    web: Arc<dyn Web>,
}

pub(super) fn open(setup: &Setup) -> Option<Arc<dyn Tool>> {
    let web = setup.web.clone()?;
    let apis: Vec<(Url, AgentApi)> = setup
        .settings
        .apis
        .iter()
        .filter_map(|api| match Url::parse(&api.address) {
            Ok(url) => Some((url, api.clone())),
            Err(error) => {
                tracing::warn!(%error, address = api.address, "an entry of agent.apis is not used");
                None
            }
        })
        .collect();
    if apis.is_empty() {
        return None;
    }
    Some(Arc::new(ApiCall {
        spec: ToolSpec {
            name: "api_call".into(),
            description: "Gets an address of a system that is configured (GET, nothing else), for \
                facts that change. A wrong address is answered with those that are allowed."
                .into(),
            parameters: parameters::<Args>(),
            cost: CostClass::Network,
            scopes: &[Scope::Tools],
        },
        apis,
        web,
    }))
}

/// Whether `url` is `allowed` or below it: the same scheme, host and port, and the same path or one
/// below. A parsed URL does not contain `..` any more.
fn is_below(url: &Url, allowed: &Url) -> bool {
    let same_place = url.scheme() == allowed.scheme()
        && url.host() == allowed.host()
        && url.port_or_known_default() == allowed.port_or_known_default()
        && url.username().is_empty()
        && url.password().is_none();
    let top = allowed.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(top);
    same_place && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[async_trait]
impl Tool for ApiCall {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn run(&self, given: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let args: Args = arguments(given)?;
        if args.url.len() > MAX_URL_BYTES {
            let message = format!("`url` may have {MAX_URL_BYTES} bytes");
            return Err(ToolError::arguments(message));
        }
        let url = Url::parse(args.url.trim());
        let url = url.map_err(|error| ToolError::arguments(format!("`url`: {error}")))?;
        let usable = self
            .apis
            .iter()
            .filter(|(_, api)| context.may_use(&api.labels));
        let usable: Vec<&(Url, AgentApi)> = usable.collect();
        let allowed: Vec<Url> = usable.iter().map(|(url, _)| url.clone()).collect();
        let may_get = move |url: &Url| allowed.iter().any(|one| is_below(url, one));
        if !may_get(&url) {
            let about = usable
                .iter()
                .map(|(_, api)| (api.address.as_str(), api.description.as_str()));
            let message = format!("this address may not be asked; these may: {}", named(about));
            return Err(ToolError::forbidden(message));
        }
        let page = self.web.get(&url, &may_get).await?;
        let is_text = page.content_type.as_deref().is_none_or(|kind| {
            let kind = kind.to_ascii_lowercase();
            ["text/", "json", "xml", "yaml", "csv", "javascript"]
                .iter()
                .any(|part| kind.contains(part))
        });
        if !is_text {
            let kind = page.content_type.unwrap_or_default();
            return Err(ToolError::failed(format!("the answer is {kind}, not text")));
        }
        let text = String::from_utf8_lossy(&page.bytes);
        let end = text.floor_char_boundary(MAX_TEXT_BYTES.min(text.len()));
        let bytes = page.bytes.len();
        let (uri, text) = (page.url.to_string(), text[..end].to_owned());
        let summary = format!(
            "{bytes} bytes from {}",
            page.url.host_str().unwrap_or_default()
        );
        Ok(ToolOutput::evidence(summary, uri.clone(), uri, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_is_allowed() {
        let allowed = Url::parse("https://status.example.com/api/").unwrap();
        for (address, expected) in [
            ("https://status.example.com/api/", true),
            ("https://status.example.com/api", true),
            ("https://status.example.com/api/v1?x=1", true),
            ("https://status.example.com:443/api/v1", true),
            ("https://status.example.com/apis", false),
            ("https://status.example.com/", false),
            ("https://status.example.com/api/../admin", false),
            ("https://status.example.com/api/%2e%2e/admin", false),
            ("http://status.example.com/api/", false),
            ("https://status.example.com:8443/api/", false),
            ("https://user@status.example.com/api/", false),
            ("https://status.example.com.evil.example/api/", false),
            (
                "https://evil.example/https://status.example.com/api/",
                false,
            ),
        ] {
            let url = Url::parse(address).unwrap();
            assert_eq!(is_below(&url, &allowed), expected, "{address}");
        }
    }
}
