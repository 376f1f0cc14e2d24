//! The languages that words can be stemmed in.

use rust_stemmers::{Algorithm, Stemmer};

use crate::{Error, ErrorKind, Result};

/// A Snowball language, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Language {
    algorithm: Option<Algorithm>,
}

const ALGORITHMS: [(&str, Algorithm); 18] = [
    ("arabic", Algorithm::Arabic),
    ("danish", Algorithm::Danish),
    ("dutch", Algorithm::Dutch),
    ("english", Algorithm::English),
    ("finnish", Algorithm::Finnish),
    ("french", Algorithm::French),
    ("german", Algorithm::German),
    ("greek", Algorithm::Greek),
    ("hungarian", Algorithm::Hungarian),
    ("italian", Algorithm::Italian),
    ("norwegian", Algorithm::Norwegian),
    ("portuguese", Algorithm::Portuguese),
    ("romanian", Algorithm::Romanian),
    ("russian", Algorithm::Russian),
    ("spanish", Algorithm::Spanish),
    ("swedish", Algorithm::Swedish),
    ("tamil", Algorithm::Tamil),
    ("turkish", Algorithm::Turkish),
];

/// Snowball's stemmer for the language `name`, in any case; `None` if there is none.
pub fn stemmer(name: &str) -> Option<Stemmer> {
    let language = Language::parse(name).ok()?;
    language.algorithm().map(Stemmer::create)
}

impl Language {
    /// The language with this name, in any case; `none` turns stemming off.
    ///
    /// An unknown name is an error of kind `InvalidInput` that lists the names
    /// there are.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let wanted = name.trim().to_ascii_lowercase();
        if wanted == "none" {
            return Ok(Self { algorithm: None });
        }
        if let Some((_, algorithm)) = ALGORITHMS.iter().find(|(known, _)| *known == wanted) {
            return Ok(Self {
                algorithm: Some(*algorithm),
            });
        }
        let names: Vec<&str> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "unknown language {name:?} for stemming; use one of {}, or none",
                names.join(", ")
            ),
        ))
    }

    /// Snowball's algorithm, if there is one.
    pub(crate) fn algorithm(self) -> Option<Algorithm> {
        self.algorithm
    }

    /// Words that say nothing about what a question is after. Only English has
    /// a list: Lucene's default one, and the words that questions begin with.
    pub(crate) fn stop_words(self) -> &'static [&'static str] {
        match self.algorithm {
            Some(Algorithm::English) => &ENGLISH_STOP_WORDS,
            _ => &[],
        }
    }

    /// Whether accents are noise in it: then they go before stemming. The other
    /// Snowball algorithms read them, so there they go afterwards.
    pub(crate) fn folds_before_stemming(self) -> bool {
        matches!(self.algorithm, None | Some(Algorithm::English))
    }

    /// Whether people write `ue` for `ü`: not where it is a letter of its own that
    /// nobody writes in two.
    pub(crate) fn writes_out_umlauts(self) -> bool {
        !matches!(
            self.algorithm,
            Some(Algorithm::Turkish | Algorithm::Hungarian)
        )
    }

    /// Whether an apostrophe separates an article from its noun (`l'avion`),
    /// and so splits the word.
    pub(crate) fn elides(self) -> bool {
        matches!(self.algorithm, Some(Algorithm::French | Algorithm::Italian))
    }
}

const ENGLISH_STOP_WORDS: [&str; 50] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with", "what", "which", "who", "when", "where", "why",
    "how", "do", "does", "did", "can", "i", "my", "you", "your", "we", "were",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        let german = Language::parse(" German ").unwrap();
        assert_eq!(german.algorithm(), Some(Algorithm::German));
        assert_eq!(Language::parse("none").unwrap().algorithm(), None);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = Language::parse("klingon").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        for name in ["klingon", "english", "turkish", "none"] {
            assert!(error.message().contains(name), "{error}");
        }
    }
}
