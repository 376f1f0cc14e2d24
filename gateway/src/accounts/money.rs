//! Money as whole billionths of a US dollar, so that sums are exact.

use std::iter::Sum;
use std::ops::{Add, Sub};

/// Billionths of a US dollar. A token of the cheapest models costs some ten of
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nanos(pub(super) i64);

impl Nanos {
    pub(super) const ZERO: Self = Self(0);

    /// Rounds to the nearest; what is not a number is nothing.
    pub(super) fn from_usd(usd: f64) -> Self {
        Self((usd * 1e9).round() as i64)
    }

    /// As a number of dollars.
    pub(super) fn usd(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add for Nanos {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Nanos {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact() {
        let tenth = Nanos::from_usd(0.1);
        assert_eq!((0..10).map(|_| tenth).sum::<Nanos>().usd(), 1.0);
        assert_eq!(Nanos::from_usd(f64::NAN), Nanos::ZERO);
        assert_eq!(Nanos::from_usd(1e300).0, i64::MAX);
    }
}
