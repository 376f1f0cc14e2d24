//! Org inside of paragraphs: links, notes, verbatim words, marks.

use crate::lines::{InlineText, until};
use crate::{links, work};

/// Longest name of a way to an address, with what follows it.
const MAX_SCHEME_BYTES: usize = 32;

/// The words of a paragraph as a reader sees them.
pub(super) fn clean(text: &str) -> String {
    InlineText::read(text, piece).finish("*/_+", false)
}

/// Reads what begins at the start of `rest`, if it is markup; returns what follows.
fn piece<'a>(rest: &'a str, words: &mut InlineText) -> Option<&'a str> {
    match rest.chars().next()? {
        '[' => bracket(rest, words),
        mark @ ('=' | '~') if words.at_word_start() => {
            let (inner, after) = until(&rest[1..], &mark.to_string())?;
            let is_verbatim = !inner.is_empty()
                && !inner.starts_with(' ')
                && !inner.ends_with(' ')
                && !after.starts_with(char::is_alphanumeric);
            is_verbatim.then(|| {
                words.push_literal(inner);
                after
            })
        }
        // `H_{2}O`.
        '_' | '^' => {
            let (inner, after) = until(rest[1..].strip_prefix('{')?, "}")?;
            words.push(inner);
            Some(after)
        }
        '<' => {
            let (inner, after) = until(&rest[1..], ">")?;
            let is_date = inner.starts_with(|c: char| c.is_ascii_digit()) && inner.contains('-');
            if let Some(name) = inner.strip_prefix('<') {
                // A target; a radio target, with one more bracket, is text.
                let text = name.strip_prefix('<').unwrap_or_default();
                words.push(text);
                return Some(after.trim_start_matches('>'));
            }
            let shown = links::address(inner).or(is_date.then(|| inner.to_owned()))?;
            words.push_literal(&shown);
            Some(after)
        }
        'h' | 'm' | 'f' if words.at_word_start() => {
            // The scheme first: a word that is none must not be read to the end of a line.
            let head = &rest[..rest.floor_char_boundary(MAX_SCHEME_BYTES)];
            let scheme = head.find("://")?;
            let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
            if !head[..scheme].chars().all(is_scheme) {
                return None;
            }
            let end = rest
                .find(|c: char| c.is_whitespace() || "<>[]\"'".contains(c))
                .unwrap_or(rest.len());
            work::add(end);
            let address = rest[..end].trim_end_matches(|c: char| ".,;:!?)".contains(c));
            if !address.contains("://") {
                return None;
            }
            words.push_literal(address);
            Some(&rest[address.len()..])
        }
        _ => None,
    }
}

fn bracket<'a>(rest: &'a str, words: &mut InlineText) -> Option<&'a str> {
    if let Some((link, after)) = rest.strip_prefix("[[").and_then(|rest| until(rest, "]]")) {
        let (target, label) = link.split_once("][").unwrap_or((link, ""));
        let is_file = target.starts_with("file:") || target.starts_with("./");
        let bare = target.strip_prefix("file:").unwrap_or(target);
        if !label.is_empty() {
            words.push(label);
            words.push_literal(&links::suffix(target, label));
        } else if !(is_file && crate::is_known_binary_name(bare)) {
            words.push_literal(bare.trim_start_matches(['#', '*']));
        }
        return Some(after);
    }
    let (note, after) = until(rest.strip_prefix("[fn:")?, "]")?;
    match note.split_once(':') {
        // A note that stands where it belongs.
        Some((_, text)) => words.push(&format!(" ({})", text.trim())),
        None => words.push_literal(&format!("[{note}]")),
    }
    Some(after)
}
