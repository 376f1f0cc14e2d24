//! Addresses that links lead to, written alongside the text that they link.

/// Longest address that is written, in bytes; longer ones carry data.
const MAX_BYTES: usize = 2000;

/// What is written after a link's text: the address in parentheses where it is
/// external and says more than `text`, else nothing.
pub(super) fn suffix(target: &str, text: &str) -> String {
    match address(target) {
        Some(address) if text.trim().is_empty() => address,
        Some(address) if plain(&address) != plain(text) => {
            let space = if text.ends_with(char::is_whitespace) {
                ""
            } else {
                " "
            };
            format!("{space}({address})")
        }
        _ => String::new(),
    }
}

/// An external address as people write it: mail and telephone links without
/// their scheme.
pub(super) fn address(target: &str) -> Option<String> {
    let target: String = target
        .trim()
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .collect();
    let (scheme, rest) = target.split_once(':')?;
    if rest.is_empty() || target.len() > MAX_BYTES {
        return None;
    }
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => rest
            .strip_prefix("//")
            .filter(|rest| !rest.is_empty())
            .map(|_| target.clone()),
        // A subject and a body may follow.
        "mailto" => rest
            .split('?')
            .next()
            .filter(|rest| !rest.is_empty())
            .map(str::to_owned),
        "tel" => Some(rest.to_owned()),
        _ => None,
    }
}

/// What two ways to write an address have in common.
fn plain(address: &str) -> String {
    let lower = address.trim().to_lowercase();
    let lower = ["https://", "http://", "mailto:", "tel:"]
        .iter()
        .fold(lower.as_str(), |rest, scheme| {
            rest.strip_prefix(scheme).unwrap_or(rest)
        });
    let lower = lower.strip_prefix("www.").unwrap_or(lower);
    lower
        .trim_end_matches('/')
        .replace([' ', '\u{a0}', '-', '(', ')'], "")
}

#[cfg(test)]
mod tests {
    use super::suffix;

    #[test]
    fn external_addresses_follow_the_text() {
        for (target, text, expected) in [
            (
                "https://a.example/x?y=1#z",
                "the form",
                " (https://a.example/x?y=1#z)",
            ),
            ("HTTP://a.example", "form ", "(HTTP://a.example)"),
            ("https://a.example/", "a.example", ""),
            ("https://www.a.example/x", "www.a.example/x", ""),
            ("mailto:ann@a.example?subject=x", "Ann", " (ann@a.example)"),
            ("mailto:ann@a.example", "ann@a.example", ""),
            ("tel:+49-30-1234", "+49 30 1234", ""),
            ("tel:+49301234", "call", " (+49301234)"),
            ("https://a.example", " ", "https://a.example"),
            ("#below", "below", ""),
            ("other.docx", "the other", ""),
            ("file:///c:/x", "x", ""),
            ("javascript:alert(1)", "x", ""),
            ("https:", "x", ""),
        ] {
            assert_eq!(suffix(target, text), expected, "{target}");
        }
    }
}
