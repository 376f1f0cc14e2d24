//! `/v1/responses` with `file_search`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::{Bench, GUIDE, node, python, talk};
use super::{node_modules, served, with_openai};

const PATH: &str = "/v1/responses";
const QUESTION: &str = "Who holds the writer lock?";

fn searching(model: &str, store: &str) -> Value {
    json!({"model": model, "input": QUESTION, "include": ["file_search_call.results"],
        "tools": [{"type": "file_search", "vector_store_ids": [store]}]})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = searching("cairn", "main");
    body[field] = value;
    body
}

fn with_tool(field: &str, value: Value) -> Value {
    let mut body = searching("cairn", "main");
    body["tools"][0][field] = value;
    body
}

#[tokio::test]
async fn answers_are_those_of_query() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let question = json!({"query": QUESTION, "stream": false});
    let expected = bench.post("/query", &question).await.json();
    // The model that writes may be named as itself, or behind `cairn`.
    for model in ["cairn", "cairn/main", "script", "cairn@script"] {
        let reply = bench.post(PATH, &searching(model, "main")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        let reply = reply.json();
        let [call, message] = &reply["output"].as_array().unwrap()[..] else {
            panic!("{reply}");
        };
        assert_eq!(call["queries"], json!([QUESTION]));
        assert_eq!(call["results"][0]["filename"], "guide.md");
        let part = &message["content"][0];
        assert_eq!(part["text"], expected["answer"]);
        let citation = &part["annotations"][0];
        assert_eq!(citation["type"], "file_citation");
        assert_eq!(citation["filename"], "guide.md");
        assert_eq!(citation["index"], expected["citations"][0]["start"]);
        assert_eq!(reply["status"], "completed");
        assert_eq!(reply["usage"]["output_tokens"], 12);
    }
    // Without the tool the model names the collection, and what was found is not shown.
    let plain = json!({"model": "cairn/main", "input": [
        {"role": "user", "content": "What does a commit do?"},
        {"type": "file_search_call", "id": "fs_1", "queries": ["x"], "status": "completed"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"role": "user", "content": [{"type": "input_text", "text": QUESTION}]},
    ]});
    let reply = bench.post(PATH, &plain).await.json();
    assert_eq!(reply["output"][0]["results"], Value::Null, "{reply}");
    assert_eq!(reply["output"][1]["content"][0]["text"], expected["answer"]);
    // Pages of the web are cited as such.
    let page = json!({"uri": "https://example.com/lock", "title": "Lock", "text": GUIDE,
        "collection": "web"});
    bench.post("/documents", &page).await;
    let reply = bench.post(PATH, &searching("cairn", "web")).await.json();
    let citation = &reply["output"][1]["content"][0]["annotations"][0];
    assert_eq!(citation["type"], "url_citation", "{reply}");
    assert_eq!(citation["url"], "https://example.com/lock");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_name() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let function = json!([{"type": "function", "name": "f"}]);
    let image = json!([{"role": "user", "content": [{"type": "input_image"}]}]);
    let call = json!([{"type": "function_call_output", "call_id": "1", "output": "x"}]);
    for (body, field) in [
        (
            with("previous_response_id", json!("resp_1")),
            "previous_response_id",
        ),
        (with("conversation", json!("conv_1")), "conversation"),
        (with("background", json!(true)), "background"),
        (with("prompt", json!({"id": "x"})), "prompt"),
        (with("tools", function), "tools[0].type"),
        (with("tool_choice", json!("none")), "tool_choice"),
        (
            with("include", json!(["reasoning.encrypted_content"])),
            "include",
        ),
        (
            with("text", json!({"format": {"type": "json_schema"}})),
            "text.format",
        ),
        (with("input", image), "input[0].content"),
        (with("input", call), "input[0].type"),
        (
            with("input", json!([{"role": "assistant", "content": "x"}])),
            "input",
        ),
        (with("input", json!("")), "input"),
        (
            with("model", json!("cairn/other")),
            "tools[0].vector_store_ids",
        ),
        (with("model", json!("nobody")), "model"),
        (json!({"model": "script", "input": QUESTION}), "model"),
        (with("anything", json!(1)), "anything"),
        (
            with_tool("vector_store_ids", json!(["a", "b"])),
            "tools[0].vector_store_ids",
        ),
        (with_tool("anything", json!(1)), "tools[0].anything"),
        (
            with_tool("max_num_results", json!(0)),
            "tools[0].max_num_results",
        ),
        (
            with_tool("filters", json!({"type": "eq", "key": "none", "value": 1})),
            "tools[0].filters",
        ),
        (
            with_tool("ranking_options", json!({"score_threshold": 0.5})),
            "tools[0].ranking_options.score_threshold",
        ),
    ] {
        for stream in [false, true] {
            let mut body = body.clone();
            body["stream"] = json!(stream);
            let reply = bench.post(PATH, &body).await;
            assert_eq!(
                reply.error(),
                ("invalid_request".into(), Some(field.into())),
                "{body}"
            );
        }
    }
    let reply = bench.post(PATH, &searching("cairn", "none")).await;
    assert_eq!(reply.error().0, "not_found");
    let noted = with("temperature", json!(0.5));
    let reply = bench.post(PATH, &noted).await.json();
    assert!(
        reply["cairn"]["degraded"]
            .to_string()
            .contains("temperature"),
        "{reply}"
    );
}

