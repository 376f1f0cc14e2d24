//! One file of stored states, immutable. All numbers are little-endian.
//!
//! ```text
//! header    128 bytes: magic, version, whose states these are, shape, checksum
//! ids       u64 x rows, strictly ascending: vector ids
//! ends      u64 x rows: where each row ends in the data
//! checks    u64 x rows: the first bytes of the BLAKE3 of each row
//! data      the rows, as the model packs them
//! ```
//!
//! The header's checksum covers the three tables, which are read into memory: 24 bytes a
//! row. Rows are read from the file one by one and compared with their checks, so that a
//! damaged file costs time and never an answer, and so that nothing stays resident that
//! the system would have to count as ours.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use bytemuck::{Pod, Zeroable};

use crate::{Error, ErrorKind, Result};

const MAGIC: [u8; 8] = *b"CAIRNSTA";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 128;

/// How file names end.
pub(super) const SUFFIX: &str = ".states";

/// Largest row: a hundred times what a chunk of 512 tokens takes.
const MAX_ROW_BYTES: usize = 1 << 20;

/// Most rows of a file: bounds what a damaged header can make us reserve.
const MAX_ROWS: u64 = 1 << 27;

/// Whose states these are: a collection's, by when its first commit was made, as a model
/// packs them. Those of others are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) created_ns: u64,
    /// BLAKE3 of the model's name for its states.
    pub(super) model: [u8; 32],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: u32,
    reserved: u32,
    created_ns: u64,
    rows: u64,
    data_bytes: u64,
    model: [u8; 32],
    unused: [u8; 24],
    /// BLAKE3 of everything before it and of the tables.
    checksum: [u8; 32],
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);
const CHECKED_BYTES: usize = HEADER_BYTES - 32;

/// An open file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    ids: Vec<u64>,
    ends: Vec<u64>,
    checks: Vec<u64>,
    data_start: u64,
    file: File,
}

/// Why a file is not used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It holds the states of another collection or model.
    Foreign,
    /// It cannot be read.
    Damaged(Error),
}

impl From<std::io::Error> for Unusable {
    fn from(error: std::io::Error) -> Self {
        Self::Damaged(error.into())
    }
}

fn damaged(what: &str) -> Unusable {
    Unusable::Damaged(Error::new(ErrorKind::Corrupt, what))
}

impl Segment {
    /// Opens the file `name` in `dir` and checks everything but the rows themselves.
    pub(super) fn open(
        dir: &Path,
        name: &str,
        owner: &Owner,
    ) -> std::result::Result<Self, Unusable> {
        Self::open_if(dir, name, |named| named == owner).map(|(segment, _)| segment)
    }

    /// As [`Segment::open`], of whatever owner, which it returns.
    pub(super) fn open_any(dir: &Path, name: &str) -> std::result::Result<(Self, Owner), Unusable> {
        Self::open_if(dir, name, |_| true)
    }

    fn open_if(
        dir: &Path,
        name: &str,
        is_wanted: impl FnOnce(&Owner) -> bool,
    ) -> std::result::Result<(Self, Owner), Unusable> {
        let mut file = File::open(dir.join(name))?;
        let num_bytes = file.metadata()?.len();
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        let head: Header = bytemuck::pod_read_unaligned(&header);
        if head.magic != MAGIC || head.version != VERSION {
            return Err(damaged(
                "the file is not one of stored states of this version",
            ));
        }
        let named = Owner {
            created_ns: head.created_ns,
            model: head.model,
        };
        if !is_wanted(&named) {
            return Err(Unusable::Foreign);
        }
        let expected = (head.rows <= MAX_ROWS)
            .then(|| (HEADER_BYTES as u64 + head.rows * 24).checked_add(head.data_bytes))
            .flatten();
        if expected != Some(num_bytes) {
            return Err(damaged("the file has not the length that its header says"));
        }
        let rows = head.rows as usize;
        let mut tables = vec![0_u64; 3 * rows];
        file.read_exact(bytemuck::cast_slice_mut(&mut tables))?;
        if checksum(&header[..CHECKED_BYTES], &[&tables]) != head.checksum {
            return Err(damaged("the header's checksum is wrong"));
        }
        let (ids, rest) = tables.split_at(rows);
        let (ends, checks) = rest.split_at(rows);
        let ascend = |numbers: &[u64]| numbers.is_sorted_by(|a, b| a < b);
        if !ascend(ids) || !ends.is_sorted() || ends.last().copied().unwrap_or(0) != head.data_bytes
        {
            return Err(damaged("the tables contradict each other"));
        }
        let segment = Self {
            name: name.to_owned(),
            ids: ids.to_vec(),
            ends: ends.to_vec(),
            checks: checks.to_vec(),
            data_start: (HEADER_BYTES + rows * 24) as u64,
            file,
        };
        Ok((segment, named))
    }

