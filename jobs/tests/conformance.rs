//! What every queue must do, as functions over the trait; each implementation runs them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cairn_jobs::{
    Claim, Clock, DocumentError, Error, Existing, Failure, Fate, Filter, Job, JobId, Lease, NewJob,
    NewSchedule, Options, Progress, Purge, Queue, SqliteQueue, State, Unique, Update,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A queue whose clock the test moves.
struct World<Q> {
    queue: Q,
    millis: Arc<AtomicI64>,
}

impl<Q: Queue> World<Q> {
    fn pass(&self, seconds: f64) {
        let millis = (seconds * 1_000.0) as i64;
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

/// Runs the suite on the queues that `open` makes, each fresh.
macro_rules! suite {
    ($name:ident, $open:path: $($test:ident),* $(,)?) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let (world, _kept) = $open().await;
                    super::$test(world).await;
                }
            )*
        }
    };
}

async fn sqlite() -> (World<SqliteQueue>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (millis, options) = manual();
    let queue = SqliteQueue::open(folder.path(), options).await.unwrap();
    (World { queue, millis }, folder)
}

suite!(embedded, super::sqlite:
    a_job_goes_from_queued_to_done,
    bounds_are_checked,
    a_failed_job_is_tried_again_until_it_is_a_dead_letter,
    a_permanent_failure_is_a_dead_letter_at_once,
    a_stale_worker_is_refused,
    a_lost_worker_costs_an_attempt,
    a_released_job_costs_none,
    jobs_are_cancelled,
    keys_make_jobs_one,
    an_ordering_key_runs_jobs_in_order,
    priorities_and_tenants_take_turns,
    kinds_are_chosen,
    a_delay_is_kept,
    a_source_that_fails_is_left_alone,
    costs_have_a_cap,
    a_person_is_asked,
    events_tell_everything_in_order,
    errors_of_documents_are_kept_within_bounds,
    a_pause_stops_claims,
    lists_have_pages,
    terminal_jobs_are_purged,
    schedules_fire_once,
    figures_add_up,
    submissions_are_all_or_none,
);

async fn a_job_goes_from_queued_to_done(world: World<impl Queue>) {
    let submitted = world.submit(job()).await;
    assert_eq!(submitted.state, State::Queued);
    assert_eq!(submitted.created_at, world.now());
    world.pass(3.0);
    let lease = world.take().await;
    assert_eq!((lease.job.id, lease.token.number), (submitted.id, 1));
    assert_eq!(lease.job.payload, json!({"path": "a"}));
    assert_eq!(lease.until.duration_since(world.now()).as_secs(), 120);
    assert!(world.claim().await.is_none());
    world.pass(100.0);
    let heartbeat = world.queue.heartbeat(lease.token).await.unwrap();
    assert_eq!(heartbeat.until.duration_since(world.now()).as_secs(), 120);
    assert!(!heartbeat.cancel);
    world
        .queue
        .complete(lease.token, json!({"chunks": 7}))
        .await
        .unwrap();
    let done = world.get(submitted.id).await;
    assert_eq!((done.state, done.attempts), (State::Done, 1));
    assert_eq!(done.result, Some(json!({"chunks": 7})));
    assert_eq!(done.ended_at, Some(world.now()));
    assert_eq!(world.queue.get(JobId::new()).await.unwrap(), None);
}

async fn bounds_are_checked(world: World<impl Queue>) {
    let large = NewJob::new("test", Value::String("x".repeat(300_000)));
    let nameless = NewJob::new("", Value::Null);
    let odd = NewJob::new("a \"b\"", Value::Null);
    let long = NewJob {
        tenant: "t".repeat(2_000),
        ..job()
    };
    let never = NewJob {
        max_attempts: Some(0),
        ..job()
    };
    for bad in [large, nameless, odd, long, never] {
        let result = world.queue.submit(vec![job(), bad]).await;
        assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
    }
    world.queue.submit(vec![job(); 1_001]).await.unwrap_err();
    assert!(
        world.claim().await.is_none(),
        "nothing of a refused submission is there"
    );
    let none = Claim {
        limit: 0,
        ..Claim::one("w")
    };
    world.queue.claim(none).await.unwrap_err();
}

