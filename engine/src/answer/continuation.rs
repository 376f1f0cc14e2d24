//! Adds the sentences after a quoted one if they complete the answer: "Set the time that is waited.
//! The default is 500 milliseconds."

use super::units::{Kind, Segment, Shape, Unit};
use super::wanted::Wanted;

/// Maximum number of sentences added to a unit.
const MAX_SENTENCES: usize = 2;
/// The reader's log-odds from which a sentence answers in addition to the previous one. Lower than
/// for the first sentence of an answer, since a sentence after a chosen one is more likely to
/// answer.
const READ: f32 = -2.0;
/// Maximum number of segments between a quoted one and code that shows how it is done.
const MAX_BETWEEN: usize = 3;
/// The reader's log-odds from which such code is shown.
const SHOWN: f32 = -5.0;
/// How sentences begin that state a default.
const DEFAULTS: [&str; 5] = [
    "the default",
    "by default",
    "default",
    "if omitted",
    "otherwise",
];

/// A text to quote from, and what the question asks for.
pub(super) struct Continuation<'a> {
    pub(super) wanted: Wanted,
    pub(super) text: &'a str,
    pub(super) segments: &'a [Segment],
    /// The reader's log-odds of each segment.
    pub(super) scores: &'a [Option<f32>],
}

impl Continuation<'_> {
    /// The segments that continue `unit`, in order. Empty if it is not prose, if its paragraph
    /// ends, or if the next sentences add nothing. A sentence that adds nothing is included if the
    /// one after it adds something.
    pub(super) fn of(&self, unit: &Unit) -> Vec<usize> {
        let mut added = Vec::new();
        let (Shape::Prose, Some(&last)) = (unit.shape, unit.body.last()) else {
            return added;
        };
        let mut quoted: String = unit.body.iter().map(|&at| self.said(at)).collect();
        let mut between = Vec::new();
        for at in (last + 1..self.segments.len()).take(MAX_SENTENCES) {
            if !self.goes_on(last, at) {
                break;
            }
            between.push(at);
            if self.adds(&quoted, at) {
                between
                    .iter()
                    .for_each(|&at| quoted.push_str(self.said(at)));
                added.append(&mut between);
            }
        }
        added
    }

    /// The first line of code that shows what `unit` describes, within a few segments after it in
    /// the same section. `None` if the question does not ask for something to type, or the unit
    /// already has it.
    pub(super) fn code_after(&self, unit: &Unit) -> Option<usize> {
        let quoted: String = unit.body.iter().map(|&at| self.said(at)).collect();
        if unit.shape == Shape::Code || !self.wanted.lacks_code(&quoted) {
            return None;
        }
        let last = *unit.body.last()?;
        (last + 1..self.segments.len())
            .take(MAX_BETWEEN + 1)
            .take_while(|&at| self.segments[at].kind != Kind::Label)
            .find(|&at| self.segments[at].kind == Kind::Code)
            .filter(|&at| self.scores[at].is_some_and(|score| score >= SHOWN))
    }

    fn said(&self, at: usize) -> &str {
        &self.text[self.segments[at].range.clone()]
    }

    /// Whether `at` is a sentence of the same paragraph as `last`, and complete by itself.
    fn goes_on(&self, last: usize, at: usize) -> bool {
        let segment = &self.segments[at];
        segment.kind == Kind::Sentence
            && segment.block == self.segments[last].block
            && !self.said(at).ends_with([':', '?'])
    }

    fn adds(&self, quoted: &str, at: usize) -> bool {
        let said = self.said(at);
        let opening = said.to_lowercase();
        self.scores[at].is_some_and(|score| score >= READ)
            || DEFAULTS.iter().any(|default| opening.starts_with(default))
            || self.wanted.is_brought_by(quoted, said)
    }
}

#[cfg(test)]
mod tests {
    use super::super::units::{Composer, segments};
    use super::*;

    /// What continues the first sentence of `text`, if the reader's scores are `read`.
    fn of(question: &str, text: &str, read: &str) -> Vec<String> {
        let segments = segments(text, &[]);
        let said = |at: usize| text[segments[at].range.clone()].to_owned();
        let score = |at: usize| Some(if said(at) == read { 0.0 } else { -9.0 });
        let scores: Vec<Option<f32>> = (0..segments.len()).map(score).collect();
        let unit = Composer::new(text, &segments, false).unit(0, false);
        let continuation = Continuation {
            wanted: Wanted::of(question),
            text,
            segments: &segments,
            scores: &scores,
        };
        continuation.of(&unit).into_iter().map(said).collect()
    }

    #[test]
    fn a_number_that_is_asked_for_is_followed_to() {
        let text = "A segment is rewritten above the threshold that is given. This takes time. \
                    If nothing is said, 10% is used. More is said elsewhere.";
        let threshold = "Which threshold is used?";
        let both = ["This takes time.", "If nothing is said, 10% is used."];
        assert_eq!(of(threshold, text, ""), both);
        // The question does not ask for a number.
        assert_eq!(
            of("What happens to segments?", text, ""),
            Vec::<String>::new()
        );
    }

    #[test]
    fn commands_follow_what_only_talks_of_them() {
        let text = "Keys are not checked at first. Run `check --on` once to change that.";
        let run = ["Run `check --on` once to change that."];
        assert_eq!(of("How do I check keys?", text, ""), run);
        assert_eq!(of("What are keys?", text, ""), Vec::<String>::new());
    }

    #[test]
    fn defaults_and_what_answers_by_itself_come_along() {
        let text = "It waits after an escape. The default is half a second. It blinks.";
        assert_eq!(
            of("What does it do?", text, ""),
            ["The default is half a second."]
        );
        let text = "It is kept for two days. Such copies do not count. It blinks.";
        let count = ["Such copies do not count."];
        assert_eq!(
            of("Do they count?", text, "Such copies do not count."),
            count
        );
    }

    #[test]
    fn a_paragraph_ends_and_lists_are_not_begun() {
        let text = "It waits.\n\nThe default is 5 seconds.";
        assert_eq!(of("How long does it wait?", text, ""), Vec::<String>::new());
        let text = "It waits. The default is one of these:\n\n- 5 seconds";
        assert_eq!(of("How long does it wait?", text, ""), Vec::<String>::new());
    }

    #[test]
    fn code_that_shows_how_follows() {
        let text = "Keys are added one by one. There may be eight.\n\n    $ keys add mine\n\nOther\n\n    $ no";
        let segments = segments(text, &[]);
        let after = |question: &str, at: usize, score: f32| {
            let scores = vec![Some(score); segments.len()];
            let continuation = Continuation {
                wanted: Wanted::of(question),
                text,
                segments: &segments,
                scores: &scores,
            };
            let unit = Composer::new(text, &segments, false).unit(at, false);
            let code = continuation.code_after(&unit);
            code.map(|at| &text[segments[at].range.clone()])
        };
        let how = "How do I add a key?";
        assert_eq!(after(how, 0, 0.0), Some("$ keys add mine"));
        assert_eq!(after(how, 0, -9.0), None);
        assert_eq!(after("Who adds them?", 0, 0.0), None);
        // A command to type answers by itself.
        assert_eq!(after(how, 2, 0.0), None);
    }
}
