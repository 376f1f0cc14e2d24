//! Writing segments: to a temporary name, flushed to the disk, then renamed.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use cairn_models::Cancel;

use super::format::{ALIGNMENT, HEADER_BYTES, Layout, LevelLayout};
use super::graph::Level;
use super::graph::build::build;
use super::graph::codes::encode;
use super::{BuildSettings, Segment, SegmentKind, SegmentMeta};
use crate::{Error, ErrorKind, Result};

/// How far the length of a vector may be from 1.
const LENGTH_TOLERANCE: f32 = 1e-2;

/// Writes a segment of `ids.len()` unit vectors into `dir`.
///
/// `ids` are strictly ascending; `vectors` holds `ids.len()` rows of
/// `dimension` floats. When this returns, the file is durable under the name in
/// the result. A call that fails or is killed leaves at most a file `.tmp-*`.
///
/// # Errors
/// `InvalidInput` for ids out of order, a wrong number of floats, or a vector
/// that is not of length 1 (NaN and zero vectors among them); `Cancelled`;
/// `Machine` when the disk refuses.
pub fn write_segment(
    dir: &Path,
    ids: &[u64],
    vectors: &[f32],
    dimension: usize,
    settings: &BuildSettings,
    cancel: &Cancel,
) -> Result<SegmentMeta> {
    check_rows(ids, vectors, dimension)?;
    cancel.check()?;
    let rows = ids.len();
    let kind = if rows >= settings.graph_min_rows {
        SegmentKind::Graph
    } else {
        SegmentKind::Flat
    };
    let (mut levels, mut codes, mut scales) = (Vec::new(), Vec::new(), Vec::new());
    if kind == SegmentKind::Graph {
        levels = build(vectors, dimension, settings, cancel)?;
        codes.reserve(vectors.len());
        let vectors = vectors.chunks_exact(dimension);
        scales.extend(vectors.map(|vector| encode(vector, &mut codes)));
    }
    cancel.check()?;
    save(dir, |out| {
        Ok(Layout {
            kind,
            dimension,
            rows,
            ids: out.section(bytemuck::cast_slice(ids))?,
            vectors: out.section(bytemuck::cast_slice(vectors))?,
            codes: out.section(bytemuck::cast_slice(&codes))?,
            scales: out.section(bytemuck::cast_slice::<f32, u8>(&scales))?,
            levels: levels
                .iter()
                .enumerate()
                .map(|(number, level)| out.level(number, level))
                .collect::<std::io::Result<_>>()?,
            body_checksum: [0; 32],
        })
    })
}

/// Writes one segment with the rows of `segments` whose id `keep` wants.
///
/// # Errors
/// As [`write_segment`]; `Mismatch` when the segments differ in dimension,
/// `InvalidInput` when there is none or an id occurs twice.
pub fn merge(
    dir: &Path,
    segments: &[&Segment],
    keep: &dyn Fn(u64) -> bool,
    settings: &BuildSettings,
    cancel: &Cancel,
) -> Result<SegmentMeta> {
    let Some(first) = segments.first() else {
        return Err(invalid("there is no segment to merge".into()));
    };
    let dimension = first.dimension();
    if let Some(other) = segments.iter().find(|s| s.dimension() != dimension) {
        return Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "segments of {dimension} and {} dimensions cannot be merged; index again with one embedder",
                other.dimension()
            ),
        ));
    }
    let mut sources = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let wanted = segment
            .ids()
            .iter()
            .zip(0_u32..)
            .filter(|(id, _)| keep(**id));
        sources.extend(wanted.map(|(id, row)| (*id, index, row)));
    }
    sources.sort_unstable();
    let ids: Vec<u64> = sources.iter().map(|(id, ..)| *id).collect();
    let mut vectors = Vec::with_capacity(ids.len() * dimension);
    for (_, segment, row) in sources {
        vectors.extend_from_slice(segments[segment].vector(row)?);
    }
    write_segment(dir, &ids, &vectors, dimension, settings, cancel)
}

