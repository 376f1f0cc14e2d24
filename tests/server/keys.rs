//! API keys in front of the routes: who may do what, what labels hide, and how
//! limits answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use cairn_gateway::Provider;
use cairn_gateway::accounts::{Keys, NewKey, Scope};
use cairn_settings::config::{Config, KeyLimits};
use serde_json::{Value, json};

use super::{Bench, GUIDE, Reply, Scripted};

/// A service with keys, and the keys.
pub(super) struct Closed {
    pub(super) bench: Bench,
    pub(super) keys: Keys,
    pub(super) admin: String,
}

impl Closed {
    pub(super) fn new() -> Self {
        Self::with(Arc::new(Scripted::citing()), |_| {})
    }

    pub(super) fn with(provider: Arc<dyn Provider>, change: impl FnOnce(&mut Config)) -> Self {
        let mut made = None;
        let bench = Bench::with(provider, |config| {
            change(config);
            let keys = Keys::open(&config.storage.data_dir).unwrap();
            let admin = create(&keys, &[], &[Scope::Admin], KeyLimits::default());
            made = Some((keys, admin));
        });
        let (keys, admin) = made.unwrap();
        Self { bench, keys, admin }
    }

    /// A key that the service knows already when this returns.
    pub(super) async fn key(&self, labels: &[&str], scopes: &[Scope]) -> String {
        self.limited(labels, scopes, KeyLimits::default()).await
    }

    async fn limited(&self, labels: &[&str], scopes: &[Scope], limits: KeyLimits) -> String {
        let key = create(&self.keys, labels, scopes, limits);
        until(|| self.bench.service.accounts().authenticate(&key).is_ok()).await;
        key
    }

    pub(super) async fn send(&self, key: &str, method: &str, uri: &str, body: &Value) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.bench.reply(request).await
    }

    pub(super) async fn get(&self, key: &str, uri: &str) -> Reply {
        self.send(key, "GET", uri, &Value::Null).await
    }

    pub(super) async fn post(&self, key: &str, uri: &str, body: &Value) -> Reply {
        self.send(key, "POST", uri, body).await
    }

    /// Stores one document for everybody and one with the label `secret`.
    pub(super) async fn fill(&self) {
        for (uri, text, labels) in [
            ("open.md", GUIDE, json!([])),
            ("hidden.md", HIDDEN, json!(["secret"])),
        ] {
            let body = json!({"uri": uri, "title": uri, "text": text, "labels": labels,
                "metadata": {"clearance": "top"}});
            let reply = self.post(&self.admin, "/documents", &body).await;
            assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
        }
    }
}

/// Shares every word of the test's questions, so that it would be found first.
const HIDDEN: &str = "# How do I open the vault?\n\nThe writer lock of the vault is held by one \
    process at a time, and its code is 4711.\n";

