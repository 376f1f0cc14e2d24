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
pub(in crate::gateway) struct Health(Mutex<State>);

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
    /// The right to make one call, or how long nobody is sent there.
    pub(in crate::gateway) fn admit(self: &Arc<Self>) -> Result<Permit, Duration> {
        let now = Instant::now();
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
        Ok(Permit {
            health: Arc::clone(self),
            probe,
            decided: false,
        })
    }

    /// Usual time to the first text; none when it was not seen lately.
    pub(in crate::gateway) fn latency(&self) -> Option<Duration> {
        let (seconds, seen) = self.lock().latency?;
        (seen.elapsed() < FRESH).then(|| Duration::from_secs_f64(seconds))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every method leaves the state whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call to a target. Says how it went exactly once; dropped without a
/// verdict, because the client went away, it says nothing about the target.
#[derive(Debug)]
pub(in crate::gateway) struct Permit {
    health: Arc<Health>,
    probe: bool,
    decided: bool,
}

impl Permit {
    /// The first text came after this time.
    pub(in crate::gateway) fn first_token(&self, after: Duration) {
        let mut state = self.health.lock();
        let newest = after.as_secs_f64();
        let average = match state.latency {
            Some((old, _)) => old + NEWEST * (newest - old),
            None => newest,
        };
        state.latency = Some((average, Instant::now()));
    }

    /// It answered, or refused for a reason of the request's own.
    pub(in crate::gateway) fn succeeded(mut self) {
        self.decided = true;
        let mut state = self.health.lock();
        let latency = state.latency;
        *state = State {
            latency,
            ..State::default()
        };
    }

    /// It failed, and asked to be left alone this long.
    pub(in crate::gateway) fn failed(mut self, alone: Option<Duration>) {
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
                state.open_until = Some(Instant::now() + pause);
                state.pauses += 1;
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.probe && !self.decided {
            self.health.lock().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(health: &Arc<Health>, times: u32) {
        for _ in 0..times {
            health.admit().unwrap().failed(None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_probes_and_closes() {
        let health = Arc::new(Health::default());
        fail(&health, FAILURES - 1);
        health.admit().unwrap().succeeded();
        fail(&health, FAILURES);
        assert_eq!(health.admit().unwrap_err(), PAUSE);
        tokio::time::advance(PAUSE).await;
        // One probe at a time; one that is dropped gives its place back.
        let probe = health.admit().unwrap();
        assert!(health.admit().is_err());
        drop(probe);
        health.admit().unwrap().failed(None);
        assert_eq!(health.admit().unwrap_err(), 2 * PAUSE);
        tokio::time::advance(2 * PAUSE).await;
        health.admit().unwrap().succeeded();
        fail(&health, FAILURES - 1);
        assert!(health.admit().is_ok(), "an answer forgets the failures");
    }

    #[tokio::test(start_paused = true)]
    async fn late_failures_do_not_prolong_the_pause() {
        let health = Arc::new(Health::default());
        let permits: Vec<Permit> = (0..8).map(|_| health.admit().unwrap()).collect();
        for permit in permits {
            permit.failed(None);
        }
        assert_eq!(health.admit().unwrap_err(), PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_to_be_left_alone_is_kept() {
        let health = Arc::new(Health::default());
        fail(&health, FAILURES - 1);
        let long = Duration::from_secs(600);
        health.admit().unwrap().failed(Some(long));
        assert_eq!(health.admit().unwrap_err(), long);
    }

    #[tokio::test(start_paused = true)]
    async fn latency_is_an_average_that_grows_old() {
        let health = Arc::new(Health::default());
        assert_eq!(health.latency(), None);
        let permit = health.admit().unwrap();
        permit.first_token(Duration::from_secs(1));
        permit.first_token(Duration::from_secs(2));
        assert_eq!(health.latency(), Some(Duration::from_secs_f64(1.2)));
        tokio::time::advance(FRESH).await;
        assert_eq!(health.latency(), None);
    }
}
