//! Google's Gemini API: `streamGenerateContent` as server-sent events.
//!
//! Written after Google's API reference, "Generating content" and "Function
//! calling". There is no last event: the stream ends after a finish reason.

use std::collections::HashMap;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::chat::{ChatMessage, ChatRequest, ChatRole, Finish, ProviderEvent, ToolChoice};
use super::super::{GatewayError, Secret};
use super::address::{base_url, sensitive};
use super::counts::{self, list};
use super::dialect::{Dialect, Ending, Fault, HttpCall, Reader, parse};
use super::tool_calls::{ToolCalls, arguments_object};
use cairn_settings::config::ProviderConfig;

/// Parameters of OpenAI's format that this one knows too, and their names in it.
const SPOKEN: [(&str, &str); 3] = [
    ("top_k", "topK"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
];

/// The dialect with its address and key.
pub(super) fn gemini(
    config: &ProviderConfig,
    key: Option<&Secret>,
) -> Result<Box<dyn Dialect>, GatewayError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let name = HeaderName::from_static("x-goog-api-key");
        headers.insert(name, sensitive(config, key.expose())?);
    }
    let base = base_url(config)?;
    Ok(Box::new(Gemini { base, headers }))
}

struct Gemini {
    base: Url,
    headers: HeaderMap,
}

impl Dialect for Gemini {
    fn call(&self, request: &ChatRequest, model: &str, stream: bool) -> HttpCall {
        let mut url = self.base.clone();
        let method = match stream {
            true => "streamGenerateContent",
            false => "generateContent",
        };
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(["models", &format!("{model}:{method}")]);
        }
        if stream {
            url.query_pairs_mut().append_pair("alt", "sse");
        }
        HttpCall {
            url,
            headers: self.headers.clone(),
            body: body(request),
        }
    }

    fn refuses<'a>(&self, request: &'a ChatRequest) -> Option<&'a str> {
        request.parameter_besides(&SPOKEN.map(|(name, _)| name))
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(GeminiReader::default())
    }
}

fn body(request: &ChatRequest) -> Value {
    let mut generation = json!({
        "maxOutputTokens": request.max_tokens,
        "temperature": request.temperature,
    });
    if let Some(top_p) = request.top_p {
        generation["topP"] = json!(top_p);
    }
    if let Some(seed) = request.seed {
        generation["seed"] = json!(seed);
    }
    for (name, own) in SPOKEN {
        if let Some(value) = request.parameters.get(name) {
            generation[own] = value.clone();
        }
    }
    if !request.stop.is_empty() {
        generation["stopSequences"] = json!(request.stop);
    }
    let mut body = json!({
        "contents": contents(&request.messages),
        "generationConfig": generation,
    });
    let system: Vec<Value> = request
        .messages
        .iter()
        .filter(|message| message.role == ChatRole::System)
        .map(|message| json!({"text": message.content}))
        .collect();
    if !system.is_empty() {
        body["systemInstruction"] = json!({"parts": system});
    }
    if !request.tools.is_empty() {
        let functions: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| {
                json!({
                    "name": tool.name,
                    "description": tool.description,
                    "parametersJsonSchema": tool.parameters,
                })
            })
            .collect();
        body["tools"] = json!([{"functionDeclarations": functions}]);
        let calling = match &request.tool_choice {
            ToolChoice::Auto => json!({"mode": "AUTO"}),
            ToolChoice::None => json!({"mode": "NONE"}),
            ToolChoice::Required => json!({"mode": "ANY"}),
            ToolChoice::Function(name) => {
                json!({"mode": "ANY", "allowedFunctionNames": [name]})
            }
        };
        body["toolConfig"] = json!({"functionCallingConfig": calling});
    }
    body
}

/// Turns of `user` and `model`. A result names its function, not its call, so
/// the names are looked up among the calls before it.
fn contents(messages: &[ChatMessage]) -> Vec<Value> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in messages {
        let text = (!message.content.is_empty()).then(|| json!({"text": message.content}));
        let (role, parts) = match message.role {
            ChatRole::System => continue,
            ChatRole::User => ("user", text.into_iter().collect()),
            ChatRole::Assistant => {
                let mut parts: Vec<Value> = text.into_iter().collect();
                for call in &message.tool_calls {
                    names.insert(&call.id, &call.name);
                    let args = arguments_object(call);
                    let mut part = json!({"functionCall": {"name": call.name, "args": args}});
                    if let Some(signature) = &call.signature {
                        part["thoughtSignature"] = json!(signature);
                    }
                    parts.push(part);
                }
                ("model", parts)
            }
            ChatRole::Tool => {
                let id = message.tool_call_id.as_deref().unwrap_or_default();
                let name = names.get(id).copied().unwrap_or(id);
                let result = json!({"result": message.content});
                let part = json!({"functionResponse": {"name": name, "response": result}});
                ("user", vec![part])
            }
        };
        match turns.last_mut() {
            Some((last, all)) if *last == role => all.extend(parts),
            _ => turns.push((role, parts)),
        }
    }
    turns
        .into_iter()
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(role, parts)| json!({"role": role, "parts": parts}))
        .collect()
}

