//! The clients of `clients/`, in Python and TypeScript: against a running service, and against
//! one that turns them away or breaks off.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as Parts, State};
use axum::http::{Response, StatusCode, header};
use axum::routing::post;
use cairn_gateway::accounts::Scope;
use serde_json::{Value, json};

use super::keys::Closed;
use super::{Gated, talk};
use crate::peers;

/// Type checkers, which find nothing in the clients.
const MYPY: &str = "mypy==2.4.1";
const TYPESCRIPT: &str = "typescript@5.9.3";

/// Characters of more than one byte, and of more than one unit of UTF-16, before what is cited.
const LOCK: &str =
    "# Schloß 🔒\n\n🔒 Öl und 🔑: the writer lock is held by one process at a time.\n";

const DELTA: &str = "event: delta\ndata: {\"text\": \"half an \"}\n\n";
const FAILED: &str = "event: error\nid: end\ndata: {\"error\": {\"code\": \"provider_failed\", \
    \"message\": \"no model answered\", \"retryable\": true}}\n\n";
const DONE: &str = ": cairn\n\nevent: delta\ndata: {\"text\": \"late\"}\n\n\
    event: done\nid: end\ndata: {\"answer\": \"late\"}\n\n";

type Count = Arc<Mutex<BTreeMap<String, usize>>>;

fn refused(status: StatusCode, code: &str, wait: Option<&str>) -> Response<Body> {
    let body = json!({"error": {"code": code, "message": "not now"}}).to_string();
    let mut response = Response::builder().status(status);
    if let Some(wait) = wait {
        response = response.header(header::RETRY_AFTER, wait);
    }
    response.body(body.into()).unwrap()
}

/// Answers as a service in the trouble that the path names, and counts how often it is asked.
async fn trouble(Parts(what): Parts<String>, State(count): State<Count>) -> Response<Body> {
    let times = {
        let mut count = count.lock().unwrap();
        let times = count.entry(what.clone()).or_default();
        *times += 1;
        *times
    };
    match what.as_str() {
        "busy" | "busy-stream" if times < 3 => {
            refused(StatusCode::SERVICE_UNAVAILABLE, "not_ready", Some("0"))
        }
        "busy" => Response::new(json!({"answer": "late"}).to_string().into()),
        "busy-stream" => {
            // Cut anywhere, as networks do.
            let bytes = DONE.bytes();
            let bytes = bytes.map(|byte| Ok::<_, Infallible>(Bytes::from(vec![byte])));
            Response::new(Body::from_stream(futures::stream::iter(bytes)))
        }
        "full" => refused(StatusCode::TOO_MANY_REQUESTS, "overloaded", Some("0")),
        "later" => refused(
            StatusCode::TOO_MANY_REQUESTS,
            "budget_exceeded",
            Some("3600"),
        ),
        "spent" => refused(StatusCode::TOO_MANY_REQUESTS, "budget_exceeded", None),
        "proxy" => {
            let response = Response::builder().status(StatusCode::BAD_GATEWAY);
            response.body("<h1>Bad Gateway</h1>".into()).unwrap()
        }
        "broken" => Response::new(Body::from_stream(async_stream::stream! {
            yield Ok(DELTA);
            // What is there is sent while nothing more is.
            tokio::time::sleep(Duration::from_millis(100)).await;
            yield Err(io::Error::other("gone"));
        })),
        "ended" => Response::new(DELTA.into()),
        "failed" => Response::new([DELTA, FAILED].concat().into()),
        "waits" => {
            let required = json!({"run_id": "a run/1", "expires_in_seconds": 9, "calls": []});
            let body = json!({"input_required": required, "steps": []}).to_string();
            let response = Response::builder().status(StatusCode::ACCEPTED);
            response.body(body.into()).unwrap()
        }
        _ => panic!("{what}"),
    }
}

/// Goes on with the run that waits.
async fn allowed(Parts((_, id)): Parts<(String, String)>) -> &'static str {
    assert_eq!(id, "a run/1");
    DONE
}

/// What `client` says of the service and of one in trouble, and how often it asked the latter.
async fn said(client: Command) -> (Value, BTreeMap<String, usize>) {
    let (gated, _gate, _chats) = Gated::new();
    let closed = Closed::with(gated, |config| config.server.max_concurrency = 1);
    let document = json!({"uri": "lock.md", "text": LOCK});
    let stored = closed.post(&closed.admin, "/documents", &document).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.text());
    let key = closed.key(&[], &[Scope::Query]).await;

    let count = Count::default();
    let troubled = Router::new()
        .route("/{what}/query", post(trouble))
        .route("/{what}/query/{id}/input", post(allowed))
        .with_state(Arc::clone(&count));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async { axum::serve(listener, troubled).await });
    let said = talk(&closed.bench, client, &[&key, &url]).await;
    serving.abort();
    let count = count.lock().unwrap().clone();
    (said, count)
}

