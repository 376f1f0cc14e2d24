//! What the formats of other programs cost alongside the call beneath them.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::Bench;

const QUESTION: &str = "Who holds the writer lock?";
const CALLS: usize = 400;

/// Medians of calls that take turns, so that all meet the same machine.
async fn medians(bench: &Bench, calls: &[(&str, Value)]) -> Vec<Duration> {
    let mut took = vec![Vec::new(); calls.len()];
    for round in 0..CALLS + 20 {
        for (at, (path, body)) in calls.iter().enumerate() {
            let start = Instant::now();
            let reply = bench.post(path, body).await;
            let elapsed = start.elapsed();
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
            if round >= 20 {
                took[at].push(elapsed);
            }
        }
    }
    took.iter_mut()
        .map(|took| {
            took.sort();
            took[took.len() / 2]
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints times"]
async fn of_each_format() {
    let bench = Bench::new();
    bench.upload_guide().await;
    for n in 0..200 {
        let text = format!("# Page {n}\n\nThe writer lock of page {n} is held by process {n}.\n");
        bench
            .post(
                "/documents",
                &json!({"uri": format!("{n}.md"), "text": text}),
            )
            .await;
    }
    let search = [
        ("/search", json!({"query": QUESTION, "top_k": 10})),
        ("/v1/vector_stores/main/search", json!({"query": QUESTION})),
        (
            "/retrieval",
            json!({"knowledge_id": "main", "query": QUESTION,
            "retrieval_setting": {"top_k": 10}}),
        ),
    ];
    let messages = json!([{"role": "user", "content": QUESTION}]);
    let file_search = json!([{"type": "file_search", "vector_store_ids": ["main"]}]);
    let query = [
        (
            "/query",
            json!({"query": QUESTION, "stream": false, "model": "extractive"}),
        ),
        (
            "/v1/chat/completions",
            json!({"model": "cairn@extractive", "messages": messages}),
        ),
        (
            "/v1/responses",
            json!({"model": "cairn@extractive", "input": QUESTION,
            "tools": file_search, "include": ["file_search_call.results"]}),
        ),
    ];
    for calls in [search, query] {
        let medians = medians(&bench, &calls).await;
        for ((path, _), median) in calls.iter().zip(&medians) {
            let more = median.as_secs_f64() - medians[0].as_secs_f64();
            println!("{path}: {median:?}, {:+.3} ms", more * 1e3);
        }
    }
}
