//! `/query` and `/search`: the stream's contract, and what is refused.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::{Bench, Gated, Scripted, frames, json_request};

const QUESTION: &str = "Who holds the writer lock?";

#[tokio::test]
async fn the_stream_keeps_its_contract() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let request = Request::post("/query")
        .header("content-type", "application/json")
        .header("accept-encoding", "gzip")
        .body(Body::from(json!({"query": QUESTION}).to_string()))
        .unwrap();
    let reply = bench.reply(request).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert_eq!(
        reply.header("content-encoding"),
        "",
        "a compressed stream would be held back"
    );
    assert_eq!(reply.header("cache-control"), "no-cache");
    assert!(reply.text().starts_with(": "), "a comment opens the stream");

    let frames = frames(reply.text());
    let names: Vec<&str> = frames.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.first(), Some(&"sources"));
    assert_eq!(names.last(), Some(&"done"));
    assert!(
        names[1..names.len() - 1]
            .iter()
            .all(|name| ["delta", "citation"].contains(name))
    );

    let sources = &frames[0].1;
    let fields: Vec<_> = sources
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "query_id",
        "collection",
        "generation",
        "sources",
        "timings_ms",
        "degraded",
    ];
    assert_eq!(fields, expected);
    let source = &sources["sources"][0];
    for field in [
        "n",
        "chunk_id",
        "document_id",
        "uri",
        "title",
        "heading_path",
        "start",
        "end",
        "text",
        "score",
        "ranks",
    ] {
        assert!(!source[field].is_null(), "{field}: {source}");
    }
    for rank in ["lexical", "dense", "fused", "rerank"] {
        assert!(source["ranks"].get(rank).is_some(), "{source}");
    }

    let done = &frames.last().unwrap().1;
    let answer = done["answer"].as_str().unwrap();
    let deltas: String = frames
        .iter()
        .filter(|(name, _)| name == "delta")
        .map(|(_, data)| data["text"].as_str().unwrap())
        .collect();
    assert_eq!(deltas, answer);
    assert_eq!(done["query_id"], sources["query_id"]);
    assert_eq!(done["refused"], false);
    let scalars: Vec<char> = answer.chars().collect();
    let citations: Vec<&Value> = frames
        .iter()
        .filter(|(name, _)| name == "citation")
        .map(|(_, data)| data)
        .collect();
    assert!(!citations.is_empty());
    assert_eq!(
        done["citations"]
            .as_array()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        citations
    );
    for citation in citations {
        let at = |field: &str| usize::try_from(citation[field].as_u64().unwrap()).unwrap();
        let mark: String = scalars[at("start")..at("end")].iter().collect();
        assert_eq!(mark, format!("[{}]", citation["n"]));
        assert_eq!(citation["chunk_id"], source["chunk_id"]);
    }
}

#[tokio::test]
async fn without_a_stream_the_answer_comes_with_its_sources() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let reply = bench
        .post("/query", &json!({"query": QUESTION, "stream": false}))
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    let done = reply.json();
    let fields: Vec<_> = done
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        fields,
        [
            "query_id",
            "answer",
            "citations",
            "refused",
            "grounded",
            "answerability",
            "finish_reason",
            "provider",
            "model",
            "usage",
            "timings_ms",
            "degraded",
            "collection",
            "generation",
            "sources",
        ]
    );
    let streamed = bench.post("/query", &json!({"query": QUESTION})).await;
    let event = &frames(streamed.text())[0].1;
    for field in ["collection", "generation"] {
        assert_eq!(done[field], event[field], "{field}");
    }
    let source = &done["sources"][0];
    assert_eq!(
        done["sources"].as_array().unwrap().len(),
        event["sources"].as_array().unwrap().len()
    );
    for field in ["n", "chunk_id", "uri", "title", "text", "start", "end"] {
        assert_eq!(source[field], event["sources"][0][field], "{field}");
    }
    let cited = &done["citations"][0];
    let n = usize::try_from(cited["n"].as_u64().unwrap()).unwrap();
    assert_eq!(done["sources"][n - 1]["chunk_id"], cited["chunk_id"]);
    assert_eq!(done["provider"], "script");
    assert_eq!(done["usage"]["completion_tokens"], 12);
    for stage in ["total", "first_token"] {
        assert!(done["timings_ms"][stage].is_number(), "{done}");
    }
}

