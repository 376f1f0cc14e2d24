//! What the queue expects of the server, asked of the server itself: one node, and three.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap, Request};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::server::Servers;

const STREAM: &str = "log";

struct World {
    client: Client,
    context: jetstream::Context,
    servers: Servers,
}

impl World {
    async fn new(nodes: usize, max_bytes: i64) -> Option<Self> {
        let servers = Servers::start(nodes).await?;
        let urls: Vec<async_nats::ServerAddr> = (0..nodes)
            .map(|i| servers.url(i).parse().unwrap())
            .collect();
        let client = async_nats::connect(urls).await.unwrap();
        let context = jetstream::new(client.clone());
        let config = stream::Config {
            name: STREAM.into(),
            subjects: vec![STREAM.into()],
            num_replicas: nodes,
            discard: stream::DiscardPolicy::New,
            allow_direct: true,
            allow_atomic_publish: true,
            max_bytes,
            ..stream::Config::default()
        };
        let begun = Instant::now();
        while let Err(error) = context.create_stream(config.clone()).await {
            assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Some(Self {
            client,
            context,
            servers,
        })
    }

    async fn send(&self, headers: &[(&str, String)], body: Vec<u8>) -> Result<Value, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.as_str());
        }
        let request = Request::new().headers(map).payload(body.into());
        let reply = self.client.send_request(STREAM, request).await;
        let reply = reply.map_err(|error| error.to_string())?;
        Ok(serde_json::from_slice(&reply.payload).unwrap_or(Value::Null))
    }

    async fn append(&self, after: u64, body: &[u8]) -> Result<Value, String> {
        let headers = [("Nats-Expected-Last-Sequence", after.to_string())];
        self.send(&headers, body.to_vec()).await
    }

    /// Sends all but the last part of a batch without waiting, and the last with.
    async fn batch(&self, id: &str, after: u64, parts: u64) -> Result<Value, String> {
        for part in 1..=parts {
            let mut headers = vec![
                ("Nats-Batch-Id", id.to_owned()),
                ("Nats-Batch-Sequence", part.to_string()),
            ];
            if part == 1 {
                headers.push(("Nats-Expected-Last-Sequence", after.to_string()));
            }
            let body = vec![b'x'; 900_000];
            if part == parts {
                headers.push(("Nats-Batch-Commit", "1".into()));
                return self.send(&headers, body).await;
            }
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.insert(*name, value.as_str());
            }
            let sent = self.client.publish_with_headers(STREAM, map, body.into());
            sent.await.unwrap();
        }
        unreachable!("there is a last part")
    }

    /// Numbers that one direct get for many replies with, and its last status.
    async fn read(&self, from: u64, max_bytes: u64) -> (Vec<u64>, u16) {
        let inbox = self.client.new_inbox();
        let mut replies = self.client.subscribe(inbox.clone()).await.unwrap();
        let asked = json!({"seq": from, "batch": 500, "max_bytes": max_bytes}).to_string();
        let subject = format!("$JS.API.DIRECT.GET.{STREAM}");
        let sent = self.client.publish_with_reply(subject, inbox, asked.into());
        sent.await.unwrap();
        let mut found = Vec::new();
        while let Some(reply) = replies.next().await {
            if let Some(status) = reply.status {
                return (found, status.as_u16());
            }
            let seq = reply.headers.unwrap().get("Nats-Sequence").unwrap().clone();
            found.push(seq.as_str().parse().unwrap());
        }
        panic!("the replies end");
    }
}

fn code(reply: &Result<Value, String>) -> Option<u64> {
    reply.as_ref().ok()?["error"]["err_code"].as_u64()
}

