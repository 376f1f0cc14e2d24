//! The state of one answer while it is written: what was sent, its citations and timings.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::citations::{Checked, CitationChecker, only_marks};
use super::events::{AnswerEvent, Citation, Done};
use super::extractive::Extract;
use crate::retrieve::{SearchResponse, Source, Timings};
use cairn_gateway::{CacheUse, EXTRACTIVE, Served, Usage};

/// `model` of an answer that no model wrote.
const NO_MODEL: &str = "none";

/// Sends the events of one answer, and collects the content of the last one.
pub(super) struct AnswerRun {
    out: mpsc::Sender<AnswerEvent>,
    query_id: String,
    start: Instant,
    checker: CitationChecker,
    /// The texts of the sources.
    texts: Vec<Arc<str>>,
    /// How many of them the checker has not received yet.
    unread: Option<usize>,
    answer: String,
    citations: Vec<Citation>,
    timings_ms: Timings,
    /// What was cut short or missing.
    pub(super) degraded: Vec<String>,
    /// What wrote it.
    pub(super) provider: String,
    /// The model that wrote it, as the provider says.
    pub(super) model: String,
    /// Tokens and cost.
    pub(super) usage: Usage,
    cache: CacheUse,
    /// Probability that the sources answer the question.
    pub(super) answerability: f32,
    /// Positions of quotations whose marks are still to come.
    places: VecDeque<Place>,
    /// The sources that have pages, by chunk.
    paged: HashMap<String, Source>,
}

/// Where a quotation is in its source, in Unicode scalar values.
struct Place {
    start: usize,
    end: usize,
}

/// The end of `text` from its last sentence on, without marks.
fn last_sentence(text: &str) -> &str {
    let marks = |c: char| c.is_whitespace() || c.is_ascii_digit() || matches!(c, '[' | ']');
    let said = text.trim_end_matches(marks);
    let ends = |c: char| matches!(c, '.' | '!' | '?' | '\n' | '。' | '！' | '？');
    let said = said.trim_end_matches(ends);
    said.rfind(ends).map_or(said, |at| &said[at..])
}

impl AnswerRun {
    /// An answer that began at `start` and may cite every source of `found`.
    pub(super) fn new(
        found: &SearchResponse,
        start: Instant,
        out: mpsc::Sender<AnswerEvent>,
    ) -> Self {
        let texts = found.sources.iter().map(|source| Arc::clone(&source.text));
        let chunk_ids = found.sources.iter().map(|source| source.chunk_id.clone());
        Self {
            out,
            query_id: found.query_id.clone(),
            start,
            checker: CitationChecker::new(chunk_ids),
            unread: Some(found.sources.len()),
            texts: texts.collect(),
            answer: String::new(),
            citations: Vec::new(),
            timings_ms: found.timings_ms.clone(),
            degraded: found.degraded.clone(),
            provider: EXTRACTIVE.to_owned(),
            model: NO_MODEL.to_owned(),
            usage: Usage::default(),
            cache: CacheUse::None,
            answerability: 0.0,
            places: VecDeque::new(),
            paged: found
                .sources
                .iter()
                .filter(|source| source.page.is_some())
                .map(|source| (source.chunk_id.clone(), source.clone()))
                .collect(),
        }
    }

    /// From now on only these sources can be cited: `chunk_ids[n - 1]` is source `n`.
    pub(super) fn can_cite(&mut self, chunk_ids: &[String]) {
        self.checker = CitationChecker::new(chunk_ids.iter().cloned());
        self.unread = Some(chunk_ids.len());
    }

    /// Notes that a model wrote it, and adds its usage to what was spent before.
    pub(super) fn served(&mut self, served: Served) {
        self.provider = served.provider;
        self.model = served.model;
        self.usage.add(&served.usage);
        self.cache = served.cache;
        self.degraded.extend(served.notes);
    }

    /// Notes that a model wrote it, which was stopped before it reported its name and usage.
    pub(super) fn written_by(&mut self, provider: &str, model: &str) {
        if self.model == NO_MODEL {
            provider.clone_into(&mut self.provider);
            model.clone_into(&mut self.model);
        }
    }

    /// Notes that what a model wrote is not shown.
    pub(super) fn forget_model(&mut self) {
        EXTRACTIVE.clone_into(&mut self.provider);
        self.cache = CacheUse::None;
        NO_MODEL.clone_into(&mut self.model);
    }

