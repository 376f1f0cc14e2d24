//! Cairn: a hybrid-search RAG engine. Point it at documents, ask, and get
//! answers whose sentences cite their sources, streamed.
//!
//! The binary is ten lines; everything it does is here, so that tests can call
//! it in process. See ARCHITECTURE.md for the rooms and the arrows between them.

pub mod cli;
mod ingest;
pub mod server;
