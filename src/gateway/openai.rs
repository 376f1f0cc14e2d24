//! Any endpoint that speaks OpenAI's chat completions, by base URL and key.

use std::collections::VecDeque;
use std::time::Duration;

use cairn_models::Cancel;
use futures::StreamExt as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url, redirect};
use serde::Deserialize;

use super::sse::SseParser;
use super::{
    ChatRequest, ChatStream, Finish, GatewayError, Provider, ProviderError, ProviderErrorKind,
    ProviderEvent, Secret, Usage,
};
use crate::config::ProviderConfig;

/// Until a connection stands; a machine that does not answer is found out
/// within seconds.
const CONNECT: Duration = Duration::from_secs(5);
/// Most bytes of an error's body, or of an answer that came in one piece.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Where an endpoint is and how to speak to it.
#[derive(Clone, Debug)]
pub struct OpenAiSettings {
    /// Its name in events, logs and the config.
    pub name: String,
    /// Up to and without `/chat/completions`.
    pub base_url: String,
    /// The key; none for endpoints that want none.
    pub key: Option<Secret>,
    /// The variable that the key comes from, for messages. With a name but no
    /// key, every call is `Unauthorized`.
    pub key_env: Option<String>,
    /// The model that is asked when a request names none.
    pub model: String,
    /// Tokens of prompt and answer that fit.
    pub context_tokens: usize,
}

impl OpenAiSettings {
    /// The settings of one `[[providers]]` entry; reads the key's variable.
    pub fn from_config(config: &ProviderConfig) -> Self {
        let key = config
            .key_env
            .as_ref()
            .and_then(|name| std::env::var(name).ok());
        Self {
            name: config.name.clone(),
            base_url: config.base_url.clone(),
            key: key.filter(|key| !key.trim().is_empty()).map(Secret::new),
            key_env: config.key_env.clone(),
            model: config.model.clone(),
            context_tokens: config.context_tokens,
        }
    }
}

/// An OpenAI-compatible endpoint.
pub struct OpenAiProvider {
    settings: OpenAiSettings,
    url: Url,
    client: reqwest::Client,
}

