//! Many configurations over one index, fast: every search is asked once and
//! deep, every question embedded once, every pair re-ranked once; what differs
//! between configurations is computed by the product's own fusion, re-ranking
//! and blending on what is remembered.
//!
//! Latencies are those of the first time: a remembered part counts with what it
//! took when it was computed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use cairn_eval::{Error, Evaluation, Measure, Question, Retrieved};
use cairn_indexer::{ChunkRef, Scored, Snapshot, StoredChunk};
use cairn_models::{Cancel, Reranker as _};

use super::retriever::{chunks, hits, stored};
use super::scores::Remembering;
use super::subject::Subject;
use super::variant::Variant;
use cairn_engine::retrieve::bm25;
use cairn_engine::retrieve::stages::{self, Passage, Verdict, blend, fuse_lists};
use cairn_settings::config::{Mode, Rerank, Retrieval};

/// A ranked list and the milliseconds that it took.
struct List {
    items: Vec<Scored>,
    took_ms: f64,
}

/// A question's vector and the milliseconds that it took.
struct Embedded {
    vector: Arc<[f32]>,
    took_ms: f64,
    /// Whether the model can read the question.
    is_read: bool,
}

/// What the re-ranker said about one list of candidates.
#[derive(Clone)]
struct Read {
    verdicts: Vec<Verdict>,
    took_ms: f64,
}

/// A question, the windows of a chunk, whether states are stored, and the candidates in
/// their order.
type ReadKey = (usize, usize, bool, Vec<ChunkRef>);

/// An open subject and what is remembered of it.
pub(super) struct Replay<'a> {
    subject: &'a Subject,
    snapshot: Arc<Snapshot>,
    reranker: Option<&'a Remembering>,
    cancel: &'a Cancel,
    /// Documents that the measures look at.
    depth: usize,
    /// Chunks that every list holds.
    deepest: usize,
    embedded: Vec<Embedded>,
    dense: HashMap<usize, Vec<List>>,
    lexical: HashMap<(u32, u32), Vec<List>>,
    stored: HashMap<ChunkRef, StoredChunk>,
    read: HashMap<ReadKey, Read>,
}

impl<'a> Replay<'a> {
    /// Embeds the questions. No configuration may ask for more than `candidates`.
    pub(super) fn new(
        subject: &'a Subject,
        reranker: Option<&'a Remembering>,
        candidates: usize,
        depth: usize,
        cancel: &'a Cancel,
    ) -> anyhow::Result<Self> {
        let snapshot = subject
            .engine
            .collection(&subject.collection.name)?
            .snapshot();
        let mut replay = Self {
            subject,
            snapshot,
            reranker,
            cancel,
            depth,
            deepest: chunks(Mode::Dense, candidates, depth).max(candidates),
            embedded: Vec::with_capacity(subject.dataset.questions.len()),
            dense: HashMap::new(),
            lexical: HashMap::new(),
            stored: HashMap::new(),
            read: HashMap::new(),
        };
        for question in &subject.dataset.questions {
            let start = Instant::now();
            let vector = subject.engine.embed_query(&question.text, cancel)?;
            let is_read = match subject.engine.embedder() {
                Some(model) => stages::is_embedded(model.as_ref(), &question.text)?,
                None => false,
            };
            replay.embedded.push(Embedded {
                is_read,
                vector: vector.unwrap_or_default(),
                took_ms: milliseconds(start),
            });
        }
        Ok(replay)
    }

    /// What `variant` does with every question.
    pub(super) fn run(
        &mut self,
        variant: &Variant,
        measures: &[Measure],
    ) -> anyhow::Result<Evaluation> {
        let options = &variant.config.retrieval;
        self.search(variant.mode, options)?;
        let mut retrieved = Vec::with_capacity(self.embedded.len());
        for at in 0..self.embedded.len() {
            self.cancel.check()?;
            let question = &self.subject.dataset.questions[at];
            let found = self.one(at, question, variant);
            retrieved.push(found.map_err(|source| Error::Retriever {
                question: question.id.clone(),
                source: source.into(),
            })?);
        }
        Ok(Evaluation::of(&self.subject.dataset, retrieved, measures))
    }

