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
mod isolate;
mod run;
mod states;
mod store;
mod top_k;
pub mod vectors;
mod walk;
pub mod words;

pub use cairn_parse::{
    Document, DocumentId, Metadata, Page, ParseInput, ParseLimits, RESERVED_NAMES, Section, Table,
    is_known_binary_name, is_known_name, is_reserved_name, parse, silence_caught_panics,
};
pub use chunk::{chunk_document, pool};
pub use document::{Access, Chunk, PageStart};
pub use error::{Error, ErrorKind, Result};
pub use filter::{Bound, Filter};
#[cfg(unix)]
pub use isolate::serve_parser;
pub use isolate::{Isolation, Parser};
pub use run::{
    Action, FileFailure, FileSkip, FileWarning, KeptFolder, Manifest, ManifestEntry, ManifestSum,
    Phase, RunOptions, RunProgress, RunReport, RunState, index_paths, plan_paths, watch,
};
pub use states::{States, StatesWriter};
pub use store::{
    Bm25, ChunkRef, Compacted, Fingerprint, Index, IndexSettings, Mention, PutReport, Ready,
    Scored, Selection, Snapshot, StoredChunk, StoredDocument, Writer, copy_commit, is_removed,
};
pub use store::{doctor, repair};
pub use walk::{SkipReason, SkippedFile, Walk, WalkOptions, WalkedFile, walk};
