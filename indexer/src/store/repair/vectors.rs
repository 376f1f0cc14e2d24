//! The vectors that are left, and those that are lost: copied from an equal chunk, or
//! embedded again from the stored text.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use cairn_models::{Cancel, Embedder};

use crate::chunk::{again, pool};
use crate::store::IndexSettings;
use crate::store::schema::Fields;
use crate::vectors::{BuildSettings, Segment, SegmentMeta, write_segment};
use crate::{Error, ErrorKind, Result};

use super::documents::{Kept, Place, chunk_at, record_at};
use super::parts::Part;

/// Chunks that the embedder gets at once.
const EMBED_BATCH: usize = 256;

/// Vectors that are held in memory before they become a segment.
const BUFFER_BYTES: usize = 64 << 20;

/// Chunks that are compared with an embedder before it is believed to be the one.
const MAX_COMPARED: usize = 64;

/// The vector segments of a collection.
#[derive(Default)]
pub(super) struct Vectors {
    pub(super) whole: Vec<(SegmentMeta, Segment)>,
    pub(super) damaged: Vec<PathBuf>,
}

/// A chunk whose vector is lost.
#[derive(Clone, Copy)]
pub(super) struct Missing {
    pub(super) vector_id: u64,
    /// Its document among those that are kept, and its number there.
    pub(super) document: usize,
    pub(super) ordinal: usize,
}

impl Vectors {
    /// Those that a commit names.
    ///
    /// # Errors
    /// `Machine` for a file that cannot be read for another reason than damage.
    pub(super) fn of_commit(dir: &Path, listed: &[SegmentMeta]) -> Result<Self> {
        let mut found = Self::default();
        for meta in listed {
            match open(dir, meta) {
                Ok(segment) => found.whole.push((meta.clone(), segment)),
                Err(error) if error.kind() == ErrorKind::Machine => return Err(error),
                Err(_) => found.damaged.push(dir.join(&meta.file)),
            }
        }
        Ok(found)
    }

    /// Those in the folder, largest first, without any that has an id of one before it: what
    /// was merged is there twice until the next commit.
    pub(super) fn of_folder(dir: &Path) -> Result<Self> {
        let Ok(files) = std::fs::read_dir(dir) else {
            return Ok(Self::default());
        };
        let mut found = Self::default();
        let mut all = Vec::new();
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || !name.ends_with(".vec") {
                continue;
            }
            let read = SegmentMeta::of_file(dir, &name)
                .and_then(|meta| open(dir, &meta).map(|segment| (meta, segment)));
            match read {
                Ok(read) => all.push(read),
                Err(error) if error.kind() == ErrorKind::Machine => return Err(error),
                Err(_) => found.damaged.push(file.path()),
            }
        }
        all.sort_by(|(a, _), (b, _)| (b.rows, &b.file).cmp(&(a.rows, &a.file)));
        let mut taken = HashSet::new();
        for (meta, segment) in all {
            let is_new = !segment.ids().iter().any(|id| taken.contains(id));
            let fits = found.dimension().is_none_or(|d| d == segment.dimension());
            if is_new && fits {
                taken.extend(segment.ids().iter().copied());
                found.whole.push((meta, segment));
            }
        }
        Ok(found)
    }

    /// Floats of each vector, where there is a segment.
    pub(super) fn dimension(&self) -> Option<usize> {
        self.whole.first().map(|(_, segment)| segment.dimension())
    }

    /// The id above all that are there.
    pub(super) fn next_id(&self) -> u64 {
        let last = self
            .whole
            .iter()
            .filter_map(|(_, segment)| segment.ids().last());
        last.max().map_or(0, |id| id + 1)
    }

    fn find(&self, id: u64) -> Option<&[f32]> {
        self.whole
            .iter()
            .find_map(|(_, segment)| segment.vector(segment.row_of(id)?).ok())
    }

    /// The chunks of `kept` that have no vector, by vector id.
    pub(super) fn missing(&self, parts: &[Part], kept: &[Kept]) -> Vec<Missing> {
        let mut missing = Vec::new();
        for (document, kept) in kept.iter().enumerate() {
            for (ordinal, place) in kept.chunks.iter().enumerate() {
                let Some(vector_id) = vector_id(parts, *place) else {
                    continue;
                };
                if self.find(vector_id).is_none() {
                    missing.push(Missing {
                        vector_id,
                        document,
                        ordinal,
                    });
                }
            }
        }
        missing.sort_unstable_by_key(|missing| missing.vector_id);
        missing
    }
}

fn open(dir: &Path, meta: &SegmentMeta) -> Result<Segment> {
    let segment = Segment::open(dir, meta)?;
    segment.verify()?;
    Ok(segment)
}

pub(super) fn vector_id(parts: &[Part], place: Place) -> Option<u64> {
    let (_, id) = parts[place.part].rows[place.row].chunk?;
    Some(id)
}

/// What vectors are made again from.
pub(super) struct VectorInputs<'a> {
    pub(super) parts: &'a [Part],
    pub(super) kept: &'a [Kept],
    pub(super) vectors: &'a Vectors,
    pub(super) settings: &'a IndexSettings,
    pub(super) fields: Fields,
}

