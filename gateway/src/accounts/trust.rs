//! How far the estimates of calls may be off, by what was seen of each model.

use std::collections::HashMap;
use std::sync::Arc;

/// What is feared of a model of which nothing was seen: that it takes so many times the
/// estimate. Tokenizers differ, and some providers count what they add themselves.
const UNKNOWN: f64 = 16.0;

/// Models that are remembered; a caller may name any.
const MAX_MODELS: usize = 64;

/// What was seen of the models that one key asked.
#[derive(Debug, Default)]
pub(super) struct Trust(HashMap<Arc<str>, f64>);

impl Trust {
    /// How many times its estimate a call of `model` may take.
    pub(super) fn doubt(&self, model: &str) -> f64 {
        self.0.get(model).copied().unwrap_or(UNKNOWN)
    }

    /// How many times its estimate a call of `model` is known to take: once, where
    /// nothing was seen.
    pub(super) fn known(&self, model: &str) -> f64 {
        self.0.get(model).copied().unwrap_or(1.0)
    }

    /// A call of `model` took `ratio` times its estimate. A bad estimate is forgotten
    /// after a few that were good.
    pub(super) fn learn(&mut self, model: &Arc<str>, ratio: f64) {
        if self.0.len() >= MAX_MODELS && !self.0.contains_key(model) {
            self.0.clear();
        }
        let before = self.0.get(model).copied().unwrap_or(1.0);
        let now = ratio.max(before / 2.0).clamp(1.0, UNKNOWN);
        self.0.insert(Arc::clone(model), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_earned_lost_and_earned_again() {
        let mut trust = Trust::default();
        let model: Arc<str> = "m".into();
        assert_eq!((trust.doubt("m"), trust.known("m")), (UNKNOWN, 1.0));
        trust.learn(&model, 0.3);
        assert_eq!(trust.doubt("m"), 1.0);
        trust.learn(&model, 8.0);
        assert_eq!((trust.doubt("m"), trust.known("m")), (8.0, 8.0));
        let seen: Vec<f64> = (0..4)
            .map(|_| {
                trust.learn(&model, 1.0);
                trust.doubt("m")
            })
            .collect();
        assert_eq!(seen, [4.0, 2.0, 1.0, 1.0]);
        for ratio in [f64::INFINITY, f64::NAN, 1e300] {
            trust.learn(&model, ratio);
            assert!((1.0..=UNKNOWN).contains(&trust.doubt("m")), "{ratio}");
        }
        for n in 0..1000 {
            trust.learn(&n.to_string().into(), 1.0);
        }
        assert!(trust.0.len() <= MAX_MODELS);
    }
}
