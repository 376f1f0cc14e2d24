//! Which requests are let in, and what they may say and learn: pages of other origins, names that are
//! not theirs to use, counts that tell of hidden documents, ids that clients choose.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use cairn_gateway::accounts::usage::{Period, UsageReader};
use cairn_gateway::accounts::{Keys, NewKey, Scope};
use cairn_gateway::{ChatRequest, Provider, ProviderStream};
use cairn_models::Cancel;
use serde_json::{Value, json};

use super::{Bench, Reply, Scripted, request};

/// Counts what would cost money.
struct Paid(Arc<AtomicUsize>);

impl Provider for Paid {
    fn name(&self) -> &str {
        "script"
    }

    fn context_tokens(&self) -> usize {
        8192
    }

    fn chat(&self, request: ChatRequest, cancel: Cancel) -> ProviderStream {
        self.0.fetch_add(1, Ordering::SeqCst);
        Scripted::citing().chat(request, cancel)
    }
}

async fn send(bench: &Bench, method: &str, uri: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(uri);
    request = request.header("host", "127.0.0.1:8620");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::from(r#"{"query": "the writer lock", "stream": false}"#);
    bench.reply(request.body(body).unwrap()).await
}

#[tokio::test]
async fn a_page_of_another_origin_neither_writes_nor_spends() {
    let paid = Arc::new(AtomicUsize::new(0));
    let bench = Bench::with(Arc::new(Paid(Arc::clone(&paid))), |config| {
        config.server.cors_origins = vec!["https://docs.example".into()];
    });
    bench.upload_guide().await;
    let question = "/query?q=Who%20holds%20the%20writer%20lock&model=script";
    let json_kind = ("content-type", "application/json");
    for site in ["cross-site", "same-site", "anything"] {
        let headers = [
            ("sec-fetch-site", site),
            ("sec-fetch-mode", "no-cors"),
            json_kind,
        ];
        let opened = [("sec-fetch-site", site), ("sec-fetch-mode", "navigate")];
        for (method, uri) in [
            ("GET", question),
            ("HEAD", question),
            ("POST", "/query"),
            ("POST", "/search"),
            ("POST", "/documents"),
            ("DELETE", "/documents/0123456789abcdef"),
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/batches"),
            ("GET", "/documents"),
        ] {
            for headers in [&headers[..], &opened[..]] {
                let reply = send(&bench, method, uri, headers).await;
                assert_eq!(reply.status, StatusCode::FORBIDDEN, "{site} {method} {uri}");
                if method != "HEAD" {
                    assert_eq!(reply.error().0, "forbidden_origin");
                }
            }
        }
        // A link to the page is no harm: the page asks nothing by itself.
        let page = send(&bench, "GET", "/?q=x", &opened).await;
        assert_eq!(page.status, StatusCode::OK);
    }
    for referer in ["http://evil.test/", "http://127.0.0.1:8620.evil.test/"] {
        let reply = send(&bench, "GET", question, &[("referer", referer)]).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{referer}");
    }
    assert_eq!(paid.load(Ordering::SeqCst), 0);

    // Our own page, pages that are allowed, and whoever is not a browser.
    for headers in [
        &[("sec-fetch-site", "same-origin")][..],
        &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://docs.example"),
        ],
        &[],
    ] {
        let reply = send(&bench, "GET", question, headers).await;
        assert_eq!(reply.status, StatusCode::OK, "{headers:?} {}", reply.text());
    }
    assert!(paid.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn facts_do_not_take_the_names_of_the_document_itself() {
    let bench = Bench::new();
    for name in [
        "labels",
        "uri",
        "title",
        "document_id",
        "id",
        "chunk_id",
        "Labels",
        " URI ",
    ] {
        let body = json!({"uri": "a.md", "text": "Some text.", "metadata": {name: ["secret"]}});
        let reply = bench.post("/documents", &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{name}");
        let expected = (
            "invalid_request".to_owned(),
            Some(format!("metadata.{name}")),
        );
        assert_eq!(reply.error(), expected);
        let form = format!(
            "--B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.md\"\r\n\r\nText.\r\n\
             --B\r\ncontent-disposition: form-data; name=\"metadata\"\r\n\r\n{}\r\n--B--\r\n",
            json!({name: "x"})
        );
        let kind = "multipart/form-data; boundary=B";
        let reply = bench
            .reply(request(Method::POST, "/documents", kind, form))
            .await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{name}");
    }
    assert_eq!(bench.get("/documents").await.status, StatusCode::NOT_FOUND);

    // A file that says so is read all the same, and decides nothing.
    let text = "---\nlabels: [secret]\nuri: other.md\nid: 7\nauthor: Ann\n---\n# A\n\nThe lock.\n";
    let body = json!({"uri": "a.md", "text": text, "metadata": {"label_count": 2}});
    let reply = bench.post("/documents", &body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    let stored = bench.get("/documents").await.json()["documents"][0].clone();
    assert_eq!(
        (&stored["uri"], &stored["labels"]),
        (&json!("a.md"), &json!([]))
    );
    assert_eq!(stored["metadata"]["file.id"], 7);
    for (filter, found) in [
        (json!({"labels": "secret"}), 0),
        (json!({"uri": "other.md"}), 0),
        (json!({"uri": "a.md"}), 1),
        (json!({"file.labels": "secret"}), 1),
        (json!({"author": "Ann"}), 1),
    ] {
        let body = json!({"query": "lock", "filter": filter});
        let reply = bench.post("/search", &body).await.json();
        assert_eq!(
            reply["sources"].as_array().unwrap().len(),
            found,
            "{filter}"
        );
    }
}

fn key(keys: &Keys, labels: &[&str], scopes: &[Scope]) -> String {
    let new = NewKey {
        name: "test".into(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        scopes: scopes.iter().copied().collect(),
        ..NewKey::default()
    };
    keys.create(&new).unwrap().1.expose().to_owned()
}

async fn post(bench: &Bench, key: &str, uri: &str, id: &str, body: &Value) -> Reply {
    let request = Request::post(uri)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("x-request-id", id)
        .body(Body::from(body.to_string()));
    bench.reply(request.unwrap()).await
}

#[tokio::test]
async fn an_upload_does_not_tell_whether_a_hidden_document_says_the_same() {
    let mut made = Vec::new();
    let bench = Bench::with(Arc::new(Scripted::citing()), |config| {
        let keys = Keys::open(&config.storage.data_dir).unwrap();
        made = vec![
            key(&keys, &[], &[Scope::Admin]),
            key(&keys, &["a"], &[Scope::DocumentsWrite]),
            key(&keys, &["*"], &[Scope::DocumentsWrite]),
        ];
    });
    let text = "The merger is signed on Friday.";
    let put = |uri: &str, labels: &[&str]| json!({"uri": uri, "title": "Deal", "text": text, "labels": labels});
    let hidden = post(
        &bench,
        &made[0],
        "/documents",
        "1",
        &put("h.md", &["secret"]),
    )
    .await;
    assert_eq!(hidden.json()["documents"][0]["reused"], 0);
    let guess = post(&bench, &made[1], "/documents", "2", &put("g.md", &["a"])).await;
    let other = json!({"uri": "o.md", "text": "It is not, of that I am sure.", "labels": ["a"]});
    let wrong = post(&bench, &made[1], "/documents", "3", &other).await;
    let fields = |reply: &Reply| {
        let document = reply.json()["documents"][0].clone();
        let names: Vec<String> = document.as_object().unwrap().keys().cloned().collect();
        (names, document["chunks"].clone())
    };
    assert_eq!(guess.status, StatusCode::CREATED);
    assert_eq!(fields(&guess), fields(&wrong));
    assert!(!guess.text().contains("reused") && !guess.text().contains("embedded"));
    let all = post(&bench, &made[2], "/documents", "4", &put("i.md", &[])).await;
    assert_eq!(all.json()["documents"][0]["reused"], 1, "{}", all.text());
}

#[tokio::test]
async fn an_id_that_the_client_chose_changes_nobody_elses_ledger() {
    // The bench's gateway books nothing, so the call is booked by hand.
    use cairn_gateway::accounts::{CallInfo, Caller, Estimate};

    let bench = Bench::new();
    bench.upload_guide().await;
    let accounts = bench.service.accounts();
    let call = CallInfo {
        request_id: "mine".into(),
        route: "answer".into(),
        provider: "script".into(),
        model: "script-1".into(),
    };
    let reservation = accounts
        .admit(&Caller::anonymous(), Estimate::default(), call)
        .unwrap();
    let record = reservation.draft();
    reservation.settle(record);
    let question = json!({"query": "Who holds the writer lock?", "stream": false});
    let reply = post(&bench, "", "/query", "mine", &question).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.header("x-request-id"), "mine");
    accounts.flush();
    let reader = UsageReader::open(&bench.service.config().storage.data_dir).unwrap();
    let calls = reader.calls(10, Period::default()).unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].refused, calls[0].citations), (None, None));
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_stored_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let bench = Bench::new();
    for n in 0..12 {
        let body = json!({"uri": format!("{n}.md"), "text": format!("Text number {n}.")});
        let reply = bench.post("/documents", &body).await;
        assert_eq!(reply.status, StatusCode::CREATED);
    }
    let mut folders = vec![bench.service.config().storage.data_dir.clone()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.exists() {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 8, "{seen} files");
}
