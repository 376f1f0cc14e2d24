//! The calls of one turn: checked, run concurrently, and reported to the model in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_engine::answer::{AnswerEvent, Step, milliseconds};
use cairn_engine::text::one_line_within;
use cairn_gateway::{ChatMessage, ToolCall};
use cairn_models::Cancel;
use cairn_settings::telemetry::TRACE_TARGET;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use metrics::{counter, histogram};
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::{Instrument as _, field};

use crate::agent::Parts;
use crate::render::render;
use crate::session::Session;
use crate::tool::{Tool, ToolContext, ToolError, ToolErrorKind, ToolOutput};
use crate::turn::Turn;
use cairn_settings::telemetry::metrics as names;

/// Maximum characters of a thought, and of a result's summary, in a step.
const MAX_SHOWN_CHARS: usize = 300;
/// Minimum tokens of a result that the model sees, however many calls a turn has.
const MIN_RESULT_TOKENS: usize = 150;

/// A call and its outcome.
struct Ended {
    at: usize,
    result: Result<ToolOutput, ToolError>,
    milliseconds: f64,
}

impl Parts {
    /// The calls of `turn` that a person must allow and has not decided about.
    pub(crate) fn undecided<'t>(&self, session: &Session, turn: &'t Turn) -> Vec<&'t ToolCall> {
        let context = session.context(&Cancel::never());
        let needs = |call: &&ToolCall| {
            self.settings.approve.contains(&call.name)
                && !session.decisions.contains_key(&call.id)
                // A call that cannot run anyway needs no approval.
                && session.tools.find(&call.name, &call.arguments, &context).is_ok()
                && !session.made.contains(&key(call))
        };
        turn.calls.iter().filter(needs).collect()
    }

    /// Runs the calls of `turn`, sends a step for each when it ends, and appends their results to
    /// the conversation.
    pub(crate) async fn run_calls(
        &self,
        session: &mut Session,
        turn: &Turn,
        out: &mpsc::Sender<AnswerEvent>,
        cancel: &Cancel,
    ) {
        let context = session.context(cancel);
        let mut running = FuturesUnordered::new();
        for (at, call) in turn.calls.iter().enumerate() {
            let ready = ready(session, call, &context);
            let context = context.clone();
            let limit = Duration::from_secs(self.settings.tool_seconds);
            let left = session
                .meter
                .tools_until
                .saturating_duration_since(Instant::now());
            running.push(async move {
                let start = Instant::now();
                let result = match ready {
                    Ok((tool, arguments)) => {
                        execute(&*tool, call, arguments, context, limit.min(left)).await
                    }
                    Err(error) => Err(error),
                };
                Ended {
                    at,
                    result,
                    milliseconds: milliseconds(start),
                }
            });
        }
        let mut ended: Vec<Option<Ended>> = turn.calls.iter().map(|_| None).collect();
        let mut cost = turn.usage.cost_usd;
        while let Some(one) = running.next().await {
            let call = &turn.calls[one.at];
            let step = Step {
                n: session.next_step(),
                turn: session.meter.turns,
                thought: shown(&turn.text),
                tool: call.name.chars().take(64).collect(),
                arguments: shown_arguments(&call.arguments),
                result: match &one.result {
                    Ok(output) => shown(&output.summary),
                    Err(error) => shown(&error.message),
                },
                ok: one.result.is_ok(),
                milliseconds: one.milliseconds,
                // The cost of the turn is counted once.
                cost_usd: std::mem::take(&mut cost),
            };
            session.steps.push(step.clone());
            out.send(AnswerEvent::Step(Box::new(step))).await.ok();
            let at = one.at;
            ended[at] = Some(one);
        }
        drop(running);
        let budget = self.settings.tool_tokens / turn.calls.len().max(1);
        let budget = budget.max(MIN_RESULT_TOKENS);
        for (call, ended) in turn.calls.iter().zip(ended) {
            let content = match ended.map(|ended| ended.result) {
                Some(Ok(output)) => render(&output, &mut session.ledger, budget, &session.boundary),
                Some(Err(error)) => format!("ERROR: {}", error.message),
                None => "ERROR: the call was not made".to_owned(),
            };
            session
                .messages
                .push(ChatMessage::tool_result(call, content));
        }
        if turn.dropped > 0 {
            let note = format!(
                "{} call(s) beyond the most of one turn were not made.",
                turn.dropped
            );
            session.tell(note);
        }
    }
}

