//! A short question to a language model that is not the answer: a follow-up that is to stand by
//! itself, the parts of a question.

use std::time::Duration;

use cairn_models::Cancel;
use futures::StreamExt as _;

use cairn_gateway::{Call, ChatEvent, ChatRequest, Gateway, Plan};

/// A reply that takes longer costs more than it gives.
pub(super) const LONGEST: Duration = Duration::from_secs(8);

/// What `plan` replies within `longest`; `None` if it fails or is slow.
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
