//! Every route of the router, asked with a key of other labels: nothing of the hidden
//! documents is to be seen on any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use cairn_gateway::accounts::Scope;
use serde_json::{Value, json};

use super::keys::Closed;
use super::{Reply, Scripted, request};

/// What only the hidden documents say: in their text, name, title, facts and questions.
const SECRETS: [&str; 7] = [
    // With letters: a sum of seconds in the metrics may hold any four digits.
    "Q4711Z",
    "hidden.md",
    "hidden-too",
    "vault",
    "topaz",
    "Mulberry",
    "gemstone",
];

const HIDDEN: &str = "# The vault\n\nThe writer lock of the vault is held by one process at a \
    time, and its code is Q4711Z. Ask Mulberry.\n";

/// Questions that the hidden documents answer best, in words that are not secrets.
const QUESTIONS: [&str; 3] = [
    "Which code has the writer lock that is held by one process at a time?",
    "What do I ask?",
    "How many documents are there?",
];

/// Routes that say nothing of documents, whoever asks.
const ELSEWHERE: [&str; 12] = [
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/v1/embeddings",
    "/v1/rerank",
    "/v2/rerank",
    "/embed",
    "/rerank",
    "/info",
    "/v1/batches/{id}/results",
    "/webhooks/{id}/deliveries",
];

/// Every route in the source of the router, so that a new one is not forgotten.
fn routes() -> BTreeSet<String> {
    let source = include_str!("../../src/server/router.rs");
    let after = source.split(".route(").skip(1);
    let paths = after.map(|rest| rest.split('"').nth(1).unwrap().replace("{*", "{"));
    paths.chain(["/mcp".to_owned()]).collect()
}

/// Names of things that are hidden, by the parameter of the route that asks for them.
struct Hidden {
    document: String,
    file: String,
    job: String,
    batch: String,
    trace: String,
}

impl Hidden {
    fn uri(&self, route: &str) -> String {
        let id = match route {
            route if route.starts_with("/documents/") => &self.document,
            route if route.starts_with("/jobs/") => &self.job,
            route if route.starts_with("/traces/") || route.starts_with("/query/") => &self.trace,
            route if route.starts_with("/v1/files/") => &self.file,
            route if route.starts_with("/v1/vector_stores/") => "main",
            route if route.starts_with("/v1/models/") => "cairn/main",
            _ => "0193b0a0-0000-7000-8000-000000000000",
        };
        let file = format!("file-{}", self.document);
        let uri = route.replace("{id}", id).replace("{name}", "nightly");
        let uri = uri
            .replace("{file_id}", &file)
            .replace("{batch_id}", &self.batch)
            .replace("{query_id}", &self.trace);
        match route {
            "/documents/{id}" => uri + "?text=true",
            _ => uri,
        }
    }

