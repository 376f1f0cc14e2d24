//! What was asked and what people said of it: `/usage` and `/feedback`.

use axum::http::StatusCode;
use cairn_gateway::accounts::Scope;
use serde_json::{Value, json};

use super::keys::Closed;
use super::{Bench, Reply};

/// A question that the guide answers, and its answer.
async fn asked(bench: &Bench) -> Value {
    let body = json!({"query": "Who holds the writer lock?", "stream": false});
    let reply = bench.post("/query", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply.json()
}

async fn usage(bench: &Bench, params: &str) -> Value {
    bench.service.accounts().flush();
    let reply = bench.get(&format!("/usage{params}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply.json()
}

async fn rate(bench: &Bench, query_id: &str, body: &Value) -> Reply {
    let uri = format!("/feedback/{query_id}");
    let request = super::request(
        axum::http::Method::PUT,
        &uri,
        "application/json",
        body.to_string(),
    );
    bench.reply(request).await
}

#[tokio::test]
async fn every_question_is_counted_with_how_it_ended_and_what_was_said() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let first = asked(&bench).await;
    let second = asked(&bench).await;
    let body = json!({"query": "Who holds the writer lock?", "generate": false});
    let streamed = bench.post("/query", &body).await;
    assert!(streamed.text().contains("event: done"));
    let greeting = json!({"query": "?!", "stream": false});
    bench.post("/query", &greeting).await;

    let up = json!({"rating": "up", "question": "Who holds it?", "answer": "One process [1].",
        "cited": [{"uri": "guide.md", "text": "one process"}]});
    for (answer, said) in [
        (&first, &up),
        (&second, &json!({"rating": "up", "question": "Who?"})),
        // Said again: the last one counts.
        (
            &second,
            &json!({"rating": "down", "question": "Who?", "comment": "no name"}),
        ),
    ] {
        let id = answer["query_id"].as_str().unwrap();
        let reply = rate(&bench, id, said).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text());
    }

    let report = usage(&bench, "").await;
    assert_eq!(
        (&report["by"], &report["all_keys"]),
        (&json!("day"), &json!(true))
    );
    let day = &report["answers"][0];
    assert!(day["questions"].as_u64().unwrap() >= 3, "{report}");
    assert_eq!((&day["up"], &day["down"]), (&json!(1), &json!(1)));
    assert_eq!((&day["failed"], &day["abandoned"]), (&json!(0), &json!(0)));
    let milliseconds = |name: &str| day[name].as_f64().unwrap();
    assert!(milliseconds("p50_ms") > 0.0);
    assert!(milliseconds("p50_ms") <= milliseconds("p95_ms"));
    assert!(milliseconds("sources_p50_ms") <= milliseconds("p95_ms"));
    let today = day["group"].as_str().unwrap();
    assert_eq!(report["until"], today);

    let by = usage(&bench, &format!("?by=collection&since={today}")).await;
    assert_eq!(by["answers"][0]["group"], "main");
    assert_eq!((&by["calls"], &by["cost_usd"]), (&json!([]), &json!(0.0)));
    let by = usage(&bench, "?by=model").await;
    let models: Vec<&str> = by["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["group"].as_str().unwrap())
        .collect();
    assert!(
        models.contains(&"script/script-1") && models.contains(&"extractive"),
        "{models:?}"
    );

    let said = bench.get("/feedback?rating=down").await.json();
    let rows = said["feedback"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["comment"], &rows[0]["collection"]),
        (&json!("no name"), &json!("main"))
    );
    assert!(rows[0].get("key_id").is_none());

    let id = first["query_id"].as_str().unwrap();
    let gone = bench.delete(&format!("/feedback/{id}")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let left = bench.get("/feedback").await.json();
    assert_eq!(left["feedback"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_as_one() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let body = json!({"query": "Who holds the writer lock?"});
    // Its body is never read.
    drop(bench.send(super::json_request("/query", &body)).await);
    let report = usage(&bench, "").await;
    let day = &report["answers"][0];
    assert_eq!(
        (&day["questions"], &day["abandoned"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(day["p50_ms"], Value::Null);
}

#[tokio::test]
async fn a_key_sees_and_rates_what_it_asked_itself() {
    let closed = Closed::with(std::sync::Arc::new(super::Scripted::citing()), |_| {});
    let guide = json!({"uri": "guide.md", "text": super::GUIDE});
    closed.post(&closed.admin, "/documents", &guide).await;
    let (mine, other) = (
        closed.key(&[], &[Scope::Query]).await,
        closed.key(&[], &[Scope::Query]).await,
    );
    let question = json!({"query": "Who holds the writer lock?", "stream": false});
    let answer = closed.post(&mine, "/query", &question).await.json();
    let uri = format!("/feedback/{}", answer["query_id"].as_str().unwrap());
    let said = json!({"rating": "down", "question": "Who holds the writer lock?"});
    for (key, status) in [
        (&other, StatusCode::NOT_FOUND),
        (&closed.admin, StatusCode::NOT_FOUND),
        (&mine, StatusCode::NO_CONTENT),
    ] {
        let reply = closed.send(key, "PUT", &uri, &said).await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    let hidden = closed.send(&other, "DELETE", &uri, &Value::Null).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    for (key, all, rows) in [
        (&mine, false, 1),
        (&other, false, 0),
        (&closed.admin, true, 1),
    ] {
        let report = closed.get(key, "/usage").await.json();
        assert_eq!(report["all_keys"], all);
        assert_eq!(
            report["answers"].as_array().unwrap().len(),
            rows,
            "{report}"
        );
        let list = closed.get(key, "/feedback").await.json();
        assert_eq!(list["feedback"].as_array().unwrap().len(), rows, "{list}");
    }
    let search_only = closed.key(&[], &[Scope::Search]).await;
    let refused = closed.get(&search_only, "/feedback").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let bench = Bench::new();
    for (params, param) in [
        ("?by=weather", "by"),
        ("?since=yesterday", "since"),
        ("?since=2026-02-02&until=2026-02-01", "since"),
        ("?until=2026-02-30", "until"),
    ] {
        let reply = bench.get(&format!("/usage{params}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{params}");
        assert_eq!(reply.error().1.as_deref(), Some(param), "{params}");
    }
    let reply = bench.get("/feedback?limit=0").await;
    assert_eq!(reply.error().1.as_deref(), Some("limit"));
    let long = "x".repeat(70_000);
    for (body, param) in [
        (json!({"rating": "up", "question": " "}), "question"),
        (json!({"rating": "up", "question": long}), "question"),
        (
            json!({"rating": "up", "question": "a", "answer": long}),
            "answer",
        ),
        (
            json!({"rating": "up", "question": "a", "comment": long}),
            "comment",
        ),
        (
            json!({"rating": "up", "question": "a", "cited": [{"uri": "a", "text": long}]}),
            "cited",
        ),
        (json!({"rating": "maybe", "question": "a"}), "rating"),
    ] {
        let reply = rate(&bench, "some", &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{param}");
        assert_eq!(reply.error().1.as_deref(), Some(param));
    }
    let unknown = rate(&bench, "some", &json!({"rating": "up", "question": "a"})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
