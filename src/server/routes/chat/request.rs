//! The body of `POST /v1/chat/completions`, and what of it the gateway takes.
//!
//! Fields that do not change the answer (`user`, `metadata`, ...) are passed
//! over, as every server of this format does. Fields that would change it and
//! that no provider behind the gateway could be asked for are refused by name.

use serde::Deserialize;
use serde_json::Value;
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
    /// A route, a provider, `provider/model`, or a configured model.
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
}

/// What a stream holds besides the answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// A last chunk with the usage.
    #[serde(default)]
    pub include_usage: bool,
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
        let format = self.response_format.as_ref();
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
