//! Fetching an address that somebody else named: only from hosts that are allowed, only from
//! the public internet, within bounds of size and time.

mod address;
mod robots;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use cairn_settings::config::Fetching;

use address::NotPublic;
pub(super) use address::PublicResolver;
pub(crate) use address::is_public;

/// Most redirects that are followed, as browsers and robots commonly do.
const MAX_REDIRECTS: usize = 5;

/// Longest address that is fetched, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// What an address holds.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The address after all redirects.
    pub url: Url,
    /// The media type, as the server says it.
    pub content_type: Option<String>,
    /// The body.
    pub bytes: Vec<u8>,
}

/// Why an address was not fetched.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct FetchError {
    /// For people.
    pub message: String,
    /// Whether the same request may succeed later.
    pub transient: bool,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl FetchError {
    fn refused(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            transient: false,
            retry_after: None,
        }
    }

    fn transient(message: impl Into<String>) -> Self {
        Self {
            transient: true,
            ..Self::refused(message)
        }
    }
}

/// Fetches within the rules of the configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    client: Client,
    rules: Arc<Fetching>,
    robots: robots::Kept,
    max_bytes: usize,
}

impl Fetcher {
    /// A fetcher of bodies of at most `max_bytes`.
    ///
    /// # Errors
    /// When the machine has no usable TLS.
    pub(crate) fn new(rules: &Fetching, max_bytes: usize) -> Result<Self, reqwest::Error> {
        let mut builder = Client::builder()
            .user_agent(concat!("cairn/", env!("CARGO_PKG_VERSION")))
            // Each hop is checked here.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve names itself, past the check of addresses.
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(rules.timeout_seconds));
        if !rules.allow_private_addresses {
            builder = builder.dns_resolver(Arc::new(PublicResolver));
        }
        Ok(Self {
            client: builder.build()?,
            rules: Arc::new(rules.clone()),
            robots: robots::Kept::default(),
            max_bytes,
        })
    }

    /// Checks an address without fetching it.
    ///
    /// # Errors
    /// When it cannot be read, or may not be fetched whatever its host's name resolves to.
    pub(crate) fn check(&self, address: &str) -> Result<Url, FetchError> {
        if address.len() > MAX_URL_BYTES {
            let message = format!("the address is longer than {MAX_URL_BYTES} bytes");
            return Err(FetchError::refused(message));
        }
        let url = Url::parse(address)
            .map_err(|error| FetchError::refused(format!("`{address}` is not a URL: {error}")))?;
        self.permit(&url)?;
        Ok(url)
    }

    /// The body behind `address`, after its redirects.
    ///
    /// # Errors
    /// When it may not be fetched, is too large or too slow, or the server refuses it.
    pub(crate) async fn fetch(&self, address: &str) -> Result<Fetched, FetchError> {
        self.fetch_where(address, &|_| true).await
    }

    /// The same, where `may_get` allows the address and each that it redirects to.
    ///
    /// # Errors
    /// As [`Fetcher::fetch`].
    pub(crate) async fn fetch_where(
        &self,
        address: &str,
        may_get: &(dyn for<'u> Fn(&'u Url) -> bool + Send + Sync),
    ) -> Result<Fetched, FetchError> {
        let mut url = self.check(address)?;
        for _ in 0..=MAX_REDIRECTS {
            if !may_get(&url) {
                let message = format!("{url} is not among the addresses that may be asked");
                return Err(FetchError::refused(message));
            }
            if self.rules.respect_robots_txt && !self.is_welcome(&url).await? {
                let message = format!("the robots.txt of this site asks not to fetch {url}");
                return Err(FetchError::refused(message));
            }
            let response = self.get(&url).await?;
            if !response.status().is_redirection() {
                return self.read(url, response).await;
            }
            let target = response.headers().get(LOCATION);
            let target = target.and_then(|value| value.to_str().ok());
            let target = target.and_then(|value| url.join(value).ok());
            url = target.ok_or_else(|| {
                FetchError::refused(format!("{url} redirects, but does not say where to"))
            })?;
            self.permit(&url)?;
        }
        let message = format!("{address} redirects more than {MAX_REDIRECTS} times");
        Err(FetchError::refused(message))
    }

    /// Posts `body`, and follows no redirect: the status of the reply, and its `retry-after`.
    ///
    /// # Errors
    /// As [`Fetcher::fetch`].
    pub(crate) async fn post(
        &self,
        address: &str,
        headers: &[(&'static str, String)],
        body: &str,
        timeout: Duration,
    ) -> Result<(u16, Option<String>), FetchError> {
        let url = self.check(address)?;
        let mut request = self.client.post(url.clone()).timeout(timeout);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = send(&url, request.body(body.to_owned())).await?;
        let wait = response.headers().get(RETRY_AFTER);
        let wait = wait.and_then(|value| value.to_str().ok());
        Ok((response.status().as_u16(), wait.map(ToOwned::to_owned)))
    }

    /// Whether this scheme and host may be fetched from.
    fn permit(&self, url: &Url) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            let message = format!("{url} is not an address of http or https");
            return Err(FetchError::refused(message));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let message = "an address with a user name or password in it is not fetched";
            return Err(FetchError::refused(message));
        }
        let Some(host) = url.host() else {
            return Err(FetchError::refused(format!("{url} names no host")));
        };
        let name = host.to_string();
        if !self.rules.hosts.iter().any(|rule| matches(rule, &name)) {
            let message = format!(
                "{name} is not among the hosts that may be fetched from; add it to jobs.fetch.hosts"
            );
            return Err(FetchError::refused(message));
        }
        let literal = match host {
            url::Host::Domain(_) => None,
            url::Host::Ipv4(ip) => Some(ip.into()),
            url::Host::Ipv6(ip) => Some(ip.into()),
        };
        // A client connects to a literal address without asking the resolver.
        if !self.rules.allow_private_addresses && literal.is_some_and(|ip| !is_public(ip)) {
            return Err(FetchError::refused(NotPublic(name).to_string()));
        }
        Ok(())
    }

    async fn get(&self, url: &Url) -> Result<Response, FetchError> {
        send(url, self.client.get(url.clone())).await
    }

    /// Whether the site's `robots.txt` lets `url` be fetched. One that is missing allows
    /// everything, one that the server cannot give now nothing yet (RFC 9309, 2.3.1).
    async fn is_welcome(&self, url: &Url) -> Result<bool, FetchError> {
        let Some(rules) = robots::address(url) else {
            return Ok(true);
        };
        if let Some(text) = self.robots.get(&rules) {
            return Ok(robots::allow(&text, url));
        }
        let response = self.get(&rules).await?;
        let status = response.status();
        if status.is_server_error() {
            let message = format!("{rules} answers with {status}");
            return Err(FetchError::transient(message));
        }
        let text = match status.is_success() {
            true => body(&rules, response, robots::MAX_BYTES).await?.0,
            false => Vec::new(),
        };
        let is_welcome = robots::allow(&text, url);
        self.robots.keep(rules, text);
        Ok(is_welcome)
    }

    async fn read(&self, url: Url, response: Response) -> Result<Fetched, FetchError> {
        let status = response.status();
        if !status.is_success() {
            let transient = status.is_server_error()
                || matches!(
                    status,
                    StatusCode::REQUEST_TIMEOUT
                        | StatusCode::TOO_EARLY
                        | StatusCode::TOO_MANY_REQUESTS
                );
            let wait = response.headers().get(RETRY_AFTER);
            let wait = wait.and_then(|value| value.to_str().ok());
            return Err(FetchError {
                message: format!("{url} answers with {status}"),
                transient,
                retry_after: wait
                    .and_then(|seconds| seconds.parse().ok())
                    .map(Duration::from_secs),
            });
        }
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let content_type = content_type.map(ToOwned::to_owned);
        let (bytes, whole) = body(&url, response, self.max_bytes).await?;
        if !whole {
            let message = format!(
                "{url} has more than {} bytes, the limit of indexing.max_file_mb",
                self.max_bytes
            );
            return Err(FetchError::refused(message));
        }
        Ok(Fetched {
            url,
            content_type,
            bytes,
        })
    }
}

