//! The OpenAI-compatible endpoint: whole, streamed, refused, and through the
//! keys and limits.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Bench;

fn body(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Who holds the lock?"}]})
}

fn with(model: &str, field: &str, value: Value) -> Value {
    let mut body = body(model);
    body[field] = value;
    body
}

const PATH: &str = "/v1/chat/completions";
const TEXT: &str = "The writer lock is held by one process at a time [1]. ";

#[tokio::test]
async fn a_whole_completion() {
    let bench = Bench::new();
    for model in ["script", "script-1", "script/any"] {
        let reply = bench.post(PATH, &body(model)).await;
        assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
        let got = reply.json();
        assert_eq!(got["object"], "chat.completion");
        assert!(got["id"].as_str().unwrap().starts_with("chatcmpl-"));
        assert_eq!(got["model"], model);
        let choice = &got["choices"][0];
        assert_eq!(
            choice["message"],
            json!({"role": "assistant", "content": TEXT})
        );
        assert_eq!(choice["finish_reason"], "stop");
        assert_eq!(got["usage"]["prompt_tokens"], 100);
        assert_eq!(got["usage"]["total_tokens"], 112);
        assert_eq!(got["cairn"]["provider"], "script");
        assert_eq!(got["cairn"]["cost_usd"], 0.0);
    }
}

