//! Drafts questions that a person might ask from a text, by rules: from its headings (`headings`),
//! from sentences of simple forms (`sentences`), and from tables and lists of settings
//! (`settings`). Questions that make no sense by themselves are left out.

pub(super) mod headings;
mod sentences;
mod settings;
mod words;

/// Maximum length of a text that is quoted as relevant, in characters.
const QUOTED_CHARS: usize = 300;
/// Minimum length of the prose below a heading.
const MIN_PROSE_BYTES: usize = 60;
/// Maximum number of words in a heading.
const MAX_HEADING_WORDS: usize = 12;

/// A question and the passage that it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drafted {
    /// The question.
    pub question: String,
    /// The answer, if known.
    pub answer: Option<String>,
    /// The part of the text that is relevant.
    pub text: String,
}

/// What can be asked about `text`, in its order. A question never contains its whole answer.
pub fn of_text(text: &str) -> Vec<Drafted> {
    let paragraphs: Vec<&str> = text.split("\n\n").map(str::trim).collect();
    let mut found = Vec::new();
    for (at, paragraph) in paragraphs.iter().enumerate() {
        let next = paragraphs.get(at + 1).copied().unwrap_or_default();
        found.extend(settings::of_paragraph(paragraph, next));
        if is_heading(paragraph) {
            if is_prose(next) {
                let question = headings::question(paragraph, next);
                found.extend(question.map(|question| Drafted {
                    question,
                    answer: None,
                    text: quoted(next),
                }));
            }
        } else {
            found.extend(sentences::of_paragraph(paragraph));
        }
    }
    found.retain(|draft| {
        let answer = draft.answer.as_deref();
        !answer.is_some_and(|answer| holds(&draft.question, answer))
    });
    found
}

/// A separate line without final punctuation.
fn is_heading(paragraph: &str) -> bool {
    !paragraph.contains(['\n', '|', '`', '<'])
        && !paragraph.ends_with(['.', ',', ';', ':', '!'])
        && paragraph.chars().next().is_some_and(char::is_alphanumeric)
        && paragraph.split_whitespace().count() <= MAX_HEADING_WORDS
}

/// Text in sentences.
fn is_prose(paragraph: &str) -> bool {
    paragraph.len() >= MIN_PROSE_BYTES
        && paragraph.ends_with(['.', '!', '?', ':'])
        && !paragraph.contains(" | ")
}

/// Whether every word of `answer` occurs in `question`.
fn holds(question: &str, answer: &str) -> bool {
    let asked = words::lower_words(question);
    let said = words::lower_words(answer);
    said.iter().all(|word| asked.contains(word))
}

/// The beginning of a text, up to the end of a sentence or word.
fn quoted(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(QUOTED_CHARS) else {
        return text.to_owned();
    };
    let start = &text[..end];
    let cut = start
        .rfind(". ")
        .map(|at| at + 1)
        .or_else(|| start.rfind(' '));
    start[..cut.unwrap_or(end)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROSE: &str =
        "The copy comes back within an hour of the call that asks for it to be made.";

    fn asked(text: &str) -> Vec<String> {
        let found = of_text(text).into_iter();
        found.map(|draft| draft.question).collect()
    }

    #[test]
    fn a_heading_goes_with_the_prose_below_it() {
        let text =
            format!("end of a section.\n\nRestoring a backup\n\n{PROSE}\n\na | b\n\n{PROSE}");
        let found = of_text(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].question, "How do I restore a backup?");
        assert_eq!(found[0].text, PROSE);
        // Without prose below it, a heading is useless.
        assert_eq!(asked("Restoring a backup\n\na | b"), [""; 0]);
    }

    #[test]
    fn a_question_never_holds_its_whole_answer() {
        assert!(holds("What is the default of mode?", "Mode."));
        assert!(!holds("What is the default of mode?", "hybrid"));
        let table = "setting | default | meaning\nsearch.mode | mode | what is searched";
        let found = asked(table);
        assert!(
            !found.iter().any(|one| one.contains("default")),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_quoted_ends_with_a_sentence() {
        let text = format!(
            "{} Second sentence. {}",
            "First is here.",
            "word ".repeat(200)
        );
        let quoted = quoted(&text);
        assert!(quoted.ends_with("Second sentence."), "{quoted}");
        assert!(text.starts_with(&quoted));
    }
}
