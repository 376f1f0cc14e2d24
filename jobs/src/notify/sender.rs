//! The seam to the network: the sender knows which addresses are allowed.

use std::time::Duration;

use async_trait::async_trait;

/// One request to an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where to.
    pub url: &'a str,
    /// Headers, in small letters; the content type is among them.
    pub headers: &'a [(&'static str, String)],
    /// The body, which is signed byte for byte.
    pub body: &'a str,
    /// How long it may take in all.
    pub timeout: Duration,
}

/// What an endpoint replied. Its body is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header `retry-after`.
    pub retry_after: Option<String>,
}

/// Sends requests. It must not follow redirects, and must refuse addresses that are not
/// allowed, also after they were resolved.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Posts `request`; an error says in a sentence why there was no reply.
    async fn send(&self, request: Request<'_>) -> Result<Response, String>;
}
