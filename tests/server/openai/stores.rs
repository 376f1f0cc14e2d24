//! Vector stores, files and batches of files, as collections, documents and jobs.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use cairn_gateway::accounts::Scope;
use cairn_settings::config::Config;
use serde_json::{Value, json};

use super::super::jobs::working;
use super::super::keys::Closed;
use super::super::{Bench, Reply, Scripted, node, python, request, talk};
use super::{node_modules, with_openai};

/// A service with keys whose worker runs.
pub(super) async fn closed(change: impl FnOnce(&mut Config)) -> Closed {
    let closed = Closed::with(Arc::new(Scripted::citing()), change);
    cairn::server::open_jobs(&closed.bench.service).await;
    tokio::spawn(cairn::server::work_jobs(Arc::clone(&closed.bench.service)));
    closed
}

async fn upload(bench: &Bench, name: &str, text: &str) -> Reply {
    let body = format!(
        "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{text}\r\n--b--\r\n"
    );
    let kind = "multipart/form-data; boundary=b";
    bench
        .reply(request(Method::POST, "/v1/files", kind, body))
        .await
}

async fn file(bench: &Bench, name: &str, text: &str) -> String {
    let reply = upload(bench, name, text).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// The object at `uri` once it is under way no more.
async fn settled(bench: &Bench, uri: &str) -> Value {
    loop {
        let found = bench.get(uri).await.json();
        if found["status"] != "in_progress" {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn make(bench: &Bench, name: &str) {
    let reply = bench
        .post("/v1/vector_stores", &json!({"name": name}))
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_a_collection_and_its_files_are_documents() {
    let bench = working(|_| {}).await;
    make(&bench, "faq").await;
    let id = file(&bench, "guide.md", super::super::GUIDE).await;
    let put = json!({"file_id": id, "attributes": {"team": "a", "year": 2024}});
    let waiting = bench.post("/v1/vector_stores/faq/files", &put).await.json();
    assert_eq!(
        (&waiting["status"], &waiting["id"]),
        (&json!("in_progress"), &json!(id))
    );
    let uri = format!("/v1/vector_stores/faq/files/{id}");
    let stored = settled(&bench, &uri).await;
    assert_eq!(stored["status"], "completed", "{stored}");
    assert_eq!(stored["attributes"]["team"], "a");
    assert_eq!(stored["filename"], "guide.md");

    // The other surfaces see the same.
    let documents = bench.get("/documents?collection=faq").await.json();
    assert_eq!(documents["total"], 1);
    let document = documents["documents"][0]["id"].as_str().unwrap();
    assert_eq!(id, format!("file-{document}"));
    let text = bench.get(&format!("{uri}/content")).await.json();
    assert!(
        text["data"][0]["text"]
            .as_str()
            .unwrap()
            .contains("one process")
    );
    let bytes = bench.get(&format!("/v1/files/{id}/content")).await;
    assert_eq!(bytes.text(), super::super::GUIDE);
    assert_eq!(bytes.header("content-disposition"), "attachment");

    let store = bench.get("/v1/vector_stores/faq").await.json();
    assert_eq!(store["file_counts"]["completed"], 1, "{store}");
    assert_eq!(store["status"], "completed");
    assert!(store["usage_bytes"].as_u64().unwrap() > 100);
    // A file that is deleted goes from its stores, too.
    assert_eq!(
        bench.delete(&format!("/v1/files/{id}")).await.status,
        StatusCode::OK
    );
    assert_eq!(bench.get(&uri).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        bench.get(&format!("/v1/files/{id}")).await.status,
        StatusCode::NOT_FOUND
    );

    let gone = bench.delete("/v1/vector_stores/faq").await.json();
    assert_eq!(gone["deleted"], true);
    assert_eq!(
        bench.get("/v1/vector_stores/faq").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        bench.get("/collections").await.json()["collections"],
        json!([])
    );
    // Its name is free again.
    make(&bench, "faq").await;
    let store = bench.get("/v1/vector_stores/faq").await.json();
    assert_eq!(store["file_counts"]["total"], 0, "{store}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_a_job_whose_files_fail_alone() {
    let bench = working(|_| {}).await;
    make(&bench, "faq").await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(
            file(
                &bench,
                &format!("{n}.md"),
                &format!("# Page {n}\n\nText of {n}."),
            )
            .await,
        );
    }
    ids.push(file(&bench, "broken.docx", "PK\u{3}\u{4} no document").await);
    let batch = json!({"file_ids": ids, "attributes": {"batch": true}});
    let path = "/v1/vector_stores/faq/file_batches";
    let batch = bench.post(path, &batch).await.json();
    assert_eq!(batch["file_counts"]["total"], 21, "{batch}");
    let uri = format!("{path}/{}", batch["id"].as_str().unwrap());
    let batch = settled(&bench, &uri).await;
    assert_eq!(batch["status"], "completed", "{batch}");
    let counts =
        json!({"in_progress": 0, "completed": 20, "failed": 1, "cancelled": 0, "total": 21});
    assert_eq!(batch["file_counts"], counts);
    let failed = bench
        .get(&format!("{uri}/files?filter=failed"))
        .await
        .json();
    assert_eq!(failed["data"][0]["id"], ids[20], "{failed}");
    assert_eq!(failed["data"][0]["last_error"]["code"], "invalid_file");
    let all = bench.get(&format!("{uri}/files?limit=100")).await.json();
    assert_eq!(all["data"].as_array().unwrap().len(), 21);
    // The job is one like others.
    let job = bench
        .get(&format!("/jobs/{}", batch["id"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(
        (&job["kind"], &job["documents_failed"]),
        (&json!("files"), &json!(1))
    );
    let other = bench.get(&uri.replace("/faq/", "/main/")).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);

    // Pages hold all files once: those that failed first.
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = format!("/v1/vector_stores/faq/files?limit=8{after}");
        let page = bench.get(&page).await.json();
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|file| file["id"].clone()),
        );
        if page["has_more"] == false {
            break;
        }
        after = format!("&after={}", page["last_id"].as_str().unwrap());
    }
    assert_eq!((seen.len(), &seen[0]), (21, &json!(ids[20])));
    seen.sort_by_key(ToString::to_string);
    seen.dedup();
    assert_eq!(seen.len(), 21);
}

#[tokio::test]
async fn a_batch_is_called_off() {
    // No worker runs here, so that it waits.
    let bench = Bench::new();
    cairn::server::open_jobs(&bench.service).await;
    make(&bench, "faq").await;
    let id = file(&bench, "a.md", "# A\n\nText.").await;
    let path = "/v1/vector_stores/faq/file_batches";
    let batch = json!({"files": [{"file_id": id, "attributes": {"a": 1}}]});
    let batch = bench.post(path, &batch).await.json();
    let store = bench.get("/v1/vector_stores/faq").await.json();
    assert_eq!(store["status"], "in_progress", "{store}");
    assert_eq!(store["file_counts"]["in_progress"], 1);
    let listed = bench
        .get("/v1/vector_stores/faq/files?filter=in_progress")
        .await
        .json();
    assert_eq!(listed["data"][0]["id"], id);
    let uri = format!("{path}/{}/cancel", batch["id"].as_str().unwrap());
    let batch = bench.post(&uri, &json!({})).await.json();
    assert_eq!(batch["status"], "cancelled");
    assert_eq!(batch["file_counts"]["cancelled"], 1);
    let file = bench
        .get(&format!("/v1/vector_stores/faq/files/{id}"))
        .await
        .json();
    assert_eq!(file["status"], "cancelled");
    // What waits for a store that is deleted is called off with it.
    let put = json!({"file_id": id});
    bench.post("/v1/vector_stores/faq/files", &put).await;
    assert_eq!(
        bench.delete("/v1/vector_stores/faq").await.status,
        StatusCode::OK
    );
    let jobs = bench.get("/jobs?state=queued").await.json();
    assert_eq!(jobs["jobs"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named() {
    let bench = working(|config| config.uploads.max_mb_per_key = 1).await;
    make(&bench, "faq").await;
    let id = file(&bench, "a.md", "# A\n\nText.").await;
    let stores = "/v1/vector_stores";
    let files = "/v1/vector_stores/faq/files";
    let search = "/v1/vector_stores/faq/search";
    for (path, body, field) in [
        (stores, json!({"name": "Support FAQ"}), "name"),
        (stores, json!({"name": "faq"}), "name"),
        (stores, json!({"metadata": {"a": "b"}}), "metadata"),
        (
            stores,
            json!({"expires_after": {"days": 1}}),
            "expires_after",
        ),
        (
            stores,
            json!({"chunking_strategy": {"type": "static"}}),
            "chunking_strategy",
        ),
        (
            files,
            json!({"file_id": id, "chunking_strategy": {"type": "static"}}),
            "chunking_strategy",
        ),
        (
            files,
            json!({"file_id": id, "attributes": {"uri": "x"}}),
            "metadata.uri",
        ),
        (
            search,
            json!({"query": "x", "max_num_results": 51}),
            "max_num_results",
        ),
        (search, json!({"query": ["x", "y"]}), "query"),
        (
            search,
            json!({"query": "x", "rewrite_query": true}),
            "rewrite_query",
        ),
        (
            search,
            json!({"query": "x", "filters": {"type": "like"}}),
            "filters",
        ),
        (
            search,
            json!({"query": "x", "ranking_options": {"ranker": "best"}}),
            "ranking_options.ranker",
        ),
        (
            search,
            json!({"query": "x", "ranking_options": {"score_threshold": 2}}),
            "ranking_options.score_threshold",
        ),
        (
            search,
            json!({"query": "x", "ranking_options": {"hybrid_search":
            {"embedding_weight": 0.7, "text_weight": 0.3}}}),
            "ranking_options.hybrid_search",
        ),
        ("/v1/vector_stores/faq/file_batches", json!({}), "file_ids"),
    ] {
        let reply = bench.post(path, &body).await;
        assert_eq!(
            reply.error(),
            ("invalid_request".into(), Some(field.into())),
            "{body}"
        );
    }
    for path in [
        "/v1/vector_stores?order=up",
        "/v1/vector_stores?after=nothing",
        "/v1/vector_stores?filter=completed",
        "/v1/vector_stores/faq/files?order=asc",
        "/v1/vector_stores/faq/files?after=file-0000000000000000",
        "/v1/files?limit=0",
    ] {
        assert_eq!(
            bench.get(path).await.status,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    for path in [
        "/v1/vector_stores/none",
        "/v1/vector_stores/none/files",
        "/v1/vector_stores/faq/files/file-0000000000000000",
        "/v1/vector_stores/faq/files/0000000000000000",
        "/v1/vector_stores/faq/file_batches/x",
        "/v1/files/file-0000000000000000",
    ] {
        assert_eq!(
            bench.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let missing = json!({"file_id": "file-0000000000000000"});
    assert_eq!(
        bench.post(files, &missing).await.status,
        StatusCode::NOT_FOUND
    );
    let reply = bench
        .post("/v1/vector_stores/none/files", &json!({"file_id": id}))
        .await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    let large = "x".repeat(1 << 20);
    let (code, param) = upload(&bench, "large.md", &large).await.error();
    assert_eq!(
        (code.as_str(), param.as_deref()),
        ("invalid_request", Some("file"))
    );
    assert_eq!(
        upload(&bench, "../a.md", "x").await.error().1.as_deref(),
        Some("file")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_its_own_files_and_rights() {
    let closed = closed(|_| {}).await;
    closed.fill().await;
    let scopes = [Scope::Search, Scope::DocumentsWrite];
    let own = closed.key(&["mine"], &scopes).await;
    let other = closed.key(&[], &scopes).await;
    let reader = closed.key(&[], &[Scope::Search]).await;
    let form = "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.md\"\r\n\r\n# Mine\n\nPlum.\r\n--b--\r\n";
    let mut form = request(
        Method::POST,
        "/v1/files",
        "multipart/form-data; boundary=b",
        form,
    );
    form.headers_mut()
        .insert("authorization", format!("Bearer {own}").parse().unwrap());
    let file = closed.bench.reply(form).await.json();
    let id = file["id"].as_str().unwrap();
    let uri = format!("/v1/files/{id}");
    assert_eq!(closed.get(&own, &uri).await.status, StatusCode::OK);
    let put = |labels: Value| json!({"file_id": id, "labels": labels});
    let files = "/v1/vector_stores/main/files";
    for key in [&other, &closed.admin] {
        assert_eq!(closed.get(key, &uri).await.status, StatusCode::NOT_FOUND);
        assert_eq!(closed.get(key, "/v1/files").await.json()["data"], json!([]));
        let taken = closed.post(key, files, &put(json!([]))).await;
        assert_eq!(taken.status, StatusCode::NOT_FOUND);
    }
    let (code, _) = closed
        .post(&own, files, &put(json!(["secret"])))
        .await
        .error();
    assert_eq!(code, "forbidden");
    assert_eq!(
        closed.post(&reader, files, &put(json!([]))).await.error().0,
        "forbidden"
    );
    let reply = closed.post(&own, files, &put(json!(["mine"]))).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let stored = format!("{files}/{id}");
    while closed.get(&own, &stored).await.json()["status"] != "completed" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // A caller without its label sees neither the document nor that it exists.
    assert_eq!(
        closed.get(&other, &stored).await.status,
        StatusCode::NOT_FOUND
    );
    let counts = |reply: Reply| reply.json()["file_counts"]["completed"].clone();
    assert_eq!(
        counts(closed.get(&other, "/v1/vector_stores/main").await),
        1
    );
    assert_eq!(counts(closed.get(&own, "/v1/vector_stores/main").await), 2);
    let found = json!({"query": "How do I open the vault? Mine."});
    let found = closed
        .post(&other, "/v1/vector_stores/main/search", &found)
        .await;
    assert!(!found.text().contains("4711") && !found.text().contains("Plum."));
    // A collection may hold what the key cannot see.
    let reply = closed
        .send(&own, "DELETE", "/v1/vector_stores/main", &Value::Null)
        .await;
    assert_eq!(reply.error().0, "forbidden");
    // What it made is its own, as long as no other caller has put something there.
    for (hidden, status) in [(false, StatusCode::OK), (true, StatusCode::FORBIDDEN)] {
        let store = closed
            .post(&own, "/v1/vector_stores", &json!({"name": "own"}))
            .await;
        assert_eq!(store.status, StatusCode::OK, "{}", store.text());
        if hidden {
            let document = json!({"text": "x", "labels": ["secret"], "collection": "own"});
            closed.post(&closed.admin, "/documents", &document).await;
        }
        let other = closed
            .send(&other, "DELETE", "/v1/vector_stores/own", &Value::Null)
            .await;
        assert_eq!(other.status, StatusCode::FORBIDDEN);
        let reply = closed
            .send(&own, "DELETE", "/v1/vector_stores/own", &Value::Null)
            .await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
}

const PYTHON: &str = r##"
import io, json, sys
import openai

url, key = sys.argv[1:]
client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
said = {}
store = client.vector_stores.create(name="faq")
said["store"] = [store.id, store.name, store.status, store.file_counts.total]

def named(name, text):
    return (name, io.BytesIO(text.encode()))

guide = client.vector_stores.files.upload_and_poll(
    vector_store_id=store.id,
    file=named("guide.md", "# Writer lock\n\nThe writer lock is held by one process at a time.\n"),
    attributes={"team": "core", "year": 2024, "draft": False},
    poll_interval_ms=50,
)
said["guide"] = [guide.status, guide.attributes["team"], guide.attributes["year"], guide.last_error]
batch = client.vector_stores.file_batches.upload_and_poll(
    store.id,
    files=[
        named("commits.md", "# Commits\n\nA commit makes words and vectors durable.\n"),
        named("pumps.md", "# Pumps\n\nThe pump is rinsed after the writer has left.\n"),
        named("broken.docx", "PK\x03\x04 no document"),
    ],
    poll_interval_ms=50,
)
said["batch"] = [batch.status, batch.file_counts.completed, batch.file_counts.failed]
listed = client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id)
said["batch files"] = sorted(file.status for file in listed)
said["files"] = sorted(
    client.files.retrieve(file.id).filename
    for file in client.vector_stores.files.list(store.id, limit=2)
)

def found(query, **options):
    hits = client.vector_stores.search(store.id, query=query, **options)
    return [hit.filename for hit in hits]

said["found"] = found("Who holds the writer lock?")[0]
said["most"] = len(found("the writer lock of a commit", max_num_results=2))
hit = client.vector_stores.search(store.id, query="writer lock").data[0]
said["hit"] = [hit.file_id == guide.id, 0 < hit.score <= 1, hit.attributes["draft"], hit.content[0].type]
said["text"] = hit.content[0].text
team = {"type": "eq", "key": "team", "value": "core"}
young = {"type": "gt", "key": "year", "value": 2024}
said["eq"] = found("writer", filters=team)
said["gt"] = found("writer", filters={"type": "and", "filters": [team, young]})
said["ne"] = sorted(found("writer commit", filters={"type": "ne", "key": "team", "value": "core"}))
said["threshold"] = len(found("writer", ranking_options={"ranker": "auto", "score_threshold": 0.999}))
said["words"] = found("rinsed", ranking_options={
    "hybrid_search": {"embedding_weight": 0, "text_weight": 1}})[0]

content = client.vector_stores.files.content(guide.id, vector_store_id=store.id)
said["content"] = content.data[0].text
said["bytes"] = client.files.content(guide.id).read().decode()
client.vector_stores.files.delete(guide.id, vector_store_id=store.id)
said["after"] = "guide.md" in found("writer lock")
said["uploads"] = len(list(client.files.list()))
said["deleted file"] = client.files.delete(guide.id).deleted
try:
    client.files.retrieve(guide.id)
except openai.NotFoundError:
    said["gone"] = True
said["stores"] = [store.id for store in client.vector_stores.list()]
counts = client.vector_stores.retrieve(store.id).file_counts
said["counts"] = [counts.completed, counts.failed, counts.in_progress]
said["deleted store"] = client.vector_stores.delete(store.id).deleted
print(json.dumps(said))
"##;

const NODE: &str = r##"
import OpenAI, { toFile } from "openai";

const [url, apiKey] = process.argv.slice(-2);
const client = new OpenAI({ baseURL: url + "/v1", apiKey, maxRetries: 0 });
const said = {};
const store = await client.vectorStores.create({ name: "faq" });
const file = await toFile(Buffer.from("# Lock\n\nOne process at a time holds it.\n"), "lock.md");
const guide = await client.vectorStores.files.uploadAndPoll(store.id, file, { pollIntervalMs: 50 });
said.guide = guide.status;
const more = await toFile(Buffer.from("# Commit\n\nA commit is durable.\n"), "commit.md");
const batch = await client.vectorStores.fileBatches.uploadAndPoll(
  store.id, { files: [more] }, { pollIntervalMs: 50 },
);
said.batch = [batch.status, batch.file_counts.completed];
const hits = [];
for await (const hit of client.vectorStores.search(store.id, { query: "Who holds the lock?" })) {
  hits.push(hit.filename);
}
said.hits = hits;
console.log(JSON.stringify(said));
"##;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_fills_and_searches_a_store() {
    let Some(path) = with_openai().await else {
        return;
    };
    let closed = Closed::new();
    let said = talk(&closed.bench, python(&path, PYTHON), &[&closed.admin]).await;
    let expected = json!({
        "store": ["faq", "faq", "completed", 0],
        "guide": ["completed", "core", 2024.0, null],
        "batch": ["completed", 2, 1],
        "batch files": ["completed", "completed", "failed"],
        "files": ["broken.docx", "commits.md", "guide.md", "pumps.md"],
        "found": "guide.md",
        "most": 2,
        "hit": [true, true, false, "text"],
        "eq": ["guide.md"],
        "gt": [],
        "ne": ["commits.md", "pumps.md"],
        "threshold": 1,
        "words": "pumps.md",
        "bytes": "# Writer lock\n\nThe writer lock is held by one process at a time.\n",
        "after": false,
        "uploads": 4,
        "deleted file": true,
        "gone": true,
        "stores": ["faq"],
        "counts": [2, 1, 0],
        "deleted store": true,
    });
    for (name, expected) in expected.as_object().unwrap() {
        assert_eq!(said[name], *expected, "{name}: {said}");
    }
    for name in ["text", "content"] {
        assert!(
            said[name]
                .as_str()
                .unwrap()
                .contains("one process at a time"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_client_fills_and_searches_a_store() {
    let Some(folder) = node_modules().await else {
        return;
    };
    let closed = Closed::new();
    let said = talk(&closed.bench, node(&folder, NODE), &[&closed.admin]).await;
    assert_eq!(said["guide"], "completed");
    assert_eq!(said["batch"], json!(["completed", 1]));
    assert_eq!(said["hits"][0], "lock.md", "{said}");
}
