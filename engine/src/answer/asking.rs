//! Short auxiliary questions to a language model: making a follow-up self-contained, splitting a
//! question.

use std::time::Duration;

use cairn_models::Cancel;
use futures::StreamExt as _;

use cairn_gateway::{Call, ChatEvent, ChatRequest, Gateway, Plan};

/// A slower reply costs more than it gains.
pub(super) const LONGEST: Duration = Duration::from_secs(8);

/// The reply of `plan` within `longest`; `None` if it fails or takes longer.
pub(super) async fn ask(
    gateway: &Gateway,
    plan: &Plan,
    chat: ChatRequest,
    call: Call,
    longest: Duration,
    cancel: &Cancel,
) -> Option<String> {
    let mut stream = gateway.chat(plan, chat, call, cancel.clone());
    let whole = async {
        let mut text = String::new();
        while let Some(event) = stream.next().await {
            match event.ok()? {
                ChatEvent::Delta(delta) => text.push_str(&delta),
                ChatEvent::ToolCall(_) => {}
                ChatEvent::Done(_) => return Some(text),
            }
        }
        None
    };
    tokio::time::timeout(longest, whole).await.ok()?
}
