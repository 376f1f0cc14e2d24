//! The limits of one key, and what of them is used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::buckets::Bucket;
use super::clock::Now;
use super::error::{LimitError, LimitKind};
use super::headers::RateHeaders;
use super::money::Nanos;
use super::trust::Trust;
use cairn_settings::config::KeyLimits;

/// Tokens and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) tokens: u64,
    pub(super) cost: Nanos,
}

impl Amount {
    fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            cost: self.cost + other.cost,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            cost: (self.cost - other.cost).max(Nanos::ZERO),
        }
    }

    /// So many times as much.
    fn times(self, factor: f64) -> Self {
        Self {
            tokens: (self.tokens as f64 * factor) as u64,
            cost: Nanos((self.cost.0 as f64 * factor) as i64),
        }
    }
}

/// Names a call under way; later ones are larger.
pub(super) type Ticket = u64;

/// A call under way.
#[derive(Clone, Debug)]
struct Running {
    model: Arc<str>,
    /// The estimate that it was admitted with.
    estimate: Amount,
    /// What it holds: the estimate, or more where it has written more.
    held: Amount,
}

/// What was spent since the day and the month began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) day: Amount,
    pub(super) month: Amount,
}

/// One key's limits in use. Every method holds its lock for some arithmetic
/// only.
#[derive(Debug)]
pub(super) struct Meter {
    state: Mutex<State>,
    /// Told when a call ends.
    ended: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    limits: KeyLimits,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    /// The calls under way, and what they hold together.
    running: BTreeMap<Ticket, Running>,
    held: Amount,
    next: Ticket,
    /// How well estimates were.
    trust: Trust,
    spent: Spent,
    /// The day and the month that `spent` is about.
    day: i64,
    month: i64,
}

impl Meter {
    /// Nothing is used but what the ledger says was spent.
    pub(super) fn new(limits: KeyLimits, spent: Spent, now: Now) -> Self {
        let bucket = |limit: Option<u64>| limit.map(|limit| Bucket::new(limit, now.instant));
        let state = State {
            requests: bucket(limits.requests_per_minute),
            tokens: bucket(limits.tokens_per_minute),
            limits,
            running: BTreeMap::new(),
            held: Amount::default(),
            next: 0,
            trust: Trust::default(),
            spent,
            day: now.day,
            month: now.month,
        };
        Self {
            state: Mutex::new(state),
            ended: Arc::default(),
        }
    }

    /// Told when a call of the key ends.
    pub(super) fn ended(&self) -> &Arc<Notify> {
        &self.ended
    }

    /// Other limits; what is used stays used.
    pub(super) fn set_limits(&self, limits: KeyLimits, now: Now) {
        let mut state = self.lock();
        let size = |bucket: &mut Option<Bucket>, limit: Option<u64>| match (&mut *bucket, limit) {
            (Some(bucket), Some(limit)) => bucket.resize(limit, now.instant),
            (_, limit) => *bucket = limit.map(|limit| Bucket::new(limit, now.instant)),
        };
        let (requests, tokens) = (limits.requests_per_minute, limits.tokens_per_minute);
        if state.limits != limits {
            size(&mut state.requests, requests);
            size(&mut state.tokens, tokens);
            state.limits = limits;
        }
    }

    /// Counts one request.
    pub(super) fn enter(&self, now: Now) -> Result<RateHeaders, LimitError> {
        let mut state = self.lock();
        state.count_request(now)?;
        Ok(state.headers(now))
    }

    /// Takes what a call of `model` needs at most: a stream, `amount`, and a request
    /// unless it was counted already. Nothing is taken on an error, except for
    /// the request.
    pub(super) fn reserve(
        &self,
        amount: Amount,
        model: &str,
        counted: bool,
        now: Now,
    ) -> Result<(Ticket, RateHeaders), LimitError> {
        let mut state = self.lock();
        if !counted {
            state.count_request(now)?;
        }
        state.check_streams(now)?;
        state.check_budgets(amount, now)?;
        state.check_doubts(amount, model, now)?;
        state.take_tokens(amount.tokens, now)?;
        state.held = state.held.plus(amount);
        state.next += 1;
        let ticket = state.next;
        let running = Running {
            model: model.into(),
            estimate: amount,
            held: amount,
        };
        state.running.insert(ticket, running);
        Ok((ticket, state.headers(now)))
    }

