//! The `x-ratelimit-*` headers, with the names that OpenAI's clients read.

use std::time::Duration;

/// How one limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Most a minute.
    pub limit: u64,
    /// Left now.
    pub remaining: u64,
    /// Until it is full again.
    pub reset: Duration,
}

/// How the limits of a key stand after this request. Empty for callers without
/// limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// Requests a minute.
    pub requests: Option<Rate>,
    /// Tokens a minute.
    pub tokens: Option<Rate>,
}

impl RateHeaders {
    /// The names of all of them: those of requests, then those of tokens.
    pub const NAMES: [&'static str; 6] = [
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ];

    /// Names and values of the headers.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, String)> {
        let rates = [self.requests, self.tokens].into_iter();
        let names = Self::NAMES.chunks_exact(3);
        rates.zip(names).flat_map(|(rate, names)| {
            let values = rate.map(|rate| {
                [
                    rate.limit.to_string(),
                    rate.remaining.to_string(),
                    duration(rate.reset),
                ]
            });
            names.iter().copied().zip(values.into_iter().flatten())
        })
    }
}

/// `20ms`, `1.5s`, `6m0s`: as OpenAI writes durations.
fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let seconds = milliseconds as f64 / 1e3;
    match milliseconds {
        0..1000 => format!("{milliseconds}ms"),
        1000..60_000 => format!("{}s", (seconds * 10.0).round() / 10.0),
        _ => {
            let seconds = duration.as_secs();
            format!("{}m{}s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_openais() {
        for (milliseconds, text) in [
            (0, "0ms"),
            (20, "20ms"),
            (1500, "1.5s"),
            (1000, "1s"),
            (360_000, "6m0s"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn only_limits_that_there_are_get_headers() {
        assert_eq!(RateHeaders::default().iter().count(), 0);
        let headers = RateHeaders {
            tokens: Some(Rate {
                limit: 10,
                remaining: 3,
                reset: Duration::from_secs(2),
            }),
            ..RateHeaders::default()
        };
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all[1], ("x-ratelimit-remaining-tokens", "3".to_owned()));
        assert_eq!(all.len(), 3);
    }
}
