//! Bytes to documents to chunks to one commit.
//!
//! This crate owns the on-disk format and hands out consistent [`Snapshot`]s.
//! It is synchronous and knows no HTTP and no language model.
//!
//! [`Snapshot`]: crate::Snapshot

mod chunk;
mod document;
mod error;
mod filter;
mod parse;
mod run;
mod store;
mod top_k;
pub mod vectors;
mod walk;
pub mod words;

pub use chunk::chunk_document;
pub use document::{Access, Chunk, Document, DocumentId, Metadata, Page, Section};
pub use error::{Error, ErrorKind, Result};
pub use filter::{Bound, Filter};
pub use parse::{ParseInput, ParseLimits, is_known_binary_name, is_known_name, parse};
pub use run::{
    FileFailure, FileWarning, Phase, RunOptions, RunProgress, RunReport, RunState, index_paths,
    watch,
};
pub use store::doctor;
pub use store::{
    Bm25, ChunkRef, Fingerprint, Index, IndexSettings, PutReport, Scored, Selection, Snapshot,
    StoredChunk, StoredDocument, Writer,
};
pub use walk::{SkipReason, SkippedFile, Walk, WalkOptions, WalkedFile, walk};