    /// Asks what was not asked before.
    fn search(&mut self, mode: Mode, options: &Retrieval) -> anyhow::Result<()> {
        let bm25 = bm25(options);
        let key = lexical_key(options);
        if mode != Mode::Dense && !self.lexical.contains_key(&key) {
            let ask = |question: &Question| {
                let text = stages::clean(&question.text)?;
                let start = Instant::now();
                let items = self.snapshot.lexical(&text, self.deepest, bm25, None)?;
                Ok(List {
                    items,
                    took_ms: milliseconds(start),
                })
            };
            let questions = self.subject.dataset.questions.iter();
            let lists: anyhow::Result<Vec<List>> = questions.map(ask).collect();
            self.lexical.insert(key, lists?);
        }
        let ef = options.ef_search;
        if mode != Mode::Lexical && !self.dense.contains_key(&ef) {
            let ask = |embedded: &Embedded| {
                let start = Instant::now();
                let breadth = ef.max(self.deepest);
                let vector = &embedded.vector;
                let items = self
                    .snapshot
                    .dense(vector, self.deepest, breadth, false, None)?;
                Ok(List {
                    items,
                    took_ms: milliseconds(start),
                })
            };
            let lists: anyhow::Result<Vec<List>> = self.embedded.iter().map(ask).collect();
            self.dense.insert(ef, lists?);
        }
        Ok(())
    }

    fn one(
        &mut self,
        at: usize,
        question: &Question,
        variant: &Variant,
    ) -> anyhow::Result<Retrieved> {
        let options = &variant.config.retrieval;
        let wanted = chunks(variant.mode, options.candidates, self.depth);
        let mut timings = BTreeMap::new();
        let lexical =
            (variant.mode != Mode::Dense).then(|| &self.lexical[&lexical_key(options)][at]);
        let dense = (variant.mode != Mode::Lexical).then(|| &self.dense[&options.ef_search][at]);
        let mut searching = 0.0_f64;
        if let Some(list) = lexical {
            timings.insert("lexical".to_owned(), list.took_ms);
            searching = searching.max(list.took_ms);
        }
        if let Some(list) = dense {
            let embedding = self.embedded[at].took_ms;
            timings.insert("embed".to_owned(), embedding);
            timings.insert("dense".to_owned(), list.took_ms);
            searching = searching.max(embedding + list.took_ms);
        }
        let top = |list: &List| list.items[..list.items.len().min(wanted)].to_vec();
        let (lexical, mut dense) = (lexical.map(top), dense.map(top));
        if let (Some(lexical), Some(list)) = (&lexical, &mut dense) {
            self.snapshot.unite(lexical, list);
            if !lexical.is_empty() && !self.embedded[at].is_read {
                dense = None;
            }
        }
        let start = Instant::now();
        let fused = fuse_lists(lexical.as_deref(), dense.as_deref(), options);
        let fusing = milliseconds(start);
        timings.insert("fuse".to_owned(), fusing);
        let shares = fused.shares;
        let mut ranked: Vec<(ChunkRef, f32)> = fused
            .items
            .into_iter()
            .take(wanted)
            .map(|item| (item.key, item.score))
            .collect();
        for (chunk, _) in &ranked {
            if !self.stored.contains_key(chunk) {
                self.stored.insert(*chunk, self.snapshot.chunk(*chunk)?);
            }
        }
        let mut reading = 0.0;
        if let Some(reranker) = self.reranker.filter(|_| variant.rerank)
            && let Some(read) = self.reread(reranker, at, question, &ranked, options)?
        {
            reading = read.took_ms;
            timings.insert("rerank".to_owned(), reading);
            let scores: Vec<f32> = ranked.iter().map(|(_, score)| *score).collect();
            let calibrated = |score: f32| options.rerank.weight * reranker.calibrated(score);
            ranked = blend(&scores, &shares, &read.verdicts, calibrated)
                .into_iter()
                .map(|(at, score)| (ranked[at].0, score))
                .collect();
        }
        timings.insert("total".to_owned(), searching + fusing + reading);
        let mut copies = Vec::new();
        for &(chunk, score) in &ranked {
            for twin in self.snapshot.twins(chunk) {
                copies.push((chunk, self.snapshot.chunk(twin)?, score));
            }
        }
        let mut rest = copies.iter().peekable();
        let (mut passages, mut all) = (Vec::new(), Vec::new());
        for (chunk, score) in &ranked {
            passages.push((stored(&self.stored[chunk]), *score));
            all.push((stored(&self.stored[chunk]), *score));
            while let Some((_, copy, score)) = rest.next_if(|(of, ..)| of == chunk) {
                all.push((stored(copy), *score));
            }
        }
        Ok(Retrieved {
            hits: hits(question, all.into_iter(), self.depth),
            spans: passages.iter().map(|(passage, _)| passage.span()).collect(),
            timings_ms: timings,
            degraded: Vec::new(),
        })
    }

