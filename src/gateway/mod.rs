//! The only room that talks to a language model.

mod provider;

pub use provider::{
    ChatRequest, ChatStream, Finish, Provider, ProviderError, ProviderErrorKind, ProviderEvent,
    Usage,
};
