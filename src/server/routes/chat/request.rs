//! The body of `POST /v1/chat/completions`, and what of it the gateway takes.
//!
//! What the gateway has no words of its own for (`logit_bias`, `user`, ...) goes on to
//! providers that know it; a call that no such provider may answer is refused, and so
//! is what no answer of the gateway could hold (`n`, `logprobs`, ...). Nothing is
//! dropped in silence.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::server::error::ApiError;
use cairn_gateway::{ChatMessage, ChatRequest, ChatRole, Tool, ToolCall, ToolChoice};

/// Most tokens to write where a request does not say.
const DEFAULT_MAX_TOKENS: usize = 1024;
/// Most tokens that a request may ask for.
const MAX_TOKENS: usize = 1 << 20;
/// Most texts that end an answer, and the longest of them in bytes.
const MAX_STOPS: usize = 16;
const MAX_STOP_BYTES: usize = 1024;
/// Most functions that a model may ask for, and the longest name of one in bytes.
const MAX_TOOLS: usize = 256;
const MAX_NAME_BYTES: usize = 256;

/// A chat completion in OpenAI's format.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(crate) struct ChatBody {
    /// `cairn` for the documents (`cairn/COLLECTION`, `cairn/COLLECTION@WRITER`); else a route, a
    /// provider, `provider/model`, or a configured model.
    pub model: String,
    /// The conversation.
    pub messages: Vec<MessageBody>,
    /// Server-sent events, or one object.
    #[serde(default)]
    pub stream: bool,
    /// `{"include_usage": true}` adds a last chunk with the usage.
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
    /// Most tokens to write; 1024 if neither this nor the next is given.
    pub max_tokens: Option<usize>,
    /// The newer name of `max_tokens`.
    pub max_completion_tokens: Option<usize>,
    /// 0 is greedy, and the default: an answer can be given again then.
    pub temperature: Option<f32>,
    /// Nucleus sampling.
    pub top_p: Option<f32>,
    /// For providers that can sample the same way twice.
    pub seed: Option<u64>,
    /// A text, or several, that end the answer.
    #[schema(value_type = Option<Object>)]
    pub stop: Option<Stop>,
    /// Functions that the model may ask for.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub tools: Option<Vec<ToolBody>>,
    /// `none`, `auto`, `required`, or one function.
    #[schema(value_type = Option<Object>)]
    pub tool_choice: Option<Value>,
    /// Must be 1.
    pub n: Option<usize>,
    /// Must be `{"type": "text"}`.
    #[schema(value_type = Option<Object>)]
    pub response_format: Option<Value>,
    /// Must be false.
    pub logprobs: Option<bool>,
    /// Whatever else a provider knows: `logit_bias`, `presence_penalty`,
    /// `frequency_penalty`, `reasoning_effort`, `parallel_tool_calls`, `top_k`, `user`,
    /// `metadata`, `store`, ...
    #[serde(flatten)]
    #[schema(value_type = Object, additional_properties)]
    pub parameters: Map<String, Value>,
}

/// What a stream holds besides the answer.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// A last chunk with the usage.
    #[serde(default)]
    pub include_usage: bool,
    #[serde(flatten)]
    #[schema(ignore)]
    rest: Map<String, Value>,
}

/// One turn.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(crate) struct MessageBody {
    /// `system` or `developer`, `user`, `assistant`, `tool`.
    pub role: String,
    /// Text, or parts of type `text`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub content: Option<Content>,
    /// Functions that the assistant asked for.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub tool_calls: Option<Vec<CallBody>>,
    /// The call that a tool's message answers.
    #[serde(default)]
    pub tool_call_id: Option<String>,
}

/// What is said.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of what is said.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

/// One text or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Stop {
    One(String),
    Several(Vec<String>),
}

/// A function that the assistant asked for.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CallBody {
    id: String,
    function: FunctionBody,
}

#[derive(Clone, Debug, Deserialize)]
struct FunctionBody {
    name: String,
    #[serde(default)]
    arguments: String,
}

/// A function that the model may ask for.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ToolBody {
    function: DeclaredFunction,
}

#[derive(Clone, Debug, Deserialize)]
struct DeclaredFunction {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Option<Value>,
}