#[tokio::test]
async fn a_streamed_completion() {
    let bench = Bench::new();
    let mut body = with("script", "stream", json!(true));
    body["stream_options"] = json!({"include_usage": true});
    let reply = bench.post(PATH, &body).await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let frames: Vec<&str> = reply
        .text()
        .split_terminator("\n\n")
        .map(|frame| frame.strip_prefix("data: ").unwrap())
        .collect();
    assert_eq!(*frames.last().unwrap(), "[DONE]");
    let chunks: Vec<Value> = frames[..frames.len() - 1]
        .iter()
        .map(|frame| serde_json::from_str(frame).unwrap())
        .collect();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk")
    );
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, TEXT);
    let [.., last, usage] = &chunks[..] else {
        panic!("{chunks:?}");
    };
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["cairn"]["provider"], "script");
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 12);

    body["stream_options"] = Value::Null;
    let reply = bench.post(PATH, &body).await;
    assert!(!reply.text().contains("\"usage\":{"));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let bench = Bench::new();
    let image =
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]);
    let cases = [
        (json!({"messages": []}), "model"),
        (json!({"model": "script"}), "messages"),
        (body("nobody"), "model"),
        (body("extractive"), "model"),
        (body("local"), "model"),
        (with("script", "messages", json!([])), "messages"),
        (
            with(
                "script",
                "messages",
                json!([{"role": "boss", "content": "x"}]),
            ),
            "messages[0].role",
        ),
        (
            with(
                "script",
                "messages",
                json!([{"role": "tool", "content": "x"}]),
            ),
            "messages[0].tool_call_id",
        ),
        (with("script", "messages", image), "messages[0].content"),
        (with("script", "n", json!(2)), "n"),
        (with("script", "logprobs", json!(true)), "logprobs"),
        (
            with("script", "response_format", json!({"type": "json_object"})),
            "response_format",
        ),
        (with("script", "max_tokens", json!(0)), "max_tokens"),
        (with("script", "temperature", json!(3)), "temperature"),
        (with("script", "top_p", json!(-1)), "top_p"),
        (with("script", "stop", json!([""])), "stop"),
        (
            with("script", "tool_choice", json!({"x": 1})),
            "tool_choice",
        ),
    ];
    for (body, field) in cases {
        let reply = bench.post(PATH, &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        let (code, param) = reply.error();
        assert_eq!(
            (code.as_str(), param.as_deref()),
            ("invalid_request", Some(field)),
            "{body}"
        );
    }
    // What does not change the answer is passed over.
    let mut extra = with("script", "user", json!("me"));
    extra["metadata"] = json!({"a": "b"});
    extra["messages"] = json!([{"role": "developer", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "user", "content": "x"}]);
    assert_eq!(bench.post(PATH, &extra).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_models_of_chats_are_listed() {
    let bench = Bench::new();
    bench.upload_guide().await;
    let list = bench.get("/v1/models").await.json();
    assert_eq!(list["object"], "list");
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["cairn", "cairn/main", "script", "script/script-1"]);
    assert_eq!(list["data"][2]["owned_by"], "script");
    // One by one also those that are none of a chat, so that no program offers them as such.
    for (id, kind) in [
        ("cairn/main", "chat"),
        ("cairn%2Fmain", "chat"),
        ("script/script-1", "chat"),
        ("hash-64", "embedding"),
        ("overlap", "rerank"),
    ] {
        let model = bench.get(&format!("/v1/models/{id}")).await.json();
        assert_eq!(model["type"], kind, "{model}");
    }
    let reply = bench.get("/v1/models/nobody").await;
    assert_eq!(reply.error(), ("not_found".into(), Some("model".into())));
}

#[tokio::test]
async fn a_provider_that_fails_has_a_status_also_with_a_stream() {
    use cairn_gateway::{ChatRequest, Provider, ProviderError, ProviderErrorKind, ProviderStream};
    struct Failing(ProviderErrorKind);
    impl Provider for Failing {
        fn name(&self) -> &str {
            "script"
        }
        fn context_tokens(&self) -> usize {
            8192
        }
        fn chat(&self, _: ChatRequest, _: cairn_models::Cancel) -> ProviderStream {
            let mut error = ProviderError::new(self.0, "script", "script failed on purpose");
            error.retry_after = Some(std::time::Duration::from_millis(6500));
            Box::pin(futures::stream::iter([Err(error)]))
        }
    }
    for (kind, status, code) in [
        (ProviderErrorKind::RateLimited, 429, "overloaded"),
        (ProviderErrorKind::Failed, 502, "provider_failed"),
        (ProviderErrorKind::Timeout, 504, "timeout"),
        (ProviderErrorKind::Rejected, 400, "invalid_request"),
    ] {
        let bench = Bench::with(std::sync::Arc::new(Failing(kind)), |_| {});
        for stream in [true, false] {
            let reply = bench
                .post(PATH, &with("script", "stream", json!(stream)))
                .await;
            assert_eq!(reply.status.as_u16(), status, "{kind:?}");
            assert_eq!(reply.error().0, code);
            assert_eq!(reply.header("retry-after"), "7");
        }
    }
}

#[tokio::test]
async fn the_local_model_calls_tools() {
    use cairn_models::{GgufGenerator, Hub, Quiet};
    let hub = Hub::new(None).unwrap();
    let folder = hub.ensure("smollm2-135m-instruct", &Quiet).unwrap();
    let model = GgufGenerator::open(&folder, "smollm2", 0).unwrap();
    let provider = cairn_gateway::LocalProvider::new(std::sync::Arc::new(model), 1).unwrap();
    let bench = Bench::with(std::sync::Arc::new(provider), |_| {});
    let tide = json!({"type": "function", "function": {
        "name": "tide",
        "description": "Heights of tides.",
        "parameters": {
            "type": "object",
            "properties": {"port": {"type": "string"}, "metres": {"type": "boolean"}},
            "required": ["port", "metres"]
        }
    }});
    let mut body = with("local", "tools", json!([tide]));
    body["tool_choice"] = json!({"type": "function", "function": {"name": "tide"}});
    body["parallel_tool_calls"] = json!(false);
    body["max_tokens"] = json!(48);
    let reply = bench.post(PATH, &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
    let choice = &reply.json()["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "tide");
    let arguments = call["function"]["arguments"].as_str().unwrap();
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    assert!(arguments["port"].is_string() && arguments["metres"].is_boolean());

    body["tool_choice"] = json!({"type": "function", "function": {"name": "wind"}});
    let reply = bench.post(PATH, &body).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{:?}", reply.body);
}
