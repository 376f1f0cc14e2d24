//! OpenAI's chat completions, which most servers speak: OpenAI, vLLM, Ollama,
//! llama.cpp, OpenRouter, and Azure under other addresses.
//!
//! Written after OpenAI's API reference, "Create chat completion" and "The chat
//! completion chunk object", and Azure's "Chat completions" reference.

mod content;
mod read;
mod write;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName};

use super::super::chat::ChatRequest;
use super::super::{GatewayError, Secret};
use super::address::{base_url, sensitive};
use super::dialect::{Dialect, HttpCall, Reader};
use cairn_settings::config::ProviderConfig;

/// Version of Azure's API that is asked for when the configuration names none:
/// the last one of that numbering.
const AZURE_API_VERSION: &str = "2024-10-21";

/// The dialect with OpenAI's address and key.
pub(super) fn openai(
    config: &ProviderConfig,
    key: Option<&Secret>,
) -> Result<Box<dyn Dialect>, GatewayError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let bearer = sensitive(config, &format!("Bearer {}", key.expose()))?;
        headers.insert(AUTHORIZATION, bearer);
    }
    let mut url = base_url(config)?;
    extend(&mut url, &["chat", "completions"]);
    Ok(Box::new(OpenAi {
        headers,
        place: Place::Fixed(url),
    }))
}

/// The dialect with Azure's: the model is a deployment and part of the address.
pub(super) fn azure(
    config: &ProviderConfig,
    key: Option<&Secret>,
) -> Result<Box<dyn Dialect>, GatewayError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let name = HeaderName::from_static("api-key");
        headers.insert(name, sensitive(config, key.expose())?);
    }
    let version = config.api_version.as_deref();
    Ok(Box::new(OpenAi {
        headers,
        place: Place::Deployments {
            base: base_url(config)?,
            version: version.unwrap_or(AZURE_API_VERSION).to_owned(),
        },
    }))
}

struct OpenAi {
    headers: HeaderMap,
    place: Place,
}

/// Where requests go.
enum Place {
    Fixed(Url),
    Deployments { base: Url, version: String },
}

impl Place {
    fn url(&self, model: &str) -> Url {
        match self {
            Self::Fixed(url) => url.clone(),
            Self::Deployments { base, version } => {
                let mut url = base.clone();
                extend(
                    &mut url,
                    &["openai", "deployments", model, "chat", "completions"],
                );
                url.query_pairs_mut().append_pair("api-version", version);
                url
            }
        }
    }
}

/// Appends segments, each escaped, to the path of a checked base address.
fn extend(url: &mut Url, segments: &[&str]) {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
}

impl Dialect for OpenAi {
    fn call(&self, request: &ChatRequest, model: &str, stream: bool) -> HttpCall {
        HttpCall {
            url: self.place.url(model),
            headers: self.headers.clone(),
            body: write::body(request, model, stream),
        }
    }

    fn refuses<'a>(&self, _: &'a ChatRequest) -> Option<&'a str> {
        // Whatever a server does not know it refuses itself.
        None
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(read::OpenAiReader::default())
    }
}
