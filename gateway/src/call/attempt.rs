//! One attempt with one target, until its first event.

use std::time::Duration;

use cairn_models::Cancel;
use futures::StreamExt as _;
use tokio::time::Instant;

use super::super::chat::{
    ChatRequest, ProviderError, ProviderErrorKind, ProviderEvent, ProviderStream,
};
use super::super::routes::Target;
use super::thinking::apart;

/// How long a target may think.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// When its first sign of life must have come.
    pub(super) until: Instant,
    /// The longest pause between two of them.
    pub(super) pause: Duration,
    /// When the whole call must be over.
    pub(super) end: Instant,
}

/// Asks `target` and waits for its first event. Reasoning is none, but while it goes on
/// the target is waited for.
pub(super) async fn attempt(
    target: &Target,
    request: &ChatRequest,
    patience: Patience,
    cancel: &Cancel,
) -> Result<(ProviderEvent, ProviderStream), ProviderError> {
    let start = Instant::now();
    let request = ChatRequest {
        model: Some(target.model.clone()),
        ..request.clone()
    };
    let name = target.provider.name();
    let mut stream = apart(target.provider.chat(request, cancel.clone()));
    let mut until = patience.until;
    loop {
        let event = tokio::select! {
            biased;
            event = stream.next() => event.unwrap_or_else(|| Err(ended(name))),
            () = cancel.cancelled() => Err(ProviderError::cancelled()),
            () = tokio::time::sleep_until(until) => {
                let waited = (until - start).as_secs_f32();
                let message = format!(
                    "{name} sent no word within {waited:.1} s; try again, or raise first_token_ms in [deadlines]"
                );
                Err(ProviderError::new(ProviderErrorKind::Timeout, name, message))
            }
        };
        match event? {
            ProviderEvent::Delta(text) if text.is_empty() => {
                until = until.max((Instant::now() + patience.pause).min(patience.end));
            }
            event => return Ok((event, stream)),
        }
    }
}

/// A stream without a last event: a defect of the provider's code.
pub(super) fn ended(name: &str) -> ProviderError {
    let message = format!("{name} ended its answer without saying so");
    ProviderError::new(ProviderErrorKind::Garbled, name, message)
}
