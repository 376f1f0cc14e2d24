//! Batches with a scripted executor: worked off, cancelled, taken up again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::accounts::{Accounts, Keys, NewKey, Scope};
use cairn_settings::config::Config;

fn batches(dir: &Path) -> Batches {
    open(dir).0
}

fn open(dir: &Path) -> (Batches, Accounts) {
    let mut config = Config::default();
    config.storage.data_dir = dir.to_owned();
    let accounts = Accounts::open(&config).unwrap();
    let keep = Duration::from_secs(3600);
    let batches = Batches::open(dir, accounts.clone(), 2, keep).unwrap();
    (batches, accounts)
}

fn items(count: usize) -> Vec<NewItem> {
    let item = |n: usize| NewItem {
        custom_id: format!("item-{n}"),
        request: json!({ "n": n }),
    };
    (0..count).map(item).collect()
}

/// How often each item was executed.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<u64, usize>>>);

impl Seen {
    fn note(&self, request: &Value) -> usize {
        let mut seen = self.0.lock().unwrap();
        let count = seen.entry(request["n"].as_u64().unwrap()).or_default();
        *count += 1;
        *count
    }
}

/// Waits at the gate for each item, and doubles its number; item 3 fails.
fn doubling(seen: &Seen, gate: &Arc<Semaphore>) -> Arc<Execute> {
    let (seen, gate) = (seen.clone(), Arc::clone(gate));
    Arc::new(move |_, request| {
        let (seen, gate) = (seen.clone(), Arc::clone(&gate));
        async move {
            gate.acquire().await.unwrap().forget();
            seen.note(&request);
            match request["n"].as_u64().unwrap() {
                3 => ItemOutcome::Failed(json!({ "code": "provider_failed" })),
                n => ItemOutcome::Done(json!({ "double": n * 2 })),
            }
        }
        .boxed()
    })
}

async fn until(batches: &Batches, id: &str, test: impl Fn(&BatchInfo) -> bool) -> BatchInfo {
    for _ in 0..6000 {
        let info = batches.get(&Caller::anonymous(), id).await.unwrap();
        if test(&info) {
            return info;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never happened");
}

#[tokio::test]
async fn a_batch_survives_a_stop_and_answers_each_item_once() {
    let dir = tempfile::tempdir().unwrap();
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(3)));
    let caller = Caller::anonymous();
    let first = batches(dir.path());
    let stop = CancellationToken::new();
    let (worker, execute) = (first.clone(), doubling(&seen, &gate));
    let token = stop.clone();
    let run = tokio::spawn(async move { worker.run(execute, token).await });
    let id = first.submit(&caller, items(8)).await.unwrap().id;
    let info = until(&first, &id, |info| info.counts.waiting == 5).await;
    assert_eq!(info.status, "in_progress");
    stop.cancel();
    run.await.unwrap();
    drop(first);

    let second = batches(dir.path());
    gate.add_permits(100);
    let (worker, execute) = (second.clone(), doubling(&seen, &gate));
    tokio::spawn(async move { worker.run(execute, CancellationToken::new()).await });
    let info = until(&second, &id, |info| info.status == "completed").await;
    assert_eq!((info.counts.done, info.counts.failed), (7, 1));
    assert!(info.ended_at.is_some());
    // None of those that had an answer before the stop was asked again.
    assert!(seen.0.lock().unwrap().values().all(|count| *count == 1));

    let page = second.items(&caller, &id, 2, 3).await.unwrap();
    let names: Vec<_> = page.iter().map(|item| item.custom_id.as_str()).collect();
    assert_eq!(names, ["item-2", "item-3", "item-4"]);
    assert_eq!(page[0].response, Some(json!({ "double": 4 })));
    assert_eq!(page[1].error, Some(json!({ "code": "provider_failed" })));
}