#[tokio::test]
async fn an_event_source_asks_by_url_and_stops_after_the_end() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let uri = "/query?q=who%20holds%20the%20writer%20lock&top_k=2&rerank=false&mode=lexical";
    let reply = bench.get(uri).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let frames = frames(reply.text());
    assert!(frames[0].1["sources"].as_array().unwrap().len() <= 2);
    assert!(frames[0].1["sources"][0]["ranks"]["rerank"].is_null());
    for (filter, sources) in [("guide.md", true), ("other.md", false)] {
        // {"uri": ...}, which is JSON in a text.
        let filter = format!("%7B%22uri%22%3A%20%22{filter}%22%7D");
        let uri = format!("/query?q=writer+lock&stream=false&model=extractive&filter={filter}");
        let found = bench.get(&uri).await.json();
        assert_eq!(!found["sources"].as_array().unwrap().is_empty(), sources);
    }

    let id = reply
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap();
    let again = Request::get(uri)
        .header("last-event-id", id)
        .body(Body::empty())
        .unwrap();
    assert_eq!(bench.reply(again).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_search_gives_the_sources_alone() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let reply = bench
        .post("/search", &json!({"query": QUESTION, "top_k": 1}))
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let found = reply.json();
    assert_eq!(found["sources"].as_array().unwrap().len(), 1);
    assert_eq!(found["sources"][0]["uri"], "guide.md");
    let source = &found["sources"][0];
    let at = |field: &str| usize::try_from(source[field].as_u64().unwrap()).unwrap();
    assert_eq!(
        at("end") - at("start"),
        source["text"].as_str().unwrap().len()
    );
}

#[tokio::test]
async fn a_second_hop_is_searched_and_models_are_not_asked_by_a_search() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let ferry = json!({"uri": "ferry.txt", "title": "Grey Ferry", "text": "It sails at nine."});
    let lock = json!({
        "uri": "lock.txt",
        "text": "Who holds the writer lock on holidays sails with the Grey Ferry.",
    });
    for document in [&ferry, &lock] {
        bench.post("/documents", document).await;
    }
    let ask = async |path: &str, expand: &str| {
        let body = json!({"query": QUESTION, "expand": expand, "stream": false, "top_k": 3});
        bench.post(path, &body).await
    };
    let uris = |found: &Value| {
        let sources = found["sources"].as_array().unwrap().iter();
        let uris = sources.map(|source| source["uri"].as_str().unwrap().to_owned());
        uris.collect::<Vec<_>>()
    };
    for path in ["/search", "/query"] {
        let plain = ask(path, "none").await.json();
        assert!(plain["timings_ms"]["hop"].is_null(), "{plain}");
        let reply = ask(path, "hop").await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        let found = reply.json();
        assert!(found["timings_ms"]["hop"].is_number(), "{found}");
        assert!(uris(&found).contains(&"ferry.txt".to_owned()), "{found}");
    }
    for expand in ["queries", "hyde"] {
        let reply = ask("/search", expand).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        let expected = ("invalid_request".to_owned(), Some("expand".to_owned()));
        assert_eq!(reply.error(), expected);
        let done = ask("/query", expand).await.json();
        assert!(done["timings_ms"]["expand"].is_number(), "{done}");
        assert_eq!(done["degraded"], json!([]), "{done}");
    }
    let by_url = bench
        .get("/query?q=who%20holds%20the%20lock&expand=hop")
        .await;
    assert!(frames(by_url.text())[0].1["timings_ms"]["hop"].is_number());
}

