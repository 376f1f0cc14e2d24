//! Where a run ends, whatever the model wants.

use std::time::{Duration, Instant};

use cairn_settings::config::Config;

use super::*;

/// A model that never stops to search, and how a run with it ended.
async fn endless(change: impl FnOnce(&mut Config)) -> (Arc<Model>, Value) {
    let searches = (0..40).map(|n| Call(vec![search(&format!("Albatross {n}"))]));
    let model = Model::new(searches);
    let bench = Bench::with(model.clone(), change);
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    // It never ends with nothing.
    assert!(!answer["answer"].as_str().unwrap().is_empty(), "{answer}");
    assert_eq!(answer["refused"], false, "{answer}");
    (model, answer)
}

#[tokio::test]
async fn turns_are_limited_and_the_last_one_is_for_the_answer() {
    let (model, answer) = endless(|config| config.agent.max_iterations = 3).await;
    let asked = model.asked();
    // Three turns, of which the last has no tools, and the answer from what was found.
    let tools: Vec<bool> = asked.iter().map(|one| !one.tools.is_empty()).collect();
    assert_eq!(tools[..3], [true, true, false], "{tools:?}");
    assert!(
        notes(&answer).contains("no further turns or calls"),
        "{answer}"
    );

    let turns = [Call(vec![search("Albatross")]), Say("Hansen owns it [1].")];
    let model = Model::new(turns);
    let bench = Bench::with(model, |config| config.agent.max_iterations = 2);
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert_eq!(answer["answer"], "Hansen owns it [1].");
}

#[tokio::test]
async fn calls_are_limited() {
    let many: Vec<_> = (0..6).map(|n| search(&format!("Albatross {n}"))).collect();
    let model = Model::new([Call(many), Say("Hansen owns it [1].")]);
    let bench = Bench::with(model.clone(), |config| config.agent.max_tool_calls = 4);
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    let results = model.results();
    assert_eq!(
        results
            .iter()
            .filter(|one| one.starts_with("RESULT"))
            .count(),
        4
    );
    assert!(results[5].contains("4 calls of tools"), "{}", results[5]);
    assert!(model.asked()[1].tools.is_empty());
    assert_eq!(answer["answer"], "Hansen owns it [1].");
}

#[tokio::test]
async fn calls_beyond_the_most_of_a_turn_are_not_made() {
    let many: Vec<_> = (0..30).map(|n| search(&format!("Albatross {n}"))).collect();
    let model = Model::new([Call(many), Say("Hansen owns it [1].")]);
    let bench = Bench::with(model.clone(), |config| config.agent.max_tool_calls = 100);
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert_eq!(answer["steps"].as_array().unwrap().len(), 16);
    let said = format!("{:?}", model.asked()[1].messages);
    assert!(
        said.contains("14 call(s) beyond the most of one turn"),
        "{said}"
    );
}

#[tokio::test]
async fn tokens_are_limited_before_a_turn() {
    let (model, answer) = endless(|config| config.agent.max_tokens = 3000).await;
    assert!(notes(&answer).contains("3000 tokens"), "{answer}");
    // A turn takes 110 tokens; what the next one may take is what counts.
    let turns = model
        .asked()
        .iter()
        .filter(|one| !one.tools.is_empty())
        .count();
    assert!((1..20).contains(&turns), "{turns}");
}

#[tokio::test]
async fn money_is_checked_before_a_turn() {
    // The price is known to the accounts of the gateway.
    let turns = Model::new((0..40).map(|n| Call(vec![search(&format!("Albatross {n}"))])));
    let prices = json!([{"model": "script/*", "input": 100.0, "output": 100.0}]);
    let config = Config {
        prices: serde_json::from_value(prices).unwrap(),
        ..Config::default()
    };
    let accounts = cairn_gateway::accounts::Accounts::without_storage(&config);
    let bench = Bench::with_accounts(turns.clone(), accounts, |config| {
        config.agent.max_cost_usd = 0.35;
    });
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert!(notes(&answer).contains("0.35 US dollars"), "{answer}");
    let cost = answer["usage"]["cost_usd"].as_f64().unwrap();
    assert!(cost > 0.0 && cost <= 0.35, "{cost}");
    // The model could not be paid for writing either.
    assert_eq!(answer["provider"], "extractive", "{answer}");
    assert!(
        answer["answer"].as_str().unwrap().contains("Hansen"),
        "{answer}"
    );
}

#[tokio::test]
async fn time_is_limited() {
    let start = Instant::now();
    let model = Model::new([Call(vec![search("Albatross")]), Hang]);
    let bench = Bench::with(model, |config| config.agent.max_seconds = 2);
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(notes(&answer).contains("time ran out"), "{answer}");
    assert!(
        answer["answer"].as_str().unwrap().contains("Hansen"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_model_that_fails_leaves_what_was_found() {
    let model = Model::new([Call(vec![search("Albatross")]), Fail]);
    let bench = Bench::with(model, |_| {});
    fill(&bench).await;
    let answer = run(&bench, "react").await;
    assert!(
        notes(&answer).contains("cut short: the script fails on purpose"),
        "{answer}"
    );
    assert!(
        answer["answer"].as_str().unwrap().contains("Hansen"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_leaves_ends_everything() {
    let model = Model::new([Call(vec![search("Albatross")]), Hang]);
    let bench = Bench::with(model.clone(), |_| {});
    fill(&bench).await;
    let body = json!({"query": "Who owns the Albatross?", "agent": "react"});
    let response = bench
        .send(super::super::json_request("/query", &body))
        .await;
    let mut body = response.into_body().into_data_stream();
    // The first step has come, and the model is thinking.
    let mut seen = String::new();
    while !seen.contains("event: step") {
        seen.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    let waiting = async {
        let mut body = body;
        // Poll until the second turn was asked for, and then go away.
        while model.cancels.lock().unwrap().len() < 2 {
            let pause = tokio::time::sleep(Duration::from_millis(5));
            tokio::select! {
                _ = body.next() => {}
                () = pause => {}
            }
        }
        drop(body);
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap();
    let cancel = model.cancels.lock().unwrap()[1].clone();
    let gone = async {
        while !cancel.is_cancelled() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .unwrap();
    // Its permit is back: the service answers others.
    assert_eq!(bench.get("/health").await.status, StatusCode::OK);
}