/// The tool and the arguments of a call, if it may be made.
fn ready(
    session: &mut Session,
    call: &ToolCall,
    context: &ToolContext,
) -> Result<(Arc<dyn Tool>, Value), ToolError> {
    session
        .meter
        .take_call()
        .map_err(|limit| ToolError::failed(format!("not called: the run has reached {limit}")))?;
    if session.decisions.get(&call.id) == Some(&false) {
        return Err(ToolError::forbidden(
            "a person has not allowed this call; go on without it",
        ));
    }
    let found = session.tools.find(&call.name, &call.arguments, context)?;
    if !session.made.insert(key(call)) {
        return Err(ToolError::arguments(
            "this call was made before, and its result stands above: use it, or call with other \
             arguments",
        ));
    }
    Ok(found)
}

/// Identifies equal calls, whatever the order and spacing of their arguments.
fn key(call: &ToolCall) -> (String, String) {
    let sorted = match serde_json::from_str::<Value>(&call.arguments) {
        Ok(mut value) => {
            value.sort_all_objects();
            value.to_string()
        }
        Err(_) => call.arguments.clone(),
    };
    (call.name.clone(), sorted)
}

async fn execute(
    tool: &dyn Tool,
    call: &ToolCall,
    arguments: Value,
    context: ToolContext,
    limit: Duration,
) -> Result<ToolOutput, ToolError> {
    let name = tool.spec().name.clone();
    // After OpenTelemetry's conventions for generative AI.
    let span = tracing::info_span!(
        target: TRACE_TARGET,
        "execute_tool",
        otel.name = format!("execute_tool {name}"),
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = name,
        gen_ai.tool.call.id = call.id,
        gen_ai.tool.r#type = "function",
        error.r#type = field::Empty,
    );
    // Work on other threads ends with this call, even if the call is abandoned.
    let cancel = context.cancel.with_deadline(Instant::now() + limit);
    let context = ToolContext { cancel, ..context };
    let start = Instant::now();
    let work = tool.call(arguments, &context).instrument(span.clone());
    let result = match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(ToolError::new(
            ToolErrorKind::Timeout,
            format!("{name} did not answer within {:.1} s", limit.as_secs_f64()),
        )),
    };
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) => error.kind.as_str(),
    };
    if result.is_err() {
        span.record("error.type", outcome);
    }
    histogram!(names::TOOL_SECONDS, "tool" => name.clone()).record(start.elapsed());
    counter!(names::TOOL_CALLS, "tool" => name, "outcome" => outcome).increment(1);
    result
}

/// The first paragraph of `text`, on one line.
pub(crate) fn shown(text: &str) -> String {
    let first = text.trim().split("\n\n").next().unwrap_or_default();
    one_line_within(first, MAX_SHOWN_CHARS)
}

/// Arguments for display: long texts are cut, and anything that is not JSON is shown as text.
fn shown_arguments(arguments: &str) -> Value {
    fn cut(value: &mut Value) {
        match value {
            Value::String(text) => *text = shown(text),
            Value::Array(all) => {
                all.truncate(20);
                all.iter_mut().for_each(cut);
            }
            Value::Object(fields) => fields.values_mut().for_each(cut),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    match serde_json::from_str(arguments) {
        Ok(mut value) => {
            cut(&mut value);
            value
        }
        Err(_) => Value::String(shown(arguments)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &str) -> ToolCall {
        ToolCall {
            id: "1".into(),
            name: "search".into(),
            arguments: arguments.into(),
            signature: None,
        }
    }

    #[test]
    fn the_same_call_is_known_however_it_is_written() {
        let one = key(&call(r#"{"query": "x", "top_k": 3}"#));
        assert_eq!(one, key(&call(r#"{"top_k":3,"query":"x"}"#)));
        assert_ne!(one, key(&call(r#"{"top_k":4,"query":"x"}"#)));
    }

    #[test]
    fn what_is_shown_is_one_short_line() {
        assert_eq!(shown(" a\n b \n\nmore"), "a b");
        assert_eq!(
            shown(&"x".repeat(1000)).chars().count(),
            MAX_SHOWN_CHARS + 1
        );
        let value = shown_arguments(&format!("{{\"q\": \"{}\"}}", "y".repeat(5000)));
        assert!(value.to_string().len() < 400);
        assert_eq!(shown_arguments("{broken"), Value::String("{broken".into()));
    }
}
