//! A chat completion in OpenAI's format: one object, or chunks of a stream. What
//! the gateway knows besides stands under `cairn`.

use serde::Serialize;
use serde_json::{Value, json};

use crate::ingest::uploads::now;
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
pub(super) struct Ending<'a, A> {
    /// `stop`, `length`, `tool_calls`, ...
    pub(super) finish: &'a str,
    /// Tokens and money.
    pub(super) usage: &'a Usage,
    /// What stands under `cairn`.
    pub(super) about: A,
}

impl<'a> Ending<'a, Value> {
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
        Self {
            id: format!("chatcmpl-{}", uuid::Uuid::now_v7().simple()),
            created: now().unsigned_abs(),
            model,
        }
    }

    /// A whole answer.
    pub(super) fn completion<'a, A: Serialize>(
        &'a self,
        message: &Value,
        ending: &'a Ending<'_, A>,
    ) -> Body<'a, A> {
        let finish = ending.finish;
        Body {
            choices: json!([{"index": 0, "message": message, "finish_reason": finish}]),
            usage: Some(usage(ending.usage)),
            cairn: Some(&ending.about),
            ..self.body("chat.completion")
        }
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
    pub(super) fn last<A: Serialize>(&self, ending: &Ending<'_, A>, with_usage: bool) -> String {
        let finish = ending.finish;
        let mut frames = frame(&Body {
            choices: json!([{"index": 0, "delta": {}, "finish_reason": finish}]),
            cairn: Some(&ending.about),
            ..self.body("chat.completion.chunk")
        });
        if with_usage {
            frames.push_str(&frame(&Body::<A> {
                usage: Some(usage(ending.usage)),
                ..self.body("chat.completion.chunk")
            }));
        }
        frames.push_str("data: [DONE]\n\n");
        frames
    }

    fn chunk(&self, delta: Value, finish: Value) -> String {
        frame(&Body::<()> {
            choices: json!([{"index": 0, "delta": delta, "finish_reason": finish}]),
            ..self.body("chat.completion.chunk")
        })
    }

    fn body<A>(&self, object: &'static str) -> Body<'_, A> {
        Body {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            choices: json!([]),
            usage: None,
            cairn: None,
        }
    }
}

/// An answer, or a piece of one.
#[derive(Serialize)]
pub(super) struct Body<'a, A> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cairn: Option<&'a A>,
}

/// The end of a stream that failed. `[DONE]` does not follow.
pub(super) fn error(error: &ApiError) -> String {
    frame(&json!({ "error": error }))
}

fn frame(body: &impl Serialize) -> String {
    // The types hold texts, numbers and lists only, which always serialize.
    let json = serde_json::to_string(body).unwrap_or_default();
    format!("data: {json}\n\n")
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