impl VectorInputs<'_> {
    /// Writes vectors for the `missing` chunks into `dir`, under the ids that the chunks
    /// name. `embedder` is asked for when a chunk has no equal one; `on_done` is told how
    /// many more vectors there are.
    ///
    /// # Errors
    /// Those of `embedder` and of embedding; `Cancelled`; those of the disk.
    pub(super) fn make_again(
        &self,
        missing: &[Missing],
        dir: &Path,
        embedder: &mut dyn FnMut() -> Result<std::sync::Arc<dyn Embedder>>,
        cancel: &Cancel,
        on_done: &mut dyn FnMut(usize),
    ) -> Result<Vec<SegmentMeta>> {
        let copies = self.copies(missing);
        let mut written = Vec::new();
        let (mut ids, mut values, mut dimension) = (Vec::new(), Vec::new(), 0);
        for batch in missing.chunks(EMBED_BATCH) {
            cancel.check()?;
            let mut vectors: Vec<Option<Vec<f32>>> = batch
                .iter()
                .map(|missing| {
                    let equal = copies.get(&self.hash(missing)?)?;
                    self.vectors.find(*equal).map(<[f32]>::to_vec)
                })
                .collect();
            if vectors.iter().any(Option::is_none) {
                let embedder = embedder()?;
                self.embed(batch, &mut vectors, embedder.as_ref(), cancel)?;
            }
            for (missing, vector) in batch.iter().zip(vectors.into_iter().flatten()) {
                ids.push(missing.vector_id);
                dimension = vector.len();
                values.extend_from_slice(&vector);
            }
            on_done(batch.len());
            if values.len() * size_of::<f32>() >= BUFFER_BYTES {
                written.push(self.write(dir, &ids, &values, dimension, cancel)?);
                (ids, values) = (Vec::new(), Vec::new());
            }
        }
        if !ids.is_empty() {
            written.push(self.write(dir, &ids, &values, dimension, cancel)?);
        }
        Ok(written)
    }

    fn write(
        &self,
        dir: &Path,
        ids: &[u64],
        values: &[f32],
        dimension: usize,
        cancel: &Cancel,
    ) -> Result<SegmentMeta> {
        let settings = BuildSettings {
            graph_min_rows: self.settings.graph_min_rows,
            ..BuildSettings::default()
        };
        write_segment(dir, ids, values, dimension, &settings, cancel)
    }

    fn chunk(&self, missing: &Missing) -> Option<crate::Chunk> {
        let place = self.kept[missing.document].chunks[missing.ordinal];
        chunk_at(self.parts, place, self.fields)
    }

    fn hash(&self, missing: &Missing) -> Option<String> {
        Some(self.chunk(missing)?.hash)
    }

    /// Ids of vectors that are left, by the hash of what was embedded, for the hashes of
    /// `missing` chunks.
    fn copies(&self, missing: &[Missing]) -> HashMap<String, u64> {
        let wanted: HashSet<String> = missing.iter().filter_map(|at| self.hash(at)).collect();
        let lost: HashSet<u64> = missing.iter().map(|missing| missing.vector_id).collect();
        let mut copies = HashMap::new();
        for place in self.kept.iter().flat_map(|kept| &kept.chunks) {
            if copies.len() == wanted.len() {
                break;
            }
            if let Some(id) = vector_id(self.parts, *place)
                && !lost.contains(&id)
                && let Some(chunk) = chunk_at(self.parts, *place, self.fields)
                && wanted.contains(&chunk.hash)
            {
                copies.insert(chunk.hash, id);
            }
        }
        copies
    }

    /// Embeds the chunks of `batch` that have no vector.
    fn embed(
        &self,
        batch: &[Missing],
        vectors: &mut [Option<Vec<f32>>],
        embedder: &dyn Embedder,
        cancel: &Cancel,
    ) -> Result<()> {
        let mut inputs = Vec::new();
        let mut spans = Vec::new();
        for (at, missing) in batch.iter().enumerate() {
            if vectors[at].is_none() {
                let (read, _) = self.inputs(missing, embedder)?;
                spans.push((at, inputs.len()..inputs.len() + read.len()));
                inputs.extend(read);
            }
        }
        let texts: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let embedded = embedder.embed(&texts, cancel)?;
        let dimension = embedder.dimension();
        if embedded.len() != texts.len() || embedded.iter().any(|v| v.len() != dimension) {
            let message = format!("{} did not give one vector for each text", embedder.id());
            return Err(Error::new(ErrorKind::Model, message));
        }
        for (at, span) in spans {
            vectors[at] = Some(pool(&embedded[span]));
        }
        Ok(())
    }

    /// What the embedder read of a chunk, and the hash of it.
    fn inputs(
        &self,
        missing: &Missing,
        embedder: &dyn Embedder,
    ) -> Result<(Vec<String>, [u8; 32])> {
        let kept = &self.kept[missing.document];
        let gone = || Error::new(ErrorKind::Internal, "a chunk that was read has gone");
        let chunk = self.chunk(missing).ok_or_else(gone)?;
        let covered = match missing.ordinal.checked_sub(1) {
            None => 0,
            Some(before) => {
                let before = chunk_at(self.parts, kept.chunks[before], self.fields);
                before.ok_or_else(gone)?.span.end
            }
        };
        let title = record_at(self.parts, kept.record).map_or("", |record| record.title.as_str());
        again::inputs(title, &chunk, covered, embedder, self.settings)
    }

    /// Whether the stored chunks were cut for `embedder` under these settings, so that their
    /// vectors are its own. True where there is nothing to compare.
    pub(super) fn was_made_by(&self, embedder: &dyn Embedder) -> Result<bool> {
        let mut compared = 0;
        for (document, kept) in self.kept.iter().enumerate() {
            for ordinal in 0..kept.chunks.len() {
                let missing = Missing {
                    vector_id: 0,
                    document,
                    ordinal,
                };
                let (_, hash) = self.inputs(&missing, embedder)?;
                let hex = blake3::Hash::from_bytes(hash).to_hex();
                if self.hash(&missing).as_deref() == Some(hex.as_str()) {
                    return Ok(true);
                }
                compared += 1;
                if compared == MAX_COMPARED {
                    return Ok(false);
                }
            }
        }
        Ok(compared == 0)
    }
}
