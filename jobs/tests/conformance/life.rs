//! How a job begins, fails, is lost, is called off, and ends.

use super::*;

pub(super) async fn a_job_goes_from_queued_to_done(world: World<impl Queue>) {
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

pub(super) async fn bounds_are_checked(world: World<impl Queue>) {
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

pub(super) async fn a_failed_job_is_tried_again_until_it_is_a_dead_letter(
    world: World<impl Queue>,
) {
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

pub(super) async fn a_permanent_failure_is_a_dead_letter_at_once(world: World<impl Queue>) {
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

pub(super) async fn a_stale_worker_is_refused(world: World<impl Queue>) {
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

pub(super) async fn a_lost_worker_costs_an_attempt(world: World<impl Queue>) {
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

pub(super) async fn a_released_job_costs_none(world: World<impl Queue>) {
    let id = world.submit(job()).await.id;
    for _ in 0..7 {
        let lease = world.take().await;
        assert_eq!(lease.job.attempts, 1);
        world.queue.release(lease.token).await.unwrap();
    }
    assert_eq!(world.get(id).await.state, State::Queued);
}

pub(super) async fn jobs_are_cancelled(world: World<impl Queue>) {
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

pub(super) async fn costs_have_a_cap(world: World<impl Queue>) {
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

pub(super) async fn a_person_is_asked(world: World<impl Queue>) {
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
