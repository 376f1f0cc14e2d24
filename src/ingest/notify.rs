//! Webhooks leave by the same rules as addresses are fetched.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_jobs::notify::{Request, Response, Sender, Webhooks};

use super::fetch::Fetcher;

#[async_trait]
impl Sender for Fetcher {
    async fn send(&self, request: Request<'_>) -> Result<Response, String> {
        let Request {
            url,
            headers,
            body,
            timeout,
        } = request;
        let reply = self.post(url, headers, body, timeout).await;
        let (status, retry_after) = reply.map_err(|error| error.message)?;
        Ok(Response {
            status,
            retry_after,
        })
    }
}

/// Tells the endpoints what they are to hear, until the future is dropped.
pub(crate) async fn run(webhooks: Webhooks, fetcher: Fetcher) {
    webhooks.run(Arc::new(fetcher)).await;
}
