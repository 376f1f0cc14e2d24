//! When a provider asks to be left alone until.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Longest that a provider is believed.
const MOST: Duration = Duration::from_secs(3600);
/// Headers that hold milliseconds: OpenAI's, and Azure's.
const MILLISECONDS: [&str; 2] = ["retry-after-ms", "x-ms-retry-after-ms"];

/// The wait that `headers` ask for: milliseconds where they are given, else
/// `Retry-After`, which holds seconds or a date. A date is compared with the provider's
/// own clock where it says what that shows: clocks differ by more than such waits.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str, unit: f64| -> Option<Duration> {
        let value: f64 = text(name)?.parse().ok()?;
        (value >= 0.0 && value.is_finite())
            .then(|| Duration::from_secs_f64((value * unit).min(MOST.as_secs_f64())))
    };
    let milliseconds = MILLISECONDS.iter().find_map(|name| number(name, 1e-3));
    milliseconds
        .or_else(|| number(RETRY_AFTER.as_str(), 1.0))
        .or_else(|| {
            let until = httpdate::parse_http_date(text(RETRY_AFTER.as_str())?).ok()?;
            let shown = text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
            let now = shown.unwrap_or_else(SystemTime::now);
            // One that has passed asks for nothing.
            Some(until.duration_since(now).unwrap_or_default().min(MOST))
        })
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn wait(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let pairs = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        retry_after(&pairs.collect())
    }

    #[test]
    fn dates_are_of_the_providers_clock() {
        let date = ("date", "Sat, 28 Nov 2026 16:00:00 GMT");
        for until in [
            "Sat, 28 Nov 2026 16:00:02 GMT",
            "Saturday, 28-Nov-26 16:00:02 GMT",
            "Sat Nov 28 16:00:02 2026",
        ] {
            let asked = wait(&[date, ("retry-after", until)]);
            assert_eq!(asked, Some(Duration::from_secs(2)), "{until}");
        }
        let past = ("retry-after", "Sat, 28 Nov 2026 15:00:00 GMT");
        assert_eq!(wait(&[date, past]), Some(Duration::ZERO));
        let far = ("retry-after", "Sat, 28 Nov 2037 15:00:00 GMT");
        assert_eq!(wait(&[date, far]), Some(MOST));
        // Without its clock, this machine's counts.
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        let asked = wait(&[("retry-after", &soon)]).unwrap();
        assert!((25..=30).contains(&asked.as_secs()), "{asked:?}");
    }

    #[test]
    fn numbers_and_milliseconds() {
        for (headers, expected) in [
            (&[("retry-after", "7")][..], Some(7_000)),
            (&[("retry-after", " 0.5 ")], Some(500)),
            (
                &[("retry-after-ms", "250"), ("retry-after", "9")],
                Some(250),
            ),
            (&[("x-ms-retry-after-ms", "1500")], Some(1_500)),
            (
                &[("retry-after-ms", "x"), ("retry-after", "1")],
                Some(1_000),
            ),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(wait(headers), expected, "{headers:?}");
        }
    }
}
