//! One admitted call, from admission to its settlement.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use uuid::Uuid;

use super::call::{CacheUse, CallRecord, Estimate, Outcome};
use super::clock::Now;
use super::headers::RateHeaders;
use super::ledger::Entry;
use super::limits::{Amount, Meter, Ticket};
use super::money::Nanos;
use super::sample::{Sample, append};
use super::service::Accounts;
use super::trace::CallSpan;
use crate::Usage;
use cairn_settings::telemetry::{metrics as names, milliseconds};

/// The right to make one call, and what it holds of the key's limits. Settle it
/// when the call ends; dropped, it books what was streamed so far.
pub struct Reservation {
    accounts: Accounts,
    /// The limits of the key, and which of its calls this is.
    meter: Option<(Arc<Meter>, Ticket)>,
    estimate: Estimate,
    headers: RateHeaders,
    start: Instant,
    /// Tokens that were streamed, and when the first of them was.
    streamed: AtomicU64,
    first: OnceLock<Duration>,
    text: Option<Text>,
    span: CallSpan,
    /// None once it is settled.
    record: Option<Box<CallRecord>>,
}

/// Texts of a call that is sampled or traced with text.
#[derive(Default)]
struct Text {
    prompt: String,
    answer: String,
    kept: bool,
    traced: bool,
}

impl Reservation {
    pub(super) fn new(
        accounts: Accounts,
        meter: Option<(Arc<Meter>, Ticket)>,
        estimate: Estimate,
        headers: RateHeaders,
        mut record: CallRecord,
    ) -> Self {
        record.usage.cost_usd = accounts.price(&record.provider, &record.model, &record.usage);
        accounts.record(Entry::Opened(Box::new(record.clone())));
        let text = Text {
            kept: Sample::is_chosen(record.call_id, accounts.sample_share()),
            traced: accounts.traces_text(),
            ..Text::default()
        };
        Self {
            meter,
            estimate,
            headers,
            start: Instant::now(),
            streamed: AtomicU64::new(0),
            first: OnceLock::new(),
            text: (text.kept || text.traced).then_some(text),
            span: CallSpan::start(&record),
            record: Some(Box::new(record)),
            accounts,
        }
    }

    /// How the limits of the key stand, for the headers of the response.
    pub fn limits(&self) -> RateHeaders {
        self.headers
    }

    /// The ledger's name of this call.
    pub fn call_id(&self) -> Uuid {
        match &self.record {
            Some(record) => record.call_id,
            // Settling takes the reservation, so there is always one.
            None => unreachable!("a settled reservation is gone"),
        }
    }

    /// The record so far, to be completed and given to
    /// [`Reservation::settle`]: who called, what for, and the times.
    pub fn draft(&self) -> CallRecord {
        let mut record = match &self.record {
            Some(record) => CallRecord::clone(record),
            // Settling takes the reservation, so there is always one.
            None => unreachable!("a settled reservation is gone"),
        };
        record.latency = self.start.elapsed();
        record.ttft = self.first.get().copied();
        record
    }

    /// The first target was given up, and this one is asked.
    pub fn retarget(&mut self, provider: &str, model: &str) {
        if let Some(record) = &mut self.record {
            provider.clone_into(&mut record.provider);
            model.clone_into(&mut record.model);
            record.fallbacks += 1;
        }
    }

    /// `tokens` more were streamed to the caller. False where the budget of the key does
    /// not allow the call to go on.
    #[must_use]
    pub fn streamed(&self, tokens: usize) -> bool {
        self.first.get_or_init(|| self.start.elapsed());
        let before = self.streamed.fetch_add(tokens as u64, Ordering::Relaxed);
        let Some((meter, ticket)) = &self.meter else {
            return true;
        };
        // What goes beyond the estimate is held too, from now on.
        let most = self.estimate.max_completion_tokens as u64;
        let beyond = |streamed: u64| streamed.saturating_sub(most);
        let more = beyond(before.saturating_add(tokens as u64)) - beyond(before);
        let more = match (more, &self.record) {
            (1.., Some(record)) => Amount {
                tokens: more,
                cost: Nanos::from_usd(self.accounts.price(
                    &record.provider,
                    &record.model,
                    &Usage {
                        completion_tokens: usize::try_from(more).unwrap_or(usize::MAX),
                        ..Usage::default()
                    },
                )),
            },
            _ => Amount::default(),
        };
        meter.goes_on(*ticket, more, Now::get())
    }

    /// Whether the texts of this call are wanted, for the sampled share or for
    /// traces. They are masked before they are kept or sent.
    pub fn wants_text(&self) -> bool {
        self.text.is_some()
    }

