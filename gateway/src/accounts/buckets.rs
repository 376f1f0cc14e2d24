//! A token bucket: so many a minute, all of which may come at once after a
//! quiet minute. Time is an argument, so that tests need no waiting.

use std::time::{Duration, Instant};

use super::headers::Rate;

/// Refills evenly up to its capacity. Its level may fall below zero, when a
/// call took more than it had reserved.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    per_minute: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(per_minute: u64, now: Instant) -> Self {
        let per_minute = per_minute as f64;
        Self {
            per_minute,
            level: per_minute,
            at: now,
        }
    }

    /// Another size; what was taken stays taken.
    pub(super) fn resize(&mut self, per_minute: u64, now: Instant) {
        self.refill(now);
        let taken = self.per_minute - self.level;
        self.per_minute = per_minute as f64;
        self.level = self.per_minute - taken;
    }

    /// Whether `amount` could ever be taken at once.
    pub(super) fn can_hold(&self, amount: u64) -> bool {
        amount as f64 <= self.per_minute
    }

    /// Takes `amount`, or says how long to wait until it could be taken.
    pub(super) fn take(&mut self, amount: u64, now: Instant) -> Result<(), Duration> {
        self.refill(now);
        let missing = amount as f64 - self.level;
        if missing > 0.0 {
            return Err(self.time_for(missing));
        }
        self.level -= amount as f64;
        Ok(())
    }

    /// Corrects what was taken: a positive `amount` is given back, a negative
    /// one is taken whether it is there or not.
    pub(super) fn correct(&mut self, amount: i64, now: Instant) {
        self.refill(now);
        self.level = (self.level + amount as f64).min(self.per_minute);
    }

    /// How it stands.
    pub(super) fn rate(&mut self, now: Instant) -> Rate {
        self.refill(now);
        Rate {
            limit: self.per_minute as u64,
            remaining: self.level.max(0.0) as u64,
            reset: self.time_for(self.per_minute - self.level),
        }
    }

    fn time_for(&self, amount: f64) -> Duration {
        Duration::from_secs_f64((amount * 60.0 / self.per_minute.max(1.0)).clamp(0.0, 1e6))
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * self.per_minute / 60.0).min(self.per_minute);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_then_an_even_flow() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, start);
        for _ in 0..60 {
            bucket.take(1, start).unwrap();
        }
        assert_eq!(bucket.take(1, start), Err(SECOND));
        assert_eq!(bucket.rate(start).reset, 60 * SECOND);
        bucket.take(1, start + SECOND).unwrap();
        assert!(bucket.take(1, start + SECOND).is_err());
        // Time that runs backwards gives nothing.
        assert!(bucket.take(1, start).is_err());
    }

    #[test]
    fn corrections_may_owe_but_never_overfill() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, start);
        bucket.take(50, start).unwrap();
        bucket.correct(-20, start);
        assert_eq!(bucket.rate(start).remaining, 0);
        assert_eq!(bucket.take(1, start), Err(11 * SECOND));
        bucket.correct(1000, start);
        assert_eq!(bucket.rate(start).remaining, 60);
        assert!(bucket.can_hold(60) && !bucket.can_hold(61));
    }

    #[test]
    fn a_new_size_keeps_what_was_taken() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, start);
        bucket.take(30, start).unwrap();
        bucket.resize(100, start);
        assert_eq!(bucket.rate(start).remaining, 70);
        bucket.resize(10, start);
        assert_eq!(bucket.rate(start).remaining, 0);
    }
}
