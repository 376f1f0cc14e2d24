//! The queue from outside: what every implementation must do, and what each does under
//! damage.

mod conformance;
mod kill;
mod nats;
mod notify;
mod peer;
#[path = "../../tests/peers.rs"]
mod peers;
mod processes;
mod property;

use cairn_jobs::{Claim, JobId, Queue};

/// Claims, as `worker`, up to `limit` jobs at a time, and completes them until nothing is left;
/// returns what it did.
async fn work(queue: &dyn Queue, worker: &str, limit: usize) -> Vec<JobId> {
    let mut done = Vec::new();
    loop {
        let claim = Claim {
            limit,
            ..Claim::one(worker)
        };
        let leases = queue.claim(claim).await.unwrap();
        if leases.is_empty() {
            return done;
        }
        for lease in leases {
            queue
                .complete(lease.token, serde_json::Value::Null)
                .await
                .unwrap();
            done.push(lease.token.job);
        }
    }
}
