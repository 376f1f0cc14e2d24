//! Responses and their events, as OpenAI's clients read them.

use serde_json::{Map, Value, json};

use super::super::search::score;
use super::super::{file_id, file_name};
use super::failure;
use crate::ingest::uploads::now;
use crate::server::error::ApiError;
use crate::server::routes::chat::documents::citations;
use cairn_engine::answer::Answered;
use cairn_engine::retrieve::Source;
use cairn_gateway::Usage;

/// Places of the two items of every response.
const CALL: usize = 0;
const MESSAGE: usize = 1;

/// What every object of one response says.
#[derive(Clone)]
pub(super) struct Shape {
    id: String,
    call_id: String,
    message_id: String,
    created_at: i64,
    /// As the request names it.
    model: String,
    /// As the request has them.
    tools: Value,
    question: String,
}

impl Shape {
    pub(super) fn new(model: String, tools: Value, question: String) -> Self {
        let unique = || uuid::Uuid::now_v7().simple().to_string();
        Self {
            id: format!("resp_{}", unique()),
            call_id: format!("fs_{}", unique()),
            message_id: format!("msg_{}", unique()),
            created_at: now(),
            model,
            tools,
            question,
        }
    }

    /// The response with these items.
    pub(super) fn response(&self, status: &str, output: Vec<Value>) -> Value {
        // Not in the macro, which would copy what was found.
        let mut response = json!({
            "id": self.id, "object": "response", "created_at": self.created_at,
            "status": status, "error": null, "incomplete_details": null, "instructions": null,
            "model": self.model, "output": null, "parallel_tool_calls": false,
            "previous_response_id": null, "temperature": null, "top_p": null,
            "tool_choice": "auto", "tools": self.tools, "truncation": "disabled",
            "text": {"format": {"type": "text"}}, "store": false, "metadata": {}, "usage": null,
        });
        response["output"] = Value::Array(output);
        response
    }

    /// The search.
    pub(super) fn call(&self, status: &str, results: Option<Vec<Value>>) -> Value {
        let mut call = json!({
            "id": self.call_id, "type": "file_search_call", "status": status,
            "queries": [self.question], "results": null,
        });
        call["results"] = results.map_or(Value::Null, Value::Array);
        call
    }

    /// The answer.
    pub(super) fn message(&self, status: &str, content: &Value) -> Value {
        let content = match content {
            Value::Null => json!([]),
            content => json!([content]),
        };
        json!({
            "id": self.message_id, "type": "message", "role": "assistant", "status": status,
            "content": content,
        })
    }
}

/// Whether the answer is whole.
pub(super) fn status(answered: &Answered) -> &'static str {
    match answered.done.finish_reason.as_str() {
        "length" | "cancelled" => "incomplete",
        _ => "completed",
    }
}

/// What was found, with the facts of each.
pub(super) fn results(sources: &[Source], facts: Vec<Map<String, Value>>) -> Vec<Value> {
    let found = sources.iter().zip(facts);
    found
        .map(|(source, attributes)| {
            json!({
                "file_id": file_id(&source.document_id), "filename": file_name(&source.uri),
                "score": score(source), "text": source.text, "attributes": attributes,
            })
        })
        .collect()
}

/// The text with its citations: of pages of the web as such, of others as files.
pub(super) fn content(answered: &Answered) -> Value {
    let annotations: Vec<Value> = citations(&answered.done, &answered.sources)
        .map(|(source, mut place)| match source.uri.starts_with("http") {
            true => {
                place.insert("type".to_owned(), json!("url_citation"));
                Value::Object(place)
            }
            false => json!({
                "type": "file_citation", "index": place["start_index"],
                "file_id": file_id(&source.document_id), "filename": file_name(&source.uri),
            }),
        })
        .collect();
    text(&answered.done.answer, annotations)
}

fn text(text: &str, annotations: Vec<Value>) -> Value {
    json!({"type": "output_text", "text": text, "annotations": annotations, "logprobs": []})
}

pub(super) fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_prompt_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens(),
    })
}

/// The last event of a response that failed.
pub(super) fn failed_event(shape: &Shape, number: u64, error: &ApiError) -> String {
    let mut response = shape.response("failed", Vec::new());
    response["error"] = failure(error);
    frame(
        json!({"type": "response.failed", "response": response}),
        number,
    )
}

