//! What every queue must do, as functions over the trait; each implementation runs them all.

mod life;
mod records;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cairn_jobs::{
    Claim, Clock, DocumentError, Error, Existing, Failure, Fate, Filter, Job, JobId, Lease,
    NatsQueue, NewJob, NewSchedule, Options, Progress, Purge, Queue, SqliteQueue, State, Unique,
    Update,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::nats::server::Servers;

/// A queue whose clock the test moves.
struct World<Q> {
    queue: Q,
    millis: Arc<AtomicI64>,
}

impl<Q: Queue> World<Q> {
    fn pass(&self, seconds: f64) {
        // Rounded: 3.789 s times 1,000 may be a little less than 3,789 in floats.
        let millis = (seconds * 1_000.0).round() as i64;
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.millis.load(Ordering::SeqCst)).unwrap()
    }

    async fn submit(&self, job: NewJob) -> Job {
        let submitted = self.queue.submit(vec![job]).await.unwrap().pop().unwrap();
        assert_eq!(submitted.existing, None);
        submitted.job
    }

    async fn claim(&self) -> Option<Lease> {
        self.queue.claim(Claim::one("w")).await.unwrap().pop()
    }

    async fn take(&self) -> Lease {
        self.claim().await.expect("a job is ready")
    }

    async fn get(&self, id: JobId) -> Job {
        self.queue.get(id).await.unwrap().unwrap()
    }
}

/// A manual clock at a round moment, and options with it.
pub(crate) fn manual() -> (Arc<AtomicI64>, Options) {
    let millis = Arc::new(AtomicI64::new(1_800_000_000_000));
    let options = Options {
        clock: Clock::Manual(millis.clone()),
        maintenance: false,
        ..Options::default()
    };
    (millis, options)
}

fn job() -> NewJob {
    NewJob::new("test", json!({"path": "a"}))
}

fn named(name: &str) -> NewJob {
    NewJob::new("test", json!(name))
}

fn stale<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::StaleLease(_))), "{result:?}");
}

/// Gives the tests of the suite to another macro.
macro_rules! every_test {
    ($then:ident! { $($given:tt)* }) => {
        $then! { $($given)* :
            life::a_job_goes_from_queued_to_done,
            life::bounds_are_checked,
            life::a_failed_job_is_tried_again_until_it_is_a_dead_letter,
            life::a_permanent_failure_is_a_dead_letter_at_once,
            life::a_stale_worker_is_refused,
            life::a_lost_worker_costs_an_attempt,
            life::a_released_job_costs_none,
            life::jobs_are_cancelled,
            turns::keys_make_jobs_one,
            turns::an_ordering_key_runs_jobs_in_order,
            turns::priorities_and_tenants_take_turns,
            turns::kinds_are_chosen,
            turns::a_delay_is_kept,
            turns::a_source_that_fails_is_left_alone,
            life::costs_have_a_cap,
            life::a_person_is_asked,
            records::events_tell_everything_in_order,
            records::errors_of_documents_are_kept_within_bounds,
            turns::a_pause_stops_claims,
            records::lists_have_pages,
            records::lists_fit_into_memory,
            records::terminal_jobs_are_purged,
            records::schedules_fire_once,
            records::figures_add_up,
            turns::submissions_are_all_or_none,
        }
    };
}

/// A test for each of the suite, on the queues that `open` makes, each fresh.
macro_rules! suite {
    ($name:ident, $open:path: $($room:ident::$test:ident),* $(,)?) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let Some((world, _kept)) = $open().await else { return };
                    super::$room::$test(world).await;
                }
            )*
        }
    };
}

/// One test for all of the suite, on the queues of servers that are slow to start.
macro_rules! in_turn {
    ($name:ident, $count:literal: $($room:ident::$test:ident),* $(,)?) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let Some(servers) = Servers::start($count).await else { return };
            $(
                let (world, _kept) = on(&servers, stringify!($test)).await;
                $room::$test(world).await;
            )*
        }
    };
}

async fn sqlite() -> Option<(World<SqliteQueue>, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let (millis, options) = manual();
    let queue = SqliteQueue::open(folder.path(), options).await.unwrap();
    Some((World { queue, millis }, folder))
}

async fn nats() -> Option<(World<NatsQueue>, (Servers, tempfile::TempDir))> {
    let servers = Servers::start(1).await?;
    let (world, folder) = on(&servers, "one").await;
    Some((world, (servers, folder)))
}

/// A queue called `name` on `servers`.
async fn on(servers: &Servers, name: &str) -> (World<NatsQueue>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (millis, options) = manual();
    let queue = NatsQueue::open(servers.settings(name), folder.path(), options);
    let queue = queue.await.unwrap();
    (World { queue, millis }, folder)
}

every_test!(suite! { embedded, super::sqlite });
every_test!(suite! { one_node, super::nats });
every_test!(in_turn! { three_nodes, 3 });
