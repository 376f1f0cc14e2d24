//! One file, several owners: processes that share it, restarts, and damage.

use std::time::{Duration, Instant};

use cairn_jobs::{Claim, Error, FILE, NewJob, Options, Queue, SqliteQueue, State};
use serde_json::{Value, json};

use crate::work;

fn job() -> NewJob {
    NewJob::new("test", json!(1))
}

async fn open(folder: &std::path::Path) -> SqliteQueue {
    SqliteQueue::open(folder, Options::default()).await.unwrap()
}

#[tokio::test]
async fn what_another_process_submits_wakes_workers() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (open(folder.path()).await, open(folder.path()).await);
    let mut changes = here.changes();
    tokio::time::sleep(Duration::from_millis(50)).await;
    changes.mark_unchanged();
    there.submit(vec![job()]).await.unwrap();
    let woken = tokio::time::timeout(Duration::from_secs(10), changes.changed()).await;
    woken.expect("the other's commit is seen").unwrap();
    let lease = here.claim(Claim::one("here")).await.unwrap().pop().unwrap();
    assert!(there.claim(Claim::one("there")).await.unwrap().is_empty());
    here.complete(lease.token, Value::Null).await.unwrap();
    let seen = there.get(lease.token.job).await.unwrap().unwrap();
    assert_eq!(seen.state, State::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_owners_never_take_the_same_job() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(folder.path()).await, open(folder.path()).await);
    one.submit(vec![job(); 200]).await.unwrap();
    let (mut all, others) = tokio::join!(work(&one, "w", 3), work(&two, "w", 3));
    all.extend(others);
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!((count, all.len()), (200, 200));
}

#[tokio::test]
async fn a_restart_finds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path()).await;
    let jobs = queue.submit(vec![job(); 3]).await.unwrap();
    let lease = queue
        .claim(Claim::one("before"))
        .await
        .unwrap()
        .pop()
        .unwrap();
    queue.pause("a new disk").await.unwrap();
    drop(queue);
    let queue = open(folder.path()).await;
    assert_eq!(
        queue.stats().await.unwrap().paused.as_deref(),
        Some("a new disk")
    );
    queue.resume().await.unwrap();
    assert_eq!(queue.reclaim("before").await.unwrap(), 1);
    let again = queue
        .claim(Claim::one("after"))
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!(again.job.id, jobs[0].job.id);
    assert!(matches!(
        queue.heartbeat(lease.token).await,
        Err(Error::StaleLease(_))
    ));
}

#[tokio::test]
async fn a_claim_that_nobody_receives_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path()).await;
    queue.submit(vec![job(); 50]).await.unwrap();
    for _ in 0..50 {
        // Dropped while the thread may be at work on it.
        let claim = queue.claim(Claim::one("gone"));
        tokio::time::timeout(Duration::from_micros(200), claim)
            .await
            .ok();
    }
    let begun = Instant::now();
    let mut received = 0;
    while received < 50 {
        let claim = Claim {
            limit: 64,
            ..Claim::one("here")
        };
        let leases = queue.claim(claim).await.unwrap();
        received += leases.len();
        // Those that were received above are somebody's.
        let running = queue.stats().await.unwrap().of(State::Running);
        if running == 50 {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{received} of 50"
        );
    }
    for job in queue
        .list(cairn_jobs::Filter::default(), 100)
        .await
        .unwrap()
    {
        assert_eq!(job.attempts, 1, "what was taken back does not count");
    }
}

#[tokio::test]
async fn schedules_tick_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path()).await;
    let schedule = cairn_jobs::NewSchedule {
        name: "each second".into(),
        cron: "* * * * * *".into(),
        time_zone: "UTC".into(),
        job: job(),
        paused: false,
    };
    let mut changes = queue.changes();
    queue.put_schedule(schedule).await.unwrap();
    let mut seen = 0;
    while seen < 2 {
        seen += queue.claim(Claim::one("w")).await.unwrap().len();
        let changed = tokio::time::timeout(Duration::from_secs(10), changes.changed()).await;
        changed.expect("a tick wakes workers").unwrap();
    }
}