fn check_rows(ids: &[u64], vectors: &[f32], dimension: usize) -> Result<()> {
    if dimension == 0 || ids.len().checked_mul(dimension) != Some(vectors.len()) {
        return Err(invalid(format!(
            "{} floats are not {} vectors of {dimension} dimensions",
            vectors.len(),
            ids.len()
        )));
    }
    if ids.len() >= u32::MAX as usize {
        return Err(invalid(format!(
            "a segment cannot hold {} vectors",
            ids.len()
        )));
    }
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(invalid(format!(
            "vector ids must ascend, but {} comes before {}",
            pair[0], pair[1]
        )));
    }
    for (id, vector) in ids.iter().zip(vectors.chunks_exact(dimension)) {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length.is_nan() || (length - 1.0).abs() > LENGTH_TOLERANCE {
            return Err(invalid(format!(
                "vector {id} has length {length}, not 1; the embedder must return unit vectors"
            )));
        }
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

/// A file being written: pads its sections and hashes them.
struct SectionWriter {
    out: BufWriter<File>,
    hasher: blake3::Hasher,
    at: usize,
}

impl SectionWriter {
    /// Appends one section and says where it lies.
    fn section(&mut self, bytes: &[u8]) -> std::io::Result<Range<usize>> {
        let padding = self.at.next_multiple_of(ALIGNMENT) - self.at;
        self.append(&[0; ALIGNMENT][..padding])?;
        let start = self.at;
        self.append(bytes)?;
        Ok(start..self.at)
    }

    /// Appends one level of a graph.
    fn level(&mut self, number: usize, level: &Level) -> std::io::Result<LevelLayout> {
        // On level 0 every row has its own number.
        let rows: &[u32] = if number == 0 { &[] } else { &level.rows };
        let mut offsets = vec![0_u32];
        let mut neighbours = Vec::new();
        for list in &level.lists {
            neighbours.extend_from_slice(list);
            let end = u32::try_from(neighbours.len()).map_err(|_| {
                std::io::Error::other("a graph with 2^32 links does not fit one segment")
            })?;
            offsets.push(end);
        }
        Ok(LevelLayout {
            rows: self.section(bytemuck::cast_slice(rows))?,
            offsets: self.section(bytemuck::cast_slice(&offsets))?,
            neighbours: self.section(bytemuck::cast_slice::<u32, u8>(&neighbours))?,
        })
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        self.at += bytes.len();
        self.out.write_all(bytes)
    }
}

/// Writes what `sections` appends, then the header, and gives it its name.
fn save(
    dir: &Path,
    sections: impl FnOnce(&mut SectionWriter) -> std::io::Result<Layout>,
) -> Result<SegmentMeta> {
    // A temporary file is its owner's alone, as every file of the index.
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tmp-").suffix(".vec");
    let at_dir = |error: std::io::Error| Error::from(error).at(dir);
    let temporary = builder.tempfile_in(dir).map_err(at_dir)?;
    let mut out = SectionWriter {
        out: BufWriter::with_capacity(1 << 20, temporary.reopen().map_err(at_dir)?),
        hasher: blake3::Hasher::new(),
        at: HEADER_BYTES,
    };
    let write = || -> std::io::Result<(Layout, String)> {
        out.out.write_all(&[0; HEADER_BYTES])?;
        let mut layout = sections(&mut out)?;
        layout.body_checksum = *out.hasher.finalize().as_bytes();
        let (header, checksum) = layout.encode();
        out.out.seek(SeekFrom::Start(0))?;
        out.out.write_all(&header)?;
        out.out.flush()?;
        Ok((layout, checksum))
    };
    let (layout, checksum) = write().map_err(|error| Error::from(error).at(temporary.path()))?;
    // Named by its content: a name never stands for two different segments.
    let file = format!("{}.vec", &checksum[..32]);
    let path = dir.join(&file);
    cairn_files::publish(temporary, &path).map_err(|error| Error::from(error).at(&path))?;
    Ok(SegmentMeta {
        file,
        rows: layout.rows as u64,
        dimension: layout.dimension as u32,
        kind: layout.kind,
        bytes: out.at as u64,
        checksum,
    })
}
