//! When the evidence is too weak to answer, and what to say then.

use super::extractive::Signals;
use crate::retrieve::{Mode, SearchRequest, SearchResponse, Source};

/// Added to the reader's log-odds of the best segment: chosen so that .5 separates answers from
/// near misses (docs/notes/retrieval.md).
const BIAS: f32 = 2.6;
/// Subtracted if no source mentions a name in the question.
const UNKNOWN_NAME: f32 = 2.5;
/// If a question has foreign letters and the sources lack this share of its words, its language
/// differs from theirs: the reader cannot judge it, and nothing is refused.
const UNREADABLE: f32 = 0.8;
const UNDECIDED: f32 = 0.5;

/// The probability that the sources answer, from 0 to 1.
pub(super) fn answerability(signals: &Signals) -> f32 {
    let unknown = if signals.knows_no_name {
        UNKNOWN_NAME
    } else {
        0.0
    };
    let log_odds = BIAS + signals.best - unknown;
    let probability = 1.0 / (1.0 + (-log_odds).exp());
    match signals.is_foreign && signals.missing > UNREADABLE && signals.best.is_finite() {
        true => probability.max(UNDECIDED),
        false => probability,
    }
}

/// The text of a refusal: what was searched, and what might help.
pub(super) fn refusal(request: &SearchRequest, found: &SearchResponse) -> String {
    let collection = &found.collection;
    if found.generation == 0 {
        return format!(
            "The collection \"{collection}\" is empty, so there is nothing to answer from. Index some documents first: cairn index PATH."
        );
    }
    let how = match request.mode {
        Mode::Hybrid => "by words and by meaning",
        Mode::Lexical => "by words",
        Mode::Dense => "by meaning",
    };
    let filtered = if request.filter.is_some() {
        " with the given filter"
    } else {
        ""
    };
    if found.sources.is_empty() {
        return format!(
            "I found nothing about this in the collection \"{collection}\", searched {how}{filtered}."
        );
    }
    let nearest = nearest_titles(&found.sources);
    format!(
        "I searched the collection \"{collection}\" {how}{filtered}, and none of the {} nearest passages answers this. The nearest are in {nearest}. Try other words, or index the documents that cover it.",
        found.sources.len(),
    )
}

/// The titles of the first three documents.
fn nearest_titles(sources: &[Source]) -> String {
    let mut titles: Vec<String> = Vec::new();
    for source in sources {
        let title = if source.title.is_empty() {
            &source.uri
        } else {
            &source.title
        };
        // Brackets in a title must not look like a citation.
        let title = title.replace(['[', ']', '\n'], " ");
        let title = format!("\"{}\"", title.trim());
        if !titles.contains(&title) {
            titles.push(title);
        }
        if titles.len() == 3 {
            break;
        }
    }
    titles.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::source;
    use super::*;

    #[test]
    fn the_best_segment_and_what_is_missing_decide() {
        let signals = |best, missing| Signals {
            best,
            missing,
            is_foreign: missing > 0.9,
            knows_no_name: false,
        };
        assert!(answerability(&signals(1.0, 0.0)) > 0.9);
        assert!(answerability(&signals(-6.0, 0.0)) < 0.1);
        let unnamed = Signals {
            knows_no_name: true,
            ..signals(1.0, 0.0)
        };
        assert!(answerability(&unnamed) < answerability(&signals(1.0, 0.0)));
        // A question is not refused for being in another language.
        assert_eq!(answerability(&signals(-6.0, 0.95)), 0.5);
        assert_eq!(answerability(&signals(f32::NEG_INFINITY, 1.0)), 0.0);
    }

    #[test]
    fn titles_cannot_cite() {
        let mut found = source(1, "x");
        found.title = "Notes [2]\n[9]".to_owned();
        assert_eq!(nearest_titles(&[found.clone(), found]), "\"Notes  2   9\"");
    }
}
