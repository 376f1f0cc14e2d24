//! `/documents` and `/collections`: durable uploads, paging, deletion, and bad
//! files.

use axum::http::{Method, StatusCode};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{Bench, GUIDE, Reply, engine, request};

const BOUNDARY: &str = "frontier";

/// One part of a form.
fn part(name: &str, file: Option<&str>, body: &[u8]) -> Vec<u8> {
    let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
    let mut bytes =
        format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n")
            .into_bytes();
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

async fn form(bench: &Bench, parts: &[Vec<u8>]) -> Reply {
    let mut body = parts.concat();
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    bench
        .reply(request(Method::POST, "/documents", &kind, body))
        .await
}

async fn uris_found(bench: &Bench, body: Value) -> Vec<String> {
    let reply = bench.post("/search", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let found = reply.json();
    let sources = found["sources"].as_array().unwrap();
    sources
        .iter()
        .map(|source| source["uri"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn what_is_acknowledged_is_found_and_durable() {
    let bench = Bench::new();
    let body = json!({
        "uri": "notes/lock.md", "title": "Locks", "text": GUIDE,
        "metadata": {"team": "storage"}, "labels": ["eng"],
    });
    let reply = bench.post("/documents", &body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    let report = reply.json();
    assert_eq!(report["collection"], "main");
    assert!(report["generation"].as_u64().unwrap() > 0);
    assert_eq!(report["failed"], json!([]));
    let stored = &report["documents"][0];
    assert_eq!(
        (&stored["uri"], &stored["title"]),
        (&json!("notes/lock.md"), &json!("Locks"))
    );
    assert_eq!(
        uris_found(&bench, json!({"query": "writer lock"})).await[0],
        "notes/lock.md"
    );

    // Another process that opens the folder now sees it too.
    let snapshot = engine(bench.service.config())
        .collection("main")
        .unwrap()
        .snapshot();
    assert_eq!(snapshot.document_count(), 1);

    // The same document again embeds nothing.
    let again = bench.post("/documents", &body).await.json();
    assert_eq!(again["documents"][0]["embedded"], 0);
    assert_eq!(again["documents"][0]["id"], stored["id"]);
    let page = bench.get("/documents").await.json();
    assert_eq!(page["total"], 1);
    let info = &page["documents"][0];
    assert_eq!(
        (&info["metadata"]["team"], &info["labels"]),
        (&json!("storage"), &json!(["eng"]))
    );
}

#[tokio::test]
async fn text_without_a_uri_has_one_identity() {
    let bench = Bench::new();
    let body = json!({"text": "one text"});
    let ids = join_all((0..2).map(|_| bench.post("/documents", &body))).await;
    assert_eq!(
        ids[0].json()["documents"][0]["id"],
        ids[1].json()["documents"][0]["id"]
    );
    assert_eq!(bench.get("/documents").await.json()["total"], 1);
}

#[tokio::test]
async fn another_text_replaces_only_when_it_is_told_to() {
    let bench = Bench::new();
    let json = |text: &str, replace: bool| json!({"uri": "a.md", "text": text, "replace": replace});
    let first = bench.post("/documents", &json("one", false)).await.json();
    let id = first["documents"][0]["id"].as_str().unwrap().to_owned();
    let text = async || {
        let path = format!("/documents/{id}?text=true");
        bench.get(&path).await.json()["text"].clone()
    };
    let again = bench.post("/documents", &json("one", false)).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text());
    let other = bench.post("/documents", &json("two", false)).await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    assert_eq!(other.error().0, "document_exists");
    assert!(other.text().contains("`a.md`") && other.text().contains("`replace`"));
    let replace = |value: &[u8]| {
        [
            part("replace", None, value),
            part("file", Some("b.md"), b"beside it"),
            part("file", Some("a.md"), b"three"),
        ]
    };
    // All of a form or nothing.
    let refused = form(&bench, &replace(b"false")).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(
        form(&bench, &replace(b"1")).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(text().await, "one");
    assert_eq!(bench.get("/documents").await.json()["total"], 1);
    let replaced = form(&bench, &replace(b"true")).await;
    assert_eq!(replaced.status, StatusCode::CREATED, "{}", replaced.text());
    assert_eq!(text().await, "three");
    let twice = [
        part("file", Some("c.md"), b"one"),
        part("file", Some("c.md"), b"two"),
    ];
    assert_eq!(form(&bench, &twice).await.status, StatusCode::CONFLICT);
    // Uploads that share a commit see each other.
    let race = ["x", "y"].map(|text| json!({"uri": "d.md", "text": text}));
    let replies = join_all(race.iter().map(|body| bench.post("/documents", body))).await;
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort();
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT]);
}

#[tokio::test]
async fn filters_reach_the_metadata_of_uploads() {
    let bench = Bench::new();
    for (uri, year) in [("a.md", 2020), ("b.md", 2024)] {
        let body = json!({"uri": uri, "text": GUIDE, "metadata": {"year": year}});
        assert_eq!(
            bench.post("/documents", &body).await.status,
            StatusCode::CREATED
        );
    }
    let body = json!({"query": "writer lock", "filter": {"year": {"gte": 2022}}});
    let found = uris_found(&bench, body).await;
    assert!(
        !found.is_empty() && found.iter().all(|uri| uri == "b.md"),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_form_stores_good_files_and_names_bad_ones() {
    let bench = Bench::new();
    let parts = [
        part("collection", None, b"notes"),
        part("labels", None, b"[\"eng\"]"),
        part("metadata", None, b"{\"team\": \"storage\"}"),
        part("file", Some("guide.md"), GUIDE.as_bytes()),
        part("file", Some("empty.md"), b""),
        part(
            "file",
            Some("page.html"),
            b"<title>T</title><p>The gate is open.</p>",
        ),
    ];
    let reply = form(&bench, &parts).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    let report = reply.json();
    let uris: Vec<_> = report["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| &d["uri"])
        .collect();
    assert_eq!(uris, ["guide.md", "page.html"]);
    assert_eq!(report["failed"][0]["uri"], "empty.md");
    assert_eq!(report["failed"][0]["error"]["code"], "unreadable_document");

    let collections = bench.get("/collections").await.json();
    let named = &collections["collections"][0];
    assert_eq!(
        (&named["name"], &named["documents"]),
        (&json!("notes"), &json!(2))
    );
}

#[tokio::test]
async fn bad_uploads_are_named() {
    let bench = Bench::new();
    let cases = [
        (json!({}), "text"),
        (json!({"text": 1}), "text"),
        (json!({"text": "x", "author": "me"}), "author"),
        (json!({"text": "x", "uri": "../../etc/passwd"}), "uri"),
        (json!({"text": "x", "uri": "/etc/passwd"}), "uri"),
        (json!({"text": "x", "uri": "a\u{0}b"}), "uri"),
        (json!({"text": "x", "uri": ""}), "uri"),
        (json!({"text": "x", "uri": "u".repeat(3000)}), "uri"),
        (json!({"text": "x", "title": "\u{1b}[2J"}), "title"),
        (json!({"text": "x", "labels": [""]}), "labels"),
        (json!({"text": "x", "collection": "../other"}), "collection"),
        (json!({"text": "x", "collection": "UPPER"}), "collection"),
    ];
    for (body, field) in cases {
        let reply = bench.post("/documents", &body).await;
        assert_eq!(
            reply.status,
            StatusCode::BAD_REQUEST,
            "{body}: {}",
            reply.text()
        );
        assert_eq!(
            reply.error(),
            ("invalid_request".into(), Some(field.into())),
            "{body}"
        );
    }
    let empty = bench.post("/documents", &json!({"text": ""})).await;
    assert_eq!(
        empty.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        empty.text()
    );
    let folders = std::fs::read_dir(bench.dir.path()).unwrap().count();
    assert!(folders <= 1, "nothing was made outside the data folder");
}

#[tokio::test]
async fn bad_forms_are_named() {
    let bench = Bench::new();
    let cases: [(&[Vec<u8>], Option<&str>); 7] = [
        (&[], Some("file")),
        (&[part("file", None, b"text")], Some("file")),
        (&[part("file", Some("../up.md"), b"text")], Some("file")),
        (&[part("other", None, b"text")], Some("other")),
        (
            &[
                part("labels", None, b"eng"),
                part("file", Some("a.md"), b"text"),
            ],
            Some("labels"),
        ),
        (
            &[
                part("metadata", None, b"[1]"),
                part("file", Some("a.md"), b"text"),
            ],
            Some("metadata"),
        ),
        (
            &[
                part("collection", None, b"../x"),
                part("file", Some("a.md"), b"t"),
            ],
            Some("collection"),
        ),
    ];
    for (parts, field) in cases {
        let reply = form(&bench, parts).await;
        assert_eq!(
            reply.status,
            StatusCode::BAD_REQUEST,
            "{field:?}: {}",
            reply.text()
        );
        assert_eq!(reply.error().1.as_deref(), field);
    }
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    for (kind, body) in [
        ("multipart/form-data", "no boundary"),
        (kind.as_str(), "no part"),
        (
            kind.as_str(),
            "--frontier\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\ncut",
        ),
    ] {
        let reply = bench
            .reply(request(Method::POST, "/documents", kind, body))
            .await;
        assert_eq!(
            reply.status,
            StatusCode::BAD_REQUEST,
            "{body}: {}",
            reply.text()
        );
        assert_eq!(reply.error().0, "invalid_request");
    }
    // The one file of the form cannot be read: its error is the response.
    let reply = form(
        &bench,
        &[part("file", Some("a.zip"), b"PK\x05\x06\0\0\0\0\0\0")],
    )
    .await;
    assert_eq!(
        reply.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "{}",
        reply.text()
    );
    assert_eq!(reply.error().0, "unsupported_media");
}

#[tokio::test]
async fn a_document_is_shown_with_its_text_and_spans() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let page = bench.get("/documents?limit=1").await.json();
    let id = page["documents"][0]["id"].as_str().unwrap();
    let brief = bench.get(&format!("/documents/{id}")).await.json();
    assert!(brief.get("text").is_none() && brief.get("spans").is_none());
    let whole = bench
        .get(&format!("/documents/{id}?text=true"))
        .await
        .json();
    let text = whole["text"].as_str().unwrap();
    assert!(text.contains("held by one process"));
    let spans = whole["spans"].as_array().unwrap();
    assert_eq!(whole["chunks"].as_u64().unwrap(), spans.len() as u64);
    let source = &bench
        .post("/search", &json!({"query": "writer lock"}))
        .await
        .json()["sources"][0];
    let at = |field: &str| usize::try_from(source[field].as_u64().unwrap()).unwrap();
    assert_eq!(
        &text[at("start")..at("end")],
        source["text"].as_str().unwrap()
    );
    assert!(
        spans
            .iter()
            .any(|span| span["chunk_id"] == source["chunk_id"])
    );
}

#[tokio::test]
async fn pages_are_in_the_order_of_uris() {
    let bench = Bench::new();
    join_all(["c", "a", "b"].map(|name| {
        let body = json!({"uri": format!("{name}.md"), "text": format!("text of {name}")});
        let bench = &bench;
        async move {
            assert_eq!(
                bench.post("/documents", &body).await.status,
                StatusCode::CREATED
            )
        }
    }))
    .await;
    let page = bench.get("/documents?offset=1&limit=2").await.json();
    let uris: Vec<_> = page["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| &d["uri"])
        .collect();
    assert_eq!(uris, ["b.md", "c.md"]);
    assert_eq!((&page["total"], &page["offset"]), (&json!(3), &json!(1)));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("offset=-1", "offset"),
        ("page=2", "page"),
    ] {
        let reply = bench.get(&format!("/documents?{query}")).await;
        assert_eq!(reply.error().1.as_deref(), Some(field), "{query}");
    }
}

#[tokio::test]
async fn a_deleted_document_is_gone() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let id = bench.get("/documents").await.json()["documents"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let reply = bench.delete(&format!("/documents/{id}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(
        uris_found(&bench, json!({"query": "writer lock"})).await,
        Vec::<String>::new()
    );
    for reply in [
        bench.delete(&format!("/documents/{id}")).await,
        bench.get(&format!("/documents/{id}")).await,
        bench
            .get(&format!("/documents/{id}?collection=nowhere"))
            .await,
        bench
            .delete(&format!("/documents/{id}?collection=nowhere"))
            .await,
    ] {
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert_eq!(reply.error().0, "not_found");
    }
    for id in ["x", "..%2f..", "00", "%ff%ff", "zzzzzzzzzzzzzzzz"] {
        let reply = bench.get(&format!("/documents/{id}")).await;
        assert_eq!(reply.error().1.as_deref(), Some("id"), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_uploads_share_commits_and_lose_nothing() {
    let bench = Bench::new();
    let uploads = (0..24).map(|n| {
        let bench = &bench;
        async move {
            let body = json!({"uri": format!("{n}.md"), "text": format!("note number {n}")});
            let reply = bench.post("/documents", &body).await;
            assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
            reply.json()["generation"].as_u64().unwrap()
        }
    });
    let generations = join_all(uploads).await;
    assert!(generations.iter().max() <= Some(&24));
    assert_eq!(bench.get("/documents").await.json()["total"], 24);
}

#[tokio::test]
async fn vectors_become_a_graph_while_nothing_is_uploaded() {
    let bench = Bench::with(std::sync::Arc::new(super::Scripted::citing()), |config| {
        config.indexing.graph_min_rows = 8;
    });
    let mut uploaded = 0;
    // The last of them makes a graph due: no upload comes after to commit it.
    for n in 0..8 {
        let body = json!({"uri": format!("{n}.md"), "text": format!("note number {n}")});
        let reply = bench.post("/documents", &body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
        uploaded = reply.json()["generation"].as_u64().unwrap();
    }
    // The merge is committed by itself, as a generation of its own.
    let generation = || {
        let fresh = engine(bench.service.config());
        fresh.collection("main").unwrap().snapshot().generation()
    };
    while generation() == uploaded {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // And the collection can be written again by others.
    let other = engine(bench.service.config());
    let embedder = other.embedder().unwrap().clone();
    let index = other.collection("main").unwrap();
    while index.writer(embedder.clone()).is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn another_writer_that_stays_is_a_clear_conflict() {
    let bench = Bench::with(std::sync::Arc::new(super::Scripted::citing()), |config| {
        config.indexing.turn_seconds = 1;
    });
    bench.upload_guide().await;
    let other = engine(bench.service.config());
    let embedder = other.embedder().unwrap().clone();
    let held = other.collection("main").unwrap().writer(embedder).unwrap();
    let reply = bench.post("/documents", &json!({"text": "late"})).await;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.text());
    assert_eq!(reply.error().0, "collection_locked");
    assert!(!reply.header("retry-after").is_empty());
    // Other collections are not held back, and this one is free again after.
    let reply = bench
        .post("/documents", &json!({"text": "x", "collection": "other"}))
        .await;
    assert_eq!(reply.status, StatusCode::CREATED);
    drop(held);
    assert_eq!(
        bench
            .post("/documents", &json!({"text": "late"}))
            .await
            .status,
        StatusCode::CREATED
    );
}
