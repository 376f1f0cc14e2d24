//! The answer without a language model: the sentences of the sources that
//! answer the question best, each with its citation.
//!
//! A sentence's score is the mean of two shares: the question's content words
//! that it holds, rarer words counting more, and its cosine with the question.
//! A small bonus follows the rank of its source. Sentences that lean on the one
//! before them ("It", "This") bring it along; near-duplicates are left out.

use std::collections::BTreeMap;

use cairn_models::{Cancel, Embedder};

use super::passages::{Sentence, chunk_sentences};
use super::words::{Content, Words};
use crate::retrieve::Source;

/// Sources that sentences are taken from; later ones rarely hold the answer.
const MAX_SOURCES: usize = 5;
/// Sentences of an answer: a paragraph that is read at a glance.
const MAX_SENTENCES: usize = 4;
/// Sentences that are embedded, best words first. Embedding costs milliseconds
/// each, and a sentence without any word of the question is rarely the answer.
const MAX_EMBEDDED: usize = 24;
/// A sentence must score at least this share of the best one.
const NEAR_BEST: f32 = 0.8;
/// Two sentences that share this much of their content say the same.
const SAME: f32 = 0.65;
/// Bonus of the first source; the second gets half of it, and so on.
const RANK_BONUS: f32 = 0.10;
/// A sentence that defines what a "what is" question asks for.
const DEFINITION_BONUS: f32 = 0.12;
/// A sentence that says what to do, when the question asks how.
const STEP_BONUS: f32 = 0.05;
/// Penalty for talking about the text itself or walking through an example.
const NARRATION: f32 = 0.12;
/// Letters after which no further sentence is added.
const ENOUGH_CHARS: usize = 600;
/// Penalty for leaning on what cannot be shown with it.
const DANGLING: f32 = 0.15;

/// One sentence of an extractive answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extract {
    /// The sentence, on one line, without a mark.
    pub(super) text: String,
    /// The number of its source.
    pub(super) n: u32,
}

struct Candidate {
    sentence: Sentence,
    /// Index of its source.
    source: usize,
    /// Position among the sentences of its source.
    position: usize,
    content: Content,
    score: f32,
}

/// The best sentences of `sources` for `question`, in reading order: sources by
/// rank, sentences as they stand there. Empty only when the sources are.
///
/// With an embedder the sentences are compared by meaning too; when it fails or
/// `cancel` fires, words alone decide.
pub(super) fn extract(
    question: &str,
    sources: &[Source],
    embedder: Option<&dyn Embedder>,
    words: &Words,
    cancel: &Cancel,
) -> Vec<Extract> {
    let asked = words.content(question);
    let mut candidates = candidates(sources, words);
    score_by_words(&mut candidates, &asked, sources, words);
    if let Some(embedder) = embedder {
        add_cosines(&mut candidates, question, embedder, cancel);
    }
    let asks_how = question.trim().to_lowercase().starts_with("how");
    for candidate in &mut candidates {
        candidate.score += RANK_BONUS / (candidate.source + 1) as f32;
        if defines(question, &asked, &candidate.sentence.text, words) {
            candidate.score += DEFINITION_BONUS;
        }
        let text = &candidate.sentence.text;
        if asks_how && says_what_to_do(text) {
            candidate.score += STEP_BONUS;
        }
        if narrates(text) {
            candidate.score -= NARRATION;
        }
        if text.ends_with(':') {
            candidate.score -= DANGLING;
        }
    }
    let mut chosen = choose(&candidates);
    // The source of the best sentence speaks first.
    let first = chosen.first().map(|&at| candidates[at].source);
    chosen.sort_by_key(|&at| {
        let candidate = &candidates[at];
        (
            Some(candidate.source) != first,
            candidate.source,
            candidate.position,
        )
    });
    chosen
        .into_iter()
        .map(|at| Extract {
            text: candidates[at].sentence.text.clone(),
            n: sources[candidates[at].source].n,
        })
        .collect()
}

