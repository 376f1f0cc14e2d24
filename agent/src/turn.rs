//! One turn of the model: what it wrote, and which tools it wants.

use cairn_gateway::{
    Call, ChatEvent, ChatRequest, Gateway, ProviderError, ProviderErrorKind, Reuse, Tool, ToolCall,
    ToolChoice, Usage,
};
use cairn_models::Cancel;
use futures::StreamExt as _;

use crate::session::Session;

/// Tokens of one turn.
const MAX_TOKENS: usize = 1024;
/// Bytes of a turn's text that are kept: a flood is cut.
const MAX_TEXT_BYTES: usize = 32 << 10;
/// Calls of one turn.
pub(crate) const MAX_CALLS: usize = 16;
/// Bytes of the arguments of one call.
const MAX_ARGUMENT_BYTES: usize = 64 << 10;

/// What a model said in one turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn {
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCall>,
    /// Calls beyond the most of a turn.
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
            // The next step depends on what tools return now.
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
                    // What is cut is no JSON, and the model hears so.
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
