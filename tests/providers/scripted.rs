//! An endpoint on this machine that answers by a script, and what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use cairn_gateway::{
    AnswerBackend, Call, ChatEvent, ChatMessage, ChatRequest, ChatRole, ChatStream, Gateway,
    Limits, ProviderError, Secret, Served, ToolCall, open_provider, routes,
};
use cairn_models::Cancel;
use cairn_settings::config::ProviderConfig;
use futures::StreamExt as _;
use tokio::sync::{mpsc, oneshot};

/// What the endpoint sends after its headers.
#[derive(Clone)]
pub(crate) enum Part {
    Bytes(Vec<u8>),
    Wait,
    Forever,
    Cut,
    /// The same bytes without end.
    Endless(&'static [u8]),
}

pub(crate) fn bytes(text: impl AsRef<str>) -> Part {
    Part::Bytes(text.as_ref().as_bytes().to_vec())
}

/// One answer.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) parts: Vec<Part>,
}

impl Answer {
    pub(crate) fn new(status: u16, kind: &'static str, parts: &[Part]) -> Self {
        Self {
            status,
            headers: vec![("content-type", kind)],
            parts: parts.to_vec(),
        }
    }

    pub(crate) fn stream(parts: &[Part]) -> Self {
        Self::new(200, "text/event-stream", parts)
    }

    pub(crate) fn json(status: u16, body: impl AsRef<str>) -> Self {
        Self::new(status, "application/json", &[bytes(body)])
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: serde_json::Value,
}

struct Endpoint {
    /// One for each request; the last one stays.
    answers: Mutex<Vec<Answer>>,
    seen: Mutex<Vec<Seen>>,
    /// Told when the connection of an answer is closed.
    closed: mpsc::UnboundedSender<()>,
}

struct TellOnDrop(mpsc::UnboundedSender<()>);

impl Drop for TellOnDrop {
    fn drop(&mut self) {
        self.0.send(()).ok();
    }
}

async fn complete(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    endpoint.seen.lock().unwrap().push(Seen {
        uri: head.uri.to_string(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap(),
    });
    let answer = {
        let mut answers = endpoint.answers.lock().unwrap();
        match answers.len() {
            1 => answers[0].clone(),
            _ => answers.remove(0),
        }
    };
    let tell = TellOnDrop(endpoint.closed.clone());
    let stream = async_stream::stream! {
        let _tell = tell;
        for part in answer.parts {
            match part {
                Part::Bytes(bytes) => yield Ok(Bytes::from(bytes)),
                Part::Wait => tokio::time::sleep(Duration::from_millis(20)).await,
                Part::Forever => std::future::pending().await,
                Part::Cut => yield Err(std::io::Error::other("cut")),
                Part::Endless(bytes) => loop {
                    yield Ok(Bytes::from_static(bytes));
                },
            }
        }
    };
    let status = StatusCode::from_u16(answer.status).unwrap();
    let mut response = (status, Body::from_stream(stream)).into_response();
    for (name, value) in &answer.headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

/// A running endpoint; dropping it stops it.
pub(crate) struct Running {
    endpoint: Arc<Endpoint>,
    pub(crate) base_url: String,
    pub(crate) closed: mpsc::UnboundedReceiver<()>,
    _stop: oneshot::Sender<()>,
}

impl Running {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.endpoint.seen.lock().unwrap().clone()
    }
}

/// Answers each request with the next of `answers`, and then with the last.
pub(crate) async fn serve(answers: &[Answer]) -> Running {
    let (closed, closings) = mpsc::unbounded_channel();
    let endpoint = Arc::new(Endpoint {
        answers: Mutex::new(answers.to_vec()),
        seen: Mutex::default(),
        closed,
    });
    let router = Router::new()
        .fallback(complete)
        .with_state(Arc::clone(&endpoint));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        tokio::select! {
            served = axum::serve(listener, router) => served.unwrap(),
            _ = stopped => {}
        }
    });
    Running {
        endpoint,
        base_url: format!("http://{address}/v1/"),
        closed: closings,
        _stop: stop,
    }
}

pub(crate) const KEY: &str = "sk-secret";

pub(crate) fn config(kind: &str, base_url: &str) -> ProviderConfig {
    ProviderConfig {
        kind: kind.to_owned(),
        key_env: Some("ENDPOINT_KEY".to_owned()),
        context_tokens: 4096,
        ..ProviderConfig::new("endpoint", base_url, "m-default")
    }
}

pub(crate) fn question() -> ChatRequest {
    ChatRequest {
        messages: vec![ChatMessage::text(ChatRole::User, "Secret question?")],
        max_tokens: 64,
        stop: vec!["\n\n".to_owned()],
        ..ChatRequest::default()
    }
}

/// Longer than any test runs, and shorter than anybody waits.
const LONG: Duration = Duration::from_secs(60);
pub(crate) const PATIENT: Limits = Limits {
    first_token: LONG,
    token: LONG,
    total: LONG,
};

/// Asks `m-2` of one provider.
pub(crate) fn chat(
    config: &ProviderConfig,
    request: ChatRequest,
    limits: Limits,
    cancel: Cancel,
) -> ChatStream {
    let provider = open_provider(config, Some(Secret::new(KEY))).unwrap();
    let gateway = Gateway::new("endpoint", limits).with(provider, "m-default", false);
    let Ok(AnswerBackend::Model(plan)) = gateway.select(routes::CHAT, Some("endpoint/m-2")) else {
        panic!("the provider is there");
    };
    gateway.chat(&plan, request, Call::default(), cancel)
}

/// A whole stream.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) end: Result<Served, ProviderError>,
}

impl Outcome {
    pub(crate) fn error(&self) -> &ProviderError {
        self.end.as_ref().unwrap_err()
    }

    pub(crate) fn served(&self) -> &Served {
        self.end.as_ref().unwrap()
    }
}

/// Reads to the end, and checks what holds for every stream.
pub(crate) async fn read(mut stream: ChatStream) -> Outcome {
    let (mut text, mut calls) = (String::new(), Vec::new());
    let end = loop {
        match stream
            .next()
            .await
            .expect("the stream ended without an end")
        {
            Ok(ChatEvent::Delta(delta)) => text.push_str(&delta),
            Ok(ChatEvent::ToolCall(call)) => calls.push(call),
            Ok(ChatEvent::Done(served)) => break Ok(*served),
            Err(error) => break Err(error),
        }
    };
    assert!(stream.next().await.is_none(), "nothing follows the end");
    if let Err(error) = &end {
        for secret in ["sk-", "Secret question", "org-1"] {
            assert!(!error.message.contains(secret), "{}", error.message);
        }
    }
    Outcome { text, calls, end }
}

/// What one provider of `kind` makes of one answer.
pub(crate) async fn outcome(kind: &str, answer: Answer) -> Outcome {
    let served = serve(&[answer]).await;
    let config = config(kind, &served.base_url);
    read(chat(&config, question(), PATIENT, Cancel::never())).await
}