/// Prose sentences; when there are none, whatever there is.
fn candidates(sources: &[Source], words: &Words) -> Vec<Candidate> {
    let mut all = Vec::new();
    for (source, found) in sources.iter().take(MAX_SOURCES).enumerate() {
        for (position, sentence) in chunk_sentences(&found.text).into_iter().enumerate() {
            all.push(Candidate {
                content: words.content(&sentence.text),
                sentence,
                source,
                position,
                score: 0.0,
            });
        }
    }
    if all.iter().any(|candidate| candidate.sentence.prose) {
        all.retain(|candidate| candidate.sentence.prose);
    }
    all
}

fn score_by_words(
    candidates: &mut [Candidate],
    asked: &Content,
    sources: &[Source],
    words: &Words,
) {
    let terms: Vec<&String> = asked.stems.iter().chain(&asked.exact).collect();
    let holds =
        |content: &Content, term: &str| content.stems.contains(term) || content.holds_exact(term);
    let mut weights = BTreeMap::new();
    for term in &terms {
        let holding = candidates
            .iter()
            .filter(|c| holds(&c.content, term))
            .count();
        let weight = (1.0 + candidates.len() as f32 / (1 + holding) as f32).ln();
        weights.insert(term.as_str(), weight);
    }
    let total: f32 = weights.values().sum();
    let headings: Vec<Content> = sources
        .iter()
        .take(MAX_SOURCES)
        .map(|source| {
            words.content(&format!(
                "{} {}",
                source.title,
                source.heading_path.join(" ")
            ))
        })
        .collect();
    for candidate in candidates {
        let mut score = 0.0;
        for (term, weight) in &weights {
            if holds(&candidate.content, term) {
                score += weight;
            } else if holds(&headings[candidate.source], term) {
                // What a section is about need not be said again in it.
                score += weight * 0.5;
            }
        }
        candidate.score = if total > 0.0 { score / total } else { 0.0 };
    }
}

/// Blends in the cosine of the sentences with the best words.
fn add_cosines(
    candidates: &mut [Candidate],
    question: &str,
    embedder: &dyn Embedder,
    cancel: &Cancel,
) {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| {
        candidates[b]
            .score
            .total_cmp(&candidates[a].score)
            .then(a.cmp(&b))
    });
    order.truncate(MAX_EMBEDDED);
    let mut texts = vec![question];
    texts.extend(
        order
            .iter()
            .map(|&at| candidates[at].sentence.text.as_str()),
    );
    let vectors = match embedder.embed(&texts, cancel) {
        Ok(vectors) => vectors,
        Err(error) => {
            tracing::debug!(%error, "sentences are compared by words alone");
            return;
        }
    };
    let cosines: Vec<f32> = vectors[1..]
        .iter()
        .map(|vector| vector.iter().zip(&vectors[0]).map(|(a, b)| a * b).sum())
        .collect();
    candidates
        .iter_mut()
        .for_each(|candidate| candidate.score *= 0.5);
    for (at, cosine) in order.into_iter().zip(cosines) {
        candidates[at].score += 0.5 * cosine.max(0.0);
    }
}

/// Whether `sentence` says what the thing is that a "what is" question names:
/// the asked words come first, and a verb of definition soon after them.
fn defines(question: &str, asked: &Content, sentence: &str, words: &Words) -> bool {
    let question = question.trim().to_lowercase();
    let asks = [
        "what is",
        "what are",
        "what's",
        "what does",
        "define",
        "explain",
    ];
    if asked.is_empty() || !asks.iter().any(|start| question.starts_with(start)) {
        return false;
    }
    let start: Vec<&str> = sentence.split_whitespace().take(10).collect();
    let verb = start.iter().position(|word| {
        matches!(
            word.to_lowercase().as_str(),
            "is" | "are" | "means" | "refers" | "describes" | "provides" | "lets" | "allows"
        )
    });
    verb.is_some_and(|verb| {
        let subject = words.content(&start[..verb].join(" "));
        verb > 0 && !subject.is_empty() && subject.share_in(asked) >= 0.5
    })
}

