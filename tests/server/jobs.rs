//! Jobs over HTTP: submitted, worked on, followed, repeated, called off.

use std::time::Duration;

use cairn_gateway::accounts::{Keys, NewKey, Scope};

use super::*;

/// A service whose worker runs.
pub(super) async fn working(change: impl FnOnce(&mut Config)) -> Bench {
    let bench = Bench::with(Arc::new(Scripted::citing()), change);
    cairn::server::open_jobs(&bench.service).await;
    tokio::spawn(cairn::server::work_jobs(Arc::clone(&bench.service)));
    bench
}

/// The job once it has ended or asks.
pub(super) async fn ended(bench: &Bench, id: &str) -> Value {
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let job = bench.get(&format!("/jobs/{id}")).await.json();
        let state = job["state"].as_str().unwrap();
        if !matches!(state, "queued" | "running") {
            return job;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "the job does not end: {job}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn submit(bench: &Bench, body: Value) -> Value {
    let reply = bench.post("/jobs", &body).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{:?}", reply.body);
    reply.json()
}

pub(super) fn id_of(job: &Value) -> &str {
    job["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_becomes_a_document_and_goes_again() {
    let bench = working(|_| {}).await;
    let job = submit(
        &bench,
        json!({"kind": "text", "uri": "guide.md", "text": GUIDE, "metadata": {"team": "a"}}),
    )
    .await;
    assert_eq!(job["state"], "queued");
    assert_eq!(job["about"], "guide.md");
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["result"]["documents"][0]["uri"], "guide.md");
    let found = bench
        .post("/search", &json!({"query": "writer lock"}))
        .await
        .json();
    assert_eq!(found["sources"][0]["uri"], "guide.md");
    let id = found["sources"][0]["document_id"].as_str().unwrap();
    let stored = bench.get(&format!("/documents/{id}")).await.json();
    assert_eq!(stored["metadata"]["team"], "a");

    let job = submit(&bench, json!({"kind": "delete", "uri": "guide.md"})).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(
        (&job["state"], &job["result"]["deleted"]),
        (&json!("done"), &json!(true))
    );
    let found = bench
        .post("/search", &json!({"query": "writer lock"}))
        .await
        .json();
    assert_eq!(found["sources"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_reports_progress_results_and_its_broken_files() {
    let bench = working(|_| {}).await;
    let docs = bench.dir.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    for n in 0..20 {
        std::fs::write(
            docs.join(format!("{n}.md")),
            format!("# Page {n}\n\nText of page {n}."),
        )
        .unwrap();
    }
    std::fs::write(docs.join("broken.docx"), "PK\u{3}\u{4} not a document").unwrap();
    let job = submit(&bench, json!({"kind": "folder", "path": docs})).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["result"]["added"], 20);
    assert_eq!(job["documents_failed"], 1);
    let error = &job["document_errors"][0];
    assert!(
        error["document"].as_str().unwrap().ends_with("broken.docx"),
        "{error}"
    );
    assert!(!error["message"].as_str().unwrap().is_empty());
    assert_eq!(job["progress"]["total"], 21);

    // The stream of a job that has ended gives its events and ends.
    let events = bench.get(&format!("/jobs/{}/events", id_of(&job))).await;
    let events = events.text();
    assert!(events.contains("event: done"), "{events}");
    let last = events
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .next_back();
    let request = Request::get(format!("/jobs/{}/events", id_of(&job)))
        .header("last-event-id", last.unwrap())
        .body(Body::empty())
        .unwrap();
    assert!(!bench.reply(request).await.text().contains("event:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_lost_most_of_its_files_asks_first() {
    let bench = working(|_| {}).await;
    let docs = bench.dir.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    for n in 0..4 {
        std::fs::write(
            docs.join(format!("{n}.md")),
            format!("# Page {n}\n\nText {n}."),
        )
        .unwrap();
    }
    let body = json!({"kind": "folder", "path": docs});
    let job = submit(&bench, body.clone()).await;
    assert_eq!(ended(&bench, id_of(&job)).await["result"]["added"], 4);
    for n in 0..4 {
        std::fs::remove_file(docs.join(format!("{n}.md"))).unwrap();
    }
    let job = submit(&bench, body).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "input_required", "{job}");
    assert_eq!(job["result"]["folders"][0]["gone"], 4);
    let listed = bench.get("/documents").await.json();
    assert_eq!(listed["total"], 4);

    let answer = format!("/jobs/{}/input", id_of(&job));
    let reply = bench.post(&answer, &json!({"confirm": true})).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(
        (&job["state"], &job["result"]["deleted"]),
        (&json!("done"), &json!(4))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_a_folder_says_what_would_be_done() {
    let bench = working(|_| {}).await;
    let docs = bench.dir.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    for n in 0..3000 {
        std::fs::write(docs.join(format!("{n}.md")), format!("# Page {n}")).unwrap();
    }
    let body = json!({"kind": "folder", "path": docs, "dry_run": true});
    let job = submit(&bench, body).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "done", "{job}");
    let result = &job["result"];
    assert_eq!(result["sums"]["add"]["files"], 3000);
    let listed = result["entries"].as_array().unwrap().len();
    assert!(
        listed > 100 && result["left_out"] == json!(3000 - listed),
        "{listed}"
    );
    assert_eq!(bench.get("/documents").await.json()["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_a_submission_gives_the_first_job() {
    let bench = working(|_| {}).await;
    let send = |text: &str| {
        let body = json!({"kind": "text", "uri": "a.md", "text": text}).to_string();
        Request::post("/jobs")
            .header("content-type", "application/json")
            .header("idempotency-key", "upload-1")
            .body(Body::from(body))
            .unwrap()
    };
    let first = bench.reply(send("one")).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    let first = first.json();
    ended(&bench, id_of(&first)).await;
    let second = bench.reply(send("one")).await;
    assert_eq!(second.status, StatusCode::OK);
    assert_eq!(id_of(&second.json()), id_of(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_a_dead_letter_and_may_be_tried_again() {
    let bench = working(|config| config.jobs.fetch.respect_robots_txt = false).await;
    // A host that no resolver knows is not tried for long: three attempts would take minutes.
    let job = submit(
        &bench,
        json!({"kind": "url", "url": "http://no-such-host.invalid/a.html"}),
    )
    .await;
    let shown = bench.get(&format!("/jobs/{}", id_of(&job))).await.json();
    assert!(
        matches!(shown["state"].as_str(), Some("queued" | "running")),
        "{shown}"
    );
    let cancelled = bench
        .post(&format!("/jobs/{}/cancel", id_of(&job)), &json!({}))
        .await;
    assert_eq!(cancelled.status, StatusCode::OK);
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "cancelled");

    let text = submit(&bench, json!({"kind": "text", "text": " "})).await;
    let dead = ended(&bench, id_of(&text)).await;
    assert_eq!(
        (&dead["state"], &dead["attempts"]),
        (&json!("failed"), &json!(1)),
        "{dead}"
    );
    assert_eq!(dead["failures"][0]["permanent"], true);
    assert!(!dead["failures"][0]["chain"].as_array().unwrap().is_empty());
    let list = bench.get("/jobs?state=failed").await.json();
    assert_eq!(list["jobs"].as_array().unwrap().len(), 1);
    let again = bench
        .post(&format!("/jobs/{}/retry", id_of(&text)), &json!({}))
        .await;
    assert_eq!(again.status, StatusCode::ACCEPTED);
    assert_eq!(ended(&bench, id_of(&text)).await["state"], "failed");
    let request = Request::delete(format!("/jobs/{}", id_of(&text)));
    let gone = bench.reply(request.body(Body::empty()).unwrap()).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let reply = bench.get(&format!("/jobs/{}", id_of(&text))).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_by_name_before_it_is_queued() {
    let bench = working(|_| {}).await;
    let long = "x".repeat(300 << 10);
    for (body, param) in [
        (json!({"kind": "nonsense"}), "kind"),
        (json!({"kind": "text"}), "kind"),
        (
            json!({"kind": "text", "text": "a", "colour": "red"}),
            "colour",
        ),
        (json!({"kind": "text", "text": "a", "uri": "../a"}), "uri"),
        (
            json!({"kind": "text", "text": "a", "metadata": {"labels": 1}}),
            "metadata.labels",
        ),
        (json!({"kind": "url", "url": "file:///etc/passwd"}), "url"),
        (json!({"kind": "url", "url": "http://127.0.0.1:1/"}), "url"),
        (json!({"kind": "folder", "path": "relative"}), "path"),
        (json!({"kind": "folder", "path": "/no/such/folder"}), "path"),
        (json!({"kind": "delete"}), "uri"),
        (
            json!({"kind": "delete", "document_id": "xyz"}),
            "document_id",
        ),
    ] {
        let reply = bench.post("/jobs", &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(
            reply.json()["error"]["param"],
            param,
            "{body}: {}",
            reply.json()
        );
    }
    let reply = bench
        .post("/jobs", &json!({"kind": "text", "text": long}))
        .await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(bench.get("/jobs").await.json()["jobs"], json!([]));
}

/// A key for jobs only.
fn key(keys: &Keys, tenant: &str, label: &str) -> String {
    let new = NewKey {
        name: tenant.into(),
        tenant: tenant.into(),
        labels: [label.to_owned()].into_iter().collect(),
        scopes: [Scope::Jobs].into_iter().collect(),
        ..NewKey::default()
    };
    keys.create(&new).unwrap().1.expose().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_seen_by_its_tenant_and_bound_by_its_labels() {
    let mut secrets = Vec::new();
    let bench = working(|config| {
        let keys = Keys::open(&config.storage.data_dir).unwrap();
        secrets = vec![key(&keys, "ada", "a"), key(&keys, "bob", "b")];
    })
    .await;
    let (ada, bob) = (secrets[0].clone(), secrets[1].clone());
    let send = |method: Method, path: &str, key: &str, body: Value| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    let body = json!({"kind": "text", "uri": "a.md", "text": "secret of a", "labels": ["a"]});
    let job = bench
        .reply(send(Method::POST, "/jobs", &ada, body))
        .await
        .json();
    let path = format!("/jobs/{}", id_of(&job));
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/events")),
        (Method::POST, format!("{path}/cancel")),
        (Method::DELETE, path.clone()),
    ] {
        let reply = bench.reply(send(method, &path, &bob, json!({}))).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
    }
    let list = bench
        .reply(send(Method::GET, "/jobs", &bob, json!({})))
        .await
        .json();
    assert_eq!(list["jobs"], json!([]));
    loop {
        let shown = bench
            .reply(send(Method::GET, &path, &ada, json!({})))
            .await
            .json();
        if shown["state"] == "done" {
            break;
        }
        assert_ne!(shown["state"], "failed", "{shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A label that is not held, and the folders of the service, are refused.
    let body = json!({"kind": "text", "text": "x", "labels": ["a"]});
    let reply = bench.reply(send(Method::POST, "/jobs", &bob, body)).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let body = json!({"kind": "folder", "path": bench.dir.path()});
    let reply = bench.reply(send(Method::POST, "/jobs", &bob, body)).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    // A document that is not read is neither replaced nor deleted.
    let body = json!({"kind": "text", "uri": "a.md", "text": "mine now", "labels": ["b"]});
    let job = bench
        .reply(send(Method::POST, "/jobs", &bob, body))
        .await
        .json();
    let path = format!("/jobs/{}", id_of(&job));
    loop {
        let shown = bench
            .reply(send(Method::GET, &path, &bob, json!({})))
            .await
            .json();
        assert_ne!(shown["state"], "done", "{shown}");
        if shown["state"] == "failed" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let body = json!({"kind": "delete", "uri": "a.md"});
    let job = bench
        .reply(send(Method::POST, "/jobs", &bob, body))
        .await
        .json();
    let path = format!("/jobs/{}", id_of(&job));
    loop {
        let shown = bench
            .reply(send(Method::GET, &path, &bob, json!({})))
            .await
            .json();
        if shown["state"] == "done" {
            assert_eq!(shown["result"]["deleted"], false);
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Takes one request after the other: its headers in small letters, and its body.
pub(super) async fn receive(listener: &tokio::net::TcpListener) -> (HeaderMap, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(read > 0, "the request broke off");
            continue;
        };
        let mut headers = HeaderMap::new();
        for line in head.lines().skip(1) {
            let (name, value) = line.split_once(": ").unwrap();
            let name: axum::http::HeaderName = name.to_lowercase().parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
        if body.len() >= length {
            let body = body.to_owned();
            let reply = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            stream.write_all(reply).await.unwrap();
            return (headers, body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_told_with_a_signature_that_others_verify() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let strict = working(|_| {}).await;
    let reply = strict.post("/webhooks", &json!({"url": address})).await;
    assert_eq!(
        reply.error(),
        ("invalid_request".into(), Some("url".into()))
    );

    let bench = working(|config| config.jobs.fetch.allow_private_addresses = true).await;
    let body = json!({"url": address, "types": ["job.done"], "kinds": ["text"]});
    let made = bench.post("/webhooks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let made = made.json();
    let secret = made["secret"].as_str().unwrap();
    let listed = bench.get("/webhooks").await;
    assert_eq!(listed.json()["endpoints"][0]["url"], address);
    assert!(!listed.text().contains("whsec_"));

    let job = submit(
        &bench,
        json!({"kind": "text", "uri": "a.md", "text": "Some text"}),
    )
    .await;
    let told = tokio::time::timeout(Duration::from_secs(60), receive(&listener)).await;
    let (headers, message) = told.expect("the endpoint is told");
    let verifier = standardwebhooks::Webhook::new(secret).unwrap();
    verifier.verify(message.as_bytes(), &headers).unwrap();
    verifier.verify(b"{}", &headers).unwrap_err();
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(message["type"], "job.done");
    assert!(message.to_string().contains(id_of(&job)), "{message}");

    let id = made["id"].as_str().unwrap();
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let deliveries = bench
            .get(&format!("/webhooks/{id}/deliveries"))
            .await
            .json();
        let first = &deliveries["deliveries"][0];
        if first["last_status"] == 204 && first["ended_at"].is_string() {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "{deliveries}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let path = format!("/webhooks/{id}/rotate");
    let rotated = bench.post(&path, &json!({})).await.json();
    assert_ne!(rotated["secret"], made["secret"]);
    let gone = bench.delete(&format!("/webhooks/{id}")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(
        bench.get(&path).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}
