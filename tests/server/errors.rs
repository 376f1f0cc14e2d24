//! The one shape of errors, on every path that can fail before a handler.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use cairn::server::error::Code;

use super::{Bench, request};

#[tokio::test]
async fn every_failure_has_the_shape_and_no_path_of_the_machine() {
    let bench = Bench::new();
    let json = "application/json";
    let get = |uri: &str| Request::get(uri).body(Body::empty()).unwrap();
    let cases = [
        (get("/nope"), StatusCode::NOT_FOUND, "not_found"),
        (
            get("/documents/../../etc/passwd"),
            StatusCode::NOT_FOUND,
            "not_found",
        ),
        (
            request(Method::PUT, "/query", json, "{}"),
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
        ),
        (
            request(Method::POST, "/health", json, "{}"),
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
        ),
        (
            request(Method::POST, "/query", json, "{"),
            StatusCode::BAD_REQUEST,
            "invalid_request",
        ),
        (
            request(Method::POST, "/query", json, ""),
            StatusCode::BAD_REQUEST,
            "invalid_request",
        ),
        (
            request(Method::POST, "/query", json, "[]"),
            StatusCode::BAD_REQUEST,
            "invalid_request",
        ),
        (
            request(Method::POST, "/query", json, &b"\xff\xfe"[..]),
            StatusCode::BAD_REQUEST,
            "invalid_request",
        ),
        (
            request(Method::POST, "/query", "text/plain", "hello"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media",
        ),
        (
            request(Method::POST, "/documents", "text/plain", "hello"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media",
        ),
        (
            request(Method::POST, "/query", json, "x".repeat(3 << 20)),
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
        ),
    ];
    for (request, status, code) in cases {
        let what = format!("{} {}", request.method(), request.uri());
        let reply = bench.reply(request).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_eq!(reply.error().0, code, "{what}");
        let code = Code::parse(code).unwrap();
        assert_eq!(code.status(), status, "{what}: the table says it");
        assert_eq!(
            code.retryable(),
            !reply.header("retry-after").is_empty(),
            "{what}"
        );
        let dir = bench.dir.path().to_str().unwrap();
        assert!(!reply.text().contains(dir), "{what}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_broken_collection_says_so_without_its_path() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let folder = bench
        .service
        .config()
        .storage
        .data_dir
        .join("collections/broken");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("meta.json"), "not an index").unwrap();
    let list = bench.get("/collections").await;
    assert_eq!(list.status, StatusCode::OK);
    assert_eq!(
        list.json()["collections"].as_array().unwrap().len(),
        2,
        "{}",
        list.text()
    );
    assert!(
        !list.text().contains(bench.dir.path().to_str().unwrap()),
        "{}",
        list.text()
    );
}
