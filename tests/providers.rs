//! OpenAI-compatible endpoints over real HTTP: slow, silent, cut, garbled,
//! refusing ones, and what they are told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use cairn::gateway::{
    ChatRequest, ChatStream, Finish, Gateway, Limits, OpenAiProvider, OpenAiSettings,
    ProviderError, ProviderErrorKind, ProviderEvent, Secret, Writer,
};
use cairn_models::{Cancel, Message, Role};
use futures::StreamExt as _;
use tokio::sync::{mpsc, oneshot};

/// What the endpoint sends after its headers.
#[derive(Clone)]
enum Part {
    Bytes(Vec<u8>),
    Wait,
    Forever,
    Cut,
}

fn bytes(text: &str) -> Part {
    Part::Bytes(text.as_bytes().to_vec())
}

fn delta(text: &str) -> Part {
    let chunk = serde_json::json!({"model": "m-1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    bytes(&format!("data: {chunk}\n\n"))
}

fn finish(reason: &str) -> Part {
    bytes(&format!(
        "data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
    ))
}

fn usage() -> Part {
    bytes("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3}}\n\n")
}

fn done() -> Part {
    bytes("data: [DONE]\n\n")
}

/// An endpoint with one scripted answer.
struct Endpoint {
    status: StatusCode,
    headers: Vec<(&'static str, &'static str)>,
    parts: Vec<Part>,
    seen: Mutex<Vec<(HeaderMap, serde_json::Value)>>,
    /// Told when the connection of an answer is closed.
    closed: mpsc::UnboundedSender<()>,
}

struct TellOnDrop(mpsc::UnboundedSender<()>);

impl Drop for TellOnDrop {
    fn drop(&mut self) {
        self.0.send(()).ok();
    }
}

async fn complete(
    State(endpoint): State<Arc<Endpoint>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = serde_json::from_slice(&body).unwrap();
    endpoint.seen.lock().unwrap().push((headers, body));
    let parts = endpoint.parts.clone();
    let tell = TellOnDrop(endpoint.closed.clone());
    let stream = async_stream::stream! {
        let _tell = tell;
        for part in parts {
            match part {
                Part::Bytes(bytes) => yield Ok(Bytes::from(bytes)),
                Part::Wait => tokio::time::sleep(Duration::from_millis(20)).await,
                Part::Forever => std::future::pending().await,
                Part::Cut => yield Err(std::io::Error::other("cut")),
            }
        }
    };
    let mut response = (endpoint.status, Body::from_stream(stream)).into_response();
    for (name, value) in &endpoint.headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

struct Served {
    endpoint: Arc<Endpoint>,
    base_url: String,
    closed: mpsc::UnboundedReceiver<()>,
    _stop: oneshot::Sender<()>,
}

async fn serve(status: u16, headers: &[(&'static str, &'static str)], parts: &[Part]) -> Served {
    let (closed, closings) = mpsc::unbounded_channel();
    let endpoint = Arc::new(Endpoint {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers.to_vec(),
        parts: parts.to_vec(),
        seen: Mutex::default(),
        closed,
    });
    let router = Router::new()
        .route("/v1/chat/completions", post(complete))
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
    Served {
        endpoint,
        base_url: format!("http://{address}/v1/"),
        closed: closings,
        _stop: stop,
    }
}

fn settings(base_url: &str) -> OpenAiSettings {
    OpenAiSettings {
        name: "endpoint".to_owned(),
        base_url: base_url.to_owned(),
        key: Some(Secret::new("sk-secret")),
        key_env: Some("ENDPOINT_KEY".to_owned()),
        model: "m-default".to_owned(),
        context_tokens: 4096,
    }
}

fn chat_with(settings: OpenAiSettings, limits: Limits, cancel: Cancel) -> ChatStream {
    let provider = OpenAiProvider::new(settings).unwrap();
    let gateway = Gateway::new("endpoint", limits).with(Arc::new(provider), "m-default", false);
    let Ok(Writer::Model(selected)) = gateway.select(Some("endpoint/m-2")) else {
        panic!("the provider is there");
    };
    let request = ChatRequest {
        model: None,
        messages: vec![Message {
            role: Role::User,
            content: "Secret question?".to_owned(),
        }],
        max_tokens: 64,
        temperature: 0.0,
        stop: vec!["\n\n".to_owned()],
    };
    gateway.chat(&selected, request, cancel)
}

type Outcome = (String, Result<(Finish, usize, String), ProviderError>);

async fn read(mut stream: ChatStream) -> Outcome {
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(ProviderEvent::Delta(delta)) => text.push_str(&delta),
            Ok(ProviderEvent::Done {
                finish,
                usage,
                model,
            }) => {
                assert!(stream.next().await.is_none(), "nothing follows the end");
                return (
                    text,
                    Ok((finish, usage.prompt_tokens + usage.completion_tokens, model)),
                );
            }
            Err(error) => {
                assert!(stream.next().await.is_none(), "nothing follows an error");
                for secret in ["sk-", "Secret question", "org-1"] {
                    assert!(!error.message.contains(secret), "{}", error.message);
                }
                return (text, Err(error));
            }
        }
    }
    panic!("the stream ended without an end");
}

/// Longer than any test runs, and shorter than anybody waits.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);
const PATIENT: Limits = Limits {
    first_token: LONG,
    token: LONG,
    total: LONG,
};

async fn outcome(status: u16, headers: &[(&'static str, &'static str)], parts: &[Part]) -> Outcome {
    let served = serve(status, headers, parts).await;
    read(chat_with(
        settings(&served.base_url),
        PATIENT,
        Cancel::never(),
    ))
    .await
}

async fn failure(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &str,
) -> ProviderError {
    outcome(status, headers, &[bytes(body)])
        .await
        .1
        .unwrap_err()
}

#[tokio::test]
async fn a_whole_answer_and_what_was_asked() {
    let parts = [
        bytes(": hi\r\n\r\n"),
        delta(""),
        delta("Hel"),
        Part::Wait,
        delta("lo"),
        finish("stop"),
        usage(),
        done(),
    ];
    let served = serve(200, &[("content-type", "text/event-stream")], &parts).await;
    let (text, end) = read(chat_with(
        settings(&served.base_url),
        PATIENT,
        Cancel::never(),
    ))
    .await;
    assert_eq!(text, "Hello");
    assert_eq!(end.unwrap(), (Finish::Stop, 15, "m-1".to_owned()));

    let seen = served.endpoint.seen.lock().unwrap();
    let (headers, body) = &seen[0];
    assert_eq!(headers["authorization"], "Bearer sk-secret");
    let expected = serde_json::json!({
        "model": "m-2", "max_tokens": 64, "temperature": 0.0, "stream": true, "stop": ["\n\n"],
        "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Secret question?"}],
    });
    assert_eq!(*body, expected);
}

