//! OpenAI's answers: chunks of a stream, or one whole completion.
//!
//! Many servers speak this format, each a little differently: null where nothing
//! is said, content in parts, counts as floats, pings. Only what cannot be an
//! answer is refused.

use serde_json::Value;

use super::super::super::chat::{Finish, ProviderEvent};
use super::super::counts::{Counts, count};
use super::super::dialect::{Ending, Fault, Reader, parse};
use super::super::reported;
use super::super::tool_calls::{Fragment, ToolCalls};
use super::content::{Said, said};

/// What some servers send, as data, to keep a connection open.
const PINGS: &[&str] = &["ping", "pong", "keepalive", "keep-alive", "heartbeat"];
/// Fields that hold the model's reasoning; servers that send two say the same twice.
const REASONING: &[&str] = &[
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "thinking",
];

/// What has been read of one answer.
#[derive(Default)]
pub(super) struct OpenAiReader {
    model: Option<String>,
    finish: Option<Finish>,
    counts: Counts,
    calls: ToolCalls,
    /// Text or calls came in deltas, so a whole message says them again.
    by_delta: bool,
    /// Something came that any answer has.
    known: bool,
    /// An object came that no answer has.
    strange: bool,
    /// `[DONE]` came.
    over: bool,
}

impl Reader for OpenAiReader {
    fn take(&mut self, data: &str, out: &mut Vec<ProviderEvent>) -> Result<(), Fault> {
        let data = data.trim();
        if data.eq_ignore_ascii_case("[DONE]") {
            self.over = true;
            return Ok(());
        }
        if data.is_empty() || PINGS.iter().any(|ping| data.eq_ignore_ascii_case(ping)) {
            return Ok(());
        }
        let chunk: Value = parse(data)?;
        match &chunk {
            Value::Object(_) => self.chunk(&chunk, out),
            Value::Null => Ok(()),
            Value::String(text) if PINGS.iter().any(|ping| text.eq_ignore_ascii_case(ping)) => {
                Ok(())
            }
            _ => Err(Fault::Garbled("JSON that is not an object".to_owned())),
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn end(&mut self, out: &mut Vec<ProviderEvent>) -> Result<Ending, Fault> {
        if self.strange && !self.known {
            return Err(Fault::Garbled("an object without choices".to_owned()));
        }
        // Some servers leave out the finish reason, others `[DONE]`.
        let finish = self.finish.or(self.over.then_some(Finish::Stop));
        let finish = finish.ok_or(Fault::Cut)?;
        // Some servers say "stop" after tool calls.
        let finish = match finish {
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

impl OpenAiReader {
    fn chunk(&mut self, chunk: &Value, out: &mut Vec<ProviderEvent>) -> Result<(), Fault> {
        match &chunk["error"] {
            Value::Null | Value::Bool(false) => {}
            error => {
                return Err(Fault::Reported {
                    error: error.clone(),
                });
            }
        }
        if let Some(model) = chunk["model"].as_str().filter(|model| !model.is_empty()) {
            self.model = Some(model.to_owned());
        }
        let usage = &chunk["usage"];
        if usage.is_object() {
            self.counts.update(counts(usage));
            self.known = true;
        }
        let choices = match &chunk["choices"] {
            Value::Array(choices) => choices,
            Value::Null => {
                if reported::bare(chunk) {
                    return Err(Fault::Reported {
                        error: chunk.clone(),
                    });
                }
                // A ping, or what is yet to be invented.
                self.strange |= !usage.is_object();
                return Ok(());
            }
            _ => return Err(Fault::Garbled("choices that are not a list".to_owned())),
        };
        self.known = true;
        // Only one was asked for; a server that sends more numbers them.
        let first = |choice: &&Value| matches!(choice["index"].as_u64(), None | Some(0));
        let Some(choice) = choices.iter().find(first) else {
            return Ok(());
        };
        self.part(&choice["delta"], true, out)?;
        if !self.by_delta {
            self.part(&choice["message"], false, out)?;
        }
        self.finished(choice["finish_reason"].as_str(), choice)
    }

    fn part(
        &mut self,
        part: &Value,
        is_delta: bool,
        out: &mut Vec<ProviderEvent>,
    ) -> Result<(), Fault> {
        let Some(fields) = part.as_object() else {
            return Ok(());
        };
        let before = out.len();
        let mut thinks = REASONING.iter().any(|field| {
            let said = fields.get(*field).map(said);
            said.is_some_and(|Said { answer, reasoning }| !answer.is_empty() || reasoning)
        });
        // A refusal is the answer, in a field of its own.
        for field in ["content", "refusal"] {
            let Said { answer, reasoning } = fields.get(field).map(said).unwrap_or_default();
            thinks |= reasoning;
            if !answer.is_empty() {
                out.push(ProviderEvent::Delta(answer));
            }
        }
        if thinks && out.len() == before {
            // Not a word of the answer, but a sign of life.
            out.push(ProviderEvent::Delta(String::new()));
        }
        if let Some(Value::Array(fragments)) = fields.get("tool_calls") {
            for fragment in fragments {
                self.join(
                    fragment["index"].clone(),
                    &fragment["id"],
                    &fragment["function"],
                )?;
                self.by_delta |= is_delta;
            }
        }
        if let Some(function @ Value::Object(_)) = fields.get("function_call") {
            // How functions were called before there were tools: one, without an id.
            self.join(Value::from(0), &Value::Null, function)?;
            self.by_delta |= is_delta;
        }
        self.by_delta |= is_delta && out[before..].iter().any(is_text);
        Ok(())
    }

    fn join(&mut self, index: Value, id: &Value, function: &Value) -> Result<(), Fault> {
        self.calls.join(&Fragment {
            index: count(&index).map(|index| index as u64),
            id: id.as_str().unwrap_or_default(),
            name: function["name"].as_str().unwrap_or_default(),
            arguments: function.get("arguments"),
        })
    }

    /// Some servers say with every chunk, in an empty text, that it is not the last.
    fn finished(&mut self, reason: Option<&str>, choice: &Value) -> Result<(), Fault> {
        let Some(reason) = reason.map(str::trim).filter(|reason| !reason.is_empty()) else {
            return Ok(());
        };
        self.finish = Some(match reason.to_ascii_lowercase().as_str() {
            "null" | "none" => return Ok(()),
            "length" | "max_tokens" | "model_length" => Finish::Length,
            "tool_calls" | "function_call" | "tool_use" => Finish::ToolCalls,
            "content_filter" | "safety" | "refusal" => Finish::ContentFilter,
            "error" => {
                return Err(Fault::Reported {
                    error: choice.get("error").cloned().unwrap_or_default(),
                });
            }
            _ => Finish::Stop,
        });
        Ok(())
    }
}

fn is_text(event: &ProviderEvent) -> bool {
    matches!(event, ProviderEvent::Delta(text) if !text.is_empty())
}

fn counts(usage: &Value) -> Counts {
    // The newer interface of the same maker has other names.
    let either = |first: &str, second: &str| count(&usage[first]).or_else(|| count(&usage[second]));
    Counts {
        prompt: either("prompt_tokens", "input_tokens"),
        completion: either("completion_tokens", "output_tokens"),
        cached: count(&usage["prompt_tokens_details"]["cached_tokens"])
            .or_else(|| count(&usage["prompt_cache_hit_tokens"])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Text, calls and the end of an answer that comes as these chunks.
    fn read(chunks: &[Value]) -> Result<(String, Vec<String>, Ending), Fault> {
        let (mut reader, mut out) = (OpenAiReader::default(), Vec::new());
        for chunk in chunks {
            let data = chunk
                .as_str()
                .map_or_else(|| chunk.to_string(), str::to_owned);
            reader.take(&data, &mut out)?;
        }
        let ending = reader.end(&mut out)?;
        let (mut text, mut calls) = (String::new(), Vec::new());
        for event in out {
            match event {
                ProviderEvent::Delta(delta) => text.push_str(&delta),
                ProviderEvent::ToolCall(call) => {
                    calls.push(format!("{}{}", call.name, call.arguments))
                }
                ProviderEvent::Done { .. } => {}
            }
        }
        Ok((text, calls, ending))
    }

    fn delta(delta: Value) -> Value {
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
    }

    fn stop() -> Value {
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    }

    #[test]
    fn chunks_that_say_nothing() {
        let text = || delta(json!({"content": "Hi."}));
        for nothing in [
            json!({"id": "x", "choices": null, "usage": null}),
            json!({"type": "ping"}),
            json!({}),
            json!("ping"),
            json!("null"),
            json!({"choices": []}),
            json!({"choices": [null]}),
            json!({"choices": [{"delta": null}]}),
            json!({"choices": [{"delta": {"content": null, "tool_calls": null}}]}),
            json!({"error": null, "choices": null}),
        ] {
            let got = read(&[
                nothing.clone(),
                text(),
                nothing.clone(),
                stop(),
                nothing.clone(),
            ]);
            let (said, _, ending) = got.unwrap();
            assert_eq!(
                (said.as_str(), ending.finish),
                ("Hi.", Finish::Stop),
                "{nothing}"
            );
        }
        assert!(matches!(
            read(&[json!({"status": "ok"})]),
            Err(Fault::Garbled(_))
        ));
        assert!(matches!(read(&[json!(7)]), Err(Fault::Garbled(_))));
    }

    #[test]
    fn parts_and_reasoning() {
        for (first, expected) in [
            (
                json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
                "",
            ),
            (
                json!({"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "Yes. "}]}),
                "Yes. ",
            ),
            (
                json!({"content": ["Yes", {"type": "output_text", "text": ". "}]}),
                "Yes. ",
            ),
            (
                json!({"content": {"type": "text", "text": "Yes. "}}),
                "Yes. ",
            ),
            (json!({"reasoning_content": "hm", "content": ""}), ""),
            (json!({"reasoning": "hm", "content": null}), ""),
            (json!({"thinking": {"content": "hm"}}), ""),
            (json!({"content": 7}), ""),
            (json!({"refusal": "No. "}), "No. "),
        ] {
            let (text, ..) = read(&[
                delta(first.clone()),
                delta(json!({"content": "Hi."})),
                stop(),
            ])
            .unwrap();
            assert_eq!(text, format!("{expected}Hi."), "{first}");
            let whole = json!({"choices": [{"message": first, "finish_reason": "stop"}]});
            assert_eq!(read(&[whole]).unwrap().0, expected, "{first}");
        }
        // A whole message after its deltas says nothing new.
        let last = json!({"choices": [{"delta": {}, "message": {"content": "Hi."}, "finish_reason": "stop"}]});
        assert_eq!(
            read(&[delta(json!({"content": "Hi."})), last]).unwrap().0,
            "Hi."
        );
    }

    #[test]
    fn counts_in_any_form() {
        for (usage, expected) in [
            (
                json!({"prompt_tokens": 5, "completion_tokens": 3}),
                (Some(5), Some(3)),
            ),
            (
                json!({"prompt_tokens": 5.0, "completion_tokens": null}),
                (Some(5), None),
            ),
            (json!({"input_tokens": "5"}), (Some(5), None)),
            (
                json!({"prompt_tokens": -5, "completion_tokens": 1e19}),
                (None, Some(10_000_000_000_000_000_000)),
            ),
            (json!({"prompt_tokens_details": null}), (None, None)),
            (json!(3), (None, None)),
        ] {
            let mut last = stop();
            last["usage"] = usage.clone();
            let (_, _, ending) = read(&[last]).unwrap();
            assert_eq!(
                (ending.counts.prompt, ending.counts.completion),
                expected,
                "{usage}"
            );
        }
    }

    #[test]
    fn an_answer_ends_with_a_reason() {
        let with = |reason: Value| json!({"choices": [{"delta": {"content": "Hi"}, "finish_reason": reason}]});
        for reason in [json!(""), json!(null), json!(" "), json!("null"), json!(0)] {
            let got = read(&[with(reason.clone())]);
            assert!(matches!(got, Err(Fault::Cut)), "{reason}");
            assert_eq!(
                read(&[with(reason), json!("[DONE]")]).unwrap().2.finish,
                Finish::Stop
            );
        }
        for (reason, finish) in [
            ("stop", Finish::Stop),
            ("LENGTH", Finish::Length),
            ("eos", Finish::Stop),
        ] {
            assert_eq!(read(&[with(json!(reason))]).unwrap().2.finish, finish);
        }
        assert!(matches!(
            read(&[with(json!("error"))]),
            Err(Fault::Reported { .. })
        ));
    }

    #[test]
    fn errors_in_any_form() {
        for error in [
            json!({"error": {"message": "x", "code": 400}}),
            json!({"error": "model overloaded"}),
            json!({"object": "error", "message": "x", "code": 400}),
            json!({"message": "x", "code": "bad"}),
            json!({"type": "error", "error": {"type": "overloaded_error"}}),
            json!({"detail": "Not found"}),
        ] {
            assert!(
                matches!(
                    read(std::slice::from_ref(&error)),
                    Err(Fault::Reported { .. })
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn functions_of_old() {
        let (_, calls, ending) = read(&[
            delta(json!({"function_call": {"name": "tide", "arguments": "{\"a\""}})),
            delta(json!({"function_call": {"arguments": ":1}"}})),
            stop(),
        ])
        .unwrap();
        assert_eq!(calls, ["tide{\"a\":1}"]);
        assert_eq!(ending.finish, Finish::ToolCalls);
    }
}
