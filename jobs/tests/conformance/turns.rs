//! Which job is next: keys, order, priorities, tenants, delays, sources.

use super::*;

pub(super) async fn keys_make_jobs_one(world: World<impl Queue>) {
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

pub(super) async fn an_ordering_key_runs_jobs_in_order(world: World<impl Queue>) {
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

pub(super) async fn priorities_and_tenants_take_turns(world: World<impl Queue>) {
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

pub(super) async fn kinds_are_chosen(world: World<impl Queue>) {
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

pub(super) async fn a_delay_is_kept(world: World<impl Queue>) {
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

pub(super) async fn a_source_that_fails_is_left_alone(world: World<impl Queue>) {
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

pub(super) async fn a_pause_stops_claims(world: World<impl Queue>) {
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

pub(super) async fn submissions_are_all_or_none(world: World<impl Queue>) {
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
