//! The shape of the sections about keys, money and what is recorded.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a key may take; what is not set is not limited. `[limits]` is for keys
/// that have no limit of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyLimits {
    /// Requests of any kind a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Calls to models at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_streams: Option<u32>,
    /// Tokens, read and written, a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Tokens a day, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// Tokens a calendar month, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_month: Option<u64>,
    /// US dollars a day, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_day: Option<f64>,
    /// US dollars a calendar month, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_month: Option<f64>,
}

impl KeyLimits {
    /// These, and `other` where these say nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            requests_per_minute: self.requests_per_minute.or(other.requests_per_minute),
            concurrent_streams: self.concurrent_streams.or(other.concurrent_streams),
            tokens_per_minute: self.tokens_per_minute.or(other.tokens_per_minute),
            tokens_per_day: self.tokens_per_day.or(other.tokens_per_day),
            tokens_per_month: self.tokens_per_month.or(other.tokens_per_month),
            usd_per_day: self.usd_per_day.or(other.usd_per_day),
            usd_per_month: self.usd_per_month.or(other.usd_per_month),
        }
    }

    /// What is wrong with them, if something is: zero would refuse everything,
    /// which revoking a key says more clearly.
    pub fn problem(&self) -> Option<&'static str> {
        let zero = |limit: Option<u64>| limit == Some(0);
        let bad = |usd: Option<f64>| usd.is_some_and(|usd| !(usd > 0.0 && usd.is_finite()));
        let streams = self.concurrent_streams.map(u64::from);
        [
            ("requests_per_minute", zero(self.requests_per_minute)),
            ("concurrent_streams", zero(streams)),
            ("tokens_per_minute", zero(self.tokens_per_minute)),
            ("tokens_per_day", zero(self.tokens_per_day)),
            ("tokens_per_month", zero(self.tokens_per_month)),
            ("usd_per_day", bad(self.usd_per_day)),
            ("usd_per_month", bad(self.usd_per_month)),
        ]
        .into_iter()
        .find_map(|(name, wrong)| wrong.then_some(name))
    }
}

/// One line of the price table: US dollars for a million tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceConfig {
    pub model: String,
    pub input: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
    pub output: f64,
}

impl PriceConfig {
    /// Whether every price is a number that is not negative.
    pub(super) fn is_sound(&self) -> bool {
        [Some(self.input), self.cached_input, Some(self.output)]
            .into_iter()
            .flatten()
            .all(|price| price.is_finite() && price >= 0.0)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batches {
    pub parallel: usize,
    pub keep_days: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uploads {
    pub max_mb: u64,
    pub max_mb_per_key: u64,
    pub keep_days: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    pub share: f64,
    pub keep_days: u64,
    pub names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otel {
    pub endpoint: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub headers_env: String,
    pub sample: f64,
    pub service_name: String,
    pub text: bool,
}

impl Otel {
    /// Whether traces are sent.
    pub fn is_on(&self) -> bool {
        !self.endpoint.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fall_back_to_the_configured_limits() {
        let own = KeyLimits {
            requests_per_minute: Some(5),
            ..KeyLimits::default()
        };
        let configured = KeyLimits {
            requests_per_minute: Some(1),
            tokens_per_day: Some(7),
            ..KeyLimits::default()
        };
        let both = own.or(configured);
        assert_eq!(both.requests_per_minute, Some(5));
        assert_eq!(both.tokens_per_day, Some(7));
    }

    #[test]
    fn limits_that_make_no_sense_are_named() {
        let limits = |usd: f64| KeyLimits {
            usd_per_day: Some(usd),
            ..KeyLimits::default()
        };
        assert_eq!(limits(1.0).problem(), None);
        for usd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(limits(usd).problem(), Some("usd_per_day"));
        }
    }
}