/// Copies that are taken while jobs come in are whole, and hold what was accepted before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_whole_while_the_queue_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let none = SqliteQueue::back_up(folder.path(), folder.path()).await;
    assert!(!none.unwrap());
    let queue = open(folder.path()).await;
    let writing = {
        let queue = queue.clone();
        tokio::spawn(async move {
            loop {
                queue.submit(vec![job(); 5]).await.unwrap();
                let lease = queue.claim(Claim::one("w")).await.unwrap().remove(0);
                queue.complete(lease.token, json!("x")).await.unwrap();
            }
        })
    };
    for _ in 0..5 {
        let accepted = queue.submit(vec![job()]).await.unwrap().remove(0).job;
        let copies = tempfile::tempdir().unwrap();
        let done = SqliteQueue::back_up(folder.path(), copies.path()).await;
        assert!(done.unwrap());
        let copy = open(copies.path()).await;
        let found = copy.get(accepted.id).await.unwrap().unwrap();
        assert_eq!(found.payload, accepted.payload);
        // Five in, one done, whenever the copy was taken.
        let stats = copy.stats().await.unwrap();
        let all: u64 = State::ALL.iter().map(|state| stats.of(*state)).sum();
        assert!(stats.of(State::Done) <= all / 5, "{stats:?}");
        copy.submit(vec![job()]).await.unwrap();
    }
    writing.abort();
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path()).await;
    queue.submit(vec![job()]).await.unwrap();
    for name in [FILE.to_owned(), format!("{FILE}-wal")] {
        let meta = std::fs::metadata(folder.path().join(&name)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn damage_is_named() {
    let damaged = tempfile::tempdir().unwrap();
    std::fs::write(damaged.path().join(FILE), vec![b'x'; 8_192]).unwrap();
    let open = async |folder: &std::path::Path| {
        let opened = SqliteQueue::open(folder, Options::default()).await;
        opened.err().unwrap()
    };
    let error = open(damaged.path()).await;
    assert!(matches!(error, Error::Database { .. }), "{error:?}");
    assert!(error.to_string().contains(FILE), "{error}");

    let newer = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(newer.path().join(FILE)).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = open(newer.path()).await;
    assert!(
        matches!(error, Error::TooNew { found: 99, .. }),
        "{error:?}"
    );

    let file = newer.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = open(&file.join("folder")).await;
    assert!(matches!(error, Error::Folder { .. }), "{error:?}");
}

/// A queue whose file may not grow is a full disk to SQLite.
#[tokio::test]
async fn a_full_disk_is_named_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        max_pages: Some(120),
        ..Options::default()
    };
    let queue = SqliteQueue::open(folder.path(), options).await.unwrap();
    let large = NewJob::new("test", Value::String("x".repeat(50_000)));
    let mut accepted = Vec::new();
    let mut ended = Vec::new();
    for job in queue.submit(vec![large.clone(); 3]).await.unwrap() {
        ended.push(queue.cancel(job.job.id).await.unwrap().id);
    }
    let error = loop {
        match queue.submit(vec![large.clone()]).await {
            Ok(jobs) => accepted.push(jobs[0].job.id),
            Err(error) => break error,
        }
        assert!(accepted.len() < 100);
    };
    assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
    assert!(error.is_retryable());
    for id in &accepted {
        assert!(queue.get(*id).await.unwrap().is_some());
    }
    // Deleting makes room.
    for id in ended {
        queue.purge(cairn_jobs::Purge::Job(id)).await.unwrap();
    }
    queue.submit(vec![large]).await.unwrap();
}

/// Root may write everywhere, so the file is made unwritable by what SQLite itself refuses.
#[tokio::test]
async fn a_file_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    std::fs::create_dir(&file).unwrap();
    let opened = SqliteQueue::open(folder.path(), Options::default()).await;
    let error = opened.err().unwrap();
    assert!(
        error
            .to_string()
            .contains(&folder.path().display().to_string()),
        "{error}"
    );
    assert!(!error.is_retryable());
}

/// A process that holds the file too long is named, and nothing is half done.
#[tokio::test]
async fn a_held_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        busy: Duration::from_millis(50),
        ..Options::default()
    };
    let queue = SqliteQueue::open(folder.path(), options).await.unwrap();
    let holder = rusqlite::Connection::open(folder.path().join(FILE)).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = queue.submit(vec![job()]).await.unwrap_err();
    assert!(
        matches!(error, Error::Busy { .. }) && error.is_retryable(),
        "{error:?}"
    );
    holder.execute_batch("COMMIT").unwrap();
    queue.submit(vec![job()]).await.unwrap();
    assert_eq!(queue.stats().await.unwrap().of(State::Queued), 1);
}
