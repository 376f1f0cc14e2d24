//! What a site asks of robots: RFC 9309.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Url;

/// The name that a `robots.txt` may address.
pub(super) const AGENT: &str = "cairn";

/// Most bytes that are read of a `robots.txt`: what RFC 9309 asks for at least.
pub(super) const MAX_BYTES: usize = 500 << 10;

/// How long a site's rules are believed; RFC 9309 allows a day.
const KEEP: Duration = Duration::from_secs(600);

/// Sites whose rules are kept.
const MAX_KEPT: usize = 64;

/// Rules that were fetched lately, so that a site with many pages is asked once. Clones are
/// the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept(Arc<Mutex<HashMap<Url, Rules>>>);

/// What a site said, and when.
type Rules = (Instant, Arc<[u8]>);

impl Kept {
    /// The text at `rules`, if it was fetched lately.
    pub(super) fn get(&self, rules: &Url) -> Option<Arc<[u8]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, text) = kept.get(rules)?;
        (at.elapsed() < KEEP).then(|| text.clone())
    }

    /// Keeps `text`; empty where there are no rules.
    pub(super) fn keep(&self, rules: Url, text: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (at, _)| at.elapsed() < KEEP);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(rules, (Instant::now(), text.into()));
    }
}

/// Where the rules for `url` are.
pub(super) fn address(url: &Url) -> Option<Url> {
    url.join("/robots.txt").ok()
}

/// Whether the rules in `text` let `url` be fetched. Rules that cannot be read forbid
/// nothing.
pub(super) fn allow(text: &[u8], url: &Url) -> bool {
    texting_robots::Robot::new(AGENT, text).map_or(true, |robot| robot.allowed(url.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_kept_within_bounds() {
        let kept = Kept::default();
        let of = |n: usize| Url::parse(&format!("https://{n}.example.com/robots.txt")).unwrap();
        assert!(kept.get(&of(1)).is_none());
        for n in 0..=MAX_KEPT {
            kept.keep(of(n), b"x".to_vec());
            assert_eq!(kept.get(&of(n)).as_deref(), Some(&b"x"[..]));
        }
        assert!(kept.get(&of(1)).is_none());
        assert!(kept.0.lock().unwrap().len() <= MAX_KEPT);
    }

    #[test]
    fn the_longest_rule_of_the_named_group_wins() {
        let text = b"User-agent: *\nDisallow: /\n\nUser-agent: cairn\nDisallow: /private\nAllow: /private/open\n";
        let allowed = |path: &str| {
            allow(
                text,
                &Url::parse(&format!("https://example.com{path}")).unwrap(),
            )
        };
        assert!(allowed("/guide"));
        assert!(!allowed("/private/x"));
        assert!(allowed("/private/open/x"));
        assert!(allow(b"", &Url::parse("https://example.com/a").unwrap()));
    }
}