    /// What the re-ranker says about the first candidates; `None` if the
    /// product would not ask it.
    fn reread(
        &mut self,
        reranker: &Remembering,
        at: usize,
        question: &Question,
        ranked: &[(ChunkRef, f32)],
        options: &Retrieval,
    ) -> anyhow::Result<Option<Read>> {
        if options.rerank.reads().min(ranked.len()) < 2 {
            return Ok(None);
        }
        let most = options.rerank.compares().min(ranked.len());
        let candidates: Vec<ChunkRef> = ranked[..most].iter().map(|(chunk, _)| *chunk).collect();
        let key = (at, options.rerank.windows, options.rerank.store, candidates);
        if let Some(read) = self.read.get(&key) {
            return Ok(Some(read.clone()));
        }
        let states = self.states(&key.3, &options.rerank)?;
        let passages: Vec<Passage<'_>> = key
            .3
            .iter()
            .zip(&states)
            .map(|(chunk, states)| match states {
                Some(states) => Passage::States(states),
                None => {
                    let stored = &self.stored[chunk];
                    Passage::Text {
                        title: &stored.title,
                        text: &stored.chunk.text,
                    }
                }
            })
            .collect();
        let text = stages::clean(&question.text)?;
        reranker.take();
        let start = Instant::now();
        let windows = options.rerank.windows;
        let verdicts = stages::read(reranker, &text, &passages, windows, self.cancel)?;
        let all = milliseconds(start);
        let (computed, uncached_ms) = reranker.take();
        let read = Read {
            verdicts,
            took_ms: all - computed.as_secs_f64() * 1e3 + uncached_ms,
        };
        self.read.insert(key, read.clone());
        Ok(Some(read))
    }
}

impl Replay<'_> {
    /// The stored states of the candidates that are judged; of one that is to be read, none.
    fn states(
        &self,
        candidates: &[ChunkRef],
        options: &Rerank,
    ) -> anyhow::Result<Vec<Option<Vec<u8>>>> {
        let engine = &self.subject.engine;
        let model = engine.reranker().and_then(|model| model.late_interaction());
        let model = model.filter(|_| options.store);
        let index = engine.collection(&self.subject.collection.name)?;
        let states = model.and_then(|model| index.states(&self.snapshot, model.states_id()));
        let ids = candidates
            .iter()
            .map(|chunk| self.snapshot.vector_id(*chunk));
        Ok(stages::judged(states.as_deref(), ids, options.reads()))
    }
}

fn lexical_key(options: &Retrieval) -> (u32, u32) {
    (options.bm25_k1.to_bits(), options.bm25_b.to_bits())
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
