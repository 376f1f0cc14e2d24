//! The HTTP service, in process: routes, limits, errors and the stream, with
//! deterministic twins of the models.

mod agent;
mod batch_jobs;
mod batches;
mod batches_killed;
mod bounds;
mod buckets;
mod chat;
mod connections;
mod dify;
mod documents;
mod door;
mod embeddings;
mod errors;
mod followed;
mod hidden;
mod jobs;
mod keys;
mod killed;
mod kinds;
mod lifecycle;
mod limits;
mod mcp;
mod model_clients;
mod openai;
mod openapi;
mod own_clients;
mod page;
mod query;
mod re_embedding;
mod rerank;
mod schedules;
mod tls;
mod traces;
mod uploads;
mod uploads_killed;
mod usage;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use cairn::server::{self, Service, router};
use cairn_engine::answer::Answerer;
use cairn_engine::retrieve::Engine;
use cairn_gateway::accounts::Accounts;
use cairn_gateway::{
    ChatRequest, Finish, Gateway, Limits, Provider, ProviderEvent, ProviderStream, Usage,
};
use cairn_indexer::{ParseLimits, Parser};
use cairn_models::testing::{HashEmbedder, OverlapReader, OverlapReranker};
use cairn_models::{Cancel, Embedder, Reranker};
use cairn_settings::config::Config;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};
use tower::ServiceExt as _;

/// Text whose sentences the scripted answers cite.
const GUIDE: &str = "# Writer lock\n\nThe writer lock is held by one process at a time. \
    Readers never wait for the writer lock.\n\n# Commits\n\nA commit makes words and vectors \
    durable at once.\n";

/// A service over an empty data folder of its own.
pub(crate) struct Bench {
    service: Arc<Service>,
    router: Router,
    dir: TempDir,
}

impl Bench {
    /// With a provider that cites the first source.
    fn new() -> Self {
        Self::with(Arc::new(Scripted::citing()), |_| {})
    }

    fn with(provider: Arc<dyn Provider>, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_parser(provider, change, ParseLimits::default().into())
    }

    /// Whose gateway has these accounts: their prices, for one.
    fn with_accounts(
        provider: Arc<dyn Provider>,
        accounts: Accounts,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let accounts = Some(accounts);
        Self::with_all(provider, change, ParseLimits::default().into(), accounts)
    }

    /// With a parser of the caller's own.
    pub(crate) fn with_parser(
        provider: Arc<dyn Provider>,
        change: impl FnOnce(&mut Config),
        parser: Parser,
    ) -> Self {
        Self::with_all(provider, change, parser, None)
    }

    fn with_all(
        provider: Arc<dyn Provider>,
        change: impl FnOnce(&mut Config),
        parser: Parser,
        accounts: Option<Accounts>,
    ) -> Self {
        let bench = Self::starting(change);
        let engine = engine(bench.service.config());
        bench.start(engine, provider, parser, accounts)
    }

    /// Whose engine has these models.
    fn with_models(
        embedder: Option<Arc<dyn Embedder>>,
        reranker: Option<Arc<dyn Reranker>>,
    ) -> Self {
        let bench = Self::starting(|_| {});
        let engine = Engine::new(bench.service.config(), embedder, reranker).unwrap();
        let provider = Arc::new(Scripted::citing());
        bench.start(engine, provider, ParseLimits::default().into(), None)
    }

    fn start(
        self,
        engine: Engine,
        provider: Arc<dyn Provider>,
        parser: Parser,
        accounts: Option<Accounts>,
    ) -> Self {
        let config = self.service.config();
        let limits = Limits {
            first_token: Duration::from_secs(600),
            token: Duration::from_secs(600),
            total: Duration::from_secs(600),
        };
        let mut gateway = Gateway::new("script", limits).with(provider, "script-1", false);
        if let Some(accounts) = accounts {
            gateway = gateway.with_accounts(accounts);
        }
        let search = Arc::new(engine.clone());
        let answerer = Answerer::new(
            search,
            Arc::new(gateway),
            Some(Arc::new(OverlapReader)),
            None,
            config,
        );
        self.service.start(engine, answerer, parser).unwrap();
        self
    }

    /// A service whose models are not loaded yet.
    fn starting(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.data_dir = dir.path().join("data");
        change(&mut config);
        let accounts = Accounts::open(&config).unwrap();
        let service = Service::starting(config, accounts);
        let router = router(Arc::clone(&service));
        Self {
            service,
            router,
            dir,
        }
    }

