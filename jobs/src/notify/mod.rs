//! Webhooks after Standard Webhooks: whoever asked is told when a job ends.
//!
//! A message is a row, written by the transaction that ends the job. It is sent until the
//! endpoint replies with 2xx, ten times in three days; then it is a dead letter. A redirect
//! is a failure, 410 switches the endpoint off, 429 and 503 with `retry-after` keep it in
//! peace for that long.

mod deliveries;
mod endpoints;
mod sender;
mod sign;

use std::sync::Arc;
use std::time::Duration;

pub use deliveries::{Delivery, DeliveryState};
pub use endpoints::{Endpoint, EndpointId, NewEndpoint};
pub use sender::{Request, Response, Sender};
pub use sign::Secret;

use crate::error::Result;
use crate::sqlite::{Tabled, Tables};
use deliveries::Outgoing;

/// How long an endpoint may take to reply.
const TIMEOUT: Duration = Duration::from_secs(20);
/// After how long an attempt that was not settled is made again: its process is gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages on their way at the same time, each to another endpoint.
const MAX_SENDING: usize = 16;
/// How long to sleep at most between looks.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// The endpoints of a queue, and what they are told.
#[derive(Clone)]
pub struct Webhooks {
    queue: Tables,
}

impl Webhooks {
    /// Those of `queue`.
    pub fn new(queue: &impl Tabled) -> Self {
        Self {
            queue: queue.tables().clone(),
        }
    }

    /// Makes an endpoint; its secret is shown this once.
    ///
    /// # Errors
    /// When it is out of bounds, or the disk fails.
    pub async fn add(&self, endpoint: NewEndpoint) -> Result<(Endpoint, Secret)> {
        endpoints::check(&endpoint)?;
        let secret = Secret::generate();
        let shown = secret.clone();
        let made = self
            .queue
            .call(move |tx| endpoints::add(tx, &endpoint, &secret))
            .await?;
        Ok((made, shown))
    }

    /// The endpoint `id`; `None` if there is none.
    ///
    /// # Errors
    /// Those of the disk, here and below.
    pub async fn get(&self, id: EndpointId) -> Result<Option<Endpoint>> {
        self.queue
            .read(move |sql| Ok(endpoints::get(sql, id)?))
            .await
    }

    /// The endpoints of `tenant`, or of all, by age; at most 1,000.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn list(&self, tenant: Option<&str>) -> Result<Vec<Endpoint>> {
        let tenant = tenant.map(str::to_owned);
        self.queue
            .read(move |sql| Ok(endpoints::list(sql, tenant.as_deref())?))
            .await
    }

    /// Deletes an endpoint and what it was to be told; whether there was one.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn delete(&self, id: EndpointId) -> Result<bool> {
        self.queue
            .call(move |tx| Ok(endpoints::delete(tx, id)?))
            .await
    }

    /// Switches an endpoint on or off. Nothing is written for one that is off.
    ///
    /// # Errors
    /// [`crate::Error::NoEndpoint`], and those of the disk.
    pub async fn set_active(&self, id: EndpointId, is_active: bool) -> Result<Endpoint> {
        self.queue
            .call(move |tx| endpoints::set_active(tx, id, is_active))
            .await
    }

    /// Gives an endpoint a new secret, which is shown this once; the ones before sign alongside
    /// it for `overlap`.
    ///
    /// # Errors
    /// [`crate::Error::NoEndpoint`], and those of the disk.
    pub async fn rotate(&self, id: EndpointId, overlap: Duration) -> Result<Secret> {
        let secret = Secret::generate();
        let shown = secret.clone();
        self.queue
            .call(move |tx| endpoints::rotate(tx, id, &secret, overlap))
            .await?;
        Ok(shown)
    }

    /// The latest deliveries of an endpoint, the newest first; at most 1,000.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn deliveries(
        &self,
        endpoint: EndpointId,
        state: Option<DeliveryState>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        let list =
            move |sql: &rusqlite::Connection| Ok(deliveries::list(sql, endpoint, state, limit)?);
        self.queue.read(list).await
    }

    /// Sends a delivery that has ended again, under its id. One that waits is left alone.
    ///
    /// # Errors
    /// [`crate::Error::NoDelivery`], and those of the disk.
    pub async fn redeliver(&self, id: &str) -> Result<Delivery> {
        let id = id.to_owned();
        self.queue
            .call(move |tx| deliveries::redeliver(tx, &id))
            .await
    }

    /// Sends through `sender` what is due, until the future is dropped. What was under way
    /// then is sent again after a minute.
    pub async fn run(&self, sender: Arc<dyn Sender>) {
        let mut messages = self.queue.messages();
        loop {
            messages.mark_unchanged();
            let pause = match self.send_due(&sender).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "webhooks cannot be sent");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = messages.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Sends what is due now; returns how long there is nothing more to do. Each endpoint gets
    /// one message at a time, and a slow one does not delay the others.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn send_due(&self, sender: &Arc<dyn Sender>) -> Result<Duration> {
        // A look does not disturb whoever writes.
        let pause = self.due_in().await?;
        if pause > Duration::ZERO {
            return Ok(pause);
        }
        let mut sending = tokio::task::JoinSet::new();
        loop {
            let room = MAX_SENDING - sending.len();
            let due = self
                .queue
                .call(move |tx| deliveries::claim(tx, room, PATIENCE))
                .await?;
            let is_idle = due.is_empty();
            for outgoing in due {
                let (webhooks, sender) = (self.clone(), sender.clone());
                sending.spawn(async move { webhooks.send(outgoing, sender.as_ref()).await });
            }
            match sending.len() {
                0 => break,
                MAX_SENDING => {}
                _ if is_idle => {}
                _ => continue,
            }
            if let Some(Ok(result)) = sending.join_next().await {
                result?;
            }
        }
        self.due_in().await
    }

    /// How long nothing is due, up to a minute.
    async fn due_in(&self) -> Result<Duration> {
        let due = self
            .queue
            .read(|sql| Ok(deliveries::next_due(sql)?))
            .await?;
        let left = due.map(|due| due.saturating_sub(self.queue.now()).max(0).unsigned_abs());
        Ok(left.map_or(MAX_SLEEP, |left| Duration::from_millis(left).min(MAX_SLEEP)))
    }

    async fn send(&self, outgoing: Outgoing, sender: &dyn Sender) -> Result<()> {
        let request = Request {
            url: &outgoing.url,
            headers: &outgoing.headers,
            body: &outgoing.body,
            timeout: TIMEOUT,
        };
        let response = tokio::time::timeout(TIMEOUT, sender.send(request)).await;
        let response = response.unwrap_or_else(|_| {
            Err(format!(
                "it did not reply within {} seconds",
                TIMEOUT.as_secs()
            ))
        });
        self.queue
            .call(move |tx| deliveries::settle(tx, &outgoing, &response))
            .await
    }
}
