//! Calls that a person must allow.

use super::super::keys::Closed;
use super::*;
use cairn_gateway::accounts::Scope;

fn asks_first(config: &mut cairn_settings::config::Config) {
    config.agent.approve = ["calculate".to_owned()].into();
}

fn turns() -> [Turn; 2] {
    let sum = ("calculate", json!({"expression": "2026 - 1873"}));
    [
        Call(vec![search("Hansen company"), sum]),
        Say("153 years [1]."),
    ]
}

async fn begin(bench: &Bench) -> Value {
    let body = json!({"query": "How old is the Hansen company?", "agent": "react",
        "stream": false});
    let reply = bench.post("/query", &body).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    reply.json()
}

#[tokio::test]
async fn a_run_waits_until_a_person_allows_a_call() {
    let model = Model::new(turns());
    let bench = Bench::with(model.clone(), asks_first);
    fill(&bench).await;
    let waits = begin(&bench).await;
    let required = &waits["input_required"];
    let calls = required["calls"].as_array().unwrap();
    // Only what needs it, and nothing of the turn was done yet.
    assert_eq!(calls.len(), 1, "{waits}");
    assert_eq!(calls[0]["tool"], "calculate");
    assert_eq!(calls[0]["arguments"]["expression"], "2026 - 1873");
    assert_eq!(waits["steps"], json!([]));
    assert_eq!(required["expires_in_seconds"], 900);
    let uri = format!("/query/{}/input", required["run_id"].as_str().unwrap());
    let decision = json!({"approve": [calls[0]["id"]], "stream": false});
    let answer = bench.post(&uri, &decision).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let answer = answer.json();
    assert!(model.results()[1].contains("153"), "{:?}", model.results());
    assert_eq!(answer["query_id"], required["run_id"]);
    assert_eq!(answer["usage"]["prompt_tokens"], 200);
    // It waits no longer.
    let again = bench.post(&uri, &decision).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_call_that_is_not_allowed_is_not_made() {
    let model = Model::new(turns());
    let bench = Bench::with(model.clone(), asks_first);
    fill(&bench).await;
    let waits = begin(&bench).await;
    let id = waits["input_required"]["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let reply = bench
        .post(&format!("/query/{id}/input"), &json!({"approve": []}))
        .await;
    let frames = frames(reply.text());
    assert_eq!(frames.last().unwrap().0, "done");
    let results = model.results();
    assert!(results[0].starts_with("RESULT"), "{results:?}");
    assert!(
        results[1].contains("has not allowed this call"),
        "{results:?}"
    );
}

#[tokio::test]
async fn a_stream_ends_with_what_is_required() {
    let bench = Bench::with(Model::new(turns()), asks_first);
    fill(&bench).await;
    let body = json!({"query": "How old is the Hansen company?", "agent": "react"});
    let reply = ask(&bench, body).await;
    let frames = frames(reply.text());
    let names: Vec<&str> = frames.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["input_required"]);
    assert_eq!(frames[0].1["calls"][0]["tool"], "calculate");
}

#[tokio::test]
async fn only_who_asked_decides() {
    let closed = Closed::with(Model::new(turns()), asks_first);
    let scopes = [Scope::Search, Scope::Query];
    let asker = closed.key(&["red"], &scopes).await;
    let other = closed.key(&["red"], &scopes).await;
    let body = json!({"uri": "company.md", "text": COMPANY});
    closed.post(&closed.admin, "/documents", &body).await;
    let body = json!({"query": "How old is the Hansen company?", "agent": "react",
        "stream": false});
    let waits = closed.post(&asker, "/query", &body).await;
    assert_eq!(waits.status, StatusCode::ACCEPTED, "{}", waits.text());
    let waits = waits.json();
    let id = waits["input_required"]["run_id"].as_str().unwrap();
    let uri = format!("/query/{id}/input");
    let decision = json!({"approve": ["call_1_1"], "stream": false});
    for key in [&other, &closed.admin] {
        let reply = closed.post(key, &uri, &decision).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", reply.text());
    }
    let reply = closed.post(&asker, &uri, &decision).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    // The trace is for the same eyes, and for an administrator's.
    let trace = format!("/traces/{id}");
    assert_eq!(
        closed.get(&other, &trace).await.status,
        StatusCode::NOT_FOUND
    );
    let own = closed.get(&asker, &trace).await;
    assert_eq!(own.json()["outcome"], "answered", "{}", own.text());
    assert_eq!(
        closed.get(&closed.admin, &trace).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_decision_is_about_one_call() {
    // The same ids in both turns, as of providers that give none.
    let sum = |text: &str| Call(vec![("calculate", json!({"expression": text}))]);
    let model = Model::new([
        Call(vec![search("Hansen company")]),
        sum("1 + 1"),
        sum("2 + 2"),
        Say("153 years [1]."),
    ]);
    model
        .reuses_ids
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let bench = Bench::with(model, asks_first);
    fill(&bench).await;
    let waits = begin(&bench).await;
    let id = waits["input_required"]["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let call = waits["input_required"]["calls"][0]["id"].clone();
    let uri = format!("/query/{id}/input");
    let decision = json!({"approve": [call], "stream": false});
    let again = bench.post(&uri, &decision).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text());
    let again = again.json();
    let wanted = &again["input_required"]["calls"][0];
    assert_eq!(wanted["arguments"]["expression"], "2 + 2");
    assert_eq!(wanted["id"], call);
    let done = bench
        .post(&uri, &json!({"approve": [], "stream": false}))
        .await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text());
}