    /// The call `ticket` has written `more` than its estimate allows for, or nothing
    /// but what it may. Whether it may go on: by what is known by now, it and those
    /// before it must not exceed a budget.
    pub(super) fn goes_on(&self, ticket: Ticket, more: Amount, now: Now) -> bool {
        let mut state = self.lock();
        let state = &mut *state;
        state.turn(now);
        if let Some(running) = state.running.get_mut(&ticket) {
            running.held = running.held.plus(more);
            state.held = state.held.plus(more);
        }
        state.is_within_budgets(ticket)
    }

    /// The call `ticket` has ended and took `used`; `whole` where that is the measure of
    /// an answer that was written to its end.
    pub(super) fn settle(&self, ticket: Ticket, used: Amount, whole: bool, now: Now) {
        let mut state = self.lock();
        state.turn(now);
        state.spent.day = state.spent.day.plus(used);
        state.spent.month = state.spent.month.plus(used);
        if let Some(running) = state.running.remove(&ticket) {
            state.held = state.held.minus(running.held);
            if whole {
                let ratio = |used: f64, held: f64| if held > 0.0 { used / held } else { 0.0 };
                let Amount { tokens, cost } = running.estimate;
                let tokens = ratio(used.tokens as f64, tokens as f64);
                let cost = ratio(used.cost.0 as f64, cost.0 as f64);
                state.trust.learn(&running.model, tokens.max(cost));
            }
            if let Some(tokens) = &mut state.tokens {
                let signed = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
                let taken = signed(running.estimate.tokens);
                tokens.correct(taken.saturating_sub(signed(used.tokens)), now.instant);
            }
        }
        drop(state);
        self.ended.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every method leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A new day or month starts with nothing spent.
    fn turn(&mut self, now: Now) {
        if self.day != now.day {
            self.day = now.day;
            self.spent.day = Amount::default();
        }
        if self.month != now.month {
            self.month = now.month;
            self.spent.month = Amount::default();
        }
    }

    fn headers(&mut self, now: Now) -> RateHeaders {
        let rate = |bucket: &mut Option<Bucket>| bucket.as_mut().map(|b| b.rate(now.instant));
        RateHeaders {
            requests: rate(&mut self.requests),
            tokens: rate(&mut self.tokens),
        }
    }

    fn refuse(
        &mut self,
        kind: LimitKind,
        message: String,
        retry_after: Option<Duration>,
        now: Now,
    ) -> LimitError {
        LimitError {
            kind,
            message,
            retry_after,
            headers: self.headers(now),
        }
    }

    fn count_request(&mut self, now: Now) -> Result<(), LimitError> {
        let Some(wait) = self
            .requests
            .as_mut()
            .and_then(|bucket| bucket.take(1, now.instant).err())
        else {
            return Ok(());
        };
        let limit = self.limits.requests_per_minute.unwrap_or_default();
        let message = format!("this key may make {limit} requests a minute; wait and try again");
        Err(self.refuse(LimitKind::Requests, message, Some(wait), now))
    }

    fn check_streams(&mut self, now: Now) -> Result<(), LimitError> {
        match self.limits.concurrent_streams {
            Some(limit) if self.running.len() >= limit as usize => {
                let message = format!(
                    "this key may have {limit} answers written at the same time; wait for one to end"
                );
                let wait = Some(Duration::from_secs(1));
                Err(self.refuse(LimitKind::Streams, message, wait, now))
            }
            _ => Ok(()),
        }
    }

    fn check_budgets(&mut self, amount: Amount, now: Now) -> Result<(), LimitError> {
        self.turn(now);
        let reached = self.exceeded(self.held.plus(amount));
        let Some((kind, what)) = reached else {
            return Ok(());
        };
        let (period, wait) = match kind {
            LimitKind::Month => ("month", now.to_next_month),
            _ => ("day", now.to_next_day),
        };
        let message = format!(
            "this call would exceed this key's budget of {what} a {period}; it starts anew with \
             the next {period} (UTC), or ask the operator for more"
        );
        Err(self.refuse(kind, message, Some(wait), now))
    }

    /// The first budget that `more` on top of what is spent exceeds.
    fn exceeded(&self, more: Amount) -> Option<(LimitKind, String)> {
        let limits = self.limits;
        let day = self.spent.day.plus(more);
        let month = self.spent.month.plus(more);
        let over = |limit: Option<u64>, tokens: u64| {
            let limit = limit.filter(|limit| tokens > *limit)?;
            Some(format!("{limit} tokens"))
        };
        let over_usd = |limit: Option<f64>, cost: Nanos| {
            let limit = limit.filter(|limit| cost > Nanos::from_usd(*limit))?;
            Some(format!("{limit} US dollars"))
        };
        [
            (
                LimitKind::Month,
                over(limits.tokens_per_month, month.tokens),
            ),
            (LimitKind::Month, over_usd(limits.usd_per_month, month.cost)),
            (LimitKind::Day, over(limits.tokens_per_day, day.tokens)),
            (LimitKind::Day, over_usd(limits.usd_per_day, day.cost)),
        ]
        .into_iter()
        .find_map(|(kind, what)| Some((kind, what?)))
    }

    /// Several calls at the same time may all take more than was estimated, which is known
    /// only when they end. So a call does not begin alongside others where all of them,
    /// misjudged as much as is to be feared, would exceed a budget: it waits for their end.
    /// A call alone is held to its estimate, so that a budget is exceeded by one at most.
    fn check_doubts(&mut self, amount: Amount, model: &str, now: Now) -> Result<(), LimitError> {
        if self.running.is_empty() {
            return Ok(());
        }
        let feared = self
            .running
            .values()
            .fold(amount.times(self.trust.doubt(model)), |sum, running| {
                sum.plus(running.held.times(self.trust.doubt(&running.model)))
            });
        if self.exceeded(feared).is_none() {
            return Ok(());
        }
        let message = "the rest of this key's budget may be taken by its calls under way; wait \
                       for one of them to end"
            .to_owned();
        let wait = Some(Duration::from_secs(1));
        Err(self.refuse(LimitKind::Held, message, wait, now))
    }

    /// Whether what is spent, and the calls up to `ticket` as far as estimates are known
    /// to be wrong, is within the budgets.
    fn is_within_budgets(&self, ticket: Ticket) -> bool {
        let first = self.running.keys().next() == Some(&ticket);
        let until = self.running.range(..=ticket);
        let expected = until.fold(Amount::default(), |sum, (_, running)| {
            let factor = match first {
                true => 1.0,
                false => self.trust.known(&running.model),
            };
            sum.plus(running.held.times(factor))
        });
        self.exceeded(expected).is_none()
    }

    fn take_tokens(&mut self, tokens: u64, now: Now) -> Result<(), LimitError> {
        let Some(bucket) = &mut self.tokens else {
            return Ok(());
        };
        let limit = self.limits.tokens_per_minute.unwrap_or_default();
        if !bucket.can_hold(tokens) {
            let message = format!(
                "this call may take {tokens} tokens and the key {limit} a minute; ask for a \
                 shorter answer, or send less"
            );
            return Err(self.refuse(LimitKind::TooLarge, message, None, now));
        }
        match bucket.take(tokens, now.instant) {
            Ok(()) => Ok(()),
            Err(wait) => {
                let message =
                    format!("this key may take {limit} tokens a minute; wait and try again");
                Err(self.refuse(LimitKind::Tokens, message, Some(wait), now))
            }
        }
    }
}

#[cfg(test)]
mod tests;
