//! How sure a mean is, and whether two retrievers differ: resampling over
//! questions, with a fixed seed, so that a report can be printed twice.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

/// Resamples of every test; the ends of a 95 % interval then rest on 50 each.
const RESAMPLES: usize = 2000;

/// Any fixed number will do.
const SEED: u64 = 20_240_607;

/// A 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// The 95 % percentile-bootstrap interval of the mean of `values` (Efron and
/// Tibshirani, 1993, chapter 13). No values give 0..0.
pub fn bootstrap_mean(values: &[f64]) -> Interval {
    if values.is_empty() {
        return Interval {
            low: 0.0,
            high: 0.0,
        };
    }
    bootstrap(|random| resampled_mean(values, random))
}

/// The same for the mean of the means of several groups, such as datasets: each
/// group is resampled for itself. One group gives [`bootstrap_mean`].
pub(crate) fn bootstrap_groups(groups: &[Vec<f64>]) -> Interval {
    let groups: Vec<&Vec<f64>> = groups.iter().filter(|group| !group.is_empty()).collect();
    bootstrap(|random| {
        let means = groups.iter().map(|group| resampled_mean(group, random));
        mean(groups.len(), means)
    })
}

/// The mean of as many of `values`, drawn with replacement.
fn resampled_mean(values: &[f64], random: &mut Xoshiro256PlusPlus) -> f64 {
    let draw = |_| values[random.random_range(0..values.len())];
    mean(values.len(), (0..values.len()).map(draw))
}

/// The 2.5th and 97.5th percentiles of what `resample` gives each time.
fn bootstrap(mut resample: impl FnMut(&mut Xoshiro256PlusPlus) -> f64) -> Interval {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample(&mut random)).collect();
    means.sort_by(f64::total_cmp);
    let tail = RESAMPLES / 40;
    Interval {
        low: means[tail],
        high: means[RESAMPLES - 1 - tail],
    }
}

/// A comparison of two retrievers on the same questions.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Paired {
    /// Mean of the second minus mean of the first.
    pub difference: f64,
    /// How often chance alone makes a difference at least as large.
    pub p_value: f64,
}

/// Fisher's two-sided randomisation test of paired values (Smucker, Allan and
/// Carterette, CIKM 2007): under the null hypothesis the two names may be
/// exchanged on every question.
///
/// # Panics
///
/// When the slices have different lengths.
pub fn paired_test(first: &[f64], second: &[f64]) -> Paired {
    assert_eq!(
        first.len(),
        second.len(),
        "paired values belong to the same questions"
    );
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| b - a).collect();
    let observed = mean(differences.len(), differences.iter().copied());
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    // Sums in another order differ in the last bits; that is not a difference.
    let bound = observed.abs() - 1e-12;
    let as_large = (0..RESAMPLES)
        .filter(|_| {
            let flip = |d: &f64| if random.random::<bool>() { *d } else { -d };
            mean(differences.len(), differences.iter().map(flip)).abs() >= bound
        })
        .count();
    Paired {
        difference: observed,
        // The order as it was observed is one of the possible ones.
        p_value: (as_large + 1) as f64 / (RESAMPLES + 1) as f64,
    }
}

/// `value` with six digits behind the point.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn mean(count: usize, values: impl Iterator<Item = f64>) -> f64 {
    values.sum::<f64>() / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_normal_approximation() {
        // 0, 0.01 … 0.99: mean .495, standard error .0289.
        let values: Vec<f64> = (0..100).map(|n| f64::from(n) / 100.0).collect();
        let interval = bootstrap_mean(&values);
        assert!(
            (interval.low - (0.495 - 1.96 * 0.0289)).abs() < 0.01,
            "{interval:?}"
        );
        assert!(
            (interval.high - (0.495 + 1.96 * 0.0289)).abs() < 0.01,
            "{interval:?}"
        );
        assert_eq!(interval, bootstrap_mean(&values));
    }

    #[test]
    fn one_group_is_resampled_like_a_list() {
        let values: Vec<f64> = (0..30).map(|n| f64::from(n) / 30.0).collect();
        assert_eq!(
            bootstrap_groups(std::slice::from_ref(&values)),
            bootstrap_mean(&values)
        );
        let both = bootstrap_groups(&[vec![1.0; 50], vec![0.0; 2]]);
        assert_eq!((both.low, both.high), (0.5, 0.5));
    }

    #[test]
    fn equal_values_are_certain() {
        let interval = bootstrap_mean(&[0.5; 10]);
        assert_eq!((interval.low, interval.high), (0.5, 0.5));
        assert_eq!(bootstrap_mean(&[]).high, 0.0);
    }

    #[test]
    fn the_paired_test_tells_a_shift_from_noise() {
        let first: Vec<f64> = (0..60).map(|n| f64::from(n % 10) / 10.0).collect();
        let better: Vec<f64> = first.iter().map(|value| value + 0.05).collect();
        let found = paired_test(&first, &better);
        assert!((found.difference - 0.05).abs() < 1e-12);
        assert!(found.p_value < 0.01, "{found:?}");
        let noise: Vec<f64> = (0..60)
            .map(|n| f64::from(n % 10) / 10.0 + if n % 2 == 0 { 0.05 } else { -0.05 })
            .collect();
        assert!(paired_test(&first, &noise).p_value > 0.5);
        assert_eq!(paired_test(&first, &first).p_value, 1.0);
    }
}