/// Whether the sentence speaks of the text itself, or of the steps of an example
/// that is not shown with it.
fn narrates(text: &str) -> bool {
    const OPENINGS: &[&str] = &[
        "let’s",
        "let's",
        "we ",
        "we’ll",
        "we'll",
        "we’ve",
        "we've",
        "now ",
        "now,",
        "next,",
        "first,",
        "second,",
        "finally,",
        "in this chapter",
        "in this section",
        "in listing",
        "listing ",
        "here’s",
        "here's",
        "note that",
        "see ",
        "the following",
        "recall",
        "at first glance",
        "luckily",
        "fortunately",
        "as you can see",
    ];
    const INSIDE: &[&str] = &[
        "in this chapter",
        "in this section",
        "in chapter",
        "in listing",
        "from listing",
        "we’ll",
        "we'll",
        "we’ve",
        "we've",
        "we discussed",
        "as follows",
        "shown below",
        "the example above",
        "see below",
    ];
    let lower = text.to_lowercase();
    OPENINGS.iter().any(|opening| lower.starts_with(opening))
        || INSIDE.iter().any(|part| lower.contains(part))
}

/// Whether the sentence tells somebody to do something.
fn says_what_to_do(text: &str) -> bool {
    const VERBS: &[&str] = &[
        "use",
        "run",
        "call",
        "add",
        "set",
        "type",
        "pass",
        "execute",
        "write",
        "specify",
        "create",
        "open",
        "choose",
        "install",
        "enter",
        "configure",
        "enable",
        "disable",
        "using",
        "running",
    ];
    text.split(|c: char| !c.is_alphanumeric())
        .any(|word| VERBS.contains(&word.to_lowercase().as_str()))
}

/// Whether the sentence cannot be understood without the one before it.
fn leans_back(text: &str) -> bool {
    const OPENINGS: &[&str] = &[
        "it",
        "its",
        "this",
        "these",
        "that",
        "those",
        "they",
        "their",
        "he",
        "she",
        "such",
        "however",
        "but",
        "so",
        "then",
        "therefore",
        "thus",
        "instead",
        "also",
        "and",
        "or",
        "otherwise",
        "similarly",
        "likewise",
        "moreover",
        "furthermore",
        "additionally",
        "nevertheless",
        "for example",
        "for instance",
        "in this",
        "in that",
        "in these",
        "as a result",
        "because of this",
        "both",
        "here",
        "it’s",
        "it's",
        "that’s",
        "that's",
        "they’re",
        "they're",
        "another",
        "once again",
        "again",
    ];
    let lower = text.trim_start_matches(['"', '“', '(', '*']).to_lowercase();
    OPENINGS.iter().any(|opening| {
        lower
            .strip_prefix(opening)
            .is_some_and(|rest| rest.starts_with([' ', ',']))
    })
}

fn choose(candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let dangles = |at: usize| leans_back(&candidates[at].sentence.text);
    let before = |at: usize| {
        let (own, previous) = (&candidates[at], candidates.get(at.checked_sub(1)?)?);
        let adjacent = previous.source == own.source
            && previous.position + 1 == own.position
            && previous.sentence.block == own.sentence.block;
        adjacent.then_some(at - 1)
    };
    let score = |at: usize| {
        let alone = dangles(at) && before(at).is_none_or(dangles);
        candidates[at].score - if alone { DANGLING } else { 0.0 }
    };
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
    let Some(&first) = order.first() else {
        return Vec::new();
    };
    let enough = score(first) * NEAR_BEST;
    let mut chosen: Vec<usize> = Vec::new();
    let length = |chosen: &[usize]| -> usize {
        chosen
            .iter()
            .map(|&at| candidates[at].sentence.text.chars().count())
            .sum()
    };
    for at in order {
        if length(&chosen) >= ENOUGH_CHARS {
            break;
        }
        if chosen.len() >= MAX_SENTENCES || (score(at) < enough && !chosen.is_empty()) {
            break;
        }
        let says_nothing_new = |other: &usize| {
            *other == at || same(&candidates[*other].content, &candidates[at].content)
        };
        if chosen.iter().any(says_nothing_new) {
            continue;
        }
        if dangles(at) {
            match before(at) {
                Some(previous) if chosen.contains(&previous) => {}
                Some(previous) if !dangles(previous) && chosen.len() + 2 <= MAX_SENTENCES => {
                    chosen.push(previous);
                }
                _ if chosen.is_empty() => {}
                _ => continue,
            }
        }
        chosen.push(at);
    }
    chosen
}

