//! What a request may be made of: each bound has an error that names it. And what is
//! damaged or full leaves everything else alone.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Bench, request};

async fn refused(bench: &Bench, path: &str, body: &Value) -> (String, Option<String>) {
    let reply = bench.post(path, body).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
    let (code, param) = reply.error();
    assert_eq!(code, "invalid_request");
    let message = reply.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.len() < 1000, "{} bytes of message", message.len());
    (message, param)
}

#[tokio::test]
async fn json_is_bounded_before_it_is_built() {
    let bench = Bench::new();
    for path in [
        "/search",
        "/query",
        "/documents",
        "/v1/chat/completions",
        "/v1/batches",
        "/v1/embeddings",
        "/v1/rerank",
        "/embed",
        "/rerank",
    ] {
        let deep = format!("{{\"filter\":{}", "{\"not\":".repeat(100_000));
        let deep = request(Method::POST, path, "application/json", deep);
        let reply = bench.reply(deep).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(
            reply.text().contains("64 levels"),
            "{path}: {}",
            reply.text()
        );
    }
    let wide = format!("{{\"query\":\"x\",\"filter\":[{}0]}}", "0,".repeat(200_000));
    let reply = request(Method::POST, "/search", "application/json", wide);
    let reply = bench.reply(reply).await;
    assert!(reply.text().contains("100000 values"), "{}", reply.text());
    let deep = format!("/query?q=x&filter={}", "[".repeat(5000));
    let reply = bench.get(&deep).await;
    assert!(reply.text().contains("64 levels"), "{}", reply.text());
    // A batch has many values, and a text may hold brackets.
    let brackets = json!({"uri": "a.md", "text": "[".repeat(100_000) + " a kettle"});
    assert_eq!(
        bench.post("/documents", &brackets).await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn metadata_filters_and_names_are_bounded() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let keys: serde_json::Map<String, Value> =
        (0..257).map(|n| (format!("k{n}"), json!(n))).collect();
    for (metadata, said) in [
        (json!(keys), "256 keys"),
        (json!({"k": "v".repeat(64 << 10)}), "65536 bytes"),
        (json!({"k".repeat(257): 1}), "256 bytes"),
    ] {
        let body = json!({"uri": "m.md", "text": "x", "metadata": metadata});
        let (message, param) = refused(&bench, "/documents", &body).await;
        assert!(message.contains(said), "{message}");
        assert_eq!(param.as_deref(), Some("metadata"));
    }
    for (filter, said) in [
        (
            json!({"or": vec![json!({"n": 1}); 1025]}),
            "1024 conditions",
        ),
        (json!({"n": {"in": vec![1; 10_001]}}), "10000 values"),
        (json!({"n": "x".repeat(8193)}), "8192 bytes"),
    ] {
        let body = json!({"query": "lock", "filter": filter});
        let (message, param) = refused(&bench, "/search", &body).await;
        assert!(message.contains(said), "{message}");
        assert_eq!(param.as_deref(), Some("filter"));
    }
    let model = "m".repeat(257);
    let chat = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
    let batch = json!({"requests": [{"custom_id": "1", "body": chat}]});
    for (path, body, field) in [
        ("/query", json!({"query": "x", "model": model}), "model"),
        ("/v1/chat/completions", chat, "model"),
        ("/v1/batches", batch, "requests[0].body.model"),
    ] {
        let (message, param) = refused(&bench, path, &body).await;
        assert!(message.contains("256 bytes"), "{message}");
        assert_eq!(param.as_deref(), Some(field));
    }
    let tools = vec![json!({"type": "function", "function": {"name": "f"}}); 257];
    let message = json!({"role": "user", "content": "x"});
    let chat = json!({"model": "script", "messages": [message], "tools": tools});
    let (_, param) = refused(&bench, "/v1/chat/completions", &chat).await;
    assert_eq!(param.as_deref(), Some("tools"));
}

#[tokio::test]
async fn there_are_only_so_many_collections() {
    let bench = Bench::with(std::sync::Arc::new(super::Scripted::citing()), |config| {
        config.server.max_collections = 2;
    });
    let upload = |collection: &str| json!({"text": "A kettle.", "collection": collection});
    for collection in ["one", "two", "one"] {
        let reply = bench.post("/documents", &upload(collection)).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    }
    let (message, param) = refused(&bench, "/documents", &upload("three")).await;
    assert!(message.contains("server.max_collections"), "{message}");
    assert_eq!(param.as_deref(), Some("collection"));
    assert!(!bench.dir.path().join("data/collections/three").exists());
}

#[tokio::test]
async fn a_damaged_collection_leaves_everything_else_alone() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let words = bench.dir.path().join("data/collections/bad/words");
    std::fs::create_dir_all(&words).unwrap();
    std::fs::write(words.join("meta.json"), "{ nope").unwrap();
    let ask = |collection: &str| json!({"query": "writer lock", "collection": collection});
    for _ in 0..3 {
        let reply = bench.post("/search", &ask("bad")).await;
        assert!(reply.status.is_server_error(), "{}", reply.text());
        assert!(!reply.text().contains(bench.dir.path().to_str().unwrap()));
        let upload = json!({"text": "A kettle.", "collection": "bad"});
        let reply = bench.post("/documents", &upload).await;
        assert!(reply.status.is_server_error(), "{}", reply.text());
        let reply = bench.post("/search", &ask("main")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        assert_eq!(bench.get("/health").await.status, StatusCode::OK);
        let page = bench.get("/metrics").await;
        assert!(
            page.text()
                .contains("cairn_index_documents{collection=\"main\"}")
        );
    }
    let listed = bench.get("/collections").await.json();
    let of = |at: usize| listed["collections"][at].clone();
    assert_eq!(
        (&of(0)["name"], &of(1)["name"]),
        (&json!("bad"), &json!("main"))
    );
    assert!(
        of(0)["error"]["code"].is_string() && of(1)["error"].is_null(),
        "{listed}"
    );
}