impl ChatBody {
    /// Whether a stream ends with the usage.
    pub(super) fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.is_some_and(|options| options.include_usage)
    }

    /// The names of what it asks for besides an answer to its messages.
    pub(super) fn given(&self) -> Vec<String> {
        let tools = self.tools.as_ref().is_some_and(|tools| !tools.is_empty());
        let choice = self.tool_choice.as_ref().and_then(Value::as_str);
        let chooses = self
            .tool_choice
            .as_ref()
            .is_some_and(|choice| !choice.is_null())
            && !matches!(choice, Some("none" | "auto"));
        let fields = [
            ("tools", tools),
            ("tool_choice", chooses),
            ("stop", self.stop.is_some()),
            ("max_tokens", self.max_tokens.is_some()),
            (
                "max_completion_tokens",
                self.max_completion_tokens.is_some(),
            ),
            ("temperature", self.temperature.is_some_and(|t| t != 0.0)),
            ("top_p", self.top_p.is_some_and(|p| p != 1.0)),
            ("seed", self.seed.is_some()),
        ];
        let fields = fields.into_iter().filter(|(_, given)| *given);
        let others = self.parameters.iter();
        let others = others.filter(|(name, value)| !says_nothing(name, value));
        fields
            .map(|(name, _)| name.to_owned())
            .chain(others.map(|(name, _)| name.clone()))
            .collect()
    }

    /// The request for the gateway.
    pub(super) fn into_request(self) -> Result<ChatRequest, ApiError> {
        self.refuse()?;
        if self.messages.is_empty() {
            return Err(ApiError::invalid("messages", "`messages` is empty"));
        }
        let messages = self.messages.into_iter().enumerate();
        let messages = messages
            .map(|(at, message)| message.into_message(at))
            .collect::<Result<Vec<_>, _>>()?;
        let stop = match self.stop {
            None => Vec::new(),
            Some(Stop::One(stop)) => vec![stop],
            Some(Stop::Several(stops)) => stops,
        };
        let fits = |stop: &String| (1..=MAX_STOP_BYTES).contains(&stop.len());
        if stop.len() > MAX_STOPS || !stop.iter().all(fits) {
            let message =
                format!("`stop` takes up to {MAX_STOPS} texts of 1 to {MAX_STOP_BYTES} bytes");
            return Err(ApiError::invalid("stop", message));
        }
        let tools = self.tools.unwrap_or_default().into_iter().map(|tool| Tool {
            name: tool.function.name,
            description: tool.function.description,
            parameters: tool
                .function
                .parameters
                .unwrap_or_else(|| serde_json::json!({"type": "object", "properties": {}})),
        });
        Ok(ChatRequest {
            model: None,
            messages,
            max_tokens: self
                .max_completion_tokens
                .or(self.max_tokens)
                .unwrap_or(DEFAULT_MAX_TOKENS),
            temperature: self.temperature.unwrap_or(0.0),
            top_p: self.top_p,
            seed: self.seed,
            stop,
            tools: tools.collect(),
            tool_choice: tool_choice(self.tool_choice.as_ref())?,
            parameters: parameters(self.parameters),
        })
    }

    /// What the gateway cannot ask any provider for.
    fn refuse(&self) -> Result<(), ApiError> {
        let refuse = |field: &str, message: &str| Err(ApiError::invalid(field, message));
        if self.n.is_some_and(|n| n != 1) {
            return refuse(
                "n",
                "`n` must be 1; send the request again for another answer",
            );
        }
        if self.logprobs == Some(true) {
            return refuse("logprobs", "`logprobs` are not given; leave it out");
        }
        for (field, message) in UNHEARD {
            if self
                .parameters
                .get(*field)
                .is_some_and(|value| !says_nothing(field, value))
            {
                return refuse(field, message);
            }
        }
        let options = self.stream_options.iter().flat_map(|options| &options.rest);
        for (name, value) in options {
            if !says_nothing(name, value) {
                let message = format!("`stream_options` knows no `{name}`; leave it out");
                return refuse(&format!("stream_options.{name}"), &message);
            }
        }
        let format = self
            .response_format
            .as_ref()
            .filter(|format| !format.is_null());
        if format.is_some_and(|format| format["type"] != "text") {
            let message = "`response_format` must be text; ask for JSON with a tool";
            return refuse("response_format", message);
        }
        let tokens = self.max_completion_tokens.or(self.max_tokens);
        if tokens.is_some_and(|tokens| !(1..=MAX_TOKENS).contains(&tokens)) {
            let message = format!("`max_tokens` must lie between 1 and {MAX_TOKENS}");
            return refuse("max_tokens", &message);
        }
        let tools = self.tools.as_deref().unwrap_or_default();
        let long = |tool: &ToolBody| tool.function.name.len() > MAX_NAME_BYTES;
        if tools.len() > MAX_TOOLS || tools.iter().any(long) {
            let message = format!(
                "`tools` takes up to {MAX_TOOLS} functions, with names of up to {MAX_NAME_BYTES} bytes"
            );
            return refuse("tools", &message);
        }
        if self.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
            return refuse("temperature", "`temperature` must lie between 0 and 2");
        }
        if self.top_p.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return refuse("top_p", "`top_p` must lie between 0 and 1");
        }
        Ok(())
    }
}

/// Parameters whose effect no answer of the gateway could show.
const UNHEARD: &[(&str, &str)] = &[
    (
        "top_logprobs",
        "`logprobs` are not given; leave `top_logprobs` out",
    ),
    (
        "functions",
        "`functions` are called `tools` now; send them as these",
    ),
    (
        "function_call",
        "`function_call` is called `tool_choice` now",
    ),
    ("modalities", "answers are text; leave `modalities` out"),
    ("audio", "answers are text; leave `audio` out"),
    ("best_of", "`best_of` must be 1; leave it out"),
    ("echo", "the prompt is not given back; leave `echo` out"),
];

