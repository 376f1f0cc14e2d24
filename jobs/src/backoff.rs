//! How long a failed job waits.

use std::time::Duration;

/// The pause after failure number `failures` (from 1): `min` doubled with each up to `max`,
/// of which the upper half is drawn by lot, so that jobs that failed together do not come
/// back together. Never shorter than `min`.
pub(crate) fn pause(failures: u32, min: Duration, max: Duration) -> Duration {
    let doubled = min.saturating_mul(1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX));
    let most = doubled.min(max);
    let least = (most / 2).max(min).min(most);
    least + (most - least).mul_f64(rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_their_limits() {
        let (min, max) = (Duration::from_secs(2), Duration::from_secs(300));
        let expected = [
            (1, 2, 4),
            (2, 4, 8),
            (3, 8, 16),
            (8, 150, 300),
            (4_000, 150, 300),
        ];
        for (failures, least, most) in expected {
            for _ in 0..100 {
                let pause = pause(failures, min, max);
                assert!(
                    Duration::from_secs(least) <= pause && pause <= Duration::from_secs(most),
                    "{failures}: {pause:?}"
                );
            }
        }
    }

    #[test]
    fn a_limit_below_the_minimum_holds() {
        let pause = pause(1, Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(pause, Duration::from_secs(1));
    }
}
