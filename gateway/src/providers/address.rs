//! Addresses and keys of providers, checked when the service starts.

use reqwest::Url;
use reqwest::header::HeaderValue;

use super::super::GatewayError;
use cairn_settings::config::ProviderConfig;

/// The address of a provider: http or https, with a host, without a query.
pub(super) fn base_url(config: &ProviderConfig) -> Result<Url, GatewayError> {
    let bad = |reason: String| GatewayError::BaseUrl {
        name: config.name.clone(),
        reason,
    };
    let url = Url::parse(&config.base_url).map_err(|error| bad(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = url.scheme();
        return Err(bad(format!("its scheme is `{scheme}`, not http or https")));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it has a query or a fragment".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it holds a user or password; use key_env".to_owned()));
    }
    Ok(url)
}

/// A key as a header that is not printed.
pub(super) fn sensitive(config: &ProviderConfig, key: &str) -> Result<HeaderValue, GatewayError> {
    let mut value = HeaderValue::try_from(key).map_err(|_| GatewayError::Key {
        name: config.name.clone(),
        variable: config.key_env.clone().unwrap_or_default(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
