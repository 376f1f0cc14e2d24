//! What is asked and what comes back: requests, tools, events, errors. Nothing
//! here knows a wire format or a network.

mod error;
mod event;
mod provider;
mod request;

pub use error::{ProviderError, ProviderErrorKind};
pub use event::{ChatEvent, ChatStream, Finish, Served, Usage};
pub use provider::{Provider, ProviderEvent, ProviderStream};
pub use request::{ChatMessage, ChatRequest, ChatRole, Tool, ToolCall, ToolChoice};
