//! What a job costs: submitted, claimed and completed; claimed among 100,000; and a restart.
//!
//! `cargo bench --bench queue`. The figures hold the flushes of the disk; the line `CPU` says
//! what the processor did.

use std::path::Path;
use std::time::{Duration, Instant};

use cairn_jobs::{Claim, NewJob, Options, Queue as _, SqliteQueue};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Jobs that wait.
const QUEUED: usize = 100_000;

fn jobs(count: usize) -> Vec<NewJob> {
    let job = |n| NewJob {
        tenant: format!("tenant-{}", n % 10),
        ordering_key: Some(format!("document-{n}")),
        ..NewJob::new(
            "text",
            json!({"path": format!("/data/{n}.md"), "collection": "main"}),
        )
    };
    (0..count).map(job).collect()
}

async fn open(folder: &Path) -> SqliteQueue {
    SqliteQueue::open(folder, Options::default()).await.unwrap()
}

async fn work(queue: &SqliteQueue, limit: usize) -> usize {
    let claim = Claim {
        limit,
        ..Claim::one("bench")
    };
    let leases = queue.claim(claim).await.unwrap();
    let done = leases
        .iter()
        .map(|lease| queue.complete(lease.token, Value::Null));
    futures::future::try_join_all(done).await.unwrap();
    leases.len()
}

/// Processor time of this process, in ticks of 10 ms; `None` if there is no such file.
fn ticks() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)
}

/// Bytes of memory that are this process's own.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("RssAnon:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

fn cost(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let queue = runtime.block_on(open(folder.path()));
    criterion.bench_function("submit, claim and complete one job", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                queue.submit(jobs(1)).await.unwrap();
                assert_eq!(work(&queue, 1).await, 1);
            });
        });
    });
    for limit in [1, 16] {
        let before = ticks();
        let begun = Instant::now();
        runtime.block_on(async {
            for _ in 0..10 {
                queue.submit(jobs(300)).await.unwrap();
                while work(&queue, limit).await > 0 {}
            }
        });
        if let (Some(before), Some(after)) = (before, ticks()) {
            let cpu = (after - before) as f64 * 10.0 / 3_000.0;
            let all = begun.elapsed().as_secs_f64() * 1_000.0 / 3_000.0;
            println!("CPU: {cpu:.3} ms a job, {all:.3} ms in all, {limit} a claim");
        }
    }
}

fn depth(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let before = resident();
    let queue = runtime.block_on(async {
        let queue = open(folder.path()).await;
        for part in jobs(QUEUED).chunks(1_000) {
            queue.submit(part.to_vec()).await.unwrap();
        }
        queue
    });
    if let (Some(before), Some(after)) = (before, resident()) {
        let grown = after.saturating_sub(before) / 1_000_000;
        println!("memory: {grown} MB more with {QUEUED} jobs queued");
    }
    criterion.bench_function("claim one of 100,000 jobs and give it back", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let lease = queue
                    .claim(Claim::one("bench"))
                    .await
                    .unwrap()
                    .pop()
                    .unwrap();
                queue.release(lease.token).await.unwrap();
            });
        });
    });
    criterion.bench_function("a claim of a kind that is not there", |bencher| {
        let claim = Claim {
            kinds: vec!["other".into()],
            ..Claim::one("bench")
        };
        bencher.iter(|| runtime.block_on(queue.claim(claim.clone())).unwrap());
    });
    let beside = tempfile::tempdir().unwrap();
    let delayed = runtime.block_on(async {
        let queue = open(beside.path()).await;
        let later = jiff::Timestamp::now() + Duration::from_secs(3_600);
        for part in jobs(QUEUED).chunks(1_000) {
            let delayed = part.iter().cloned().map(|job| NewJob {
                run_at: Some(later),
                ..job
            });
            queue.submit(delayed.collect()).await.unwrap();
        }
        queue
    });
    criterion.bench_function("a claim beside 100,000 delayed jobs", |bencher| {
        bencher.iter(|| {
            runtime
                .block_on(delayed.claim(Claim::one("bench")))
                .unwrap()
        });
    });
    criterion.bench_function("figures over 100,000 jobs", |bencher| {
        bencher.iter(|| runtime.block_on(queue.stats()).unwrap());
    });
    criterion.bench_function("open with 100,000 jobs, and claim", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let queue = open(folder.path()).await;
                let lease = queue
                    .claim(Claim::one("bench"))
                    .await
                    .unwrap()
                    .pop()
                    .unwrap();
                queue.release(lease.token).await.unwrap();
            });
        });
    });
}

/// From submission to claim by a worker that waits.
fn pick_up(_: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    for processes in ["one", "two"] {
        let folder = tempfile::tempdir().unwrap();
        let mut waits = runtime.block_on(async {
            let queue = open(folder.path()).await;
            let worker = match processes {
                "one" => queue.clone(),
                _ => open(folder.path()).await,
            };
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            let waiting = tokio::spawn(async move {
                let mut changes = worker.changes();
                loop {
                    match worker.claim(Claim::one("bench")).await.unwrap().pop() {
                        Some(lease) => {
                            sender.send(Instant::now()).unwrap();
                            worker.complete(lease.token, Value::Null).await.unwrap();
                        }
                        None => changes.changed().await.unwrap(),
                    }
                }
            });
            let mut waits = Vec::new();
            for _ in 0..200 {
                tokio::time::sleep(Duration::from_millis(15)).await;
                let begun = Instant::now();
                queue.submit(jobs(1)).await.unwrap();
                waits.push(receiver.recv().await.unwrap().duration_since(begun));
            }
            waiting.abort();
            waits
        });
        waits.sort();
        let (median, p95) = (waits[100], waits[189]);
        println!("pick-up, {processes} owner(s) of the file: median {median:?}, p95 {p95:?}");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = pick_up, cost, depth
}
criterion_main!(benches);
