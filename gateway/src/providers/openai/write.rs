//! A chat as the body of OpenAI's request.

use serde_json::{Value, json};

use super::super::super::chat::{ChatMessage, ChatRequest, ChatRole, Tool, ToolChoice};

/// The body of one request.
pub(super) fn body(request: &ChatRequest, model: &str, stream: bool) -> Value {
    let messages: Vec<Value> = request.messages.iter().map(message).collect();
    let mut body = json!({
        "model": model,
        "messages": messages,
        "stream": stream,
    });
    if reasons(model) {
        // These models take no temperature, and count their reasoning too.
        body["max_completion_tokens"] = json!(request.max_tokens);
    } else {
        body["max_tokens"] = json!(request.max_tokens);
        body["temperature"] = json!(request.temperature);
    }
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    if let Some(top_p) = request.top_p {
        body["top_p"] = json!(top_p);
    }
    if let Some(seed) = request.seed {
        body["seed"] = json!(seed);
    }
    if !request.stop.is_empty() {
        body["stop"] = json!(request.stop);
    }
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
        body["tool_choice"] = match &request.tool_choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Function(name) => {
                json!({"type": "function", "function": {"name": name}})
            }
        };
    }
    for (name, value) in &request.parameters {
        // What the gateway says itself is not said again.
        if body.get(name).is_none() {
            body[name.as_str()] = value.clone();
        }
    }
    body
}

/// Whether `model` is one of OpenAI's reasoning models, whose requests have
/// other fields. Only their own names count, not those of other makers.
fn reasons(model: &str) -> bool {
    let name = model.strip_prefix("openai/").unwrap_or(model);
    let numbered = name
        .strip_prefix('o')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    numbered || name.starts_with("gpt-5")
}

fn message(message: &ChatMessage) -> Value {
    let mut value = json!({"role": message.role, "content": message.content});
    if !message.tool_calls.is_empty() {
        if message.content.is_empty() {
            value["content"] = Value::Null;
        }
        let calls = message.tool_calls.iter().map(|call| {
            json!({
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })
        });
        value["tool_calls"] = calls.collect();
    }
    if let (ChatRole::Tool, Some(id)) = (message.role, &message.tool_call_id) {
        value["tool_call_id"] = json!(id);
    }
    value
}

fn tool(tool: &Tool) -> Value {
    json!({
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_passed_on() {
        let mut request = ChatRequest {
            seed: Some(7),
            ..ChatRequest::default()
        };
        let parameters = json!({"logit_bias": {"50256": -100}, "top_k": 40, "seed": 8});
        request.parameters = parameters.as_object().unwrap().clone();
        let body = body(&request, "m", true);
        assert_eq!(body["logit_bias"], json!({"50256": -100}));
        assert_eq!((&body["top_k"], &body["seed"]), (&json!(40), &json!(7)));
    }

    #[test]
    fn reasoning_models_get_their_own_fields() {
        let request = ChatRequest {
            max_tokens: 7,
            ..ChatRequest::default()
        };
        for model in ["o1", "o4-mini", "gpt-5.2", "openai/o3"] {
            let body = body(&request, model, true);
            assert_eq!(body["max_completion_tokens"], 7, "{model}");
            assert_eq!(body.get("temperature"), None, "{model}");
        }
        for model in ["gpt-4o", "olmo-2", "qwen", "my/o1"] {
            assert_eq!(body(&request, model, true)["max_tokens"], 7, "{model}");
        }
    }
}
