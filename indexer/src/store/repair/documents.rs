//! Documents put together from what is left of the segments.

use std::collections::{BTreeMap, HashSet};

use crate::store::schema::{Fields, Record};
use crate::{Chunk, DocumentId};

use super::parts::Part;
use super::report::LostDocument;

const TEXT_LOST: &str = "text of it is lost";
const CHUNK_LOST: &str = "a part of it is lost";
const MAYBE_DELETED: &str = "whether it was deleted is lost";

/// Where a row is: part, and row in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) part: usize,
    pub(super) row: usize,
}

/// A document of which everything is there.
pub(super) struct Kept {
    pub(super) id: DocumentId,
    /// The row with its record.
    pub(super) record: Place,
    /// Its chunks, in order.
    pub(super) chunks: Vec<Place>,
    /// Its words have to be read again.
    pub(super) is_read_again: bool,
}

/// The documents of a collection.
#[derive(Default)]
pub(super) struct Documents {
    pub(super) kept: Vec<Kept>,
    pub(super) lost: Vec<LostDocument>,
}

/// Puts documents together; all of them are read again where `again`.
pub(super) fn assemble(parts: &[Part], fields: Fields, anew: bool) -> Documents {
    let mut places = BTreeMap::new();
    let is_known = |part: &&Part| part.unknown_deletions.is_none();
    collect(parts, is_known, |_| true, &mut places);
    let complete: HashSet<u64> = places
        .iter()
        .filter(|(_, places)| version(parts, places).is_some())
        .map(|(&id, _)| id)
        .collect();
    let mut doubtful = HashSet::new();
    for part in parts {
        let Some(deleted) = part.unknown_deletions else {
            continue;
        };
        // What is whole elsewhere was replaced, so it is deleted here. Where that is as
        // much as was deleted, the rest is not.
        let is_replaced = |id: u64| complete.contains(&id);
        let replaced = part.rows.iter().filter(|row| is_replaced(row.document));
        let same = |other: &&Part| other.listed.name == part.listed.name;
        if replaced.count() == deleted {
            collect(parts, same, |id| !is_replaced(id), &mut places);
        } else {
            let mut rest = BTreeMap::new();
            collect(parts, same, |id| !is_replaced(id), &mut rest);
            for (id, found) in rest {
                doubtful.insert(id);
                places.entry(id).or_default().extend(found);
            }
        }
    }
    let mut documents = Documents::default();
    for (id, places) in places {
        let reason = match version(parts, &places) {
            _ if doubtful.contains(&id) => MAYBE_DELETED,
            None => CHUNK_LOST,
            Some(version) if !has_text(parts, &version, fields) => TEXT_LOST,
            Some(version) => {
                let is_read_again = anew
                    || version.rows() != places.len()
                    || places.iter().any(|place| !parts[place.part].is_whole());
                documents.kept.push(Kept {
                    id: DocumentId(id),
                    record: version.record,
                    chunks: version.chunks,
                    is_read_again,
                });
                continue;
            }
        };
        let record = places
            .iter()
            .find_map(|place| parts[place.part].rows[place.row].record.as_ref());
        documents.lost.push(LostDocument {
            id: DocumentId(id),
            uri: record.map(|record| record.uri.clone()),
            why: reason,
        });
    }
    documents.lost.sort_by(|a, b| a.uri.cmp(&b.uri));
    documents
}

/// Adds the places of rows of the parts that are `wanted`, by document.
fn collect(
    parts: &[Part],
    wanted: impl Fn(&&Part) -> bool,
    of: impl Fn(u64) -> bool,
    places: &mut BTreeMap<u64, Vec<Place>>,
) {
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| wanted(part)) {
        for (row, found) in part.rows.iter().enumerate() {
            if of(found.document) {
                let place = Place { part: at, row };
                places.entry(found.document).or_default().push(place);
            }
        }
    }
}

/// The rows that make up a document.
struct Version {
    record: Place,
    chunks: Vec<Place>,
}

impl Version {
    fn rows(&self) -> usize {
        self.chunks.len().max(1)
    }
}

/// The version of a document that is complete. Where there are several, which is so only
/// where nothing says which segments count, the last one.
fn version(parts: &[Part], places: &[Place]) -> Option<Version> {
    let record = |place: &Place| parts[place.part].rows[place.row].record.as_ref();
    let mut records: Vec<Place> = places
        .iter()
        .filter(|place| record(place).is_some())
        .copied()
        .collect();
    if let [one] = records[..] {
        return complete(parts, one, places.to_vec());
    }
    let time = |place: &Place| record(place).map(|record| record.indexed_at);
    records.sort_by_key(|place| std::cmp::Reverse(time(place)));
    records.into_iter().find_map(|record| {
        let same = |place: &&Place| place.part == record.part;
        let own = places.iter().filter(same).copied().collect();
        complete(parts, record, own)
    })
}

/// The version whose record is at `record`, if `places` are its chunks and nothing else.
fn complete(parts: &[Part], record: Place, mut places: Vec<Place>) -> Option<Version> {
    let ordinal = |place: &Place| parts[place.part].rows[place.row].chunk.map(|(n, _)| n);
    let wanted = record_at(parts, record)?.chunks;
    if wanted == 0 {
        let is_alone = places == [record] && ordinal(&record).is_none();
        return is_alone.then(|| Version {
            record,
            chunks: Vec::new(),
        });
    }
    places.sort_by_key(ordinal);
    let found = places.iter().map(ordinal);
    found
        .eq((0..u64::from(wanted)).map(Some))
        .then_some(Version {
            record,
            chunks: places,
        })
}

/// The record of a document.
pub(super) fn record_at(parts: &[Part], place: Place) -> Option<&Record> {
    parts[place.part].rows[place.row].record.as_ref()
}

/// The stored chunk of a row.
pub(super) fn chunk_at(parts: &[Part], place: Place, fields: Fields) -> Option<Chunk> {
    parts[place.part].chunk(place.row, fields)
}

/// Whether the chunks can be read and put together.
fn has_text(parts: &[Part], version: &Version, fields: Fields) -> bool {
    let mut covered = 0;
    for (ordinal, place) in version.chunks.iter().enumerate() {
        let Some(chunk) = chunk_at(parts, *place, fields) else {
            return false;
        };
        let fits = chunk.ordinal as usize == ordinal
            && chunk.span.start <= covered
            && chunk.span.len() == chunk.text.len()
            && chunk.span.end >= covered
            && chunk.text.is_char_boundary(covered - chunk.span.start)
            && blake3::Hash::from_hex(&chunk.hash).is_ok();
        if !fits {
            return false;
        }
        covered = chunk.span.end;
    }
    record_at(parts, version.record).is_some_and(|record| record.text_bytes == covered as u64)
}
