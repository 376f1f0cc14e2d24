//! Workers are killed at random moments, and nothing is lost or done twice.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cairn_jobs::{Claim, JobId, NewJob, Options, Queue, SqliteQueue, State};
use serde_json::json;

/// Tells a child where the queue is.
const FOLDER: &str = "CAIRN_JOBS_KILL_FOLDER";
/// Tells a child its name.
const NAME: &str = "CAIRN_JOBS_KILL_NAME";
/// How many workers are killed; set it higher for a longer run.
const ROUNDS: &str = "CAIRN_JOBS_KILL_ROUNDS";

/// What a worker was told, one line each: nothing but a power cut takes it back.
struct Log(std::fs::File);

impl Log {
    fn open(folder: &Path) -> Self {
        let mut options = std::fs::OpenOptions::new();
        Self(
            options
                .append(true)
                .create(true)
                .open(folder.join("log"))
                .unwrap(),
        )
    }

    fn say(&mut self, what: &str, id: JobId) {
        let mut line = String::new();
        writeln!(line, "{what} {id}").unwrap();
        self.0.write_all(line.as_bytes()).unwrap();
    }
}

/// The process that is killed: it submits one job for each that it does.
#[tokio::test]
#[ignore = "started by `killed_workers_lose_nothing`"]
async fn worker() {
    let folder = std::env::var(FOLDER).expect("started by another test");
    let name = std::env::var(NAME).unwrap();
    let folder = Path::new(&folder);
    let queue = SqliteQueue::open(folder, Options::default()).await.unwrap();
    let mut log = Log::open(folder);
    let mut changes = queue.changes();
    loop {
        let claim = Claim {
            limit: 2,
            ..Claim::one(&name)
        };
        let leases = queue.claim(claim).await.unwrap();
        if leases.is_empty() {
            changes.changed().await.unwrap();
        }
        for lease in leases {
            if lease.job.payload == json!("first") {
                let job = NewJob {
                    max_attempts: Some(100),
                    ordering_key: Some("second".into()),
                    ..NewJob::new("test", json!("second"))
                };
                let submitted = queue.submit(vec![job]).await.unwrap().remove(0);
                log.say("submitted", submitted.job.id);
            }
            queue.complete(lease.token, json!(name)).await.unwrap();
            log.say("done", lease.job.id);
        }
    }
}

fn start(folder: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::worker", "--ignored"])
        .env(FOLDER, folder)
        .env(NAME, name)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_nothing() {
    let rounds = std::env::var(ROUNDS).map_or(12, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let queue = SqliteQueue::open(folder.path(), Options::default())
        .await
        .unwrap();
    let mut submitted = Vec::new();
    let mut interrupted = 0;
    for round in 0..rounds {
        let job = NewJob {
            max_attempts: Some(100),
            ..NewJob::new("test", json!("first"))
        };
        let jobs = queue.submit(vec![job; 15]).await.unwrap();
        submitted.extend(jobs.into_iter().map(|job| job.job.id));
        let names = [format!("{round}-a."), format!("{round}-b.")];
        let mut children = names.clone().map(|name| start(folder.path(), &name));
        // Both are at work when the first claims are seen, or have nothing to do.
        let begun = Instant::now();
        while queue.stats().await.unwrap().of(State::Running) == 0
            && begun.elapsed() < Duration::from_secs(5)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let moment = rand::random_range(0..60);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for name in &names {
            interrupted += queue.reclaim(name).await.unwrap();
        }
    }
    // A worker that lives does the rest.
    let mut child = start(folder.path(), "last.");
    let begun = Instant::now();
    loop {
        let stats = queue.stats().await.unwrap();
        if stats.of(State::Queued) + stats.of(State::Running) == 0 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{stats:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let mut done: BTreeMap<JobId, u32> = BTreeMap::new();
    for line in std::fs::read_to_string(folder.path().join("log"))
        .unwrap()
        .lines()
    {
        let (what, id) = line.split_once(' ').unwrap();
        let id: JobId = id.parse().unwrap();
        match what {
            "done" => *done.entry(id).or_default() += 1,
            _ => submitted.push(id),
        }
    }
    for id in &submitted {
        let job = queue
            .get(*id)
            .await
            .unwrap()
            .expect("what was accepted is kept");
        assert_eq!(job.state, State::Done, "{job:?}");
    }
    assert!(
        done.values().all(|times| *times == 1),
        "a completion was accepted twice"
    );
    assert!(submitted.len() >= 15 * rounds as usize);
    println!(
        "{} workers killed, {interrupted} jobs interrupted, {} done",
        2 * rounds,
        submitted.len()
    );
    let failed = queue.stats().await.unwrap().of(State::Failed);
    assert_eq!(failed, 0);
}