    /// Vector ids, ascending.
    pub(super) fn ids(&self) -> &[u64] {
        &self.ids
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// The states of `id`, if they are here.
    ///
    /// # Errors
    /// `Corrupt` if they are not what was written; those of the disk.
    pub(super) fn get(&self, id: u64) -> Result<Option<Vec<u8>>> {
        let Ok(at) = self.ids.binary_search(&id) else {
            return Ok(None);
        };
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let num_bytes = (self.ends[at] - start) as usize;
        if num_bytes > MAX_ROW_BYTES {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "a row of stored states is too long",
            ));
        }
        let mut row = vec![0; num_bytes];
        read_exact_at(&self.file, &mut row, self.data_start + start)?;
        match check_of(&row) == self.checks[at] {
            true => Ok(Some(row)),
            false => Err(Error::new(ErrorKind::Corrupt, "stored states are damaged")),
        }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !buffer.is_empty() {
        let many = std::os::windows::fs::FileExt::seek_read(file, buffer, offset)?;
        if many == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[many..];
        offset += many as u64;
    }
    Ok(())
}

fn check_of(row: &[u8]) -> u64 {
    let hash = blake3::hash(row);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

fn checksum(header: &[u8], tables: &[&[u64]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header);
    for table in tables {
        hasher.update(bytemuck::cast_slice(table));
    }
    *hasher.finalize().as_bytes()
}

/// Writes `ids`, strictly ascending, whose rows `row` gives one by one, into a new file in
/// `dir`, and returns its name. A row that `row` has no longer is left out; `None` if all
/// are. When this returns, the file is durable; a call that fails or is killed leaves at
/// most a file `.tmp-*`.
///
/// # Errors
/// `InvalidInput` for a row that is too long, and those of `row` and of the disk.
pub(super) fn write(
    dir: &Path,
    owner: &Owner,
    ids: impl Iterator<Item = u64>,
    mut row: impl FnMut(u64) -> Result<Option<Vec<u8>>>,
) -> Result<Option<String>> {
    let at_dir = |error: std::io::Error| Error::from(error).at(dir);
    // The tables come first in the file and are known last: the rows wait in another one.
    let mut data = tempfile::tempfile_in(dir).map_err(at_dir)?;
    let mut out = BufWriter::with_capacity(1 << 18, &data);
    let (mut kept, mut ends, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    let mut end = 0_u64;
    for id in ids {
        let Some(row) = row(id)? else { continue };
        if row.len() > MAX_ROW_BYTES {
            let message = format!("the states of one chunk have {} bytes", row.len());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        out.write_all(&row).map_err(at_dir)?;
        end += row.len() as u64;
        kept.push(id);
        ends.push(end);
        checks.push(check_of(&row));
    }
    out.flush().map_err(at_dir)?;
    drop(out);
    if kept.is_empty() {
        return Ok(None);
    }
    let mut header = Header {
        magic: MAGIC,
        version: VERSION,
        reserved: 0,
        created_ns: owner.created_ns,
        rows: kept.len() as u64,
        data_bytes: end,
        model: owner.model,
        unused: [0; 24],
        checksum: [0; 32],
    };
    let checked = &bytemuck::bytes_of(&header)[..CHECKED_BYTES];
    header.checksum = checksum(checked, &[&kept, &ends, &checks]);
    let mut builder = tempfile::Builder::new();
    // A temporary file is its owner's alone, as every file of the index.
    let temporary = builder
        .prefix(".tmp-")
        .suffix(SUFFIX)
        .tempfile_in(dir)
        .map_err(at_dir)?;
    let mut save = || -> std::io::Result<()> {
        let mut file = temporary.as_file();
        file.write_all(bytemuck::bytes_of(&header))?;
        for table in [&kept, &ends, &checks] {
            file.write_all(bytemuck::cast_slice(table))?;
        }
        data.seek(SeekFrom::Start(0))?;
        std::io::copy(&mut data, &mut file)?;
        Ok(())
    };
    save().map_err(at_dir)?;
    // Named by its content: a name never stands for two different files.
    let name: String = header.checksum[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = name + SUFFIX;
    let path = dir.join(&name);
    cairn_files::publish(temporary, &path).map_err(|error| Error::from(error).at(&path))?;
    Ok(Some(name))
}