    /// What is asked of a route: bodies, or query strings of `GET`.
    fn asked(&self, method: &str, route: &str) -> Vec<(String, Value)> {
        let uri = self.uri(route);
        let plain = |bodies: Vec<Value>| -> Vec<(String, Value)> {
            bodies.into_iter().map(|body| (uri.clone(), body)).collect()
        };
        let ask = |body: fn(&str) -> Value| plain(QUESTIONS.iter().map(|q| body(q)).collect());
        let file = format!("file-{}", self.document);
        match (method, route) {
            ("GET", "/query") => QUESTIONS
                .iter()
                .map(|question| {
                    (
                        format!("{uri}?stream=false&q={}", question.replace(' ', "+")),
                        Value::Null,
                    )
                })
                .collect(),
            ("GET" | "DELETE", _) => vec![(uri, Value::Null)],
            (_, "/query" | "/search") => {
                let mut all = Vec::new();
                for question in QUESTIONS {
                    for mode in ["hybrid", "lexical", "dense"] {
                        for generate in [true, false] {
                            all.push(json!({"query": question, "mode": mode, "top_k": 20,
                                "generate": generate, "stream": generate, "expand": "hop"}));
                        }
                    }
                }
                // The fields and values that filters know are those of others, too.
                for filter in [
                    json!({"stone": "topaz"}),
                    json!({"none": 1}),
                    json!({"uri": "hidden.md"}),
                ] {
                    all.push(json!({"query": QUESTIONS[0], "filter": filter}));
                }
                plain(all)
            }
            (_, "/v1/chat/completions") => {
                let mut all = ask(|question| {
                    json!({"model": "cairn@extractive",
                    "messages": [{"role": "user", "content": question}]})
                });
                all.extend(ask(|question| {
                    json!({"model": "cairn/main", "stream": true,
                    "messages": [{"role": "user", "content": question}]})
                }));
                all
            }
            (_, "/retrieval") => {
                let mut all = ask(|question| json!({"knowledge_id": "main", "query": question}));
                all.extend(plain(vec![
                    json!({"knowledge_id": "main", "query": QUESTIONS[0],
                    "metadata_condition": {"conditions": [
                        {"name": ["none"], "comparison_operator": "is", "value": "x"}]}}),
                ]));
                all
            }
            (_, "/v1/responses") => {
                let mut all = ask(|question| {
                    json!({"model": "cairn@extractive", "input": question,
                    "include": ["file_search_call.results"]})
                });
                all.extend(ask(|question| {
                    json!({"model": "script", "input": question, "stream": true,
                    "tools": [{"type": "file_search", "vector_store_ids": ["main"]}]})
                }));
                all
            }
            (_, "/v1/vector_stores/{id}/search") => {
                let mut all = ask(|question| json!({"query": question, "max_num_results": 50}));
                all.extend(plain(vec![json!({"query": QUESTIONS[0],
                    "filters": {"type": "ne", "key": "none", "value": 1}})]));
                all
            }
            (_, "/mcp") => {
                let call = |name: &str, arguments: Value| {
                    json!({"jsonrpc": "2.0", "id": 1,
                    "method": "tools/call", "params": {"name": name, "arguments": arguments}})
                };
                let list =
                    json!({"jsonrpc": "2.0", "id": 1, "method": "resources/list", "params": {}});
                let mut all = vec![list, call("fetch", json!({"id": self.document}))];
                for question in QUESTIONS {
                    all.push(call("search", json!({"query": question})));
                    all.push(call("ask", json!({"question": question})));
                }
                plain(all)
            }
            (_, "/feedback/{query_id}") => {
                plain(vec![json!({"rating": "up", "question": QUESTIONS[0]})])
            }
            (_, "/jobs") => plain(vec![json!({"kind": "ask", "query": QUESTIONS[0]})]),
            (_, "/jobs/{id}/input") => plain(vec![json!({"confirm": true})]),
            (_, "/query/{id}/input") => plain(vec![json!({"approve": []})]),
            (_, "/schedules/{name}") => {
                plain(vec![json!({"cron": "0 0 1 1 *", "kind": "compact"})])
            }
            (_, "/webhooks") => plain(vec![json!({"url": "https://example.com/hook"})]),
            (_, "/documents") => plain(vec![
                json!({"uri": "hidden.md", "text": "Mine.", "replace": true}),
            ]),
            (_, "/v1/batches") => plain(vec![json!({"requests": []})]),
            (_, "/v1/files") => plain(vec![json!({})]),
            (_, "/v1/vector_stores") => plain(vec![json!({"file_ids": [file]})]),
            (_, "/v1/vector_stores/{id}/files") => plain(vec![json!({"file_id": file})]),
            (_, "/v1/vector_stores/{id}/file_batches") => plain(vec![json!({"file_ids": [file]})]),
            ("POST", route)
                if route.ends_with("/cancel")
                    || route.ends_with("/retry")
                    || route.ends_with("/rotate") =>
            {
                plain(vec![json!({})])
            }
            (_, route) if ELSEWHERE.contains(&route) => plain(vec![json!({})]),
            _ => panic!("{method} {route} is new: say here how it is asked for documents"),
        }
    }
}

/// Whether a request only looks.
fn is_reading(method: &str, route: &str) -> bool {
    let asking = [
        "/query",
        "/search",
        "/retrieval",
        "/mcp",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/vector_stores/{id}/search",
    ];
    method == "GET" || asking.contains(&route)
}

/// Sends one request in the manner of its route.
async fn send(closed: &Closed, key: &str, method: &str, uri: &str, body: &Value) -> Reply {
    let method: Method = method.parse().unwrap();
    let mut request = request(method, uri, "application/json", body.to_string());
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
    if uri == "/mcp" {
        headers.insert(
            "accept",
            "application/json, text/event-stream".parse().unwrap(),
        );
        headers.insert("mcp-protocol-version", "2025-11-25".parse().unwrap());
        headers.insert("host", "127.0.0.1:8620".parse().unwrap());
    }
    closed.bench.reply(request).await
}

/// The secrets in a reply, but those that the request said itself.
fn leaked(reply: &Reply, asked: &str) -> Vec<&'static str> {
    let text = String::from_utf8_lossy(&reply.body);
    SECRETS
        .into_iter()
        .filter(|secret| text.contains(secret) && !asked.contains(secret))
        .collect()
}