async fn a_failed_job_is_tried_again_until_it_is_a_dead_letter(world: World<impl Queue>) {
    let id = world.submit(job()).await.id;
    for attempt in 1..=5 {
        let lease = world.take().await;
        assert_eq!(lease.job.attempts, attempt);
        let failure = Failure::transient(format!("number {attempt}"));
        let fate = world.queue.fail(lease.token, failure).await.unwrap();
        if attempt == 5 {
            assert_eq!(fate, Fate::Dead);
            break;
        }
        let Fate::Retry { at } = fate else {
            panic!("{fate:?}");
        };
        let pause = at.duration_since(world.now()).as_secs_f64();
        let most = 2_f64.powi(attempt as i32 + 1);
        assert!((most / 2.0..=most).contains(&pause), "{attempt}: {pause}");
        assert!(world.claim().await.is_none());
        world.pass(pause);
    }
    let dead = world.get(id).await;
    assert_eq!(dead.state, State::Failed);
    let said: Vec<_> = dead
        .failures
        .iter()
        .map(|attempt| attempt.chain[0].as_str())
        .collect();
    assert_eq!(
        said,
        ["number 1", "number 2", "number 3", "number 4", "number 5"]
    );

    let again = world.queue.retry(id).await.unwrap();
    assert_eq!(
        (again.state, again.attempts, again.id),
        (State::Queued, 0, id)
    );
    let lease = world.take().await;
    assert_eq!(lease.token.number, 6, "the fencing number goes on");
    let failure = Failure {
        retry_after: Some(Duration::from_secs(77)),
        ..Failure::transient("wait")
    };
    let fate = world.queue.fail(lease.token, failure).await.unwrap();
    assert_eq!(
        fate,
        Fate::Retry {
            at: world.now() + Duration::from_secs(77)
        }
    );
    assert!(matches!(
        world.queue.retry(id).await,
        Err(Error::WrongState { .. })
    ));
}

async fn a_permanent_failure_is_a_dead_letter_at_once(world: World<impl Queue>) {
    let id = world.submit(job()).await.id;
    let lease = world.take().await;
    let update = Update {
        stage: Some("parse".into()),
        ..Update::default()
    };
    world.queue.progress(lease.token, update).await.unwrap();
    let cause = std::io::Error::other("not a PDF");
    let fate = world
        .queue
        .fail(lease.token, Failure::of(&cause, true))
        .await
        .unwrap();
    assert_eq!(fate, Fate::Dead);
    let dead = world.get(id).await;
    let last = dead.failures.last().unwrap();
    assert_eq!(
        (last.stage.as_deref(), last.permanent),
        (Some("parse"), true)
    );
    assert_eq!(last.chain, ["not a PDF"]);
}

async fn a_stale_worker_is_refused(world: World<impl Queue>) {
    let id = world.submit(job()).await.id;
    let old = world.take().await.token;
    world.pass(120.0);
    assert_eq!(world.queue.reap().await.unwrap(), 1);
    world.pass(5.0);
    let new = world.take().await.token;
    assert!(new.number > old.number);
    let queue = &world.queue;
    stale(queue.heartbeat(old).await);
    stale(queue.progress(old, Update::default()).await);
    stale(queue.spend(old, 1).await);
    stale(queue.complete(old, Value::Null).await);
    stale(queue.fail(old, Failure::permanent("x")).await);
    stale(queue.release(old).await);
    stale(queue.confirm_cancel(old).await);
    stale(queue.ask_input(old, Value::Null).await);
    queue.complete(new, json!("new")).await.unwrap();
    stale(queue.complete(new, json!("twice")).await);
    assert_eq!(world.get(id).await.result, Some(json!("new")));
}

async fn a_lost_worker_costs_an_attempt(world: World<impl Queue>) {
    let id = world
        .submit(NewJob {
            max_attempts: Some(2),
            ..job()
        })
        .await
        .id;
    world.take().await;
    world.pass(119.0);
    assert_eq!(world.queue.reap().await.unwrap(), 0);
    world.pass(1.0);
    assert_eq!(world.queue.reap().await.unwrap(), 1);
    world.pass(5.0);
    world.take().await;
    assert_eq!(world.queue.reclaim("other").await.unwrap(), 0);
    assert_eq!(world.queue.reclaim("w").await.unwrap(), 1);
    let dead = world.get(id).await;
    assert_eq!((dead.state, dead.failures.len()), (State::Failed, 2));
    assert!(
        dead.failures[0].chain[0].contains("worker w"),
        "{:?}",
        dead.failures
    );
}

