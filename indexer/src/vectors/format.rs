//! Layout of a segment file, version 1. All numbers are little-endian.
//!
//! ```text
//! header    1,024 bytes: magic, version, kind, shape, sections, checksums
//! ids       u64 x rows, strictly ascending
//! vectors   f32 x rows x dimension
//! codes     i8 x rows x dimension       graphs only: the vectors, rounded
//! scales    f32 x rows                  graphs only: vector = code * scale
//! level 0   offsets u32 x (rows + 1), neighbours u32: rows
//! level l   rows u32 x n, ascending; offsets u32 x (n + 1); neighbours u32:
//!           places in this level's `rows`
//! ```
//!
//! Each section begins at a multiple of 64 bytes. The header holds the BLAKE3
//! of all bytes after it, and its own. Opening checks everything that keeps
//! later reads inside the file; only `verify` reads every byte.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::SegmentKind;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "segments are mapped as they are, in little-endian order"
);

const MAGIC: [u8; 8] = *b"CAIRNVEC";
const VERSION: u32 = 1;

/// Size of the header, and so the offset of the first section.
pub(super) const HEADER_BYTES: usize = 1024;

/// Sections begin at multiples of a cache line.
pub(super) const ALIGNMENT: usize = 64;

/// With 16 neighbours a level has a sixteenth of the rows below it: eight levels
/// are enough for more rows than 32 bits can number.
pub(super) const MAX_LEVELS: usize = 8;

const IDS: usize = 0;
const VECTORS: usize = 1;
const CODES: usize = 2;
const SCALES: usize = 3;
const LEVELS: usize = 4;
const SECTIONS: usize = LEVELS + 3 * MAX_LEVELS;

#[derive(Clone, Copy, Pod, Zeroable, Default)]
#[repr(C)]
struct Section {
    offset: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: u32,
    kind: u32,
    dimension: u32,
    levels: u32,
    rows: u64,
    sections: [Section; SECTIONS],
    body_checksum: [u8; 32],
    reserved: [[u8; 32]; 15],
    header_checksum: [u8; 32],
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);

/// Where one level of a graph is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LevelLayout {
    /// Empty on level 0, whose places are the rows themselves.
    pub(super) rows: Range<usize>,
    pub(super) offsets: Range<usize>,
    pub(super) neighbours: Range<usize>,
}

/// What a header says: the shape of a segment and where its sections lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) kind: SegmentKind,
    pub(super) dimension: usize,
    pub(super) rows: usize,
    pub(super) ids: Range<usize>,
    pub(super) vectors: Range<usize>,
    pub(super) codes: Range<usize>,
    pub(super) scales: Range<usize>,
    /// Lowest first. Empty for flat segments.
    pub(super) levels: Vec<LevelLayout>,
    /// BLAKE3 of everything after the header.
    pub(super) body_checksum: [u8; 32],
}

impl Layout {
    /// The header's bytes, and its checksum in hexadecimal.
    pub(super) fn encode(&self) -> (Vec<u8>, String) {
        let mut sections = [Section::default(); SECTIONS];
        let mut place = |index: usize, range: &Range<usize>| {
            sections[index] = Section {
                offset: range.start as u64,
                bytes: range.len() as u64,
            };
        };
        place(IDS, &self.ids);
        place(VECTORS, &self.vectors);
        place(CODES, &self.codes);
        place(SCALES, &self.scales);
        for (level, layout) in self.levels.iter().enumerate() {
            place(LEVELS + 3 * level, &layout.rows);
            place(LEVELS + 3 * level + 1, &layout.offsets);
            place(LEVELS + 3 * level + 2, &layout.neighbours);
        }
        let mut header = Header {
            magic: MAGIC,
            version: VERSION,
            kind: match self.kind {
                SegmentKind::Flat => 0,
                SegmentKind::Graph => 1,
            },
            dimension: self.dimension as u32,
            levels: self.levels.len() as u32,
            rows: self.rows as u64,
            sections,
            body_checksum: self.body_checksum,
            reserved: [[0; 32]; 15],
            header_checksum: [0; 32],
        };
        let checksum = blake3::hash(bytemuck::bytes_of(&header));
        header.header_checksum = *checksum.as_bytes();
        let bytes = bytemuck::bytes_of(&header).to_vec();
        (bytes, checksum.to_hex().to_string())
    }

