//! Questions to try, drawn from headings and simple sentences of the indexed documents: a
//! newcomer's first question should have an answer.

use std::collections::{BTreeMap, BTreeSet};

use cairn_indexer::{Access, Result, Snapshot};

use super::drafting::{self, headings};

/// How many documents are examined: few, since the page asks often.
const MAX_DOCUMENTS: usize = 48;

/// Longer documents are not searched for headings.
const MAX_TEXT_BYTES: u64 = 256 << 10;

/// How many chunks of a document are read.
const MAX_DRAFTED_CHUNKS: usize = 8;

/// The rank of a question that is taken if a document gives no other.
const LAST: u8 = 9;

/// Headings that say nothing about their section.
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

/// At most `count` questions, the most promising first, from different
/// documents that the caller may read.
///
/// # Errors
/// If the snapshot cannot be read.
pub(super) fn questions(snapshot: &Snapshot, count: usize, access: &Access) -> Result<Vec<String>> {
    let mut found: Vec<(u8, String)> = Vec::new();
    for document in snapshot.documents(0, MAX_DOCUMENTS, access)? {
        if document.text_bytes > MAX_TEXT_BYTES {
            continue;
        }
        let chunks = snapshot.document_chunks(document.id, access)?;
        let chunks = chunks.unwrap_or_default();
        // Each heading, with the first text below it.
        let mut sections: BTreeMap<&str, &str> = BTreeMap::new();
        for stored in &chunks {
            for heading in &stored.chunk.heading_path {
                sections.entry(heading).or_insert(&stored.chunk.text);
            }
        }
        let best = sections
            .iter()
            .filter_map(|(heading, body)| question(heading, &document.title, body));
        // A short document is one chunk, whose headings are in its text.
        let inside = chunks.iter().take(MAX_DRAFTED_CHUNKS).flat_map(|stored| {
            let drafted = drafting::of_text(&stored.chunk.text);
            drafted
                .into_iter()
                .map(|drafted| (rank(&drafted.question), drafted.question))
        });
        // What the title asks is answered by the whole document, not by a passage of it.
        let body = chunks.first().map_or("", |stored| &stored.chunk.text);
        let of_title = headings::question(&document.title, body).map(|asked| asked.to_lowercase());
        let ranked = best.chain(inside).map(|(rank, question)| {
            let is_title = of_title.as_deref() == Some(&question.to_lowercase());
            (if is_title { LAST } else { rank }, question)
        });
        // The first one wins among equals, so that the choice is stable.
        found.extend(ranked.min_by_key(|(rank, _)| *rank));
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

/// A question answered by the section under `heading`, whose text is `body`, and how good the
/// question is (0 is best).
fn question(heading: &str, title: &str, body: &str) -> Option<(u8, String)> {
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
    if let Some(question) = headings::question(heading, body) {
        return Some((rank(&question), question));
    }
    let asks = ["how ", "what ", "when ", "where ", "why "];
    let says_nothing = EMPTY.contains(&&*lower)
        || lower == title.to_lowercase()
        || asks.iter().any(|word| lower.starts_with(word));
    if says_nothing || title.is_empty() || title.len() > 60 {
        return None;
    }
    let rank = if words.len() > 1 { 3 } else { 4 };
    Some((rank, format!("What does {title} say about “{heading}”?")))
}

/// How good a drafted question is: questions about doing something come first.
fn rank(question: &str) -> u8 {
    if question.starts_with("How do I ") {
        1
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(heading: &str) -> Option<String> {
        question(heading, "Guide", "").map(|(_, question)| question)
    }

    #[test]
    fn headings_become_questions() {
        for (heading, expected) in [
            ("Why is it slow?", "Why is it slow?"),
            ("How to install it", "How do I install it?"),
            ("Install the server:", "How do I install the server?"),
            ("HTTP headers", "How do HTTP headers work?"),
            ("Crash safety", "How does crash safety work?"),
            ("Safety", "What does Guide say about “Safety”?"),
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