const PYTHON: &str = r#"
import json, sys
import openai

url, key = sys.argv[1:]
client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
options = {
    "model": "cairn",
    "input": "Who holds the writer lock?",
    "tools": [{
        "type": "file_search", "vector_store_ids": ["main"], "max_num_results": 3,
        "ranking_options": {"hybrid_search": {"embedding_weight": 1, "text_weight": 1}},
    }],
    "include": ["file_search_call.results"],
}
said = {}

def shown(response):
    call, message = response.output
    part = message.content[0]
    return {
        "text": response.output_text,
        "found": call.results[0].filename,
        "cited": [part.text[a.index:a.index + 3] for a in part.annotations],
        "same": all(a.file_id == call.results[0].file_id for a in part.annotations),
        "status": response.status,
        "tokens": response.usage.total_tokens,
    }

said["whole"] = shown(client.responses.create(**options))
events = list(client.responses.create(stream=True, **options))
said["types"] = [event.type for event in events]
said["numbers"] = [event.sequence_number for event in events] == list(range(len(events)))
said["plain stream"] = shown(events[-1].response)
said["deltas"] = "".join(e.delta for e in events if e.type == "response.output_text.delta")
with client.responses.stream(**options) as stream:
    for event in stream:
        pass
    said["helper"] = shown(stream.get_final_response())
conversation = [{"role": "user", "content": options["input"]}]
conversation += client.responses.create(**options).output
conversation += [{"role": "user", "content": "Who holds the writer lock?"}]
said["again"] = client.responses.create(**{**options, "input": conversation}).status
try:
    client.responses.create(previous_response_id="resp_1", **options)
except openai.BadRequestError as error:
    said["previous"] = error.param
print(json.dumps(said))
"#;

const NODE: &str = r#"
import OpenAI from "openai";

const [url, apiKey] = process.argv.slice(-2);
const client = new OpenAI({ baseURL: url + "/v1", apiKey, maxRetries: 0 });
const options = {
  model: "cairn",
  input: "Who holds the writer lock?",
  tools: [{ type: "file_search", vector_store_ids: ["main"] }],
};
const said = {};
const whole = await client.responses.create(options);
said.whole = whole.output_text;
const stream = client.responses.stream(options);
const final = await stream.finalResponse();
said.helper = final.output_text;
said.cited = final.output[1].content[0].annotations.length;
console.log(JSON.stringify(said));
"#;

/// The first letter is one that JavaScript counts as two.
const ANSWER: [&str; 2] = [
    "\u{1F512} The writer lock is held by one process at a time [1].",
    " Readers never wait for the writer lock [1].",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_reads_responses() {
    let Some(path) = with_openai().await else {
        return;
    };
    let (closed, key) = served(&ANSWER).await;
    let said = talk(&closed.bench, python(&path, PYTHON), &[&key]).await;
    let expected = json!({"text": ANSWER.concat(), "found": "guide.md", "cited": ["[1]", "[1]"],
        "same": true, "status": "completed", "tokens": 112});
    for name in ["whole", "plain stream", "helper"] {
        assert_eq!(said[name], expected, "{name}");
    }
    assert_eq!(said["deltas"], ANSWER.concat());
    assert_eq!(said["numbers"], true);
    let mut types: Vec<String> = serde_json::from_value(said["types"].clone()).unwrap();
    types.dedup();
    assert_eq!(
        types,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.file_search_call.in_progress",
            "response.file_search_call.searching",
            "response.file_search_call.completed",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.annotation.added",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(said["again"], "completed");
    assert_eq!(said["previous"], "previous_response_id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_client_reads_responses() {
    let Some(folder) = node_modules().await else {
        return;
    };
    let (closed, key) = served(&ANSWER).await;
    let said = talk(&closed.bench, node(&folder, NODE), &[&key]).await;
    assert_eq!(said["whole"], ANSWER.concat());
    assert_eq!(said["helper"], ANSWER.concat());
    assert_eq!(said["cited"], 2);
}
