//! `/v1/batches` through a service that runs: submitted, worked off, polled for.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use cairn::server::{open_jobs, work_jobs};
use serde_json::{Value, json};

use super::{Bench, Gated};

fn request(id: &str, model: &str) -> Value {
    let messages = json!([{"role": "user", "content": format!("Question {id}")}]);
    json!({"custom_id": id, "body": {"model": model, "messages": messages}})
}

impl Bench {
    /// Lets the worker of the service run, alongside the router of the tests.
    async fn run(&self) {
        open_jobs(&self.service).await;
        tokio::spawn(work_jobs(Arc::clone(&self.service)));
    }

    async fn batch(&self, id: &str, status: &str) -> Value {
        for _ in 0..6000 {
            let info = self.get(&format!("/v1/batches/{id}")).await.json();
            if info["status"] == status {
                return info;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the batch never was {status}");
    }
}

#[tokio::test]
async fn a_batch_is_answered_and_its_results_are_paged() {
    let bench = Bench::new();
    bench.run().await;
    let requests: Vec<Value> = (0..5)
        .map(|n| request(&format!("q{n}"), "script"))
        .collect();
    let mut requests = requests;
    requests.push(request("lost", "nobody"));
    let reply = bench
        .post("/v1/batches", &json!({ "requests": requests }))
        .await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let info = bench.batch(&id, "completed").await;
    assert_eq!(info["counts"]["total"], 6);
    assert_eq!(
        (&info["counts"]["done"], &info["counts"]["failed"]),
        (&json!(5), &json!(1))
    );

    let page = bench
        .get(&format!("/v1/batches/{id}/results?offset=4&limit=10"))
        .await
        .json();
    let results = page["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(
        (&results[0]["custom_id"], &results[0]["state"]),
        (&json!("q4"), &json!("done"))
    );
    let choice = &results[0]["response"]["choices"][0];
    assert!(
        choice["message"]["content"]
            .as_str()
            .unwrap()
            .contains("writer lock")
    );
    assert_eq!(results[1]["error"]["param"], "model");
    let list = bench.get("/v1/batches").await.json();
    assert_eq!(list["batches"][0]["id"], *id);
    bench.service.lifecycle().stop();
}

#[tokio::test]
async fn a_cancelled_batch_cancels_its_calls() {
    let (gated, _gate, mut chats) = Gated::new();
    let bench = Bench::with(gated, |config| config.batches.parallel = 1);
    bench.run().await;
    let requests = [request("a", "script"), request("b", "script")];
    let reply = bench
        .post("/v1/batches", &json!({ "requests": requests }))
        .await;
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let call = chats.recv().await.unwrap();
    let reply = bench
        .post(&format!("/v1/batches/{id}/cancel"), &json!({}))
        .await;
    assert_eq!(reply.json()["status"], "cancelled");
    assert_eq!(reply.json()["counts"]["cancelled"], 2);
    while !call.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.service.lifecycle().stop();
}

#[tokio::test]
async fn wrong_batches_are_refused_with_the_request_to_blame() {
    let bench = Bench::new();
    let bad_body = json!({"custom_id": "x", "body": {"model": "script", "messages": []}});
    let streamed = json!({"custom_id": "x", "body": {"model": "script", "stream": true,
        "messages": [{"role": "user", "content": "Hello"}]}});
    for (requests, param) in [
        (json!([]), "requests"),
        (
            json!([request("a", "script"), request("a", "script")]),
            "requests",
        ),
        (
            json!([request("a", "script"), bad_body]),
            "requests[1].body.messages",
        ),
        (json!([streamed]), "requests[0].body.stream"),
        (json!([request("", "script")]), "requests"),
    ] {
        let reply = bench
            .post("/v1/batches", &json!({ "requests": requests }))
            .await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            reply.error(),
            ("invalid_request".into(), Some(param.into()))
        );
    }
    let reply = bench.get("/v1/batches/nobody/results").await;
    assert_eq!(reply.error().0, "not_found");
    let reply = bench.get("/v1/batches/nobody/results?limit=0").await;
    assert_eq!(reply.error().1.as_deref(), Some("limit"));
}
