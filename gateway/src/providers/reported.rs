//! What a provider's own error means, by its codes and its words: the same whether it
//! comes with a status or in the middle of a stream.

use serde_json::Value;

use super::super::chat::ProviderErrorKind as Kind;

/// Letters of an error that are read for what it means.
const MAX_CHARS: usize = 4096;
/// Levels of an error that are looked into: some wrap that of another provider.
const MAX_DEPTH: usize = 5;

/// Codes and types of a full context.
const TOO_LONG_CODES: &[&str] = &[
    "context_length_exceeded",
    "context_window_exceeded",
    "exceed_context_size_error",
    "model_max_prompt_tokens_exceeded",
    "prompt_too_long",
    "input_too_long",
    "request_too_large",
    "tokens_limit_reached",
];

/// Words that only a full context is told with.
const TOO_LONG_WORDS: &[&str] = &[
    "context length",
    "context window",
    "context size",
    "context limit",
    "maximum model length",
    "maximum prompt length",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input too long",
    "model token limit",
    "max_new_tokens` must be",
    "max_new_tokens must be",
    "range of input length",
    "reduce the length of the messages",
    "reduce your prompt",
    "上下文长度",
    "超长",
    "输入过长",
];

/// What a request has too much of ...
const LONG_THINGS: &[&str] = &["token", "prompt", "input", "request body", "messages"];
/// ... and how that is said.
const TOO_MUCH: &[&str] = &[
    "exceed",
    "too long",
    "too large",
    "too many tokens",
    "too many input",
    "longer than",
    "greater than the maximum",
    "more than the maximum",
    "larger than the maximum",
    "must have less than",
    "over the limit",
    "cannot exceed",
];
/// Limits of other things, told with the same words.
const OTHER_LIMITS: &[&str] = &[
    "per minute",
    "per day",
    "per hour",
    "per second",
    "rate limit",
    "ratelimit",
    "quota",
    "credit",
    "budget",
    "completion tokens",
    "output tokens",
    "number of images",
    "too many requests",
];

/// What `error` means; `None` if it says nothing that is known.
pub(super) fn kind(error: &Value) -> Option<Kind> {
    if says_too_long(error) {
        return Some(Kind::TooLong);
    }
    codes(error)
        .iter()
        .find_map(|code| by_status(code).or_else(|| by_name(code)))
}

/// Whether `error` says that prompt and answer do not fit the model.
pub(super) fn says_too_long(error: &Value) -> bool {
    let codes = codes(error);
    if codes
        .iter()
        .any(|code| TOO_LONG_CODES.contains(&code.as_str()))
    {
        return true;
    }
    let text = words(error).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    if says(&["rate limit", "per minute", "quota"]) {
        return false;
    }
    says(TOO_LONG_WORDS) || (says(LONG_THINGS) && says(TOO_MUCH) && !says(OTHER_LIMITS))
}

/// The object that tells of an error, for those that come without `error` around it:
/// vLLM's `{"object": "error", ..}`, and `{"message", "code"}` of an `error` event.
pub(super) fn bare(object: &Value) -> bool {
    let is = |field: &str| object.get(field).is_some_and(|value| !value.is_null());
    let named = |field: &str| object[field].as_str() == Some("error");
    named("object")
        || named("type")
        || (is("message") && (is("code") || is("status") || is("type")))
        || (object["detail"].is_string() && object.as_object().is_some_and(|all| all.len() == 1))
}

fn by_status(code: &str) -> Option<Kind> {
    Some(match code.parse::<u16>().ok()? {
        401 | 403 => Kind::Unauthorized,
        404 | 405 | 410 => Kind::NoModel,
        408 | 504 => Kind::Timeout,
        413 => Kind::TooLong,
        429 | 529 => Kind::RateLimited,
        400..=499 => Kind::Rejected,
        500..=599 => Kind::Failed,
        _ => return None,
    })
}

fn by_name(code: &str) -> Option<Kind> {
    let has = |words: &[&str]| words.iter().any(|word| code.contains(word));
    // From the special to the general: `invalid_request_error` is also the type of many
    // errors whose code says more.
    if has(&[
        "rate_limit",
        "ratelimit",
        "resource_exhausted",
        "overloaded",
        "quota",
        "throttl",
    ]) {
        Some(Kind::RateLimited)
    } else if has(&[
        "authentication",
        "permission",
        "invalid_api_key",
        "unauthorized",
        "unauthenticated",
    ]) {
        Some(Kind::Unauthorized)
    } else if has(&["model_not_found", "not_found"]) {
        Some(Kind::NoModel)
    } else if has(&["timeout", "deadline_exceeded"]) {
        Some(Kind::Timeout)
    } else if has(&[
        "invalid_request",
        "badrequest",
        "bad_request",
        "invalid_argument",
        "unsupported_",
    ]) {
        Some(Kind::Rejected)
    } else {
        None
    }
}

