//! One log, several owners: machines that share it, those that come later, and what cannot be
//! used.

use std::path::Path;
use std::time::{Duration, Instant};

use cairn_jobs::notify::{NewEndpoint, Webhooks};
use cairn_jobs::{
    Claim, Credentials, Error, Filter, JobId, NatsQueue, NatsSettings, NewJob, Options, Queue,
    State,
};
use serde_json::{Value, json};

use super::server::Servers;
use crate::work;

fn job() -> NewJob {
    NewJob::new("test", json!(1))
}

async fn open(servers: &Servers, folder: &Path) -> NatsQueue {
    let settings = servers.settings("shared");
    NatsQueue::open(settings, folder, Options::default())
        .await
        .unwrap()
}

/// Waits until `queue` has seen `count` jobs in `state`.
async fn until(queue: &NatsQueue, state: State, count: u64) {
    let begun = Instant::now();
    while queue.stats().await.unwrap().of(state) != count {
        let stats = queue.stats().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20), "{stats:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn machines_never_take_the_same_job() {
    let Some(servers) = Servers::start(1).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (one, two, three) = tokio::join!(
        open(&servers, folder.path()),
        open(&servers, folder.path()),
        open(&servers, folder.path())
    );
    one.submit(vec![job(); 200]).await.unwrap();
    until(&two, State::Queued, 200).await;
    until(&three, State::Queued, 200).await;
    // Each has one before any can take the rest.
    let begin = async |queue: &NatsQueue, worker: &str| {
        let lease = queue.claim(Claim::one(worker)).await.unwrap();
        lease.into_iter().next().expect("all get some").token
    };
    let first = (
        begin(&one, "1").await,
        begin(&two, "2").await,
        begin(&three, "3").await,
    );
    let go_on = async |queue: &NatsQueue, token: cairn_jobs::Token, worker: &str, limit| {
        queue.complete(token, Value::Null).await.unwrap();
        let mut done = work(queue, worker, limit).await;
        done.push(token.job);
        done
    };
    let (mut all, others, more) = tokio::join!(
        go_on(&one, first.0, "1", 3),
        go_on(&two, first.1, "2", 1),
        go_on(&three, first.2, "3", 7)
    );
    assert!(!others.is_empty() && !more.is_empty(), "all get some");
    all.extend(others);
    all.extend(more);
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!((count, all.len()), (200, 200));
    for queue in [&one, &two, &three] {
        until(queue, State::Done, 200).await;
    }
    // They agree on everything, to the last event.
    let tell = async |queue: &NatsQueue| {
        let jobs = queue.list(Filter::default(), 1_000).await.unwrap();
        let mut said = format!("{jobs:?}");
        for job in jobs {
            said += &format!("{:?}", queue.events_after(job.id, 0).await.unwrap());
        }
        said
    };
    let expected = tell(&one).await;
    assert_eq!(tell(&two).await, expected);
    assert_eq!(tell(&three).await, expected);
}

#[tokio::test]
async fn what_another_machine_submits_wakes_workers() {
    let Some(servers) = Servers::start(1).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (
        open(&servers, folder.path()).await,
        open(&servers, folder.path()).await,
    );
    let mut changes = here.changes();
    tokio::time::sleep(Duration::from_millis(50)).await;
    changes.mark_unchanged();
    let begun = Instant::now();
    let id = there.submit(vec![job()]).await.unwrap()[0].job.id;
    // Whoever asks at once is not told that there is none.
    assert!(here.get(id).await.unwrap().is_some());
    let second = there.submit(vec![job()]).await.unwrap()[0].job.id;
    here.cancel(second).await.unwrap();
    assert_eq!(here.get(JobId::new()).await.unwrap(), None);
    let woken = tokio::time::timeout(Duration::from_secs(10), changes.changed()).await;
    woken.expect("the other's entry is seen").unwrap();
    println!("woken after {:?}", begun.elapsed());
    let lease = here.claim(Claim::one("here")).await.unwrap().pop().unwrap();
    assert_eq!(lease.job.id, id);
    let waiting = there.wait_events(id, 2, Duration::from_secs(10));
    let (told, ()) = tokio::join!(waiting, async {
        here.complete(lease.token, json!("well")).await.unwrap();
    });
    assert_eq!(told.unwrap()[0].state, State::Done);
    // A lease that another machine took back is over here, too.
    let id = here.submit(vec![job()]).await.unwrap()[0].job.id;
    let lease = here.claim(Claim::one("here")).await.unwrap().pop().unwrap();
    until(&there, State::Running, 1).await;
    assert_eq!(there.reclaim("here").await.unwrap(), 1);
    let stale = here.complete(lease.token, Value::Null).await;
    assert!(matches!(stale, Err(Error::StaleLease(found)) if found == id));
}

