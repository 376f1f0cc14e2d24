//! Bytes to documents to chunks to one commit.
//!
//! This crate owns the on-disk format and hands out consistent [`Snapshot`]s.
//! It is synchronous and knows no HTTP and no language model.
//!
//! [`Snapshot`]: crate::Snapshot

mod document;
mod error;
mod filter;
mod store;
mod top_k;
pub mod vectors;
pub mod words;

pub use document::{Access, Chunk, Document, DocumentId, Metadata, Page, Section};
pub use error::{Error, ErrorKind, Result};
pub use filter::{Bound, Filter};
pub use store::*;
