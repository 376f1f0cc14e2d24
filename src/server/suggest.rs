//! Questions to try, drawn from the headings of what is indexed: the first
//! question of a newcomer should have an answer.

use std::collections::BTreeSet;

use cairn_indexer::{Access, Result, Snapshot};

/// Documents that are looked at: the page asks often.
const MAX_DOCUMENTS: usize = 48;

/// Longer documents are not read for their headings.
const MAX_TEXT_BYTES: u64 = 256 << 10;

/// Headings that say nothing about what is under them.
const EMPTY: &[&str] = &[
    "about",
    "abstract",
    "acknowledgements",
    "appendix",
    "authors",
    "background",
    "bugs",
    "changelog",
    "changes",
    "conclusion",
    "contents",
    "contributing",
    "copyright",
    "credits",
    "description",
    "details",
    "example",
    "examples",
    "faq",
    "files",
    "further reading",
    "glossary",
    "index",
    "introduction",
    "license",
    "licence",
    "links",
    "misc",
    "name",
    "next steps",
    "note",
    "notes",
    "options",
    "overview",
    "preface",
    "references",
    "see also",
    "summary",
    "synopsis",
    "table of contents",
    "test",
    "tests",
    "todo",
    "unreleased",
    "usage",
];

/// First words of headings that tell what to do.
const VERBS: &[&str] = &[
    "access",
    "add",
    "ask",
    "avoid",
    "build",
    "call",
    "change",
    "check",
    "choose",
    "compile",
    "configure",
    "connect",
    "convert",
    "create",
    "customize",
    "debug",
    "define",
    "delete",
    "deploy",
    "disable",
    "enable",
    "export",
    "find",
    "fix",
    "generate",
    "get",
    "handle",
    "import",
    "install",
    "load",
    "make",
    "manage",
    "measure",
    "migrate",
    "monitor",
    "move",
    "open",
    "parse",
    "publish",
    "read",
    "remove",
    "rename",
    "restore",
    "run",
    "save",
    "search",
    "send",
    "serve",
    "set",
    "start",
    "stop",
    "store",
    "test",
    "troubleshoot",
    "uninstall",
    "update",
    "upgrade",
    "use",
    "verify",
    "write",
];

/// At most `count` questions, the most promising first, from different
/// documents that the caller may read.
///
/// # Errors
/// When the snapshot cannot be read.
pub fn questions(snapshot: &Snapshot, count: usize, access: &Access) -> Result<Vec<String>> {
    let mut found: Vec<(u8, String)> = Vec::new();
    for document in snapshot.documents(0, MAX_DOCUMENTS, access)? {
        if document.text_bytes > MAX_TEXT_BYTES {
            continue;
        }
        let mut headings = BTreeSet::new();
        let chunks = snapshot.document_chunks(document.id, access)?;
        for stored in chunks.unwrap_or_default() {
            headings.extend(stored.chunk.heading_path);
        }
        let best = headings
            .iter()
            .filter_map(|heading| question(heading, &document.title));
        // The first one wins among equals, so that the choice is stable.
        found.extend(best.min_by_key(|(rank, _)| *rank));
    }
    found.sort_by_key(|(rank, _)| *rank);
    let mut seen = BTreeSet::new();
    found.retain(|(_, question)| seen.insert(question.to_lowercase()));
    Ok(found
        .into_iter()
        .take(count)
        .map(|(_, question)| question)
        .collect())
}

/// A question that the section under `heading` answers, and how good it is (0
/// is best).
fn question(heading: &str, title: &str) -> Option<(u8, String)> {
    let heading = heading.trim().trim_end_matches([':', '.']);
    let words: Vec<&str> = heading.split_whitespace().collect();
    let letters = heading
        .chars()
        .filter(|c| c.is_alphabetic() || *c == ' ')
        .count();
    let plain = letters * 10 >= heading.chars().count() * 8;
    if !(1..=9).contains(&words.len()) || heading.len() > 80 || !plain {
        return None;
    }
    let lower = heading.to_lowercase();
    if heading.ends_with('?') && words.len() > 2 {
        return Some((0, heading.to_owned()));
    }
    // The prefix is ASCII in both, so its length is the same in both.
    if lower.starts_with("how to ")
        && let Some(rest) = heading.get("how to ".len()..)
    {
        return Some((1, format!("How do I {rest}?")));
    }
    if words.len() > 1 && VERBS.contains(&&*words[0].to_lowercase()) {
        return Some((2, format!("How do I {}?", lower_first(heading))));
    }
    let says_nothing = EMPTY.contains(&&*lower) || lower == title.to_lowercase();
    if says_nothing || title.is_empty() || title.len() > 60 {
        return None;
    }
    let rank = if words.len() > 1 { 3 } else { 4 };
    Some((rank, format!("What does {title} say about “{heading}”?")))
}

/// "Install it" becomes "install it"; "HTTP headers" stays.
fn lower_first(heading: &str) -> String {
    let mut chars = heading.chars();
    match (chars.next(), heading.chars().nth(1)) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => heading.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(heading: &str) -> Option<String> {
        question(heading, "Guide").map(|(_, question)| question)
    }

    #[test]
    fn headings_become_questions() {
        for (heading, expected) in [
            ("Why is it slow?", "Why is it slow?"),
            ("How to install it", "How do I install it?"),
            ("Install the server:", "How do I install the server?"),
            ("HTTP headers", "What does Guide say about “HTTP headers”?"),
            ("Crash safety", "What does Guide say about “Crash safety”?"),
        ] {
            assert_eq!(asked(heading).as_deref(), Some(expected));
        }
    }

    #[test]
    fn headings_that_say_nothing_are_left_out() {
        for heading in [
            "Overview",
            "1.2.3 (2024-01-01)",
            "",
            "guide",
            "a b c d e f g h i j",
        ] {
            assert_eq!(asked(heading), None, "{heading}");
        }
    }

    #[test]
    fn letters_that_change_length_are_no_danger() {
        // The lower-case form of U+0130 is longer than itself.
        assert!(asked("How to İnstall İt").is_some());
    }
}
