//! Names of people, from a list: given names of many countries, alone or with
//! what follows; and what follows a title.
//!
//! A list finds the names that it holds. Given names that are words, places or
//! programs too count only before a surname of the list.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use super::{Finding, Kind};

type NameSet = HashSet<&'static str>;

static GIVEN: LazyLock<NameSet> = LazyLock::new(|| list(include_str!("given_names.txt")));
static AMBIGUOUS: LazyLock<NameSet> = LazyLock::new(|| list(include_str!("ambiguous_names.txt")));
static SURNAMES: LazyLock<NameSet> = LazyLock::new(|| list(include_str!("surnames.txt")));

fn list(text: &'static str) -> NameSet {
    text.split_whitespace().collect()
}

/// A word that begins with a capital, with its hyphens and apostrophes; or an
/// initial with its point.
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\p{Lu}\.|\p{Lu}[\p{L}\p{M}]*(?:['’-]\p{Lu}[\p{L}\p{M}]+)*")
        .expect("a constant expression")
});

/// Small words inside surnames.
const PARTICLES: &[&str] = &[
    "van", "von", "de", "der", "den", "del", "da", "di", "la", "dos", "el",
];

/// What stands before a surname.
const TITLES: &[&str] = &[
    "Mr", "Mrs", "Ms", "Miss", "Mx", "Dr", "Prof", "Sir", "Herr", "Frau", "Monsieur", "Madame",
    "Mme", "Señor", "Señora", "Signor", "Signora",
];

/// Words with a capital that follow a name without being a part of it.
const NOT_SURNAMES: &[&str] = &[
    "And",
    "API",
    "At",
    "Can",
    "Did",
    "Do",
    "Does",
    "From",
    "Has",
    "He",
    "Her",
    "His",
    "I",
    "If",
    "In",
    "Is",
    "It",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Or",
    "Please",
    "She",
    "That",
    "The",
    "They",
    "This",
    "To",
    "Was",
    "We",
    "Will",
    "With",
    "You",
];

/// The list, with the names of the configuration.
#[derive(Debug)]
pub(super) struct Names {
    own: Option<Regex>,
}

impl Names {
    pub(super) fn new(own: &[String]) -> Self {
        let mut own: Vec<&str> = own
            .iter()
            .map(|name| name.trim())
            .filter(|n| !n.is_empty())
            .collect();
        // Of two names that begin alike the longer one is tried first.
        own.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let any: Vec<String> = own.iter().map(|name| regex::escape(name)).collect();
        let pattern = format!(r"\b(?:{})\b", any.join("|"));
        Self {
            own: (!any.is_empty())
                .then(|| Regex::new(&pattern).ok())
                .flatten(),
        }
    }

    pub(super) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        let mut push = |span| {
            found.push(Finding {
                kind: Kind::Name,
                span,
            });
        };
        if let Some(own) = &self.own {
            own.find_iter(text).for_each(|hit| push(hit.range()));
        }
        let mut end = 0;
        for word in WORD.find_iter(text) {
            if word.start() < end || !begins_word(text, word.start()) {
                continue;
            }
            let rest = surnames(text, word.end());
            let (start, after) = match word.as_str() {
                title if TITLES.contains(&title) => {
                    let point = usize::from(text[word.end()..].starts_with('.'));
                    let first = text[word.end() + point..]
                        .strip_prefix(' ')
                        .map(|_| word.end() + point + 1)
                        .filter(|at| next_word(text, *at).is_some());
                    let Some(first) = first else { continue };
                    (first, surnames(text, first - 1).unwrap_or(first))
                }
                given if GIVEN.contains(given) => {
                    if continues(text, word.end()) {
                        continue;
                    }
                    (word.start(), rest.unwrap_or(word.end()))
                }
                other => {
                    let initial = other.ends_with('.');
                    let next = next_word(text, word.end() + 1)
                        .filter(|_| text[word.end()..].starts_with(' '));
                    let known = next.is_some_and(|next| SURNAMES.contains(next));
                    match rest {
                        Some(rest) if known && (initial || AMBIGUOUS.contains(other)) => {
                            (word.start(), rest)
                        }
                        _ => continue,
                    }
                }
            };
            if after > start {
                push(start..after);
                end = after;
            }
        }
    }
}

/// Whether no letter, digit or joint stands before `at`.
fn begins_word(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    !before.is_some_and(|c| c.is_alphanumeric() || "_@./-:#".contains(c))
}

/// Whether the word that ends at `at` goes on as an identifier, a path or an
/// address.
fn continues(text: &str, at: usize) -> bool {
    let mut after = text[at..].chars();
    match (after.next(), after.next()) {
        (Some(c), _) if c.is_alphanumeric() || "_@/\\(".contains(c) => true,
        (Some('.' | '-' | ':'), Some(next)) => next.is_alphanumeric() || next == ':',
        _ => false,
    }
}

/// The word with a capital at `at`.
fn next_word(text: &str, at: usize) -> Option<&str> {
    let word = WORD.find(text.get(at..)?)?;
    (word.start() == 0).then(|| word.as_str())
}

/// Where the one or two capitalised words end that follow `at` after a blank,
/// particles between them.
fn surnames(text: &str, at: usize) -> Option<usize> {
    let mut end = None;
    let mut from = at;
    for _ in 0..2 {
        let Some(mut start) = text[from..].strip_prefix(' ').map(|_| from + 1) else {
            break;
        };
        while let Some(particle) = PARTICLES.iter().find(|particle| {
            text[start..]
                .strip_prefix(**particle)
                .is_some_and(|rest| rest.starts_with(' '))
        }) {
            start += particle.len() + 1;
        }
        let Some(word) = next_word(text, start) else {
            break;
        };
        let shouting = word.chars().count() > 1 && word.chars().all(|c| !c.is_lowercase());
        if NOT_SURNAMES.contains(&word)
            || shouting && !word.ends_with('.')
            || continues(text, start + word.len())
        {
            break;
        }
        from = start + word.len();
        end = Some(from);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        Names::new(&["Zork Blimp".into()]).find(text, &mut found);
        found
            .into_iter()
            .map(|finding| &text[finding.span])
            .collect()
    }

    #[test]
    fn given_names_take_their_surnames_along() {
        assert_eq!(names("Ask Priya about it"), ["Priya"]);
        assert_eq!(names("Anna-Lena is no entry"), [""; 0]);
        assert_eq!(
            names("Peter van der Meer and Maria"),
            ["Peter van der Meer", "Maria"]
        );
        assert_eq!(names("Dear Dr. Okafor, hello"), ["Okafor"]);
        assert_eq!(names("written by J. Smith"), ["J. Smith"]);
        assert_eq!(names("Zork Blimp called"), ["Zork Blimp"]);
    }

    #[test]
    fn words_that_are_names_too_need_a_surname() {
        assert_eq!(names("Will Paris host it? Mark the date"), [""; 0]);
        assert_eq!(names("Mark Wilson said so"), ["Mark Wilson"]);
        assert_eq!(names("Martin::new(), peter.rs, Thomas.toml"), [""; 0]);
    }
}
