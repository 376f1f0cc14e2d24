//! The service is killed while a batch is answered: what has an answer is not asked again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::batch_jobs::requests;
use super::killed::{Running, serve};
use super::*;

/// The test that serves.
const SERVICE: &str = "server::batches_killed::service";
/// Tells a child where its data folder is.
const FOLDER: &str = "CAIRN_BATCHES_KILL_FOLDER";
/// How often the service is killed; set it higher for a longer run.
const ROUNDS: &str = "CAIRN_BATCHES_KILL_ROUNDS";
/// Chats of the batch.
const CHATS: usize = 120;
/// Chats that are worked on at the same time.
const PARALLEL: usize = 3;

/// Notes in a file what it is asked, and takes a moment to answer.
struct Slow(PathBuf);

impl Provider for Slow {
    fn name(&self) -> &str {
        "script"
    }

    fn context_tokens(&self) -> usize {
        8192
    }

    fn chat(&self, request: ChatRequest, _: Cancel) -> ProviderStream {
        let question = request.messages.last().unwrap().content.clone();
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.0);
        writeln!(log.unwrap(), "{question}").unwrap();
        async_stream::stream! {
            tokio::time::sleep(Duration::from_millis(20)).await;
            yield Ok(ProviderEvent::Delta(question));
            yield Ok(answer_end(Usage::default()));
        }
        .boxed()
    }
}

/// The process that is killed: a service on a port of its own, which it writes into a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by `what_has_an_answer_is_not_asked_again_after_a_kill`"]
async fn service() {
    let folder = std::env::var(FOLDER).expect("started by another test");
    let folder = Path::new(&folder);
    let bench = Bench::with(Arc::new(Slow(folder.join("asked"))), |config| {
        config.storage.data_dir = folder.join("data");
        config.batches.parallel = PARALLEL;
    });
    serve(&bench, folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_an_answer_is_not_asked_again_after_a_kill() {
    let rounds: usize = std::env::var(ROUNDS).map_or(3, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let names: Vec<String> = (0..CHATS).map(|n| format!("q{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut running = Running::start(SERVICE, FOLDER, folder.path()).await;
    let posted = client.post(format!("{}/v1/batches", running.base));
    let info = posted.json(&requests(&names)).send().await.unwrap();
    assert_eq!(info.status(), StatusCode::ACCEPTED);
    let info: Value = info.json().await.unwrap();
    let (id, job) = (
        info["id"].as_str().unwrap(),
        info["job_id"].as_str().unwrap(),
    );
    let path = format!("/v1/batches/{id}");
    let begun = Instant::now();
    let mut wanted = 0;
    for round in 1..=rounds {
        // In the middle of it, and further on each time.
        wanted = (wanted + 5).max(CHATS * round / (rounds + 2));
        loop {
            let info = running.get(&client, &path).await;
            if info["counts"]["done"].as_u64().unwrap() as usize >= wanted {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{info}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.kill();
        running = Running::start(SERVICE, FOLDER, folder.path()).await;
    }
    loop {
        let info = running.get(&client, &path).await;
        if info["status"] == "completed" {
            assert_eq!(info["counts"]["done"], CHATS);
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(240), "{info}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let page = running
        .get(&client, &format!("{path}/results?limit=1000"))
        .await;
    for (result, name) in page["results"].as_array().unwrap().iter().zip(&names) {
        assert_eq!(
            result["response"]["choices"][0]["message"]["content"],
            *name
        );
    }
    loop {
        let shown = running.get(&client, &format!("/jobs/{job}")).await;
        if shown["state"] == "done" {
            assert_eq!(shown["result"]["done"], CHATS, "{shown}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(240), "{shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for name in asked.lines() {
        *times.entry(name).or_default() += 1;
    }
    assert_eq!(times.len(), CHATS);
    // Only what was under way at a kill is asked again.
    let again: usize = times.values().map(|times| times - 1).sum();
    assert!(
        again <= rounds * PARALLEL,
        "{again} of {rounds} kills: {times:?}"
    );
    println!("{rounds} kills: {again} chats were asked again");
    running.kill();
}