/// What has been read of one answer.
#[derive(Default)]
struct GeminiReader {
    model: Option<String>,
    finish: Option<Finish>,
    counts: counts::Counts,
    calls: ToolCalls,
}

impl Reader for GeminiReader {
    fn take(&mut self, data: &str, out: &mut Vec<ProviderEvent>) -> Result<(), Fault> {
        let chunk: StreamChunk = parse(data)?;
        if let Some(error) = chunk.error {
            return Err(Fault::Reported { error });
        }
        self.model = chunk.model_version.or(self.model.take());
        if let Some(counts) = chunk.usage_metadata {
            self.counts.update(counts.all());
        }
        if chunk
            .prompt_feedback
            .is_some_and(|f| f.block_reason.is_some())
        {
            self.finish = Some(Finish::ContentFilter);
        }
        let Some(candidate) = chunk.candidates.into_iter().next() else {
            return Ok(());
        };
        for part in candidate.content.map(|c| c.parts).unwrap_or_default() {
            if let Some(call) = part.function_call {
                let index = self.calls.next_index();
                let joined = self.calls.at(index)?;
                joined.id = call.id.unwrap_or_default();
                joined.name = call.name;
                joined.arguments = call.args.map(|args| args.to_string()).unwrap_or_default();
                joined.signature = part.thought_signature;
            } else if part.thought == Some(true) {
                // Reasoning is not an answer, but a sign of life.
                out.push(ProviderEvent::Delta(String::new()));
            } else if let Some(text) = part.text.filter(|text| !text.is_empty()) {
                out.push(ProviderEvent::Delta(text));
            }
        }
        if let Some(reason) = candidate.finish_reason.filter(|reason| !reason.is_empty()) {
            self.finish = Some(match reason.as_str() {
                "MAX_TOKENS" => Finish::Length,
                "STOP" | "FINISH_REASON_UNSPECIFIED" => Finish::Stop,
                "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" => {
                    let what = "a function call that it cannot read itself".to_owned();
                    return Err(Fault::Garbled(what));
                }
                // SAFETY, RECITATION, BLOCKLIST, PROHIBITED_CONTENT, SPII, ...
                _ => Finish::ContentFilter,
            });
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        false
    }

    fn end(&mut self, out: &mut Vec<ProviderEvent>) -> Result<Ending, Fault> {
        let finish = match self.finish.ok_or(Fault::Cut)? {
            Finish::Stop if !self.calls.is_empty() => Finish::ToolCalls,
            finish => finish,
        };
        self.calls.finish(out);
        Ok(Ending {
            finish,
            counts: self.counts,
            model: self.model.take(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamChunk {
    #[serde(default, deserialize_with = "list")]
    candidates: Vec<Candidate>,
    #[serde(default)]
    usage_metadata: Option<Counts>,
    #[serde(default)]
    model_version: Option<String>,
    #[serde(default)]
    prompt_feedback: Option<Feedback>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default)]
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default, deserialize_with = "list")]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    text: Option<String>,
    /// The text is the model's reasoning, not its answer.
    #[serde(default)]
    thought: Option<bool>,
    #[serde(default)]
    function_call: Option<FunctionCall>,
    #[serde(default)]
    thought_signature: Option<String>,
}

#[derive(Deserialize)]
struct FunctionCall {
    #[serde(default)]
    id: Option<String>,
    name: String,
    #[serde(default)]
    args: Option<Value>,
}

/// Cumulative counts; reasoning is counted, and paid for, as output.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    #[serde(default, deserialize_with = "counts::field")]
    prompt_token_count: Option<usize>,
    #[serde(default, deserialize_with = "counts::field")]
    candidates_token_count: Option<usize>,
    #[serde(default, deserialize_with = "counts::field")]
    thoughts_token_count: Option<usize>,
    #[serde(default, deserialize_with = "counts::field")]
    cached_content_token_count: Option<usize>,
}

impl Counts {
    fn all(&self) -> counts::Counts {
        let written = self.candidates_token_count;
        let completion = match (written, self.thoughts_token_count) {
            (written, None) => written,
            (written, Some(thoughts)) => Some(written.unwrap_or(0).saturating_add(thoughts)),
        };
        counts::Counts {
            prompt: self.prompt_token_count,
            completion,
            cached: self.cached_content_token_count,
        }
    }
}