async fn a_released_job_costs_none(world: World<impl Queue>) {
    let id = world.submit(job()).await.id;
    for _ in 0..7 {
        let lease = world.take().await;
        assert_eq!(lease.job.attempts, 1);
        world.queue.release(lease.token).await.unwrap();
    }
    assert_eq!(world.get(id).await.state, State::Queued);
}

async fn jobs_are_cancelled(world: World<impl Queue>) {
    let waiting = world.submit(job()).await.id;
    assert_eq!(
        world.queue.cancel(waiting).await.unwrap().state,
        State::Cancelled
    );
    assert!(world.claim().await.is_none());

    let running = world.submit(job()).await.id;
    let lease = world.take().await;
    let unasked = world.queue.confirm_cancel(lease.token).await;
    assert!(
        matches!(unasked, Err(Error::WrongState { .. })),
        "{unasked:?}"
    );
    let asked = world.queue.cancel(running).await.unwrap();
    assert_eq!(
        (asked.state, asked.cancel_requested),
        (State::Running, true)
    );
    assert!(world.queue.heartbeat(lease.token).await.unwrap().cancel);
    world.queue.confirm_cancel(lease.token).await.unwrap();
    assert_eq!(world.get(running).await.state, State::Cancelled);

    let deaf = world.submit(job()).await.id;
    world.take().await;
    world.queue.cancel(deaf).await.unwrap();
    world.pass(121.0);
    world.queue.reap().await.unwrap();
    assert_eq!(world.get(deaf).await.state, State::Cancelled);

    let failing = world.submit(job()).await.id;
    let lease = world.take().await;
    world.queue.cancel(failing).await.unwrap();
    let fate = world
        .queue
        .fail(lease.token, Failure::transient("x"))
        .await
        .unwrap();
    assert_eq!(fate, Fate::Cancelled);
    let again = world.queue.retry(failing).await.unwrap();
    assert_eq!(
        (again.state, again.cancel_requested),
        (State::Queued, false)
    );
    let unknown = world.queue.cancel(JobId::new()).await;
    assert!(matches!(unknown, Err(Error::NotFound(_))));
}

async fn keys_make_jobs_one(world: World<impl Queue>) {
    let unique = NewJob {
        unique_key: Some("u".into()),
        ..job()
    };
    let first = world.submit(unique.clone()).await;
    let submit = async |job: &NewJob| {
        world
            .queue
            .submit(vec![job.clone()])
            .await
            .unwrap()
            .pop()
            .unwrap()
    };
    let second = submit(&unique).await;
    assert_eq!(
        (second.job.id, second.existing),
        (first.id, Some(Existing::Unique))
    );
    let elsewhere = NewJob {
        tenant: "other".into(),
        ..unique.clone()
    };
    assert_eq!(submit(&elsewhere).await.existing, None);
    // While it runs, a submission that asks for one that waits is not folded into it.
    let lease = world.take().await;
    let waiting = NewJob {
        unique: Unique::Waiting,
        ..unique.clone()
    };
    if lease.job.id == first.id {
        assert_eq!(submit(&unique).await.job.id, first.id);
        let after = submit(&waiting).await;
        assert_eq!(after.existing, None);
        assert_eq!(submit(&waiting).await.job.id, after.job.id);
    }
    world
        .queue
        .complete(lease.token, Value::Null)
        .await
        .unwrap();

    let idempotent = NewJob {
        idempotency_key: Some("i".into()),
        ..named("first")
    };
    let first = world.submit(idempotent.clone()).await;
    world.queue.cancel(first.id).await.unwrap();
    let other = NewJob {
        payload: json!("second"),
        ..idempotent
    };
    let second = submit(&other).await;
    assert_eq!(
        (second.job.id, second.existing),
        (first.id, Some(Existing::Idempotent))
    );
    assert_eq!(second.job.payload, json!("first"));
    world.queue.purge(Purge::Job(first.id)).await.unwrap();
    assert_eq!(submit(&other).await.existing, None);
    // Within one submission, too.
    let twins = vec![
        NewJob {
            idempotency_key: Some("t".into()),
            ..job()
        };
        2
    ];
    let twins = world.queue.submit(twins).await.unwrap();
    assert_eq!(twins[0].job.id, twins[1].job.id);
}

