//! A request with tools as one without: functions and how to call them in the system
//! message, earlier calls and results as turns of text.

use serde_json::{Value, json};

use super::super::super::chat::{ChatMessage, ChatRequest, ChatRole, Tool, ToolCall, ToolChoice};

/// How a model is to write a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Style {
    /// In a fenced block, after any text, one for each call; with whole schemas.
    Fenced,
    /// As the whole answer, held to it by a grammar; with short signatures, since the model
    /// is small and reads slowly.
    Bare,
}

/// `request` without tools, which `style` describes in words instead.
pub(in super::super) fn as_text(request: ChatRequest, style: Style) -> ChatRequest {
    let instructions = instructions(&request, style);
    let mut messages: Vec<ChatMessage> = Vec::with_capacity(request.messages.len() + 1);
    for (at, message) in request.messages.iter().enumerate() {
        let text = match message.role {
            ChatRole::Tool => result(message, &request.messages[..at]),
            ChatRole::Assistant => with_calls(message, style),
            ChatRole::System | ChatRole::User => {
                messages.push(message.clone());
                continue;
            }
        };
        let role = match message.role {
            ChatRole::Tool => ChatRole::User,
            other => other,
        };
        match messages.last_mut() {
            // Results of one turn are one turn.
            Some(last) if message.role == ChatRole::Tool && is_result(&request.messages, at) => {
                last.content.push_str("\n\n");
                last.content.push_str(&text);
            }
            _ => messages.push(ChatMessage::text(role, text)),
        }
    }
    if let Some(instructions) = instructions {
        match messages
            .iter_mut()
            .find(|turn| turn.role == ChatRole::System)
        {
            Some(system) if system.content.is_empty() => system.content = instructions,
            Some(system) => system.content = format!("{}\n\n{instructions}", system.content),
            None => messages.insert(0, ChatMessage::text(ChatRole::System, instructions)),
        }
    }
    ChatRequest {
        messages,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        ..request
    }
}

/// Whether the message before `at` is a result too.
fn is_result(messages: &[ChatMessage], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| &messages[before]);
    before.is_some_and(|before| before.role == ChatRole::Tool)
}

/// The tools that may be called.
pub(in super::super) fn offered(request: &ChatRequest) -> Vec<&Tool> {
    let may = |tool: &&Tool| match &request.tool_choice {
        ToolChoice::None => false,
        ToolChoice::Auto | ToolChoice::Required => true,
        ToolChoice::Function(name) => tool.name == *name,
    };
    request.tools.iter().filter(may).collect()
}

/// `None` if nothing may be called.
fn instructions(request: &ChatRequest, style: Style) -> Option<String> {
    let tools = offered(request);
    if tools.is_empty() {
        return None;
    }
    let mut text = String::from("You can call these functions:\n");
    for tool in tools {
        text.push('\n');
        match style {
            Style::Fenced => describe(tool, &mut text),
            Style::Bare => text.push_str(&signature(tool)),
        }
    }
    text.push_str("\n\n");
    text.push_str(match style {
        Style::Fenced => {
            "To call a function, write a block in exactly this form:\n\n\
             ```tool_call\n{\"tool\": \"NAME\", \"arguments\": {}}\n```\n\n\
             Fill in the function's name and its arguments as one JSON object. Write one block \
             for each call, and nothing after the last block: the results come in the next \
             message. Never write results yourself."
        }
        Style::Bare => {
            "To call a function, reply with only {\"tool\":\"NAME\",\"arguments\":{...}}. \
             The result comes in the next message."
        }
    });
    text.push(' ');
    text.push_str(&match &request.tool_choice {
        ToolChoice::Function(name) => format!("Now you must call `{name}`."),
        ToolChoice::Required => "Now you must call a function.".to_owned(),
        ToolChoice::Auto | ToolChoice::None => {
            "If no function is needed, answer in plain text.".to_owned()
        }
    });
    Some(text)
}

fn describe(tool: &Tool, text: &mut String) {
    text.push_str(&format!("- `{}`", tool.name));
    if !tool.description.is_empty() {
        text.push_str(&format!(": {}", tool.description.trim()));
    }
    text.push_str(&format!(
        "\n  JSON Schema of its arguments: {}",
        tool.parameters
    ));
}

/// `search(query: string, limit?: integer): Finds passages.`
fn signature(tool: &Tool) -> String {
    let required = tool.parameters["required"].as_array();
    let must = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let fields = tool.parameters["properties"].as_object();
    let fields = fields.into_iter().flatten().map(|(name, schema)| {
        let mark = if must(name) { "" } else { "?" };
        let mut field = format!("{name}{mark}: {}", kind(schema));
        if let Some(description) = schema["description"].as_str() {
            field.push_str(&format!(" ({})", description.trim()));
        }
        field
    });
    let mut text = format!("{}({})", tool.name, fields.collect::<Vec<_>>().join(", "));
    if !tool.description.is_empty() {
        text.push_str(&format!(": {}", tool.description.trim()));
    }
    text
}

/// The type of a value in a few letters.
fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        return values.join("|");
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("{}[]", kind_of_items(schema)),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join("|")
        }
        _ => "any".to_owned(),
    }
}

fn kind_of_items(schema: &Value) -> String {
    match &schema["items"] {
        Value::Null => "any".to_owned(),
        items => kind(items),
    }
}

/// What the assistant said, with its calls as it was told to write them.
fn with_calls(message: &ChatMessage, style: Style) -> String {
    let mut text = message.content.clone();
    for call in &message.tool_calls {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        let call = written(call);
        match style {
            Style::Fenced => text.push_str(&format!("```tool_call\n{call}\n```")),
            Style::Bare => text.push_str(&call),
        }
    }
    text
}

/// Arguments that are no JSON stand there as a text.
fn written(call: &ToolCall) -> String {
    let arguments = serde_json::from_str(&call.arguments);
    let arguments = arguments.unwrap_or_else(|_| Value::from(call.arguments.as_str()));
    json!({"tool": call.name, "arguments": arguments}).to_string()
}

/// A function's result as what the user brings; `before` names the function.
fn result(message: &ChatMessage, before: &[ChatMessage]) -> String {
    let calls = before.iter().rev().flat_map(|turn| &turn.tool_calls);
    let id = message.tool_call_id.as_deref();
    let name = calls
        .filter(|call| Some(call.id.as_str()) == id)
        .map(|call| call.name.as_str())
        .next();
    match name {
        Some(name) => format!("Result of `{name}`:\n{}", message.content),
        None => format!("Result of a function:\n{}", message.content),
    }
}
