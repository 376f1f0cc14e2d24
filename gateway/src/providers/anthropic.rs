//! Anthropic's Messages API.
//!
//! Written after Anthropic's API reference: "Create a Message", "Streaming
//! messages" and "Tool use".

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::chat::{
    ChatMessage, ChatRequest, ChatRole, Finish, ProviderErrorKind, ProviderEvent, ToolChoice, Usage,
};
use super::super::{GatewayError, Secret};
use super::address::{base_url, sensitive};
use super::dialect::{Call, Dialect, Ending, Fault, Reader, parse};
use super::tool_calls::{ToolCalls, arguments_object};
use cairn_settings::config::ProviderConfig;

/// The version of the API that this file is written for.
const VERSION: &str = "2023-06-01";

/// The dialect with its address and key.
pub(super) fn anthropic(
    config: &ProviderConfig,
    key: Option<&Secret>,
) -> Result<Box<dyn Dialect>, GatewayError> {
    let mut headers = HeaderMap::new();
    let version = HeaderValue::from_static(VERSION);
    headers.insert(HeaderName::from_static("anthropic-version"), version);
    if let Some(key) = key {
        let name = HeaderName::from_static("x-api-key");
        headers.insert(name, sensitive(config, key.expose())?);
    }
    let mut url = base_url(config)?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("messages");
    }
    Ok(Box::new(Anthropic { url, headers }))
}

struct Anthropic {
    url: Url,
    headers: HeaderMap,
}

impl Dialect for Anthropic {
    fn call(&self, request: &ChatRequest, model: &str, stream: bool) -> Call {
        Call {
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: body(request, model, stream),
        }
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(AnthropicReader::default())
    }
}

fn body(request: &ChatRequest, model: &str, stream: bool) -> Value {
    let system: Vec<&str> = request
        .messages
        .iter()
        .filter(|message| message.role == ChatRole::System)
        .map(|message| message.content.as_str())
        .collect();
    let mut body = json!({
        "model": model,
        "max_tokens": request.max_tokens,
        // Other providers go up to 2; more than 1 is refused here.
        "temperature": request.temperature.min(1.0),
        "messages": turns(&request.messages),
        "stream": stream,
    });
    if !system.is_empty() {
        body["system"] = json!(system.join("\n\n"));
    }
    if let Some(top_p) = request.top_p {
        body["top_p"] = json!(top_p);
    }
    if !request.stop.is_empty() {
        body["stop_sequences"] = json!(request.stop);
    }
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|tool| {
            json!({
                "name": tool.name,
                "description": tool.description,
                "input_schema": tool.parameters,
            })
        });
        body["tools"] = tools.collect();
        body["tool_choice"] = match &request.tool_choice {
            ToolChoice::Auto => json!({"type": "auto"}),
            ToolChoice::None => json!({"type": "none"}),
            ToolChoice::Required => json!({"type": "any"}),
            ToolChoice::Function(name) => json!({"type": "tool", "name": name}),
        };
    }
    body
}

/// Turns of user and assistant in blocks. Results of tools are the user's, and
/// those that follow each other must be one turn.
fn turns(messages: &[ChatMessage]) -> Vec<Value> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in messages {
        let (role, blocks) = match message.role {
            ChatRole::System => continue,
            ChatRole::User => ("user", text_block(&message.content)),
            ChatRole::Assistant => {
                let mut blocks = text_block(&message.content);
                blocks.extend(message.tool_calls.iter().map(|call| {
                    let input = arguments_object(call);
                    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
                }));
                ("assistant", blocks)
            }
            ChatRole::Tool => {
                let id = message.tool_call_id.as_deref().unwrap_or_default();
                let result =
                    json!({"type": "tool_result", "tool_use_id": id, "content": message.content});
                ("user", vec![result])
            }
        };
        match turns.last_mut() {
            Some((last, all)) if *last == role => all.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns
        .into_iter()
        // An empty turn is refused by the API.
        .filter(|(_, blocks)| !blocks.is_empty())
        .map(|(role, content)| json!({"role": role, "content": content}))
        .collect()
}

fn text_block(text: &str) -> Vec<Value> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    vec![json!({"type": "text", "text": text})]
}

/// What has been read of one answer.
#[derive(Default)]
struct AnthropicReader {
    model: Option<String>,
    finish: Option<Finish>,
    counts: Counts,
    calls: ToolCalls,
    over: bool,
}

