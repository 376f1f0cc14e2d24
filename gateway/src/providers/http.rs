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
use super::super::{GatewayError, Secret};
use super::dialect::{Dialect, HttpCall, Reader};
use super::tally::Tally;
use super::{body, failure};
use cairn_settings::config::ProviderConfig;

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
    /// Does not connect yet.
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

    fn refuses<'a>(&self, request: &'a ChatRequest) -> Option<&'a str> {
        self.dialect.refuses(request)
    }

    fn chat(&self, request: ChatRequest, cancel: Cancel) -> ProviderStream {
        let name = self.config.name.clone();
        if let (None, Some(variable)) = (&self.key, &self.config.key_env) {
            let message = format!("{name} has no key; set the environment variable {variable}");
            let error = ProviderError::new(Kind::Unauthorized, name, message);
            return futures::stream::iter([Err(error)]).boxed();
        }
        let model = request.model.as_ref().unwrap_or(&self.config.model).clone();
        let HttpCall { url, headers, body } =
            self.dialect.call(&request, &model, self.config.stream);
        let call = self.client.post(url).headers(headers).json(&body);
        let tally = Tally::new(&request);
        let mut answer = Box::pin(read(call, name, model, self.dialect.reader(), tally));
        // Dropping `answer` closes the connection.
        async_stream::stream! {
            loop {
                tokio::select! {
                    biased;
                    event = answer.next() => match event {
                        Some(event) => yield event,
                        None => return,
                    },
                    () = cancel.cancelled() => {
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
    mut tally: Tally,
) -> impl futures::Stream<Item = Result<ProviderEvent, ProviderError>> + Send {
    async_stream::try_stream! {
        let response = call.send().await.map_err(|error| failure::transport(&name, &error))?;
        let status = response.status();
        if !status.is_success() {
            let headers = response.headers().clone();
            let pieces = Box::pin(response.bytes_stream());
            let body = body::whole(Vec::new(), pieces, MAX_ERROR_BYTES).await.unwrap_or_default();
            Err(failure::status(&name, status, &headers, &body))?;
            return;
        }
        let claimed = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let claimed = claimed.unwrap_or_default().to_ascii_lowercase();
        let pieces = Box::pin(response.bytes_stream());
        {
            let events = body::read(&name, &claimed, pieces, &mut *reader);
            futures::pin_mut!(events);
            while let Some(event) = events.next().await {
                let event = event?;
                tally.note(&event);
                yield event;
            }
        }
        let mut events = Vec::new();
        let ending = reader.end(&mut events);
        for event in events {
            tally.note(&event);
            yield event;
        }
        let ending = ending.map_err(|fault| failure::fault(&name, fault))?;
        yield ProviderEvent::Done {
            finish: ending.finish,
            usage: tally.usage(ending.counts),
            model: ending.model.unwrap_or(asked),
        };
    }
}
