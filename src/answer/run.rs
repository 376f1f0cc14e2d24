//! The state of one answer while it is written: text, citations, timings.

use std::time::Instant;

use super::citations::{Checked, CitationChecker};
use super::events::{AnswerEvent, Citation, Done};
use crate::gateway::{EXTRACTIVE, Usage};
use crate::retrieve::{SearchResponse, Timings};

/// Everything that the last event says.
pub(super) struct Run {
    query_id: String,
    start: Instant,
    checker: CitationChecker,
    answer: String,
    citations: Vec<Citation>,
    timings_ms: Timings,
    /// What was cut short or missing.
    pub(super) degraded: Vec<String>,
    /// Who wrote it.
    pub(super) provider: String,
    /// The model that wrote it.
    pub(super) model: String,
    /// Tokens and money.
    pub(super) usage: Usage,
}

impl Run {
    /// An answer that began at `start` and may cite every source of `found`.
    pub(super) fn new(found: &SearchResponse, start: Instant) -> Self {
        Self {
            query_id: found.query_id.clone(),
            start,
            checker: CitationChecker::new(found.sources.iter().map(|s| s.chunk_id.clone())),
            answer: String::new(),
            citations: Vec::new(),
            timings_ms: found.timings_ms.clone(),
            degraded: found.degraded.clone(),
            provider: EXTRACTIVE.to_owned(),
            model: "none".to_owned(),
            usage: Usage::default(),
        }
    }

    /// Only the first `shown` sources can be cited from now on.
    pub(super) fn restrict(&mut self, found: &SearchResponse, shown: usize) {
        let ids = found.sources.iter().take(shown).map(|s| s.chunk_id.clone());
        self.checker = CitationChecker::new(ids);
    }

    /// Whether anything was sent.
    pub(super) fn has_begun(&self) -> bool {
        !self.answer.is_empty()
    }

    /// The text so far.
    pub(super) fn answer(&self) -> &str {
        &self.answer
    }

    /// Appends text; returns what can be sent.
    pub(super) fn write(&mut self, text: &str) -> Vec<AnswerEvent> {
        let steps = self.checker.push(text);
        self.events(steps)
    }

    /// The end of the text; returns what was held back.
    pub(super) fn close(&mut self) -> Vec<AnswerEvent> {
        let steps = self.checker.finish();
        self.events(steps)
    }

    /// Notes how long a stage took.
    pub(super) fn time(&mut self, stage: &str, since: Instant) {
        self.timings_ms
            .insert(stage.to_owned(), milliseconds(since));
    }

    /// The last event.
    pub(super) fn done(
        mut self,
        finish_reason: &str,
        refused: bool,
        grounded: bool,
    ) -> AnswerEvent {
        let lost = self.checker.dropped();
        if lost > 0 {
            self.degraded.push(format!(
                "{lost} citation(s) that point at no source were removed"
            ));
        }
        self.time("total", self.start);
        AnswerEvent::Done(Box::new(Done {
            query_id: self.query_id,
            answer: self.answer,
            citations: self.citations,
            refused,
            grounded,
            finish_reason: finish_reason.to_owned(),
            provider: self.provider,
            model: self.model,
            usage: self.usage,
            timings_ms: self.timings_ms,
            degraded: self.degraded,
        }))
    }

    fn events(&mut self, steps: Vec<Checked>) -> Vec<AnswerEvent> {
        if !steps.is_empty() && !self.has_begun() {
            self.time("first_token", self.start);
        }
        steps
            .into_iter()
            .map(|step| match step {
                Checked::Text(text) => {
                    self.answer.push_str(&text);
                    AnswerEvent::Delta { text }
                }
                Checked::Citation(citation) => {
                    self.citations.push(citation.clone());
                    AnswerEvent::Citation(citation)
                }
            })
            .collect()
    }
}

pub(super) fn milliseconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
