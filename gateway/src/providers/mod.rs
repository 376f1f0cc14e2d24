//! The language models behind the gateway: the local generator, and endpoints
//! over HTTP, one file for each wire format and one line in [`KINDS`].

mod address;
mod anthropic;
mod body;
mod counts;
mod dialect;
mod failure;
mod gemini;
mod http;
mod local;
mod openai;
mod reported;
mod retry_after;
mod sse;
mod tally;
mod text_tools;
mod tool_calls;

use std::sync::Arc;

pub use local::LocalProvider;
pub(crate) use sse::read_events;

use self::dialect::Dialect;
use super::chat::Provider;
use super::{GatewayError, Secret};
use cairn_settings::config::{ProviderConfig, ToolsMode};

/// Makes a dialect from an address and a key.
type Open = fn(&ProviderConfig, Option<&Secret>) -> Result<Box<dyn Dialect>, GatewayError>;

/// Every `kind` of a `[[providers]]` entry.
const KINDS: &[(&str, Open)] = &[
    ("openai", openai::openai),
    ("azure", openai::azure),
    ("anthropic", anthropic::anthropic),
    ("gemini", gemini::gemini),
];

/// The provider of one `[[providers]]` entry. Does not connect.
///
/// `key` is used where it is given; a `key_env` without a key makes every call
/// fail as `Unauthorized`.
///
/// # Errors
/// When its kind is unknown, or its address or key cannot be used.
pub fn open_provider(
    config: &ProviderConfig,
    key: Option<Secret>,
) -> Result<Arc<dyn Provider>, GatewayError> {
    let Some((_, open)) = KINDS.iter().find(|(kind, _)| *kind == config.kind) else {
        let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        return Err(GatewayError::Kind {
            name: config.name.clone(),
            kind: config.kind.clone(),
            known: known.join(", "),
        });
    };
    let dialect = open(config, key.as_ref())?;
    let provider = Arc::new(http::HttpProvider::new(config, key, dialect)?);
    Ok(match config.tools {
        ToolsMode::Native => provider,
        ToolsMode::Text => Arc::new(text_tools::TextTools::new(provider)),
    })
}

/// The key that the environment holds for a `[[providers]]` entry.
pub(super) fn key_from_env(config: &ProviderConfig) -> Option<Secret> {
    let value = std::env::var(config.key_env.as_ref()?).ok()?;
    (!value.trim().is_empty()).then(|| Secret::new(value))
}