#[tokio::test]
async fn bytes_may_be_cut_anywhere() {
    let whole: Vec<u8> = [delta("größe "), delta("👍🏽"), finish("length"), done()]
        .into_iter()
        .flat_map(|part| match part {
            Part::Bytes(bytes) => bytes,
            _ => unreachable!("only bytes are listed above"),
        })
        .collect();
    let parts: Vec<Part> = whole
        .iter()
        .flat_map(|byte| [Part::Bytes(vec![*byte])])
        .collect();
    let (text, end) = outcome(200, &[], &parts).await;
    assert_eq!(text, "größe 👍🏽");
    assert_eq!(end.unwrap().0, Finish::Length);
}

#[tokio::test]
async fn an_endpoint_that_does_not_stream() {
    let body = r#"{"model":"m","choices":[{"message":{"role":"assistant","content":"Hi."},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":1}}"#;
    let (text, end) = outcome(200, &[("content-type", "application/json")], &[bytes(body)]).await;
    assert_eq!((text.as_str(), end.unwrap().1), ("Hi.", 3));
}

#[tokio::test]
async fn endings_without_done() {
    // A finish reason is an end; so is [DONE] alone; nothing at all is not.
    assert_eq!(
        outcome(200, &[], &[delta("a"), finish("stop")])
            .await
            .1
            .unwrap()
            .0,
        Finish::Stop
    );
    assert_eq!(
        outcome(200, &[], &[delta("a"), done()]).await.1.unwrap().0,
        Finish::Stop
    );
    let (text, end) = outcome(200, &[], &[delta("a")]).await;
    assert_eq!(
        (text.as_str(), end.unwrap_err().kind),
        ("a", ProviderErrorKind::Unreachable)
    );
}

#[tokio::test]
async fn a_connection_that_breaks() {
    let (text, end) = outcome(200, &[], &[delta("half "), Part::Wait, Part::Cut]).await;
    let error = end.unwrap_err();
    assert_eq!(
        (text.as_str(), error.kind),
        ("half ", ProviderErrorKind::Unreachable)
    );
}

