//! Every way in which an endpoint fails, as an error that names the provider,
//! the kind, and what to do. The provider's own words may hold account names or
//! parts of the key: they go to the log, never to the caller.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::super::chat::{ProviderError, ProviderErrorKind as Kind};
use super::dialect::Fault;

/// Longest that a provider's Retry-After is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A status other than success.
pub(super) fn status(
    name: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> ProviderError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    // Gemini's OpenAI-compatible endpoint wraps the object in a list.
    let body = body.get(0).unwrap_or(&body);
    let error = body.get("error").unwrap_or(body);
    let code = code(error);
    let number = status.as_u16();
    let kind = match number {
        300..=399 => Kind::Redirected,
        401 | 403 => Kind::Unauthorized,
        404 | 405 | 410 => Kind::NoModel,
        408 | 504 => Kind::Timeout,
        413 => Kind::TooLong,
        429 => Kind::RateLimited,
        400..=499 if says_too_long(error) => Kind::TooLong,
        400..=499 => Kind::Rejected,
        // 529 is Anthropic's "overloaded".
        529 => Kind::RateLimited,
        _ => Kind::Failed,
    };
    let said = format!("(HTTP {number}{code})");
    let message = match kind {
        Kind::Redirected => {
            format!(
                "{name} answers with a redirect {said}, which is not followed; correct its base_url"
            )
        }
        Kind::Unauthorized => {
            // The code of a refused key can name the account.
            format!("{name} refused the key (HTTP {number}); check the variable that key_env names")
        }
        Kind::NoModel => {
            format!("{name} has no such model or address {said}; check its base_url and model")
        }
        Kind::Timeout => format!("{name} took too long {said}; try again"),
        Kind::RateLimited => {
            format!("{name} takes no more requests for now {said}; try again later")
        }
        Kind::TooLong => format!(
            "{name} says that the request is too long {said}; send less, or set its context_tokens"
        ),
        Kind::Rejected => format!("{name} did not take the request {said}; the log has its reason"),
        _ => format!("{name} failed {said}; try again"),
    };
    if kind != Kind::Unauthorized {
        tracing::warn!(provider = name, status = number, detail = %detail(error), "the provider refused");
    }
    ProviderError {
        retry_after: retry_after(headers),
        ..ProviderError::new(kind, name, message)
    }
}

/// An event that is no part of an answer.
pub(super) fn fault(name: &str, fault: Fault) -> ProviderError {
    match fault {
        Fault::Garbled(what) => garbled(name, &what),
        Fault::Reported { kind, error } => {
            tracing::warn!(provider = name, detail = %detail(&error), "the provider failed while answering");
            let code = code(&error);
            let message = format!("{name} failed while it answered{code}; try again");
            ProviderError::new(kind, name, message)
        }
    }
}

/// The request could not be sent, or the answer not be read.
pub(super) fn transport(name: &str, error: &reqwest::Error) -> ProviderError {
    let causes = causes(error);
    let (kind, what) = if causes.contains("certificate") {
        (
            Kind::Untrusted,
            "has a certificate that this machine does not trust; check its base_url and the machine's certificates",
        )
    } else if error.is_timeout() {
        (
            Kind::Unreachable,
            "took no connection in time; check its base_url and the network",
        )
    } else if error.is_connect() {
        (
            Kind::Unreachable,
            "cannot be reached; check its base_url and the network",
        )
    } else {
        (Kind::Cut, "broke the connection; try again")
    };
    tracing::debug!(provider = name, causes, "the connection failed");
    ProviderError::new(kind, name, format!("{name} {what}"))
}

/// The answer ended before its end.
pub(super) fn cut(name: &str) -> ProviderError {
    let message = format!("{name} broke off in the middle of its answer; try again");
    ProviderError::new(Kind::Cut, name, message)
}

/// Something came that is no answer.
pub(super) fn garbled(name: &str, what: &str) -> ProviderError {
    let message = format!("{name} sent {what}; are its base_url and kind right?");
    ProviderError::new(Kind::Garbled, name, message)
}

/// More came than any answer holds.
pub(super) fn too_large(name: &str) -> ProviderError {
    let message = format!("{name} sent more than an answer holds, and was stopped");
    ProviderError::new(Kind::TooLarge, name, message)
}

/// Seconds of `Retry-After`, or OpenAI's `retry-after-ms`. The header's date
/// form is not used by any provider that we know, and is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| -> Option<f64> {
        let value = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
        (value >= 0.0 && f64::is_finite(value)).then_some(value)
    };
    let seconds = number("retry-after-ms")
        .map(|milliseconds| milliseconds / 1e3)
        .or_else(|| number(RETRY_AFTER.as_str()))?;
    Some(Duration::from_secs_f64(
        seconds.min(MAX_RETRY_AFTER.as_secs_f64()),
    ))
}

/// Providers have no common code for a full context, but similar words.
fn says_too_long(error: &Value) -> bool {
    let text = detail(error).to_lowercase();
    let code = error
        .get("code")
        .and_then(Value::as_str)
        .unwrap_or_default();
    code == "context_length_exceeded"
        || [
            "context length",
            "prompt is too long",
            "context window",
            "exceeds the maximum number of tokens",
        ]
        .iter()
        .any(|words| text.contains(words))
}

/// `, code` of an error object, when it looks like a code.
fn code(error: &Value) -> String {
    let code = ["code", "type", "status"]
        .iter()
        .find_map(|field| error.get(field)?.as_str());
    let is_code = |code: &&str| {
        !code.is_empty()
            && code.len() <= 64
            && code
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    code.filter(is_code)
        .map(|code| format!(", {code}"))
        .unwrap_or_default()
}

/// The provider's message for the log, on one line and short.
fn detail(error: &Value) -> String {
    let message = error.get("message").or(Some(error)).and_then(Value::as_str);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    message.unwrap_or("").chars().take(200).map(plain).collect()
}

/// The messages of an error and of what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
