//! A chat completion in OpenAI's format: one object, or chunks of a stream. What
//! the gateway knows besides stands under `cairn`.

use serde_json::{Value, json};

use crate::server::error::ApiError;
use cairn_gateway::{ProviderError, Served, ToolCall, Usage};

/// What every chunk of one answer says.
pub(super) struct Head {
    id: String,
    created: u64,
    /// The model, as the request names it.
    model: String,
}

/// How an answer ended.
pub(super) struct Ending<'a> {
    /// `stop`, `length`, `tool_calls`, ...
    pub(super) finish: &'a str,
    /// Tokens and money.
    pub(super) usage: &'a Usage,
    /// What stands under `cairn`.
    pub(super) about: Value,
}

impl<'a> Ending<'a> {
    /// Of a call to a model.
    pub(super) fn of(served: &'a Served) -> Self {
        Self {
            finish: served.finish.as_str(),
            usage: &served.usage,
            about: about(served),
        }
    }
}

/// What a model said and asked for.
pub(super) fn message(text: &str, calls: &[ToolCall]) -> Value {
    let mut message = json!({"role": "assistant", "content": text});
    if !calls.is_empty() {
        message["tool_calls"] = calls.iter().map(|call| self::call(None, call)).collect();
        if text.is_empty() {
            message["content"] = Value::Null;
        }
    }
    message
}

impl Head {
    pub(super) fn new(model: String) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            id: format!("chatcmpl-{}", uuid::Uuid::now_v7().simple()),
            created: since.map_or(0, |since| since.as_secs()),
            model,
        }
    }

    /// A whole answer.
    pub(super) fn completion(&self, message: Value, ending: &Ending<'_>) -> Value {
        let mut body = self.body("chat.completion");
        let finish = ending.finish;
        body["choices"] = json!([{"index": 0, "message": message, "finish_reason": finish}]);
        body["usage"] = usage(ending.usage);
        body["cairn"] = ending.about.clone();
        body
    }

    /// The chunk that begins a stream.
    pub(super) fn first(&self) -> String {
        self.chunk(json!({"role": "assistant", "content": ""}), Value::Null)
    }

    /// Some text.
    pub(super) fn delta(&self, text: &str) -> String {
        self.chunk(json!({"content": text}), Value::Null)
    }

    /// A whole call of a function, the `index`th of the answer.
    pub(super) fn tool_call(&self, index: usize, call: &ToolCall) -> String {
        let call = self::call(Some(index), call);
        self.chunk(json!({"tool_calls": [call]}), Value::Null)
    }

    /// What the text cites, all of it.
    pub(super) fn annotations(&self, annotations: &[Value]) -> String {
        self.chunk(json!({"annotations": annotations}), Value::Null)
    }

    /// The chunks that end a stream.
    pub(super) fn last(&self, ending: &Ending<'_>, with_usage: bool) -> String {
        let mut body = self.body("chat.completion.chunk");
        let finish = ending.finish;
        body["choices"] = json!([{"index": 0, "delta": {}, "finish_reason": finish}]);
        body["cairn"] = ending.about.clone();
        let mut frames = frame(&body);
        if with_usage {
            let mut body = self.body("chat.completion.chunk");
            body["choices"] = json!([]);
            body["usage"] = usage(ending.usage);
            frames.push_str(&frame(&body));
        }
        frames.push_str("data: [DONE]\n\n");
        frames
    }

    fn chunk(&self, delta: Value, finish: Value) -> String {
        let mut body = self.body("chat.completion.chunk");
        body["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        frame(&body)
    }

    fn body(&self, object: &str) -> Value {
        json!({
            "id": self.id, "object": object, "created": self.created, "model": self.model,
        })
    }
}

/// The end of a stream that failed. `[DONE]` does not follow.
pub(super) fn error(error: &ApiError) -> String {
    frame(&json!({ "error": error }))
}

fn frame(body: &Value) -> String {
    format!("data: {body}\n\n")
}

fn call(index: Option<usize>, call: &ToolCall) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments});
    let mut value = json!({"id": call.id, "type": "function", "function": function});
    if let Some(index) = index {
        value["index"] = json!(index);
    }
    value
}

fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens(),
        "prompt_tokens_details": {"cached_tokens": usage.cached_prompt_tokens},
    })
}

fn about(served: &Served) -> Value {
    json!({
        "provider": served.provider,
        "model": served.model,
        "cost_usd": served.usage.cost_usd,
        "usage_estimated": served.usage.estimated,
        "cache": served.cache,
        "retries": served.retries,
        "fallbacks": served.fallbacks,
        "notes": served.notes,
    })
}

/// The log's and the client's view of a failed call.
pub(in crate::server) fn failure(error: ProviderError) -> (ApiError, Option<std::time::Duration>) {
    use crate::server::error::Code;
    use cairn_gateway::ProviderErrorKind as Kind;
    let wait = error.retry_after;
    if error.kind == Kind::Limited {
        return (ApiError::new(Code::RateLimited, error.message), wait);
    }
    let param = match error.kind {
        Kind::NoModel => Some("model".to_owned()),
        _ => None,
    };
    let failure = cairn_engine::answer::Failure::from(error);
    let code = Code::parse(failure.code).unwrap_or(Code::Internal);
    let error = ApiError {
        param,
        ..ApiError::new(code, failure.message)
    };
    (error, wait)
}
