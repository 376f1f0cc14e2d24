//! Request bodies and query strings, read strictly: an unknown field, a wrong
//! type or a wrong media type is refused by name, in the service's own error
//! shape.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::{ApiError, Code};
use super::json;

/// A JSON body of at most `VALUES` values.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonBody<T, const VALUES: usize = { json::MAX_VALUES }>(pub T);

impl<T: DeserializeOwned, S: Send + Sync, const VALUES: usize> FromRequest<S>
    for JsonBody<T, VALUES>
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        if !kind.is_some_and(is_json) {
            return Err(ApiError::new(
                Code::UnsupportedMedia,
                "send JSON with the header `content-type: application/json`",
            ));
        }
        let body = read_body(request, state).await?;
        json::check(&body, VALUES)?;
        parse_json(&body).map(Self)
    }
}

/// The query string as `T`.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueryString<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryString<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads a query string.
pub(super) fn parse_query<T: DeserializeOwned>(raw: &str) -> Result<T, ApiError> {
    let pairs = form_urlencoded::parse(raw.as_bytes());
    let pairs = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let path = error.path().to_string();
        blame(&path, error.inner())
    })
}

/// The whole body, up to the limit that the router sets.
pub(super) async fn read_body<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| match rejection.status() {
            axum::http::StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => ApiError::new(Code::InvalidRequest, "the body broke off before its end"),
        })
}

/// What a body over the limit is told.
pub(super) fn too_large() -> ApiError {
    ApiError::new(
        Code::TooLarge,
        "the body is larger than server.max_body_mb allows; send less at once",
    )
}

fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Reads one JSON object.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde would read the fields of a struct from an array too.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::new(
            Code::InvalidRequest,
            "the body is not a JSON object",
        ));
    }
    let mut body = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut body).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner();
        match inner.classify() {
            serde_json::error::Category::Data => blame(&path, inner),
            _ => ApiError::new(
                Code::InvalidRequest,
                format!("the body is not JSON: {inner}"),
            ),
        }
    })?;
    body.end().map_err(|error| {
        ApiError::new(
            Code::InvalidRequest,
            format!("the body is more than one JSON value: {error}"),
        )
    })?;
    Ok(value)
}

/// Names the field that `path` leads to, or that the message quotes.
fn blame(path: &str, error: &dyn std::fmt::Display) -> ApiError {
    let message = error.to_string();
    let quoted = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|lead| message.strip_prefix(lead)?.split_once('`'))
        .map(|(name, _)| name.to_owned());
    let param = match (quoted, path) {
        (Some(name), _) => Some(name),
        (None, "." | "?" | "") => None,
        (None, path) => Some(path.to_owned()),
    };
    // The client may have sent a megabyte as the name of a field.
    let clip = |text: String| text.chars().take(200).collect::<String>();
    ApiError {
        code: Code::InvalidRequest,
        message: clip(message),
        param: param.map(clip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Body {
        query: String,
        top_k: Option<u8>,
    }

    fn blamed(json: &str) -> (String, Option<String>) {
        let error = parse_json::<Body>(json.as_bytes()).unwrap_err();
        (error.message, error.param)
    }

    #[test]
    fn the_field_to_blame_is_named() {
        let cases = [
            (r#"{"query":"x","topk":1}"#, "topk", "unknown field"),
            (r#"{"top_k":1}"#, "query", "missing field"),
            (r#"{"query":"x","query":"y"}"#, "query", "duplicate field"),
            (r#"{"query":"x","top_k":-1}"#, "top_k", "invalid value"),
            (r#"{"query":7}"#, "query", "invalid type"),
        ];
        for (json, field, words) in cases {
            let (message, param) = blamed(json);
            assert_eq!(param.as_deref(), Some(field), "{json}: {message}");
            assert!(message.contains(words), "{json}: {message}");
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for json in ["", "{", "nope", "[1]", r#"{"query":"x"} {}"#] {
            let (message, param) = blamed(json);
            assert!(
                !message.is_empty() && param.is_none(),
                "{json}: {message} {param:?}"
            );
        }
    }
}
