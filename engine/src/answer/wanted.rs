//! What kind of answer a question asks for: a number, or something to type. Recognised for
//! questions in English; others ask for nothing special.

/// Ways to ask for a number.
const NUMBER: [&str; 22] = [
    "at least",
    "at most",
    "exit code",
    "how big",
    "how far",
    "how fast",
    "how high",
    "how large",
    "how long",
    "how many",
    "how much",
    "how often",
    "how old",
    "limit",
    "maximum",
    "minimum",
    "threshold",
    "timeout",
    "what port",
    "what size",
    "which port",
    "which version",
];
/// Ways to ask what to type.
const CODE: [&str; 16] = [
    "command",
    "commands",
    "directive",
    "flag",
    "flags",
    "function",
    "key",
    "option",
    "options",
    "setting",
    "switch",
    "variable",
    "what do i put",
    "what do i run",
    "what do i type",
    "what do i write",
];
/// Ways to ask how something is done, which is often shown by what to type.
const HOW: [&str; 6] = [
    "how can i",
    "how do i",
    "how do we",
    "how do you",
    "how should i",
    "how to",
];
/// Ways to ask for a default.
const DEFAULT: [&str; 10] = [
    "by default",
    "default",
    "give none",
    "if i do not",
    "if i don t",
    "out of the box",
    "pass no",
    "unless i",
    "when i do not",
    "when i don t",
];
/// Numbers written as words, and words that stand for numbers.
const IN_LETTERS: [&str; 15] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "twelve",
    "hundred",
    "thousand",
    "unlimited",
    "never",
];

/// What a question asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    number: bool,
    code: bool,
    how: bool,
    default: bool,
}

impl Wanted {
    pub(super) fn of(question: &str) -> Self {
        let words = format!(" {} ", words(question).collect::<Vec<_>>().join(" "));
        let asks = |phrases: &[&str]| {
            let asks = |phrase: &&str| words.contains(&format!(" {phrase} "));
            phrases.iter().any(asks)
        };
        Self {
            number: asks(&NUMBER),
            code: asks(&CODE),
            how: asks(&HOW),
            default: asks(&DEFAULT),
        }
    }

    /// Whether something to type may be the answer.
    pub(super) fn is_typed(self) -> bool {
        self.code || self.how
    }

    /// How many of the things asked for a text contains.
    pub(super) fn held_by(self, text: &str) -> usize {
        usize::from(self.number && has_number(text)) + usize::from(self.code && has_code(text))
    }

    /// Whether something to type is the answer, and `quoted` has none.
    pub(super) fn lacks_code(self, quoted: &str) -> bool {
        self.is_typed() && !has_code(quoted)
    }

    /// Whether `next` has something asked for that `quoted`, before it, lacks.
    pub(super) fn is_brought_by(self, quoted: &str, next: &str) -> bool {
        let brings = |has: fn(&str) -> bool| has(next) && !has(quoted);
        (self.number && brings(has_number))
            || (self.is_typed() && brings(has_code))
            || (self.default && brings(has_default))
    }
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

fn has_number(text: &str) -> bool {
    text.chars().any(char::is_numeric)
        || words(text).any(|word| IN_LETTERS.contains(&word.as_str()))
}

/// Whether a text states a default.
fn has_default(text: &str) -> bool {
    words(text).any(|word| matches!(word.as_str(), "default" | "defaults" | "defaulting"))
}

/// Whether a text has code, an option, an assignment, or a shell's prompt.
fn has_code(text: &str) -> bool {
    let is_option = |word: &str| {
        word.trim_start_matches(['(', '[', '"', '\'', '`'])
            .strip_prefix('-')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-'))
    };
    text.contains('`')
        || text
            .split_whitespace()
            .any(|word| is_option(word) || matches!(word, "=" | "$") || word.contains("()"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_say_what_they_want() {
        let cases = [
            ("How many days are logs kept?", true, false),
            ("What is the maximum size of a request?", true, false),
            ("Which exit code means a syntax error?", true, false),
            ("Which command undoes the last commit?", false, true),
            ("How do I undo the last commit?", false, false),
            ("Which option shows hidden files?", false, true),
            ("Is it possible to limit the rate?", true, false),
            ("What is a checkpoint?", false, false),
            ("Wie lange dauert es?", false, false),
            ("Which port does it listen on?", true, false),
            ("What do I put into the file to get mails?", false, true),
        ];
        for (question, number, code) in cases {
            let wanted = Wanted::of(question);
            assert_eq!((wanted.number, wanted.code), (number, code), "{question}");
        }
    }

    #[test]
    fn defaults_that_are_asked_for_are_brought() {
        let brings = |question: &str| {
            let next = "It is on by default.";
            Wanted::of(question).is_brought_by("Checks the file.", next)
        };
        assert!(brings("Is the file checked if I don't say so?"));
        assert!(brings("Is the check on by default?"));
        assert!(!brings("Is the file checked?"));
    }

    #[test]
    fn texts_hold_numbers_and_code() {
        let number = Wanted::of("How long does it take?");
        assert_eq!(number.held_by("After 30 days."), 1);
        assert_eq!(number.held_by("After two weeks."), 1);
        assert_eq!(number.held_by("For a while."), 0);
        let code = Wanted::of("Which command lists files?");
        for held in [
            "Run `ls`.",
            "Give ls the option -a.",
            "$ ls",
            "color = always",
            "Call list().",
        ] {
            assert_eq!(code.held_by(held), 1, "{held}");
        }
        assert_eq!(code.held_by("It is a well-known - and old - problem."), 0);
        assert_eq!(Wanted::default().held_by("30 `days`"), 0);
    }
}
