//! `/retrieval`, with the requests that Dify 1.x sends to an external knowledge API.

use axum::http::StatusCode;
use cairn_gateway::accounts::Scope;
use serde_json::{Value, json};

use super::keys::Closed;
use super::{Bench, Reply};

async fn filled() -> Bench {
    let bench = Bench::new();
    bench.upload_guide().await;
    for (uri, year, team) in [("a.md", 2023, "core"), ("b.md", 2024, "web")] {
        let text = format!("# Report {year}\n\nThe writer lock of {team} in {year}.\n");
        let facts = json!({"year": year, "team": team, "tags": ["x"]});
        let document = json!({"uri": uri, "text": text, "metadata": facts});
        let reply = bench.post("/documents", &document).await;
        assert_eq!(reply.status, StatusCode::CREATED);
    }
    bench
}

async fn ask(bench: &Bench, more: Value) -> Reply {
    // What Dify leaves unsaid is null.
    let mut body = json!({"knowledge_id": "main", "query": "Who holds the writer lock?",
        "retrieval_setting": {"top_k": 3, "score_threshold": 0.0}, "metadata_condition": null});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    bench.post("/retrieval", &body).await
}

fn paths(reply: &Reply) -> Vec<String> {
    let body = reply.json();
    let records = body["records"]
        .as_array()
        .unwrap_or_else(|| panic!("{body}"));
    let mut paths: Vec<String> = records
        .iter()
        .map(|record| record["metadata"]["path"].as_str().unwrap().to_owned())
        .collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn records_have_the_four_fields() {
    let bench = filled().await;
    let reply = ask(&bench, json!({})).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let body = reply.json();
    let records = body["records"].as_array().unwrap();
    assert_eq!(records.len(), 3);
    for record in records {
        let fields: Vec<&String> = record.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["content", "score", "title", "metadata"]);
        assert!((0.0..=1.0).contains(&record["score"].as_f64().unwrap()));
        assert!(record["metadata"].is_object());
    }
    assert_eq!(records[0]["metadata"]["path"], "guide.md", "{body}");
    let best = json!({"retrieval_setting": {"top_k": 3, "score_threshold": 0.99}});
    assert_eq!(paths(&ask(&bench, best).await), ["guide.md"]);
}

#[tokio::test]
async fn conditions_on_facts_hold() {
    let bench = filled().await;
    let condition = |operator: &str, name: Value, value: Value| {
        json!({"metadata_condition": {"logical_operator": "and", "conditions": [
            {"name": name, "comparison_operator": operator, "value": value}]}})
    };
    let year = json!(["year"]);
    for (operator, name, value, expected) in [
        ("is", json!(["team"]), json!("core"), &["a.md"][..]),
        (
            "is not",
            json!(["team"]),
            json!("core"),
            &["b.md", "guide.md"],
        ),
        ("=", year.clone(), json!(2024), &["b.md"]),
        // As a person types it.
        ("=", year.clone(), json!("2024"), &["b.md"]),
        (">", year.clone(), json!("2023"), &["b.md"]),
        ("≥", year.clone(), json!(2023), &["a.md", "b.md"]),
        ("<", year.clone(), json!(2024), &["a.md"]),
        ("≤", year.clone(), json!(2022), &[]),
        ("in", json!("team"), json!("core, web"), &["a.md", "b.md"]),
        (
            "not in",
            json!("team"),
            json!(["core"]),
            &["b.md", "guide.md"],
        ),
    ] {
        let reply = ask(&bench, condition(operator, name, value)).await;
        assert_eq!(paths(&reply), expected, "{operator}");
    }
    for (more, field) in [
        (
            condition("contains", json!(["team"]), json!("o")),
            "metadata_condition",
        ),
        (
            condition("is", json!(["nothing"]), json!("o")),
            "metadata_condition",
        ),
        (
            condition("is", json!(["or"]), json!("o")),
            "metadata_condition",
        ),
        (
            json!({"retrieval_setting": {"top_k": 0}}),
            "retrieval_setting.top_k",
        ),
        (
            json!({"retrieval_setting": {"score_threshold": 2}}),
            "retrieval_setting.score_threshold",
        ),
        (json!({"knowledge_id": "No"}), "knowledge_id"),
        (json!({"query": " "}), "query"),
    ] {
        let reply = ask(&bench, more.clone()).await;
        assert_eq!(
            reply.error(),
            ("invalid_request".into(), Some(field.into())),
            "{more}"
        );
    }
    let reply = ask(&bench, json!({"knowledge_id": "none"})).await;
    assert_eq!(reply.error().0, "not_found");
}

#[tokio::test]
async fn a_key_finds_what_it_may_read() {
    let closed = Closed::new();
    closed.fill().await;
    let key = closed.key(&[], &[Scope::Search]).await;
    let body = json!({"knowledge_id": "main", "query": "How do I open the vault?"});
    let reply = closed.post(&key, "/retrieval", &body).await;
    assert_eq!(paths(&reply), ["open.md"]);
    let reply = closed.bench.post("/retrieval", &body).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}