async fn an_ordering_key_runs_jobs_in_order(world: World<impl Queue>) {
    let keyed = |name: &str| NewJob {
        ordering_key: Some("doc".into()),
        ..named(name)
    };
    let jobs = vec![
        keyed("1"),
        keyed("2"),
        keyed("3"),
        keyed("4"),
        named("free"),
    ];
    let jobs = world.queue.submit(jobs).await.unwrap();
    let first = world.take().await;
    let free = world.take().await;
    assert_eq!(
        (first.job.payload, free.job.payload),
        (json!("1"), json!("free"))
    );
    assert!(world.claim().await.is_none(), "one at a time");
    // A pause after a failure keeps the place.
    world
        .queue
        .fail(first.token, Failure::transient("x"))
        .await
        .unwrap();
    assert!(world.claim().await.is_none());
    world.pass(4.0);
    let first = world.take().await;
    assert_eq!(first.job.payload, json!("1"));
    world.queue.cancel(jobs[1].job.id).await.unwrap();
    assert!(world.claim().await.is_none());
    world
        .queue
        .complete(first.token, Value::Null)
        .await
        .unwrap();
    let third = world.take().await;
    assert_eq!(third.job.payload, json!("3"));
    // The one that is tried again waits for its turn.
    world.queue.retry(jobs[1].job.id).await.unwrap();
    assert!(world.claim().await.is_none());
    world
        .queue
        .ask_input(third.token, json!("?"))
        .await
        .unwrap();
    assert!(world.claim().await.is_none());
    world
        .queue
        .give_input(jobs[2].job.id, json!("!"))
        .await
        .unwrap();
    let third = world.take().await;
    assert_eq!(third.job.input, Some(json!("!")));
    world
        .queue
        .complete(third.token, Value::Null)
        .await
        .unwrap();
    for name in ["2", "4"] {
        let lease = world.take().await;
        assert_eq!(lease.job.payload, json!(name));
        assert!(world.claim().await.is_none());
        world
            .queue
            .complete(lease.token, Value::Null)
            .await
            .unwrap();
    }
}

async fn priorities_and_tenants_take_turns(world: World<impl Queue>) {
    let of = |tenant: &str, kind: &str, priority| NewJob {
        tenant: tenant.into(),
        priority,
        ..NewJob::new(kind, json!(tenant))
    };
    let mut jobs = vec![of("big", "a", 0); 6];
    jobs.extend(vec![of("big", "b", 0); 3]);
    jobs.extend([
        of("small", "a", 0),
        of("late", "a", -1),
        of("first", "a", 1),
    ]);
    jobs.push(of("small", "b", 0));
    world.queue.submit(jobs).await.unwrap();
    let mut order = Vec::new();
    while let Some(lease) = world.claim().await {
        order.push(lease.job.tenant);
    }
    assert_eq!(order[..5], ["first", "big", "small", "big", "small"]);
    assert_eq!(order.len(), 13);
    assert_eq!(order[12], "late");
}

async fn kinds_are_chosen(world: World<impl Queue>) {
    world.submit(NewJob::new("a", Value::Null)).await;
    let wanted = world.submit(NewJob::new("b", Value::Null)).await.id;
    let claim = Claim {
        kinds: vec!["b".into(), "c".into()],
        limit: 5,
        ..Claim::one("w")
    };
    let leases = world.queue.claim(claim).await.unwrap();
    let ids: Vec<_> = leases.iter().map(|lease| lease.job.id).collect();
    assert_eq!(ids, [wanted]);
}

async fn a_delay_is_kept(world: World<impl Queue>) {
    let later = world.now() + Duration::from_secs(60);
    world
        .submit(NewJob {
            run_at: Some(later),
            ..job()
        })
        .await;
    assert!(world.claim().await.is_none());
    let mut changes = world.queue.changes();
    changes.mark_unchanged();
    world.pass(60.0);
    let woken = tokio::time::timeout(Duration::from_secs(10), changes.changed()).await;
    woken.expect("a job that is due wakes workers").unwrap();
    world.take().await;
}

