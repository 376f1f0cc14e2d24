//! Names in a question, and whether the sources mention them.
//!
//! How to do something "on Windows" or "with Kubernetes" is not answered by passages that never
//! mention Windows or Kubernetes, however similar they are otherwise.

use crate::retrieve::Source;

/// Words that show that a question is in English, where only names are capitalised.
const ENGLISH: [&str; 14] = [
    "a", "can", "do", "does", "how", "in", "is", "of", "the", "to", "what", "when", "where",
    "which",
];

/// The names in a question, in lower case: capitalised words that do not open it, and words with
/// capitals or digits inside.
fn names(question: &str) -> Vec<String> {
    let words: Vec<&str> = question
        .split(|c: char| !c.is_alphanumeric() && c != '.' && c != '-' && c != '_')
        .map(|word| word.trim_matches(['.', '-', '_']))
        .filter(|word| !word.is_empty())
        .collect();
    let is_english = words
        .iter()
        .any(|word| ENGLISH.contains(&word.to_lowercase().as_str()));
    let is_name = |at: usize, word: &str| {
        let opens = word.starts_with(char::is_uppercase);
        let inside = word
            .char_indices()
            .skip(1)
            .any(|(_, c)| c.is_uppercase() || c.is_numeric());
        let letters = word.chars().any(char::is_alphabetic);
        // A unit of measure follows a number.
        let measures = at > 0 && words[at - 1].chars().all(|c| c.is_numeric() || c == '.');
        letters
            && !measures
            && word.chars().count() > 1
            && (inside || (opens && at > 0 && is_english))
    };
    let names: Vec<String> = words
        .iter()
        .enumerate()
        .filter(|&(at, word)| is_name(at, word))
        .map(|(_, word)| word.to_lowercase())
        .collect();
    // If most words are capitalised, capitals carry no information.
    match 2 * names.len() > words.len() {
        true => Vec::new(),
        false => names,
    }
}

/// Whether the question has names and none of them occurs in the sources, their titles or headings.
/// A single known name is enough: a manual does not mention its maker or product in every passage.
pub(super) fn knows_no_name(question: &str, sources: &[Source]) -> bool {
    let names = names(question);
    if names.is_empty() {
        return false;
    }
    let texts: Vec<String> = sources
        .iter()
        .map(|source| {
            let headings = source.heading_path.join(" ");
            format!("{} {} {headings} {}", source.uri, source.title, source.text).to_lowercase()
        })
        .collect();
    !names
        .iter()
        .any(|name| texts.iter().any(|text| stands_in(name, text)))
}

/// Whether a name occurs in a text, not merely inside another word.
fn stands_in(name: &str, text: &str) -> bool {
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::super::testing::source;
    use super::*;

    #[test]
    fn names_are_capitals_and_codes() {
        let cases: [(&str, &[&str]); 9] = [
            ("How do I run it on Windows 11?", &["windows"]),
            ("Does curl speak gRPC or HTTP/3?", &["grpc", "http"]),
            ("Which port is the default?", &[]),
            (
                "How do I set max_size to 5 MB in Docker's file?",
                &["docker"],
            ),
            ("What does ERR_4012 mean?", &["err_4012"]),
            ("Windows", &[]),
            ("How To Install The Package", &[]),
            // In German every noun is capitalised.
            ("Wie lange bleibt ein Eintrag im Log?", &[]),
            ("Was macht UTF-8?", &["utf-8"]),
        ];
        for (question, wanted) in cases {
            assert_eq!(names(question), wanted, "{question}");
        }
    }

    #[test]
    fn a_name_may_stand_in_text_title_or_address() {
        let mut page = source(1, "It runs under Kubernetes (k8s) since 2.0.");
        page.title = "Docker images".to_owned();
        let sources = [page];
        for known in [
            "How do I run it in Docker?",
            "Does it run on Kubernetes?",
            "What is K8S?",
        ] {
            assert!(!knows_no_name(known, &sources), "{known}");
        }
        assert!(knows_no_name("How do I run it on Windows?", &sources));
        assert!(!knows_no_name(
            "Does Initech's service run on Kubernetes?",
            &sources
        ));
        // "GPU" matches "gpus", but "AI" does not match "maintain".
        assert!(stands_in("gpu", "two gpus") && !stands_in("ai", "maintain"));
    }
}
