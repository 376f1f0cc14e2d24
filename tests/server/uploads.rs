//! Uploads alongside other writers, and uploads that become jobs.

use std::time::Duration;

use cairn_gateway::accounts::{Keys, NewKey, Scope};

use super::jobs::{ended, id_of, working};
use super::*;

const PREFER: &str = "prefer";

fn preferring(uri: &str, body: &Value) -> Request<Body> {
    let mut request = json_request(uri, body);
    let headers = request.headers_mut();
    headers.insert(
        PREFER,
        "handling=lenient, Respond-Async; x".parse().unwrap(),
    );
    request
}

/// A form with these files, and nothing else.
fn form(files: &[(&str, &[u8])]) -> Request<Body> {
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!(
            "--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        );
        body.extend(head.as_bytes());
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    request(
        Method::POST,
        "/documents",
        "multipart/form-data; boundary=edge",
        body,
    )
}

fn spooled(bench: &Bench) -> usize {
    let folder = bench.dir.path().join("data/spool");
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

async fn total(bench: &Bench) -> Value {
    bench.get("/documents").await.json()["total"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_waits_gets_its_turn_and_holds_nobody_up() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let other = engine(bench.service.config());
    let embedder = other.embedder().unwrap().clone();
    let held = other.collection("main").unwrap().writer(embedder).unwrap();
    let id = bench.get("/documents").await.json()["documents"][0]["id"].clone();
    let path = format!("/documents/{}", id.as_str().unwrap());
    let (late, deleted, rest) = (json!({"text": "late"}), bench.delete(&path), async {
        // Other collections are written meanwhile.
        for n in 0..3 {
            let body = json!({"text": format!("text {n}"), "collection": "other"});
            assert_eq!(
                bench.post("/documents", &body).await.status,
                StatusCode::CREATED
            );
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(held);
    });
    let (late, deleted, ()) = tokio::join!(bench.post("/documents", &late), deleted, rest);
    assert_eq!(late.status, StatusCode::CREATED, "{}", late.text());
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text());
    assert_eq!(total(&bench).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_goes_away_while_it_waits_writes_nothing() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let other = engine(bench.service.config());
    let embedder = other.embedder().unwrap().clone();
    let held = other.collection("main").unwrap().writer(embedder).unwrap();
    let body = json!({"text": "given up"});
    let upload = bench.post("/documents", &body);
    let given_up = tokio::time::timeout(Duration::from_millis(300), upload).await;
    given_up.unwrap_err();
    drop(held);
    let reply = bench.post("/documents", &json!({"text": "kept"})).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    assert_eq!(total(&bench).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_and_deletions_go_on_beside_a_folder_job_of_the_same_service() {
    let bench = working(|_| {}).await;
    bench.upload_guide().await;
    let docs = bench.dir.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    for n in 0..600 {
        let text = format!(
            "# Page {n}\n\n{}",
            format!("Line {n} of the page. ").repeat(60)
        );
        std::fs::write(docs.join(format!("{n}.md")), text).unwrap();
    }
    let job = super::jobs::submit(&bench, json!({"kind": "folder", "path": docs})).await;
    for n in 0..12 {
        let uri = format!("beside-{n}.md");
        let body = json!({"uri": uri, "text": format!("beside the run {n}")});
        let reply = bench.post("/documents", &body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
        if n % 3 == 0 {
            let id = reply.json()["documents"][0]["id"]
                .as_str()
                .unwrap()
                .to_owned();
            let reply = bench.delete(&format!("/documents/{id}")).await;
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        }
    }
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["result"]["added"], 600, "{job}");
    assert_eq!(total(&bench).await, 600 + 8 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_prefers_it_becomes_a_job() {
    let bench = working(|_| {}).await;
    let body = json!({"uri": "guide.md", "title": "Mine", "text": GUIDE, "metadata": {"a": 1}});
    let reply = bench.reply(preferring("/documents", &body)).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    assert_eq!(reply.header("preference-applied"), "respond-async");
    let job = reply.json();
    assert_eq!(reply.header("location"), format!("/jobs/{}", id_of(&job)));
    assert_eq!(
        (&job["kind"], &job["about"]),
        (&json!("upload"), &json!("guide.md"))
    );
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "done", "{job}");
    let stored = &job["result"]["documents"][0];
    assert_eq!(
        (&stored["title"], &stored["chunks"]),
        (&json!("Mine"), &json!(1)),
        "{job}"
    );
    let shown = bench
        .get(&format!("/documents/{}", stored["id"].as_str().unwrap()))
        .await;
    assert_eq!(shown.json()["metadata"]["a"], 1);
    assert_eq!(spooled(&bench), 0);

    // Another text is refused, as it is while a client waits; nothing is tried twice.
    let other = json!({"uri": "guide.md", "text": "Something else."});
    let reply = bench.reply(preferring("/documents", &other)).await;
    let job = ended(&bench, id_of(&reply.json())).await;
    assert_eq!(
        (&job["state"], &job["attempts"]),
        (&json!("failed"), &json!(1)),
        "{job}"
    );
    let why = job["failures"][0]["chain"][0].as_str().unwrap();
    assert!(why.contains("with another text"), "{job}");
    assert_eq!(spooled(&bench), 0);

    // The bytes are gone: a retry says so.
    let retry = bench
        .post(&format!("/jobs/{}/retry", id_of(&job)), &json!({}))
        .await;
    assert_eq!(retry.status, StatusCode::ACCEPTED);
    let job = ended(&bench, id_of(&job)).await;
    assert!(job.to_string().contains("not kept any more"), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_forms_become_jobs_and_name_their_broken_files() {
    let bench = working(|config| config.jobs.upload_mb = 0).await;
    let files: [(&str, &[u8]); 3] = [
        ("a.md", b"# A\n\nOne."),
        ("broken.docx", b"PK\x03\x04 no"),
        ("b.md", b"# B\n\nTwo."),
    ];
    let reply = bench.reply(form(&files)).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    assert_eq!(reply.header("preference-applied"), "");
    let job = ended(&bench, id_of(&reply.json())).await;
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["result"]["documents"].as_array().unwrap().len(), 2);
    assert_eq!(job["result"]["failed"][0]["uri"], "broken.docx");
    assert_eq!(
        (&job["documents_failed"], &job["progress"]["done"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(total(&bench).await, 2);

    // With one file that cannot be read there is nothing to store.
    let reply = bench.reply(form(&files[1..2])).await;
    let job = ended(&bench, id_of(&reply.json())).await;
    assert_eq!(
        (&job["state"], &job["attempts"]),
        (&json!("failed"), &json!(1)),
        "{job}"
    );
    // And what is wrong at once is said at once.
    for (files, code) in [
        (&[][..], "invalid_request"),
        (&[("../a", &b"x"[..])][..], "invalid_request"),
    ] {
        assert_eq!(bench.reply(form(files)).await.error().0, code);
    }
    assert_eq!(spooled(&bench), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gives_the_same_upload_and_room_is_bounded() {
    // No worker runs, so that what comes stays.
    let bench = Bench::with(Arc::new(Scripted::citing()), |config| {
        config.jobs.spool_mb = 1
    });
    cairn::server::open_jobs(&bench.service).await;
    let send = |text: String| {
        let mut request = preferring("/documents", &json!({"text": text}));
        let key = "idempotency-key";
        request.headers_mut().insert(key, "once".parse().unwrap());
        bench.reply(request)
    };
    let first = send("text".into()).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text());
    let second = send("text".into()).await;
    assert_eq!(second.status, StatusCode::OK);
    assert_eq!(first.json()["id"], second.json()["id"]);
    assert_eq!(spooled(&bench), 1);
    let large = send("x".repeat(1 << 20)).await;
    assert_eq!(large.error().0, "overloaded");
    assert_eq!(spooled(&bench), 1);
    // Files come by POST /documents only.
    let body = json!({"kind": "upload", "spool": "019a0000-0000-7000-8000-000000000000"});
    let reply = bench.post("/jobs", &body).await;
    assert_eq!(
        reply.error(),
        ("invalid_request".into(), Some("kind".into()))
    );
    // An upload that is called off before its turn does not become a document.
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let reply = bench.post(&format!("/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!(reply.json()["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_look_at_jobs_gets_documents_stored() {
    let mut keys = Vec::new();
    let bench = Bench::with(Arc::new(Scripted::citing()), |config| {
        let store = Keys::open(&config.storage.data_dir).unwrap();
        for scopes in [
            &[Scope::DocumentsWrite][..],
            &[Scope::DocumentsWrite, Scope::Jobs],
        ] {
            let new = NewKey {
                name: "uploads".into(),
                labels: ["a".to_owned()].into(),
                scopes: scopes.iter().copied().collect(),
                ..NewKey::default()
            };
            keys.push(store.create(&new).unwrap().1.expose().to_owned());
        }
    });
    let send = |key: &str, uri: &str, labels: Value| {
        let body = json!({"uri": uri, "text": uri, "labels": labels});
        let mut request = preferring("/documents", &body);
        let value = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        bench.reply(request)
    };
    // Where no worker takes jobs, too.
    for key in &keys {
        let reply = send(key, "first", json!(["a"])).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    }
    cairn::server::open_jobs(&bench.service).await;
    let reply = send(&keys[0], "second", json!(["a"])).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    let reply = send(&keys[1], "third", json!(["a"])).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    let reply = send(&keys[1], "fourth", json!(["b"])).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(spooled(&bench), 1);
}
