//! Batches as the jobs that they are: told of, cancelled, taken up again after a stop, and
//! taken over from an earlier version.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use cairn_gateway::accounts::Scope;
use cairn_gateway::{ProviderError, ProviderErrorKind};

use super::jobs::{ended, id_of, receive, working};
use super::keys::{Closed, until};
use super::*;

/// Chats whose questions are their names.
pub(super) fn requests(names: &[&str]) -> Value {
    let request = |name: &&str| {
        let messages = json!([{"role": "user", "content": name}]);
        json!({"custom_id": name, "body": {"model": "script", "messages": messages}})
    };
    json!({ "requests": names.iter().map(request).collect::<Vec<_>>() })
}

/// Answers with the question, behind a gate; notes what it was asked.
struct Echo {
    asked: Mutex<Vec<String>>,
    gate: Semaphore,
    /// How often it says first that there is too much to do.
    busy: Mutex<usize>,
}

impl Echo {
    fn new(open: usize) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            gate: Semaphore::new(open),
            busy: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn is_asked(&self, times: usize) {
        until(|| self.asked().len() >= times).await;
    }
}

/// A provider of tests lives as long as they do.
struct Shared(Arc<Echo>);

impl Provider for Shared {
    fn name(&self) -> &str {
        "script"
    }

    fn context_tokens(&self) -> usize {
        8192
    }

    fn chat(&self, request: ChatRequest, _: Cancel) -> ProviderStream {
        let echo = Arc::clone(&self.0);
        let question = request.messages.last().unwrap().content.clone();
        async_stream::stream! {
            let is_busy = {
                let mut busy = echo.busy.lock().unwrap();
                let is_busy = *busy > 0;
                *busy = busy.saturating_sub(1);
                is_busy
            };
            if is_busy {
                let mut error =
                    ProviderError::new(ProviderErrorKind::RateLimited, "script", "script is busy");
                error.retry_after = Some(Duration::from_millis(1));
                yield Err(error);
                return;
            }
            echo.asked.lock().unwrap().push(question.clone());
            echo.gate.acquire().await.unwrap().forget();
            yield Ok(ProviderEvent::Delta(question));
            yield Ok(answer_end(Usage::default()));
        }
        .boxed()
    }
}

/// A service that asks `echo`, in a data folder that outlives it.
async fn idle(echo: &Arc<Echo>, data: &Path, parallel: usize) -> Bench {
    let bench = Bench::with(Arc::new(Shared(Arc::clone(echo))), |config| {
        config.storage.data_dir = data.to_owned();
        config.batches.parallel = parallel;
    });
    server::open_jobs(&bench.service).await;
    bench
}

fn work(bench: &Bench) -> tokio::task::JoinHandle<()> {
    tokio::spawn(server::work_jobs(Arc::clone(&bench.service)))
}

/// The same with its worker.
async fn echoing(echo: &Arc<Echo>, data: &Path, parallel: usize) -> Bench {
    let bench = idle(echo, data, parallel).await;
    work(&bench);
    bench
}

async fn submit(bench: &Bench, names: &[&str]) -> Value {
    let reply = bench.post("/v1/batches", &requests(names)).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    reply.json()
}

