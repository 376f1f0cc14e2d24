//! BM25 over the postings of one Tantivy field, with k1 and b of our choice.
//!
//! Tantivy's own scorer fixes k1 = 1.2 and b = 0.75. The formula is that of
//! Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and
//! Beyond" (2009), with Lucene's idf, which is never negative:
//!
//! ```text
//! score(d, q) = sum over terms t of q:  w(t) * idf(t) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * |d| / avgdl))
//! idf(t)      = ln(1 + (N - df(t) + 0.5) / (df(t) + 0.5))
//! ```
//!
//! `w(t)` is how often the question says the term. `N`, `df` and `avgdl` are
//! taken over all segments; as in Lucene, deleted chunks count in them until a
//! merge drops their segment. `|d|` is Tantivy's field norm: exact up to 40
//! terms, then rounded down by at most an eighth.

use std::cell::RefCell;
use std::collections::HashMap;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::BlockSegmentPostings;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, DocId, Searcher, SegmentOrdinal, SegmentReader, Term};

use super::analyzer::Analyzer;
use crate::top_k::TopK;
use crate::{Bm25, Error, ErrorKind, Result};

/// What an identifier that the index knows counts, and what its parts count
/// then: `ERR_CONN_4012` must find the page that mentions it once before a page
/// that is full of `conn` and `4012`.
const WHOLE_WEIGHT: f32 = 2.0;
const PART_WEIGHT: f32 = 0.25;

/// One field of one snapshot, ready to be asked.
pub struct WordSearch<'a> {
    /// The snapshot.
    pub searcher: &'a Searcher,
    /// The text field, indexed with frequencies and by `analyzer`.
    pub field: Field,
    /// What turned the field's text into terms.
    pub analyzer: &'a Analyzer,
    /// k1 and b.
    pub params: Bm25,
}

impl WordSearch<'_> {
    /// The `k` best documents for a question that is plain text, best first.
    /// Equal scores are ordered by `tie`, smaller first.
    ///
    /// `accept` says which living documents may be returned; it is asked only
    /// about documents that could enter the list. Deleted ones never do. Of documents
    /// that have one `group`, only the best is returned.
    ///
    /// # Errors
    /// `InvalidInput` when k1 is negative or b is outside 0 to 1; `Corrupt` when
    /// Tantivy cannot read its files.
    pub fn top_k<K: Ord>(
        &self,
        question: &str,
        k: usize,
        accept: impl Fn(SegmentOrdinal, DocId) -> bool,
        group: impl Fn(DocAddress) -> Option<u32>,
        tie: impl Fn(DocAddress) -> K,
    ) -> Result<Vec<(DocAddress, f32)>> {
        let Self {
            searcher,
            field,
            params,
            ..
        } = *self;
        check(params)?;
        let statistics = Statistics::of(searcher, field)?;
        let terms = self.weigh(question, &statistics)?;
        if terms.is_empty() || k == 0 {
            return Ok(Vec::new());
        }
        let length_part = length_parts(params, statistics.average_length);
        let mut best = TopK::new(k);
        let mut best_of_groups: HashMap<u32, TopK<(K, DocAddress)>> = HashMap::new();
        for (ordinal, segment) in searcher.segment_readers().iter().enumerate() {
            let ordinal = ordinal as SegmentOrdinal;
            SCORES.with_borrow_mut(|scores| -> Result<()> {
                scores.clear();
                scores.resize(segment.max_doc() as usize, 0.0);
                add_scores(segment, field, &terms, params.k1, &length_part, scores)?;
                let alive = segment.alive_bitset();
                for (doc, &score) in (0..).zip(scores.iter()) {
                    if score > 0.0
                        && score >= best.threshold()
                        && alive.is_none_or(|alive| alive.is_alive(doc))
                        && accept(ordinal, doc)
                    {
                        let address = DocAddress::new(ordinal, doc);
                        let list = match group(address) {
                            Some(group) => {
                                let list = best_of_groups.entry(group);
                                list.or_insert_with(|| TopK::new(1))
                            }
                            None => &mut best,
                        };
                        list.push(score, (tie(address), address));
                    }
                }
                Ok(())
            })?;
        }
        for list in best_of_groups.into_values() {
            for (key, score) in list.into_sorted() {
                best.push(score, key);
            }
        }
        let sorted = best.into_sorted();
        Ok(sorted
            .into_iter()
            .map(|((_, address), score)| (address, score))
            .collect())
    }

    /// The terms of the question that occur in the index, heaviest first.
    fn weigh(&self, question: &str, statistics: &Statistics) -> Result<Vec<Weighted>> {
        let query_terms = self.analyzer.query_terms(question);
        let mut frequencies = Vec::with_capacity(query_terms.len());
        for query_term in &query_terms {
            let term = Term::from_field_text(self.field, &query_term.text);
            frequencies.push(self.searcher.doc_freq(&term).map_err(unreadable)?);
        }
        let mut weighted = Vec::new();
        for (query_term, &frequency) in query_terms.iter().zip(&frequencies) {
            let share = |inside: &Option<usize>| match inside {
                Some(whole) if frequencies[*whole] > 0 => PART_WEIGHT,
                _ if query_term.has_parts => WHOLE_WEIGHT,
                _ => 1.0,
            };
            let count: f32 = query_term.occurrences.iter().map(share).sum();
            if frequency > 0 && count > 0.0 {
                weighted.push(Weighted {
                    term: Term::from_field_text(self.field, &query_term.text),
                    weight: count * statistics.idf(frequency),
                });
            }
        }
        weighted.sort_by(|a, b| {
            b.weight
                .total_cmp(&a.weight)
                .then_with(|| a.term.cmp(&b.term))
        });
        Ok(weighted)
    }
}