#[tokio::test]
async fn cancelling_ends_what_waits_and_what_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(1)));
    let caller = Caller::anonymous();
    let batches = batches(dir.path());
    let (worker, execute) = (batches.clone(), doubling(&seen, &gate));
    tokio::spawn(async move { worker.run(execute, CancellationToken::new()).await });
    let id = batches.submit(&caller, items(5)).await.unwrap().id;
    until(&batches, &id, |info| info.counts.done == 1).await;
    let info = batches.cancel(&caller, &id).await.unwrap();
    assert_eq!((info.status, info.counts.cancelled), ("cancelled", 4));
    // The worker is free for others.
    gate.add_permits(10);
    let other = batches.submit(&caller, items(2)).await.unwrap().id;
    until(&batches, &other, |info| info.status == "completed").await;
    let info = batches.get(&caller, &id).await.unwrap();
    assert_eq!((info.counts.done, info.counts.cancelled), (1, 4));
}

#[tokio::test]
async fn a_limit_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Seen::default();
    let noted = seen.clone();
    let execute: Arc<Execute> = Arc::new(move |_, request| {
        let count = noted.note(&request);
        async move {
            match count {
                1 => ItemOutcome::RetryAfter(Duration::from_millis(1), Value::Null),
                _ => ItemOutcome::Done(request),
            }
        }
        .boxed()
    });
    let batches = batches(dir.path());
    let worker = batches.clone();
    tokio::spawn(async move { worker.run(execute, CancellationToken::new()).await });
    let id = batches
        .submit(&Caller::anonymous(), items(3))
        .await
        .unwrap()
        .id;
    let info = until(&batches, &id, |info| info.status == "completed").await;
    assert_eq!(info.counts.done, 3);
}

#[tokio::test]
async fn batches_belong_to_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::open(dir.path()).unwrap();
    let key = || {
        let new = NewKey {
            name: "bot".into(),
            scopes: [Scope::Chat].into_iter().collect(),
            ..NewKey::default()
        };
        keys.create(&new).unwrap()
    };
    let ((mine, my_secret), (_, other_secret)) = (key(), key());
    let (batches, accounts) = open(dir.path());
    let caller = |text: &str| accounts.authenticate(text).unwrap();
    let (me, other) = (caller(my_secret.expose()), caller(other_secret.expose()));
    let id = batches.submit(&me, items(1)).await.unwrap().id;
    assert!(batches.get(&me, &id).await.is_ok());
    assert!(matches!(
        batches.get(&other, &id).await,
        Err(BatchError::NotFound(_))
    ));
    assert!(matches!(
        batches.cancel(&other, &id).await,
        Err(BatchError::NotFound(_))
    ));
    assert_eq!(batches.list(&other, 10).await.unwrap().len(), 0);
    assert_eq!(batches.list(&me, 10).await.unwrap().len(), 1);
    assert_eq!(
        batches.list(&Caller::anonymous(), 10).await.unwrap().len(),
        1
    );

    // The key is taken back before the item's turn comes.
    keys.revoke(mine.id.as_str()).unwrap();
    while accounts.authenticate(my_secret.expose()).is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(10)));
    let (worker, execute) = (batches.clone(), doubling(&seen, &gate));
    tokio::spawn(async move { worker.run(execute, CancellationToken::new()).await });
    let info = until(&batches, &id, |info| info.status == "completed").await;
    assert_eq!(info.counts.failed, 1);
    assert!(seen.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn senseless_batches_are_refused_and_old_ones_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let batches = batches(dir.path());
    let caller = Caller::anonymous();
    let twice = [items(1), items(1)].concat();
    let nameless = vec![NewItem {
        custom_id: String::new(),
        request: json!({}),
    }];
    for bad in [Vec::new(), twice, nameless, items(MAX_ITEMS + 1)] {
        let error = batches.submit(&caller, bad).await.unwrap_err();
        assert!(matches!(error, BatchError::Invalid(_)), "{error}");
    }
    let id = batches.submit(&caller, items(1)).await.unwrap().id;
    let sweep = |store: &mut super::store::Store| {
        std::thread::sleep(Duration::from_millis(5));
        store.sweep(Duration::ZERO)
    };
    // One that has not ended stays.
    batches.with_store(sweep).await.unwrap();
    batches.cancel(&caller, &id).await.unwrap();
    batches.with_store(sweep).await.unwrap();
    assert!(matches!(
        batches.get(&caller, &id).await,
        Err(BatchError::NotFound(_))
    ));
}
