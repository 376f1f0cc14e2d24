//! A durable queue: leases with fencing tokens, retries, dead letters, schedules, events and
//! webhooks. It knows nothing of what its jobs are about.
//!
//! [`Queue`] is the seam. [`SqliteQueue`] is the embedded implementation: one private file in
//! WAL mode that several processes may share, and everything is on the disk before a reply.
//! [`NatsQueue`] is the one for many machines: a stream of NATS JetStream, acknowledged before
//! a reply.
//!
//! A worker claims a job, reports and heartbeats while it works, and ends the attempt:
//!
//! ```
//! # #[tokio::main] async fn main() -> cairn_jobs::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! use cairn_jobs::{Claim, NewJob, Options, Queue, SqliteQueue, State};
//!
//! let queue = SqliteQueue::open(folder.path(), Options::default()).await?;
//! let job = NewJob::new("greet", serde_json::json!({"name": "Ada"}));
//! let id = queue.submit(vec![job]).await?[0].job.id;
//!
//! let mut changes = queue.changes(); // before the claim, so that nothing is missed
//! let lease = loop {
//!     match queue.claim(Claim::one("worker-1")).await?.pop() {
//!         Some(lease) => break lease,
//!         None => changes.changed().await.expect("the queue is open"),
//!     }
//! };
//! queue.complete(lease.token, serde_json::json!("Hello, Ada")).await?;
//! assert_eq!(queue.get(id).await?.unwrap().state, State::Done);
//! # Ok(()) }
//! ```

mod backoff;
mod check;
mod clock;
mod error;
mod event;
mod job;
mod lease;
mod nats;
pub mod notify;
mod options;
mod queue;
mod schedule;
mod sqlite;
mod stats;

pub use clock::Clock;
pub use error::{Error, Result};
pub use event::Event;
pub use job::{
    Attempt, DocumentError, Existing, Job, JobId, NewJob, Progress, State, Submitted, Unique,
};
pub use lease::{Claim, Failure, Fate, Heartbeat, Lease, Token, Update};
pub use nats::{Credentials, NatsQueue, NatsSettings};
pub use options::Options;
pub use queue::{Filter, Purge, Queue};
pub use schedule::{NewSchedule, Schedule};
pub use sqlite::{FILE, MIGRATIONS, REPAIR_SQL, SOUND_ROWS, SqliteQueue};
pub use stats::{Count, Stats};
