//! Nodes and workers are killed at random moments, and nothing is lost or done twice.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cairn_jobs::{
    Claim, Error, Failure, JobId, NatsQueue, NatsSettings, NewJob, Options, Queue, State,
};
use serde_json::{Value, json};

use super::server::Servers;

/// Tells a child where its folder is.
const FOLDER: &str = "CAIRN_JOBS_KILL_FOLDER";
/// Tells a child its name.
const NAME: &str = "CAIRN_JOBS_KILL_NAME";
/// Tells a child the servers.
const SERVERS: &str = "CAIRN_JOBS_KILL_SERVERS";
/// How many times something is killed; set it higher for a longer run.
const ROUNDS: &str = "CAIRN_JOBS_KILL_ROUNDS";
/// Jobs of a round.
const JOBS: usize = 60;
/// Of this many jobs, one always fails.
const BAD: usize = 10;

fn options() -> Options {
    Options {
        // It is not known which workers are gone, so their leases must run out.
        lease: Duration::from_secs(4),
        reap_every: Duration::from_secs(1),
        backoff_min: Duration::from_millis(100),
        backoff_max: Duration::from_millis(500),
        max_attempts: 100,
        ..Options::default()
    }
}

/// Opens the queue, however long the servers are down.
async fn open(settings: &NatsSettings, folder: &Path) -> NatsQueue {
    let begun = Instant::now();
    loop {
        match NatsQueue::open(settings.clone(), folder, options()).await {
            Ok(queue) => return queue,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(90), "{error}"),
        }
    }
}

/// Asks until there is an answer that is not about servers that are down.
async fn insist<T>(ask: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_retryable() => {
                assert!(begun.elapsed() < Duration::from_secs(120), "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            answer => return answer,
        }
    }
}

/// The process that is killed. It notes each end that the queue accepted from it.
#[tokio::test]
#[ignore = "started by the tests below"]
async fn worker() {
    let folder = std::env::var(FOLDER).expect("started by another test");
    let name = std::env::var(NAME).unwrap();
    let folder = Path::new(&folder);
    let servers = std::env::var(SERVERS).unwrap();
    let settings = NatsSettings {
        servers: servers.split(',').map(str::to_owned).collect(),
        name: "killed".into(),
        replicas: servers.split(',').count(),
        snapshot_after: 300,
        ..NatsSettings::new("")
    };
    let queue = open(&settings, folder).await;
    let log = std::fs::File::options()
        .append(true)
        .create(true)
        .open(folder.join("log"));
    let mut log = log.unwrap();
    let mut changes = queue.changes();
    loop {
        let claim = Claim {
            limit: 2,
            ..Claim::one(&name)
        };
        let leases = insist(async || queue.claim(claim.clone()).await).await;
        let leases = leases.unwrap();
        if leases.is_empty() {
            tokio::time::timeout(Duration::from_secs(1), changes.changed())
                .await
                .ok();
        }
        for lease in leases {
            // Something to be interrupted at.
            let work = Duration::from_millis(rand::random_range(0..40));
            tokio::time::sleep(work).await;
            // Asked once: whether an end that was not answered counts, the queue knows.
            let ended = match lease.job.payload == json!("bad") {
                true => {
                    let failure = Failure::permanent("it is bad");
                    queue.fail(lease.token, failure).await.map(drop)
                }
                false => queue.complete(lease.token, Value::Null).await,
            };
            if ended.is_ok() {
                let line = format!("{}\n", lease.job.id);
                log.write_all(line.as_bytes()).unwrap();
            }
        }
    }
}

fn start(servers: &Servers, folder: &Path, name: &str) -> Child {
    let urls: Vec<_> = (0..servers.count()).map(|i| servers.url(i)).collect();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nats::killed::worker", "--ignored"])
        .env(FOLDER, folder)
        .env(NAME, name)
        .env(SERVERS, urls.join(","))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn nothing_is_lost(nodes: usize) {
    let Some(mut servers) = Servers::start(nodes).await else {
        return;
    };
    let rounds: usize = std::env::var(ROUNDS).map_or(6, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let settings = NatsSettings {
        snapshot_after: 300,
        ..servers.settings("killed")
    };
    let queue = open(&settings, folder.path()).await;
    let mut submitted = Vec::new();
    let mut workers: Vec<Child> = Vec::new();
    let (mut killed_workers, mut killed_nodes) = (0, 0);
    let begun = Instant::now();
    for round in 0..rounds {
        let job = |n: usize| NewJob {
            // Whether a submission was accepted may be unknown, so that it is repeated.
            idempotency_key: Some(format!("{round}-{n}")),
            ordering_key: n.is_multiple_of(3).then(|| "in order".into()),
            tenant: format!("t{}", n % 4),
            ..NewJob::new(
                "test",
                json!(if n.is_multiple_of(BAD) { "bad" } else { "good" }),
            )
        };
        let jobs: Vec<_> = (0..JOBS).map(job).collect();
        let accepted = insist(async || queue.submit(jobs.clone()).await).await;
        submitted.extend(accepted.unwrap().into_iter().map(|job| job.job.id));
        while workers.len() < 2 {
            let name = format!("{round}-{}.", workers.len());
            workers.push(start(&servers, folder.path(), &name));
        }
        let moment = rand::random_range(100..1_500);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        if round % 2 == 0 {
            let node = rand::random_range(0..nodes);
            servers.kill(node);
            killed_nodes += 1;
            let pause = rand::random_range(0..800);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            servers.revive(node);
            servers.listens(node).await;
        } else {
            let mut worker = workers.swap_remove(rand::random_range(0..workers.len()));
            worker.kill().unwrap();
            worker.wait().unwrap();
            killed_workers += 1;
        }
    }
    while workers.len() < 2 {
        workers.push(start(&servers, folder.path(), "last."));
    }
    let waiting = Instant::now();
    loop {
        let stats = queue.stats().await.unwrap();
        if stats.of(State::Queued) + stats.of(State::Running) == 0 {
            break;
        }
        assert!(waiting.elapsed() < Duration::from_secs(120), "{stats:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for mut worker in workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }

    // Somebody who was never there sees the same.
    let fresh = open(&settings, folder.path()).await;
    let mut attempts = 0;
    for (n, id) in submitted.iter().enumerate() {
        let job = fresh.get(*id).await.unwrap();
        let job = job.expect("what was accepted is kept");
        let expected = match n % JOBS % BAD {
            0 => State::Failed,
            _ => State::Done,
        };
        assert_eq!(job.state, expected, "{job:?}");
        attempts += job.attempts as usize;
    }
    let stats = fresh.stats().await.unwrap();
    let all: u64 = State::ALL.iter().map(|state| stats.of(*state)).sum();
    assert_eq!(all, submitted.len() as u64, "none was made twice");
    let mut ends: BTreeMap<JobId, u32> = BTreeMap::new();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    for id in log.lines() {
        *ends.entry(id.parse().unwrap()).or_default() += 1;
    }
    assert!(ends.values().all(|times| *times == 1), "one ended twice");
    let dead = submitted.len() / BAD;
    println!(
        "{nodes} node(s): {killed_nodes} nodes and {killed_workers} workers killed in {:?}; {} jobs, \
         {} done, {dead} dead letters, {} attempts for nothing",
        begun.elapsed(),
        submitted.len(),
        submitted.len() - dead,
        attempts - submitted.len(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_on_one_node() {
    nothing_is_lost(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_on_three_nodes() {
    nothing_is_lost(3).await;
}
