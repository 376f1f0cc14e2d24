//! Admission before a call and settlement after it, however it ends.

use super::super::accounts::{
    Accounts, CacheUse, CallInfo, Estimate, LimitError, Outcome, Reservation,
};
use super::super::chat::{ChatEvent, ChatRequest, ProviderError, ProviderErrorKind, Served, Usage};
use super::super::routes::{Plan, Target};
use super::{Call, estimate};

/// One admitted call. Dropped without an end, it books what was streamed.
pub(super) struct Metered {
    accounts: Accounts,
    /// None once it is settled.
    reservation: Option<Reservation>,
    /// Another call pays for what this one gets.
    free: bool,
    /// How many providers have read the prompt and failed then.
    read: usize,
}

impl Metered {
    /// Asks for admission, which may have to wait for other calls of the key.
    ///
    /// # Errors
    /// `Limited` when the caller's key is over one of its limits.
    pub(super) async fn admit(
        accounts: &Accounts,
        plan: &Plan,
        request: &ChatRequest,
        call: &Call,
    ) -> Result<Self, ProviderError> {
        let estimate = Estimate {
            prompt_tokens: estimate::prompt_tokens(request),
            max_completion_tokens: request.max_tokens,
        };
        let info = CallInfo {
            request_id: call.request_id.clone(),
            route: plan.route.name.clone(),
            provider: plan.provider().to_owned(),
            model: plan.model().to_owned(),
        };
        let mut reservation = accounts
            .admit_within(&call.caller, estimate, info, plan.route.limits.first_token)
            .await
            .map_err(limited)?;
        if let Some(cell) = &call.limits {
            // Set once for each call; a second one would be the same call's.
            cell.set(reservation.limits()).ok();
        }
        call.ids.add(reservation.call_id());
        reservation.prompt(|| {
            let contents = request
                .messages
                .iter()
                .map(|message| message.content.as_str());
            contents.collect::<Vec<_>>().join("\n\n")
        });
        Ok(Self {
            accounts: accounts.clone(),
            reservation: Some(reservation),
            free: false,
            read: 0,
        })
    }

    /// From now on the call takes nothing from any provider: its answer comes
    /// from the cache, or from an equal call that is booked by itself.
    pub(super) fn is_free(&mut self) {
        self.free = true;
    }

    /// US dollars that `request` costs at most with `target`.
    pub(super) fn most(&self, target: &Target, request: &ChatRequest) -> f64 {
        let usage = estimate::most(request);
        let provider = target.provider.name();
        self.accounts.price(provider, &target.model, &usage)
    }

    /// Another target than the first writes.
    pub(super) fn retarget(&mut self, provider: &str, model: &str) {
        if let Some(reservation) = &mut self.reservation {
            reservation.retarget(provider, model);
        }
    }

    /// A target failed with `error`, and may have read the prompt before: that is paid
    /// for, as far as it can be known.
    pub(super) fn target_failed(&mut self, error: &ProviderError) {
        self.read += usize::from(reads_prompt(error.kind));
    }

    /// Notes an event on its way to the caller; the last one settles, and learns
    /// its price. Where the budget ends in the middle of an answer, the event becomes an
    /// error, which is the last one.
    pub(super) fn note(&mut self, event: &mut Result<ChatEvent, ProviderError>) {
        let Some(reservation) = &mut self.reservation else {
            return;
        };
        let tokens = match event {
            Ok(ChatEvent::Delta(text)) => {
                reservation.answer(text);
                estimate::tokens(text)
            }
            Ok(ChatEvent::ToolCall(call)) => {
                reservation.answer(&call.arguments);
                estimate::tokens(&call.name) + estimate::tokens(&call.arguments)
            }
            Ok(ChatEvent::Done(served)) => return self.done(served),
            Err(error) => return self.failed(error),
        };
        if !reservation.streamed(tokens) && !self.free {
            // Dropped, it books what was streamed.
            self.reservation = None;
            *event = Err(over_budget());
        }
    }

    fn done(&mut self, served: &mut Served) {
        // A cached answer took nothing from anybody.
        let used = match served.cache {
            CacheUse::None => served.usage,
            _ => Usage::default(),
        };
        let cost = self.accounts.price(&served.provider, &served.model, &used);
        served.usage.cost_usd = cost;
        let Some(reservation) = self.reservation.take() else {
            return;
        };
        let mut record = reservation.draft();
        record.provider.clone_from(&served.provider);
        record.model.clone_from(&served.model);
        record.usage = Usage {
            cost_usd: cost,
            ..used
        };
        record.cache = served.cache;
        record.retries = served.retries;
        record.fallbacks = served.fallbacks;
        record.outcome = Outcome::Done;
        served.finish.as_str().clone_into(&mut record.finish);
        reservation.settle(record);
    }

    fn failed(&mut self, error: &ProviderError) {
        let Some(reservation) = self.reservation.take() else {
            return;
        };
        let mut record = reservation.draft();
        // One that has begun to write has read the prompt; with what it wrote that is
        // booked by the reservation when it is dropped.
        if record.ttft.is_some() && !self.free {
            drop(reservation);
            return;
        }
        // If it did not begin, it is unknown whether the prompt is charged. Those
        // that took the request and then fell silent do.
        let read = if self.free { 0 } else { self.read };
        record.usage = Usage {
            prompt_tokens: record.usage.prompt_tokens.saturating_mul(read),
            estimated: read > 0,
            ..Usage::default()
        };
        record.usage.cost_usd = self
            .accounts
            .price(&record.provider, &record.model, &record.usage);
        record.outcome = match error.kind {
            ProviderErrorKind::Cancelled => Outcome::Cancelled,
            _ => Outcome::Failed,
        };
        error.kind.as_str().clone_into(&mut record.finish);
        reservation.settle(record);
    }
}

impl Drop for Metered {
    /// A free call whose client went away is not booked as one that broke.
    fn drop(&mut self) {
        if !self.free {
            return;
        }
        if let Some(reservation) = self.reservation.take() {
            let mut record = reservation.draft();
            record.usage = Usage::default();
            record.cache = CacheUse::Exact;
            record.outcome = Outcome::Cancelled;
            reservation.settle(record);
        }
    }
}

/// Whether a target that failed in this way before it wrote anything has taken the
/// request, and read it as far as anybody knows.
fn reads_prompt(kind: ProviderErrorKind) -> bool {
    use ProviderErrorKind as Kind;
    matches!(
        kind,
        Kind::Timeout | Kind::Cut | Kind::Garbled | Kind::TooLarge | Kind::Cancelled
    )
}

/// The budget of the key ended in the middle of an answer.
fn over_budget() -> ProviderError {
    let message = "the budget of this key ended in the middle of the answer: it took more than was \
                   estimated; ask the operator for more, or wait for the next day or month (UTC)";
    ProviderError::new(ProviderErrorKind::Limited, "", message)
}

/// A limit of the caller's key, as an error of the call.
fn limited(error: LimitError) -> ProviderError {
    ProviderError {
        retry_after: error.retry_after,
        ..ProviderError::new(ProviderErrorKind::Limited, "", error.to_string())
    }
}