fn frame(mut event: Value, number: u64) -> String {
    event["sequence_number"] = json!(number);
    let kind = event["type"].as_str().unwrap_or_default();
    format!("event: {kind}\ndata: {event}\n\n")
}

/// The events of one stream, numbered.
pub(super) struct Events<'a> {
    shape: &'a Shape,
    number: u64,
    call: Value,
    /// Whether the message was begun.
    writes: bool,
}

impl<'a> Events<'a> {
    pub(super) fn new(shape: &'a Shape) -> Self {
        Self {
            shape,
            number: 0,
            call: shape.call("in_progress", None),
            writes: false,
        }
    }

    fn push(&mut self, frames: &mut String, event: Value) {
        frames.push_str(&frame(event, self.number));
        self.number += 1;
    }

    /// That there is a response, and that it searches.
    pub(super) fn begin(&mut self) -> String {
        let mut frames = String::new();
        for kind in ["response.created", "response.in_progress"] {
            let response = self.shape.response("in_progress", Vec::new());
            self.push(&mut frames, json!({"type": kind, "response": response}));
        }
        let item = self.call.clone();
        let added = "response.output_item.added";
        self.push(
            &mut frames,
            json!({"type": added, "output_index": CALL, "item": item}),
        );
        for step in ["in_progress", "searching"] {
            self.push(&mut frames, self.searching(step));
        }
        frames
    }

    fn searching(&self, step: &str) -> Value {
        json!({
            "type": format!("response.file_search_call.{step}"), "output_index": CALL,
            "item_id": self.shape.call_id,
        })
    }

    /// What the search found.
    pub(super) fn searched(&mut self, results: Option<Vec<Value>>) -> String {
        let mut frames = String::new();
        self.push(&mut frames, self.searching("completed"));
        self.call = self.shape.call("completed", results);
        let item = self.call.clone();
        let done = "response.output_item.done";
        self.push(
            &mut frames,
            json!({"type": done, "output_index": CALL, "item": item}),
        );
        frames
    }

    /// Some text.
    pub(super) fn delta(&mut self, delta: &str) -> String {
        let mut frames = self.opened();
        let event = self.of_text("delta", json!({"delta": delta, "logprobs": []}));
        self.push(&mut frames, event);
        frames
    }

    /// The message and its part, the first time.
    fn opened(&mut self) -> String {
        let mut frames = String::new();
        if std::mem::replace(&mut self.writes, true) {
            return frames;
        }
        let item = self.shape.message("in_progress", &Value::Null);
        let added = "response.output_item.added";
        self.push(
            &mut frames,
            json!({"type": added, "output_index": MESSAGE, "item": item}),
        );
        let part = self.of_part("added", &text("", Vec::new()));
        self.push(&mut frames, part);
        frames
    }

    fn of_part(&self, step: &str, part: &Value) -> Value {
        json!({
            "type": format!("response.content_part.{step}"), "item_id": self.shape.message_id,
            "output_index": MESSAGE, "content_index": 0, "part": part,
        })
    }

    fn of_text(&self, step: &str, more: Value) -> Value {
        let mut event = json!({
            "type": format!("response.output_text.{step}"), "item_id": self.shape.message_id,
            "output_index": MESSAGE, "content_index": 0,
        });
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        event
    }

    /// The citations of `content`, and the `whole` response.
    pub(super) fn end(&mut self, content: &Value, whole: &Value) -> String {
        let mut frames = self.opened();
        let annotations = content["annotations"].as_array();
        for (index, annotation) in annotations.into_iter().flatten().enumerate() {
            let more = json!({"annotation_index": index, "annotation": annotation});
            let event = self.of_text("annotation.added", more);
            self.push(&mut frames, event);
        }
        let done = self.of_text("done", json!({"text": content["text"], "logprobs": []}));
        self.push(&mut frames, done);
        let part = self.of_part("done", content);
        self.push(&mut frames, part);
        let item = self.shape.message("completed", content);
        let done = "response.output_item.done";
        self.push(
            &mut frames,
            json!({"type": done, "output_index": MESSAGE, "item": item}),
        );
        let kind = match whole["status"].as_str() {
            Some("incomplete") => "response.incomplete",
            _ => "response.completed",
        };
        self.push(&mut frames, json!({"type": kind, "response": whole}));
        frames
    }

    /// Why there is no answer.
    pub(super) fn failed(&self, error: &ApiError) -> String {
        failed_event(self.shape, self.number, error)
    }
}
