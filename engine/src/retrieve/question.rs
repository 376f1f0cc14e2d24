//! What may be asked: limits on the request, and the question's cleaned text.

use super::api::SearchRequest;
use super::error::SearchError;

/// Maximum chunks that one request may ask for, from each search or in all: beyond that, they cost
/// memory and time for more than a person reads.
const MAX_CANDIDATES: usize = 10_000;

/// The question without control characters and surrounding white space. It has no syntax, so
/// nothing else is refused.
pub(super) fn clean(query: &str, max_bytes: usize) -> Result<String, SearchError> {
    if query.len() > max_bytes {
        return Err(SearchError::bad_request(
            "query",
            format!(
                "the question has {} bytes; the limit is {max_bytes}. Ask with fewer words, \
                 or raise server.max_query_bytes",
                query.len()
            ),
        ));
    }
    // A control character between two words separates them.
    let visible: String = query
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let text = visible.trim();
    if text.is_empty() {
        return Err(SearchError::bad_request(
            "query",
            "the question has no text; ask something in words",
        ));
    }
    Ok(text.to_owned())
}

/// Checks the numbers of the request.
pub(super) fn check_limits(request: &SearchRequest) -> Result<(), SearchError> {
    for (param, value) in [("top_k", request.top_k), ("candidates", request.candidates)] {
        if !(1..=MAX_CANDIDATES).contains(&value) {
            return Err(SearchError::bad_request(
                param,
                format!("`{param}` must lie in 1..={MAX_CANDIDATES}, not {value}"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retrieve::SearchErrorKind;

    #[test]
    fn text_passes_whatever_it_looks_like() {
        for query in [
            "a AND (b",
            "\"",
            "field:*",
            "~^\\[]{}!",
            "näïve 検索",
            "-x +y",
        ] {
            assert_eq!(clean(query, 100).unwrap(), query);
        }
        assert_eq!(clean(" \tone\u{0}two\r\n", 100).unwrap(), "one two");
    }

    #[test]
    fn nothing_and_too_much_are_named() {
        let megabyte = "x".repeat(1 << 20);
        for (query, expected) in [
            ("", "no text"),
            (" \n\t ", "no text"),
            ("\u{0}\u{1b}\u{7f}\u{85}", "no text"),
            (megabyte.as_str(), "1048576 bytes; the limit is 8192"),
        ] {
            let error = clean(query, 8192).unwrap_err();
            assert_eq!(error.kind(), SearchErrorKind::BadRequest);
            assert_eq!(error.param(), Some("query"));
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn numbers_have_limits() {
        let mut request = SearchRequest::new("q", "main");
        check_limits(&request).unwrap();
        request.top_k = 0;
        assert_eq!(check_limits(&request).unwrap_err().param(), Some("top_k"));
        request.top_k = 8;
        request.candidates = usize::MAX;
        assert_eq!(
            check_limits(&request).unwrap_err().param(),
            Some("candidates")
        );
    }
}