async fn filled() -> (Closed, Hidden, String) {
    let closed = Closed::with(Arc::new(Scripted::citing()), |_| {});
    cairn::server::open_jobs(&closed.bench.service).await;
    tokio::spawn(cairn::server::work_jobs(Arc::clone(&closed.bench.service)));
    let every: Vec<Scope> = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != Scope::Admin)
        .collect();
    let insider = closed.key(&["gemstone"], &every).await;
    let open = json!({"uri": "open.md", "text": super::GUIDE});
    let stored = closed.post(&insider, "/documents", &open).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.text());
    let labels = json!(["gemstone"]);
    let document = json!({"uri": "hidden.md", "text": HIDDEN, "labels": labels,
        "metadata": {"stone": "topaz"}});
    let stored = closed.post(&insider, "/documents", &document).await.json();
    let document = stored["documents"][0]["id"].as_str().unwrap().to_owned();
    // A job, a batch and an upload of the insider's, and an answer from the hidden document.
    let form = format!(
        "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"hidden.md\"\r\n\r\n{HIDDEN}\r\n--b--\r\n"
    );
    let mut form = request(
        Method::POST,
        "/v1/files",
        "multipart/form-data; boundary=b",
        form,
    );
    form.headers_mut().insert(
        "authorization",
        format!("Bearer {insider}").parse().unwrap(),
    );
    let file = closed.bench.reply(form).await.json();
    let file = file["id"].as_str().unwrap().to_owned();
    let body = json!({"file_ids": [file], "labels": labels});
    let batch = closed
        .post(&insider, "/v1/vector_stores/main/file_batches", &body)
        .await
        .json();
    let batch = batch["id"].as_str().unwrap().to_owned();
    let job = json!({"kind": "text", "uri": "hidden-too.md", "text": HIDDEN, "labels": labels});
    let job = closed.post(&insider, "/jobs", &job).await.json();
    let job = job["id"].as_str().unwrap().to_owned();
    for id in [&batch, &job] {
        while closed.get(&insider, &format!("/jobs/{id}")).await.json()["state"] != "done" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    let nightly = json!({"cron": "0 0 1 1 *", "kind": "text", "uri": "hidden.md", "text": HIDDEN,
        "labels": labels});
    let scheduled = closed
        .send(&insider, "PUT", "/schedules/nightly", &nightly)
        .await;
    assert!(scheduled.status.is_success(), "{}", scheduled.text());
    let question = json!({"query": QUESTIONS[0], "stream": false, "generate": false});
    let answer = closed.post(&insider, "/query", &question).await.json();
    let trace = answer["query_id"].as_str().unwrap().to_owned();
    let hidden = Hidden {
        document,
        file,
        job,
        batch,
        trace,
    };
    (closed, hidden, insider)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_shows_a_key_of_other_labels_anything_hidden() {
    let (closed, hidden, insider) = filled().await;
    let every: Vec<Scope> = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != Scope::Admin)
        .collect();
    let outsider = closed.key(&["other"], &every).await;

    let document = closed.get(&closed.admin, "/openapi.json").await.json();
    let mut methods: BTreeMap<String, Vec<String>> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            (
                path.clone(),
                methods.map(|method| method.to_uppercase()).collect(),
            )
        })
        .collect();
    methods.insert("/mcp".to_owned(), vec!["POST".to_owned()]);
    let known: BTreeSet<String> = methods.keys().cloned().collect();
    assert_eq!(routes(), known, "the router and its description differ");

    let mut requests = Vec::new();
    for (route, methods) in &methods {
        for method in methods {
            let asked = hidden.asked(method, route);
            let asked = asked
                .into_iter()
                .map(|(uri, body)| (method.clone(), route.clone(), uri, body));
            requests.extend(asked);
        }
    }
    // What takes things away comes last, so that everything is there to be seen before.
    requests.sort_by_key(|(method, route, ..)| (method == "DELETE", route.ends_with("/cancel")));
    let mut shown: BTreeSet<String> = BTreeSet::new();
    for (method, route, uri, body) in &requests {
        let asked = format!("{uri} {body}");
        let reply = send(&closed, &outsider, method, uri, body).await;
        let found = leaked(&reply, &asked);
        assert!(
            found.is_empty(),
            "{method} {asked} shows {found:?}: {}",
            reply.text()
        );
        assert_ne!(
            reply.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{method} {asked}"
        );
        if is_reading(method, route) {
            let reply = send(&closed, &insider, method, uri, body).await;
            if !leaked(&reply, &asked).is_empty() {
                shown.insert(route.clone());
            }
        }
    }
    // The same requests do show it to those who may see it.
    for route in [
        "/collections",
        "/documents",
        "/documents/{id}",
        "/jobs",
        "/jobs/{id}",
        "/mcp",
        "/query",
        "/retrieval",
        "/schedules",
        "/schedules/{name}",
        "/search",
        "/v1/chat/completions",
        "/v1/files",
        "/v1/files/{id}",
        "/v1/files/{id}/content",
        "/v1/responses",
        "/v1/vector_stores/{id}/files",
        "/v1/vector_stores/{id}/files/{file_id}",
        "/v1/vector_stores/{id}/files/{file_id}/content",
        "/v1/vector_stores/{id}/file_batches/{batch_id}/files",
        "/v1/vector_stores/{id}/search",
    ] {
        assert!(
            shown.contains(route),
            "{route} shows nothing to anybody: {shown:?}"
        );
    }
    // And nothing was taken away.
    let left = closed.get(&insider, "/documents").await;
    assert!(left.text().contains("hidden.md") && left.text().contains("hidden-too.md"));
}
