//! Start and stop, over real connections.

use std::sync::Arc;

use axum::http::StatusCode;
use cairn::server::{self, IndexingProgress};
use futures::StreamExt as _;
use serde_json::json;

use super::{Bench, Gated};

#[tokio::test]
async fn before_the_models_are_loaded_it_says_so() {
    let bench = Bench::starting(|_| {});
    assert_eq!(bench.get("/health").await.status, StatusCode::OK);
    bench
        .service
        .lifecycle()
        .set_activity(Some("Loading.".into()));
    let ready = bench.get("/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        ready.json(),
        json!({"ready": false, "phase": "starting", "activity": "Loading."})
    );
    for reply in [
        bench.post("/query", &json!({"query": "x"})).await,
        bench.post("/search", &json!({"query": "x"})).await,
        bench.post("/documents", &json!({"text": "x"})).await,
        bench.get("/collections").await,
    ] {
        assert_eq!(
            reply.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{}",
            reply.text()
        );
        assert_eq!(reply.error().0, "not_ready");
        assert!(!reply.header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn a_run_of_the_indexer_is_shown_beside_answers() {
    let bench = Bench::new();
    let progress = IndexingProgress {
        files_done: 3,
        files_total: 9,
        chunks: 40,
    };
    bench.service.lifecycle().set_indexing(Some(progress));
    let ready = bench.get("/ready").await;
    assert_eq!(ready.status, StatusCode::OK);
    assert_eq!(
        ready.json()["indexing"],
        json!({"files_done": 3, "files_total": 9, "chunks": 40})
    );
}

/// A service on a port of its own, and a stream that waits at the gate.
struct Open {
    bench: Bench,
    base: String,
    server: tokio::task::JoinHandle<anyhow::Result<()>>,
    gate: Arc<tokio::sync::Semaphore>,
    body: futures::stream::BoxStream<'static, reqwest::Result<axum::body::Bytes>>,
    text: String,
    cancel: cairn_models::Cancel,
}

async fn open(drain_seconds: u64) -> Open {
    let (provider, gate, mut chats) = Gated::new();
    let bench = Bench::with(provider, |config| {
        config.server.drain_seconds = drain_seconds
    });
    bench.upload_guide().await;
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(server::serve(listener, Arc::clone(&bench.service)));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({"query": "Who holds the writer lock?"});
    let response = client
        .post(format!("{base}/query"))
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.bytes_stream().boxed();
    let mut text = String::new();
    while !text.contains("event: delta") {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    let cancel = chats.recv().await.unwrap();
    Open {
        bench,
        base,
        server,
        gate,
        body,
        text,
        cancel,
    }
}

async fn rest(mut open: Open) -> String {
    while let Some(bytes) = open.body.next().await {
        open.text
            .push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
    }
    open.server.await.unwrap().unwrap();
    open.text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_lets_open_streams_end() {
    let open = open(600).await;
    open.bench.service.lifecycle().stop();
    assert_eq!(
        open.bench.get("/ready").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let refused = open.bench.post("/search", &json!({"query": "x"})).await;
    assert_eq!(refused.error().0, "shutting_down");
    // The listener closes as soon as its task runs again.
    while reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(format!("{}/health", open.base))
        .send()
        .await
        .is_ok()
    {
        tokio::task::yield_now().await;
    }
    open.gate.add_permits(1);
    let text = rest(open).await;
    assert!(text.contains("event: done"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_outlast_the_patience_hear_why_they_end() {
    let open = open(0).await;
    let cancel = open.cancel.clone();
    open.bench.service.lifecycle().stop();
    let text = rest(open).await;
    assert!(
        text.contains("event: error") && text.contains("shutting_down"),
        "{text}"
    );
    assert!(cancel.is_cancelled());
}
