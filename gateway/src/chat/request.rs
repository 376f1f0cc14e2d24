//! One chat completion to run, in no provider's format.

use cairn_models::{Message, Role};
use serde::{Deserialize, Serialize};

/// One chat completion to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The model's name as the provider knows it; the provider's default if
    /// none.
    pub model: Option<String>,
    /// The conversation.
    pub messages: Vec<ChatMessage>,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// 0 is greedy.
    pub temperature: f32,
    /// Nucleus sampling; the provider's default if none.
    pub top_p: Option<f32>,
    /// For providers that can sample the same way twice.
    pub seed: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Functions that the model may ask for.
    pub tools: Vec<Tool>,
    /// Whether it must.
    pub tool_choice: ToolChoice,
    /// Further parameters by their names in OpenAI's format, for providers that know
    /// them.
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

impl ChatRequest {
    /// The first of the further parameters that is none of `spoken`.
    pub(crate) fn parameter_besides(&self, spoken: &[&str]) -> Option<&str> {
        let mut names = self.parameters.keys().map(String::as_str);
        names.find(|name| !spoken.contains(name))
    }
}

/// Who says a [`ChatMessage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatRole {
    /// Instructions of the operator.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
    /// What a function gave back.
    Tool,
}

/// One turn of a conversation with tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// What is said; may be empty alongside tool calls.
    pub content: String,
    /// Functions that the assistant asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool's message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl ChatMessage {
    /// Plain text.
    pub fn text(role: ChatRole, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }

    /// What the function behind `call` gave back.
    pub fn tool_result(call: &ToolCall, content: impl Into<String>) -> Self {
        Self {
            tool_call_id: Some(call.id.clone()),
            ..Self::text(ChatRole::Tool, content)
        }
    }
}

impl From<Message> for ChatMessage {
    fn from(message: Message) -> Self {
        let role = match message.role {
            Role::System => ChatRole::System,
            Role::User => ChatRole::User,
            Role::Assistant => ChatRole::Assistant,
        };
        Self::text(role, message.content)
    }
}

/// A function that a model may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub parameters: serde_json::Value,
}

/// Whether a model must call a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It must not.
    None,
    /// Any of them.
    Required,
    /// This one.
    Function(String),
}

/// A function that a model asks for, with every fragment joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Names the call in the answer to it.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments as JSON text, as the model wrote them: not checked.
    pub arguments: String,
    /// Opaque proof of the model's reasoning, which Gemini wants back with the
    /// call; none elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}