    /// Reads the header of a file of `file` bytes, and its checksum. An error
    /// says in a few words what is wrong with the file.
    pub(super) fn decode(file: &[u8]) -> Result<(Self, String), String> {
        let bytes = file.get(..HEADER_BYTES).ok_or("its header is cut off")?;
        let mut header: Header = bytemuck::pod_read_unaligned(bytes);
        if header.magic != MAGIC {
            return Err("it is not a vector segment".into());
        }
        if header.version != VERSION {
            let version = header.version;
            return Err(format!("its format is version {version}, not {VERSION}"));
        }
        let stored = std::mem::take(&mut header.header_checksum);
        let checksum = blake3::hash(bytemuck::bytes_of(&header));
        if *checksum.as_bytes() != stored {
            return Err("its header was changed".into());
        }
        let layout = Self::from_header(&header, file.len())?;
        Ok((layout, checksum.to_hex().to_string()))
    }

    fn from_header(header: &Header, file_bytes: usize) -> Result<Self, String> {
        let kind = match header.kind {
            0 => SegmentKind::Flat,
            1 => SegmentKind::Graph,
            other => return Err(format!("its kind {other} is unknown")),
        };
        let dimension = header.dimension as usize;
        if dimension == 0 {
            return Err("its vectors have no dimension".into());
        }
        let rows = usize::try_from(header.rows)
            .ok()
            .filter(|rows| *rows < u32::MAX as usize)
            .ok_or("it has more rows than a segment can hold")?;
        let levels = header.levels as usize;
        if levels > MAX_LEVELS || (kind == SegmentKind::Flat && levels > 0) {
            return Err(format!("it cannot have {levels} levels"));
        }
        let find = |index: usize, unit: usize, count: Option<usize>| {
            let section = header.sections[index];
            locate(section, unit, count, file_bytes)
                .ok_or_else(|| format!("its section {index} does not fit the file"))
        };
        let graph_rows = if kind == SegmentKind::Graph { rows } else { 0 };
        let mut layouts = Vec::with_capacity(levels);
        for level in 0..levels {
            let first = LEVELS + 3 * level;
            let expected = if level == 0 { Some(0) } else { None };
            let level_rows = find(first, 4, expected)?;
            let places = if level == 0 {
                rows
            } else {
                level_rows.len() / 4
            };
            layouts.push(LevelLayout {
                offsets: find(first + 1, 4, Some(places + 1))?,
                neighbours: find(first + 2, 4, None)?,
                rows: level_rows,
            });
        }
        Ok(Self {
            kind,
            dimension,
            rows,
            ids: find(IDS, 8, Some(rows))?,
            vectors: find(VECTORS, 4 * dimension, Some(rows))?,
            codes: find(CODES, dimension, Some(graph_rows))?,
            scales: find(SCALES, 4, Some(graph_rows))?,
            levels: layouts,
            body_checksum: header.body_checksum,
        })
    }
}

/// The bytes of a section, if it is inside the file, is aligned, and holds
/// whole units (and `count` of them, where that is known).
fn locate(
    section: Section,
    unit: usize,
    count: Option<usize>,
    file_bytes: usize,
) -> Option<Range<usize>> {
    let start = usize::try_from(section.offset).ok()?;
    let bytes = usize::try_from(section.bytes).ok()?;
    let end = start.checked_add(bytes)?;
    let fits = end <= file_bytes && start >= HEADER_BYTES && start.is_multiple_of(ALIGNMENT);
    let counts = match count {
        Some(count) => unit.checked_mul(count)? == bytes,
        None => bytes.is_multiple_of(unit),
    };
    (fits && counts).then_some(start..end)
}