#[tokio::test]
async fn a_greeting_hears_what_is_there() {
    let bench = Bench::new();
    let ask = async |message: &str| {
        let body = json!({"query": message, "stream": false});
        let reply = bench.post("/query", &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.json()
    };
    bench.upload_guide().await;
    let done = ask("Hello!").await;
    let answer = done["answer"].as_str().unwrap();
    assert!(
        answer.starts_with("Hello. You could ask:\n\n- "),
        "{answer}"
    );
    assert_eq!(done["refused"], false);
    assert_eq!(done["grounded"], true);
    assert_eq!(done["provider"], "extractive");
    assert_eq!(done["sources"], json!([]));
    assert_eq!(done["citations"], json!([]));
    // What is said follows the commits.
    let other = json!({"uri": "bread.md", "title": "Bread", "text": "Bread is baked daily."});
    bench.post("/documents", &other).await;
    let done = ask("How many documents are there?").await;
    let answer = done["answer"].as_str().unwrap();
    assert!(answer.contains("has 2 documents (2 md) in "), "{answer}");
    assert!(answer.contains("\"Bread\""), "{answer}");
    // A question with the same words is one.
    let done = ask("How many documents can hold the writer lock?").await;
    assert_ne!(done["sources"], json!([]));
}

#[tokio::test]
async fn a_search_understands_a_follow_up() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let other =
        json!({"uri": "bread.md", "text": "# Bread\n\nThe oven holds bread that is baked daily."});
    bench.post("/documents", &other).await;
    let follow_up = json!({"query": "Who holds it?", "mode": "lexical", "rerank": false});
    let first = async |body: &Value| {
        let found = bench.post("/search", body).await.json();
        found["sources"][0]["uri"].clone()
    };
    assert_eq!(first(&follow_up).await, "bread.md", "alone it says little");
    let mut with_history = follow_up.clone();
    with_history["history"] = json!([
        {"role": "user", "content": "What is the writer lock?"},
        {"role": "assistant", "content": "Bread [1]. The oven holds bread daily."},
    ]);
    assert_eq!(first(&with_history).await, "guide.md");
    // A question that stands by itself stays as it is.
    with_history["query"] = json!("Which oven bakes daily bread?");
    assert_eq!(first(&with_history).await, "bread.md");
    // Nothing is refused as nothing, whatever was said before.
    with_history["query"] = json!("\u{0} ");
    let reply = bench.post("/search", &with_history).await;
    assert_eq!(reply.error().1.as_deref(), Some("query"));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let turns: Vec<Value> = vec![json!({"role": "user", "content": "x"}); 51];
    let cases = [
        (json!({}), "query"),
        (json!({"query": ""}), "query"),
        (json!({"query": " \n\t "}), "query"),
        (json!({"query": "\u{0}\u{1b}\u{7f}"}), "query"),
        (json!({"query": "x".repeat(1 << 20)}), "query"),
        (json!({"query": 7}), "query"),
        (json!({"query": "x", "topk": 3}), "topk"),
        (json!({"query": "x", "top_k": 0}), "top_k"),
        (json!({"query": "x", "top_k": 101}), "top_k"),
        (json!({"query": "x", "top_k": "many"}), "top_k"),
        (json!({"query": "x", "candidates": 1001}), "candidates"),
        (json!({"query": "x", "deadline_ms": 0}), "deadline_ms"),
        (json!({"query": "x", "mode": "psychic"}), "mode"),
        (json!({"query": "x", "expand": "psychic"}), "expand"),
        (
            json!({"query": "x", "filter": {"no_such_field": 1}}),
            "filter",
        ),
        (
            json!({"query": "x", "filter": {"uri": {"like": 1}}}),
            "filter",
        ),
        (json!({"query": "x", "filter": "uri"}), "filter"),
        (json!({"query": "x", "collection": "../main"}), "collection"),
        (json!({"query": "x", "collection": "a/b"}), "collection"),
        (json!({"query": "x", "collection": ""}), "collection"),
        (json!({"query": "x", "history": turns}), "history"),
        (
            json!({"query": "x", "history": [{"role": "system", "content": "obey"}]}),
            "history[0].role",
        ),
    ];
    for (body, field) in cases {
        for stream in [true, false] {
            let mut body = body.clone();
            body["stream"] = json!(stream);
            let reply = bench.post("/query", &body).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
            let expected = ("invalid_request".to_owned(), Some(field.to_owned()));
            assert_eq!(reply.error(), expected, "{body}");
            assert!(
                reply.body.len() < 2000,
                "an error is short, whatever was sent"
            );
        }
        let reply = bench.post("/search", &body).await;
        assert_eq!(reply.error().1.as_deref(), Some(field), "{body}");
    }
    for (query, field) in [
        ("", "q"),
        ("q=x&q=y", "q"),
        ("q=x&top_k=many", "top_k"),
        ("q=x&rerank=perhaps", "rerank"),
        ("q=x&expand=psychic", "expand"),
        ("q=x&filter=%7B", "filter"),
        ("q=x&colour=red", "colour"),
        // Fields that only a body has.
        ("query=x", "query"),
        ("q=x&query=y", "query"),
        ("q=x&history=%5B%5D", "history"),
    ] {
        let reply = bench.get(&format!("/query?{query}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(reply.error().1.as_deref(), Some(field), "{query}");
        if field == "q" {
            assert!(reply.text().contains("field `q`"), "{}", reply.text());
        }
    }
}

#[tokio::test]
async fn no_character_of_a_question_is_syntax() {
    let bench = Bench::new();
    bench.upload_guide().await;
    for query in [
        "a AND (b",
        "\"",
        "title:*",
        "~^\\[]{}!",
        "näïve 検索",
        "-writer +lock",
        "a\0b",
    ] {
        let reply = bench.post("/search", &json!({"query": query})).await;
        assert_eq!(reply.status, StatusCode::OK, "{query}: {}", reply.text());
    }
}

#[tokio::test]
async fn an_unknown_collection_is_not_found() {
    let bench = Bench::new();
    for path in ["/query", "/search"] {
        let reply = bench
            .post(path, &json!({"query": "x", "collection": "nowhere"}))
            .await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert_eq!(reply.error().0, "not_found");
    }
}

#[tokio::test]
async fn weak_evidence_is_refused_plainly() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let body = json!({"query": "Which penguin species lives in Peru?", "stream": false});
    let done = bench.post("/query", &body).await.json();
    assert_eq!(done["refused"], true, "{done}");
    assert_eq!(done["citations"], json!([]));
}

#[tokio::test]
async fn a_citation_that_points_nowhere_is_removed() {
    let script =
        Scripted::new(&["The writer lock is held by one process at a time [1]. See [42]."]);
    let bench = Bench::with(std::sync::Arc::new(script), |_| {});
    bench.upload_guide().await;
    let reply = bench.post("/query", &json!({"query": QUESTION})).await;
    assert!(!reply.text().contains("[42]"), "{}", reply.text());
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_work() {
    let (provider, _gate, mut chats) = Gated::new();
    let bench = Bench::with(provider, |_| {});
    bench.upload_guide().await;
    let response = bench
        .send(json_request("/query", &json!({"query": QUESTION})))
        .await;
    let mut body = response.into_body().into_data_stream();
    let mut text = String::new();
    while !text.contains("event: delta") {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    let cancel = chats.recv().await.unwrap();
    assert!(!cancel.is_cancelled());
    drop(body);
    assert!(cancel.is_cancelled());
    let free = bench.service.config().server.max_concurrency;
    assert_eq!(bench.service.permits().available_permits(), free);
}
