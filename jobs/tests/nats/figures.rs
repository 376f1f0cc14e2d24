//! What a job costs on NATS, and how long a process takes that joins a long queue. Not asserted:
//! `cargo test -p cairn-jobs --release -- --ignored figures --nocapture`.

use std::time::{Duration, Instant};

use cairn_jobs::{Claim, NatsQueue, NewJob, Options, Queue};
use serde_json::{Value, json};

use super::server::Servers;

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

/// Processor time of this process, in seconds; `None` if the system does not say.
fn cpu() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>().ok()? + fields[12].parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

async fn work(queue: &NatsQueue, limit: usize) -> usize {
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

async fn measure(nodes: usize) {
    let Some(servers) = Servers::start(nodes).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let open = async |name: &str| {
        let settings = servers.settings(name);
        NatsQueue::open(settings, folder.path(), Options::default())
            .await
            .unwrap()
    };
    let queue = open("cost").await;
    for limit in [1, 16] {
        let (before, begun) = (cpu(), Instant::now());
        for _ in 0..3 {
            queue.submit(jobs(300)).await.unwrap();
            while work(&queue, limit).await > 0 {}
        }
        let all = begun.elapsed().as_secs_f64() / 0.9;
        let cpu = cpu()
            .zip(before)
            .map_or(0.0, |(after, before)| (after - before) / 0.9);
        println!("{nodes} node(s): {all:.2} ms a job, {cpu:.2} of them CPU here, {limit} a claim");
    }

    let worker = open("cost").await;
    let mut changes = worker.changes();
    let mut waits = Vec::new();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let begun = Instant::now();
        queue.submit(jobs(1)).await.unwrap();
        let lease = loop {
            match worker.claim(Claim::one("w")).await.unwrap().pop() {
                Some(lease) => break lease,
                None => changes.changed().await.unwrap(),
            }
        };
        waits.push(begun.elapsed());
        worker.complete(lease.token, Value::Null).await.unwrap();
    }
    waits.sort();
    println!(
        "{nodes} node(s): from submission to claim by another process: median {:?}, p95 {:?}",
        waits[50], waits[95]
    );

    let queue = open("depth").await;
    for part in jobs(100_000).chunks(1_000) {
        queue.submit(part.to_vec()).await.unwrap();
    }
    let begun = Instant::now();
    let joined = open("depth").await;
    let opened = begun.elapsed();
    let lease = joined.claim(Claim::one("w")).await.unwrap();
    println!(
        "{nodes} node(s): joins 100,000 queued jobs in {opened:?}, claims after {:?}",
        begun.elapsed()
    );
    assert_eq!(lease.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn figures() {
    for nodes in [1, 3] {
        measure(nodes).await;
    }
}
