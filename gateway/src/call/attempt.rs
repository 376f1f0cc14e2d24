//! One attempt with one target, until its first event.

use cairn_models::Cancel;
use futures::StreamExt as _;
use tokio::time::Instant;

use super::super::cancelled;
use super::super::chat::{
    ChatRequest, ProviderError, ProviderErrorKind, ProviderEvent, ProviderStream,
};
use super::super::routes::Target;

/// Asks `target` and waits for its first event until `until`.
pub(super) async fn attempt(
    target: &Target,
    request: &ChatRequest,
    until: Instant,
    cancel: &Cancel,
) -> Result<(ProviderEvent, ProviderStream), ProviderError> {
    let start = Instant::now();
    let request = ChatRequest {
        model: Some(target.model.clone()),
        ..request.clone()
    };
    let name = target.provider.name();
    let mut stream = target.provider.chat(request, cancel.clone());
    let event = tokio::select! {
        biased;
        event = stream.next() => event.unwrap_or_else(|| Err(ended(name))),
        () = cancelled(cancel) => Err(ProviderError::cancelled()),
        () = tokio::time::sleep_until(until) => {
            let waited = (until - start).as_secs_f32();
            let message = format!(
                "{name} sent no word within {waited:.1} s; try again, or raise first_token_ms in [deadlines]"
            );
            Err(ProviderError::new(ProviderErrorKind::Timeout, name, message))
        }
    };
    Ok((event?, stream))
}

/// A stream without a last event: a defect of the provider's code.
pub(super) fn ended(name: &str) -> ProviderError {
    let message = format!("{name} ended its answer without saying so");
    ProviderError::new(ProviderErrorKind::Garbled, name, message)
}
