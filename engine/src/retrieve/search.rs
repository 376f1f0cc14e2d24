//! Runs one search through its stages: select, find, fuse, hop, re-rank, and the sources to cite.

use std::time::{Duration, Instant};

use cairn_indexer::{ChunkRef, StoredChunk};
use cairn_models::{Cancel, Reranker, dot};

use super::ahead::read_under;
use super::api::{Ranks, SearchResponse, Source};
use super::blend::blend;
use super::engine::Parts;
use super::error::SearchError;
use super::find::{Found, Search};
use super::fusion::Fused;
use super::lists::{FusedLists, fuse_lists};
use super::pages;
use super::prepared::{PreparedSearch, Ready};
use super::rerank::{self, Cut, Passage, Reading, Verdict};
use super::timing::{Clock, timed};

/// A chunk on its way to the response.
struct Candidate {
    chunk: ChunkRef,
    score: f32,
    ranks: Ranks,
}

/// What the re-ranker judges a candidate by.
enum Material {
    /// Its stored states.
    States(Vec<u8>),
    /// The chunk itself, and the context in which it is read.
    Chunk(Box<StoredChunk>, String),
}

/// Runs one search.
pub(super) fn run(
    parts: &Parts,
    mut prepared: PreparedSearch,
    cancel: &Cancel,
) -> Result<SearchResponse, SearchError> {
    let start = Instant::now();
    let Ready {
        request,
        question,
        scope,
    } = prepared.prepare(parts)?;
    let snapshot = &*scope.snapshot;
    let search = Search {
        parts,
        request,
        question,
        index: &scope.index,
        snapshot,
        selection: scope.selection.as_ref(),
        cancel,
    };
    let mut clock = Clock::default();
    let mut degraded = Vec::new();
    let mut found = search.find(&mut clock, &mut degraded)?;
    if let (Some(lexical), Some(dense)) = (&found.lexical, &mut found.dense) {
        snapshot.unite(lexical, dense);
    }
    cancel.check()?;
    let (fused, took) = timed(|| search.fuse(&found));
    clock.note("fuse", took);
    let fused = search.hop(fused, &found, &mut clock, &mut degraded)?;
    let candidates = search.candidates(fused.items);
    let candidates = search.rerank(candidates, &fused.shares, &mut clock, &mut degraded)?;
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

impl Search<'_> {
    fn fuse(&self, found: &Found) -> FusedLists {
        let (lexical, dense) = (found.lexical.as_deref(), found.dense.as_deref());
        fuse_lists(lexical, dense, &self.parts.options)
    }

    /// How many candidates the re-ranker may read, and how many it may compare if their states are
    /// stored.
    fn depths(&self) -> (usize, usize) {
        let options = &self.parts.options.rerank;
        match self.request.rerank && options.enabled {
            true => (options.reads(), options.compares()),
            false => (0, 0),
        }
    }

    /// The candidates that are judged or returned; the rest of the list is not needed.
    fn candidates(&self, fused: Vec<Fused<ChunkRef, 2>>) -> Vec<Candidate> {
        let needed = self.request.top_k.max(self.depths().1);
        let candidate = |(rank, item): (u32, Fused<ChunkRef, 2>)| Candidate {
            chunk: item.key,
            score: item.score,
            ranks: Ranks {
                lexical: item.ranks[0],
                dense: item.ranks[1],
                fused: Some(rank),
                rerank: None,
            },
        };
        (1..).zip(fused).take(needed).map(candidate).collect()
    }

    /// What the first candidates are judged by: the states of those read before, the texts of the
    /// others.
    fn material(
        &self,
        candidates: &[Candidate],
        reranker: &dyn Reranker,
    ) -> Result<Vec<Material>, SearchError> {
        let (reads, compares) = self.depths();
        let model = reranker.late_interaction();
        let model = model.filter(|_| self.parts.options.rerank.store);
        let states = model.and_then(|model| self.index.states(self.snapshot, model.states_id()));
        let first = candidates.iter().take(compares);
        let ids = first.map(|candidate| self.snapshot.vector_id(candidate.chunk));
        let judged = rerank::judged(states.as_deref(), ids, reads).into_iter();
        let material = |(states, candidate): (Option<Vec<u8>>, &Candidate)| match states {
            Some(states) => Ok(Material::States(states)),
            None => {
                let chunk = self.snapshot.chunk(candidate.chunk)?;
                let title = read_under(&chunk);
                Ok(Material::Chunk(Box::new(chunk), title))
            }
        };
        judged.zip(candidates).map(material).collect()
    }

    /// Lets the re-ranker read the best candidates, and reorders them; `shares` is their
    /// contribution in addition to its scores.
    fn rerank(
        &self,
        candidates: Vec<Candidate>,
        shares: &[f32],
        clock: &mut Clock,
        degraded: &mut Vec<String>,
    ) -> Result<Vec<Candidate>, SearchError> {
        if self.depths().0.min(candidates.len()) < 2 {
            return Ok(candidates);
        }
        let Some(reranker) = &self.parts.reranker else {
            if self.parts.expects_reranker {
                degraded.push("no re-ranking model is loaded: the fused order stands".into());
            }
            return Ok(candidates);
        };
        let options = &self.parts.options.rerank;
        let start = Instant::now();
        let material = self.material(&candidates, &*reranker.queue)?;
        let passages: Vec<Passage<'_>> = material.iter().map(Material::passage).collect();
        let reading = rerank::read(
            &*reranker.queue,
            self.question,
            &passages,
            options.windows,
            self.rerank_until(start, options.budget_ms),
            self.cancel,
        )?;
        degraded.extend(explain(&reading));
        let calibrated = |score: f32| options.weight * reranker.queue.calibrated(score);
        let ranked = apply(candidates, shares, &reading.verdicts, calibrated);
        clock.note("rerank", start.elapsed());
        Ok(ranked)
    }

    /// The earlier of the request's deadline and the budget; 0 is not a budget.
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
        let cosine = |chunk| -> Result<Option<f32>, SearchError> {
            let Some(vector) = vector else {
                return Ok(None);
            };
            let stored = self.snapshot.vector(chunk)?;
            Ok(Some(dot(vector, &stored)))
        };
        (1..)
            .zip(candidates)
            .take(self.request.top_k)
            .map(|(n, candidate)| {
                let cosine = cosine(candidate.chunk)?;
                let copies = self.copies(candidate.chunk);
                let stored = self.snapshot.chunk(candidate.chunk)?;
                Ok(source(n, candidate, stored, cosine, copies, self.question))
            })
            .collect()
    }
}

