//! Dates in one form, `YYYY-MM-DD`, so that filters can compare them as text.

use jiff::civil::Date;

/// The date of an ISO 8601 or RFC 2822 date-time, a PDF date (`D:2024…`), or one
/// of the usual ways to write a day; `None` for anything else.
pub(super) fn normalize(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("D:").unwrap_or(text);
    iso(text)
        .or_else(|| compact(text))
        .or_else(|| {
            let parsed = jiff::fmt::rfc2822::parse(text).ok()?;
            Some(parsed.date())
        })
        .or_else(|| {
            [
                "%B %d, %Y",
                "%b %d, %Y",
                "%d %B %Y",
                "%d %b %Y",
                "%Y/%m/%d",
                "%d.%m.%Y",
            ]
            .iter()
            .find_map(|format| Date::strptime(format, text).ok())
        })
        .map(|date| date.to_string())
}

/// `2024-05-01` and what begins like it.
fn iso(text: &str) -> Option<Date> {
    let day = text.get(..10)?;
    if text[10..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    day.parse().ok()
}

/// `20240501`, the time perhaps after it.
fn compact(text: &str) -> Option<Date> {
    let digits = text
        .get(..8)
        .filter(|day| day.bytes().all(|b| b.is_ascii_digit()))?;
    Date::strptime("%Y%m%d", digits).ok()
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn many_forms_become_one() {
        for text in [
            "2024-05-01",
            "2024-05-01T10:30:00Z",
            "2024-05-01 10:30:00 +0200",
            "D:20240501103000+02'00'",
            "Wed, 1 May 2024 10:30:00 +0200",
            "May 1, 2024",
            "1 May 2024",
            "2024/05/01",
        ] {
            assert_eq!(normalize(text).as_deref(), Some("2024-05-01"), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "soon",
            "2024",
            "2024-13-01",
            "1714559400000000",
            "v2024-05-01",
        ] {
            assert_eq!(normalize(text), None, "{text}");
        }
    }
}