/// Every code of an error in lower case, the most telling first.
fn codes(error: &Value) -> Vec<String> {
    let fields = [
        "code",
        "type",
        "status",
        "status_code",
        "http_code",
        "errorCode",
        "reason",
    ];
    let mut found = Vec::new();
    let mut level = Some(error);
    for _ in 0..MAX_DEPTH {
        let Some(error) = level else { break };
        found.extend(fields.iter().filter_map(|field| match &error[*field] {
            Value::String(code) if code.len() <= 64 => Some(code.to_lowercase()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }));
        level = error.get("error").filter(|inner| inner.is_object());
    }
    found
}

/// Every text of an error, one after the other.
fn words(error: &Value) -> String {
    let mut all = String::new();
    gather(error, MAX_DEPTH, &mut all);
    all
}

fn gather(value: &Value, depth: usize, all: &mut String) {
    if all.len() >= MAX_CHARS || depth == 0 {
        return;
    }
    match value {
        Value::String(text) => {
            let room = text.floor_char_boundary((MAX_CHARS - all.len()).min(text.len()));
            all.push_str(&text[..room]);
            all.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, depth - 1, all)),
        Value::Object(fields) => fields
            .values()
            .for_each(|field| gather(field, depth - 1, all)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_wording_of_a_full_context() {
        for message in [
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
            "the request exceeds the available context size. try increasing the context size",
            "prompt too long; exceeded max context length by 12 tokens",
            "input length exceeds maximum context length",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "Input is too long for requested model.",
            "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000",
            "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
            "Please reduce the length of the messages or completion.",
            "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
            "`inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000",
            "This model's maximum prompt length is 131072 but the request contains 160000 tokens.",
            "Invalid request: Your request exceeded model token limit: 8192",
            "Range of input length should be [1, 30720]",
            "Request body too large for gpt-4o model. Max size: 8000 tokens.",
            "Requested token count exceeds the model's maximum context length of 4096 tokens.",
            "The number of tokens to keep from the initial prompt is greater than the context length",
        ] {
            let error = json!({"message": message, "type": "BadRequestError", "code": 400});
            assert_eq!(kind(&error), Some(Kind::TooLong), "{message}");
            assert!(says_too_long(&json!(message)), "{message}");
        }
        let wrapped = json!({"message": "Provider returned error", "code": 400,
            "metadata": {"raw": "{\"error\":{\"message\":\"prompt is too long: 9 tokens > 8 maximum\"}}"}});
        assert_eq!(kind(&wrapped), Some(Kind::TooLong));
        for code in TOO_LONG_CODES {
            assert_eq!(kind(&json!({"code": code})), Some(Kind::TooLong));
        }
    }

    #[test]
    fn other_errors_are_not() {
        for (error, expected) in [
            (
                json!({"message": "Rate limit reached: the request exceeds 6000 tokens per minute", "code": "rate_limit_exceeded"}),
                Some(Kind::RateLimited),
            ),
            (
                json!({"message": "You exceeded your current quota", "code": "insufficient_quota"}),
                Some(Kind::RateLimited),
            ),
            (
                json!({"message": "max_tokens is too large: 5000. This model supports at most 4096 completion tokens", "code": 400}),
                Some(Kind::Rejected),
            ),
            (
                json!({"message": "max_tokens: 9000 > 8192, which is the maximum allowed number of output tokens", "type": "invalid_request_error"}),
                Some(Kind::Rejected),
            ),
            (
                json!({"message": "busy", "type": "overloaded_error"}),
                Some(Kind::RateLimited),
            ),
            (
                json!({"message": "wrong", "code": "401"}),
                Some(Kind::Unauthorized),
            ),
            (json!({"message": "x", "type": "server_error"}), None),
            (
                json!({"status": "RESOURCE_EXHAUSTED", "code": 429}),
                Some(Kind::RateLimited),
            ),
            (json!("out of memory"), None),
        ] {
            assert_eq!(kind(&error), expected, "{error}");
        }
    }
}
