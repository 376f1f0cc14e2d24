//! Chunks with the same text, which count once in a ranking, however often a file or
//! several files repeat them.

use std::collections::HashMap;

use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, Searcher, TERMINATED};

use crate::{Chunk, Result};

use super::chunks::Chunks;
use super::schema::Fields;
use super::{ChunkRef, Selection};

/// Bytes of the hash of a text: fewer than those of what was embedded, so that the two
/// are told apart in the field that holds both.
pub(super) const TEXT_HASH_NUM_BYTES: usize = 16;

/// Tells equal texts: BLAKE3 of the words, since white space is layout. None for a
/// text without any.
pub(super) fn text_hash(chunk: &Chunk) -> Option<[u8; TEXT_HASH_NUM_BYTES]> {
    let mut hasher = blake3::Hasher::new();
    for word in chunk.text.split_whitespace() {
        hasher.update(word.as_bytes()).update(b" ");
    }
    let mut hash = [0; TEXT_HASH_NUM_BYTES];
    hash.copy_from_slice(&hasher.finalize().as_bytes()[..TEXT_HASH_NUM_BYTES]);
    (hasher.count() > 0).then_some(hash)
}

/// The groups of two and more chunks of one snapshot that have one text.
#[derive(Default)]
pub(super) struct Twins {
    group_of: HashMap<ChunkRef, u32>,
    /// Ascending, of each group.
    members: Vec<Vec<ChunkRef>>,
}

impl Twins {
    /// Reads the hashes of texts. Chunks of a version that wrote none have no twins.
    pub(super) fn read(searcher: &Searcher, fields: Fields, chunks: &Chunks) -> Result<Self> {
        let mut hashes = Vec::new();
        for (at, reader) in searcher.segment_readers().iter().enumerate() {
            let index = reader.inverted_index(fields.hash)?;
            let mut terms = index.terms().stream()?;
            while terms.advance() {
                let Ok(hash) = <[u8; TEXT_HASH_NUM_BYTES]>::try_from(terms.key()) else {
                    continue;
                };
                let mut postings =
                    index.read_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?;
                while postings.doc() != TERMINATED {
                    let chunk = chunks.at(at as u32, postings.doc());
                    hashes.extend(chunk.map(|chunk| (hash, chunk)));
                    postings.advance();
                }
            }
        }
        hashes.sort_unstable();
        let mut twins = Self::default();
        for same in hashes
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|same| same.len() > 1)
        {
            let group = twins.members.len() as u32;
            let members: Vec<ChunkRef> = same.iter().map(|&(_, chunk)| chunk).collect();
            twins
                .group_of
                .extend(members.iter().map(|&chunk| (chunk, group)));
            twins.members.push(members);
        }
        Ok(twins)
    }

    /// Whether no text is there twice.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The group of a chunk that has twins.
    pub(super) fn group(&self, chunk: ChunkRef) -> Option<u32> {
        self.group_of.get(&chunk).copied()
    }

    /// All chunks with the text of `chunk`, in their order; empty if it is the only one.
    pub(super) fn of(&self, chunk: ChunkRef) -> &[ChunkRef] {
        let group = self.group(chunk);
        group.map_or(&[], |group| &self.members[group as usize])
    }

    /// `within` (all of `chunks`, where it is none) without the second and later chunks of
    /// each group.
    pub(super) fn firsts(&self, chunks: usize, within: Option<&Selection>) -> Selection {
        let all = || Selection::from_ranges(chunks, std::iter::once(0..chunks as u32));
        let mut firsts = within.cloned().unwrap_or_else(all);
        for members in &self.members {
            let mut selected = members.iter().filter(|chunk| firsts.contains(**chunk));
            selected.next();
            let later: Vec<ChunkRef> = selected.copied().collect();
            later.into_iter().for_each(|chunk| firsts.remove(chunk));
        }
        firsts
    }
}