    /// Gives the prompt, where it is wanted.
    pub fn prompt(&mut self, text: impl FnOnce() -> String) {
        if let Some(kept) = &mut self.text {
            append(&mut kept.prompt, &text());
        }
    }

    /// Gives some text of the answer, where it is wanted.
    pub fn answer(&mut self, text: &str) {
        if let Some(kept) = &mut self.text {
            append(&mut kept.answer, text);
        }
    }

    /// Ends the call: gives back what was held, and books `record`, whose id
    /// and caller are those of this reservation whatever it says.
    pub fn settle(mut self, record: CallRecord) {
        if let Some(own) = self.record.take() {
            self.book(CallRecord {
                call_id: own.call_id,
                at: own.at,
                key: own.key,
                tenant: own.tenant,
                ..record
            });
        }
    }

    fn book(&mut self, record: CallRecord) {
        if let Some((meter, ticket)) = self.meter.take() {
            let usage = &record.usage;
            let used = Amount {
                tokens: usage.total_tokens() as u64,
                cost: Nanos::from_usd(usage.cost_usd),
            };
            let whole = record.outcome == Outcome::Done && record.cache == CacheUse::None;
            meter.settle(ticket, used, whole, Now::get());
        }
        count(&record);
        log(&record);
        let text = self.text.take();
        let traced = text.as_ref().filter(|text| text.traced).map(|text| {
            let redactor = self.accounts.redactor();
            (redactor.redact(&text.prompt), redactor.redact(&text.answer))
        });
        self.span.end(&record, traced.as_ref());
        if let Some(text) = text.filter(|text| text.kept) {
            self.accounts.record(Entry::Sampled(Box::new(Sample {
                call_id: record.call_id,
                at: record.at,
                prompt: text.prompt,
                answer: text.answer,
                redactor: Arc::clone(self.accounts.redactor()),
            })));
        }
        self.accounts.record(Entry::Settled(Box::new(record)));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.record.is_none() {
            return;
        }
        let mut record = self.draft();
        self.record = None;
        let streamed = self.streamed.load(Ordering::Relaxed);
        record.usage.completion_tokens = usize::try_from(streamed).unwrap_or(usize::MAX);
        record.usage.estimated = true;
        record.usage.cost_usd = self
            .accounts
            .price(&record.provider, &record.model, &record.usage);
        record.outcome = Outcome::Broken;
        self.book(record);
    }
}

fn count(record: &CallRecord) {
    let labels = [
        ("route", record.route.clone()),
        ("provider", record.provider.clone()),
        ("outcome", record.outcome.as_str().to_owned()),
        ("cache", record.cache.as_str().to_owned()),
    ];
    counter!(names::CALLS, &labels).increment(1);
    let seconds = [
        ("route", record.route.clone()),
        ("provider", record.provider.clone()),
    ];
    histogram!(names::CALL_SECONDS, &seconds).record(record.latency);
    if let Some(ttft) = record.ttft {
        histogram!(names::CALL_FIRST_TOKEN_SECONDS, &seconds).record(ttft);
    }
    let Usage {
        prompt_tokens,
        cached_prompt_tokens,
        completion_tokens,
        cost_usd,
        ..
    } = record.usage;
    for (kind, tokens) in [
        ("prompt", prompt_tokens),
        ("cached_prompt", cached_prompt_tokens),
        ("completion", completion_tokens),
    ] {
        counter!(names::TOKENS, "kind" => kind, "provider" => record.provider.clone())
            .increment(tokens as u64);
    }
    let nanos = u64::try_from(Nanos::from_usd(cost_usd).0).unwrap_or(0);
    counter!(names::COST, "provider" => record.provider.clone()).increment(nanos);
}

/// One line for each call, without any text of it.
fn log(record: &CallRecord) {
    tracing::info!(
        call_id = %record.call_id,
        request_id = record.request_id,
        key = record.key.as_ref().map(tracing::field::display),
        route = record.route,
        provider = record.provider,
        model = record.model,
        prompt_tokens = record.usage.prompt_tokens,
        completion_tokens = record.usage.completion_tokens,
        cost_usd = record.usage.cost_usd,
        milliseconds = milliseconds(record.latency),
        first_token_milliseconds = record.ttft.map(milliseconds),
        cache = record.cache.as_str(),
        retries = record.retries,
        fallbacks = record.fallbacks,
        outcome = record.outcome.as_str(),
        finish = record.finish,
        "model called"
    );
}