async fn send(url: &Url, request: reqwest::RequestBuilder) -> Result<Response, FetchError> {
    request.send().await.map_err(|error| {
        let outermost: &(dyn std::error::Error + 'static) = &error;
        let causes: Vec<_> =
            std::iter::successors(Some(outermost), |error| error.source()).collect();
        let refused = causes.iter().any(|cause| is_not_public(*cause));
        let last = causes.last().map(ToString::to_string).unwrap_or_default();
        let message = format!("{url} cannot be reached: {last}");
        match refused {
            true => FetchError::refused(message),
            false => FetchError::transient(message),
        }
    })
}

/// Whether this is the resolver's refusal, which `io::Error` hides from `source`.
fn is_not_public(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>();
    error.is::<NotPublic>()
        || inner
            .and_then(std::io::Error::get_ref)
            .is_some_and(|inner| inner.is::<NotPublic>())
}

/// At most `most` bytes of a body, and whether that was all.
async fn body(url: &Url, response: Response, most: usize) -> Result<(Vec<u8>, bool), FetchError> {
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| {
            FetchError::transient(format!("{url} broke off: {}", error.without_url()))
        })?;
        let room = most - bytes.len();
        if piece.len() > room {
            bytes.extend_from_slice(&piece[..room]);
            return Ok((bytes, false));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, true))
}

/// `*` is every host, `*.example.com` every host below, anything else one host.
fn matches(rule: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    match rule.strip_prefix("*.") {
        Some(domain) => host.len().checked_sub(domain.len() + 1).is_some_and(|at| {
            host.as_bytes()[at] == b'.' && host[at + 1..].eq_ignore_ascii_case(domain)
        }),
        None => rule == "*" || host.eq_ignore_ascii_case(rule),
    }
}
