//! OpenAI's answers: chunks of a stream, or one whole completion.

use serde::Deserialize;
use serde_json::Value;

use super::super::super::chat::{Finish, ProviderErrorKind, ProviderEvent, Usage};
use super::super::dialect::{Ending, Fault, Reader, parse};
use super::super::tool_calls::ToolCalls;

/// What has been read of one answer.
#[derive(Default)]
pub(super) struct OpenAiReader {
    model: Option<String>,
    finish: Option<Finish>,
    usage: Option<Usage>,
    calls: ToolCalls,
    /// `[DONE]` came.
    over: bool,
}

impl Reader for OpenAiReader {
    fn take(&mut self, data: &str, out: &mut Vec<ProviderEvent>) -> Result<(), Fault> {
        let data = data.trim();
        if data == "[DONE]" {
            self.over = true;
            return Ok(());
        }
        if data.is_empty() {
            return Ok(());
        }
        let chunk: Chunk = parse(data)?;
        if let Some(error) = chunk.error {
            return Err(Fault::Reported {
                kind: kind_of(&error),
                error,
            });
        }
        if let Some(model) = chunk.model.filter(|model| !model.is_empty()) {
            self.model = Some(model);
        }
        if chunk.choices.is_none() && chunk.usage.is_none() {
            return Err(Fault::Garbled("an object without choices".to_owned()));
        }
        if let Some(counts) = chunk.usage {
            self.usage = Some(counts.into());
        }
        let Some(choice) = chunk.choices.into_iter().flatten().next() else {
            return Ok(());
        };
        if let Some(part) = choice.delta.or(choice.message) {
            // A refusal is the answer, in a field of its own.
            for text in [part.content, part.refusal].into_iter().flatten() {
                if !text.is_empty() {
                    out.push(ProviderEvent::Delta(text));
                }
            }
            for fragment in part.tool_calls.into_iter().flatten() {
                self.join(fragment)?;
            }
        }
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(match reason.as_str() {
                "length" | "max_tokens" => Finish::Length,
                "tool_calls" | "function_call" => Finish::ToolCalls,
                "content_filter" => Finish::ContentFilter,
                _ => Finish::Stop,
            });
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn end(&mut self, out: &mut Vec<ProviderEvent>) -> Option<Ending> {
        // Some servers leave out the finish reason, others `[DONE]`.
        let finish = self.finish.or(self.over.then_some(Finish::Stop))?;
        // Some servers say "stop" after tool calls.
        let finish = match finish {
            Finish::Stop if !self.calls.is_empty() => Finish::ToolCalls,
            finish => finish,
        };
        self.calls.finish(out);
        Some(Ending {
            finish,
            usage: self.usage,
            model: self.model.take(),
        })
    }
}

impl OpenAiReader {
    fn join(&mut self, fragment: CallFragment) -> Result<(), Fault> {
        let next = self.calls.next_index();
        // Ollama sends whole calls without an index.
        let call = self.calls.at(fragment.index.unwrap_or(next))?;
        if let Some(id) = fragment.id.filter(|id| !id.is_empty()) {
            call.id = id;
        }
        if let Some(function) = fragment.function {
            if let Some(name) = function.name {
                call.name.push_str(&name);
            }
            match function.arguments {
                Some(Value::String(text)) => call.arguments.push_str(&text),
                Some(Value::Null) | None => {}
                Some(whole) => call.arguments.push_str(&whole.to_string()),
            }
        }
        Ok(())
    }
}

/// The kind of an error inside an answer.
fn kind_of(error: &Value) -> ProviderErrorKind {
    let is = |field: &str, words: &[&str]| match &error[field] {
        Value::String(text) => words.iter().any(|word| text.contains(word)),
        Value::Number(number) => words.contains(&number.to_string().as_str()),
        _ => false,
    };
    if is("code", &["rate_limit", "429"]) || is("type", &["rate_limit"]) {
        ProviderErrorKind::RateLimited
    } else if is("code", &["context_length_exceeded"]) {
        ProviderErrorKind::TooLong
    } else {
        ProviderErrorKind::Failed
    }
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<TokenCounts>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Part>,
    #[serde(default)]
    message: Option<Part>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<CallFragment>>,
}

#[derive(Deserialize)]
struct CallFragment {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionFragment>,
}

#[derive(Deserialize)]
struct FunctionFragment {
    #[serde(default)]
    name: Option<String>,
    /// A piece of JSON text; an object from servers that parse it themselves.
    #[serde(default)]
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct TokenCounts {
    #[serde(default)]
    prompt_tokens: usize,
    #[serde(default)]
    completion_tokens: usize,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<usize>,
}

impl From<TokenCounts> for Usage {
    fn from(counts: TokenCounts) -> Self {
        let details = counts.prompt_tokens_details;
        Self {
            prompt_tokens: counts.prompt_tokens,
            completion_tokens: counts.completion_tokens,
            cached_prompt_tokens: details.and_then(|d| d.cached_tokens).unwrap_or(0),
            ..Self::default()
        }
    }
}
