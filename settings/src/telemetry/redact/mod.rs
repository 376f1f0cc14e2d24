//! Masks personal data and secrets in texts that are kept or sent.
//!
//! Masking is a type: what stores or sends text takes [`Redacted`], and only
//! [`Redactor::redact`] makes one. A rule knows the shape of one kind of datum
//! and, where there is one, its checksum, so that order numbers, hashes and
//! versions stay readable. docs/operations.md says how much it finds.

mod contact;
mod identity;
mod names;
mod network;
mod payment;
mod secrets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Serialize;

use names::Names;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An API key, a token, a password in an address.
    Secret,
    /// An e-mail address.
    Email,
    /// A bank account.
    Iban,
    /// A payment card.
    Card,
    /// A number that a state gives to a person.
    NationalId,
    /// An address of the Internet Protocol.
    Ip,
    /// A telephone number.
    Phone,
    /// A person's name.
    Name,
}

impl Kind {
    /// Every kind, the surest first: of two findings that overlap, the surer
    /// one counts.
    pub const ALL: [Self; 8] = [
        Self::Secret,
        Self::Email,
        Self::Iban,
        Self::Card,
        Self::NationalId,
        Self::Ip,
        Self::Phone,
        Self::Name,
    ];

    /// What stands in the text instead.
    pub fn mask(self) -> &'static str {
        match self {
            Self::Secret => "[SECRET]",
            Self::Email => "[EMAIL]",
            Self::Iban => "[IBAN]",
            Self::Card => "[CARD]",
            Self::NationalId => "[NATIONAL_ID]",
            Self::Ip => "[IP]",
            Self::Phone => "[PHONE]",
            Self::Name => "[NAME]",
        }
    }
}

/// One datum in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Where it is, in bytes.
    pub span: Range<usize>,
}

/// A text without the personal data and secrets that [`Redactor`] knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Redacted(String);

impl Redacted {
    /// The masked text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Finds and masks.
#[derive(Debug)]
pub struct Redactor {
    names: Names,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Redactor {
    /// With the built-in list of names and `names` besides.
    pub fn new(names: &[String]) -> Self {
        Self {
            names: Names::new(names),
        }
    }

    /// `text` with a mask in the place of each finding.
    pub fn redact(&self, text: &str) -> Redacted {
        let mut masked = String::with_capacity(text.len());
        let mut at = 0;
        for finding in self.find(text) {
            masked.push_str(&text[at..finding.span.start]);
            masked.push_str(finding.kind.mask());
            at = finding.span.end;
        }
        masked.push_str(&text[at..]);
        Redacted(masked)
    }

    /// What there is in `text`, in its order and without overlaps.
    pub fn find(&self, text: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        secrets::find(text, &mut found);
        contact::find(text, &mut found);
        payment::find(text, &mut found);
        identity::find(text, &mut found);
        network::find(text, &mut found);
        self.names.find(text, &mut found);
        // The surest first, and the longest among equals.
        found.sort_by_key(|finding| (finding.kind, std::cmp::Reverse(finding.span.len())));
        let mut kept: BTreeMap<usize, Finding> = BTreeMap::new();
        for finding in found {
            let before = kept.range(..finding.span.end).next_back();
            if before.is_none_or(|(_, before)| before.span.end <= finding.span.start) {
                kept.insert(finding.span.start, finding);
            }
        }
        kept.into_values().collect()
    }
}

/// Whether `span` touches no letter or digit outside it.
fn stands_alone(text: &str, span: &Range<usize>) -> bool {
    let before = text[..span.start].chars().next_back();
    let after = text[span.end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

/// The digits in `text` as numbers.
fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

/// Whether one of `words` stands in the `bytes` before `at`, in any case.
fn follows(text: &str, at: usize, bytes: usize, words: &[&str]) -> bool {
    let from = text.floor_char_boundary(at.saturating_sub(bytes));
    let before = text[from..at].to_lowercase();
    words.iter().any(|word| before.contains(word))
}
