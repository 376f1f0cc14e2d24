//! A provider over HTTP: sends what its dialect writes, reads what comes back
//! under fixed bounds, and turns every way of failing into a kind.

use std::time::Duration;

use cairn_models::Cancel;
use futures::StreamExt as _;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect;

use super::super::chat::{
    ChatRequest, Provider, ProviderError, ProviderErrorKind as Kind, ProviderEvent, ProviderStream,
};
use super::super::{GatewayError, Secret, cancelled};
use super::dialect::{Call, Dialect, Reader};
use super::failure;
use super::sse::{SseError, SseParser};
use cairn_settings::config::ProviderConfig;

/// Most bytes of an answer that comes in one piece.
const MAX_BODY_BYTES: usize = 4 << 20;
/// Most bytes of a streamed answer: each token costs some 200 of them.
const MAX_STREAM_BYTES: usize = 64 << 20;
/// Most bytes of an error's body that are read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// An endpoint that speaks one dialect.
pub(super) struct HttpProvider {
    config: ProviderConfig,
    key: Option<Secret>,
    dialect: Box<dyn Dialect>,
    client: reqwest::Client,
}

impl HttpProvider {
    /// Connects to nobody yet.
    pub(super) fn new(
        config: &ProviderConfig,
        key: Option<Secret>,
        dialect: Box<dyn Dialect>,
    ) -> Result<Self, GatewayError> {
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_millis(config.connect_ms))
            // A redirect would carry question and key to another machine.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| GatewayError::Start {
                name: config.name.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            config: config.clone(),
            key,
            dialect,
            client,
        })
    }
}

impl Provider for HttpProvider {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn context_tokens(&self) -> usize {
        self.config.context_tokens
    }

    fn chat(&self, request: ChatRequest, cancel: Cancel) -> ProviderStream {
        let name = self.config.name.clone();
        if let (None, Some(variable)) = (&self.key, &self.config.key_env) {
            let message = format!("{name} has no key; set the environment variable {variable}");
            let error = ProviderError::new(Kind::Unauthorized, name, message);
            return futures::stream::iter([Err(error)]).boxed();
        }
        let model = request.model.as_ref().unwrap_or(&self.config.model).clone();
        let Call { url, headers, body } = self.dialect.call(&request, &model, self.config.stream);
        let call = self.client.post(url).headers(headers).json(&body);
        let mut answer = Box::pin(read(call, name, model, self.dialect.reader()));
        // Dropping `answer` closes the connection.
        async_stream::stream! {
            loop {
                tokio::select! {
                    biased;
                    event = answer.next() => match event {
                        Some(event) => yield event,
                        None => return,
                    },
                    () = cancelled(&cancel) => {
                        yield Err(ProviderError::cancelled());
                        return;
                    }
                }
            }
        }
        .boxed()
    }
}

/// Sends the request and reads the answer.
fn read(
    call: reqwest::RequestBuilder,
    name: String,
    asked: String,
    mut reader: Box<dyn Reader>,
) -> impl futures::Stream<Item = Result<ProviderEvent, ProviderError>> + Send {
    async_stream::try_stream! {
        let response = call.send().await.map_err(|error| failure::transport(&name, &error))?;
        let status = response.status();
        if !status.is_success() {
            let headers = response.headers().clone();
            let body = whole_body(response, MAX_ERROR_BYTES).await.unwrap_or_default();
            Err(failure::status(&name, status, &headers, &body))?;
            return;
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_ascii_lowercase();
        if kind.starts_with("text/html") {
            Err(failure::garbled(&name, "a web page"))?;
            return;
        }
        let mut events = Vec::new();
        if kind.starts_with("application/json") {
            // An endpoint that does not stream answers in one piece.
            let body = whole_body(response, MAX_BODY_BYTES).await.map_err(|why| why.named(&name))?;
            let body = String::from_utf8(body).map_err(|_| failure::garbled(&name, "bytes that are not UTF-8"))?;
            reader.take(&body, &mut events).map_err(|fault| failure::fault(&name, fault))?;
        } else {
            let (mut parser, mut data) = (SseParser::default(), Vec::new());
            let mut bytes = response.bytes_stream();
            let mut read = 0;
            let mut ended = false;
            while !ended && !reader.is_over() {
                let parsed = match bytes.next().await {
                    Some(piece) => {
                        let piece = piece.map_err(|error| failure::transport(&name, &error))?;
                        read += piece.len();
                        parser.push(&piece, &mut data)
                    }
                    None => {
                        ended = true;
                        parser.finish(&mut data)
                    }
                };
                for data in data.drain(..) {
                    if !reader.is_over() {
                        reader.take(&data, &mut events).map_err(|fault| failure::fault(&name, fault))?;
                    }
                    for event in events.drain(..) {
                        yield event;
                    }
                }
                parsed.map_err(|error| match error {
                    SseError::TooLong => failure::too_large(&name),
                    SseError::NotUtf8 => failure::garbled(&name, "bytes that are not UTF-8"),
                })?;
                if read > MAX_STREAM_BYTES {
                    Err(failure::too_large(&name))?;
                }
            }
        }
        let ending = reader.end(&mut events);
        for event in events {
            yield event;
        }
        let ending = ending.ok_or_else(|| failure::cut(&name))?;
        yield ProviderEvent::Done {
            finish: ending.finish,
            usage: ending.usage,
            model: ending.model.unwrap_or(asked),
        };
    }
}

/// Why a body could not be read whole.
enum NoBody {
    TooLarge,
    Broken(reqwest::Error),
}

impl NoBody {
    fn named(self, name: &str) -> ProviderError {
        match self {
            Self::TooLarge => failure::too_large(name),
            Self::Broken(error) => failure::transport(name, &error),
        }
    }
}

async fn whole_body(response: reqwest::Response, most: usize) -> Result<Vec<u8>, NoBody> {
    let mut body = Vec::new();
    let mut bytes = response.bytes_stream();
    while let Some(piece) = bytes.next().await {
        let piece = piece.map_err(NoBody::Broken)?;
        if body.len() + piece.len() > most {
            return Err(NoBody::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
