//! The only room that talks to a language model.
//!
//! [`Gateway::select`] turns a route or a model's name into a [`Plan`]: a chain
//! of targets with deadlines. [`Gateway::chat`] runs it: the targets are tried
//! in order, with retries, until one begins to write; what it writes is passed
//! on as it comes.
//!
//! | folder | question it answers |
//! |---|---|
//! | `chat/` | what is asked, and what comes back? |
//! | `providers/` | how does each language model want to be spoken to? |
//! | `routes/` | which targets may answer this call, in which order, and which are up? |
//! | `accounts/` | who calls, what may they take, and what does it cost? |
//! | `batch/` | which chats wait for an answer in their own time, and which have one? |
//! | `cache/` | was this asked before? |
//! | `databases/` | are the SQLite files whole, and what can be saved of them? |
//! | `call/` | one call: admission, cache, deadlines, retries, fallback, settlement |

pub mod accounts;
pub mod batch;
pub mod cache;
mod call;
mod chat;
mod clock;
mod databases;
mod error;
#[allow(
    clippy::module_inception,
    reason = "the room is named for its one type"
)]
mod gateway;
mod providers;
pub mod routes;
mod secret;

pub use accounts::CacheUse;
pub use cache::Cache;
pub use call::{Basis, Call, LimitsCell, Reuse};
pub use chat::{
    ChatEvent, ChatMessage, ChatRequest, ChatRole, ChatStream, Finish, Provider, ProviderError,
    ProviderErrorKind, ProviderEvent, ProviderStream, Served, Tool, ToolCall, ToolChoice, Usage,
};
pub use databases::{
    Blueprint, DatabaseCheck, DatabaseKind, Salvage, SalvageError, SavedTable, check_database,
    check_databases, remove_stale, repair_databases, salvage,
};
pub use error::GatewayError;
pub use gateway::Gateway;
pub use providers::{LocalProvider, open_provider};
pub use routes::{AnswerBackend, Limits, Plan};
pub use secret::Secret;

/// The name of the local generator in the config and in requests.
pub const LOCAL: &str = "local";

/// The name that asks for no language model at all.
pub const EXTRACTIVE: &str = "extractive";

/// What the documents are called where a chat asks for a model: no provider has the name.
pub const DOCUMENTS: &str = "cairn";

/// The data of the server-sent events in a stream that came in these pieces, and what was
/// wrong with it: how the bytes are cut changes nothing.
#[doc(hidden)]
pub fn read_events(pieces: &[&[u8]]) -> (Vec<String>, Option<String>) {
    providers::read_events(pieces)
}
