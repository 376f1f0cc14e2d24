//! The embedder for other programs: OpenAI's format and that of text-embeddings-inference.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use base64::Engine as _;
use cairn_gateway::accounts::Scope;
use cairn_models::testing::{HashEmbedder, ScriptedEmbedder};
use cairn_models::{Cancel, Embedder, Error, ErrorKind};
use serde_json::{Value, json};

use super::keys::Closed;
use super::{Bench, json_request};

const PATH: &str = "/v1/embeddings";
const TEXTS: [&str; 3] = ["the writer lock", "", "élan und Öl"];

pub(super) fn vectors(texts: &[&str]) -> Vec<Vec<f32>> {
    HashEmbedder.embed(texts, &Cancel::never()).unwrap()
}

fn body(input: Value) -> Value {
    json!({"model": "hash-64", "input": input})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = body(json!("a text"));
    body[field] = value;
    body
}

fn floats(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[tokio::test]
async fn texts_become_vectors_in_their_order() {
    let bench = Bench::new();
    let reply = bench.post(PATH, &body(json!(TEXTS))).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let got = reply.json();
    assert_eq!(
        (&got["object"], &got["model"]),
        (&json!("list"), &json!("hash-64"))
    );
    assert_eq!(got["usage"], json!({"prompt_tokens": 6, "total_tokens": 6}));
    let data = got["data"].as_array().unwrap();
    assert_eq!(data.len(), 3);
    for (at, expected) in vectors(&TEXTS).iter().enumerate() {
        let item = &data[at];
        assert_eq!(
            (&item["object"], &item["index"]),
            (&json!("embedding"), &json!(at))
        );
        assert_eq!(&floats(&item["embedding"]), expected);
    }
    let mut one = with("encoding_format", json!("base64"));
    one["input"] = json!(TEXTS[0]);
    one["dimensions"] = json!(64);
    one["user"] = json!("someone");
    let got = bench.post(PATH, &one).await.json();
    assert_eq!(got["data"].as_array().unwrap().len(), 1);
    let text = got["data"][0]["embedding"].as_str().unwrap();
    let bytes = base64::prelude::BASE64_STANDARD.decode(text).unwrap();
    let numbers: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    assert_eq!(numbers, vectors(&TEXTS[..1])[0]);
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let bench = Bench::new();
    let long = "x".repeat((256 << 10) + 1);
    let cases = [
        (json!({"model": "hash-64"}), "input", "missing"),
        (json!({"input": "x"}), "model", "missing"),
        (body(json!([])), "input", "1 to 2048 texts"),
        (body(json!(vec!["x"; 2049])), "input", "not 2049"),
        (body(json!(long)), "input", "262144"),
        (body(json!(["x", long])), "input[1]", "262144"),
        (
            body(json!([1, 2])),
            "input",
            "check_embedding_ctx_length=False",
        ),
        (
            body(json!([[1, 2], [3]])),
            "input",
            "check_embedding_ctx_length=False",
        ),
        (body(json!(7)), "input", "a text or a list of texts"),
        (body(json!([null])), "input[0]", "a text"),
        (
            with("encoding_format", json!("int8")),
            "encoding_format",
            "base64",
        ),
        (with("dimensions", json!(32)), "dimensions", "64 numbers"),
        (with("task", json!("retrieval")), "task", "unknown field"),
        (with("model", json!("m".repeat(257))), "model", "256 bytes"),
    ];
    for (body, field, said) in cases {
        let reply = bench.post(PATH, &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
        let (code, param) = reply.error();
        assert_eq!((&*code, param.as_deref()), ("invalid_request", Some(field)));
        assert!(reply.text().contains(said), "{said}: {}", reply.text());
    }
    // As many token ids as LangChain sends for its thousand texts.
    let tokens = body(json!(vec![vec![1; 500]; 1000]));
    let reply = bench.post(PATH, &tokens).await;
    assert!(reply.text().contains("token ids"), "{}", reply.text());
    let reply = bench
        .post(PATH, &with("model", json!("text-embedding-3-small")))
        .await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(
        reply.error(),
        ("not_found".to_owned(), Some("model".to_owned()))
    );
    assert!(reply.text().contains("`hash-64`"), "{}", reply.text());
    let huge = body(json!(vec!["x".repeat(250_000); 34]));
    assert_eq!(
        bench.post(PATH, &huge).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn a_model_is_named_with_its_checksum_or_without() {
    let embedder = ScriptedEmbedder {
        id: "org/small@0123abcd".to_owned(),
        ..ScriptedEmbedder::new(|texts: &[&str], cancel: &Cancel| HashEmbedder.embed(texts, cancel))
    };
    let bench = Bench::with_models(Some(Arc::new(embedder)), None);
    for (model, status) in [
        ("org/small", StatusCode::OK),
        ("org/small@0123abcd", StatusCode::OK),
        ("org/small@ffffffff", StatusCode::NOT_FOUND),
        ("small", StatusCode::NOT_FOUND),
        ("", StatusCode::NOT_FOUND),
    ] {
        let reply = bench.post(PATH, &with("model", json!(model))).await;
        assert_eq!(reply.status, status, "{model}: {}", reply.text());
        if status == StatusCode::OK {
            assert_eq!(reply.json()["model"], "org/small@0123abcd");
        }
    }
    let model = bench.get("/v1/models/org%2Fsmall@0123abcd").await.json();
    assert_eq!(model["type"], "embedding", "{model}");
    let bench = Bench::with_models(None, None);
    for (path, body) in [(PATH, body(json!("x"))), ("/embed", json!({"inputs": "x"}))] {
        let reply = bench.post(path, &body).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert!(reply.text().contains("models.embedder"), "{}", reply.text());
    }
}

#[tokio::test]
async fn the_plain_format() {
    let bench = Bench::new();
    for (inputs, texts) in [(json!(TEXTS), &TEXTS[..]), (json!(TEXTS[0]), &TEXTS[..1])] {
        let body = json!({"inputs": inputs, "normalize": true, "truncate": true});
        let reply = bench.post("/embed", &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        let got: Vec<Vec<f32>> = serde_json::from_value(reply.json()).unwrap();
        assert_eq!(got, vectors(texts));
    }
    for (body, field) in [
        (json!({"inputs": "x", "normalize": false}), "normalize"),
        (json!({"inputs": "x", "dimensions": 3}), "dimensions"),
        (json!({"inputs": [[1]]}), "inputs"),
        (
            json!({"inputs": "x", "prompt_name": "query"}),
            "prompt_name",
        ),
    ] {
        let reply = bench.post("/embed", &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
        assert_eq!(reply.error().1.as_deref(), Some(field));
    }
}

#[tokio::test]
async fn a_full_queue_is_overloaded() {
    let full = ScriptedEmbedder::new(|_: &[&str], _: &Cancel| {
        Err(Error::new(ErrorKind::Overloaded, "64 wait"))
    });
    let bench = Bench::with_models(Some(Arc::new(full)), None);
    let reply = bench.post(PATH, &body(json!("x"))).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.error().0, "overloaded");
    assert_eq!(reply.header("retry-after"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_ends_the_work() {
    let (begin, begun) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let (begin, end) = (Mutex::new(begin), Mutex::new(end));
    let waiting = ScriptedEmbedder::new(move |_: &[&str], cancel: &Cancel| {
        begin.lock().unwrap().send(()).unwrap();
        let start = Instant::now();
        while !cancel.is_cancelled() && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(2));
        }
        end.lock().unwrap().send(cancel.is_cancelled()).unwrap();
        cancel.check().map(|()| Vec::new())
    });
    let bench = Arc::new(Bench::with_models(Some(Arc::new(waiting)), None));
    let request = json_request(PATH, &body(json!("x")));
    let asking = Arc::clone(&bench);
    let client = tokio::spawn(async move { asking.reply(request).await });
    tokio::task::spawn_blocking(move || begun.recv().unwrap())
        .await
        .unwrap();
    client.abort();
    let cancelled = tokio::task::spawn_blocking(move || ended.recv().unwrap());
    assert!(cancelled.await.unwrap());
}

#[tokio::test]
async fn each_format_has_its_scope() {
    let closed = Closed::with(Arc::new(super::Scripted::citing()), |_| {});
    let chat = closed.key(&[], &[Scope::Chat]).await;
    let search = closed.key(&[], &[Scope::Search]).await;
    let openai = body(json!("x"));
    let plain = json!({"inputs": "x"});
    let cohere = json!({"query": "x", "documents": ["x"]});
    let tei = json!({"query": "x", "texts": ["x"]});
    for (path, body, key, other) in [
        (PATH, &openai, &chat, &search),
        ("/v1/rerank", &cohere, &chat, &search),
        ("/v2/rerank", &cohere, &chat, &search),
        ("/embed", &plain, &search, &chat),
        ("/rerank", &tei, &search, &chat),
    ] {
        let reply = closed.post(key, path, body).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text());
        let reply = closed.post(other, path, body).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
        let reply = closed.bench.post(path, body).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(closed.get(&search, "/info").await.status, StatusCode::OK);
    assert_eq!(
        closed.get(&chat, "/info").await.status,
        StatusCode::FORBIDDEN
    );
}
