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
    /// unless it was counted already. Nothing is taken on an error, apart from
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
    /// only when they end. So a call does not begin beside others where all of them,
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
mod tests {
    use super::*;

    fn amount(tokens: u64, usd: f64) -> Amount {
        Amount {
            tokens,
            cost: Nanos::from_usd(usd),
        }
    }

    fn meter(limits: KeyLimits, now: Now) -> Meter {
        Meter::new(limits, Spent::default(), now)
    }

    fn refused(result: Result<Ticket, LimitError>) -> LimitKind {
        result.unwrap_err().kind
    }

    /// A call of the model `m` that the door did not count.
    fn reserve(meter: &Meter, amount: Amount, now: Now) -> Result<Ticket, LimitError> {
        let reserved = meter.reserve(amount, "m", false, now);
        reserved.map(|(ticket, _)| ticket)
    }

    #[test]
    fn requests_count_once() {
        let now = Now::at(0);
        let limits = KeyLimits {
            requests_per_minute: Some(2),
            ..KeyLimits::default()
        };
        let meter = meter(limits, now);
        assert_eq!(meter.enter(now).unwrap().requests.unwrap().remaining, 1);
        // The call inside a request that the door counted costs no second one.
        meter.reserve(amount(1, 0.0), "m", true, now).unwrap();
        meter.reserve(amount(1, 0.0), "m", false, now).unwrap();
        let error = meter.enter(now).unwrap_err();
        assert_eq!(error.kind, LimitKind::Requests);
        assert_eq!(error.retry_after, Some(Duration::from_secs(30)));
        assert_eq!(error.headers.requests.unwrap().remaining, 0);
        meter.enter(Now::at(30)).unwrap();
    }

    #[test]
    fn streams_end() {
        let now = Now::at(0);
        let limits = KeyLimits {
            concurrent_streams: Some(1),
            ..KeyLimits::default()
        };
        let meter = meter(limits, now);
        let held = amount(10, 0.0);
        let first = reserve(&meter, held, now).unwrap();
        assert_eq!(refused(reserve(&meter, held, now)), LimitKind::Streams);
        meter.settle(first, held, true, now);
        reserve(&meter, held, now).unwrap();
    }

    #[test]
    fn tokens_that_were_not_used_come_back() {
        let now = Now::at(0);
        let limits = KeyLimits {
            tokens_per_minute: Some(100),
            ..KeyLimits::default()
        };
        let meter = meter(limits, now);
        assert_eq!(
            refused(reserve(&meter, amount(101, 0.0), now)),
            LimitKind::TooLarge
        );
        let first = reserve(&meter, amount(80, 0.0), now).unwrap();
        let error = reserve(&meter, amount(40, 0.0), now).unwrap_err();
        assert_eq!(error.kind, LimitKind::Tokens);
        assert_eq!(error.retry_after, Some(Duration::from_secs(12)));
        meter.settle(first, amount(30, 0.0), true, now);
        let second = reserve(&meter, amount(70, 0.0), now).unwrap();
        // More than was reserved is owed.
        meter.settle(second, amount(130, 0.0), true, now);
        assert_eq!(
            refused(reserve(&meter, amount(1, 0.0), now)),
            LimitKind::Tokens
        );
    }

    #[test]
    fn budgets_count_what_is_under_way_and_turn_with_the_day() {
        let now = Now::at(0);
        let limits = KeyLimits {
            usd_per_day: Some(1.0),
            tokens_per_month: Some(1000),
            ..KeyLimits::default()
        };
        let meter = meter(limits, now);
        let call = amount(100, 0.6);
        let first = reserve(&meter, call, now).unwrap();
        let error = reserve(&meter, call, now).unwrap_err();
        assert_eq!(error.kind, LimitKind::Day);
        assert_eq!(error.retry_after, Some(Duration::from_secs(86_400)));
        // The call was cheaper than it might have been: there is room again.
        meter.settle(first, amount(100, 0.1), true, now);
        let second = reserve(&meter, call, now).unwrap();
        meter.settle(second, call, true, now);
        assert_eq!(refused(reserve(&meter, call, now)), LimitKind::Day);
        let tomorrow = Now::at(86_400);
        let third = reserve(&meter, call, tomorrow).unwrap();
        meter.settle(third, amount(800, 0.0), true, tomorrow);
        let error = reserve(&meter, call, tomorrow).unwrap_err();
        assert_eq!(error.kind, LimitKind::Month);
        assert_eq!(error.retry_after, Some(Duration::from_secs(30 * 86_400)));
        reserve(&meter, call, Now::at(31 * 86_400)).unwrap();
    }