#[tokio::test]
async fn garbled_answers() {
    for part in [
        bytes("data: {nonsense\n\n"),
        bytes("data: [1,2]\n\n"),
        Part::Bytes(b"data: \xff\xfe\n\n".to_vec()),
    ] {
        let (text, end) = outcome(200, &[], &[delta("a"), part]).await;
        assert_eq!(
            (text.as_str(), end.unwrap_err().kind),
            ("a", ProviderErrorKind::Garbled)
        );
    }
    let error = failure(200, &[("content-type", "text/html")], "<html>Log in</html>").await;
    assert_eq!(error.kind, ProviderErrorKind::Unreachable);
    let error = failure(200, &[("content-type", "application/json")], "no json").await;
    assert_eq!(error.kind, ProviderErrorKind::Garbled);
}

#[tokio::test]
async fn an_error_inside_the_stream() {
    let error = r#"{"error":{"message":"org-1 is over its quota","code":"server_error"}}"#;
    let (text, end) = outcome(
        200,
        &[],
        &[delta("a"), bytes(&format!("data: {error}\n\n"))],
    )
    .await;
    let end = end.unwrap_err();
    assert_eq!(text, "a");
    assert_eq!(end.kind, ProviderErrorKind::Unreachable);
    assert!(end.message.contains("server_error"), "{}", end.message);
}

#[tokio::test]
async fn statuses_become_kinds() {
    use ProviderErrorKind as K;
    let body =
        r#"{"error":{"message":"key sk-secret of org-1 is wrong","type":"bad_thing","code":null}}"#;
    for (status, kind) in [
        (400, K::Rejected),
        (401, K::Unauthorized),
        (403, K::Unauthorized),
        (404, K::Rejected),
        (408, K::Timeout),
        (422, K::Rejected),
        (429, K::RateLimited),
        (500, K::Unreachable),
        (502, K::Unreachable),
        (503, K::Unreachable),
        (504, K::Timeout),
    ] {
        let error = failure(status, &[], body).await;
        assert_eq!(error.kind, kind, "{status}");
        assert!(
            error.message.contains(&status.to_string()),
            "{}",
            error.message
        );
        assert_eq!(error.retry_after, None);
    }
    assert!(failure(400, &[], body).await.message.contains("bad_thing"));
    let error = failure(307, &[("location", "http://127.0.0.1:1/")], "").await;
    assert_eq!(error.kind, K::Unreachable);
    let error = failure(429, &[("retry-after", "7")], "not json").await;
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let stream = chat_with(
        settings(&format!("http://{address}/v1")),
        PATIENT,
        Cancel::never(),
    );
    let error = read(stream).await.1.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Unreachable);
    assert!(
        error.message.contains("cannot be reached"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_missing_key_is_named_and_nobody_is_asked() {
    let served = serve(200, &[], &[delta("a"), done()]).await;
    let settings = OpenAiSettings {
        key: None,
        ..settings(&served.base_url)
    };
    let error = read(chat_with(settings, PATIENT, Cancel::never()))
        .await
        .1
        .unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Unauthorized);
    assert!(error.message.contains("ENDPOINT_KEY"), "{}", error.message);
    assert!(served.endpoint.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn silence_before_within_and_in_total() {
    let talk = || [delta("a"), Part::Forever];
    for (limits, parts, text) in [
        (
            Limits {
                first_token: SHORT,
                ..PATIENT
            },
            vec![Part::Forever],
            "",
        ),
        (
            Limits {
                token: SHORT,
                ..PATIENT
            },
            talk().to_vec(),
            "a",
        ),
        (
            Limits {
                total: SHORT,
                ..PATIENT
            },
            vec![Part::Forever],
            "",
        ),
    ] {
        let mut served = serve(200, &[], &parts).await;
        let (said, end) = read(chat_with(
            settings(&served.base_url),
            limits,
            Cancel::never(),
        ))
        .await;
        assert_eq!(
            (said.as_str(), end.unwrap_err().kind),
            (text, ProviderErrorKind::Timeout)
        );
        if !served.endpoint.seen.lock().unwrap().is_empty() {
            served
                .closed
                .recv()
                .await
                .expect("the connection is closed");
        }
    }
}

#[tokio::test]
async fn dropping_and_cancelling_close_the_connection() {
    for by_drop in [true, false] {
        let mut served = serve(200, &[], &[delta("a"), Part::Forever]).await;
        let cancel = Cancel::never();
        let mut stream = chat_with(settings(&served.base_url), PATIENT, cancel.clone());
        assert_eq!(
            stream.next().await.unwrap().unwrap(),
            ProviderEvent::Delta("a".to_owned())
        );
        assert!(served.closed.try_recv().is_err(), "still open");
        if by_drop {
            drop(stream);
        } else {
            cancel.cancel();
            let (_, end) = read(stream).await;
            assert_eq!(end.unwrap_err().kind, ProviderErrorKind::Cancelled);
        }
        served
            .closed
            .recv()
            .await
            .expect("the connection is closed");
    }
}
