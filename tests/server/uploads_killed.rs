//! The service is killed at random moments while uploads come: what it accepted is stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::killed::{Running, serve};
use super::*;

/// The test that serves.
const SERVICE: &str = "server::uploads_killed::service";
/// Tells a child where its data folder is.
const FOLDER: &str = "CAIRN_UPLOADS_KILL_FOLDER";
/// How often the service is killed; set it higher for a longer run.
const ROUNDS: &str = "CAIRN_UPLOADS_KILL_ROUNDS";

/// The process that is killed: a service on a port of its own, which it writes into a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by `accepted_uploads_survive_kills`"]
async fn service() {
    let folder = std::env::var(FOLDER).expect("started by another test");
    let folder = Path::new(&folder);
    let bench = Bench::with(Arc::new(Scripted::citing()), |config| {
        config.storage.data_dir = folder.join("data");
    });
    serve(&bench, folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_uploads_survive_kills() {
    let rounds = std::env::var(ROUNDS).map_or(4, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // The text of each document whose upload was accepted, and its job.
    let mut accepted: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut refused = 0;
    for round in 0..rounds {
        let running = Running::start(SERVICE, FOLDER, folder.path()).await;
        let end = Instant::now() + Duration::from_millis(rand::random_range(20..600));
        let sending = async {
            for n in 0.. {
                let uri = format!("{round}-{n}.md");
                let text = format!(
                    "# Page {n}\n\n{}",
                    format!("Round {round}. ").repeat(n % 50)
                );
                let body = json!({"uri": uri, "text": text});
                let request = client
                    .post(format!("{}/documents", running.base))
                    .json(&body);
                let reply = request.header("prefer", "respond-async").send().await;
                match reply {
                    Ok(reply) if reply.status() == StatusCode::ACCEPTED => {
                        let Ok(job) = reply.json::<Value>().await else {
                            return;
                        };
                        let id = job["id"].as_str().unwrap().to_owned();
                        accepted.insert(uri, (text, id));
                    }
                    // It is stopped, or not ready yet.
                    _ => refused += 1,
                }
            }
        };
        tokio::time::timeout_at(end.into(), sending).await.ok();
        running.kill();
    }
    assert!(!accepted.is_empty());

    let running = Running::start(SERVICE, FOLDER, folder.path()).await;
    let get = |path: String| {
        let request = client.get(format!("{}{path}", running.base)).send();
        async { request.await.unwrap().json::<Value>().await.unwrap() }
    };
    let begun = Instant::now();
    let mut retried = 0;
    for (uri, (text, job)) in &accepted {
        loop {
            let shown = get(format!("/jobs/{job}")).await;
            match shown["state"].as_str() {
                Some("done") => break,
                Some("queued" | "running") | None => {}
                // Whose worker was killed at every attempt is a dead letter that has its bytes.
                Some("failed") if shown["failures"].to_string().contains("is gone") => {
                    let retry = format!("{}/jobs/{job}/retry", running.base);
                    retried += 1;
                    client
                        .post(retry)
                        .send()
                        .await
                        .unwrap()
                        .error_for_status()
                        .unwrap();
                }
                _ => panic!("{uri}: {shown}"),
            }
            assert!(begun.elapsed() < Duration::from_secs(240), "{shown}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let id = cairn_indexer::DocumentId::of_uri(uri);
        let shown = get(format!("/documents/{id}?text=true")).await;
        let words = |text: &str| text.replace('#', " ").split_whitespace().count();
        assert_eq!(
            words(shown["text"].as_str().unwrap()),
            words(text),
            "{uri}: {shown}"
        );
    }
    // Nothing is there twice, and nothing that was not sent.
    let listed = get("/documents?limit=1000".into()).await;
    let total = listed["total"].as_u64().unwrap() as usize;
    assert!(total >= accepted.len(), "{total}");
    // Bytes are kept only of uploads whose replies were lost; those are not swept at once.
    let kept = std::fs::read_dir(folder.path().join("data/spool"))
        .unwrap()
        .count();
    assert!(
        kept <= 2 * rounds as usize,
        "{kept} uploads are kept of {}",
        accepted.len()
    );
    println!(
        "{rounds} kills: {} uploads accepted and stored, {total} documents, {refused} requests \
         refused, {retried} dead letters retried, {kept} files left",
        accepted.len()
    );
    running.kill();
}
