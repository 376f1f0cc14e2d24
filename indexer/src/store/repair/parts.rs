//! What the segments of the word index hold, read file by file: one that lacks some of its
//! files has the others still.
//!
//! Rows and text are in two files of a segment (columns and stored chunks); all others can
//! be made from these. Which rows were deleted is in a third.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tantivy::columnar::{BytesColumn, Column, ColumnarReader, DynamicColumn, NumericalType};
use tantivy::directory::ManagedDirectory;
use tantivy::directory::error::OpenReadError;
use tantivy::fastfield::AliveBitSet;
use tantivy::index::{SegmentComponent, SegmentMeta};
use tantivy::schema::Value as _;
use tantivy::store::StoreReader;
use tantivy::{Directory as _, TantivyDocument};

use crate::store::schema::{Fields, Record, chunk_from_json};
use crate::store::{copy, fault};
use crate::{Chunk, Error, ErrorKind, Result};

/// Blocks of stored chunks that are kept unpacked: a document's chunks are neighbours.
const STORE_CACHE_BLOCKS: usize = 4;

/// The files of one segment.
pub(super) struct Listed {
    /// 32 hexadecimal digits.
    pub(super) name: String,
    columns: PathBuf,
    store: PathBuf,
    /// What can be made from the other two.
    words: Vec<PathBuf>,
    deletions: Option<PathBuf>,
    /// Rows, and those of them that are deleted, where a commit says so.
    counts: Option<(usize, usize)>,
    /// How `meta.json` names it.
    pub(super) described: Option<serde_json::Value>,
}

impl Listed {
    /// A segment that a commit names.
    pub(super) fn of_commit(meta: &SegmentMeta) -> Self {
        let path = |component| meta.relative_path(component);
        let (columns, store) = (
            path(SegmentComponent::FastFields),
            path(SegmentComponent::Store),
        );
        let deletions = meta.has_deletes().then(|| path(SegmentComponent::Delete));
        let mut words = copy::files(meta);
        words.retain(|file| *file != columns && *file != store && Some(file) != deletions.as_ref());
        Self {
            name: meta.id().uuid_string(),
            columns,
            store,
            words,
            deletions,
            counts: Some((meta.max_doc() as usize, meta.num_deleted_docs() as usize)),
            described: serde_json::to_value(meta).ok(),
        }
    }

    /// The segments that the files in `dir` look like.
    pub(super) fn of_folder(dir: &Path) -> Result<Vec<Self>> {
        let mut found: BTreeMap<String, Option<(u64, PathBuf)>> = BTreeMap::new();
        let files = std::fs::read_dir(dir).map_err(|error| Error::from(error).at(dir))?;
        for file in files.flatten() {
            let path = PathBuf::from(file.file_name());
            let Some((name, rest)) = path.to_str().and_then(|path| path.split_once('.')) else {
                continue;
            };
            if name.len() != 32 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            let last = found.entry(name.to_owned()).or_default();
            // Of several lists of deletions the one of the last operation counts.
            let operation = rest.strip_suffix(".del").and_then(|text| text.parse().ok());
            if let Some(operation) = operation
                && last
                    .as_ref()
                    .is_none_or(|(earlier, _)| operation > *earlier)
            {
                *last = Some((operation, path.clone()));
            }
        }
        let segments = found.into_iter().map(|(name, deletions)| Self {
            columns: format!("{name}.fast").into(),
            store: format!("{name}.store").into(),
            words: Vec::new(),
            deletions: deletions.map(|(_, path)| path),
            counts: None,
            described: None,
            name,
        });
        Ok(segments.collect())
    }

    /// All its files.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.columns, &self.store]
            .into_iter()
            .chain(&self.words)
            .chain(&self.deletions)
    }

    /// Whether none of its files is there.
    pub(super) fn is_gone(&self, dir: &Path) -> bool {
        !self.files().any(|file| dir.join(file).exists())
    }

    /// Whether `part`, which no commit names, has as many rows as this: the same segment,
    /// whose name was changed.
    pub(super) fn looks_like(&self, part: &Part) -> bool {
        let alive = self.counts.map(|(rows, deleted)| rows - deleted);
        alive == Some(part.rows.len())
            && self.deletions.is_some() == part.listed.deletions.is_some()
    }
}

/// One row of a segment: a chunk, or a document without text.
pub(super) struct Row {
    pub(super) document: u64,
    /// Ordinal and vector id.
    pub(super) chunk: Option<(u64, u64)>,
    pub(super) record: Option<Record>,
    /// Its number in the segment.
    number: u32,
}

/// What there is of one segment.
pub(super) struct Part {
    pub(super) listed: Listed,
    /// Files that are missing or whose bytes have changed.
    pub(super) damaged: Vec<PathBuf>,
    /// Rows that are not deleted; all, where `unknown_deletions`.
    pub(super) rows: Vec<Row>,
    /// Rows of which nothing is known.
    pub(super) nameless: usize,
    /// How many of the rows were deleted, where it cannot be told which.
    pub(super) unknown_deletions: Option<usize>,
    store: Option<StoreReader>,
}