    fn nine_hundred_a_day() -> (Meter, Now) {
        let now = Now::at(0);
        let limits = KeyLimits {
            tokens_per_day: Some(900),
            ..KeyLimits::default()
        };
        (meter(limits, now), now)
    }

    #[test]
    fn where_estimates_are_wrong_calls_go_one_by_one() {
        let (meter, now) = nine_hundred_a_day();
        let call = amount(90, 0.0);
        let mut spent = 0;
        for _ in 0..20 {
            let under_way: Vec<_> = (0..20)
                .filter_map(|_| reserve(&meter, call, now).ok())
                .collect();
            for ticket in under_way {
                meter.settle(ticket, amount(460, 0.0), true, now);
                spent += 460;
            }
        }
        assert_eq!(spent, 2 * 460, "the budget, and one call at most");
    }

    #[test]
    fn where_estimates_are_right_calls_go_side_by_side() {
        let (meter, now) = nine_hundred_a_day();
        let call = amount(90, 0.0);
        let first = reserve(&meter, call, now).unwrap();
        // Nothing is known of the model yet.
        assert_eq!(refused(reserve(&meter, call, now)), LimitKind::Held);
        meter.settle(first, call, true, now);
        let under_way: Vec<_> = (0..20)
            .filter_map(|_| reserve(&meter, call, now).ok())
            .collect();
        assert_eq!(under_way.len(), 9);
        assert_eq!(refused(reserve(&meter, call, now)), LimitKind::Day);
    }

    #[test]
    fn far_from_the_budget_nobody_waits() {
        let now = Now::at(0);
        let limits = KeyLimits {
            tokens_per_day: Some(1_000_000),
            ..KeyLimits::default()
        };
        let meter = meter(limits, now);
        for _ in 0..200 {
            reserve(&meter, amount(90, 0.0), now).unwrap();
        }
    }

    #[test]
    fn calls_that_failed_say_nothing_about_estimates() {
        let (meter, now) = nine_hundred_a_day();
        let first = reserve(&meter, amount(90, 0.0), now).unwrap();
        meter.settle(first, amount(30, 0.0), false, now);
        let _second = reserve(&meter, amount(90, 0.0), now).unwrap();
        assert_eq!(
            refused(reserve(&meter, amount(90, 0.0), now)),
            LimitKind::Held
        );
    }

    #[test]
    fn the_later_calls_stop_when_the_earlier_ones_take_more() {
        let (meter, now) = nine_hundred_a_day();
        let call = amount(90, 0.0);
        let none = Amount::default();
        let known = reserve(&meter, call, now).unwrap();
        meter.settle(known, call, true, now);
        let tickets: Vec<_> = (0..4)
            .map(|_| reserve(&meter, call, now).unwrap())
            .collect();
        assert!(
            tickets
                .iter()
                .all(|ticket| meter.goes_on(*ticket, none, now))
        );
        // The first one takes three times as much: so will the others.
        meter.settle(tickets[0], amount(270, 0.0), true, now);
        let go_on = |at: usize| meter.goes_on(tickets[at], none, now);
        assert_eq!([go_on(1), go_on(2), go_on(3)], [true, true, false]);
        // One that writes on and on is counted as it goes.
        assert!(meter.goes_on(tickets[1], amount(400, 0.0), now));
        assert!(!meter.goes_on(tickets[1], amount(100, 0.0), now));
    }

    #[test]
    fn absurd_amounts_do_not_overflow() {
        let (meter, now) = nine_hundred_a_day();
        let most = amount(u64::MAX, f64::MAX);
        let first = reserve(&meter, amount(1, 0.0), now).unwrap();
        meter.goes_on(first, most, now);
        meter.settle(first, most, true, now);
        meter.settle(first, most, true, now);
        assert_eq!(refused(reserve(&meter, most, now)), LimitKind::Day);
        let tomorrow = Now::at(86_400);
        reserve(&meter, amount(1, 0.0), tomorrow).unwrap();
    }

    #[test]
    fn a_restart_knows_what_was_spent() {
        let spent = Spent {
            day: amount(0, 0.9),
            month: amount(0, 0.9),
        };
        let limits = KeyLimits {
            usd_per_day: Some(1.0),
            ..KeyLimits::default()
        };
        let meter = Meter::new(limits, spent, Now::at(0));
        assert_eq!(
            refused(reserve(&meter, amount(1, 0.2), Now::at(0))),
            LimitKind::Day
        );
    }
}
