//! One open segment: checked once, then read and searched by many threads.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memmap2::Mmap;

use super::format::{HEADER_BYTES, Layout};
use super::graph::view::GraphView;
use super::graph::walk::{Scratch, Walk};
use super::kernel::dot;
use super::{RowSet, SegmentKind, SegmentMeta, flat, graph};
use crate::top_k::TopK;
use crate::{Error, ErrorKind, Result};

/// Rows that a walk looks at for each row that it is to find, in units of the
/// time that a scan takes for one row: measured on 384 dimensions, where a code
/// costs a fourth of a vector.
const WALK_COST: usize = 6;

/// A walk ends after this many rows for each row that a scan would score.
const SCAN_COST: usize = 4;

/// What to search a segment for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// A vector of the segment's dimension.
    pub query: &'a [f32],
    /// Most rows to return.
    pub k: usize,
    /// Breadth of the walk over a graph; at least `k` is used.
    pub ef: usize,
    /// Score every row instead of walking the graph.
    pub exact: bool,
    /// The rows that may be returned; none means all.
    pub allowed: Option<&'a RowSet>,
}

/// An open, memory-mapped segment file. Searches may run at the same time.
pub struct Segment {
    path: PathBuf,
    map: Mmap,
    layout: Layout,
    scratch: Pool,
}

/// Memory of walks that ended, for the next ones.
#[derive(Default)]
struct Pool(Mutex<Vec<Scratch>>);

impl Pool {
    fn take(&self) -> Scratch {
        self.lock().pop().unwrap_or_default()
    }

