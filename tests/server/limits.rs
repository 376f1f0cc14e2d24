//! How much and for how long; foreign pages; request ids.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;

use super::{Bench, Gated, json_request, request};

const QUESTION: &str = "Who holds the writer lock?";

#[tokio::test]
async fn a_full_service_says_so_and_recovers() {
    let (provider, gate, _chats) = Gated::new();
    let bench = Bench::with(provider, |config| config.server.max_concurrency = 1);
    bench.upload_guide().await;
    let stream = bench
        .send(json_request("/query", &json!({"query": QUESTION})))
        .await;
    assert_eq!(stream.status(), StatusCode::OK);

    let turned_away = bench.post("/search", &json!({"query": QUESTION})).await;
    assert_eq!(turned_away.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(turned_away.error().0, "overloaded");
    assert!(!turned_away.header("retry-after").is_empty());
    assert_eq!(
        bench.get("/health").await.status,
        StatusCode::OK,
        "operators are not turned away"
    );

    gate.add_permits(1);
    let body = axum::body::to_bytes(stream.into_body(), usize::MAX)
        .await
        .unwrap();
    assert!(std::str::from_utf8(&body).unwrap().contains("event: done"));
    assert_eq!(
        bench
            .post("/search", &json!({"query": QUESTION}))
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up_and_cancelled() {
    let (provider, _gate, mut chats) = Gated::new();
    let bench = Bench::with(provider, |config| config.server.request_seconds = 1);
    bench.upload_guide().await;
    let reply = bench
        .post("/query", &json!({"query": QUESTION, "stream": false}))
        .await;
    assert_eq!(
        reply.status,
        StatusCode::GATEWAY_TIMEOUT,
        "{}",
        reply.text()
    );
    assert_eq!(reply.error().0, "timeout");
    assert!(chats.recv().await.unwrap().is_cancelled());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let bench = Bench::with(std::sync::Arc::new(super::Scripted::citing()), |config| {
        config.server.max_body_mb = 1;
    });
    let text = "x ".repeat(1 << 20);
    let json = bench.post("/documents", &json!({"text": text})).await;
    let form = format!(
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n{text}\r\n--b--\r\n"
    );
    let form = request(
        Method::POST,
        "/documents",
        "multipart/form-data; boundary=b",
        form,
    );
    let form = bench.reply(form).await;
    for reply in [json, form] {
        assert_eq!(
            reply.status,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{}",
            reply.text()
        );
        assert_eq!(reply.error().0, "too_large");
    }
}

fn from_page(origin: &str, body: &serde_json::Value) -> Request<Body> {
    let mut request = json_request("/documents", body);
    request
        .headers_mut()
        .insert("origin", origin.parse().unwrap());
    request
        .headers_mut()
        .insert("host", "127.0.0.1:8620".parse().unwrap());
    request
}

#[tokio::test]
async fn a_page_under_a_name_of_its_own_reads_nothing() {
    let bench = Bench::with(std::sync::Arc::new(super::Scripted::citing()), |config| {
        config.server.allowed_hosts = vec!["docs.example".into()];
    });
    let ask = |host: &str| {
        Request::get("/health")
            .header("host", host)
            .body(Body::empty())
            .unwrap()
    };
    let reply = bench.reply(ask("rebound.example:8620")).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(reply.error().0, "forbidden_host");
    for host in ["127.0.0.1:8620", "localhost:8620", "docs.example"] {
        assert_eq!(
            bench.reply(ask(host)).await.status,
            StatusCode::OK,
            "{host}"
        );
    }
}

#[tokio::test]
async fn pages_of_other_origins_change_nothing() {
    let allowed = "https://docs.example.com";
    let bench = Bench::with(std::sync::Arc::new(super::Scripted::citing()), |config| {
        config.server.cors_origins = vec![allowed.into()];
    });
    for foreign in ["https://evil.example", "null", "http://127.0.0.1:9999"] {
        let reply = bench
            .reply(from_page(foreign, &json!({"text": "planted"})))
            .await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{foreign}");
        assert_eq!(reply.error().0, "forbidden_origin");
        assert_eq!(reply.header("access-control-allow-origin"), "");
    }
    for known in [allowed, "http://127.0.0.1:8620"] {
        let reply = bench
            .reply(from_page(known, &json!({"text": "wanted"})))
            .await;
        assert_eq!(reply.status, StatusCode::CREATED, "{known}");
    }
    let preflight = Request::options("/query")
        .header("origin", allowed)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .body(Body::empty())
        .unwrap();
    let reply = bench.reply(preflight).await;
    assert_eq!(reply.header("access-control-allow-origin"), allowed);
    assert!(
        reply
            .header("access-control-allow-methods")
            .contains("POST")
    );
}

#[tokio::test]
async fn every_response_carries_an_id_and_careful_headers() {
    let bench = Bench::new();
    for uri in ["/health", "/nope", "/", "/collections"] {
        let reply = bench.get(uri).await;
        assert_eq!(reply.header("x-request-id").len(), 36, "{uri}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{uri}");
        let policy = reply.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{uri}"
        );
    }
    let sent = Request::get("/health")
        .header("x-request-id", "trace-7")
        .body(Body::empty())
        .unwrap();
    assert_eq!(bench.reply(sent).await.header("x-request-id"), "trace-7");
    let forged = Request::get("/health")
        .header("x-request-id", "a b\"c")
        .body(Body::empty())
        .unwrap();
    assert_eq!(bench.reply(forged).await.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn json_is_compressed_for_those_who_ask() {
    let bench = Bench::new();
    let request = Request::get("/openapi.json")
        .header("accept-encoding", "gzip")
        .body(Body::empty());
    let reply = bench.reply(request.unwrap()).await;
    assert_eq!(reply.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn figures_of_every_stage_are_shown() {
    let bench = Bench::new();
    bench.upload_guide().await;
    // A second document, so that there is something to re-rank.
    bench
        .post(
            "/documents",
            &json!({"uri": "b.md", "text": "The lock is free."}),
        )
        .await;
    // Starts the recorder, so that what follows is counted.
    bench.get("/metrics").await;
    bench
        .post("/query", &json!({"query": QUESTION, "stream": false}))
        .await;
    bench.get("/query?q=").await;
    let page = bench.get("/metrics").await;
    assert!(
        page.header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    for series in [
        "cairn_http_requests_total{method=\"POST\",route=\"/query\",status=\"200\"}",
        "cairn_http_request_seconds_bucket{route=\"/query\",le=\"0.0005\"}",
        "cairn_http_in_flight",
        "cairn_errors_total{code=\"invalid_request\"}",
        "cairn_stage_seconds_bucket{stage=\"lexical\"",
        "cairn_stage_seconds_bucket{stage=\"dense\"",
        "cairn_stage_seconds_bucket{stage=\"embed\"",
        "cairn_stage_seconds_bucket{stage=\"fuse\"",
        "cairn_stage_seconds_bucket{stage=\"rerank\"",
        "cairn_first_token_seconds_count",
        "cairn_answers_total{outcome=\"answered\"}",
        "cairn_tokens_total{kind=\"completion\",provider=\"script\"}",
        "cairn_index_chunks{collection=\"main\"}",
        "cairn_index_documents{collection=\"main\"} 2",
    ] {
        assert!(
            page.text().contains(series),
            "no {series} in\n{}",
            page.text()
        );
    }
}
