//! Content words: what two texts must share for one to support the other.
//!
//! Words are lower-cased and stemmed, and words without content are left out. Numbers, versions,
//! identifiers and paths are kept whole, because a claim with one of them wrong is wrong. Scripts
//! without spaces are counted as pairs of characters.

use std::collections::BTreeSet;

use cairn_indexer::words::stemmer;
use rust_stemmers::Stemmer;

/// Splits texts into content words of one language.
pub(super) struct Words {
    stemmer: Option<Stemmer>,
    english: bool,
}

/// The content of one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Stems of the words with content.
    pub(super) stems: BTreeSet<String>,
    /// Numbers, identifiers, versions and paths, in lower case.
    pub(super) exact: BTreeSet<String>,
}

impl Content {
    /// Whether there is nothing to compare.
    pub(super) fn is_empty(&self) -> bool {
        self.stems.is_empty() && self.exact.is_empty()
    }

    /// How many distinct items there are to compare.
    pub(super) fn len(&self) -> usize {
        self.stems.len() + self.exact.len()
    }

    /// Share of this content that `other` contains, in 0..=1; 0 if empty.
    pub(super) fn share_in(&self, other: &Self) -> f32 {
        if self.is_empty() {
            return 0.0;
        }
        let stems = self.stems.intersection(&other.stems).count();
        let exact = self
            .exact
            .iter()
            .filter(|token| other.holds_exact(token))
            .count();
        (stems + exact) as f32 / self.len() as f32
    }

    /// Whether an exact token occurs here, whole or as a part of a longer one
    /// (`bar` in `foo::bar`), but never as a part of a longer number.
    pub(super) fn holds_exact(&self, token: &str) -> bool {
        self.exact.contains(token)
            || self.stems.contains(token)
            || self.exact.iter().any(|longer| is_part(longer, token))
    }

    /// Adds everything in `other`.
    pub(super) fn extend(&mut self, other: &Self) {
        self.stems.extend(other.stems.iter().cloned());
        self.exact.extend(other.exact.iter().cloned());
    }
}

/// Whether `part` occurs in `whole` with no letter or digit on either side. A
/// number is a part of an identifier or path, not of another number.
pub(super) fn is_part(whole: &str, part: &str) -> bool {
    if is_number(part) && is_number(whole) {
        return false;
    }
    whole.match_indices(part).any(|(at, _)| {
        let before = whole[..at].chars().next_back();
        let after = whole[at + part.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

pub(super) fn is_number(token: &str) -> bool {
    token
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '/' | ':'))
}

impl Words {
    /// Content words of `language`, a Snowball name such as `english`; any other
    /// name compares words without stemming.
    pub(super) fn new(language: &str) -> Self {
        Self {
            stemmer: stemmer(language),
            english: language.eq_ignore_ascii_case("english"),
        }
    }

    /// The content of `text`.
    pub(super) fn content(&self, text: &str) -> Content {
        let mut content = Content::default();
        for token in tokens(text) {
            if is_exact(token) {
                content.exact.insert(normal_exact(token));
                continue;
            }
            for part in token.split(['-', '/', '.', ':', '@', '+']) {
                self.add_word(part, &mut content.stems);
            }
        }
        content
    }

    /// Whether `text` contains a negation. Known only for English.
    pub(super) fn is_negated(&self, text: &str) -> bool {
        let negates = |word: &str| {
            let word = word.to_lowercase().replace('’', "'");
            NEGATIONS.contains(&word.as_str()) || word.ends_with("n't")
        };
        self.english
            && text
                .split(|c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '’'))
                .any(negates)
    }

    /// Whether texts are treated as English.
    pub(super) fn is_english(&self) -> bool {
        self.english
    }

    /// The stem of a word in lower case.
    pub(super) fn stem(&self, lower: &str) -> String {
        match &self.stemmer {
            Some(stemmer) => stemmer.stem(lower).into_owned(),
            None => lower.to_owned(),
        }
    }

    fn add_word(&self, word: &str, stems: &mut BTreeSet<String>) {
        let word = word.trim_matches('\'');
        if word.is_empty() {
            return;
        }
        if word.chars().any(is_unspaced) {
            let characters: Vec<char> = word.chars().collect();
            if characters.len() == 1 {
                stems.insert(word.to_owned());
            }
            stems.extend(
                characters
                    .windows(2)
                    .map(|pair| pair.iter().collect::<String>()),
            );
            return;
        }
        let lower = word.to_lowercase();
        let lower = lower.strip_suffix("'s").unwrap_or(&lower);
        if lower.chars().count() < 2 || is_stop_word(lower) {
            return;
        }
        stems.insert(self.stem(lower));
    }
}

/// Runs of letters, digits and underscores, with single connectors between
/// them: `v1.2.3`, `foo::bar`, `a/b.txt`, `end-to-end`, `1,000`.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(is_word)?;
        let tail = &rest[start..];
        let mut end = 0;
        loop {
            end += tail[end..]
                .find(|c| !is_word(c))
                .unwrap_or(tail.len() - end);
            let mut after = tail[end..].chars();
            let connector = match after.next() {
                Some(':') if after.clone().next() == Some(':') => 2,
                Some(',') if tail[..end].ends_with(|c: char| c.is_ascii_digit()) => {
                    let group = tail[end + 1..]
                        .chars()
                        .take_while(char::is_ascii_digit)
                        .count();
                    if group == 3 { 1 } else { break }
                }
                Some(c @ ('.' | '-' | '/' | '@' | '+' | '\'')) => c.len_utf8(),
                Some('’') => '’'.len_utf8(),
                _ => break,
            };
            if !tail[end + connector..].starts_with(is_word) {
                break;
            }
            end += connector;
        }
        rest = &tail[end..];
        Some(&tail[..end])
    })
}

