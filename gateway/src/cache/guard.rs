//! Whether two questions mean the same, by their words.
//!
//! Embeddings put "enable" next to "disable", 8080 next to 8081 and "Paris"
//! next to "London". So a semantic hit must also have the same words of content
//! in the same order, after inflection, spelling variants and words that only
//! make a question polite or long are taken away. What is left over differs in
//! meaning more often than not: a number, a name, a negation, an opposite.

use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

/// Words that do not change what a question asks.
const FILLERS: &[&str] = &[
    "a",
    "an",
    "the",
    "please",
    "pls",
    "kindly",
    "hi",
    "hello",
    "hey",
    "thanks",
    "thank",
    "do",
    "does",
    "did",
    "is",
    "are",
    "was",
    "be",
    "been",
    "being",
    "am",
    "it",
    "its",
    "i",
    "s",
    "ll",
    "ve",
    "m",
    "re",
    "d",
    "to",
    "of",
    "would",
    "could",
    "can",
    "tell",
    "explain",
    "show",
    "know",
    "want",
    "way",
    "ways",
    "there",
    "what",
    "which",
    "so",
    "just",
    "exactly",
    "actually",
    "this",
    "that",
    "question",
    "wondering",
    "wonder",
];

/// Words after which "me" and "us" only make a question polite: "tell me".
const ADDRESSED: &[&str] = &["tell", "show", "give", "explain"];

/// Words before which "you" does: "can you tell".
const ASKED: &[&str] = &["tell", "show", "explain", "please", "kindly"];

/// Words that are written in several ways; the last one stands for all.
const VARIANTS: &[(&str, &str)] = &[
    ("remove", "delete"),
    ("erase", "delete"),
    ("config", "configuration"),
    ("docs", "documentation"),
    ("doc", "documentation"),
    ("dir", "folder"),
    ("directory", "folder"),
    ("directories", "folder"),
    ("repo", "repository"),
    ("repos", "repository"),
    ("db", "database"),
    ("app", "application"),
    ("apps", "application"),
    ("colour", "color"),
    ("max", "maximum"),
    ("min", "minimum"),
    ("t", "not"),
    ("cannot", "not"),
    ("ok", "okay"),
    ("photo", "picture"),
    ("begin", "start"),
    ("setup", "install"),
];

/// Verbs whose contraction with "not" keeps an n behind: "don't", "isn't".
const CONTRACTED: &[&str] = &[
    "don", "doesn", "didn", "isn", "aren", "wasn", "couldn", "wouldn", "can", "won", "shouldn",
    "hasn", "haven", "hadn",
];

static STEMMER: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// Whether `a` and `b` are the same question in other words. Errs on the side
/// of no.
pub fn same_question(a: &str, b: &str) -> bool {
    content(a) == content(b)
}

/// The words of content, in order and in one form each.
fn content(text: &str) -> Vec<String> {
    let words = words(text);
    let mut content = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let lower = word.to_lowercase();
        // "IT", "US" and "WHO" are names, "it", "us" and "who" are not.
        let shouted = word.chars().count() > 1 && !word.chars().any(char::is_lowercase);
        let letters = word.chars().all(char::is_alphabetic);
        let common =
            FILLERS.contains(&lower.as_str()) || ["me", "us", "you"].contains(&lower.as_str());
        if shouted && letters && common {
            content.push((*word).to_owned());
            continue;
        }
        let negated = words
            .get(at + 1)
            .is_some_and(|next| next.eq_ignore_ascii_case("t"));
        if negated && CONTRACTED.contains(&lower.as_str()) {
            // "won't" says something about the future, the others only "not".
            if lower == "won" {
                content.push("will".to_owned());
            }
            continue;
        }
        let near = |at: Option<&&str>, list: &[&str]| {
            at.is_some_and(|word| list.contains(&word.to_lowercase().as_str()))
        };
        let before = at.checked_sub(1).and_then(|at| words.get(at));
        let polite = match lower.as_str() {
            "me" | "us" => near(before, ADDRESSED),
            "you" => near(words.get(at + 1), ASKED) || near(before, &["thank"]),
            _ => FILLERS.contains(&lower.as_str()),
        };
        if polite {
            continue;
        }
        let variant = VARIANTS.iter().find(|(from, _)| *from == lower);
        let word = variant.map_or(lower.as_str(), |(_, to)| to);
        // Codes, versions and paths are compared as they are.
        let plain = word.chars().all(|c| c.is_ascii_lowercase());
        content.push(match plain {
            true => STEMMER.stem(word).into_owned(),
            false => word.to_owned(),
        });
    }
    content
}

/// Runs of letters and digits, with what holds codes, versions, paths and
/// quantities together: `v1.2.3`, `foo::bar`, `C++`, `-5`, `50%`.
fn words(text: &str) -> Vec<&str> {
    let joins = |c: char| matches!(c, '.' | '_' | '-' | ':' | '/' | '@' | '\\' | ',');
    let belongs = |c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                '+' | '#' | '%' | '$' | '€' | '*' | '&' | '<' | '>' | '=' | '!' | '~' | '^' | '|'
            )
    };
    let mut words = Vec::new();
    for chunk in text.split(|c: char| !belongs(c) && !joins(c)) {
        let word = chunk.trim_end_matches(joins).trim_end_matches('!');
        // A sign in front of a number counts, a dash in front of a word not.
        let bare = word.trim_start_matches(joins);
        let signed = word.starts_with(['-', '.']) && bare.starts_with(|c: char| c.is_ascii_digit());
        let word = if signed { word } else { bare };
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn politeness_and_inflection_do_not_count() {
        for (a, b) in [
            (
                "How do I install Cairn?",
                "Please tell me how to install Cairn",
            ),
            ("How can I delete a folder?", "how to remove the directory"),
            ("Why isn't it starting", "Why is it not starting?"),
            ("", "?"),
        ] {
            assert!(same_question(a, b), "{:?} {:?}", content(a), content(b));
        }
    }

    #[test]
    fn signs_codes_and_capitals_do() {
        for (a, b) in [
            ("is -5 valid", "is 5 valid"),
            ("What is C++?", "What is C?"),
            ("v1.2.3 notes", "v1.2.13 notes"),
            ("support for IT", "support for it"),
            ("laws of the US", "laws of us"),
            ("How do I contact you?", "How do you contact me?"),
            ("What is my name?", "What is your name?"),
            ("What is it like?", "What is it?"),
            ("is a > b", "is a < b"),
            ("use foo::bar", "use foo bar"),
            ("Can I do it?", "Can't I do it?"),
            ("Is it 50%?", "Is it 50?"),
        ] {
            assert!(!same_question(a, b), "{:?} {:?}", content(a), content(b));
        }
    }
}
