//! Vectors: immutable, memory-mapped segment files that are searched by inner
//! product.
//!
//! A segment holds unit vectors sorted by their id. Small ones are *flat* and
//! scanned exactly; large ones carry an HNSW *graph* alongside the same rows, so
//! that the exact scan stays available as a fallback and as the oracle that the
//! graph is tested against. Nothing in a file changes after it was written:
//! deletions and filters come in from outside as a [`RowSet`].

mod flat;
mod format;
mod graph;
mod kernel;
mod rows;
mod segment;
mod write;

#[cfg(test)]
mod tests;

pub use rows::RowSet;
pub use segment::{Search, Segment};
pub use write::{merge, write_segment};

/// How a segment is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SegmentKind {
    /// Every row is scored.
    Flat,
    /// A graph is walked; exact scans stay possible.
    Graph,
}

/// What the commit remembers of a segment file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SegmentMeta {
    /// Name of the file in the folder of vectors.
    pub file: String,
    /// Vectors in it.
    pub rows: u64,
    /// Floats of each vector.
    pub dimension: u32,
    /// How it is searched.
    pub kind: SegmentKind,
    /// Size of the file.
    pub bytes: u64,
    /// BLAKE3 of the header, hexadecimal. The header holds the BLAKE3 of the
    /// rest, so this one stands for the whole file.
    pub checksum: String,
}

/// When a segment gets a graph, and how careful its construction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildSettings {
    /// Rows from which a segment gets a graph.
    pub graph_min_rows: usize,
    /// Neighbours of a node on the upper levels; twice as many on the lowest.
    /// The `M` of Malkov and Yashunin (2016).
    pub neighbours: usize,
    /// Breadth of the search for neighbours while building (`efConstruction`).
    pub breadth: usize,
}

impl Default for BuildSettings {
    fn default() -> Self {
        Self {
            graph_min_rows: 10_000,
            neighbours: 16,
            breadth: 200,
        }
    }
}
