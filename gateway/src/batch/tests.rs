//! Batches as they are stored: begun, cancelled, dropped, taken up again. How they are answered
//! is tested where the jobs are.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::accounts::{Accounts, Caller, Keys, NewKey, Scope};
use cairn_settings::config::Config;

fn batches(dir: &Path) -> Batches {
    Batches::open(dir).unwrap()
}

fn items(count: usize) -> Vec<NewItem> {
    let item = |n: usize| NewItem {
        custom_id: format!("item-{n}"),
        request: json!({ "n": n }),
    };
    (0..count).map(item).collect()
}

/// Answers the first `count` items that wait; item 3 fails. Returns their places.
async fn answer(batches: &Batches, id: &str, count: usize) -> Vec<i64> {
    let waiting = batches.waiting(id, -1, count).await.unwrap();
    for item in &waiting {
        let n = item.request["n"].as_i64().unwrap();
        let result = match n {
            3 => Err(json!({ "code": "provider_failed" })),
            n => Ok(json!({ "double": n * 2 })),
        };
        batches.end(id, item.n, result).await.unwrap();
    }
    waiting.iter().map(|item| item.n).collect()
}

#[tokio::test]
async fn a_batch_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let caller = Caller::anonymous();
    let first = batches(dir.path());
    let info = first.submit(&caller, items(8)).await.unwrap();
    let id = info.id;
    assert_eq!((info.status, info.job), ("in_progress", None));
    let info = first.queued(&id, "a job".to_owned()).await.unwrap();
    assert_eq!(info.job.as_deref(), Some("a job"));
    let begun = first.begin(&id).await.unwrap();
    assert_eq!((begun.info.counts.waiting, begun.bytes_waiting), (8, 8 * 7));
    assert_eq!(answer(&first, &id, 4).await, [0, 1, 2, 3]);
    drop(first);

    let second = batches(dir.path());
    let begun = second.begin(&id).await.unwrap();
    assert_eq!((begun.info.counts.waiting, begun.bytes_waiting), (4, 4 * 7));
    let failed = ("item-3".to_owned(), json!({ "code": "provider_failed" }));
    assert_eq!(begun.failed, [failed]);
    assert_eq!(second.waiting(&id, 5, 10).await.unwrap().len(), 2);
    // None of those that had an answer waits again, and an answer is never replaced.
    assert_eq!(answer(&second, &id, 100).await, [4, 5, 6, 7]);
    second.end(&id, 4, Ok(json!("late"))).await.unwrap();
    let info = second.get(&caller, &id).await.unwrap();
    assert_eq!(info.status, "completed");
    assert_eq!((info.counts.done, info.counts.failed), (7, 1));
    assert!(info.ended_at.is_some());
    assert!(second.unended().await.unwrap().is_empty());

    let page = second.items(&caller, &id, 2, 3).await.unwrap();
    let names: Vec<_> = page.iter().map(|item| item.custom_id.as_str()).collect();
    assert_eq!(names, ["item-2", "item-3", "item-4"]);
    assert_eq!(page[0].response, Some(json!({ "double": 4 })));
    assert_eq!(page[1].error, Some(json!({ "code": "provider_failed" })));
    assert_eq!(page[2].response, Some(json!({ "double": 8 })));
}

#[tokio::test]
async fn cancelling_ends_what_waits_and_what_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let caller = Caller::anonymous();
    let batches = batches(dir.path());
    let id = batches.submit(&caller, items(5)).await.unwrap().id;
    answer(&batches, &id, 1).await;
    assert!(!batches.is_cancelled(&id).await.unwrap());
    let info = batches.cancel(&id).await.unwrap();
    assert_eq!((info.status, info.counts.cancelled), ("cancelled", 4));
    assert!(batches.is_cancelled(&id).await.unwrap());
    // An answer that comes too late is not stored.
    batches.end(&id, 1, Ok(Value::Null)).await.unwrap();
    let info = batches.get(&caller, &id).await.unwrap();
    assert_eq!((info.counts.done, info.counts.cancelled), (1, 4));
    // Its job is tried again.
    let begun = batches.begin(&id).await.unwrap();
    assert_eq!(begun.info.status, "in_progress");
    assert_eq!((begun.info.counts.done, begun.info.counts.waiting), (1, 4));
}

#[tokio::test]
async fn what_is_dropped_has_failed_until_the_job_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let caller = Caller::anonymous();
    let batches = batches(dir.path());
    let id = batches.submit(&caller, items(5)).await.unwrap().id;
    answer(&batches, &id, 4).await;
    let error = json!({ "code": "unauthorized" });
    let info = batches.drop_rest(&id, error.clone()).await.unwrap();
    assert_eq!((info.status, info.counts.failed), ("completed", 2));
    let page = batches.items(&caller, &id, 4, 1).await.unwrap();
    assert_eq!(
        (page[0].state.as_str(), &page[0].error),
        ("failed", &Some(error))
    );
    let begun = batches.begin(&id).await.unwrap();
    assert_eq!(
        (begun.info.status, begun.info.counts.waiting),
        ("in_progress", 1)
    );
    assert_eq!(begun.failed.len(), 1);
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
    let ((_, my_secret), (_, other_secret)) = (key(), key());
    let mut config = Config::default();
    config.storage.data_dir = dir.path().to_owned();
    let accounts = Accounts::open(&config).unwrap();
    let batches = batches(dir.path());
    let caller = |text: &str| accounts.authenticate(text).unwrap();
    let (me, other) = (caller(my_secret.expose()), caller(other_secret.expose()));
    let id = batches.submit(&me, items(1)).await.unwrap().id;
    assert!(batches.get(&me, &id).await.is_ok());
    assert!(matches!(
        batches.get(&other, &id).await,
        Err(BatchError::NotFound(_))
    ));
    assert!(matches!(
        batches.items(&other, &id, 0, 1).await,
        Err(BatchError::NotFound(_))
    ));
    assert_eq!(batches.list(&other, 10).await.unwrap().len(), 0);
    assert_eq!(batches.list(&me, 10).await.unwrap().len(), 1);
    assert_eq!(
        batches.list(&Caller::anonymous(), 10).await.unwrap().len(),
        1
    );
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
    let sweep = async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        batches.sweep(Duration::ZERO).await.unwrap();
    };
    // One that has not ended stays.
    sweep().await;
    batches.cancel(&id).await.unwrap();
    sweep().await;
    assert!(matches!(
        batches.get(&caller, &id).await,
        Err(BatchError::NotFound(_))
    ));
    // One that could not be queued is withdrawn.
    let id = batches.submit(&caller, items(1)).await.unwrap().id;
    batches.withdraw(&id).await.unwrap();
    assert!(batches.unended().await.unwrap().is_empty());
}