/// What is passed on: everything that asks for something.
fn parameters(given: Map<String, Value>) -> Map<String, Value> {
    let asks = |(name, value): &(String, Value)| !says_nothing(name, value);
    given.into_iter().filter(asks).collect()
}

/// Whether `value` is what a missing parameter means, so that clients which always send
/// it can be answered by any provider.
fn says_nothing(name: &str, value: &Value) -> bool {
    let is = |text: &str| value.as_str() == Some(text);
    match name {
        "presence_penalty" | "frequency_penalty" | "top_logprobs" | "min_p" => {
            value.is_null() || value.as_f64() == Some(0.0)
        }
        "repetition_penalty" | "best_of" => value.is_null() || value.as_f64() == Some(1.0),
        "parallel_tool_calls" => value.is_null() || value.as_bool() == Some(true),
        "store" | "echo" | "include_obfuscation" => {
            value.is_null() || value.as_bool() == Some(false)
        }
        "service_tier" => value.is_null() || is("auto") || is("default"),
        "function_call" => value.is_null() || is("auto") || is("none"),
        "modalities" => value.is_null() || *value == serde_json::json!(["text"]),
        _ => match value {
            Value::Null => true,
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        },
    }
}

impl MessageBody {
    fn into_message(self, at: usize) -> Result<ChatMessage, ApiError> {
        let field = |name: &str| format!("messages[{at}].{name}");
        let role = match self.role.as_str() {
            "system" | "developer" => ChatRole::System,
            "user" => ChatRole::User,
            "assistant" => ChatRole::Assistant,
            "tool" => ChatRole::Tool,
            _ => {
                let message = "`role` is one of system, developer, user, assistant, tool";
                return Err(ApiError::invalid(field("role"), message));
            }
        };
        if role == ChatRole::Tool && self.tool_call_id.is_none() {
            let message = "a message of a tool names the call that it answers";
            return Err(ApiError::invalid(field("tool_call_id"), message));
        }
        let content = match self.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                let mut texts = Vec::new();
                for part in parts {
                    match (part.kind.as_str(), part.text) {
                        ("text", Some(text)) => texts.push(text),
                        _ => {
                            let message = "only parts of type `text` are taken";
                            return Err(ApiError::invalid(field("content"), message));
                        }
                    }
                }
                texts.join("\n")
            }
        };
        let calls = self.tool_calls.unwrap_or_default().into_iter();
        Ok(ChatMessage {
            role,
            content,
            tool_calls: calls
                .map(|call| ToolCall {
                    id: call.id,
                    name: call.function.name,
                    arguments: call.function.arguments,
                    signature: None,
                })
                .collect(),
            tool_call_id: self.tool_call_id,
        })
    }
}

fn tool_choice(choice: Option<&Value>) -> Result<ToolChoice, ApiError> {
    let Some(choice) = choice else {
        return Ok(ToolChoice::Auto);
    };
    Ok(match choice.as_str() {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("required") => ToolChoice::Required,
        _ => match choice["function"]["name"].as_str() {
            Some(name) => ToolChoice::Function(name.to_owned()),
            None => {
                let message = "`tool_choice` is none, auto, required, or names a function";
                return Err(ApiError::invalid("tool_choice", message));
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(more: &Value) -> Result<ChatRequest, ApiError> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        serde_json::from_value::<ChatBody>(body)
            .unwrap()
            .into_request()
    }

    #[test]
    fn what_the_gateway_does_not_know_is_passed_on() {
        let given = json!({
            "logit_bias": {"7": -100}, "presence_penalty": 0.5, "frequency_penalty": -1,
            "reasoning_effort": "low", "parallel_tool_calls": false, "top_k": 40,
            "user": "me", "metadata": {"a": "b"}, "store": true,
        });
        let parameters = request(&given).unwrap().parameters;
        assert_eq!(Value::Object(parameters), given);
    }

    #[test]
    fn what_asks_for_nothing_is_not() {
        let given = json!({
            "logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0.0, "store": false,
            "parallel_tool_calls": true, "metadata": null, "user": "", "service_tier": "auto",
            "n": 1, "logprobs": false, "response_format": {"type": "text"}, "top_logprobs": null,
            "stream_options": {"include_usage": true, "include_obfuscation": false},
        });
        assert!(request(&given).unwrap().parameters.is_empty());
    }

    #[test]
    fn what_no_answer_could_show_is_refused_by_name() {
        for (field, value) in [
            ("n", json!(2)),
            ("logprobs", json!(true)),
            ("top_logprobs", json!(3)),
            ("response_format", json!({"type": "json_object"})),
            ("functions", json!([{"name": "x"}])),
            ("modalities", json!(["text", "audio"])),
            ("audio", json!({"voice": "x"})),
        ] {
            let error = request(&json!({field: value})).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(field));
            assert!(error.message.contains(field), "{}", error.message);
        }
        let error = request(&json!({"stream_options": {"x": 1}})).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("stream_options.x"));
    }
}