async fn a_source_that_fails_is_left_alone(world: World<impl Queue>) {
    let of = |source: &str| NewJob {
        source: Some(source.into()),
        max_attempts: Some(1),
        ..job()
    };
    world.queue.submit(vec![of("down"); 9]).await.unwrap();
    for _ in 0..5 {
        let lease = world.take().await;
        world
            .queue
            .fail(lease.token, Failure::transient("refused"))
            .await
            .unwrap();
    }
    assert!(world.claim().await.is_none());
    let up = world.submit(of("up")).await.id;
    world.submit(of("down")).await;
    assert_eq!(world.take().await.job.id, up);
    assert!(world.claim().await.is_none());
    assert_eq!(world.queue.stats().await.unwrap().open_sources, ["down"]);
    // After the pause one of them tries; it fails, and the pause doubles.
    world.pass(30.0);
    let probe = world.take().await;
    assert!(world.claim().await.is_none());
    world
        .queue
        .fail(probe.token, Failure::transient("refused"))
        .await
        .unwrap();
    world.pass(59.0);
    assert!(world.claim().await.is_none());
    world.pass(1.0);
    let probe = world.take().await;
    assert!(world.claim().await.is_none());
    world
        .queue
        .complete(probe.token, Value::Null)
        .await
        .unwrap();
    for _ in 0..3 {
        world.take().await;
    }
    assert!(world.claim().await.is_none());
    assert!(world.queue.stats().await.unwrap().open_sources.is_empty());
}

async fn costs_have_a_cap(world: World<impl Queue>) {
    let id = world
        .submit(NewJob {
            cost_cap: Some(100),
            ..job()
        })
        .await
        .id;
    let lease = world.take().await;
    world.queue.spend(lease.token, 60).await.unwrap();
    let refused = world.queue.spend(lease.token, 41).await;
    assert!(
        matches!(
            refused,
            Err(Error::CostCap {
                spent: 60,
                cap: 100,
                ..
            })
        ),
        "{refused:?}"
    );
    world.queue.spend(lease.token, 40).await.unwrap();
    world
        .queue
        .fail(lease.token, Failure::transient("x"))
        .await
        .unwrap();
    world.pass(10.0);
    let lease = world.take().await;
    world.queue.spend(lease.token, 1).await.unwrap_err();
    assert_eq!(world.get(id).await.cost_spent, 100);
}

async fn a_person_is_asked(world: World<impl Queue>) {
    let id = world.submit(job()).await.id;
    let refused = world.queue.give_input(id, Value::Null).await;
    assert!(matches!(refused, Err(Error::WrongState { .. })));
    let lease = world.take().await;
    world
        .queue
        .ask_input(lease.token, json!("more than half would go"))
        .await
        .unwrap();
    let asked = world.get(id).await;
    assert_eq!((asked.state, asked.attempts), (State::InputRequired, 0));
    assert_eq!(asked.result, Some(json!("more than half would go")));
    stale(world.queue.heartbeat(lease.token).await);
    world
        .queue
        .give_input(id, json!({"yes": true}))
        .await
        .unwrap();
    let lease = world.take().await;
    assert_eq!(lease.job.input, Some(json!({"yes": true})));
    world
        .queue
        .ask_input(lease.token, json!("again?"))
        .await
        .unwrap();
    assert_eq!(
        world.queue.cancel(id).await.unwrap().state,
        State::Cancelled
    );
}

async fn events_tell_everything_in_order(world: World<impl Queue>) {
    let id = world.submit(job()).await.id;
    let queue = &world.queue;
    let token = world.take().await.token;
    for done in 0..1_000 {
        let progress = Progress {
            done,
            total: Some(1_000),
            ..Progress::default()
        };
        let stage = match done {
            0..500 => "parse",
            _ => "embed",
        };
        let update = Update {
            stage: Some(stage.into()),
            progress: Some(progress),
            errors: vec![],
        };
        queue.progress(token, update).await.unwrap();
    }
    queue.complete(token, Value::Null).await.unwrap();
    let events = queue.events_after(id, 0).await.unwrap();
    assert!(events.is_sorted_by(|a, b| a.seq < b.seq));
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.state, event.stage.as_deref(), event.progress.done))
        .collect();
    assert_eq!(
        told,
        [
            (State::Queued, None, 0),
            (State::Running, None, 0),
            (State::Running, Some("parse"), 0),
            (State::Running, Some("parse"), 499),
            (State::Running, Some("embed"), 500),
            (State::Running, Some("embed"), 999),
            (State::Done, Some("embed"), 999),
        ]
    );
    let middle = events[3].seq;
    assert_eq!(queue.events_after(id, middle).await.unwrap(), events[4..]);
    let last = events[6].seq;
    assert_eq!(world.get(id).await.event_seq, last);
    let over = queue
        .wait_events(id, last, Duration::from_secs(60))
        .await
        .unwrap();
    assert!(over.is_empty(), "a job that has ended keeps nobody waiting");

    let id = world.submit(job()).await.id;
    let (waited, _) = tokio::join!(queue.wait_events(id, 1, Duration::from_secs(60)), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        queue.cancel(id).await.unwrap();
    });
    assert_eq!(waited.unwrap()[0].state, State::Cancelled);
    // Many changes stay within bounds.
    let id = world.submit(job()).await.id;
    for _ in 0..200 {
        let token = world.take().await.token;
        queue.release(token).await.unwrap();
    }
    let events = queue.events_after(id, 0).await.unwrap();
    assert_eq!((events.len(), events[255].seq), (256, 401));
    let unknown = queue.events_after(JobId::new(), 0).await;
    assert!(matches!(unknown, Err(Error::NotFound(_))));
}

