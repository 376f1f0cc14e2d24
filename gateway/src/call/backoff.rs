//! How long to wait before the same target is asked again.

use std::time::Duration;

use super::super::routes::fraction;

/// Longest wait before the first further attempt; doubled for each one more.
const BASE: Duration = Duration::from_millis(200);
/// Longest wait of all, unless the provider asks for a longer one.
const MAX: Duration = Duration::from_secs(5);

/// Full jitter, after Brooker's "Exponential Backoff And Jitter": any time
/// between nothing and a bound that doubles, so that callers that failed
/// together do not come back together. What the provider asks for is added.
///
/// The time depends on `id` and `attempt` (0 for the first wait) alone.
pub(super) fn wait(id: &str, attempt: u32, retry_after: Option<Duration>) -> Duration {
    let bound = (BASE * 2_u32.saturating_pow(attempt.min(10))).min(MAX);
    let jitter = bound.mul_f64(fraction(&[id.as_bytes(), &attempt.to_le_bytes()]));
    retry_after.unwrap_or_default() + jitter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_spreads_over_a_bound_that_doubles() {
        for attempt in 0..8 {
            let bound = (BASE * 2_u32.pow(attempt)).min(MAX);
            let waits: Vec<Duration> = (0..200)
                .map(|n| wait(&format!("call-{n}"), attempt, None))
                .collect();
            assert!(waits.iter().all(|wait| *wait < bound));
            assert!(waits.iter().any(|wait| *wait < bound / 4));
            assert!(waits.iter().any(|wait| *wait > bound * 3 / 4));
        }
    }

    #[test]
    fn a_providers_wish_is_kept() {
        let asked = Duration::from_secs(3);
        assert!(wait("x", 0, Some(asked)) >= asked);
    }
}
