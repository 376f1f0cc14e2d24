//! The HTTP service: thin handlers around the rooms that do the work.
//!
//! `connection` accepts connections and bounds them. A request passes `observe` (id, log line, figures), `origin` (no writes from
//! foreign pages), `auth` (API keys), `receive` (its body)
//! and `limits` (permits, time) on its way to a file in
//! `routes`. `answering` carries a stream to its client, `own_models` lends the embedder and
//! the re-ranker to other programs, and `error` is the one table of failures.

mod answering;
mod auth;
mod connection;
pub mod error;
mod event_stream;
mod extract;
mod job_rights;
mod json;
mod lifecycle;
mod limits;
mod links;
mod mcp;
mod observe;
mod origin;
mod own_models;
mod owners;
mod read_ahead;
mod receive;
mod router;
mod routes;
mod run;
mod share;
pub mod sse;
mod state;
pub(crate) mod tools;
mod upload;

pub use connection::tls::TlsError;
pub use lifecycle::{IndexingProgress, Lifecycle, Phase, Readiness};
pub use mcp::serve_stdio;
pub use router::router;
pub(crate) use routes::batches::answering as answering_chats;
pub use routes::openapi::document as openapi_document;
pub use run::{bind, check_tls, open_jobs, serve, work_jobs};
pub use state::{Core, Service};
