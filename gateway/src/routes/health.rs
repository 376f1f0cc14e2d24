//! What is known of one target: whether it answers, and how fast.
//!
//! A circuit breaker: after [`FAILURES`] failures in a row nobody is sent there
//! for a while; then one call at a time tries, and the first that is answered
//! closes the circuit. The pause doubles with each failed try.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open the circuit.
const FAILURES: u32 = 5;
/// The first pause, and the longest.
const PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(120);
/// Weight of the newest latency in the moving average.
const NEWEST: f64 = 0.2;
/// A latency that was seen longer ago says nothing about now, so that a target
/// that was passed over is tried again.
const FRESH: Duration = Duration::from_secs(30);

/// Shared by every route that has the target.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// The circuit is open until then.
    open_until: Option<Instant>,
    /// Pauses so far without an answer between them.
    pauses: u32,
    /// One call tries whether the target answers again.
    probing: bool,
    /// Moving average of the time to the first text, in seconds, and when it
    /// was last seen.
    latency: Option<(f64, Instant)>,
}

impl Health {
    /// The right to make one call, or how long no call is sent there.
    pub(crate) fn admit(self: &Arc<Self>, now: Instant) -> Result<TargetPermit, Duration> {
        let mut state = self.lock();
        let mut probe = false;
        if let Some(until) = state.open_until {
            if now < until {
                return Err(until - now);
            }
            if state.probing {
                return Err(PAUSE);
            }
            state.probing = true;
            probe = true;
        }
        Ok(TargetPermit {
            health: Arc::clone(self),
            probe,
            decided: false,
        })
    }

    /// Usual time to the first text; `None` if it was not seen lately.
    pub(crate) fn latency(&self, now: Instant) -> Option<Duration> {
        let (seconds, seen) = self.lock().latency?;
        (now.saturating_duration_since(seen) < FRESH).then(|| Duration::from_secs_f64(seconds))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every method leaves the state whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call to a target. Says how it went exactly once; dropped without a
/// verdict, because the client went away, it says nothing about the target.
#[derive(Debug)]
pub(crate) struct TargetPermit {
    health: Arc<Health>,
    probe: bool,
    decided: bool,
}

impl TargetPermit {
    /// The first text came after this time.
    pub(crate) fn first_token(&self, after: Duration, now: Instant) {
        let mut state = self.health.lock();
        let newest = after.as_secs_f64();
        let average = match state.latency {
            Some((old, _)) => old + NEWEST * (newest - old),
            None => newest,
        };
        state.latency = Some((average, now));
    }

    /// It answered, or refused for a reason of the request's own.
    pub(crate) fn succeeded(mut self) {
        self.decided = true;
        let mut state = self.health.lock();
        let latency = state.latency;
        *state = State {
            latency,
            ..State::default()
        };
    }

    /// It failed, and asked to be left alone this long.
    pub(crate) fn failed(mut self, alone: Option<Duration>, now: Instant) {
        self.decided = true;
        let mut state = self.health.lock();
        state.failures += 1;
        if self.probe {
            state.probing = false;
        }
        if self.probe || state.failures >= FAILURES {
            let doubled = PAUSE * 2_u32.saturating_pow(state.pauses.min(10));
            let pause = doubled.min(MAX_PAUSE).max(alone.unwrap_or_default());
            // A call from before the circuit opened must not prolong it.
            if self.probe || state.open_until.is_none() {
                state.open_until = Some(now + pause);
                state.pauses += 1;
            }
        }
    }
}

impl Drop for TargetPermit {
    fn drop(&mut self) {
        if self.probe && !self.decided {
            self.health.lock().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(health: &Arc<Health>, times: u32, now: Instant) {
        for _ in 0..times {
            health.admit(now).unwrap().failed(None, now);
        }
    }

    #[test]
    fn it_opens_probes_and_closes() {
        let health = Arc::new(Health::default());
        let mut now = Instant::now();
        fail(&health, FAILURES - 1, now);
        health.admit(now).unwrap().succeeded();
        fail(&health, FAILURES, now);
        assert_eq!(health.admit(now).unwrap_err(), PAUSE);
        now += PAUSE;
        // One probe at a time; one that is dropped gives its place back.
        let probe = health.admit(now).unwrap();
        assert!(health.admit(now).is_err());
        drop(probe);
        health.admit(now).unwrap().failed(None, now);
        assert_eq!(health.admit(now).unwrap_err(), 2 * PAUSE);
        now += 2 * PAUSE;
        health.admit(now).unwrap().succeeded();
        fail(&health, FAILURES - 1, now);
        assert!(health.admit(now).is_ok(), "an answer forgets the failures");
    }

    #[test]
    fn late_failures_do_not_prolong_the_pause() {
        let health = Arc::new(Health::default());
        let now = Instant::now();
        let permits: Vec<TargetPermit> = (0..8).map(|_| health.admit(now).unwrap()).collect();
        for permit in permits {
            permit.failed(None, now);
        }
        assert_eq!(health.admit(now).unwrap_err(), PAUSE);
    }

    #[test]
    fn a_wish_to_be_left_alone_is_kept() {
        let health = Arc::new(Health::default());
        let now = Instant::now();
        fail(&health, FAILURES - 1, now);
        let long = Duration::from_secs(600);
        health.admit(now).unwrap().failed(Some(long), now);
        assert_eq!(health.admit(now).unwrap_err(), long);
    }

    #[test]
    fn latency_is_an_average_that_grows_old() {
        let health = Arc::new(Health::default());
        let now = Instant::now();
        assert_eq!(health.latency(now), None);
        let permit = health.admit(now).unwrap();
        permit.first_token(Duration::from_secs(1), now);
        permit.first_token(Duration::from_secs(2), now);
        assert_eq!(health.latency(now), Some(Duration::from_secs_f64(1.2)));
        assert_eq!(health.latency(now + FRESH), None);
    }
}
