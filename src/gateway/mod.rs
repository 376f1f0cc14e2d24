//! The only room that talks to a language model.
//!
//! [`Gateway`] picks a [`Provider`] by name or model and puts time limits around
//! its stream; [`LocalProvider`] runs the embedded model, [`OpenAiProvider`] any
//! endpoint that speaks OpenAI's chat completions.

pub mod accounts;
mod limits;
mod local;
mod openai;
mod provider;
mod secret;
mod select;
mod sse;

use std::time::Duration;

use cairn_models::Cancel;

pub use limits::Limits;
pub use local::LocalProvider;
pub use openai::{OpenAiProvider, OpenAiSettings};
pub use provider::{
    ChatRequest, ChatStream, Finish, Provider, ProviderError, ProviderErrorKind, ProviderEvent,
    Usage,
};
pub use secret::Secret;
pub use select::{Gateway, GatewayError, Selected, Writer};

/// The name of the local generator in the config and in requests.
pub const LOCAL: &str = "local";

/// The name that asks for no language model at all.
pub const EXTRACTIVE: &str = "extractive";

/// How often a [`Cancel`], which has no waker, is looked at.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// Returns once `cancel` fires.
pub(crate) async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(CANCEL_POLL).await;
    }
}
