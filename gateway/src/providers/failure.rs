//! Every way in which an endpoint fails, as an error that names the provider,
//! the kind, and what to do. The provider's own words may hold account names or
//! parts of the key: they go to the log, never to the caller.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::super::chat::{ProviderError, ProviderErrorKind as Kind};
use super::dialect::Fault;
use super::reported::{self, says_too_long};
use super::retry_after::retry_after;

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
        // Some servers on one's own machine say it with 500.
        400..=599 if says_too_long(error) => Kind::TooLong,
        400..=499 => Kind::Rejected,
        // 529 is Anthropic's "overloaded".
        529 => Kind::RateLimited,
        _ => Kind::Failed,
    };
    let said = match kind {
        // The code of a refused key can name the account.
        Kind::Unauthorized => format!("(HTTP {number})"),
        _ => format!("(HTTP {number}{code})"),
    };
    let message = message(name, kind, &said);
    if kind != Kind::Unauthorized {
        tracing::warn!(provider = name, status = number, detail = %detail(error), "the provider refused");
    }
    ProviderError {
        retry_after: retry_after(headers),
        ..ProviderError::new(kind, name, message)
    }
}

/// An event that is not part of an answer.
pub(super) fn fault(name: &str, fault: Fault) -> ProviderError {
    match fault {
        Fault::Garbled(what) => garbled(name, &what),
        Fault::Cut => cut(name),
        Fault::Reported { error } => {
            let kind = reported::kind(&error).unwrap_or(Kind::Failed);
            if kind != Kind::Unauthorized {
                tracing::warn!(provider = name, detail = %detail(&error), "the provider failed while answering");
            }
            let code = match kind {
                Kind::Unauthorized => String::new(),
                _ => code(&error),
            };
            let message = match kind {
                Kind::Failed => format!("{name} failed while it answered{code}; try again"),
                _ => message(name, kind, &format!("(while it answered{code})")),
            };
            ProviderError::new(kind, name, message)
        }
    }
}

/// What happened and what to do; `said` is what may be told of the provider's reply.
fn message(name: &str, kind: Kind, said: &str) -> String {
    match kind {
        Kind::Redirected => {
            format!(
                "{name} answers with a redirect {said}, which is not followed; correct its base_url"
            )
        }
        Kind::Unauthorized => {
            format!("{name} refused the key {said}; check the variable that key_env names")
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
fn cut(name: &str) -> ProviderError {
    let message = format!("{name} broke off in the middle of its answer; try again");
    ProviderError::new(Kind::Cut, name, message)
}

/// Something came that is not an answer.
pub(super) fn garbled(name: &str, what: &str) -> ProviderError {
    let message = format!("{name} sent {what}; are its base_url and kind right?");
    ProviderError::new(Kind::Garbled, name, message)
}

/// A model that calls functions in words wrote something that is not a call.
pub(super) fn garbled_call(name: &str, what: &str) -> ProviderError {
    let message = format!("{name} wrote {what}; try again, or ask a model that knows tools");
    ProviderError::new(Kind::Garbled, name, message)
}

/// A function is asked for that is not there.
pub(super) fn no_such_tool(name: &str, tool: &str) -> ProviderError {
    let message = format!(
        "{name} is to call `{tool}`, which is not among the tools of the request; offer it"
    );
    ProviderError::new(Kind::Rejected, name, message)
}

/// More came than any answer holds.
pub(super) fn too_large(name: &str) -> ProviderError {
    let message = format!("{name} sent more than an answer holds, and was stopped");
    ProviderError::new(Kind::TooLarge, name, message)
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
