//! `/v1/chat/completions` over the documents.

use axum::http::StatusCode;
use cairn_gateway::accounts::Scope;
use serde_json::{Value, json};

use super::super::keys::Closed;
use super::super::{Bench, node, python, talk};
use super::{node_modules, served, with_openai};

const PATH: &str = "/v1/chat/completions";

/// The first letter is one that JavaScript counts as two.
const ANSWER: [&str; 3] = [
    "\u{1F512} The writer lock is held by one ",
    "process at a time [1].",
    " Readers never wait for the writer lock [1].",
];

fn body(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Who holds the writer lock?"}]})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = body("cairn");
    body[field] = value;
    body
}

#[tokio::test]
async fn what_no_answer_from_documents_can_do_is_refused_by_name() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let call =
        json!([{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let called = json!([{"role": "user", "content": "x"},
        {"role": "assistant", "content": null, "tool_calls": call}, {"role": "user", "content": "y"}]);
    let result = json!([{"role": "tool", "tool_call_id": "1", "content": "x"},
        {"role": "user", "content": "y"}]);
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let cases = [
        (with("tools", tool), "tools"),
        (with("tool_choice", json!("required")), "tool_choice"),
        (with("stop", json!(["x"])), "stop"),
        (with("n", json!(2)), "n"),
        (
            with("response_format", json!({"type": "json_object"})),
            "response_format",
        ),
        (
            with("web_search_options", json!({"x": 1})),
            "web_search_options",
        ),
        (
            with("messages", json!([{"role": "assistant", "content": "x"}])),
            "messages",
        ),
        (
            with("messages", json!([{"role": "system", "content": "x"}])),
            "messages",
        ),
        (
            with("messages", json!([{"role": "user", "content": " "}])),
            "messages",
        ),
        (with("messages", called), "messages[1].tool_calls"),
        (with("messages", result), "messages[0].role"),
        (body("cairn@nobody"), "model"),
        (body("cairn/No such"), "model"),
    ];
    for (body, field) in cases {
        let reply = bench.post(PATH, &body).await;
        let expected = ("invalid_request".to_owned(), Some(field.to_owned()));
        assert_eq!(reply.error(), expected, "{body}");
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    }
    for stream in [true, false] {
        let mut body = body("cairn/elsewhere");
        body["stream"] = json!(stream);
        let reply = bench.post(PATH, &body).await;
        assert_eq!(reply.error().0, "not_found", "a stream has a status too");
    }
}

#[tokio::test]
async fn what_is_not_followed_is_said() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let mut asked = with("temperature", json!(0.7));
    asked["user"] = json!("me");
    asked["max_tokens"] = json!(5);
    asked["messages"] = json!([{"role": "system", "content": "Answer in French."},
        {"role": "user", "content": "Who holds the writer lock?"}]);
    let reply = bench.post(PATH, &asked).await.json();
    let degraded = reply["cairn"]["degraded"].to_string();
    for name in ["temperature", "max_tokens", "user", "system messages"] {
        assert!(degraded.contains(name), "{reply}");
    }
    let plain = bench.post(PATH, &body("cairn")).await.json();
    assert!(
        !plain["cairn"]["degraded"].to_string().contains("follow"),
        "{plain}"
    );
}

#[tokio::test]
async fn answers_are_those_of_query() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let question = json!({"query": "Who holds the writer lock?", "stream": false});
    let expected = bench.post("/query", &question).await.json();
    let reply = bench.post(PATH, &body("cairn")).await.json();
    let message = &reply["choices"][0]["message"];
    assert_eq!(message["content"], expected["answer"]);
    assert_eq!(reply["usage"]["total_tokens"], 112);
    for field in [
        "grounded",
        "refused",
        "citations",
        "sources",
        "collection",
        "model",
    ] {
        assert_eq!(reply["cairn"][field], expected[field], "{field}");
    }
    // What the documents do not say is not answered.
    let mut other = body("cairn");
    other["messages"][0]["content"] = json!("zebra quantum pancake?");
    let reply = bench.post(PATH, &other).await.json();
    assert_eq!(reply["cairn"]["refused"], true, "{reply}");
    assert_eq!(reply["choices"][0]["message"]["annotations"], json!([]));
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn each_kind_of_model_asks_for_its_scope() {
    let closed = Closed::new();
    closed.fill().await;
    let reader = closed.key(&[], &[Scope::Query]).await;
    let chatter = closed.key(&[], &[Scope::Chat]).await;
    for (key, allowed, refused) in [(&reader, "cairn", "script"), (&chatter, "script", "cairn")] {
        let reply = closed.post(key, PATH, &body(allowed)).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        let reply = closed.post(key, PATH, &body(refused)).await;
        assert_eq!(reply.error().0, "forbidden");
        let listed = closed.get(key, "/v1/models").await.json().to_string();
        assert!(listed.contains(allowed) && !listed.contains(&format!("\"id\":\"{refused}\"")));
    }
    // Labels hold: the vault's code is for others.
    let mut asked = body("cairn@extractive");
    asked["messages"][0]["content"] = json!("How do I open the vault?");
    let reply = closed.post(&reader, PATH, &asked).await;
    assert!(!reply.text().contains("4711") && !reply.text().contains("hidden.md"));
}

/// What the client makes of answers over the documents of the service at the first argument,
/// with the key of the second.
const PYTHON: &str = r#"
import json, sys
import openai

url, key = sys.argv[1:]
client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
messages = [
    {"role": "user", "content": "What does a commit do?"},
    {"role": "assistant", "content": "It makes words and vectors durable."},
    {"role": "user", "content": [{"type": "text", "text": "Who holds the writer lock?"}]},
]
said = {}

def shown(text, annotations):
    marks = [a if isinstance(a, dict) else a.model_dump() for a in annotations]
    places = [mark["url_citation"] for mark in marks]
    return {
        "text": text,
        "marks": [text[place["start_index"]:place["end_index"]] for place in places],
        "titles": sorted({place["title"] for place in places}),
        "urls": sorted({place["url"].split("/documents/")[0] for place in places}),
    }

reply = client.chat.completions.create(model="cairn", messages=messages)
message = reply.choices[0].message
said["whole"] = shown(message.content, message.annotations)
said["whole usage"] = reply.usage.completion_tokens
said["grounded"] = reply.cairn["grounded"]

chunks = list(client.chat.completions.create(
    model="cairn/main", messages=messages, stream=True, stream_options={"include_usage": True}
))
deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
noted = [delta.annotations for delta in deltas if "annotations" in (delta.model_extra or {})]
said["chunks with annotations"] = len(noted)
said["stream"] = shown("".join(delta.content or "" for delta in deltas), noted[0])
said["stream usage"] = chunks[-1].usage.completion_tokens
said["stream end"] = chunks[-2].choices[0].finish_reason

with client.chat.completions.stream(model="cairn", messages=messages) as stream:
    final = stream.get_final_completion().choices[0].message
said["helper"] = shown(final.content, final.annotations)

quoted = client.chat.completions.create(model="cairn/main@extractive", messages=messages)
said["quoted by"] = quoted.cairn["provider"]
tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
try:
    client.chat.completions.create(model="cairn", messages=messages, tools=[tool])
except openai.BadRequestError as error:
    said["tools"] = error.param
try:
    client.chat.completions.create(model="cairn/none", messages=messages, stream=True)
except openai.NotFoundError as error:
    said["collection"] = error.param
said["models"] = [model.id for model in client.models.list()]
print(json.dumps(said))
"#;

/// The same in JavaScript, where text is cut by characters and not by UTF-16.
const NODE: &str = r#"
import OpenAI from "openai";

const [url, apiKey] = process.argv.slice(-2);
const client = new OpenAI({ baseURL: url + "/v1", apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "Who holds the writer lock?" }];
const said = {};

function shown(text, annotations) {
  const characters = Array.from(text);
  const places = annotations.map((annotation) => annotation.url_citation);
  const cut = (place) => characters.slice(place.start_index, place.end_index).join("");
  return { text, marks: places.map(cut) };
}

const reply = await client.chat.completions.create({ model: "cairn", messages });
const { message } = reply.choices[0];
said.whole = shown(message.content, message.annotations);
const stream = client.chat.completions.stream({
  model: "cairn", messages, stream_options: { include_usage: true },
});
const final = await stream.finalChatCompletion();
said.helper = shown(final.choices[0].message.content, final.choices[0].message.annotations);
said.usage = (await stream.totalUsage()).total_tokens;
console.log(JSON.stringify(said));
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_reads_answers_with_citations() {
    let Some(path) = with_openai().await else {
        return;
    };
    let (closed, key) = served(&ANSWER).await;
    let said = talk(&closed.bench, python(&path, PYTHON), &[&key]).await;
    let expected = json!({"text": ANSWER.concat(), "marks": ["[1]", "[1]"], "titles": ["Guide"],
        "urls": ["cairn:/"]});
    for name in ["whole", "stream", "helper"] {
        assert_eq!(said[name], expected, "{name}");
    }
    assert_eq!(said["whole usage"], 12);
    assert_eq!(said["stream usage"], 12);
    assert_eq!(said["grounded"], true);
    assert_eq!(said["chunks with annotations"], 1);
    assert_eq!(said["stream end"], "stop");
    assert_eq!(said["quoted by"], "extractive");
    assert_eq!(said["tools"], "tools");
    assert_eq!(said["collection"], "model");
    assert_eq!(said["models"], json!(["cairn", "cairn/main"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_client_reads_answers_with_citations() {
    let Some(folder) = node_modules().await else {
        return;
    };
    let (closed, key) = served(&ANSWER).await;
    let said = talk(&closed.bench, node(&folder, NODE), &[&key]).await;
    let expected = json!({"text": ANSWER.concat(), "marks": ["[1]", "[1]"]});
    assert_eq!(said["whole"], expected);
    assert_eq!(said["helper"], expected);
    assert_eq!(said["usage"], 112);
}
