//! One search through its stages: select, lexical ‖ (embed, dense), fuse,
//! re-rank, and the sources to cite.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_indexer::{ChunkRef, DocumentId, Scored, Selection, Snapshot, StoredChunk};
use cairn_models::{Cancel, ErrorKind};

use super::api::{Ranks, SearchRequest, SearchResponse, Source};
use super::engine::Parts;
use super::error::SearchError;
use super::fusion::{self, Fused, Method, Ranked};
use super::question;
use super::rerank::{self, Cut, Passage};
use super::timing::{Clock, timed};
use super::vectors::QueryVectors;
use crate::config::{FusionMethod, Mode};

/// The order of chunk ids, and the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    document: DocumentId,
    ordinal: u32,
    chunk: ChunkRef,
}

/// A candidate on its way to the response.
struct Candidate {
    stored: StoredChunk,
    chunk: ChunkRef,
    score: f32,
    ranks: Ranks,
}

/// What a search is about, the same for all stages.
struct Search<'a> {
    parts: &'a Parts,
    request: &'a SearchRequest,
    question: &'a str,
    snapshot: &'a Snapshot,
    selection: Option<Selection>,
    cancel: &'a Cancel,
}

/// The two ranked lists, as far as they were searched.
#[derive(Default)]
struct Found {
    lexical: Option<Vec<Scored>>,
    dense: Option<Vec<Scored>>,
    vector: Option<Arc<[f32]>>,
}

pub(super) fn run(
    parts: &Parts,
    request: &SearchRequest,
    cancel: &Cancel,
) -> Result<SearchResponse, SearchError> {
    let start = Instant::now();
    question::check_limits(request)?;
    let question = question::clean(&request.query, parts.max_query_bytes)?;
    let snapshot = parts.collections.get(&request.collection)?.snapshot();
    let selection = snapshot.select(request.filter.as_ref(), &request.access)?;
    let search = Search {
        parts,
        request,
        question: &question,
        snapshot: &snapshot,
        selection,
        cancel,
    };
    let mut clock = Clock::default();
    let mut degraded = Vec::new();
    let found = search.find(&mut clock, &mut degraded)?;
    check(cancel)?;
    let (fused, took) = timed(|| search.fuse(&found));
    clock.note("fuse", took);
    let candidates = search.rerank(fused?, &mut clock, &mut degraded)?;
    let sources = search.sources(candidates, found.vector.as_deref())?;
    Ok(SearchResponse {
        query_id: uuid::Uuid::new_v4().to_string(),
        collection: request.collection.clone(),
        generation: snapshot.generation(),
        sources,
        timings_ms: clock.finish(start),
        degraded,
    })
}

fn check(cancel: &Cancel) -> Result<(), SearchError> {
    cancel.check().map_err(SearchError::from)
}

