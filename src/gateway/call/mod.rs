//! One call: the targets of a plan in order, each with its attempts, until one
//! begins to write; then what it writes, under the deadlines.
//!
//! Before the first text a failure is invisible: it costs time and is told in
//! the notes of the last event. After it the stream ends with an error that
//! says how far it got.

mod attempt;
mod backoff;
mod begin;
mod estimate;
mod relay;

use cairn_models::Cancel;
use futures::StreamExt as _;

use super::chat::{ChatRequest, ChatStream};
use super::routes::Plan;

/// What a call is made for.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The `x-request-id` of the request that it belongs to. Calls with the same
    /// id draw the same target among weighted ones; without one each is drawn
    /// anew.
    pub request_id: String,
}

/// Runs `request` by `plan`.
pub(super) fn run(plan: Plan, request: ChatRequest, call: Call, cancel: Cancel) -> ChatStream {
    async_stream::stream! {
        match begin::begin(&plan, &request, &call, &cancel).await {
            Err(error) => yield Err(error),
            Ok(begun) => {
                let mut events = relay::relay(begun, &request, &cancel);
                while let Some(event) = events.next().await {
                    yield event;
                }
            }
        }
    }
    .boxed()
}