fn check(said: &Value, count: &BTreeMap<String, usize>) {
    let text = "🔒 Öl und 🔑: the writer lock is held by one process at a time.";
    assert_eq!(said["answer"], text.replace(".", " [1]."));
    assert_eq!(said["uris"], json!(["lock.md"]));
    assert_eq!(said["marks"], json!(["[1]"]));
    assert_eq!(said["quotes"], json!([text]));
    assert_eq!(said["stream"], json!([said["answer"], said["answer"]]));
    let events = ["sources", "delta", "citation", "done"];
    assert_eq!(said["events"], json!(events));

    let full = json!(["overloaded", 429, null, true, 1]);
    let expected = [
        ("patient", json!(false)),
        ("key", json!(["unauthorized", 401, null, false, null])),
        ("collection", json!(["not_found", 404, null, false, null])),
        (
            "field",
            json!(["invalid_request", 400, "top_k", false, null]),
        ),
        ("nobody", json!(["unreachable", null, null, true, null])),
        ("busy", json!("late")),
        ("busy stream", json!("late")),
        ("troubled full", json!(["overloaded", 429, null, true, 0])),
        (
            "troubled later",
            json!(["budget_exceeded", 429, null, true, 3600]),
        ),
        (
            "troubled spent",
            json!(["budget_exceeded", 429, null, false, null]),
        ),
        (
            "troubled proxy",
            json!(["unexpected_response", 502, null, false, null]),
        ),
        (
            "troubled broken",
            json!(["interrupted", null, null, true, null]),
        ),
        (
            "troubled ended",
            json!(["interrupted", null, null, true, null]),
        ),
        (
            "troubled failed",
            json!(["provider_failed", null, null, true, null]),
        ),
        ("run", json!("a run/1")),
        ("allowed", json!(["delta", "done"])),
        ("full", full),
    ];
    for (name, expected) in expected {
        // Python has floats where JavaScript has numbers.
        let got = said[name].to_string().replace(".0", "");
        assert_eq!(got, expected.to_string(), "{name}");
    }
    let times = [
        ("broken", 1),
        ("busy", 3),
        ("busy-stream", 3),
        ("ended", 1),
        ("failed", 1),
        ("full", 3),
        ("later", 1),
        ("proxy", 1),
        ("spent", 1),
        ("waits", 1),
    ];
    assert_eq!(
        *count,
        times.map(|(name, times)| (name.to_owned(), times)).into()
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_asks_gives_up_and_tries_again() {
    let python = Path::new("python3");
    if !peers::run(python, &["--version"]) && !peers::are_required() {
        return println!("skipped: there is no python3");
    }
    let mut client = Command::new(python);
    client.arg(root().join("tests/server/own_clients/ask.py"));
    client.env("PYTHONPATH", root().join("clients/python"));
    client.env("PYTHONDONTWRITEBYTECODE", "1");
    let (said, count) = said(client).await;
    check(&said, &count);
    assert_eq!(said["closed"], 0);
}

#[test]
fn the_types_of_the_python_client_hold() {
    let Some(python) = peers::python("mypy", &[MYPY], "import mypy") else {
        return;
    };
    let output = Command::new(python)
        .current_dir(root())
        .env("MYPYPATH", "clients/python")
        .args(["-m", "mypy", "--strict", "--python-version", "3.10"])
        .args(["--cache-dir", "/dev/null"])
        .args(["clients/python/cairn.py", "tests/server/own_clients/ask.py"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typescript_asks_gives_up_and_tries_again() {
    let compiler = tokio::task::spawn_blocking(|| peers::node_modules(TYPESCRIPT));
    let Some(compiler) = compiler.await.unwrap() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for file in [
        "clients/typescript/cairn.ts",
        "tests/server/own_clients/ask.ts",
    ] {
        let file = root().join(file);
        std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    std::fs::write(folder.path().join("package.json"), r#"{"type": "module"}"#).unwrap();
    let output = Command::new("node")
        .current_dir(folder.path())
        .arg(compiler.join("node_modules/typescript/bin/tsc"))
        .args([
            "--strict",
            "--noUncheckedIndexedAccess",
            "--exactOptionalPropertyTypes",
        ])
        // Whoever strips the types instead of compiling gets the same program.
        .args([
            "--erasableSyntaxOnly",
            "--verbatimModuleSyntax",
            "--isolatedModules",
        ])
        .args(["--target", "es2022", "--lib", "es2022,dom,dom.iterable"])
        .args(["--module", "nodenext", "ask.ts"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{errors}");
    let mut client = Command::new("node");
    client.arg(folder.path().join("ask.js"));
    let (said, count) = said(client).await;
    check(&said, &count);
    assert_eq!(said["aborted"], "AbortError");
    assert_eq!(said["left"], false);
}