fn create(keys: &Keys, labels: &[&str], scopes: &[Scope], limits: KeyLimits) -> String {
    let new = NewKey {
        name: "test".into(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        scopes: scopes.iter().copied().collect(),
        limits,
        ..NewKey::default()
    };
    keys.create(&new).unwrap().1.expose().to_owned()
}

/// Waits for what another thread sees in its own time.
pub(super) async fn until(mut test: impl FnMut() -> bool) {
    let start = Instant::now();
    while !test() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "it never happened"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn uris(reply: &Reply, list: &str) -> Vec<String> {
    let body = reply.json();
    let items = body[list].as_array().unwrap_or_else(|| panic!("{body}"));
    items
        .iter()
        .map(|item| item["uri"].as_str().unwrap().to_owned())
        .collect()
}

const READER: &[Scope] = &[Scope::Search, Scope::Query];

#[tokio::test]
async fn without_keys_everything_is_open() {
    let bench = Bench::new();
    bench.upload_guide().await;
    for uri in ["/documents", "/collections", "/metrics", "/openapi.json"] {
        assert_eq!(bench.get(uri).await.status, StatusCode::OK, "{uri}");
    }
    // Clients of OpenAI's API always send something.
    let request = Request::get("/documents")
        .header("authorization", "Bearer anything")
        .body(Body::empty());
    assert_eq!(bench.reply(request.unwrap()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn with_a_key_every_route_asks_for_one() {
    let closed = Closed::new();
    let document = closed.get(&closed.admin, "/openapi.json").await.json();
    let open = ["/health", "/ready"];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{id}", "0000000000000000");
            let method = method.to_uppercase();
            let bare = super::request(method.parse().unwrap(), &path, "application/json", "{}");
            let reply = closed.bench.reply(bare).await;
            if open.contains(&path.as_str()) {
                assert_ne!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
                continue;
            }
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(reply.error().0, "unauthorized");
            assert!(reply.header("www-authenticate").starts_with("Bearer"));
            let wrong = closed.send("cairn_wrong", &method, &path, &json!({})).await;
            assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
    for part in ["/", "/app.js", "/key.js", "/health", "/ready"] {
        assert_eq!(
            closed.bench.get(part).await.status,
            StatusCode::OK,
            "{part}"
        );
    }
    let nowhere = closed.bench.get("/nowhere").await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    let own = Request::get("/collections")
        .header("x-api-key", &closed.admin)
        .body(Body::empty());
    assert_eq!(
        closed.bench.reply(own.unwrap()).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn scopes_open_their_own_routes_alone() {
    let closed = Closed::new();
    closed.fill().await;
    let document = json!({"uri": "new.md", "text": "New."});
    let question = json!({"query": "writer lock", "stream": false});
    for scope in Scope::ALL {
        let key = closed.key(&[], &[scope]).await;
        let admin = scope == Scope::Admin;
        let cases = [
            ("POST", "/search", &question, scope == Scope::Search),
            ("GET", "/documents", &Value::Null, scope == Scope::Search),
            ("GET", "/collections", &Value::Null, scope == Scope::Search),
            ("POST", "/query", &question, scope == Scope::Query),
            (
                "POST",
                "/documents",
                &document,
                scope == Scope::DocumentsWrite,
            ),
            ("GET", "/metrics", &Value::Null, scope == Scope::Metrics),
        ];
        for (method, uri, body, allowed) in cases {
            let reply = closed.send(&key, method, uri, body).await;
            if allowed || admin {
                assert!(reply.status.is_success(), "{scope} {uri}: {}", reply.text());
            } else {
                assert_eq!(reply.status, StatusCode::FORBIDDEN, "{scope} {uri}");
                assert_eq!(reply.error().0, "forbidden");
            }
        }
    }
}

#[tokio::test]
async fn what_a_label_hides_is_not_there_on_any_path() {
    let closed = Closed::new();
    closed.fill().await;
    let outsider = closed.key(&["other"], READER).await;
    let insider = closed.key(&["secret"], READER).await;
    let question = json!({"query": "How do I open the vault?", "top_k": 10});

    for mode in ["hybrid", "lexical", "dense"] {
        let mut body = question.clone();
        body["mode"] = json!(mode);
        let found = uris(&closed.post(&outsider, "/search", &body).await, "sources");
        assert!(
            !found.contains(&"hidden.md".to_owned()),
            "{mode}: {found:?}"
        );
        let found = uris(&closed.post(&insider, "/search", &body).await, "sources");
        assert!(found.contains(&"hidden.md".to_owned()), "{mode}: {found:?}");
    }

    // Lists and counts.
    let page = closed.get(&outsider, "/documents").await;
    assert_eq!(uris(&page, "documents"), ["open.md"]);
    assert_eq!(page.json()["total"], 1);
    assert_eq!(closed.get(&insider, "/documents").await.json()["total"], 2);
    let counts = |reply: &Reply| {
        let collection = reply.json()["collections"][0].clone();
        (
            collection["documents"].clone(),
            collection["suggestions"].to_string(),
        )
    };
    let (documents, suggestions) = counts(&closed.get(&outsider, "/collections").await);
    assert_eq!(documents, 1);
    assert!(!suggestions.contains("vault"), "{suggestions}");
    let (documents, suggestions) = counts(&closed.get(&insider, "/collections").await);
    assert_eq!(documents, 2);
    assert!(suggestions.contains("vault"), "{suggestions}");

    // One by id: not there, which is not the same as forbidden.
    let all = closed.get(&insider, "/documents").await.json();
    let hidden = all["documents"]
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["uri"] == "hidden.md");
    let uri = format!("/documents/{}", hidden.unwrap()["id"].as_str().unwrap());
    for suffix in ["", "?text=true"] {
        let reply = closed.get(&outsider, &format!("{uri}{suffix}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert!(!reply.text().contains("vault"));
        let reply = closed.get(&insider, &format!("{uri}{suffix}")).await;
        assert_eq!(reply.status, StatusCode::OK);
    }

    // Answers, whole and streamed; and the names of fields and values.
    for stream in [true, false] {
        for generate in [true, false] {
            let mut body = question.clone();
            body["stream"] = json!(stream);
            body["generate"] = json!(generate);
            let reply = closed.post(&outsider, "/query", &body).await;
            assert_eq!(reply.status, StatusCode::OK);
            assert!(!reply.text().contains("hidden.md") && !reply.text().contains("4711"));
        }
    }
    let filter = json!({"query": "lock", "filter": {"uri": "hidden.md"}});
    let found = closed.post(&outsider, "/search", &filter).await;
    assert!(uris(&found, "sources").is_empty());
}

#[tokio::test]
async fn what_a_key_may_not_read_it_may_not_change() {
    let closed = Closed::new();
    closed.fill().await;
    let writer = closed
        .key(&["other"], &[Scope::DocumentsWrite, Scope::Search])
        .await;
    let put = |uri: &str, labels: Value| json!({"uri": uri, "text": "Mine.", "labels": labels, "replace": true});

    let reply = closed
        .post(&writer, "/documents", &put("hidden.md", json!(["other"])))
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let reply = closed
        .post(&writer, "/documents", &put("a.md", json!(["secret"])))
        .await;
    assert_eq!(reply.error(), ("forbidden".into(), Some("labels".into())));
    let all = closed.get(&closed.admin, "/documents").await.json();
    let hidden = all["documents"]
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["uri"] == "hidden.md");
    let uri = format!("/documents/{}", hidden.unwrap()["id"].as_str().unwrap());
    let reply = closed.send(&writer, "DELETE", &uri, &Value::Null).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(
        closed.get(&closed.admin, &uri).await.json()["labels"],
        json!(["secret"])
    );

    // Its own label, and documents for everybody, are its to write.
    for (uri, labels) in [("b.md", json!(["other"])), ("open.md", json!([]))] {
        let reply = closed.post(&writer, "/documents", &put(uri, labels)).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
        let id = reply.json()["documents"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let reply = closed
            .send(&writer, "DELETE", &format!("/documents/{id}"), &Value::Null)
            .await;
        assert_eq!(reply.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_the_running_service() {
    let closed = Closed::new();
    let key = closed.key(&[], READER).await;
    assert_eq!(
        closed.get(&key, "/collections").await.status,
        StatusCode::OK
    );
    let id = key.split('_').nth(1).unwrap();
    closed.keys.revoke(id).unwrap();
    until(|| closed.bench.service.accounts().authenticate(&key).is_err()).await;
    let reply = closed.get(&key, "/collections").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(reply.text().contains("revoked"));
}

#[tokio::test]
async fn limits_answer_429_with_their_headers() {
    let closed = Closed::new();
    let limits = KeyLimits {
        requests_per_minute: Some(2),
        ..KeyLimits::default()
    };
    let key = closed.limited(&[], READER, limits).await;
    let first = closed.get(&key, "/collections").await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.header("x-ratelimit-limit-requests"), "2");
    assert_eq!(first.header("x-ratelimit-remaining-requests"), "1");
    closed.get(&key, "/collections").await;
    let refused = closed.get(&key, "/collections").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.error().0, "rate_limited");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    // The state of the service costs nothing, and others are not held back.
    assert_eq!(closed.get(&key, "/ready").await.status, StatusCode::OK);
    assert_eq!(
        closed.get(&closed.admin, "/collections").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn progress_is_for_those_who_read_everything() {
    use cairn::server::IndexingProgress;
    let closed = Closed::new();
    closed
        .bench
        .service
        .lifecycle()
        .set_indexing(Some(IndexingProgress {
            files_done: 1,
            files_total: 2,
            chunks: 3,
        }));
    let reader = closed.key(&[], READER).await;
    assert!(
        closed
            .bench
            .get("/ready")
            .await
            .json()
            .get("indexing")
            .is_none()
    );
    assert!(
        closed
            .get(&reader, "/ready")
            .await
            .json()
            .get("indexing")
            .is_none()
    );
    assert!(
        closed
            .get(&closed.admin, "/ready")
            .await
            .json()
            .get("indexing")
            .is_some()
    );
    assert!(
        closed.bench.get("/ready").await.json()["ready"]
            .as_bool()
            .unwrap()
    );
}

#[tokio::test]
async fn one_key_does_not_take_every_permit() {
    let (provider, gate, _chats) = super::Gated::new();
    let mut made = None;
    let bench = Bench::with(provider, |config| {
        config.server.max_concurrency = 2;
        config.server.key_share = 0.5;
        let keys = Keys::open(&config.storage.data_dir).unwrap();
        let admin = create(&keys, &[], &[Scope::Admin], KeyLimits::default());
        made = Some((keys, admin));
    });
    let (keys, admin) = made.unwrap();
    let closed = Closed { bench, keys, admin };
    let guide = json!({"uri": "guide.md", "text": GUIDE});
    closed.post(&closed.admin, "/documents", &guide).await;
    let greedy = closed.key(&[], READER).await;
    let other = closed.key(&[], READER).await;
    let ask = json!({"query": "Who holds the writer lock?"});
    let question = Request::post("/query")
        .header("authorization", format!("Bearer {greedy}"))
        .header("content-type", "application/json")
        .body(Body::from(ask.to_string()));
    let stream = closed.bench.send(question.unwrap()).await;
    assert_eq!(stream.status(), StatusCode::OK);
    let refused = closed.post(&greedy, "/search", &ask).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.error().0, "overloaded");
    assert!(
        refused.text().contains("server.key_share"),
        "{}",
        refused.text()
    );
    let served = closed.post(&other, "/search", &ask).await;
    assert_eq!(served.status, StatusCode::OK, "{}", served.text());
    gate.add_permits(1);
    axum::body::to_bytes(stream.into_body(), usize::MAX)
        .await
        .unwrap();
    let served = closed.post(&greedy, "/search", &ask).await;
    assert_eq!(served.status, StatusCode::OK, "{}", served.text());
}

#[tokio::test]
async fn one_key_makes_only_so_many_collections() {
    let mut made = None;
    let bench = Bench::with(Arc::new(Scripted::citing()), |config| {
        config.server.max_collections_per_key = 1;
        let keys = Keys::open(&config.storage.data_dir).unwrap();
        let admin = create(&keys, &[], &[Scope::Admin], KeyLimits::default());
        made = Some((keys, admin));
    });
    let (keys, admin) = made.unwrap();
    let closed = Closed { bench, keys, admin };
    let writer = closed.key(&[], &[Scope::DocumentsWrite]).await;
    let upload = |collection: &str| json!({"text": "A kettle.", "collection": collection});
    for (key, collection, status) in [
        (&writer, "one", StatusCode::CREATED),
        (&writer, "two", StatusCode::BAD_REQUEST),
        (&closed.admin, "two", StatusCode::CREATED),
        (&writer, "two", StatusCode::CREATED),
    ] {
        let reply = closed.post(key, "/documents", &upload(collection)).await;
        assert_eq!(reply.status, status, "{collection}: {}", reply.text());
        if status == StatusCode::BAD_REQUEST {
            assert_eq!(reply.error().1.as_deref(), Some("collection"));
        }
    }
}
