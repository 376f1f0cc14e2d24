//! The searches of a snapshot: by words, by vectors, and by filters.

use std::collections::HashMap;

use tantivy::DocAddress;

use crate::vectors::{RowSet, Search, Segment};
use crate::words::WordSearch;
use crate::{Access, Error, ErrorKind, Filter, Result};

use super::facets::{self, Facets};
use super::names::{Mention, Names};
use super::{Bm25, ChunkRef, Scored, Selection, Snapshot, fault};

impl Snapshot {
    /// BM25 over title, headings and text. `query` is plain text: no character
    /// of it is syntax. At most `k`, best first, ties by chunk id. Of chunks with one
    /// text the best is there, since their titles may differ.
    pub fn lexical(
        &self,
        query: &str,
        k: usize,
        bm25: Bm25,
        within: Option<&Selection>,
    ) -> Result<Vec<Scored>> {
        let Some(committed) = &self.committed else {
            return Ok(Vec::new());
        };
        let words = WordSearch {
            searcher: &committed.searcher,
            field: committed.fields.body,
            analyzer: &committed.analyzer,
            params: bm25,
        };
        let accept = |segment, doc| {
            self.chunks
                .at(segment, doc)
                .is_some_and(|chunk| within.is_none_or(|selection| selection.contains(chunk)))
        };
        let hits = fault::guarded(&committed.words_dir, || {
            let chunk = |at: DocAddress| self.chunks.at(at.segment_ord, at.doc_id);
            let group = |at| self.twins.group(chunk(at)?);
            words.top_k(query, k, accept, group, chunk)
        })?;
        Ok(hits
            .into_iter()
            .filter_map(|(address, score)| {
                let chunk = self.chunks.at(address.segment_ord, address.doc_id)?;
                Some(Scored { chunk, score })
            })
            .collect())
    }

    /// Nearest chunks by inner product of unit vectors. `ef` is the breadth of
    /// the graph search (at least `k`); `exact` scans every vector. Of chunks with one
    /// text the first is there, so that copies do not crowd a graph.
    ///
    /// # Errors
    /// `Mismatch` when `query` has not the dimension of the stored vectors.
    pub fn dense(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        exact: bool,
        within: Option<&Selection>,
    ) -> Result<Vec<Scored>> {
        let Some(committed) = &self.committed else {
            return Ok(Vec::new());
        };
        let embedder = &committed.payload.embedder;
        if query.len() != embedder.dimension {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the collection was embedded by {} with {} dimensions, the query has {}; \
                     search with that model, or index again with the new one",
                    embedder.id,
                    embedder.dimension,
                    query.len()
                ),
            ));
        }
        let firsts = match within {
            Some(_) if !self.twins.is_empty() => Some(self.twins.firsts(self.chunks.len(), within)),
            _ => None,
        };
        let within = firsts.as_ref().or(within);
        let mut hits = Vec::new();
        for (at, segment) in committed.segments.iter().enumerate() {
            let alive = if self.twins.is_empty() {
                self.vectors.alive(at)
            } else {
                &self.first_rows()[at]
            };
            let selected = within.map(|selection| self.rows(at, selection));
            let allowed = selected
                .as_ref()
                .or_else(|| (alive.len() < segment.rows()).then_some(alive));
            let found = segment.search(&Search {
                query,
                k,
                ef,
                exact,
                allowed,
            })?;
            hits.extend(found.into_iter().filter_map(|(row, score)| {
                Some(Scored {
                    chunk: self.vectors.chunk(at, row)?,
                    score,
                })
            }));
        }
        hits.sort_unstable_by(Scored::order);
        hits.truncate(k);
        Ok(hits)
    }

    /// Gives the chunks of a list of vectors the places of those in a list of words that
    /// have the same text, so that a text is in both lists under one chunk.
    pub fn unite(&self, lexical: &[Scored], dense: &mut [Scored]) {
        if self.twins.is_empty() {
            return;
        }
        let by_words = lexical.iter().filter_map(|scored| {
            let group = self.twins.group(scored.chunk)?;
            Some((group, scored.chunk))
        });
        let by_words: HashMap<u32, ChunkRef> = by_words.collect();
        for scored in dense {
            let group = self.twins.group(scored.chunk);
            if let Some(&chunk) = group.and_then(|group| by_words.get(&group)) {
                scored.chunk = chunk;
            }
        }
    }

    /// Rows of a segment whose chunk is selected.
    fn rows(&self, segment: usize, selection: &Selection) -> RowSet {
        let count = self.segment(segment).map_or(0, Segment::rows);
        RowSet::from_fn(count, |row| {
            let chunk = self.vectors.chunk(segment, row);
            chunk.is_some_and(|chunk| selection.contains(chunk))
        })
    }

    /// The rows of each segment without later copies of a text.
    fn first_rows(&self) -> &[RowSet] {
        self.first_rows.get_or_init(|| {
            let firsts = self.twins.firsts(self.chunks.len(), None);
            let segments = self.committed.as_ref().map_or(0, |it| it.segments.len());
            (0..segments).map(|at| self.rows(at, &firsts)).collect()
        })
    }

    /// The chunks that `filter` and `access` leave; `None` if that is all of
    /// them. A field that no readable document has is an error of kind
    /// `InvalidInput` that lists the fields there are.
    pub fn select(&self, filter: Option<&Filter>, access: &Access) -> Result<Option<Selection>> {
        if filter.is_none() && *access == Access::All {
            return Ok(None);
        }
        let facets = self.facets.get_or_init(|| Facets::new(&self.documents));
        let Some(bits) = facets.select(filter, access)? else {
            return Ok(None);
        };
        let kept = (0..self.documents.len()).filter(|&at| facets::get(&bits, at as u32));
        let ranges = kept.map(|document| self.documents.chunks(document));
        Ok(Some(Selection::from_ranges(self.chunks.len(), ranges)))
    }

    /// The documents that `text` mentions by their title, or by the name of their file if
    /// they have none, in the order of the text: those whose chunks `within` holds, as if
    /// there were no others. One that is mentioned twice is there twice.
    pub fn mentions(&self, text: &str, within: Option<&Selection>) -> Vec<Mention> {
        let names = self.names.get_or_init(|| Names::new(&self.documents));
        names.in_text(text, &self.documents, within)
    }

    /// The chunks `chunks` of this snapshot as a limit for searches; others are left out.
    pub fn selection(&self, chunks: impl IntoIterator<Item = ChunkRef>) -> Selection {
        let mut chunks: Vec<u32> = chunks.into_iter().map(|chunk| chunk.0).collect();
        chunks.retain(|chunk| (*chunk as usize) < self.chunks.len());
        chunks.sort_unstable();
        chunks.dedup();
        let ranges = chunks.into_iter().map(|chunk| chunk..chunk + 1);
        Selection::from_ranges(self.chunks.len(), ranges)
    }

    /// How many documents, and chunks of them, the caller may read.
    pub fn readable_counts(&self, access: &Access) -> Result<(usize, usize)> {
        let all = (self.documents.len(), self.chunks.len());
        if *access == Access::All {
            return Ok(all);
        }
        let facets = self.facets.get_or_init(|| Facets::new(&self.documents));
        let Some(bits) = facets.select(None, access)? else {
            return Ok(all);
        };
        let kept = (0..self.documents.len()).filter(|&at| facets::get(&bits, at as u32));
        Ok(kept.fold((0, 0), |(documents, chunks), at| {
            (documents + 1, chunks + self.documents.chunks(at).len())
        }))
    }
}
