//! Time limits around a provider's stream.

use std::time::Duration;

use cairn_models::Cancel;
use futures::StreamExt as _;
use tokio::time::Instant;

use super::{ChatStream, ProviderError, ProviderErrorKind, ProviderEvent};

/// How long a provider may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the first text.
    pub first_token: Duration,
    /// Between two texts.
    pub token: Duration,
    /// For the whole answer.
    pub total: Duration,
}

/// `inner` until its last event, the first error, a limit or `cancel`.
pub(super) fn limited(
    mut inner: ChatStream,
    name: String,
    limits: Limits,
    cancel: Cancel,
) -> ChatStream {
    async_stream::stream! {
        let end = Instant::now() + limits.total;
        let mut next = Instant::now() + limits.first_token;
        let mut begun = false;
        loop {
            let event = tokio::select! {
                biased;
                event = inner.next() => event,
                () = super::cancelled(&cancel) => Some(Err(ProviderError::cancelled())),
                () = tokio::time::sleep_until(next.min(end)) => {
                    let what = match (begun, next < end) {
                        (false, true) => "sent no word within",
                        (true, true) => "fell silent for",
                        (_, false) => "did not finish within",
                    };
                    let limit = if next < end {
                        if begun { limits.token } else { limits.first_token }
                    } else {
                        limits.total
                    };
                    Some(Err(ProviderError {
                        kind: ProviderErrorKind::Timeout,
                        message: format!("{name} {what} {} s; try again, or raise the limits in [answer]", limit.as_secs_f32()),
                        retry_after: None,
                    }))
                }
            };
            let event = event.unwrap_or_else(|| Err(ProviderError {
                kind: ProviderErrorKind::Garbled,
                message: format!("{name} ended its answer without saying so"),
                retry_after: None,
            }));
            let last = !matches!(event, Ok(ProviderEvent::Delta(_)));
            begun = true;
            next = Instant::now() + limits.token;
            yield event;
            if last {
                return;
            }
        }
    }
    .boxed()
}
