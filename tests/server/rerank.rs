//! The re-ranker for other programs: the formats of Cohere, Jina and
//! text-embeddings-inference.

use std::sync::Arc;

use axum::http::StatusCode;
use cairn_models::testing::{HashEmbedder, OverlapReranker};
use cairn_models::{Cancel, Reranker, TokenSpans};
use serde_json::{Value, json};

use super::Bench;

const PATH: &str = "/v1/rerank";
const QUERY: &str = "red fox";
/// Which hold none, all and half of the words of [`QUERY`].
const TEXTS: [&str; 3] = ["a blue whale", "a red fox", "the red house"];

fn body() -> Value {
    json!({"model": "overlap", "query": QUERY, "documents": TEXTS})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = body();
    body[field] = value;
    body
}

/// The probability of log-odds.
fn probability(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// Places and scores, checked against those of [`TEXTS`].
fn places(results: &Value, score: &str) -> Vec<u64> {
    let expected = [0.0, 1.0, 0.5].map(probability);
    let results = results.as_array().unwrap();
    let place = |result: &Value| {
        let at = result["index"].as_u64().unwrap();
        let score = result[score].as_f64().unwrap();
        assert!((score - expected[at as usize]).abs() < 1e-9, "{result}");
        at
    };
    results.iter().map(place).collect()
}

#[tokio::test]
async fn documents_are_ranked() {
    let bench = Bench::new();
    for (path, version) in [(PATH, "1"), ("/v2/rerank", "2")] {
        let reply = bench.post(path, &body()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        let got = reply.json();
        assert_eq!(places(&got["results"], "relevance_score"), [1, 2, 0]);
        assert!(got["results"][0].get("document").is_none());
        assert!(!got["id"].as_str().unwrap().is_empty());
        assert_eq!(
            (&got["object"], &got["model"]),
            (&json!("list"), &json!("overlap"))
        );
        assert_eq!(got["usage"], json!({"total_tokens": 11}));
        let tokens = json!({"input_tokens": 11, "output_tokens": 0});
        let meta = json!({"api_version": {"version": version}, "tokens": tokens});
        assert_eq!(got["meta"], meta);
    }
    let documents = json!([TEXTS[0], {"text": TEXTS[1], "title": "x"}, {"text": TEXTS[2]}]);
    let mut mixed = with("documents", documents);
    mixed["top_n"] = json!(2);
    mixed["return_documents"] = json!(true);
    mixed["priority"] = json!(1);
    mixed.as_object_mut().unwrap().remove("model");
    let got = bench.post(PATH, &mixed).await.json();
    assert_eq!(places(&got["results"], "relevance_score"), [1, 2]);
    assert_eq!(got["results"][0]["document"], json!({"text": TEXTS[1]}));
    let all = bench.post(PATH, &with("top_n", json!(100))).await.json();
    assert_eq!(all["results"].as_array().unwrap().len(), 3);
    // Nothing of the question is left: they keep their order.
    let cut = bench
        .post(PATH, &with("max_tokens_per_doc", json!(1)))
        .await
        .json();
    let order: Vec<_> = (0..3)
        .map(|at| cut["results"][at]["index"].clone())
        .collect();
    assert_eq!(order, [0, 1, 2]);
    assert_eq!(cut["usage"]["total_tokens"], 5);
}

#[tokio::test]
async fn the_best_window_of_a_long_document_counts() {
    let long = format!(
        "{}a red fox {}",
        "filler ".repeat(600),
        "filler ".repeat(600)
    );
    let documents = json!(["the red house", long]);
    let got = Bench::new()
        .post(PATH, &with("documents", documents))
        .await
        .json();
    assert_eq!(got["results"][0]["index"], 1);
    let score = got["results"][0]["relevance_score"].as_f64().unwrap();
    assert!((score - probability(1.0)).abs() < 1e-9, "{score}");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let bench = Bench::new();
    let long = "x".repeat((256 << 10) + 1);
    let cases = [
        (json!({"query": "x"}), "documents", "missing"),
        (json!({"documents": ["x"]}), "query", "missing"),
        (with("documents", json!([])), "documents", "1 to 1000 texts"),
        (
            with("documents", json!(vec!["x"; 1001])),
            "documents",
            "not 1001",
        ),
        (
            with("documents", json!(["x", long])),
            "documents[1]",
            "262144",
        ),
        (
            with("documents", json!(["x", {"title": "y"}])),
            "documents[1]",
            "a `text`",
        ),
        (
            with("documents", json!(["x", 7])),
            "documents[1]",
            "a `text`",
        ),
        (with("query", json!("  ")), "query", "no text"),
        (with("query", json!("x".repeat(8193))), "query", "8192"),
        (with("top_n", json!(0)), "top_n", "at least 1"),
        (with("top_n", json!(-1)), "top_n", "invalid value"),
        (
            with("max_tokens_per_doc", json!(0)),
            "max_tokens_per_doc",
            "at least 1",
        ),
        (
            with("rank_fields", json!(["title"])),
            "rank_fields",
            "unknown field",
        ),
    ];
    for (body, field, said) in cases {
        let reply = bench.post(PATH, &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
        let (code, param) = reply.error();
        assert_eq!((&*code, param.as_deref()), ("invalid_request", Some(field)));
        assert!(reply.text().contains(said), "{said}: {}", reply.text());
    }
    let reply = bench.post(PATH, &with("model", json!("rerank-v3.5"))).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(
        reply.error(),
        ("not_found".to_owned(), Some("model".to_owned()))
    );
    assert!(reply.text().contains("`overlap`"), "{}", reply.text());
}

#[tokio::test]
async fn the_plain_format() {
    let bench = Bench::new();
    let body = json!({"query": QUERY, "texts": TEXTS, "return_text": true, "truncate": true});
    let reply = bench.post("/rerank", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let got = reply.json();
    assert_eq!(places(&got, "score"), [1, 2, 0]);
    assert_eq!(got[0]["text"], TEXTS[1]);
    let body = json!({"query": QUERY, "texts": TEXTS, "raw_scores": true});
    let got = bench.post("/rerank", &body).await.json();
    let scores = [(1, 1.0), (2, 0.5), (0, 0.0)];
    let expected = scores.map(|(index, score)| json!({"index": index, "score": score}));
    assert_eq!(got, json!(expected));
    for (body, field) in [
        (json!({"query": "x", "texts": []}), "texts"),
        (json!({"query": "x", "texts": [{"text": "x"}]}), "texts[0]"),
        (json!({"query": "", "texts": ["x"]}), "query"),
    ] {
        let reply = bench.post("/rerank", &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
        assert_eq!(reply.error().1.as_deref(), Some(field));
    }
}

#[tokio::test]
async fn what_is_loaded_is_said() {
    let info = Bench::new().get("/info").await.json();
    assert_eq!(info["model_id"], "hash-64");
    let types = json!({
        "embedding": {"model_id": "hash-64", "max_input_length": 512},
        "reranker": {"model_id": "overlap", "max_input_length": 192},
    });
    assert_eq!(info["model_type"], types);
    assert_eq!(info["max_input_length"], 512);
    assert_eq!(info["max_client_batch_size"], 2048);
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    let reranker = Bench::with_models(None, Some(Arc::new(OverlapReranker)));
    let info = reranker.get("/info").await.json();
    assert_eq!(
        (&info["model_id"], &info["max_input_length"]),
        (&json!("overlap"), &json!(192))
    );
    assert!(info["model_type"].get("embedding").is_none());
    let none = Bench::with_models(None, None);
    assert_eq!(none.get("/info").await.status, StatusCode::NOT_FOUND);
    let embedder = Bench::with_models(Some(Arc::new(HashEmbedder)), None);
    for (path, body) in [
        (PATH, body()),
        ("/rerank", json!({"query": "x", "texts": ["x"]})),
    ] {
        let reply = embedder.post(path, &body).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert!(reply.text().contains("models.reranker"), "{}", reply.text());
    }
}

/// Has no words for what is not ASCII, and is sure of the rest.
struct Provincial;

impl Reranker for Provincial {
    fn id(&self) -> &str {
        "provincial"
    }
    fn window(&self) -> usize {
        OverlapReranker.window()
    }
    fn token_spans(&self, text: &str) -> cairn_models::Result<TokenSpans> {
        OverlapReranker.token_spans(text)
    }
    fn readable_share(&self, text: &str) -> cairn_models::Result<f32> {
        Ok(if text.is_ascii() { 1.0 } else { 0.0 })
    }
    fn score(&self, _: &str, texts: &[&str], _: &Cancel) -> cairn_models::Result<Vec<f32>> {
        assert!(texts.iter().all(|text| text.is_ascii()));
        Ok(texts.iter().map(|_| -80.0).collect())
    }
}

#[tokio::test]
async fn what_the_model_cannot_read_comes_last() {
    let bench = Bench::with_models(None, Some(Arc::new(Provincial)));
    let body =
        |query: &str| json!({"query": query, "texts": ["北码头", "a fox"], "raw_scores": true});
    let got = bench.post("/rerank", &body("fox")).await.json();
    let expected = json!([{"index": 1, "score": -80.0}, {"index": 0, "score": -1000.0}]);
    assert_eq!(got, expected);
    let got = bench.post("/rerank", &body("北码头")).await.json();
    let expected = json!([{"index": 0, "score": -1000.0}, {"index": 1, "score": -1000.0}]);
    assert_eq!(got, expected);
    let body = json!({"query": "fox", "documents": ["北码头", "a fox"]});
    let got = bench.post(PATH, &body).await.json();
    let score = |at: usize| got["results"][at]["relevance_score"].as_f64().unwrap();
    assert!(
        score(0) > 0.0 && score(0) < 1e-30 && score(1) == 0.0,
        "{got}"
    );
}