impl OpenAiProvider {
    /// Checks the address; connects to nobody.
    pub fn new(settings: OpenAiSettings) -> Result<Self, GatewayError> {
        let bad = |reason: String| GatewayError::BaseUrl {
            name: settings.name.clone(),
            reason,
        };
        let base = settings.base_url.trim_end_matches('/');
        let url =
            Url::parse(&format!("{base}/chat/completions")).map_err(|e| bad(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(format!(
                "its scheme is `{}`, not http or https",
                url.scheme()
            )));
        }
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            // A redirect would carry the question to another machine.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| GatewayError::Start {
                name: settings.name.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            settings,
            url,
            client,
        })
    }

    fn request(&self, request: &ChatRequest) -> reqwest::RequestBuilder {
        let model = request.model.as_ref().unwrap_or(&self.settings.model);
        let mut body = serde_json::json!({
            "model": model,
            "messages": request.messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        if !request.stop.is_empty() {
            body["stop"] = serde_json::json!(request.stop);
        }
        let call = self.client.post(self.url.clone()).json(&body);
        match &self.settings.key {
            Some(key) => call.bearer_auth(key.expose()),
            None => call,
        }
    }
}

impl Provider for OpenAiProvider {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn context_tokens(&self) -> usize {
        self.settings.context_tokens
    }

    fn chat(&self, request: ChatRequest, cancel: Cancel) -> ChatStream {
        let name = self.settings.name.clone();
        if let (None, Some(variable)) = (&self.settings.key, &self.settings.key_env) {
            let error = ProviderError {
                kind: ProviderErrorKind::Unauthorized,
                message: format!("{name} has no key; set the environment variable {variable}"),
                retry_after: None,
            };
            return futures::stream::iter([Err(error)]).boxed();
        }
        let asked = request
            .model
            .clone()
            .unwrap_or_else(|| self.settings.model.clone());
        let call = self.request(&request);
        let answer = read(call, name, asked);
        // Dropping `answer` closes the connection.
        futures::stream::unfold(
            (answer.boxed(), cancel, false),
            |(mut answer, cancel, over)| async move {
                if over {
                    return None;
                }
                let (event, over) = tokio::select! {
                    biased;
                    event = answer.next() => (event?, false),
                    () = super::cancelled(&cancel) => (Err(ProviderError::cancelled()), true),
                };
                Some((event, (answer, cancel, over)))
            },
        )
        .boxed()
    }
}

/// Sends the request and reads the answer.
fn read(
    call: reqwest::RequestBuilder,
    name: String,
    asked: String,
) -> impl futures::Stream<Item = Result<ProviderEvent, ProviderError>> + Send {
    async_stream::try_stream! {
        let response = call.send().await.map_err(|error| broken(&name, &error))?;
        let status = response.status();
        let headers = response.headers().clone();
        if !status.is_success() {
            let body = whole_body(response).await.unwrap_or_default();
            Err(refused(&name, status, &headers, &body))?;
            return;
        }
        let mut answer = Answer::new(asked);
        let is_json = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/json"));
        if is_json {
            // An endpoint that does not stream answers in one piece.
            let body = whole_body(response).await.ok_or_else(|| garbled(&name, "a body that is too long or broke off"))?;
            for event in answer.take(&String::from_utf8_lossy(&body), &name)? {
                yield event;
            }
            yield answer.done(&name)?;
            return;
        }
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        let mut bytes = response.bytes_stream();
        while !answer.over {
            match bytes.next().await {
                Some(piece) => {
                    let piece = piece.map_err(|error| broken(&name, &error))?;
                    parser.push(&piece, &mut events).map_err(|error| garbled(&name, &error.to_string()))?;
                }
                None => {
                    parser.finish(&mut events).map_err(|error| garbled(&name, &error.to_string()))?;
                    answer.over = true;
                }
            }
            for data in std::mem::take(&mut events) {
                for event in answer.take(&data, &name)? {
                    yield event;
                }
            }
        }
        yield answer.done(&name)?;
    }
}

/// What has been read of one answer.
struct Answer {
    model: String,
    finish: Option<Finish>,
    usage: Usage,
    /// `[DONE]` came, or the end of the body.
    over: bool,
    said_done: bool,
}

impl Answer {
    fn new(model: String) -> Self {
        Self {
            model,
            finish: None,
            usage: Usage::default(),
            over: false,
            said_done: false,
        }
    }

    /// Reads the data of one event.
    fn take(&mut self, data: &str, name: &str) -> Result<VecDeque<ProviderEvent>, ProviderError> {
        let mut texts = VecDeque::new();
        let data = data.trim();
        if data == "[DONE]" {
            (self.over, self.said_done) = (true, true);
            return Ok(texts);
        }
        if data.is_empty() || self.over && self.said_done {
            return Ok(texts);
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| {
            garbled(
                name,
                &format!("JSON that is no completion chunk ({:?})", error.classify()),
            )
        })?;
        if let Some(error) = chunk.error {
            let code = error_code(&error);
            tracing::warn!(provider = name, detail = %detail(&error), "the provider failed while answering");
            return Err(ProviderError {
                kind: ProviderErrorKind::Unreachable,
                message: format!("{name} failed while it answered{code}; try again"),
                retry_after: None,
            });
        }
        if let Some(model) = chunk.model.filter(|model| !model.is_empty()) {
            self.model = model;
        }
        if let Some(usage) = chunk.usage {
            self.usage.prompt_tokens = usage.prompt_tokens;
            self.usage.completion_tokens = usage.completion_tokens;
        }
        if let Some(choice) = chunk.choices.into_iter().next() {
            let text = choice
                .delta
                .or(choice.message)
                .and_then(|part| part.content);
            texts.extend(
                text.filter(|text| !text.is_empty())
                    .map(ProviderEvent::Delta),
            );
            if let Some(reason) = choice.finish_reason {
                self.finish = Some(match reason.as_str() {
                    "length" | "max_tokens" => Finish::Length,
                    _ => Finish::Stop,
                });
            }
        }
        Ok(texts)
    }

    /// The last event; an error when the answer broke off.
    fn done(&self, name: &str) -> Result<ProviderEvent, ProviderError> {
        let finish = match self.finish {
            Some(finish) => finish,
            None if self.said_done => Finish::Stop,
            None => {
                return Err(ProviderError {
                    kind: ProviderErrorKind::Unreachable,
                    message: format!("{name} broke off in the middle of its answer; try again"),
                    retry_after: None,
                });
            }
        };
        Ok(ProviderEvent::Done {
            finish,
            usage: self.usage,
            model: self.model.clone(),
        })
    }
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<TokenCounts>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Part>,
    #[serde(default)]
    message: Option<Part>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct TokenCounts {
    #[serde(default)]
    prompt_tokens: usize,
    #[serde(default)]
    completion_tokens: usize,
}

async fn whole_body(response: reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let mut bytes = response.bytes_stream();
    while let Some(piece) = bytes.next().await {
        body.extend_from_slice(&piece.ok()?);
        if body.len() > MAX_BODY_BYTES {
            return None;
        }
    }
    Some(body)
}

/// An HTTP error as what a caller can do. The provider's own words may hold
/// account names or parts of the key: they go to the log, not to the caller.
fn refused(name: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let error = body.get("error").unwrap_or(&body);
    let code = error_code(error);
    let number = status.as_u16();
    let (kind, message) = match number {
        401 | 403 => (
            ProviderErrorKind::Unauthorized,
            format!(
                "{name} refused the key (HTTP {number}); check the variable that key_env names"
            ),
        ),
        429 => (
            ProviderErrorKind::RateLimited,
            format!("{name} takes no more requests for now (HTTP 429{code}); try again later"),
        ),
        408 | 504 => (
            ProviderErrorKind::Timeout,
            format!("{name} took too long (HTTP {number}); try again"),
        ),
        400..=499 => (
            ProviderErrorKind::Rejected,
            format!(
                "{name} did not take the request (HTTP {number}{code}); check its base_url and model"
            ),
        ),
        300..=399 => (
            ProviderErrorKind::Unreachable,
            format!("{name} answers with a redirect (HTTP {number}); correct its base_url"),
        ),
        _ => (
            ProviderErrorKind::Unreachable,
            format!("{name} failed (HTTP {number}{code}); try again"),
        ),
    };
    if kind != ProviderErrorKind::Unauthorized {
        tracing::warn!(provider = name, status = number, detail = %detail(error), "the provider refused");
    }
    let retry_after = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse().ok())
        .map(Duration::from_secs);
    ProviderError {
        kind,
        message,
        retry_after,
    }
}

/// `, code` of an error object, when it looks like a code.
fn error_code(error: &serde_json::Value) -> String {
    let code = ["code", "type"]
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
fn detail(error: &serde_json::Value) -> String {
    let message = error
        .get("message")
        .or(Some(error))
        .and_then(serde_json::Value::as_str);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    message.unwrap_or("").chars().take(200).map(plain).collect()
}

fn broken(name: &str, error: &reqwest::Error) -> ProviderError {
    let (kind, what) = if error.is_timeout() {
        (ProviderErrorKind::Timeout, "did not answer in time")
    } else if error.is_connect() {
        (ProviderErrorKind::Unreachable, "cannot be reached")
    } else {
        (ProviderErrorKind::Unreachable, "broke the connection")
    };
    ProviderError {
        kind,
        message: format!("{name} {what}; check its base_url and the network"),
        retry_after: None,
    }
}

fn garbled(name: &str, what: &str) -> ProviderError {
    ProviderError {
        kind: ProviderErrorKind::Garbled,
        message: format!("{name} sent {what}; is its base_url an OpenAI-compatible endpoint?"),
        retry_after: None,
    }
}