async fn appends_are_conditional(nodes: usize) {
    let Some(world) = World::new(nodes, -1).await else {
        return;
    };
    assert_eq!(world.append(0, b"one").await.unwrap()["seq"], 1);
    for wrong in [0, 2, 99] {
        let refused = world.append(wrong, b"wrong").await;
        assert_eq!(code(&refused), Some(10_071), "{refused:?}");
    }
    assert_eq!(world.append(1, b"two").await.unwrap()["seq"], 2);
    // A batch is stored as a whole, in a row, or not at all; 18 MB are not too many.
    let stored = world.batch("right", 2, 20).await.unwrap();
    assert_eq!(stored["seq"], 22, "{stored}");
    let refused = world.batch("stale", 2, 20).await;
    assert_eq!(code(&refused), Some(10_071), "{refused:?}");
    assert_eq!(world.append(22, b"next").await.unwrap()["seq"], 23);
    // Reads are in order, bounded in bytes, and say where they end.
    let (all, status) = world.read(1, 100 << 20).await;
    assert_eq!((all, status), ((1..=23).collect(), 204));
    let (some, _) = world.read(3, 2_000_000).await;
    assert!((1..=4).contains(&some.len()), "{some:?}");
    assert_eq!(world.read(24, 1_000).await, (vec![], 404));
    // What is cut off at the beginning leaves the numbers as they are.
    let stream = world.context.get_stream(STREAM).await.unwrap();
    stream.purge().sequence(23).await.unwrap();
    assert_eq!(world.read(1, 1 << 20).await.0, [23]);
    stream.purge().await.unwrap();
    assert_eq!(code(&world.append(0, b"x").await), Some(10_071));
    assert_eq!(world.append(23, b"x").await.unwrap()["seq"], 24);
}

#[tokio::test]
async fn one_node_appends_on_condition() {
    appends_are_conditional(1).await;
}

#[tokio::test]
async fn three_nodes_append_on_condition() {
    appends_are_conditional(3).await;
}

#[tokio::test]
async fn a_full_stream_refuses_and_keeps_what_it_has() {
    let Some(world) = World::new(1, 1 << 20).await else {
        return;
    };
    let body = vec![b'x'; 100_000];
    let mut stored = 0;
    let refused = loop {
        let reply = world.append(stored, &body).await;
        if code(&reply).is_some() {
            break reply;
        }
        stored += 1;
        assert!(stored < 20);
    };
    assert_eq!(code(&refused), Some(10_077), "{refused:?}");
    let (kept, _) = world.read(1, 8 << 20).await;
    assert_eq!(kept.len() as u64, stored);
    assert!(world.read(stored + 1, 100).await.0.is_empty());
}

/// What was acknowledged is there after `kill -9`, and a number that was refused before is
/// refused after.
async fn killed_nodes_keep_what_they_acknowledged(nodes: usize, rounds: usize) {
    let Some(mut world) = World::new(nodes, -1).await else {
        return;
    };
    let mut last = 0;
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        for _ in 0..50 {
            last = world.append(last, b"x").await.unwrap()["seq"]
                .as_u64()
                .unwrap();
        }
        let stream = world.context.get_stream(STREAM).await.unwrap();
        let leader = stream.cached_info().cluster.as_ref();
        let leader = leader.and_then(|cluster| cluster.leader.clone());
        let name = leader.unwrap_or_else(|| "n0".into());
        let victim = name.strip_prefix('n').unwrap().parse().unwrap();
        world.servers.kill(victim);
        if nodes == 1 || round % 2 == 1 {
            world.servers.revive(victim);
        }
        let begun = Instant::now();
        let mut was_unanswered = false;
        loop {
            assert!(begun.elapsed() < Duration::from_secs(30));
            let reply = world.append(last, b"after").await;
            match (&reply, code(&reply)) {
                (Ok(said), None) => {
                    last = said["seq"].as_u64().unwrap();
                    break;
                }
                // One that was not answered was stored.
                (_, Some(10_071)) => {
                    assert!(was_unanswered, "{reply:?}");
                    last += 1;
                    break;
                }
                _ => was_unanswered = true,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        longest = longest.max(begun.elapsed());
        if nodes > 1 && round % 2 == 0 {
            world.servers.revive(victim);
        }
        world.servers.listens(victim).await;
    }
    let mut found = Vec::new();
    while (found.len() as u64) < last {
        found.extend(world.read(found.len() as u64 + 1, 8 << 20).await.0);
    }
    assert_eq!(found, (1..=last).collect::<Vec<_>>());
    println!("{nodes} node(s): {rounds} killed, {last} stored, back after {longest:?} at most");
}

#[tokio::test]
async fn one_killed_node_keeps_what_it_acknowledged() {
    killed_nodes_keep_what_they_acknowledged(1, 4).await;
}

#[tokio::test]
async fn killed_leaders_keep_what_they_acknowledged() {
    killed_nodes_keep_what_they_acknowledged(3, 4).await;
}
