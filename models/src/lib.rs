//! Text in, numbers or words out.
//!
//! This crate owns weights, checksums and inference: an [`Embedder`] turns
//! texts into unit vectors, a [`Reranker`] scores a passage against a query,
//! and a [`Generator`] writes. It knows no index and no HTTP server.
//!
//! Every trait has one real implementation and one deterministic twin in
//! [`testing`] that needs no weights, so that the rooms above can be tested
//! in milliseconds.

pub mod bench;
mod cancel;
mod contract;
mod decoder;
mod device;
mod embedder;
mod encoder;
mod error;
mod generator;
mod hub;
mod kernels;
mod legible;
mod load;
mod memory;
mod queue;
mod reader;
mod reranker;
pub mod testing;
mod threads;
mod vectors;

pub use cancel::{Cancel, CancelOnDrop};
pub use contract::{
    Effort, Embedder, FinishReason, GenerateRequest, Generation, Generator, LateInteraction,
    MIN_READABLE_SHARE, Message, Reader, ReaderPassage, Reranker, Role, TokenSpans,
};
pub use device::DeviceChoice;
pub use embedder::BertEmbedder;
pub use error::{Error, ErrorKind, Result};
pub use generator::{GgufGenerator, Grammar};
pub use hub::{
    Artifact, ArtifactFile, ArtifactKind, Hub, Manifest, Progress, PullEvent, Quiet, State, Status,
    is_off,
};
pub use load::{
    LoadOptions, Precision, load_embedder, load_generator, load_reranker, needs_onnx_runtime,
};
pub use queue::{EmbedQueue, Pending, ReadQueue, RerankQueue, Worker};
pub use reader::SegmentReader;
pub use reranker::{CrossEncoder, Unpacked};
pub use vectors::dot;