/// Numbers, versions, identifiers and paths, which must not be paraphrased.
pub(super) fn is_exact(token: &str) -> bool {
    let has_digit = token.chars().any(|c| c.is_numeric());
    let camel = token
        .chars()
        .zip(token.chars().skip(1))
        .any(|(a, b)| a.is_lowercase() && b.is_uppercase());
    has_digit || token.contains(['_', '@']) || token.contains("::") || camel
}

pub(super) fn normal_exact(token: &str) -> String {
    let lower = token.to_lowercase();
    if is_number(&lower) {
        lower.replace(',', "")
    } else {
        lower
    }
}

/// Han, kana, Thai, Lao, Khmer and Burmese: scripts without spaces.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c as u32,
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF
        | 0x3040..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0x20000..=0x2FA1F)
}

const NEGATIONS: &[&str] = &[
    "not", "no", "never", "cannot", "without", "neither", "nor", "none", "nothing",
];

/// Sorted, for a binary search. English only: in other languages every word
/// counts, which makes the checks stricter, not looser.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "again", "all", "also", "am", "an", "and", "any", "are", "aren't", "as",
    "at", "be", "because", "been", "before", "being", "between", "both", "but", "by", "can",
    "can't", "cannot", "could", "did", "didn't", "do", "does", "doesn't", "doing", "don't",
    "during", "each", "either", "else", "etc", "every", "explain", "few", "for", "from", "further",
    "get", "give", "had", "has", "have", "having", "he", "her", "here", "hers", "him", "his",
    "how", "however", "i", "if", "in", "into", "is", "isn't", "it", "it's", "its", "itself",
    "just", "let", "may", "me", "might", "more", "most", "must", "my", "no", "nor", "not", "of",
    "off", "ok", "okay", "on", "once", "one", "only", "or", "other", "our", "ours", "out", "over",
    "own", "please", "same", "shall", "she", "should", "so", "some", "such", "sure", "tell",
    "than", "that", "that's", "the", "their", "theirs", "them", "then", "there", "these", "they",
    "this", "those", "through", "thus", "to", "too", "under", "until", "up", "us", "very", "was",
    "wasn't", "we", "were", "what", "what's", "when", "where", "whether", "which", "while", "who",
    "whom", "whose", "why", "will", "with", "won't", "would", "yes", "you", "your", "yours",
];

pub(super) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS
        .binary_search(&word.replace('’', "'").as_str())
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn english(text: &str) -> Content {
        Words::new("english").content(text)
    }

    #[test]
    fn the_stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn words_are_stemmed_and_empty_ones_left_out() {
        let content = english("The borrowed references are checked");
        let stems: Vec<_> = content.stems.iter().map(String::as_str).collect();
        assert_eq!(stems, ["borrow", "check", "refer"]);
        assert!(content.exact.is_empty());
    }

    #[test]
    fn exact_things_stay_whole() {
        let content =
            english("In v1.2.3, foo::bar raises ERR_CONN_4012 after 1,000 tries of HashMap.");
        for token in ["v1.2.3", "foo::bar", "err_conn_4012", "1000", "hashmap"] {
            assert!(content.exact.contains(token), "{token} not in {content:?}");
        }
    }

    #[test]
    fn a_number_is_not_held_by_another_number() {
        let content = english("version 1.25 of port 8620");
        assert!(!content.holds_exact("1"));
        assert!(!content.holds_exact("25"));
        assert!(content.holds_exact("1.25"));
        assert!(english("see foo::bar2").holds_exact("bar2"));
    }

    #[test]
    fn sentences_do_not_swallow_their_full_stop() {
        let content = english("It listens on 8620. Then it stops.");
        assert!(content.exact.contains("8620"), "{content:?}");
    }

    #[test]
    fn text_without_spaces_counts_in_pairs() {
        let content = english("東京は日本の首都");
        assert!(content.stems.contains("東京"));
        assert!(content.stems.contains("首都"));
    }

    #[test]
    fn shares() {
        let question = english("how are slices borrowed");
        assert_eq!(question.share_in(&english("a slice borrows")), 1.0);
        assert_eq!(question.share_in(&english("a slice")), 0.5);
        assert_eq!(english("the of").share_in(&question), 0.0);
    }
}
