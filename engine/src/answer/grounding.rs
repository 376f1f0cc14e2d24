//! What an answer claims, sentence by sentence, and whether its sources support it.

use super::citations::mark_at;
use super::sentences::{mark_len, sentences};
use super::support::{self, Evidence};
use super::words::Words;

/// A part of an answer that a source must support: a sentence; a sentence that ends with a colon,
/// together with what it introduces; a code block together with the sentence before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The text without its marks.
    pub(super) text: String,
    /// The numbers it cites.
    pub(super) cites: Vec<u32>,
}

/// The claims of an answer. Headings are not claims.
pub(super) fn claims(answer: &str) -> Vec<Claim> {
    let mut found: Vec<Claim> = Vec::new();
    let mut joins_next = false;
    for range in sentences(answer) {
        let sentence = &answer[range];
        if sentence.starts_with('#') {
            continue;
        }
        let is_code = sentence.starts_with("```");
        let (text, cites) = if is_code {
            (sentence.to_owned(), Vec::new())
        } else {
            split_marks(sentence)
        };
        let leads = text.trim_end().ends_with(':');
        match found.last_mut() {
            Some(last) if joins_next || is_code => {
                last.text.push(' ');
                last.text.push_str(&text);
                last.cites.extend(cites);
            }
            _ => found.push(Claim { text, cites }),
        }
        joins_next = leads;
    }
    found
}

/// Whether every claim of an answer to `question` cites at least one source that supports it. An
/// answer without claims is not grounded. Sentences without a content word ("Yes.") are not claims.
pub(super) fn is_grounded(
    answer: &str,
    question: &str,
    evidence: &[Evidence],
    words: &Words,
) -> bool {
    let mut any = false;
    for claim in claims(answer) {
        let said = support::Claim::answering(&claim.text, question, words);
        if said.content.is_empty() {
            continue;
        }
        any = true;
        let bears =
            |source: &Evidence| claim.cites.contains(&source.n) && source.support(&said).is_some();
        if !evidence.iter().any(bears) {
            return false;
        }
    }
    any
}

/// A sentence without its `[n]` marks, and their numbers. Brackets of code, indices and the like
/// are kept.
pub(super) fn split_marks(sentence: &str) -> (String, Vec<u32>) {
    let mut text = String::with_capacity(sentence.len());
    let mut cites = Vec::new();
    let mut in_code = false;
    let mut at = 0;
    // Where the last mark ended.
    let mut after_mark = usize::MAX;
    while let Some(c) = sentence[at..].chars().next() {
        in_code ^= c == '`';
        if c == '['
            && !in_code
            && let Some(len) = mark_len(&sentence[at..])
            && (after_mark == at || mark_at(&sentence[..at], &sentence[at..]).is_some())
        {
            if let Ok(n) = sentence[at + 1..at + len - 1].parse() {
                cites.push(n);
            }
            text.truncate(text.trim_end_matches([' ', '\t']).len());
            at += len;
            after_mark = at;
            continue;
        }
        text.push(c);
        at += c.len_utf8();
    }
    (text, cites)
}

/// Marks come before the full stop: `It is so [1].`
pub(super) fn with_marks(sentence: &str, cites: &[u32]) -> String {
    let marks: String = cites.iter().map(|n| format!("[{n}]")).collect();
    let sentence = sentence.trim();
    // A colon announces something that is not shown.
    let body = sentence.trim_end_matches(['.', ':']);
    let ends_with_dots = sentence.ends_with("..");
    if body.len() < sentence.len() && !ends_with_dots && !body.is_empty() {
        format!("{body} {marks}.")
    } else if sentence.ends_with(|c: char| c.is_alphanumeric() || c == '`') {
        format!("{sentence} {marks}.")
    } else {
        format!("{sentence} {marks}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::source;
    use super::*;

    #[test]
    fn marks_come_and_go() {
        assert_eq!(
            split_marks("It is `v[1]` so [1][2]."),
            ("It is `v[1]` so.".to_owned(), vec![1, 2])
        );
        assert_eq!(
            split_marks("Read rows[1] first [2][1]."),
            ("Read rows[1] first.".to_owned(), vec![2, 1])
        );
        assert_eq!(split_marks("So. [3]"), ("So.".to_owned(), vec![3]));
        assert_eq!(with_marks("It is so.", &[1, 2]), "It is so [1][2].");
        assert_eq!(with_marks("Do this:", &[1]), "Do this [1].");
        assert_eq!(with_marks("no stop", &[1]), "no stop [1].");
        assert_eq!(with_marks("Really?", &[1]), "Really? [1]");
        assert_eq!(with_marks("and so on...", &[1]), "and so on... [1]");
    }

    #[test]
    fn lead_ins_and_code_are_one_claim() {
        let found = claims(
            "# Title\nThere are two ways:\n- the first one [1]\n- the second [2]\n```\nrun\n```\nYes.",
        );
        let cites: Vec<&[u32]> = found.iter().map(|claim| &claim.cites[..]).collect();
        assert_eq!(cites, [&[1][..], &[2], &[]]);
        assert!(found[0].text.starts_with("There are two ways: - the first"));
        assert!(found[1].text.contains("run"));
    }

    #[test]
    fn grounded_means_every_sentence() {
        let words = Words::new("english");
        let evidence = [
            Evidence::of(&source(1, "Cairn listens on port 8620."), &words),
            Evidence::of(
                &source(2, "Values are dropped at the end of their scope."),
                &words,
            ),
        ];
        let grounded = |answer: &str| is_grounded(answer, "", &evidence, &words);
        assert!(grounded(
            "Yes. Cairn listens on port 8620 [1]. A value is dropped at the end of its scope. [2]"
        ));
        assert!(!grounded("Cairn listens on port 8620 [1]. It is fast."));
        assert!(!grounded("Cairn listens on port 9000 [1]."));
        assert!(!grounded("Cairn listens on port 8620 [2]."));
        assert!(!grounded("Yes."));
        assert!(!grounded(""));
    }
}