thread_local! {
    /// One score for each document of the current segment, kept between
    /// questions so that none has to ask for the memory again.
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn check(params: Bm25) -> Result<()> {
    let Bm25 { k1, b } = params;
    if k1.is_finite() && k1 >= 0.0 && (0.0..=1.0).contains(&b) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!(
            "BM25 with k1 = {k1} and b = {b} has no meaning; k1 is 0 or more, b is from 0 to 1"
        ),
    ))
}

/// What BM25 needs to know of the whole collection.
struct Statistics {
    documents: u64,
    average_length: f32,
}

impl Statistics {
    fn of(searcher: &Searcher, field: Field) -> Result<Self> {
        let (mut documents, mut tokens) = (0, 0);
        for segment in searcher.segment_readers() {
            documents += u64::from(segment.max_doc());
            tokens += segment
                .inverted_index(field)
                .map_err(unreadable)?
                .total_num_tokens();
        }
        Ok(Self {
            documents,
            average_length: (tokens as f64 / documents.max(1) as f64) as f32,
        })
    }

    fn idf(&self, document_frequency: u64) -> f32 {
        let with = document_frequency as f64;
        let without = self.documents.saturating_sub(document_frequency) as f64;
        (1.0 + (without + 0.5) / (with + 0.5)).ln() as f32
    }
}

/// A term that some document holds, and `w(t) * idf(t)`.
struct Weighted {
    term: Term,
    weight: f32,
}

/// `k1 * (1 - b + b * |d| / avgdl)` for each of the 256 field norms.
fn length_parts(params: Bm25, average_length: f32) -> [f32; 256] {
    std::array::from_fn(|id| {
        let length = FieldNormReader::id_to_fieldnorm(id as u8) as f32;
        let relative = length / average_length.max(f32::MIN_POSITIVE);
        params.k1 * (1.0 - params.b + params.b * relative)
    })
}

/// Adds what each term gives to each document of one segment.
fn add_scores(
    segment: &SegmentReader,
    field: Field,
    terms: &[Weighted],
    k1: f32,
    length_part: &[f32; 256],
    scores: &mut [f32],
) -> Result<()> {
    let index = segment.inverted_index(field).map_err(unreadable)?;
    let norms = segment.get_fieldnorms_reader(field).map_err(unreadable)?;
    for Weighted { term, weight } in terms {
        let postings = index
            .read_block_postings(term, IndexRecordOption::WithFreqs)
            .map_err(|error| unreadable(error.into()))?;
        let Some(mut postings) = postings else {
            continue;
        };
        let weight = weight * (k1 + 1.0);
        while postings.block_len() > 0 {
            add_block(&postings, &norms, weight, length_part, scores);
            postings.advance();
        }
    }
    Ok(())
}

fn add_block(
    postings: &BlockSegmentPostings,
    norms: &FieldNormReader,
    weight: f32,
    length_part: &[f32; 256],
    scores: &mut [f32],
) {
    for (&doc, &frequency) in postings.docs().iter().zip(postings.freqs()) {
        let frequency = frequency as f32;
        let length_part = length_part[usize::from(norms.fieldnorm_id(doc))];
        if let Some(score) = scores.get_mut(doc as usize) {
            *score += weight * frequency / (frequency + length_part);
        }
    }
}

fn unreadable(error: tantivy::TantivyError) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the word index cannot be read; run `cairn doctor`",
    )
    .because(error)
}
