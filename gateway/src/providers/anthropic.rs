//! Anthropic's Messages API.
//!
//! Written after Anthropic's API reference: "Create a Message", "Streaming
//! messages" and "Tool use".

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::chat::{ChatMessage, ChatRequest, ChatRole, Finish, ProviderEvent, ToolChoice};
use super::super::{GatewayError, Secret};
use super::address::{base_url, sensitive};
use super::counts::{self, list};
use super::dialect::{Dialect, Ending, Fault, HttpCall, Reader, parse};
use super::tool_calls::{ToolCalls, arguments_object};
use cairn_settings::config::ProviderConfig;

/// The version of the API that this file is written for.
const VERSION: &str = "2023-06-01";
/// Whether several calls may come in one answer.
const PARALLEL: &str = "parallel_tool_calls";
/// Parameters of OpenAI's format that have a name here too.
const SPOKEN: &[&str] = &["top_k", "user", PARALLEL];

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
    fn call(&self, request: &ChatRequest, model: &str, stream: bool) -> HttpCall {
        HttpCall {
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: body(request, model, stream),
        }
    }

    fn refuses<'a>(&self, request: &'a ChatRequest) -> Option<&'a str> {
        // The same seed twice would not give the same answer.
        let seed = request.seed.map(|_| "seed");
        seed.or_else(|| request.parameter_besides(SPOKEN))
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
    if let Some(top_k) = request.parameters.get("top_k") {
        body["top_k"] = top_k.clone();
    }
    if let Some(user) = request.parameters.get("user") {
        body["metadata"] = json!({"user_id": user});
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
        let one_by_one = request.parameters.get(PARALLEL) == Some(&Value::Bool(false));
        if one_by_one && request.tool_choice != ToolChoice::None {
            body["tool_choice"]["disable_parallel_tool_use"] = json!(true);
        }
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
                return Err(Fault::Reported { error });
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
                BlockDelta::Text { text } => {
                    out.extend(
                        text.filter(|text| !text.is_empty())
                            .map(ProviderEvent::Delta),
                    );
                }
                BlockDelta::Json { partial_json } => {
                    let piece = partial_json.unwrap_or_default();
                    self.calls.at(index)?.arguments.push_str(&piece);
                }
                // Reasoning is not an answer, but a sign of life.
                BlockDelta::Thinking => out.push(ProviderEvent::Delta(String::new())),
                BlockDelta::Other => {}
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

    fn end(&mut self, out: &mut Vec<ProviderEvent>) -> Result<Ending, Fault> {
        let finish = self.finish.ok_or(Fault::Cut)?;
        self.calls.finish(out);
        Ok(Ending {
            finish,
            counts: self.counts.all(),
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
            Block::Text { text } => {
                out.extend(
                    text.filter(|text| !text.is_empty())
                        .map(ProviderEvent::Delta),
                );
            }
            Block::ToolUse { id, name, input } => {
                let call = self.calls.at(index)?;
                (call.id, call.name) = (id, name);
                // A stream begins with an empty object; fragments follow.
                if input.as_object().is_some_and(|input| !input.is_empty()) {
                    call.arguments = input.to_string();
                }
            }
            Block::Other => {}
        }
        Ok(())
    }

    fn stopped(&mut self, reason: Option<String>) {
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
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
    #[serde(default, deserialize_with = "list")]
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
        text: Option<String>,
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
    Text { text: Option<String> },
    #[serde(rename = "input_json_delta")]
    Json { partial_json: Option<String> },
    #[serde(rename = "thinking_delta")]
    Thinking,
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
#[serde(default)]
struct Counts {
    #[serde(deserialize_with = "counts::field")]
    input_tokens: Option<usize>,
    #[serde(deserialize_with = "counts::field")]
    cache_read_input_tokens: Option<usize>,
    #[serde(deserialize_with = "counts::field")]
    cache_creation_input_tokens: Option<usize>,
    #[serde(deserialize_with = "counts::field")]
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

    fn all(&self) -> counts::Counts {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let created = self.cache_creation_input_tokens.unwrap_or(0);
        let whole = |fresh: usize| fresh.saturating_add(cached).saturating_add(created);
        counts::Counts {
            prompt: self.input_tokens.map(whole),
            completion: self.output_tokens,
            cached: Some(cached),
        }
    }
}