#[tokio::test]
async fn a_restart_finds_everything_also_behind_a_snapshot() {
    let Some(servers) = Servers::start(1).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let settings = NatsSettings {
        snapshot_after: 40,
        ..servers.settings("snap")
    };
    let open = async || {
        let queue = NatsQueue::open(settings.clone(), folder.path(), Options::default());
        queue.await.unwrap()
    };
    let client = async_nats::connect(servers.url(0)).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let first = async || {
        let stream = context.get_stream("cairn_snap").await.unwrap();
        stream.cached_info().state.first_sequence
    };
    let queue = open().await;
    // One that stops listening while the log is cut.
    let late = open().await;
    let large = NewJob::new("test", Value::String("x".repeat(200_000)));
    let large = queue.submit(vec![large; 20]).await.unwrap();
    for _ in 0..60 {
        queue.submit(vec![job()]).await.unwrap();
    }
    let lease = queue.claim(Claim::one("w")).await.unwrap().pop().unwrap();
    queue.pause("a new disk").await.unwrap();
    let begun = Instant::now();
    while first().await <= 1 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the log is cut");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(queue);
    let again = open().await;
    for queue in [&again, &late] {
        until(queue, State::Running, 1).await;
        let stats = queue.stats().await.unwrap();
        assert_eq!(stats.paused.as_deref(), Some("a new disk"));
        assert_eq!(stats.of(State::Queued), 79);
        let kept = queue.get(large[7].job.id).await.unwrap().unwrap();
        assert_eq!(kept.payload, large[7].job.payload);
    }
    // The log is ordered: a reader of the completion has seen what came before it.
    again.resume().await.unwrap();
    again.complete(lease.token, Value::Null).await.unwrap();
    until(&late, State::Done, 1).await;
    assert_eq!(late.claim(Claim::one("v")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_submission_larger_than_a_message_is_all_or_none() {
    let Some(servers) = Servers::start(3).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (
        open(&servers, folder.path()).await,
        open(&servers, folder.path()).await,
    );
    let large = NewJob::new("test", Value::String("é".repeat(100_000)));
    let submitted = one.submit(vec![large; 60]).await.unwrap();
    until(&two, State::Queued, 60).await;
    let last = two.get(submitted[59].job.id).await.unwrap().unwrap();
    assert_eq!(last.payload, submitted[59].job.payload);
}

#[tokio::test]
async fn webhooks_are_shared() {
    let Some(servers) = Servers::start(1).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (
        open(&servers, folder.path()).await,
        open(&servers, folder.path()).await,
    );
    let endpoint = NewEndpoint {
        tenant: String::new(),
        url: "https://example.com/hook".into(),
        types: vec![],
        kinds: vec![],
    };
    let (made, _) = Webhooks::new(&here).add(endpoint).await.unwrap();
    let told = Webhooks::new(&there);
    let begun = Instant::now();
    while told.get(made.id).await.unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let id = there.submit(vec![job()]).await.unwrap()[0].job.id;
    there.cancel(id).await.unwrap();
    let deliveries = told.deliveries(made.id, None, 10).await.unwrap();
    assert_eq!(deliveries[0].kind, "job.cancelled");
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let lines = "authorization { token: \"letmein\" }";
    let Some(servers) = Servers::start_with(1, lines).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let open = async |settings: NatsSettings| {
        NatsQueue::open(settings, folder.path(), Options::default()).await
    };
    let settings = NatsSettings {
        patience: Duration::from_secs(2),
        ..servers.settings("named")
    };
    let refused = open(settings.clone()).await.err().unwrap();
    assert!(
        matches!(&refused, Error::Server(said) if said.contains("credentials")),
        "{refused}"
    );
    let nobody = NatsSettings {
        servers: vec!["nats://127.0.0.1:1".into()],
        ..settings.clone()
    };
    let gone = open(nobody).await.err().unwrap();
    assert!(
        matches!(&gone, Error::Unreachable { server, .. } if server.contains("127.0.0.1:1")),
        "{gone}"
    );
    let odd = NatsSettings {
        servers: vec!["http://[".into()],
        ..settings.clone()
    };
    let odd = open(odd).await.err().unwrap();
    assert!(matches!(odd, Error::Invalid(_)), "{odd}");

    let let_in = NatsSettings {
        credentials: Credentials::Token("letmein".into()),
        ..settings.clone()
    };
    let queue = open(let_in.clone()).await.unwrap();
    queue.submit(vec![job()]).await.unwrap();
    // A stream of somebody else.
    let options = async_nats::ConnectOptions::with_token("letmein".into());
    let client = options.connect(servers.url(0)).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "cairn_theirs".into(),
        subjects: vec!["theirs".into()],
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    let theirs = NatsSettings {
        name: "theirs".into(),
        ..let_in.clone()
    };
    let theirs = open(theirs).await.err().unwrap();
    assert!(theirs.to_string().contains("cairn_theirs"), "{theirs}");
    // What is not ours in the log changes nothing.
    let sent = context.publish("cairn.named.log", "noise".into()).await;
    sent.unwrap().await.unwrap();
    queue.submit(vec![job()]).await.unwrap();
    assert_eq!(queue.stats().await.unwrap().of(State::Queued), 2);
    // An entry of a version that is still to come stops whoever does not know it.
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Cairn-Entry", "later");
    headers.insert("Cairn-Part", "1/1");
    headers.insert("Cairn-Format", "99");
    let sent = context.publish_with_headers("cairn.named.log", headers, "{}".into());
    sent.await.unwrap().await.unwrap();
    let newer = queue.submit(vec![job()]).await.unwrap_err();
    assert!(newer.to_string().contains("newer Cairn"), "{newer}");
    let newer = open(let_in).await.err().unwrap();
    assert!(newer.to_string().contains("newer Cairn"), "{newer}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_named_and_nothing_is_lost() {
    let Some(mut servers) = Servers::start(1).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let settings = NatsSettings {
        patience: Duration::from_millis(500),
        ..servers.settings("gone")
    };
    let queue = NatsQueue::open(settings, folder.path(), Options::default());
    let queue = queue.await.unwrap();
    let kept = queue.submit(vec![job()]).await.unwrap()[0].job.id;
    servers.kill(0);
    let error = queue.submit(vec![job()]).await.unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { .. }) && error.is_retryable(),
        "{error:?}"
    );
    // What was known can still be read.
    assert!(queue.get(kept).await.unwrap().is_some());
    servers.revive(0);
    let begun = Instant::now();
    let lease = loop {
        match queue.claim(Claim::one("w")).await {
            Ok(mut leases) => break leases.pop().unwrap(),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
    };
    assert_eq!(lease.job.id, kept);
    queue.complete(lease.token, Value::Null).await.unwrap();
}

#[tokio::test]
async fn a_full_stream_is_named_and_loses_nothing() {
    let lines = "max_payload: 1MB";
    let Some(servers) = Servers::start_with(1, lines).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&servers, folder.path()).await;
    let client = async_nats::connect(servers.url(0)).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let stream = context.get_stream("cairn_shared").await.unwrap();
    let mut config = stream.cached_info().config.clone();
    config.max_bytes = 300_000;
    context.update_stream(config.clone()).await.unwrap();
    let noise: String = (0..50_000_u32)
        .map(|n| char::from(b'a' + (n * n % 23) as u8))
        .collect();
    let large = NewJob::new("test", Value::String(noise));
    let mut accepted = Vec::new();
    let error = loop {
        match queue.submit(vec![large.clone()]).await {
            Ok(jobs) => accepted.push(jobs[0].job.id),
            Err(error) => break error,
        }
        assert!(accepted.len() < 100);
    };
    assert!(
        matches!(error, Error::StreamFull { .. }) && error.is_retryable(),
        "{error:?}"
    );
    config.max_bytes = 100_000_000;
    context.update_stream(config).await.unwrap();
    queue.submit(vec![large]).await.unwrap();
    for id in accepted {
        assert!(queue.get(id).await.unwrap().is_some());
    }
}
