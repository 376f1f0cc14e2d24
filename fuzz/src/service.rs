//! Bytes that reach the service: streams of providers, filters of callers, answers of models.

use cairn_engine::answer::check_citations;
use cairn_gateway::read_events;
use cairn_indexer::Filter;

/// What runs one input.
pub type Body = fn(&[u8]);

/// The targets of this file.
pub const TARGETS: &[(&str, Body)] = &[("citations", citations), ("filter", filter), ("sse", sse)];

/// Reads server-sent events: whole, and cut into pieces of each of some lengths.
///
/// # Panics
/// When the cuts make a difference.
pub fn sse(bytes: &[u8]) {
    let whole = read_events(&[bytes]);
    for length in [1, 3, 64] {
        let pieces: Vec<&[u8]> = bytes.chunks(length).collect();
        assert_eq!(read_events(&pieces), whole, "pieces of {length} bytes");
    }
}

/// Reads a filter from JSON, and names its fields.
///
/// # Panics
/// When a filter that was read says that it is none.
pub fn filter(bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice(bytes) else {
        return;
    };
    match Filter::parse(&json) {
        Ok(filter) => assert!(filter.fields().iter().all(|field| !field.is_empty())),
        Err(error) => assert!(!error.message().is_empty()),
    }
}

/// Checks the citations of an answer: the first byte says how many sources there are and how
/// the text is cut.
///
/// # Panics
/// When the cuts make a difference, a source is cited that there is none of, or an answer is
/// altered that cites nothing.
pub fn citations(bytes: &[u8]) {
    let [first, text @ ..] = bytes else { return };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let (sources, length) = (u32::from(first % 4), usize::from(first / 4 % 16) + 1);
    let whole = check_citations(&[text], sources);
    assert!(whole.1.iter().all(|n| (1..=sources).contains(n)));
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .char_indices()
            .nth(length)
            .map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    assert_eq!(
        check_citations(&pieces, sources),
        whole,
        "pieces of {length} letters"
    );
    if !text.contains(|c: char| c.is_numeric()) {
        assert_eq!(
            whole.0,
            text.trim_end_matches([' ', '\t']),
            "no number, no mark"
        );
        assert!(whole.1.is_empty());
    }
}
