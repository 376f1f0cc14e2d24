//! Questions as jobs: with the rights of their key, and across a restart.

use std::time::Duration;

use super::super::jobs::{ended, id_of, submit};
use super::super::keys::Closed;
use super::*;
use cairn_gateway::accounts::Scope;

/// Lets the worker of a service run.
async fn work(bench: &Bench) {
    cairn::server::open_jobs(&bench.service).await;
    tokio::spawn(cairn::server::work_jobs(Arc::clone(&bench.service)));
}

fn question() -> Value {
    json!({"kind": "ask", "query": "Who owns the Albatross?", "agent": "react"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_in_its_own_time() {
    let sum = ("calculate", json!({"expression": "1 + 1"}));
    let model = Model::new([
        Call(vec![search("Albatross"), sum]),
        Say("The Hansen company [1]."),
    ]);
    let bench = Bench::with(model.clone(), |config| {
        config.agent.approve = ["calculate".to_owned()].into();
    });
    fill(&bench).await;
    work(&bench).await;
    let job = submit(&bench, question()).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "done", "{job}");
    let result = &job["result"];
    assert_eq!(result["answer"], "The Hansen company [1].");
    assert_eq!(result["citations"][0]["n"], 1);
    assert_eq!(tools_of(result).len(), 2, "{job}");
    // There was no person to allow it.
    assert!(
        model.results()[1].contains("has not allowed"),
        "{:?}",
        model.results()
    );
    let wrong = bench
        .post("/jobs", &json!({"kind": "ask", "query": " "}))
        .await;
    assert_eq!(wrong.error().1.as_deref(), Some("query"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_a_stop_cut_off_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let model = Model::new([Call(vec![search("Albatross")]), Hang]);
    let bench = Bench::with(model.clone(), |config| {
        config.storage.data_dir.clone_from(&data);
    });
    fill(&bench).await;
    cairn::server::open_jobs(&bench.service).await;
    let working = tokio::spawn(cairn::server::work_jobs(Arc::clone(&bench.service)));
    let job = submit(&bench, question()).await;
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    while model.asked().len() < 2 {
        assert!(tokio::time::Instant::now() < end, "the job does not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // In the middle of the second turn.
    bench.service.lifecycle().stop();
    working.await.unwrap();
    drop(bench);
    let model = Model::new([
        Call(vec![search("Albatross")]),
        Say("The Hansen company [1]."),
    ]);
    let bench = Bench::with(model, |config| config.storage.data_dir.clone_from(&data));
    work(&bench).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["result"]["answer"], "The Hansen company [1].");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_reads_what_its_key_may_read_when_it_runs() {
    let model = Model::new([
        Call(vec![
            search("treasure"),
            ("read_document", json!({"document": "hidden.md"})),
        ]),
        Say("It is there [1]."),
    ]);
    let closed = Closed::with(model.clone(), |_| {});
    work(&closed.bench).await;
    for (uri, labels, text) in [
        ("open.md", json!([]), "The treasure is in the bay."),
        (
            "hidden.md",
            json!(["boss"]),
            "The treasure is UNDER THE OAK.",
        ),
    ] {
        let body = json!({"uri": uri, "text": text, "labels": labels});
        let reply = closed.post(&closed.admin, "/documents", &body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    }
    let body = json!({"kind": "ask", "query": "Where is the treasure?", "agent": "react"});
    let may_not_ask = closed.key(&["crew"], &[Scope::Jobs]).await;
    let refused = closed.post(&may_not_ask, "/jobs", &body).await;
    assert_eq!(
        refused.status,
        StatusCode::BAD_REQUEST,
        "{}",
        refused.text()
    );
    let scopes = [Scope::Jobs, Scope::Query, Scope::Search];
    let key = closed.key(&["crew"], &scopes).await;
    let job = closed.post(&key, "/jobs", &body).await;
    assert_eq!(job.status, StatusCode::ACCEPTED, "{}", job.text());
    let uri = format!("/jobs/{}", job.json()["id"].as_str().unwrap());
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    let job = loop {
        let job = closed.get(&key, &uri).await;
        if job.json()["state"] == "done" {
            break job;
        }
        assert!(tokio::time::Instant::now() < end, "{}", job.text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(!job.text().contains("OAK"), "{}", job.text());
    assert!(!format!("{:?}", model.asked()).contains("OAK"));
    assert_eq!(job.json()["result"]["answer"], "It is there [1].");
}
