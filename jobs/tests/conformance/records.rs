//! What can be read: events, errors, lists, figures; and schedules.

use super::*;

pub(super) async fn events_tell_everything_in_order(world: World<impl Queue>) {
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

pub(super) async fn errors_of_documents_are_kept_within_bounds(world: World<impl Queue>) {
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

pub(super) async fn lists_have_pages(world: World<impl Queue>) {
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

pub(super) async fn terminal_jobs_are_purged(world: World<impl Queue>) {
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

pub(super) async fn schedules_fire_once(world: World<impl Queue>) {
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

pub(super) async fn figures_add_up(world: World<impl Queue>) {
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

pub(super) async fn lists_fit_into_memory(world: World<impl Queue>) {
    let large = NewJob::new("test", Value::String("x".repeat(200_000)));
    for _ in 0..5 {
        world.queue.submit(vec![large.clone(); 20]).await.unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut filter = Filter::default();
    loop {
        let page = world.queue.list(filter.clone(), 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() < 50, "{} jobs of 200 kB in one page", page.len());
        filter.before = Some(last.id);
        seen.extend(page.iter().map(|job| job.id));
    }
    assert_eq!(seen.len(), 100);
    let refused = world.queue.submit(vec![large; 100]).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));
}