impl Material {
    fn passage(&self) -> Passage<'_> {
        match self {
            Self::States(states) => Passage::States(states),
            Self::Chunk(chunk, title) => Passage::Text {
                title,
                text: &chunk.chunk.text,
            },
        }
    }
}

impl Search<'_> {
    /// Other chunks with the same text, among those that the request may find.
    fn copies(&self, chunk: ChunkRef) -> u32 {
        let within = self.selection;
        let twins = self.snapshot.twins(chunk);
        let selected = |twin: &ChunkRef| within.is_none_or(|within| within.contains(*twin));
        twins.filter(selected).count() as u32
    }
}

/// The candidates in their blended order. If nothing was read, the order stays as it was.
fn apply(
    candidates: Vec<Candidate>,
    shares: &[f32],
    verdicts: &[Verdict],
    calibrated: impl Fn(f32) -> f32,
) -> Vec<Candidate> {
    if verdicts.iter().all(|verdict| verdict.score().is_none()) {
        return candidates;
    }
    let fused: Vec<f32> = candidates.iter().map(|candidate| candidate.score).collect();
    let order = blend(&fused, shares, verdicts, calibrated);
    let mut slots: Vec<Option<Candidate>> = candidates.into_iter().map(Some).collect();
    (1..)
        .zip(order)
        .filter_map(|(rank, (at, score))| {
            let mut candidate = slots[at].take()?;
            candidate.score = score;
            let score = verdicts.get(at).and_then(|verdict| verdict.score());
            candidate.ranks.rerank = score.map(|_| rank);
            Some(candidate)
        })
        .collect()
}

/// What the re-ranker left out, and why.
fn explain(reading: &Reading) -> Option<String> {
    let count =
        |counts: fn(&Verdict) -> bool| reading.verdicts.iter().filter(|v| counts(v)).count();
    let (read, all) = (count(|v| v.score().is_some()), reading.verdicts.len());
    let what = match reading.cut {
        // The page recognises this one by its wording, and shows it in grey.
        Some(Cut::Deadline) => "re-ranking ran out of time",
        Some(Cut::Overloaded) => "the re-ranking model is busy",
        Some(Cut::Failed) => "the re-ranking model failed",
        Some(Cut::Foreign) => {
            let reason = "the re-ranking model cannot read the question";
            return Some(format!("{reason}: the fused order stands"));
        }
        None => {
            let foreign = count(|v| *v == Verdict::Abstains);
            return (foreign > 0).then(|| {
                format!(
                    "the re-ranking model cannot read {foreign} of {all} candidates: they keep \
                     their places"
                )
            });
        }
    };
    Some(format!(
        "{what} after {read} of {all} candidates: the others keep their fused order"
    ))
}

fn source(
    n: u32,
    candidate: Candidate,
    stored: StoredChunk,
    cosine: Option<f32>,
    copies: u32,
    question: &str,
) -> Source {
    let pages = pages::of_chunk(&stored.chunk);
    Source {
        n,
        chunk_id: stored.chunk_id,
        document_id: stored.document_id.to_string(),
        uri: stored.uri,
        title: stored.title,
        heading_path: stored.chunk.heading_path,
        page: pages::saying(question, &stored.chunk.text, &pages).or(stored.chunk.page),
        pages,
        columns: stored.chunk.columns,
        code_blocks: stored.chunk.code_blocks,
        start: stored.chunk.span.start,
        end: stored.chunk.span.end,
        text: stored.chunk.text.into(),
        score: candidate.score,
        cosine,
        copies,
        ranks: candidate.ranks,
    }
}
