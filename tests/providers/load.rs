//! The first provider dies under load: callers do not notice, and nothing is charged
//! twice.

use std::time::Duration;

use cairn_gateway::accounts::Accounts;
use cairn_gateway::accounts::usage::{Group, Period, UsageReader};
use cairn_gateway::{AnswerBackend, Cache, Call, Gateway, routes};
use cairn_models::Cancel;
use cairn_settings::config::{Config, PriceConfig};
use futures::StreamExt as _;

use super::routing::config;
use super::scripted::{Answer, Part, bytes, question, read, serve};

const CALLS: usize = 200;

/// Writes after a while, so that calls wait for their first text when it dies.
fn slowly(text: &str) -> Answer {
    let chunk = serde_json::json!({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2}});
    let mut parts = vec![Part::Wait; 5];
    parts.push(bytes(format!("data: {chunk}\n\ndata: [DONE]\n\n")));
    Answer::stream(&parts)
}

/// Keeps a ledger in `folder`, in which a token of a prompt costs one dollar.
fn priced(config: &mut Config, folder: &std::path::Path) {
    config.storage.data_dir = folder.to_owned();
    config.prices.push(PriceConfig {
        model: "*".to_owned(),
        input: 1e6,
        cached_input: None,
        output: 0.0,
    });
}

#[test]
fn killing_the_first_provider_loses_nothing_and_charges_nothing_twice() {
    // The first endpoint has a runtime of its own: to drop that is to kill it,
    // with every connection.
    let doomed = tokio::runtime::Runtime::new().unwrap();
    let a = doomed.block_on(serve(&[slowly("from a")]));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let b = runtime.block_on(serve(&[slowly("from b")]));
    let dir = tempfile::tempdir().unwrap();
    let config = config(&[&a, &b], |config| priced(config, dir.path()));
    let accounts = Accounts::open(&config).unwrap();
    let gateway = Gateway::from_config(&config, None)
        .unwrap()
        .with_accounts(accounts.clone());
    let mut doomed = Some(doomed);
    let outcomes = runtime.block_on(async {
        let Ok(AnswerBackend::Model(plan)) = gateway.select(routes::ANSWER, None) else {
            panic!("the route has targets");
        };
        let mut calls = Vec::new();
        for n in 0..CALLS {
            let call = Call {
                request_id: format!("request-{n}"),
                ..Call::default()
            };
            let stream = gateway.chat(&plan, question(), call, Cancel::never());
            calls.push(tokio::spawn(read(stream)));
            tokio::time::sleep(Duration::from_millis(2)).await;
            if n == CALLS / 3 {
                doomed.take().unwrap().shutdown_background();
            }
        }
        futures::future::join_all(calls).await
    });
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let by = |name: &str| {
        outcomes
            .iter()
            .filter(|got| got.served().provider == name)
            .count()
    };
    assert_eq!(by("a") + by("b"), CALLS, "every call was answered");
    assert!(
        by("a") > 0 && by("b") > CALLS / 2,
        "{} {}",
        by("a"),
        by("b")
    );
    assert!(
        outcomes
            .iter()
            .all(|got| got.text == format!("from {}", got.served().provider))
    );

    accounts.flush();
    let ledger = UsageReader::open(dir.path()).unwrap();
    let rows = ledger.sums(Group::Model, Period::default()).unwrap();
    let calls: u64 = rows.iter().map(|row| row.calls).sum();
    let cost: f64 = rows.iter().map(|row| row.cost_usd).sum();
    assert_eq!(calls, CALLS as u64, "one line for each call: {rows:?}");
    assert_eq!(
        cost,
        10.0 * CALLS as f64,
        "ten dollars for each prompt, once"
    );
    assert!(rows.iter().all(|row| row.failed == 0));
}

#[test]
fn a_shared_call_is_charged_once_whoever_leaves() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let a = runtime.block_on(serve(&[slowly("shared")]));
    let dir = tempfile::tempdir().unwrap();
    let config = config(&[&a], |config| priced(config, dir.path()));
    let accounts = Accounts::open(&config).unwrap();
    let gateway = Gateway::from_config(&config, None)
        .unwrap()
        .with_accounts(accounts.clone())
        .with_cache(Cache::open(&config.cache, None, None));
    runtime.block_on(async {
        let Ok(AnswerBackend::Model(plan)) = gateway.select(routes::ANSWER, None) else {
            panic!("the route has targets");
        };
        let open = || gateway.chat(&plan, question(), Call::default(), Cancel::never());
        let (mut leader, mut leaver, reader) = (open(), open(), open());
        // All three are under way; the first two go before the end.
        let wait = Duration::from_millis(30);
        tokio::time::timeout(wait, leader.next()).await.ok();
        tokio::time::timeout(wait, leaver.next()).await.ok();
        let reading = tokio::spawn(read(reader));
        tokio::time::sleep(wait).await;
        drop((leader, leaver));
        assert_eq!(reading.await.unwrap().text, "shared");
    });
    assert_eq!(a.seen().len(), 1);
    accounts.flush();
    let ledger = UsageReader::open(dir.path()).unwrap();
    let rows = ledger.sums(Group::Model, Period::default()).unwrap();
    let calls: u64 = rows.iter().map(|row| row.calls).sum();
    let cost: f64 = rows.iter().map(|row| row.cost_usd).sum();
    assert_eq!((calls, cost), (3, 10.0), "{rows:?}");
}
