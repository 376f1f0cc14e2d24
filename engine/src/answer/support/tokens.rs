//! The tokens of a statement, with their surroundings.

use crate::answer::words::{is_number, tokens};

/// A token with its surroundings.
pub(super) struct Raw<'t> {
    pub(super) text: &'t str,
    pub(super) lower: String,
    /// The text between it and the previous token.
    pub(super) gap: &'t str,
    /// The two characters after it.
    pub(super) after: &'t str,
    /// Whether it is in backticks or quotation marks.
    pub(super) is_quoted: bool,
}

/// The tokens of `text`. Unlike in words, options keep their dashes and paths their first slash,
/// and a number is separated from what it counts.
pub(super) fn raw_tokens(text: &str) -> Vec<Raw<'_>> {
    let mut raw = Vec::new();
    let mut end = 0;
    let mut quotes = 0;
    for token in tokens(text).flat_map(counted) {
        let start = token.as_ptr() as usize - text.as_ptr() as usize;
        let gap = &text[end..start];
        quotes += gap.matches(['`', '"']).count();
        // The dashes of an option and the first slash or dot of a path belong to it.
        let sign = gap.len() - gap.trim_end_matches(['-', '/', '.', '_', '@']).len();
        let opens = text[..start - sign].chars().next_back().is_none_or(|c| {
            c.is_whitespace() || matches!(c, '`' | '(' | '[' | '"' | '\'' | '|' | '=')
        });
        let sign = if opens && !gap.ends_with("---") {
            sign
        } else {
            0
        };
        end = start + token.len();
        let token = &text[start - sign..end];
        raw.push(Raw {
            text: token,
            lower: token.to_lowercase().replace('’', "'"),
            gap: &gap[..gap.len() - sign],
            after: text[end..]
                .char_indices()
                .nth(2)
                .map_or(&text[end..], |(at, _)| &text[end..end + at]),
            is_quoted: quotes % 2 == 1,
        });
    }
    raw
}

/// A number and what it counts, where a hyphen joins them: `64-bit`.
fn counted(token: &str) -> impl Iterator<Item = &str> {
    let joined = token.split_once('-').filter(|(number, word)| {
        is_number(number) && !word.is_empty() && word.chars().all(char::is_alphabetic)
    });
    let (one, other) = joined.map_or((token, None), |(number, word)| (number, Some(word)));
    std::iter::once(one).chain(other)
}

/// Whether the text between two tokens ends a clause.
pub(super) fn parts_clauses(gap: &str) -> bool {
    let mut signs = gap.chars().peekable();
    while let Some(c) = signs.next() {
        let spaced = signs.peek().is_none_or(|next| next.is_whitespace());
        if matches!(c, '(' | ')' | '—' | '–' | '|' | ';')
            || (matches!(c, ',' | ':' | '.') && spaced)
        {
            return true;
        }
    }
    false
}

/// `telemetry.otlp`, but not `e.g`.
pub(super) fn is_dotted(word: &str) -> bool {
    word.contains('.') && word.split('.').all(|part| part.len() > 1)
}

/// The words in an identifier: `max`, `clients` of `max_clients` and of `maxClients`.
pub(super) fn identifier_parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_lower = false;
    for c in text.chars() {
        if !c.is_alphanumeric() || (was_lower && c.is_uppercase()) {
            parts.push(String::new());
        }
        if c.is_alphanumeric() {
            parts
                .last_mut()
                .unwrap_or(&mut String::new())
                .extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    parts.retain(|part| !part.is_empty());
    if parts.len() > 1 { parts } else { Vec::new() }
}