    async fn send(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn reply(&self, request: Request<Body>) -> Reply {
        let response = self.send(request).await;
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Reply {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    pub(crate) async fn get(&self, uri: &str) -> Reply {
        self.reply(Request::get(uri).body(Body::empty()).unwrap())
            .await
    }

    async fn delete(&self, uri: &str) -> Reply {
        self.reply(Request::delete(uri).body(Body::empty()).unwrap())
            .await
    }

    async fn post(&self, uri: &str, body: &Value) -> Reply {
        self.reply(json_request(uri, body)).await
    }

    /// Uploads [`GUIDE`] as `guide.md`.
    async fn upload_guide(&self) {
        let reply = self
            .post("/documents", &json!({"uri": "guide.md", "text": GUIDE}))
            .await;
        assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
    }
}

/// What a client that is not ours says, as JSON, of the service of `bench` on a real port. It
/// is given the URL and `more` as its last arguments.
async fn talk(bench: &Bench, mut client: Command, more: &[&str]) -> Value {
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(server::serve(listener, Arc::clone(&bench.service)));
    client.arg(&url).args(more).env("NO_PROXY", "127.0.0.1");
    let output = tokio::task::spawn_blocking(move || client.output().unwrap());
    let output = output.await.unwrap();
    serving.abort();
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

/// A program in Python, which is to be given its arguments.
fn python(python: &Path, script: &str) -> Command {
    let mut command = Command::new(python);
    command.args(["-c", script]);
    command
}

/// A program for Node, whose modules are in `folder`.
fn node(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("node");
    command.current_dir(folder);
    command.args(["--input-type=module", "-e", script, "--"]);
    command
}

fn engine(config: &Config) -> Engine {
    Engine::new(
        config,
        Some(Arc::new(HashEmbedder)),
        Some(Arc::new(OverlapReranker)),
    )
    .unwrap()
}

fn json_request(uri: &str, body: &Value) -> Request<Body> {
    request(Method::POST, uri, "application/json", body.to_string())
}

pub(crate) fn request(
    method: Method,
    uri: &str,
    kind: &str,
    body: impl Into<Body>,
) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(uri)
        .header(header::CONTENT_TYPE, kind)
        .body(body.into())
        .unwrap()
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks the shape of an error and returns its code and field.
    pub(crate) fn error(&self) -> (String, Option<String>) {
        let body = self.json();
        let error = body["error"]
            .as_object()
            .unwrap_or_else(|| panic!("{body}"));
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        assert!(
            error
                .keys()
                .all(|key| ["code", "message", "param"].contains(&&**key)),
            "{body}"
        );
        assert!(!error["message"].as_str().unwrap().is_empty(), "{body}");
        let param = error
            .get("param")
            .map(|param| param.as_str().unwrap().to_owned());
        (error["code"].as_str().unwrap().to_owned(), param)
    }
}

/// Name and data of each frame of a stream; comments are left out.
fn frames(text: &str) -> Vec<(String, Value)> {
    assert!(text.ends_with("\n\n"), "the last frame is whole");
    text.split_terminator("\n\n")
        .filter(|frame| !frame.starts_with(':'))
        .map(|frame| {
            let field = |name: &str| {
                let mut lines = frame.lines().filter_map(|line| line.strip_prefix(name));
                let value = lines
                    .next()
                    .unwrap_or_else(|| panic!("no {name} in {frame:?}"));
                assert!(lines.next().is_none(), "one {name} in {frame:?}");
                value.to_owned()
            };
            (
                field("event: "),
                serde_json::from_str(&field("data: ")).unwrap(),
            )
        })
        .collect()
}

/// The end of an answer of a provider of tests.
fn answer_end(usage: Usage) -> ProviderEvent {
    ProviderEvent::Done {
        finish: Finish::Stop,
        usage: Some(usage),
        model: "script-1".into(),
    }
}

/// Writes fixed pieces of text.
pub(crate) struct Scripted(Vec<String>);

impl Scripted {
    fn new(pieces: &[&str]) -> Self {
        Self(pieces.iter().map(|piece| (*piece).to_owned()).collect())
    }

    pub(crate) fn citing() -> Self {
        Self::new(&[
            "The writer lock is held by one ",
            "process at a time [1].",
            " ",
        ])
    }
}

impl Provider for Scripted {
    fn name(&self) -> &str {
        "script"
    }

    fn context_tokens(&self) -> usize {
        8192
    }

    fn chat(&self, _: ChatRequest, _: Cancel) -> ProviderStream {
        let pieces = self.0.clone().into_iter().map(ProviderEvent::Delta);
        let done = answer_end(Usage {
            prompt_tokens: 100,
            completion_tokens: 12,
            ..Usage::default()
        });
        futures::stream::iter(pieces.chain([done]).map(Ok)).boxed()
    }
}

/// Writes one piece of text and waits for the gate before the rest. Tells the
/// test about every chat, with its cancellation.
struct Gated {
    gate: Arc<Semaphore>,
    chats: mpsc::UnboundedSender<Cancel>,
}

impl Gated {
    fn new() -> (Arc<Self>, Arc<Semaphore>, mpsc::UnboundedReceiver<Cancel>) {
        let gate = Arc::new(Semaphore::new(0));
        let (chats, seen) = mpsc::unbounded_channel();
        (
            Arc::new(Self {
                gate: Arc::clone(&gate),
                chats,
            }),
            gate,
            seen,
        )
    }
}

impl Provider for Gated {
    fn name(&self) -> &str {
        "script"
    }

    fn context_tokens(&self) -> usize {
        8192
    }

    fn chat(&self, _: ChatRequest, cancel: Cancel) -> ProviderStream {
        self.chats.send(cancel).unwrap();
        let gate = Arc::clone(&self.gate);
        async_stream::stream! {
            yield Ok(ProviderEvent::Delta("The writer lock is held by one process at a time [1]. ".into()));
            gate.acquire().await.unwrap().forget();
            yield Ok(answer_end(Usage::default()));
        }
        .boxed()
    }
}
