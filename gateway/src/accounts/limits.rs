//! The limits of one key, and what of them is used.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::buckets::Bucket;
use super::clock::Now;
use super::error::{LimitError, LimitKind};
use super::headers::RateHeaders;
use super::money::Nanos;
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
pub(super) struct Meter(Mutex<State>);

#[derive(Debug)]
struct State {
    limits: KeyLimits,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    streams: u32,
    /// Estimates of the calls under way.
    held: Amount,
    spent: Spent,
    /// The day and the month that `spent` is about.
    day: i64,
    month: i64,
}

impl Meter {
    /// Nothing is used but what the ledger says was spent.
    pub(super) fn new(limits: KeyLimits, spent: Spent, now: Now) -> Self {
        let bucket = |limit: Option<u64>| limit.map(|limit| Bucket::new(limit, now.instant));
        Self(Mutex::new(State {
            requests: bucket(limits.requests_per_minute),
            tokens: bucket(limits.tokens_per_minute),
            limits,
            streams: 0,
            held: Amount::default(),
            spent,
            day: now.day,
            month: now.month,
        }))
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

    /// Takes what a call needs at most: a stream, `amount`, and a request
    /// unless it was counted already. Nothing is taken on an error, apart from
    /// the request.
    pub(super) fn reserve(
        &self,
        amount: Amount,
        counted: bool,
        now: Now,
    ) -> Result<RateHeaders, LimitError> {
        let mut state = self.lock();
        if !counted {
            state.count_request(now)?;
        }
        state.check_streams(now)?;
        state.check_budgets(amount, now)?;
        state.take_tokens(amount.tokens, now)?;
        state.streams += 1;
        state.held = state.held.plus(amount);
        Ok(state.headers(now))
    }

    /// A call that held `held` has ended and took `used`.
    pub(super) fn settle(&self, held: Amount, used: Amount, now: Now) {
        let mut state = self.lock();
        state.turn(now);
        state.streams = state.streams.saturating_sub(1);
        state.held = state.held.minus(held);
        state.spent.day = state.spent.day.plus(used);
        state.spent.month = state.spent.month.plus(used);
        if let Some(tokens) = &mut state.tokens {
            let signed = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
            tokens.correct(
                signed(held.tokens).saturating_sub(signed(used.tokens)),
                now.instant,
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every method leaves the state whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            Some(limit) if self.streams >= limit => {
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
        let limits = self.limits;
        let day = self.spent.day.plus(self.held).plus(amount);
        let month = self.spent.month.plus(self.held).plus(amount);
        let over = |limit: Option<u64>, tokens: u64| {
            let limit = limit.filter(|limit| tokens > *limit)?;
            Some(format!("{limit} tokens"))
        };
        let over_usd = |limit: Option<f64>, cost: Nanos| {
            let limit = limit.filter(|limit| cost > Nanos::from_usd(*limit))?;
            Some(format!("{limit} US dollars"))
        };
        let reached = [
            (
                LimitKind::Month,
                over(limits.tokens_per_month, month.tokens),
            ),
            (LimitKind::Month, over_usd(limits.usd_per_month, month.cost)),
            (LimitKind::Day, over(limits.tokens_per_day, day.tokens)),
            (LimitKind::Day, over_usd(limits.usd_per_day, day.cost)),
        ];
        let Some((kind, what)) = reached
            .into_iter()
            .find_map(|(kind, what)| Some((kind, what?)))
        else {
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

    fn refused(result: Result<RateHeaders, LimitError>) -> LimitKind {
        result.unwrap_err().kind
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
        meter.reserve(amount(1, 0.0), true, now).unwrap();
        meter.reserve(amount(1, 0.0), false, now).unwrap();
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
        meter.reserve(held, false, now).unwrap();
        assert_eq!(refused(meter.reserve(held, false, now)), LimitKind::Streams);
        meter.settle(held, held, now);
        meter.reserve(held, false, now).unwrap();
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
            refused(meter.reserve(amount(101, 0.0), false, now)),
            LimitKind::TooLarge
        );
        meter.reserve(amount(80, 0.0), false, now).unwrap();
        let error = meter.reserve(amount(40, 0.0), false, now).unwrap_err();
        assert_eq!(error.kind, LimitKind::Tokens);
        assert_eq!(error.retry_after, Some(Duration::from_secs(12)));
        meter.settle(amount(80, 0.0), amount(30, 0.0), now);
        meter.reserve(amount(70, 0.0), false, now).unwrap();
        // More than was reserved is owed.
        meter.settle(amount(70, 0.0), amount(130, 0.0), now);
        assert_eq!(
            refused(meter.reserve(amount(1, 0.0), false, now)),
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
        meter.reserve(call, false, now).unwrap();
        let error = meter.reserve(call, false, now).unwrap_err();
        assert_eq!(error.kind, LimitKind::Day);
        assert_eq!(error.retry_after, Some(Duration::from_secs(86_400)));
        // The call was cheaper than it might have been: there is room again.
        meter.settle(call, amount(100, 0.1), now);
        meter.reserve(call, false, now).unwrap();
        meter.settle(call, call, now);
        assert_eq!(refused(meter.reserve(call, false, now)), LimitKind::Day);
        let tomorrow = Now::at(86_400);
        meter.reserve(call, false, tomorrow).unwrap();
        meter.settle(call, amount(800, 0.0), tomorrow);
        let error = meter.reserve(call, false, tomorrow).unwrap_err();
        assert_eq!(error.kind, LimitKind::Month);
        assert_eq!(error.retry_after, Some(Duration::from_secs(30 * 86_400)));
        meter.reserve(call, false, Now::at(31 * 86_400)).unwrap();
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
            refused(meter.reserve(amount(1, 0.2), false, Now::at(0))),
            LimitKind::Day
        );
    }
}
