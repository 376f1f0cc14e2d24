//! One collection on disk: words, vectors and text behind one commit point.
//!
//! ```text
//! <collection>/words/     Tantivy: chunks as documents, and the last commit (meta.json)
//! <collection>/vectors/   immutable vector segments, named by the commit
//! <collection>/lock       held by the one writer
//! ```
//!
//! A commit writes and syncs its vector segments first, then commits to
//! Tantivy with a payload that names them. So a kill at any moment leaves the
//! commit before, and files that no payload names are garbage.

mod chunks;
mod copy;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
mod directory;
pub mod doctor;
mod facets;
mod fault;
#[cfg(test)]
mod frozen_tests;
mod index;
pub(crate) mod lock;
mod names;
mod payload;
mod pending;
mod plan;
mod postings;
#[cfg(test)]
mod power_tests;
mod ready;
pub mod repair;
mod roots;
mod schema;
mod search;
mod segments;
mod selection;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;
mod twins;
#[cfg(test)]
mod twins_tests;
mod types;
mod writer;

pub use copy::copy_commit;
pub use index::{Index, is_removed};
pub use names::Mention;
pub use ready::Ready;
pub(crate) use roots::{KnownFailure, Root};
pub use selection::Selection;
pub use settings::{Bm25, IndexSettings};
pub use snapshot::Snapshot;
pub use types::{ChunkRef, Fingerprint, PutReport, Scored, StoredChunk, StoredDocument};
pub use writer::{Compacted, Writer};