impl Part {
    /// Reads what is whole of a segment in `dir`.
    ///
    /// # Errors
    /// `Machine` for a file that cannot be read for another reason than damage.
    pub(super) fn read(directory: &ManagedDirectory, listed: Listed, dir: &Path) -> Result<Self> {
        let mut damaged = Vec::new();
        for file in listed.files() {
            if !is_sound(directory, file, dir)? {
                damaged.push(file.clone());
            }
        }
        let mut part = Self {
            listed,
            damaged,
            rows: Vec::new(),
            nameless: 0,
            unknown_deletions: None,
            store: None,
        };
        // A checksum can be right of bytes that were never whole.
        if let Err(error) = fault::guarded(dir, || part.open(directory)) {
            tracing::warn!(segment = part.listed.name, %error, "a segment cannot be read");
            part.rows = Vec::new();
            part.damaged.push(part.listed.columns.clone());
        }
        if part.rows.is_empty()
            && part.damaged.contains(&part.listed.columns)
            && let Some((rows, deleted)) = part.listed.counts
        {
            part.nameless = rows - deleted;
        }
        Ok(part)
    }

    fn open(&mut self, directory: &ManagedDirectory) -> Result<()> {
        let read = |file: &Path| {
            let file = directory.open_read(file);
            file.map_err(|error| Error::from(tantivy::TantivyError::from(error)))
        };
        if !self.damaged.contains(&self.listed.store) {
            let file = read(&self.listed.store)?;
            self.store = Some(StoreReader::open(file, STORE_CACHE_BLOCKS)?);
        }
        if self.damaged.contains(&self.listed.columns) {
            return Ok(());
        }
        let columns = Columns::open(&ColumnarReader::open(read(&self.listed.columns)?)?)?;
        let alive = match &self.listed.deletions {
            None => None,
            Some(file) if self.damaged.contains(file) => {
                let deleted = self
                    .listed
                    .counts
                    .map_or(usize::MAX, |(_, deleted)| deleted);
                self.unknown_deletions = Some(deleted);
                None
            }
            Some(file) => Some(AliveBitSet::open(read(file)?.read_bytes()?)),
        };
        for number in 0..columns.rows {
            if alive.as_ref().is_none_or(|alive| alive.is_alive(number)) {
                match columns.row(number)? {
                    Some(row) => self.rows.push(row),
                    None => self.nameless += 1,
                }
            }
        }
        Ok(())
    }

    /// Whether nothing of it is damaged.
    pub(super) fn is_whole(&self) -> bool {
        self.damaged.is_empty()
    }

    /// The chunk that is stored for a row; `None` if its text is lost.
    pub(super) fn chunk(&self, row: usize, fields: Fields) -> Option<Chunk> {
        let store = self.store.as_ref()?;
        let number = self.rows[row].number;
        let read = || Ok(store.get::<TantivyDocument>(number)?);
        let stored = fault::guarded(Path::new(""), read).ok()?;
        let json = stored.get_first(fields.chunk)?;
        chunk_from_json(json.as_bytes()?).ok()
    }
}

/// Whether the file is there and its bytes are those that were written.
fn is_sound(directory: &ManagedDirectory, file: &Path, dir: &Path) -> Result<bool> {
    match directory.validate_checksum(file) {
        Ok(sound) => Ok(sound),
        Err(OpenReadError::IoError { io_error, .. }) if is_in_the_way(&io_error) => {
            let kind = std::io::Error::new(io_error.kind(), io_error.to_string());
            Err(Error::from(kind).at(dir.join(file)))
        }
        Err(_) => Ok(false),
    }
}

/// Whether reading failed for a reason that somebody can take away.
fn is_in_the_way(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ResourceBusy};
    matches!(error.kind(), PermissionDenied | ResourceBusy)
}

/// The columns of a segment.
struct Columns {
    rows: u32,
    document: Column<u64>,
    /// None in a segment of documents without text.
    ordinal: Option<Column<u64>>,
    vector: Option<Column<u64>>,
    record: Option<BytesColumn>,
}

impl Columns {
    fn open(reader: &ColumnarReader) -> Result<Self> {
        let open = |name: &str| -> Result<Option<DynamicColumn>> {
            let handles = reader.read_columns(name)?;
            Ok(handles.first().map(|handle| handle.open()).transpose()?)
        };
        let numbers = |name: &str| -> Result<Option<Column<u64>>> {
            let column = open(name)?;
            Ok(
                match column.and_then(|column| column.coerce_numerical(NumericalType::U64)) {
                    Some(DynamicColumn::U64(column)) => Some(column),
                    _ => None,
                },
            )
        };
        let record = match open("record")? {
            Some(DynamicColumn::Bytes(column)) => Some(column),
            _ => None,
        };
        let nameless = || Error::new(ErrorKind::Corrupt, "a segment does not name its documents");
        Ok(Self {
            rows: reader.num_docs(),
            document: numbers("document")?.ok_or_else(nameless)?,
            ordinal: numbers("ordinal")?,
            vector: numbers("vector")?,
            record,
        })
    }

    /// None for a row that says nothing of its document.
    fn row(&self, number: u32) -> Result<Option<Row>> {
        let Some(document) = self.document.first(number) else {
            return Ok(None);
        };
        let first = |column: &Option<Column<u64>>| column.as_ref()?.first(number);
        let mut parts = Vec::new();
        if let Some(column) = &self.record {
            for ord in column.term_ords(number) {
                let mut part = Vec::new();
                column.ord_to_bytes(ord, &mut part)?;
                parts.push(part);
            }
        }
        let record = match parts.is_empty() {
            true => None,
            false => Record::from_parts(parts).ok(),
        };
        Ok(Some(Row {
            document,
            chunk: first(&self.ordinal).zip(first(&self.vector)),
            record,
            number,
        }))
    }
}
