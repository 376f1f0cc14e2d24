//! The cache: what is found again, what is not, bounds, age and the disk.

use std::sync::Arc;

use cairn_models::testing::HashEmbedder;

use super::answer::Answer;
use super::key::{Key, Lookup};
use super::memory::{Entry, Memory};
use super::{Cache, purge, stats};
use crate::chat::{ChatEvent, Finish, Usage};
use cairn_settings::config::{self, Config};

const HOUR: u64 = 3_600_000;

fn settings() -> config::Cache {
    config::Cache {
        ttl_seconds: 3600,
        stale_seconds: 7200,
        ..Config::default().cache
    }
}

fn answer(text: &str) -> Arc<Answer> {
    Arc::new(Answer {
        text: text.to_owned(),
        tool_calls: Vec::new(),
        provider: "p".to_owned(),
        model: "m".to_owned(),
        finish: Finish::Stop,
        usage: Usage::default(),
    })
}

fn lookup(n: u8, question: Option<&str>) -> Lookup {
    Lookup {
        key: Key([n; 32]),
        scope: Key([100; 32]),
        question: question.map(str::to_owned),
        route: "answer".to_owned(),
    }
}

#[test]
fn fresh_then_stale_then_gone() {
    let mut memory = Memory::new(&settings());
    memory.put(
        Key([1; 32]),
        Entry::new(&lookup(1, None), None, answer("a"), 0),
    );
    let mut get = |now: u64, stale: bool| memory.get(&Key([1; 32]), now, stale).is_some();
    assert!(get(HOUR - 1, false));
    assert!(!get(HOUR, false));
    assert!(get(2 * HOUR - 1, true));
    assert!(!get(2 * HOUR, true));
    assert!(!get(0, false), "what is too old is forgotten");
}

#[test]
fn the_least_recently_used_goes_first() {
    let big = "x".repeat(300_000);
    let mut memory = Memory::new(&config::Cache {
        max_mb: 1,
        ..settings()
    });
    for n in 0..3 {
        memory.put(
            Key([n; 32]),
            Entry::new(&lookup(n, None), None, answer(&big), 0),
        );
    }
    assert!(memory.get(&Key([0; 32]), 0, false).is_some());
    memory.put(
        Key([3; 32]),
        Entry::new(&lookup(3, None), None, answer(&big), 0),
    );
    let kept: Vec<bool> = (0..4)
        .map(|n| memory.get(&Key([n; 32]), 0, false).is_some())
        .collect();
    assert_eq!(kept, [true, false, true, true]);
    // One that never fits is not kept, and pushes nothing out.
    let huge = "x".repeat(2 << 20);
    memory.put(
        Key([4; 32]),
        Entry::new(&lookup(4, None), None, answer(&huge), 0),
    );
    assert!(memory.get(&Key([4; 32]), 0, false).is_none());
    assert!(memory.get(&Key([3; 32]), 0, false).is_some());
}

#[tokio::test]
async fn the_same_meaning_within_one_scope() {
    let cache = Cache::open(&settings(), None, Some(Arc::new(HashEmbedder)));
    let first = lookup(1, Some("How do I install the server?"));
    let (none, vector) = cache.semantic(&first).await;
    assert!(none.is_none());
    cache.put(&first, vector, answer("so"));
    let found = |lookup: Lookup| {
        let cache = cache.clone();
        async move { cache.semantic(&lookup).await.0.is_some() }
    };
    // The twin of the embedder sees shared words only; the threshold is its own.
    assert!(found(lookup(2, Some("How do I install the server"))).await);
    assert!(!found(lookup(2, Some("How do I start the server?"))).await);
    assert!(!found(lookup(2, None)).await);
    let mut elsewhere = lookup(2, Some("How do I install the server?"));
    elsewhere.scope = Key([7; 32]);
    assert!(
        !found(elsewhere).await,
        "another tenant, label or generation"
    );
}

#[test]
fn answers_survive_a_restart_and_a_purge_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Cache::open(&settings(), Some(dir.path()), None);
    let cache = open();
    let vector: Arc<[f32]> = [0.6, 0.8].into();
    cache.put(&lookup(1, Some("q")), Some(vector), answer("größe"));
    cache.put(&lookup(2, None), None, answer("b"));
    cache.flush();
    let seen = stats(dir.path()).unwrap();
    assert_eq!((seen.answers, seen.routes[0].semantic), (2, 1));
    assert_eq!(seen.routes[0].route, "answer");

    let again = open();
    assert_eq!(again.exact(&Key([1; 32])).unwrap().text, "größe");
    assert_eq!(purge(dir.path(), Some("chat")).unwrap(), 0);
    assert_eq!(purge(dir.path(), None).unwrap(), 2);
    assert_eq!(stats(dir.path()).unwrap().answers, 0);
    // The thread looks once a second; nothing else could make it forget.
    while again.exact(&Key([1; 32])).is_some() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(open().exact(&Key([2; 32])).is_none());
}

#[test]
fn a_damaged_file_is_no_reason_not_to_answer() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("cache.sqlite"),
        "no database at all, only text",
    )
    .unwrap();
    let cache = Cache::open(&settings(), Some(dir.path()), None);
    cache.put(&lookup(1, None), None, answer("a"));
    assert!(cache.exact(&Key([1; 32])).is_some());
    let message = stats(dir.path()).unwrap_err().to_string();
    assert!(
        message.contains("cache.sqlite") && message.contains("delete the file"),
        "{message}"
    );
    assert_eq!(stats(&dir.path().join("nowhere")).unwrap().answers, 0);
}

#[test]
fn a_replay_says_the_same_in_pieces() {
    let text = "größe 👍🏽 and many words ".repeat(20);
    let pieces = answer(&text).pieces();
    assert!(pieces.len() > 5);
    let joined: String = pieces
        .iter()
        .map(|event| match event {
            ChatEvent::Delta(text) => text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(joined, text);
}