async fn errors_of_documents_are_kept_within_bounds(world: World<impl Queue>) {
    let id = world.submit(job()).await.id;
    let token = world.take().await.token;
    let error = |n: usize| DocumentError {
        document: format!("{n}.pdf"),
        stage: Some("parse".into()),
        message: "é".repeat(5_000),
    };
    for part in 0..3 {
        let errors = (part * 400..(part + 1) * 400).map(error).collect();
        let update = Update {
            errors,
            ..Update::default()
        };
        world.queue.progress(token, update).await.unwrap();
    }
    assert_eq!(world.get(id).await.document_errors, 1_200);
    let page = world.queue.document_errors(id, 398, 3).await.unwrap();
    let names: Vec<_> = page.iter().map(|error| error.document.as_str()).collect();
    assert_eq!(names, ["398.pdf", "399.pdf", "400.pdf"]);
    assert!(page[0].message.len() <= 2_048);
    let all = world.queue.document_errors(id, 0, 9_999).await.unwrap();
    assert_eq!(all.len(), 1_000);
    // Another attempt reports its own.
    world.queue.release(token).await.unwrap();
    world.take().await;
    assert_eq!(world.get(id).await.document_errors, 0);
    assert!(
        world
            .queue
            .document_errors(id, 0, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_pause_stops_claims(world: World<impl Queue>) {
    world.submit(job()).await;
    world.queue.pause("maintenance").await.unwrap();
    assert!(world.claim().await.is_none());
    let stats = world.queue.stats().await.unwrap();
    assert_eq!(stats.paused.as_deref(), Some("maintenance"));
    world.queue.resume().await.unwrap();
    let lease = world.take().await;
    world.queue.drain();
    world.queue.release(lease.token).await.unwrap();
    assert!(
        world.claim().await.is_none(),
        "this process takes nothing more"
    );
}

async fn lists_have_pages(world: World<impl Queue>) {
    let jobs = (0..10).map(|n| NewJob {
        tenant: format!("t{}", n % 2),
        ..named(&n.to_string())
    });
    let jobs = world.queue.submit(jobs.collect()).await.unwrap();
    let names = |jobs: Vec<Job>| -> Vec<String> {
        jobs.iter()
            .map(|job| job.payload.as_str().unwrap().to_owned())
            .collect()
    };
    let list = async |filter: Filter, limit| names(world.queue.list(filter, limit).await.unwrap());
    assert_eq!(list(Filter::default(), 3).await, ["9", "8", "7"]);
    let next = Filter {
        before: Some(jobs[7].job.id),
        ..Filter::default()
    };
    assert_eq!(list(next, 3).await, ["6", "5", "4"]);
    let tenant = Filter {
        tenant: Some("t1".into()),
        ..Filter::default()
    };
    assert_eq!(list(tenant.clone(), 2).await, ["9", "7"]);
    for n in [2, 3, 5] {
        world.queue.cancel(jobs[n].job.id).await.unwrap();
    }
    let cancelled = Filter {
        states: vec![State::Cancelled],
        ..tenant
    };
    assert_eq!(list(cancelled, 9).await, ["5", "3"]);
    let both = Filter {
        states: vec![State::Cancelled, State::Queued],
        ..Filter::default()
    };
    assert_eq!(list(both, 99).await.len(), 10);
    let other = Filter {
        kind: Some("other".into()),
        ..Filter::default()
    };
    assert!(list(other, 99).await.is_empty());
}

async fn terminal_jobs_are_purged(world: World<impl Queue>) {
    let old = world.submit(job()).await.id;
    world.queue.cancel(old).await.unwrap();
    world.pass(100.0);
    let dead = world.submit(job()).await.id;
    let lease = world.take().await;
    world
        .queue
        .fail(lease.token, Failure::permanent("x"))
        .await
        .unwrap();
    let live = world.submit(job()).await.id;
    let refused = world.queue.purge(Purge::Job(live)).await;
    assert!(matches!(refused, Err(Error::WrongState { .. })));
    let before = |moment, states| Purge::EndedBefore {
        moment,
        states,
        tenant: None,
    };
    let earlier = world.now() - Duration::from_secs(50);
    assert_eq!(
        world
            .queue
            .purge(before(earlier, vec![State::Failed]))
            .await
            .unwrap(),
        0
    );
    assert_eq!(world.queue.purge(before(earlier, vec![])).await.unwrap(), 1);
    assert_eq!(world.queue.get(old).await.unwrap(), None);
    world.pass(1.0);
    assert_eq!(
        world
            .queue
            .purge(before(world.now(), vec![State::Failed]))
            .await
            .unwrap(),
        1
    );
    assert_eq!(world.queue.get(dead).await.unwrap(), None);
    assert_eq!(world.get(live).await.state, State::Queued);
}

async fn schedules_fire_once(world: World<impl Queue>) {
    let schedule = NewSchedule {
        name: "nightly".into(),
        cron: "30 2 * * *".into(),
        time_zone: "Europe/Berlin".into(),
        job: job(),
        paused: false,
    };
    for (cron, time_zone) in [
        ("x", "UTC"),
        ("* * * * *", "Mars/Olympus"),
        ("99 * * * *", "UTC"),
    ] {
        let bad = NewSchedule {
            cron: cron.into(),
            time_zone: time_zone.into(),
            ..schedule.clone()
        };
        let refused = world.queue.put_schedule(bad).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    let made = world.queue.put_schedule(schedule).await.unwrap();
    let next = made.next_at.unwrap().to_string();
    assert!(
        next.ends_with("T01:30:00Z"),
        "{next}: the clock of Berlin in January"
    );
    assert_eq!(world.queue.tick().await.unwrap(), 0);
    world.pass(5.0 * 86_400.0);
    assert_eq!(
        world.queue.tick().await.unwrap(),
        1,
        "one for all that were missed"
    );
    assert_eq!(world.queue.tick().await.unwrap(), 0);
    world.pass(86_400.0);
    assert_eq!(world.queue.tick().await.unwrap(), 1);
    let schedules = world.queue.schedules().await.unwrap();
    let last = schedules[0].last_job.unwrap();
    assert_eq!(world.get(last).await.kind, "test");
    assert!(schedules[0].next_at.unwrap() > world.now());
    assert!(world.queue.delete_schedule("nightly").await.unwrap());
    assert!(!world.queue.delete_schedule("nightly").await.unwrap());
    world.pass(86_400.0);
    assert_eq!(world.queue.tick().await.unwrap(), 0);
}

async fn figures_add_up(world: World<impl Queue>) {
    let later = world.now() + Duration::from_secs(60);
    let jobs = vec![
        job(),
        job(),
        job(),
        NewJob {
            run_at: Some(later),
            ..job()
        },
    ];
    world.queue.submit(jobs).await.unwrap();
    let lease = world.take().await;
    world
        .queue
        .complete(lease.token, Value::Null)
        .await
        .unwrap();
    world.take().await;
    world.pass(9.0);
    let stats = world.queue.stats().await.unwrap();
    let counts = State::ALL.map(|state| stats.of(state));
    assert_eq!(counts, [2, 1, 0, 1, 0, 0]);
    assert_eq!(
        (stats.ready, stats.oldest_ready),
        (1, Some(Duration::from_secs(9)))
    );
}

async fn submissions_are_all_or_none(world: World<impl Queue>) {
    let jobs = world.queue.submit(vec![job(); 1_000]).await.unwrap();
    assert_eq!(jobs.len(), 1_000);
    let ids: std::collections::BTreeSet<_> = jobs.iter().map(|job| job.job.id).collect();
    assert_eq!(ids.len(), 1_000);
    let claim = Claim {
        limit: 64,
        ..Claim::one("w")
    };
    let leases = world.queue.claim(claim).await.unwrap();
    let expected: Vec<_> = jobs[..64].iter().map(|job| job.job.id).collect();
    let claimed: Vec<_> = leases.iter().map(|lease| lease.job.id).collect();
    assert_eq!(claimed, expected, "the order of submission");
}
