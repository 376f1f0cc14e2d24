//! A complete answer, for callers that do not pass on its events.

use futures::{Stream, StreamExt as _};

use super::events::{AnswerEvent, Answered, InputRequired, Step};
use super::request::Failure;

/// How the events of an answer ended.
#[derive(Clone, Debug)]
pub enum Whole {
    /// With an answer, its sources and the steps that led to it.
    Answered(Box<Answered>),
    /// With an agent that waits for a person, after these steps.
    Waits(Box<InputRequired>, Vec<Step>),
}

/// Follows `events` to the last one; `on_event` is called for each.
///
/// # Errors
/// That of the `error` event; `internal` if the events end without a final one.
pub async fn whole(
    events: impl Stream<Item = AnswerEvent>,
    mut on_event: impl FnMut(&AnswerEvent),
) -> Result<Whole, Failure> {
    let mut events = std::pin::pin!(events);
    let mut found = None;
    let mut steps = Vec::new();
    while let Some(event) = events.next().await {
        on_event(&event);
        match event {
            AnswerEvent::Step(step) => steps.push(*step),
            AnswerEvent::Sources(sources) => found = Some(sources),
            AnswerEvent::Delta { .. } | AnswerEvent::Citation(_) => {}
            AnswerEvent::Done(done) => {
                let found = found.ok_or_else(|| broken("an answer came before its sources"))?;
                let answered = Answered {
                    steps,
                    ..Answered::new(*done, found)
                };
                return Ok(Whole::Answered(Box::new(answered)));
            }
            AnswerEvent::InputRequired(required) => return Ok(Whole::Waits(required, steps)),
            AnswerEvent::Error {
                code,
                message,
                retryable,
            } => {
                return Err(Failure {
                    code,
                    message,
                    retryable,
                });
            }
        }
    }
    Err(broken("an answer ended without its last event"))
}

fn broken(what: &str) -> Failure {
    Failure {
        code: "internal",
        message: what.to_owned(),
        retryable: false,
    }
}