    /// Whether anything was sent.
    pub(super) fn has_begun(&self) -> bool {
        !self.answer.is_empty()
    }

    /// The text so far with its citations as the only marks.
    pub(super) fn cited_answer(&self) -> String {
        only_marks(&self.answer, &self.citations)
    }

    /// Appends text without citations, unchanged.
    pub(super) async fn say(&mut self, text: &str) {
        let steps = self.checker.verbatim(text);
        self.send(steps).await;
    }

    /// Appends text and sends the part that is decided.
    pub(super) async fn write(&mut self, text: &str) {
        // The texts help to interpret marks that a model writes; quotations do not need them.
        if let Some(count) = self.unread.take() {
            let texts = self.texts.iter().take(count).map(|text| &**text);
            let checker = std::mem::replace(&mut self.checker, CitationChecker::new([]));
            self.checker = checker.reading(texts);
        }
        let steps = self.checker.push(text);
        self.send(steps).await;
    }

    /// Appends quotations, each of which has one mark.
    pub(super) async fn quote(&mut self, extracts: &[Extract], sources: &[Source]) {
        for (at, extract) in extracts.iter().enumerate() {
            let before_is_block = at > 0 && extracts[at - 1].is_block;
            let gap = match at {
                0 => "",
                _ if extract.is_block || before_is_block => "\n\n",
                _ => " ",
            };
            let source = &sources[extract.source];
            let count = |end: usize| source.text[..end].chars().count();
            self.places.push_back(Place {
                start: count(extract.span.start),
                end: count(extract.span.end),
            });
            let (before, rest) = extract.text.split_at(extract.mark.start);
            let after = &rest[extract.mark.len()..];
            self.say(&format!("{gap}{before}")).await;
            let mark = self.checker.cite(source.n);
            self.send(mark).await;
            self.say(after).await;
        }
    }

    /// Ends the text: sends what was held back.
    pub(super) async fn close(&mut self) {
        let steps = self.checker.finish();
        self.send(steps).await;
    }

    /// Records how long a stage took.
    pub(super) fn time(&mut self, stage: &str, since: Instant) {
        self.timings_ms
            .insert(stage.to_owned(), milliseconds(since));
    }

    /// Sends the last event.
    pub(super) async fn done(mut self, finish_reason: &str, refused: bool, grounded: bool) {
        let lost = self.checker.dropped();
        if lost > 0 {
            self.degraded.push(format!(
                "{lost} citation(s) that point at no source were removed"
            ));
        }
        self.time("total", self.start);
        let done = AnswerEvent::Done(Box::new(Done {
            query_id: self.query_id,
            answer: self.answer,
            citations: self.citations,
            refused,
            grounded,
            answerability: self.answerability,
            finish_reason: finish_reason.to_owned(),
            provider: self.provider,
            model: self.model,
            usage: self.usage,
            cache: self.cache,
            timings_ms: self.timings_ms,
            degraded: self.degraded,
        }));
        send(&self.out, done).await;
    }

    async fn send(&mut self, steps: Vec<Checked>) {
        if !steps.is_empty() && !self.has_begun() {
            self.time("first_token", self.start);
        }
        for step in steps {
            let event = match step {
                Checked::Text(text) => {
                    self.answer.push_str(&text);
                    AnswerEvent::Delta { text }
                }
                Checked::Citation(mut citation) => {
                    let place = self.places.pop_front();
                    let source = self.paged.get(&citation.chunk_id);
                    citation.page = source.and_then(|source| match &place {
                        Some(place) => source.page_at(place.start),
                        None => source.page_saying(last_sentence(&self.answer)),
                    });
                    if let Some(place) = place {
                        citation.source_start = Some(place.start);
                        citation.source_end = Some(place.end);
                    }
                    self.citations.push(citation.clone());
                    AnswerEvent::Citation(citation)
                }
            };
            send(&self.out, event).await;
        }
    }
}

/// Sends one event. If the receiver is gone the whole answer is dropped, so errors are ignored.
pub(super) async fn send(out: &mpsc::Sender<AnswerEvent>, event: AnswerEvent) {
    out.send(event).await.ok();
}

/// Milliseconds since `start`, to the microsecond.
pub fn milliseconds(since: Instant) -> f64 {
    cairn_settings::telemetry::milliseconds(since.elapsed())
}
