//! Turns a follow-up question into one that can be searched by itself.
//!
//! "How long does it take?" finds nothing unless one knows what "it" is. A configured language
//! model rewrites such a question; without one, the content words of the previous question are
//! carried over.

use cairn_models::{Cancel, Message, Role};

use super::asking::{LONGEST, ask};
use super::words::Words;
use cairn_gateway::{Call, ChatMessage, ChatRequest, ChatRole, Gateway, Plan, routes};

/// Maximum tokens of a rewritten question.
const MAX_TOKENS: usize = 80;
/// Maximum length of a rewritten question, in characters; a longer reply is not a question.
const MAX_CHARS: usize = 400;
/// How many previous questions are considered.
const MAX_BACK: usize = 3;
/// Turns shown to the model, and maximum characters of each.
const MAX_TURNS: usize = 6;
const MAX_TURN_CHARS: usize = 1000;
/// How many bytes of a previous question are read. A longer one is self-contained and needs nothing
/// from those before it.
const MAX_QUESTION_BYTES: usize = 1000;

/// Words that refer to something said before.
const POINTERS: &[&str] = &[
    "it", "its", "they", "them", "their", "this", "that", "these", "those", "he", "she", "him",
    "her", "his", "there", "one", "ones", "former", "latter", "same", "else", "instead", "too",
];
const OPENINGS: &[&str] = &["and ", "or ", "but ", "what about", "how about", "also "];

/// `question` with what it needs from `history`, using words alone. A self-contained question is
/// returned unchanged.
pub(super) fn carry_over(question: &str, history: &[Message], words: &Words) -> String {
    let mut standalone = question.trim().to_owned();
    let mut current = standalone.clone();
    let asked = history.iter().rev().filter(|turn| turn.role == Role::User);
    for earlier in asked.take(MAX_BACK) {
        if !leans_on_history(&current, words) {
            break;
        }
        let earlier = beginning(&earlier.content);
        let have = words.content(&standalone);
        let carried: Vec<&str> = earlier
            .split_whitespace()
            .map(|word| {
                word.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '`'))
            })
            .filter(|word| {
                let content = words.content(word);
                !content.is_empty() && content.share_in(&have) < 1.0
            })
            .collect();
        if !carried.is_empty() {
            standalone = format!("{standalone} {}", carried.join(" "));
        }
        earlier.clone_into(&mut current);
    }
    standalone
}

/// The part of a question that is read.
fn beginning(question: &str) -> &str {
    &question[..question.floor_char_boundary(MAX_QUESTION_BYTES)]
}

/// Whether a question refers back, or is too short to be self-contained.
fn leans_on_history(question: &str, words: &Words) -> bool {
    let says_nothing = !question
        .chars()
        .any(|c| !c.is_control() && !c.is_whitespace());
    if says_nothing || question.len() > MAX_QUESTION_BYTES {
        return false;
    }
    let lower = question.trim().to_lowercase();
    let points = lower
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .any(|word| POINTERS.contains(&word));
    points
        || OPENINGS.iter().any(|start| lower.starts_with(start))
        || words.content(question).len() < 2
}

/// The standalone question, written by `model`; `None` if the model fails, is slow, or replies with
/// something that is not a question.
pub(super) async fn rewrite(
    question: &str,
    history: &[Message],
    gateway: &Gateway,
    model: &Plan,
    call: Call,
    cancel: &Cancel,
) -> Option<String> {
    let turns: Vec<String> = history
        .iter()
        .rev()
        .filter(|turn| turn.role != Role::System)
        .take(MAX_TURNS)
        .map(|turn| {
            let who = if turn.role == Role::User {
                "User"
            } else {
                "Assistant"
            };
            let said: String = turn.content.chars().take(MAX_TURN_CHARS).collect();
            format!("{who}: {said}")
        })
        .collect();
    let turns: Vec<String> = turns.into_iter().rev().collect();
    let request = ChatRequest {
        messages: vec![
            ChatMessage::text(
                ChatRole::System,
                "Rewrite the last question so that it can be understood without the conversation. Keep its language and every name in it. Reply with the question only. If it already stands alone, repeat it.",
            ),
            ChatMessage::text(
                ChatRole::User,
                format!("{}\n\nLast question: {question}", turns.join("\n")),
            ),
        ],
        max_tokens: MAX_TOKENS,
        stop: vec!["\n".to_owned()],
        ..ChatRequest::default()
    };
    // A separate route allows a smaller model.
    let own = gateway.route(routes::REWRITE);
    let plan = own.as_ref().unwrap_or(model);
    let text = ask(gateway, plan, request, call, LONGEST, cancel).await?;
    let text = text.trim().trim_matches('"').trim();
    let fits = !text.is_empty() && text.chars().count() <= MAX_CHARS && !text.contains('\n');
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(content: &str) -> Message {
        Message {
            role: Role::User,
            content: content.to_owned(),
        }
    }

    fn carried(question: &str, history: &[Message]) -> String {
        carry_over(question, history, &Words::new("english"))
    }

    #[test]
    fn pointing_questions_get_what_they_point_at() {
        let history = [user("What is the borrow checker?")];
        assert_eq!(
            carried("How does it work?", &history),
            "How does it work? borrow checker"
        );
        assert_eq!(
            carried("And lifetimes of values?", &history),
            "And lifetimes of values? borrow checker"
        );
        assert_eq!(carried("Why?", &history), "Why? borrow checker");
    }

    #[test]
    fn chains_are_followed_back() {
        let history = [
            user("How do I configure ERR_CONN_4012 retries?"),
            user("Does it expire?"),
        ];
        assert_eq!(
            carried("And when?", &history),
            "And when? expire configure ERR_CONN_4012 retries"
        );
    }

    #[test]
    fn what_is_carried_has_a_bound() {
        // Three-byte characters without spaces: one word.
        let long = "検".repeat(4000);
        let history = [user(&long), user(&long), user(&long)];
        let query = carried("Why?", &history);
        assert!(
            query.len() <= 4 + 3 * (MAX_QUESTION_BYTES + 1),
            "{}",
            query.len()
        );
        // Empty text is not a question, and a long question is self-contained.
        let history = [user("What is the borrow checker?")];
        for question in ["", "\u{0}\u{1b}"] {
            assert_eq!(carried(question, &history), question);
        }
        let long = format!("It fails. {}", "word ".repeat(300));
        assert_eq!(carried(&long, &history), long.trim());
    }

    #[test]
    fn standalone_questions_stay() {
        let history = [user("What is the borrow checker?")];
        assert_eq!(
            carried("Which port does Cairn listen on?", &history),
            "Which port does Cairn listen on?"
        );
        assert_eq!(carried("How does it work?", &[]), "How does it work?");
    }
}