impl Search<'_> {
    /// Runs the searches of the request, both at the same time.
    fn find(&self, clock: &mut Clock, degraded: &mut Vec<String>) -> Result<Found, SearchError> {
        let nothing_left = self.selection.as_ref().is_some_and(Selection::is_empty);
        if self.snapshot.chunk_count() == 0 || nothing_left {
            return Ok(Found::default());
        }
        let Some(vectors) = self.vectors(degraded) else {
            return self.find_words(clock);
        };
        if self.request.mode == Mode::Dense {
            let dense = self.dense(vectors, clock)?;
            return self.or_words(dense, None, clock, degraded);
        }
        // Not on rayon's pool: a worker that waits for the model's thread would
        // be missing there when the model itself computes on that pool.
        let (words, meaning) = std::thread::scope(|scope| {
            let words = std::thread::Builder::new()
                .name("lexical".into())
                .spawn_scoped(scope, || timed(|| self.lexical()));
            let meaning = self.dense(vectors, clock);
            let words = match words {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => timed(|| self.lexical()),
            };
            (words, meaning)
        });
        let (lexical, took) = words;
        clock.note("lexical", took);
        self.or_words(meaning?, Some(lexical?), clock, degraded)
    }

    /// The embedder, if the request wants vectors and they can be compared.
    fn vectors(&self, degraded: &mut Vec<String>) -> Option<&QueryVectors> {
        if self.request.mode == Mode::Lexical {
            return None;
        }
        let Some(vectors) = &self.parts.vectors else {
            degraded.push("no embedding model is loaded: only words were searched".into());
            return None;
        };
        let (have, need) = (vectors.embedder().id(), self.snapshot.embedder_id());
        if need.is_some_and(|need| need != have) {
            degraded.push(format!(
                "the collection was embedded with {}, and {have} is loaded: only words were \
                 searched. Set models.embedder to the former, or index again with the latter",
                need.unwrap_or_default()
            ));
            return None;
        }
        Some(vectors)
    }

    fn find_words(&self, clock: &mut Clock) -> Result<Found, SearchError> {
        let (lexical, took) = timed(|| self.lexical());
        clock.note("lexical", took);
        Ok(Found {
            lexical: Some(lexical?),
            ..Found::default()
        })
    }

    fn lexical(&self) -> Result<Vec<Scored>, SearchError> {
        let options = &self.parts.options;
        let bm25 = cairn_indexer::Bm25 {
            k1: options.bm25_k1,
            b: options.bm25_b,
        };
        let within = self.selection.as_ref();
        Ok(self
            .snapshot
            .lexical(self.question, self.wanted(), bm25, within)?)
    }

    /// Candidates to take from each search.
    fn wanted(&self) -> usize {
        self.request.candidates.max(self.request.top_k)
    }

    /// Embeds the question and searches its neighbours; the reason in words
    /// when the question could not be embedded.
    #[allow(clippy::type_complexity)]
    fn dense(
        &self,
        vectors: &QueryVectors,
        clock: &mut Clock,
    ) -> Result<Result<(Vec<Scored>, Arc<[f32]>), String>, SearchError> {
        let limited = match self.request.deadline {
            Some(at) => self.cancel.with_deadline(at),
            None => self.cancel.clone(),
        };
        let (vector, took) = timed(|| vectors.embed(self.question, &limited));
        clock.note("embed", took);
        let vector =
            match vector {
                Ok(vector) => vector,
                Err(error) => {
                    check(self.cancel)?;
                    return match error.kind() {
                    ErrorKind::Overloaded => Err(error.into()),
                    ErrorKind::Cancelled => Ok(Err(
                        "the deadline passed before the question was embedded: only words were \
                         searched"
                            .into(),
                    )),
                    _ => {
                        tracing::error!(%error, "the question could not be embedded");
                        Ok(Err("the embedding model failed: only words were searched".into()))
                    }
                };
                }
            };
        let wanted = self.wanted();
        let ef = self.parts.options.ef_search.max(wanted);
        let within = self.selection.as_ref();
        let (found, took) = timed(|| self.snapshot.dense(&vector, wanted, ef, false, within));
        clock.note("dense", took);
        Ok(Ok((found?, vector)))
    }

    /// Puts both lists together; words stand in where vectors are missing.
    fn or_words(
        &self,
        dense: Result<(Vec<Scored>, Arc<[f32]>), String>,
        lexical: Option<Vec<Scored>>,
        clock: &mut Clock,
        degraded: &mut Vec<String>,
    ) -> Result<Found, SearchError> {
        match dense {
            Ok((dense, vector)) => Ok(Found {
                lexical,
                dense: Some(dense),
                vector: Some(vector),
            }),
            Err(reason) => {
                degraded.push(reason);
                match lexical {
                    Some(lexical) => Ok(Found {
                        lexical: Some(lexical),
                        ..Found::default()
                    }),
                    None => self.find_words(clock),
                }
            }
        }
    }

    /// One list of both. A single list keeps its own scores.
    fn fuse(&self, found: &Found) -> Result<Vec<Fused<Key, 2>>, SearchError> {
        let lexical = self.keyed(found.lexical.as_deref())?;
        let dense = self.keyed(found.dense.as_deref())?;
        let options = &self.parts.options.fusion;
        let method = match options.method {
            FusionMethod::Rrf => Method::Rrf { k: options.k },
            FusionMethod::Weighted => Method::Weighted,
        };
        let lists = [
            Ranked {
                items: &lexical,
                weight: options.lexical_weight,
            },
            Ranked {
                items: &dense,
                weight: options.dense_weight,
            },
        ];
        let mut fused = fusion::fuse(lists, method);
        if found.lexical.is_none() || found.dense.is_none() {
            let own: std::collections::HashMap<_, _> = lexical
                .iter()
                .chain(&dense)
                .map(|&(key, score)| (key.chunk, score))
                .collect();
            fused.sort_by_key(|item| item.ranks[0].or(item.ranks[1]));
            for item in &mut fused {
                item.score = own[&item.key.chunk];
            }
        }
        Ok(fused)
    }

    fn keyed(&self, list: Option<&[Scored]>) -> Result<Vec<(Key, f32)>, SearchError> {
        let key = |scored: &Scored| {
            let stored = self.snapshot.chunk(scored.chunk)?;
            let key = Key {
                document: stored.document_id,
                ordinal: stored.chunk.ordinal,
                chunk: scored.chunk,
            };
            Ok((key, scored.score))
        };
        list.unwrap_or_default().iter().map(key).collect()
    }

    /// Loads what may be returned, and lets the cross-encoder read the best.
    fn rerank(
        &self,
        mut fused: Vec<Fused<Key, 2>>,
        clock: &mut Clock,
        degraded: &mut Vec<String>,
    ) -> Result<Vec<Candidate>, SearchError> {
        let options = &self.parts.options.rerank;
        let wanted = self.request.rerank && options.enabled && options.depth > 0;
        let depth = if wanted { options.depth } else { 0 };
        fused.truncate(self.request.top_k.max(depth));
        let mut candidates = Vec::with_capacity(fused.len());
        for (rank, item) in (1..).zip(fused) {
            candidates.push(Candidate {
                stored: self.snapshot.chunk(item.key.chunk)?,
                chunk: item.key.chunk,
                score: item.score,
                ranks: Ranks {
                    lexical: item.ranks[0],
                    dense: item.ranks[1],
                    fused: Some(rank),
                    rerank: None,
                },
            });
        }
        if !wanted || candidates.len() < 2 {
            return Ok(candidates);
        }
        let Some(reranker) = &self.parts.reranker else {
            degraded.push("no re-ranking model is loaded: the fused order stands".into());
            return Ok(candidates);
        };
        let start = Instant::now();
        let passages: Vec<Passage<'_>> = candidates
            .iter()
            .take(depth)
            .map(|candidate| Passage {
                title: &candidate.stored.title,
                text: &candidate.stored.chunk.text,
            })
            .collect();
        let deadline = self.rerank_until(start, options.budget_ms);
        let reading = rerank::read(
            reranker.as_ref(),
            self.question,
            &passages,
            options,
            deadline,
            self.cancel,
        )?;
        degraded.extend(reading.cut.map(|cut| explain(cut, &reading.scores)));
        let fused: Vec<f32> = candidates.iter().map(|candidate| candidate.score).collect();
        let order = rerank::blend(&fused, &reading.scores, options.blend);
        let mut slots: Vec<Option<Candidate>> = candidates.into_iter().map(Some).collect();
        let mut ranked = Vec::with_capacity(slots.len());
        if reading.scores.iter().all(Option::is_none) {
            clock.note("rerank", start.elapsed());
            return Ok(slots.into_iter().flatten().collect());
        }
        for (rank, (at, score)) in (1..).zip(order) {
            let Some(mut candidate) = slots[at].take() else {
                continue;
            };
            candidate.score = score;
            let read = reading.scores.get(at).is_some_and(Option::is_some);
            candidate.ranks.rerank = read.then_some(rank);
            ranked.push(candidate);
        }
        clock.note("rerank", start.elapsed());
        Ok(ranked)
    }

    /// The earlier of the request's deadline and the budget; 0 is no budget.
    fn rerank_until(&self, start: Instant, budget_ms: u64) -> Option<Instant> {
        let budget = (budget_ms > 0).then(|| start + Duration::from_millis(budget_ms));
        match (budget, self.request.deadline) {
            (Some(budget), Some(deadline)) => Some(budget.min(deadline)),
            (budget, deadline) => budget.or(deadline),
        }
    }

    fn sources(
        &self,
        candidates: Vec<Candidate>,
        vector: Option<&[f32]>,
    ) -> Result<Vec<Source>, SearchError> {
        let mut sources = Vec::with_capacity(self.request.top_k.min(candidates.len()));
        for (n, candidate) in (1..).zip(candidates.into_iter().take(self.request.top_k)) {
            let cosine = match vector {
                Some(vector) => Some(dot(vector, &self.snapshot.vector(candidate.chunk)?)),
                None => None,
            };
            sources.push(source(n, candidate, cosine));
        }
        Ok(sources)
    }
}

fn explain(cut: Cut, scores: &[Option<f32>]) -> String {
    let read = scores.iter().flatten().count();
    let all = scores.len();
    match cut {
        Cut::Deadline => format!(
            "re-ranking ran out of time after {read} of {all} candidates: the others keep their \
             fused order"
        ),
        Cut::Overloaded => format!(
            "the re-ranking model is busy: {read} of {all} candidates were read, the others keep \
             their fused order"
        ),
        Cut::Failed => format!(
            "the re-ranking model failed after {read} of {all} candidates: the others keep their \
             fused order"
        ),
    }
}

fn source(n: u32, candidate: Candidate, cosine: Option<f32>) -> Source {
    let stored = candidate.stored;
    Source {
        n,
        chunk_id: stored.chunk_id,
        document_id: stored.document_id.to_string(),
        uri: stored.uri,
        title: stored.title,
        heading_path: stored.chunk.heading_path,
        page: stored.chunk.page,
        start: stored.chunk.span.start,
        end: stored.chunk.span.end,
        text: stored.chunk.text,
        score: candidate.score,
        cosine,
        ranks: candidate.ranks,
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
