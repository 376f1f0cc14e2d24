//! One turn of the model: what it wrote, and which tools it calls.

use cairn_gateway::{
    Call, ChatEvent, ChatRequest, Gateway, ProviderError, ProviderErrorKind, Reuse, Tool, ToolCall,
    ToolChoice, Usage,
};
use cairn_models::Cancel;
use futures::StreamExt as _;

use crate::session::Session;

/// Maximum tokens of a turn.
const MAX_TOKENS: usize = 1024;
/// Maximum bytes of a turn's text; the rest is cut.
const MAX_TEXT_BYTES: usize = 32 << 10;
/// Maximum calls of a turn.
pub(crate) const MAX_CALLS: usize = 16;
/// Maximum bytes of a call's arguments.
const MAX_ARGUMENT_BYTES: usize = 64 << 10;

/// What a model wrote in one turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn {
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCall>,
    /// Number of calls beyond the maximum.
    pub(crate) dropped: usize,
    pub(crate) usage: Usage,
    pub(crate) provider: String,
    pub(crate) model: String,
}

/// The next request to the model, with `tools` or without.
pub(crate) fn request(session: &Session, tools: Vec<Tool>) -> ChatRequest {
    ChatRequest {
        messages: session.messages.clone(),
        max_tokens: MAX_TOKENS,
        tool_choice: ToolChoice::Auto,
        tools,
        ..ChatRequest::default()
    }
}

/// Asks the model.
///
/// # Errors
/// Those of the gateway.
pub(crate) async fn ask(
    gateway: &Gateway,
    session: &Session,
    request: ChatRequest,
    cancel: Cancel,
) -> Result<Turn, ProviderError> {
    let call = Call {
        reuse: Reuse {
            // The next step depends on what the tools return now.
            never: true,
            ..Reuse::default()
        },
        ..session.request.call()
    };
    let mut turn = Turn::default();
    let mut stream = gateway.chat(&session.targets, request, call, cancel);
    while let Some(event) = stream.next().await {
        match event? {
            ChatEvent::Delta(text) => {
                let room = MAX_TEXT_BYTES - turn.text.len();
                let end = text.floor_char_boundary(room.min(text.len()));
                turn.text.push_str(&text[..end]);
            }
            ChatEvent::ToolCall(_) if turn.calls.len() >= MAX_CALLS => turn.dropped += 1,
            ChatEvent::ToolCall(mut call) => {
                if call.arguments.len() > MAX_ARGUMENT_BYTES {
                    // Truncated arguments are not valid JSON, and the model is told so.
                    let end = call.arguments.floor_char_boundary(MAX_ARGUMENT_BYTES);
                    call.arguments.truncate(end);
                }
                turn.calls.push(call);
            }
            ChatEvent::Done(served) => {
                turn.usage = served.usage;
                turn.provider = served.provider;
                turn.model = served.model;
                return Ok(turn);
            }
        }
    }
    let message = "the answer of the model ended too early";
    Err(ProviderError::new(
        ProviderErrorKind::Cut,
        session.targets.provider(),
        message,
    ))
}