/// The batch once `test` is true of it.
async fn batch(bench: &Bench, id: &str, test: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let info = bench.get(&format!("/v1/batches/{id}")).await.json();
        if test(&info) {
            return info;
        }
        assert!(Instant::now() < end, "{info}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_a_job_whose_end_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let bench = working(|config| config.jobs.fetch.allow_private_addresses = true).await;
    let hook = json!({"url": address, "types": ["job.done"], "kinds": ["batch"]});
    let hook = bench.post("/webhooks", &hook).await;
    assert_eq!(hook.status, StatusCode::CREATED, "{}", hook.text());
    let mut body = requests(&["one", "two", "lost"]);
    body["requests"][2]["body"]["model"] = json!("nobody");
    let info = bench.post("/v1/batches", &body).await.json();
    let (id, job) = (id_of(&info), info["job_id"].as_str().unwrap());

    let told = tokio::time::timeout(Duration::from_secs(60), receive(&listener)).await;
    let (_, message) = told.expect("the endpoint is told");
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(message["type"], "job.done");
    assert!(message.to_string().contains(job), "{message}");

    let shown = ended(&bench, job).await;
    assert_eq!(
        (&shown["kind"], &shown["state"]),
        (&json!("batch"), &json!("done"))
    );
    assert_eq!(shown["about"], id);
    assert_eq!(
        (&shown["progress"]["done"], &shown["progress"]["total"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(
        shown["result"],
        json!({"batch": id, "done": 2, "failed": 1})
    );
    assert_eq!(shown["document_errors"][0]["document"], "lost");
    let events = bench.get(&format!("/jobs/{job}/events")).await;
    assert!(events.text().contains("event: done"), "{}", events.text());
    let info = bench.get(&format!("/v1/batches/{id}")).await.json();
    assert_eq!(info["status"], "completed");

    let data = bench
        .service
        .config()
        .storage
        .data_dir
        .to_str()
        .unwrap()
        .to_owned();
    let args = ["--data-dir", &data, "jobs", "list", "--kind", "batch"];
    let listed = crate::command::run(bench.dir.path(), &args);
    let listed = crate::command::text(&listed.stdout).to_owned();
    assert!(listed.contains(job) && listed.contains(id), "{listed}");
    // A batch is made in one way only.
    let wrong = bench
        .post("/jobs", &json!({"kind": "batch", "batch": id}))
        .await;
    assert_eq!(wrong.error().1.as_deref(), Some("kind"));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_take_turns_and_take_no_place_of_other_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let echo = Echo::new(0);
    let bench = echoing(&echo, dir.path(), 1).await;
    let long = submit(&bench, &["a1", "a2", "a3", "a4"]).await;
    echo.is_asked(1).await;
    let short = submit(&bench, &["b1"]).await;
    let of_short = format!("/jobs/{}", short["job_id"].as_str().unwrap());
    let end = Instant::now() + Duration::from_secs(60);
    while bench.get(&of_short).await.json()["progress"]["total"] != 1 {
        assert!(Instant::now() < end, "it does not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // `jobs.workers` is 1, and two batches wait for their answers.
    let text = json!({"kind": "text", "uri": "a.md", "text": "Some text"});
    let text = bench.post("/jobs", &text).await.json();
    assert_eq!(ended(&bench, id_of(&text)).await["state"], "done");
    echo.gate.add_permits(100);
    for info in [long, short] {
        batch(&bench, id_of(&info), |info| info["status"] == "completed").await;
    }
    let asked = echo.asked();
    let place = asked.iter().position(|name| name == "b1").unwrap();
    assert!(place <= 2, "{asked:?}");
    assert_eq!(asked.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_calls_end_and_nothing_is_asked_twice() {
    let dir = tempfile::tempdir().unwrap();
    let echo = Echo::new(2);
    let bench = idle(&echo, dir.path(), 2).await;
    let worker = work(&bench);
    let info = submit(&bench, &["1", "2", "3", "4", "5", "6"]).await;
    let id = id_of(&info).to_owned();
    echo.is_asked(4).await;
    bench.service.lifecycle().stop();
    echo.gate.add_permits(2);
    worker.await.unwrap();
    drop(bench);

    let bench = idle(&echo, dir.path(), 2).await;
    let left = bench.get(&format!("/v1/batches/{id}")).await.json();
    assert_eq!(
        (&left["counts"]["done"], &left["counts"]["waiting"]),
        (&json!(4), &json!(2))
    );
    let job = format!("/jobs/{}", info["job_id"].as_str().unwrap());
    let given_back = bench.get(&job).await.json();
    assert_eq!(
        (&given_back["state"], &given_back["attempts"]),
        (&json!("queued"), &json!(0))
    );
    echo.gate.add_permits(100);
    work(&bench);
    batch(&bench, &id, |info| info["status"] == "completed").await;
    let mut asked = echo.asked();
    asked.sort();
    assert_eq!(asked, ["1", "2", "3", "4", "5", "6"]);
    let page = bench.get(&format!("/v1/batches/{id}/results")).await.json();
    for (n, result) in page["results"].as_array().unwrap().iter().enumerate() {
        let content = &result["response"]["choices"][0]["message"]["content"];
        assert_eq!(*content, (n + 1).to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let echo = Echo::new(100);
    *echo.busy.lock().unwrap() = 3;
    let bench = echoing(&echo, dir.path(), 2).await;
    let info = submit(&bench, &["1", "2", "3"]).await;
    let info = batch(&bench, id_of(&info), |info| info["status"] == "completed").await;
    assert_eq!(info["counts"]["done"], 3);
    assert_eq!(*echo.busy.lock().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_either_ends_both_and_a_retry_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let echo = Echo::new(1);
    let bench = echoing(&echo, dir.path(), 1).await;
    let info = submit(&bench, &["1", "2", "3"]).await;
    let (id, job) = (id_of(&info), info["job_id"].as_str().unwrap());
    echo.is_asked(2).await;
    batch(&bench, id, |info| info["counts"]["done"] == 1).await;
    let cancelled = bench
        .post(&format!("/v1/batches/{id}/cancel"), &json!({}))
        .await;
    assert_eq!(cancelled.json()["status"], "cancelled");
    assert_eq!(cancelled.json()["counts"]["cancelled"], 2);
    let shown = ended(&bench, job).await;
    assert_eq!(
        (&shown["state"], &shown["failures"]),
        (&json!("cancelled"), &json!([]))
    );

    echo.gate.add_permits(100);
    let retried = bench.post(&format!("/jobs/{job}/retry"), &json!({})).await;
    assert_eq!(retried.status, StatusCode::ACCEPTED, "{}", retried.text());
    let info = batch(&bench, id, |info| info["status"] == "completed").await;
    assert_eq!(info["counts"]["done"], 3);
    let asked = echo.asked();
    assert_eq!(
        asked.iter().filter(|name| *name == "1").count(),
        1,
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_waits_is_cancelled_by_its_job() {
    let bench = Bench::new();
    server::open_jobs(&bench.service).await;
    let info = submit(&bench, &["4", "5"]).await;
    let (id, job) = (id_of(&info), info["job_id"].as_str().unwrap());
    assert_eq!(
        bench.get(&format!("/jobs/{job}")).await.json()["state"],
        "queued"
    );
    let reply = bench.post(&format!("/jobs/{job}/cancel"), &json!({})).await;
    assert_eq!(reply.json()["state"], "cancelled");
    let gone = bench.delete(&format!("/jobs/{job}")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let info = bench.get(&format!("/v1/batches/{id}")).await.json();
    assert_eq!(
        (&info["status"], &info["counts"]["cancelled"]),
        (&json!("cancelled"), &json!(2))
    );
    let listed = bench.get("/v1/batches").await.json();
    assert_eq!(listed["batches"][0]["status"], "cancelled");
}

#[tokio::test]
async fn without_a_queue_no_batch_is_kept() {
    let bench = Bench::new();
    let reply = bench.post("/v1/batches", &requests(&["1"])).await;
    assert_eq!(reply.error().0, "storage");
    assert_eq!(bench.get("/v1/batches").await.json()["batches"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_revoked_key_has_asked_for_fails() {
    let echo = Echo::new(0);
    let closed = Closed::with(Arc::new(Shared(Arc::clone(&echo))), |config| {
        config.batches.parallel = 1;
    });
    let bench = &closed.bench;
    server::open_jobs(&bench.service).await;
    tokio::spawn(server::work_jobs(Arc::clone(&bench.service)));
    let key = closed.key(&[], &[Scope::Chat]).await;
    let info = closed
        .post(&key, "/v1/batches", &requests(&["1", "2"]))
        .await;
    assert_eq!(info.status, StatusCode::ACCEPTED, "{}", info.text());
    let info = info.json();
    echo.is_asked(1).await;
    let id = bench.service.accounts().authenticate(&key).unwrap();
    let id = id.key().unwrap().as_str().to_owned();
    closed.keys.revoke(&id).unwrap();
    until(|| bench.service.accounts().authenticate(&key).is_err()).await;
    echo.gate.add_permits(100);

    let path = format!("/v1/batches/{}", id_of(&info));
    let end = Instant::now() + Duration::from_secs(60);
    let info = loop {
        let info = closed.get(&closed.admin, &path).await.json();
        if info["status"] == "completed" {
            break info;
        }
        assert!(Instant::now() < end, "{info}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(
        (&info["counts"]["done"], &info["counts"]["failed"]),
        (&json!(1), &json!(1))
    );
    let page = closed
        .get(&closed.admin, &format!("{path}/results"))
        .await
        .json();
    assert_eq!(page["results"][1]["error"]["code"], "unauthorized");
    let job = format!("/jobs/{}", info["job_id"].as_str().unwrap());
    assert_eq!(
        closed.get(&closed.admin, &job).await.json()["state"],
        "failed"
    );
    assert_eq!(echo.asked(), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_other_labels_sees_neither_batch_nor_job() {
    let closed = Closed::new();
    server::open_jobs(&closed.bench.service).await;
    let scopes = [Scope::Chat, Scope::Jobs];
    let mine = closed.key(&["crew"], &scopes).await;
    let other = closed.key(&["pirates"], &scopes).await;
    let info = closed
        .post(&mine, "/v1/batches", &requests(&["1"]))
        .await
        .json();
    let (id, job) = (id_of(&info), info["job_id"].as_str().unwrap());
    let paths = [
        ("GET", format!("/v1/batches/{id}")),
        ("GET", format!("/v1/batches/{id}/results")),
        ("GET", format!("/jobs/{job}")),
        ("GET", format!("/jobs/{job}/events")),
        ("DELETE", format!("/jobs/{job}")),
        ("POST", format!("/jobs/{job}/cancel")),
        ("POST", format!("/v1/batches/{id}/cancel")),
    ];
    for (method, path) in &paths {
        let hidden = closed.send(&other, method, path, &json!({})).await;
        assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{method} {path}");
    }
    for (path, list) in [("/jobs", "jobs"), ("/v1/batches", "batches")] {
        assert_eq!(closed.get(&other, path).await.json()[list], json!([]));
        let own = closed.get(&mine, path).await.json();
        assert_eq!(own[list].as_array().unwrap().len(), 1, "{own}");
    }
    for (method, path) in [&paths[2], &paths[6]] {
        let shown = closed.send(&mine, method, path, &json!({})).await;
        assert_eq!(shown.status, StatusCode::OK, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_an_earlier_version_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let old = rusqlite::Connection::open(dir.path().join("gateway.sqlite")).unwrap();
    for step in [
        include_str!("../../gateway/src/accounts/migrations/1.sql"),
        include_str!("../../gateway/src/accounts/migrations/2.sql"),
        include_str!("../../gateway/src/accounts/migrations/3.sql"),
        "PRAGMA user_version = 3",
    ] {
        old.execute_batch(step).unwrap();
    }
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_millis() as i64;
    let body = |name: &str| requests(&[name])["requests"][0]["body"].to_string();
    for (id, key) in [("01-open", None), ("02-of-a-key", Some("gone"))] {
        let sql = "INSERT INTO batches (id, key_id, created_at) VALUES (?1, ?2, ?3)";
        old.execute(sql, (id, key, now)).unwrap();
        let sql = "INSERT INTO batch_items VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let answered = (id, 0, "1", body("1"), "done", Some("{\"old\": true}"));
        old.execute(sql, answered).unwrap();
        let waits = (id, 1, "2", body("2"), "waiting", None::<&str>);
        old.execute(sql, waits).unwrap();
    }
    drop(old);

    let echo = Echo::new(100);
    let bench = echoing(&echo, dir.path(), 2).await;
    let info = batch(&bench, "01-open", |info| info["status"] == "completed").await;
    assert_eq!(info["counts"]["done"], 2);
    assert_eq!(
        ended(&bench, info["job_id"].as_str().unwrap()).await["state"],
        "done"
    );
    let page = bench.get("/v1/batches/01-open/results").await.json();
    assert_eq!(page["results"][0]["response"]["old"], true);
    assert_eq!(echo.asked(), ["2"]);
    let info = batch(&bench, "02-of-a-key", |info| info["status"] == "completed").await;
    assert_eq!(
        (&info["counts"]["done"], &info["counts"]["failed"]),
        (&json!(1), &json!(1))
    );
    let page = bench.get("/v1/batches/02-of-a-key/results").await.json();
    assert_eq!(page["results"][1]["error"]["code"], "unauthorized");
}

/// A process that does not outlive its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_providers_answers_batches() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let provider = format!("http://{}/v1", listener.local_addr().unwrap());
    let answer = |axum::Json(asked): axum::Json<Value>| async move {
        let message = json!({"role": "assistant", "content": asked["messages"][0]["content"]});
        axum::Json(json!({
            "id": "1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }))
    };
    let answers = Router::new().route("/v1/chat/completions", axum::routing::post(answer));
    tokio::spawn(async move { axum::serve(listener, answers).await });

    let dir = tempfile::tempdir().unwrap();
    let echo = Echo::new(0);
    let bench = idle(&echo, &dir.path().join("data"), 2).await;
    let info = submit(&bench, &["1", "2", "3"]).await;
    let settings = format!(
        "[models]\nembedder = \"none\"\ngenerator = \"none\"\n\
         [[providers]]\nname = \"script\"\nbase_url = \"{provider}\"\nmodel = \"m\"\nstream = false\n"
    );
    std::fs::write(dir.path().join("worker.toml"), settings).unwrap();
    let args = ["--config", "worker.toml", "--data-dir", "data", "worker"];
    let worker = crate::command::command(dir.path(), &args).spawn();
    let _worker = Killed(worker.unwrap());
    let info = batch(&bench, id_of(&info), |info| info["status"] == "completed").await;
    assert_eq!(info["counts"]["done"], 3, "{info}");
    let job = ended(&bench, info["job_id"].as_str().unwrap()).await;
    assert_eq!(job["state"], "done", "{job}");
    assert!(echo.asked().is_empty());
}
