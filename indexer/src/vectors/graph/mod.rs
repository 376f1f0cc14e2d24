//! HNSW graphs: Malkov and Yashunin, "Efficient and robust approximate nearest
//! neighbor search using Hierarchical Navigable Small World graphs" (2016).
//!
//! hnsw_rs finds the neighbours (`build`), the lists are made symmetric, pruned
//! and connected (`refine`), written into the segment, and walked there by our
//! own loop (`walk`) over eight-bit codes of the vectors (`codes`).

pub(super) mod build;
pub(super) mod codes;
mod refine;
pub(super) mod view;
pub(super) mod walk;

/// One level while it is built. Nodes are numbered by their place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// The row of each node, ascending. On level 0 node and row are the same.
    pub(super) rows: Vec<u32>,
    /// The neighbours of each node, nearest first.
    pub(super) lists: Vec<Vec<u32>>,
}
