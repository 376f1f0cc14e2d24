//! What a site asks of robots: RFC 9309.

use reqwest::Url;

/// The name that a `robots.txt` may address.
pub(super) const AGENT: &str = "cairn";

/// Most bytes that are read of a `robots.txt`: what RFC 9309 asks for at least.
pub(super) const MAX_BYTES: usize = 500 << 10;

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