fn same(a: &Content, b: &Content) -> bool {
    let shorter = a.len().min(b.len());
    let shared = a.stems.intersection(&b.stems).count() + a.exact.intersection(&b.exact).count();
    shorter > 0
        && shared as f32 / shorter as f32 >= SAME
        && shared as f32 / a.len().max(b.len()) as f32 >= SAME * 0.7
}

#[cfg(test)]
mod tests {
    use cairn_models::testing::HashEmbedder;

    use super::super::testing::source;
    use super::*;

    fn quote(question: &str, texts: &[&str]) -> Vec<(u32, String)> {
        let sources: Vec<Source> = (1..).zip(texts).map(|(n, text)| source(n, text)).collect();
        let words = Words::new("english");
        let found = extract(
            question,
            &sources,
            Some(&HashEmbedder),
            &words,
            &Cancel::never(),
        );
        let alone = extract(question, &sources, None, &words, &Cancel::never());
        assert_eq!(found.is_empty(), alone.is_empty());
        found
            .into_iter()
            .map(|extract| (extract.n, extract.text))
            .collect()
    }

    #[test]
    fn the_sentence_that_answers_is_found_in_any_source() {
        let found = quote(
            "Which port does the server listen on?",
            &[
                "The server writes its log to standard error. Restart the server after a change.",
                "The weather is mild. The server listens on port 8620. Bread is baked daily.",
            ],
        );
        assert_eq!(found[0], (2, "The server listens on port 8620.".to_owned()));
        assert!(
            found
                .iter()
                .all(|(_, text)| !text.contains("weather") && !text.contains("Bread"))
        );
    }

    #[test]
    fn what_leans_on_the_sentence_before_brings_it_along() {
        let found = quote(
            "How long does the timeout of the retry queue last?",
            &[
                "Failed jobs go to a second place. It is the retry queue, and the timeout of the retry queue lasts ten minutes.",
            ],
        );
        let texts: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts[0], "Failed jobs go to a second place.");
        assert!(texts[1].starts_with("It is the retry queue"));
    }

    #[test]
    fn the_same_thing_is_said_once() {
        let text = "The default port of the server is 8620.";
        let again = "The server's default port is 8620.";
        assert_eq!(
            quote("What is the default port?", &[text, again, text]).len(),
            1
        );
    }

    #[test]
    fn definitions_answer_what_is() {
        let found = quote(
            "What is a tombstone?",
            &[
                "Deleting writes a tombstone to the log. Every tombstone costs a few bytes. A tombstone is a record that marks a key as deleted.",
            ],
        );
        assert!(
            found
                .iter()
                .any(|(_, text)| text.starts_with("A tombstone is a record")),
            "{found:?}"
        );
    }

    #[test]
    fn headings_and_code_are_quoted_only_when_there_is_nothing_else() {
        let code = "Retry settings\n\nretry.max = 5\nretry.wait = \"10s\"";
        let found = quote("What are the retry settings?", &[code]);
        assert!(!found.is_empty());
        let found = quote(
            "What are the retry settings?",
            &[code, "The retry settings limit how often a job runs."],
        );
        assert_eq!(
            found,
            [(
                2,
                "The retry settings limit how often a job runs.".to_owned()
            )]
        );
    }

    #[test]
    fn no_source_no_sentence() {
        assert!(quote("What?", &[]).is_empty());
        assert!(quote("What?", &["   "]).is_empty());
    }
}