impl Reader for AnthropicReader {
    fn take(&mut self, data: &str, out: &mut Vec<ProviderEvent>) -> Result<(), Fault> {
        match parse(data)? {
            Event::Error { error } => {
                return Err(Fault::Reported {
                    kind: match error["type"].as_str() {
                        Some("overloaded_error" | "rate_limit_error") => {
                            ProviderErrorKind::RateLimited
                        }
                        _ => ProviderErrorKind::Failed,
                    },
                    error,
                });
            }
            Event::MessageStart { message } => self.message(message, out)?,
            Event::Message(message) => {
                self.message(message, out)?;
                self.over = true;
            }
            Event::ContentBlockStart {
                index,
                content_block,
            } => self.block(index, content_block, out)?,
            Event::ContentBlockDelta { index, delta } => match delta {
                BlockDelta::Text { text } if !text.is_empty() => {
                    out.push(ProviderEvent::Delta(text));
                }
                BlockDelta::Json { partial_json } => {
                    self.calls.at(index)?.arguments.push_str(&partial_json);
                }
                _ => {}
            },
            Event::MessageDelta { delta, usage } => {
                self.stopped(delta.stop_reason);
                self.counts.update(usage);
            }
            Event::MessageStop => self.over = true,
            Event::Other => {}
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn end(&mut self, out: &mut Vec<ProviderEvent>) -> Option<Ending> {
        let finish = self.finish?;
        self.calls.finish(out);
        Some(Ending {
            finish,
            usage: self.counts.usage(),
            model: self.model.take(),
        })
    }
}

impl AnthropicReader {
    fn message(&mut self, message: Message, out: &mut Vec<ProviderEvent>) -> Result<(), Fault> {
        self.model = message.model;
        self.counts.update(message.usage);
        for (index, block) in message.content.into_iter().enumerate() {
            self.block(index as u64, block, out)?;
        }
        self.stopped(message.stop_reason);
        Ok(())
    }

    fn block(
        &mut self,
        index: u64,
        block: Block,
        out: &mut Vec<ProviderEvent>,
    ) -> Result<(), Fault> {
        match block {
            Block::Text { text } if !text.is_empty() => out.push(ProviderEvent::Delta(text)),
            Block::ToolUse { id, name, input } => {
                let call = self.calls.at(index)?;
                (call.id, call.name) = (id, name);
                // A stream begins with an empty object; fragments follow.
                if input.as_object().is_some_and(|input| !input.is_empty()) {
                    call.arguments = input.to_string();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn stopped(&mut self, reason: Option<String>) {
        if let Some(reason) = reason {
            self.finish = Some(match reason.as_str() {
                "max_tokens" | "model_context_window_exceeded" => Finish::Length,
                "tool_use" => Finish::ToolCalls,
                "refusal" => Finish::ContentFilter,
                _ => Finish::Stop,
            });
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    /// A whole answer.
    Message(Message),
    MessageStart {
        message: Message,
    },
    ContentBlockStart {
        index: u64,
        content_block: Block,
    },
    ContentBlockDelta {
        index: u64,
        delta: BlockDelta,
    },
    MessageDelta {
        delta: Stopped,
        #[serde(default)]
        usage: Option<Counts>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    /// `ping`, `content_block_stop`, and what is yet to be invented: the
    /// documentation asks to pass over unknown events.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    content: Vec<Block>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Option<Counts>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    /// Thinking, for one.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum BlockDelta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    Json { partial_json: String },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Stopped {
    #[serde(default)]
    stop_reason: Option<String>,
}

/// Cumulative counts. Cached tokens are not part of `input_tokens`.
#[derive(Default, Deserialize)]
struct Counts {
    input_tokens: Option<usize>,
    cache_read_input_tokens: Option<usize>,
    cache_creation_input_tokens: Option<usize>,
    output_tokens: Option<usize>,
}

impl Counts {
    /// Later counts replace earlier ones, where they are given.
    fn update(&mut self, later: Option<Self>) {
        let Some(later) = later else { return };
        let replace = |old: &mut Option<usize>, new: Option<usize>| *old = new.or(*old);
        replace(&mut self.input_tokens, later.input_tokens);
        replace(
            &mut self.cache_read_input_tokens,
            later.cache_read_input_tokens,
        );
        replace(
            &mut self.cache_creation_input_tokens,
            later.cache_creation_input_tokens,
        );
        replace(&mut self.output_tokens, later.output_tokens);
    }

    fn usage(&self) -> Option<Usage> {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        Some(Usage {
            prompt_tokens: self.input_tokens?
                + cached
                + self.cache_creation_input_tokens.unwrap_or(0),
            completion_tokens: self.output_tokens?,
            cached_prompt_tokens: cached,
            ..Usage::default()
        })
    }
}