    fn give_back(&self, scratch: Scratch) {
        self.lock().push(scratch);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Scratch>> {
        // Nothing that holds the lock can leave the list half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment")
            .field("path", &self.path)
            .field("kind", &self.layout.kind)
            .field("rows", &self.layout.rows)
            .finish_non_exhaustive()
    }
}

impl Segment {
    /// Opens the file that `meta` names in `dir`.
    ///
    /// # Errors
    /// `Corrupt` when it is missing, cut off, changed, or another file than the
    /// one that was committed; `Machine` when it cannot be read.
    pub fn open(dir: &Path, meta: &SegmentMeta) -> Result<Self> {
        let path = dir.join(&meta.file);
        let file = File::open(&path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                corrupt(&path, "it is missing")
            } else {
                Error::from(error).at(&path)
            }
        })?;
        let bytes = file.metadata().map_err(|e| Error::from(e).at(&path))?.len();
        if bytes != meta.bytes {
            let what = format!("it has {bytes} bytes and was written with {}", meta.bytes);
            return Err(corrupt(&path, &what));
        }
        // SAFETY: the map is read-only, and Cairn never writes to a segment file again once it
        // was renamed into place. Another program that writes to or truncates it while it is
        // open breaks the process; this is accepted, as for every memory-mapped index.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::from(e).at(&path))?;
        let (layout, checksum) = Layout::decode(&map).map_err(|what| corrupt(&path, &what))?;
        if checksum != meta.checksum {
            return Err(corrupt(&path, "it is not the file that was committed"));
        }
        let segment = Self {
            path,
            map,
            layout,
            scratch: Pool::default(),
        };
        if !segment.ids().windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(corrupt(&segment.path, "its ids do not ascend"));
        }
        if !GraphView::new(&segment.map, &segment.layout).is_sound() {
            return Err(corrupt(&segment.path, "its graph leads nowhere"));
        }
        Ok(segment)
    }

    /// How it is searched.
    pub fn kind(&self) -> SegmentKind {
        self.layout.kind
    }

    /// Vectors in it.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Floats of each vector.
    pub fn dimension(&self) -> usize {
        self.layout.dimension
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id of each row, ascending.
    pub fn ids(&self) -> &[u64] {
        bytemuck::cast_slice(&self.map[self.layout.ids.clone()])
    }

    /// The row of a vector id.
    pub fn row_of(&self, id: u64) -> Option<u32> {
        self.ids().binary_search(&id).ok().map(|row| row as u32)
    }

    /// The vector of a row.
    ///
    /// # Errors
    /// `Internal` for a row that the segment does not have.
    pub fn vector(&self, row: u32) -> Result<&[f32]> {
        let start = row as usize * self.layout.dimension;
        self.vectors()
            .get(start..start + self.layout.dimension)
            .ok_or_else(|| {
                let rows = self.layout.rows;
                Error::new(
                    ErrorKind::Internal,
                    format!("row {row} was asked for in a segment of {rows} rows"),
                )
                .at(&self.path)
            })
    }

    /// All rows, one after the other.
    fn vectors(&self) -> &[f32] {
        bytemuck::cast_slice(&self.map[self.layout.vectors.clone()])
    }

    /// The nearest rows by inner product, best first; ties by row. The same
    /// search of the same file always gives the same answer.
    ///
    /// # Errors
    /// `Mismatch` for a query of another dimension, `InvalidInput` for one with
    /// NaN or infinite parts, or of length zero.
    pub fn search(&self, search: &Search<'_>) -> Result<Vec<(u32, f32)>> {
        self.check_query(search.query)?;
        let rows = search.allowed.map_or(self.layout.rows, RowSet::len);
        let k = search.k.min(rows);
        if k == 0 {
            return Ok(Vec::new());
        }
        let ef = search.ef.max(k);
        if !search.exact
            && self.walk_is_cheaper(ef, rows)
            && let Some(found) = self.search_graph(search, k, ef, rows)
        {
            return Ok(found);
        }
        Ok(flat::scan(self.vectors(), search.query, k, search.allowed))
    }

    /// Whether a walk is likely to score less than a scan of `allowed` rows.
    ///
    /// A walk looks at about `WALK_COST * ef` rows to find `ef`, and where only
    /// some may be returned at `rows / allowed` times as many. This falls below
    /// `allowed` where `allowed * allowed > WALK_COST * ef * rows`.
    fn walk_is_cheaper(&self, ef: usize, allowed: usize) -> bool {
        let walk = (WALK_COST * ef).saturating_mul(self.layout.rows);
        self.layout.kind == SegmentKind::Graph && allowed.saturating_mul(allowed) > walk
    }

    /// Walks the graph and scores what it finds exactly. None when the walk
    /// cost more than a scan would, or found less than there is.
    fn search_graph(
        &self,
        search: &Search<'_>,
        k: usize,
        ef: usize,
        allowed: usize,
    ) -> Option<Vec<(u32, f32)>> {
        let graph = GraphView::new(&self.map, &self.layout);
        let walk = Walk {
            ef,
            allowed: search.allowed,
            budget: allowed.saturating_mul(SCAN_COST),
        };
        let mut scratch = self.scratch.take();
        let found = graph::walk::walk(&graph, search.query, &walk, &mut scratch);
        self.scratch.give_back(scratch);
        let found = found.filter(|found| found.len() >= k)?;
        let mut best = TopK::new(k);
        for row in found {
            best.push(dot(search.query, self.vector(row).ok()?), row);
        }
        Some(best.into_sorted())
    }

    fn check_query(&self, query: &[f32]) -> Result<()> {
        if query.len() != self.layout.dimension {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the question's vector has {} dimensions and the index {}; index again with the embedder that is configured now",
                    query.len(),
                    self.layout.dimension
                ),
            ));
        }
        let length: f32 = query.iter().map(|x| x * x).sum();
        if length.is_finite() && length > 0.0 {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidInput,
            "the question's vector is zero, infinite or not a number; the embedder must return unit vectors",
        ))
    }

    /// Reads the whole file and compares it with its checksum.
    ///
    /// # Errors
    /// `Corrupt` when a byte differs; `Machine` when it cannot be read.
    pub fn verify(&self) -> Result<()> {
        // Through a file handle, not the map: a bad sector is then an error
        // and not a signal that ends the process.
        let read = || -> std::io::Result<blake3::Hash> {
            let mut file = File::open(&self.path)?;
            file.read_exact(&mut [0; HEADER_BYTES])?;
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(file)?;
            Ok(hasher.finalize())
        };
        let checksum = read().map_err(|error| Error::from(error).at(&self.path))?;
        if *checksum.as_bytes() == self.layout.body_checksum {
            return Ok(());
        }
        Err(corrupt(&self.path, "its contents are not what was written"))
    }
}

impl SegmentMeta {
    /// What a commit would remember of the segment `file` in `dir`, told from its header.
    ///
    /// # Errors
    /// `Corrupt` when the header is not whole; `Machine` when the file cannot be read.
    pub fn of_file(dir: &Path, file: &str) -> Result<Self> {
        let path = dir.join(file);
        let opened = File::open(&path).map_err(|error| Error::from(error).at(&path))?;
        // SAFETY: as in `Segment::open`.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&opened) }.map_err(|e| Error::from(e).at(&path))?;
        let (layout, checksum) = Layout::decode(&map).map_err(|what| corrupt(&path, &what))?;
        Ok(Self {
            file: file.to_owned(),
            rows: layout.rows as u64,
            dimension: layout.dimension as u32,
            kind: layout.kind,
            bytes: map.len() as u64,
            checksum,
        })
    }
}

fn corrupt(path: &Path, what: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("a vector segment cannot be used: {what}; run `cairn doctor`, or index again into a new folder"),
    )
    .at(path)
}
