//! Questions of an evaluation from what people said of answers (`cairn eval init
//! --feedback`).

use std::collections::BTreeSet;

use cairn_engine::answer::checks::without_marks;
use cairn_eval::custom::{Answers, CustomQuestion, Library, Relevant};
use cairn_gateway::accounts::feedback::{Cited, FeedbackRow, FeedbackStore, Rating};
use cairn_gateway::accounts::usage::Period;

use crate::cli::context::Context;

/// At most `count` questions about the collection of `context`, the newest first. Of a
/// question that was asked again, what was said last counts.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn questions(
    context: &Context,
    library: &impl Library,
    count: usize,
) -> anyhow::Result<Vec<CustomQuestion>> {
    let store = FeedbackStore::open(&context.config.storage.data_dir)?;
    let rows = store.list(usize::MAX, Period::default(), None, None)?;
    let mut seen = BTreeSet::new();
    let own = rows
        .into_iter()
        .filter(|row| row.collection == context.config.storage.collection)
        .filter(|row| seen.insert(row.feedback.question.trim().to_lowercase()));
    Ok(own.take(count).map(|row| question(row, library)).collect())
}

/// A line of the file. What was cited is looked up, since documents change: the exact text
/// where it still stands, else its document.
fn question(row: FeedbackRow, library: &impl Library) -> CustomQuestion {
    let said = row.feedback;
    let mut relevant: Vec<Relevant> = Vec::new();
    for cited in said.cited {
        let found = relevant_now(cited, library);
        relevant.extend(found.filter(|found| !relevant.contains(found)));
    }
    let comment = match said.comment.trim() {
        "" => String::new(),
        comment => format!(" (\"{comment}\")"),
    };
    let note = match said.rating {
        Rating::Up => "a person said that the answer helped: check what is relevant".to_owned(),
        Rating::Down => format!(
            "a person said that the answer did not help{comment}: name what is relevant, or say \
             \"unanswerable\": true"
        ),
    };
    // Only an answer that helped is a right one.
    let answer = Some(without_marks(&said.answer).trim().to_owned())
        .filter(|answer| said.rating == Rating::Up && !answer.is_empty());
    CustomQuestion {
        question: said.question.trim().to_owned(),
        relevant,
        answer: answer.map(Answers::One),
        note: Some(note),
        ..CustomQuestion::default()
    }
}

fn relevant_now(cited: Cited, library: &impl Library) -> Option<Relevant> {
    let uri = library.document(&cited.uri)?;
    let stands = !library.find(Some(&uri), &cited.text).is_empty();
    Some(match stands {
        true => Relevant::Text {
            uri: Some(uri),
            text: cited.text,
        },
        false => Relevant::Name(uri),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_eval::Span;
    use cairn_gateway::accounts::feedback::Feedback;

    struct One;

    impl Library for One {
        fn document(&self, name: &str) -> Option<String> {
            (name == "a.md").then(|| name.to_owned())
        }

        fn has_passage(&self, _: &str) -> bool {
            false
        }

        fn text(&self, _: &str) -> Option<String> {
            None
        }

        fn find(&self, uri: Option<&str>, text: &str) -> Vec<Span> {
            let span = Span {
                uri: uri.unwrap_or_default().to_owned(),
                start: 0,
                end: text.len(),
            };
            if text == "It is kept." {
                vec![span]
            } else {
                Vec::new()
            }
        }
    }

    fn row(rating: Rating, cited: &[(&str, &str)]) -> FeedbackRow {
        let cited = cited.iter().map(|(uri, text)| Cited {
            uri: (*uri).to_owned(),
            text: (*text).to_owned(),
        });
        FeedbackRow {
            at: String::new(),
            collection: "default".into(),
            key_id: None,
            feedback: Feedback {
                query_id: "q".into(),
                rating,
                question: " How long? ".into(),
                answer: "It is kept [1][3]. See `a[0]` [12].".into(),
                comment: "too short".into(),
                cited: cited.collect(),
            },
        }
    }

    #[test]
    fn what_was_cited_is_relevant_where_it_still_stands() {
        let cited = [
            ("a.md", "It is kept."),
            ("a.md", "It was rewritten."),
            ("a.md", "It was cut."),
            ("gone.md", "It is kept."),
        ];
        let line = question(row(Rating::Up, &cited), &One);
        let text = Relevant::Text {
            uri: Some("a.md".into()),
            text: "It is kept.".into(),
        };
        assert_eq!(line.question, "How long?");
        assert_eq!(line.relevant, [text, Relevant::Name("a.md".into())]);
        let answer = Answers::One("It is kept. See `a[0]`.".into());
        assert_eq!(line.answer, Some(answer));
    }

    #[test]
    fn an_answer_that_did_not_help_is_no_right_answer() {
        let line = question(row(Rating::Down, &[]), &One);
        assert_eq!((line.answer, line.relevant), (None, Vec::new()));
        assert!(line.note.unwrap().contains("(\"too short\")"));
    }
}
