//! Replies to small talk.

use super::phrases::SmallTalk;
use crate::retrieve::Overview;

/// Maximum length of a title in a reply, in characters.
const MAX_TITLE_CHARS: usize = 80;

/// The reply to `talk` about a collection with this `overview`.
pub(super) fn reply(talk: SmallTalk, collection: &str, overview: &Overview) -> String {
    if overview.documents == 0 {
        let empty = format!(
            "The collection \"{collection}\" has no documents. Index some first: cairn index PATH."
        );
        return match talk {
            SmallTalk::Greeting => format!("Hello. {empty}"),
            SmallTalk::Thanks => "You are welcome.".to_owned(),
            SmallTalk::Collection => empty,
        };
    }
    let titles = enumerated(&overview.titles);
    let (said, titles_follow) = match talk {
        SmallTalk::Greeting => ("Hello.".to_owned(), true),
        SmallTalk::Thanks => ("You are welcome.".to_owned(), true),
        SmallTalk::Collection => {
            let numbers = numbers(collection, overview);
            let them = match overview.titles.len() == overview.documents {
                true => ":",
                false => ", among them",
            };
            (format!("{numbers}{them} {titles}."), false)
        }
    };
    if !overview.suggestions.is_empty() {
        let questions = overview.suggestions.iter();
        let questions: String = questions.map(|one| format!("\n- {}", plain(one))).collect();
        return format!("{said} You could ask:\n{questions}");
    }
    match titles_follow {
        true => format!("{said} You could ask about {titles}."),
        false => said,
    }
}

/// `The collection "main" has 3 documents (2 md, 1 pdf) in 40 passages`.
fn numbers(collection: &str, overview: &Overview) -> String {
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let formats = overview.formats.iter();
    let formats: Vec<String> = formats
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let formats = match formats.is_empty() {
        true => String::new(),
        false => format!(" ({})", formats.join(", ")),
    };
    format!(
        "The collection \"{collection}\" has {}{formats} in {}",
        count(overview.documents, "document"),
        count(overview.chunks, "passage"),
    )
}

/// `"A", "B" and "C"`.
fn enumerated(titles: &[String]) -> String {
    let quoted: Vec<String> = titles
        .iter()
        .map(|title| format!("\"{}\"", plain(title)))
        .collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

/// The text on one line, changed so that it cannot look like a citation.
fn plain(text: &str) -> String {
    let text = text.replace(['[', ']', '\n'], " ");
    let text = text.trim();
    match text.char_indices().nth(MAX_TITLE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_hold_what_is_known() {
        let mut overview = Overview {
            generation: 1,
            documents: 12,
            chunks: 240,
            formats: vec![("md".to_owned(), 11), ("pdf".to_owned(), 1)],
            titles: vec!["Guide [1]".to_owned(), "B".to_owned(), "C".to_owned()],
            suggestions: vec!["How do I install it?".to_owned()],
        };
        let said = |talk, overview: &Overview| reply(talk, "main", overview);
        assert_eq!(
            said(SmallTalk::Greeting, &overview),
            "Hello. You could ask:\n\n- How do I install it?"
        );
        assert_eq!(
            said(SmallTalk::Collection, &overview),
            "The collection \"main\" has 12 documents (11 md, 1 pdf) in 240 passages, among them \
             \"Guide  1\", \"B\" and \"C\". You could ask:\n\n- How do I install it?"
        );
        overview.suggestions.clear();
        assert_eq!(
            said(SmallTalk::Thanks, &overview),
            "You are welcome. You could ask about \"Guide  1\", \"B\" and \"C\"."
        );
        overview = Overview {
            documents: 1,
            chunks: 1,
            titles: vec!["B".to_owned()],
            ..Overview::default()
        };
        assert_eq!(
            said(SmallTalk::Collection, &overview),
            "The collection \"main\" has 1 document in 1 passage: \"B\"."
        );
        let empty = said(SmallTalk::Greeting, &Overview::default());
        assert!(empty.starts_with("Hello.") && empty.contains("cairn index"));
    }
}
