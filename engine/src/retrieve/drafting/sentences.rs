//! Drafts questions from sentences of simple forms: definitions, what a thing does, needs or means,
//! how long, how often, which port.

use super::words::{self, List, PREPOSITIONS};
use super::{Drafted, quoted};
use crate::text::one_line;

/// Maximum number of words in the name of a thing to ask about.
const MAX_SUBJECT_WORDS: usize = 5;
/// Minimum length of a paragraph that defines something, in bytes.
const MIN_PARAGRAPH_BYTES: usize = 40;
/// Minimum number of words in a definition.
const MIN_PREDICATE_WORDS: usize = 4;

/// Words that refer to one of several things mentioned before.
const RELATIVE: List = List(
    "advantage aim answer best better case default difference drawback earlier easiest \
     effect example exception few final following goal idea important intention lot \
     main method normal only output part point problem purpose question reason recommended \
     rest result simplest single solution thing usual value way",
);

/// Verbs whose object answers `What does ... ?`, each with its base form.
const OBJECTS: &[(&str, &str)] = &[
    ("means", "mean"),
    ("needs", "need"),
    ("requires", "require"),
    ("returns", "return"),
];

const UNITS: List = List(
    "day days hour hours minute minutes month months second seconds week weeks year years \
     night milliseconds",
);

/// What can be asked about the sentences of a paragraph.
pub(super) fn of_paragraph(paragraph: &str) -> Vec<Drafted> {
    let is_list = paragraph.starts_with(['-', '*', '+', '•', '|', '>', '#', '/', '$']);
    if is_list && !words::is_identifier(paragraph.split_whitespace().next().unwrap_or_default()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (at, sentence) in sentences(paragraph).into_iter().enumerate() {
        let line = one_line(sentence);
        let first = || {
            // A paragraph is about the thing that it begins with.
            let is_first = at == 0 && paragraph.len() >= MIN_PARAGRAPH_BYTES;
            is_first.then(|| defined(&line, paragraph).or_else(|| doing(&line)))?
        };
        let asked = measured(&line, paragraph)
            .or_else(|| listening(&line, paragraph))
            .or_else(|| having(&line, paragraph))
            .or_else(first);
        let Some((question, answer)) = asked else {
            continue;
        };
        found.push(Drafted {
            question,
            answer: Some(answer),
            text: match at {
                0 => quoted(paragraph),
                _ => quoted(sentence),
            },
        });
    }
    found
}

/// `A tombstone is a record that ...`
fn defined(sentence: &str, around: &str) -> Option<(String, String)> {
    let verbs = [" is ", " are "];
    let (at, verb) = verbs
        .iter()
        .filter_map(|verb| Some((sentence.find(verb)?, verb.trim())))
        .min()?;
    let predicate = &sentence[at + verb.len() + 2..];
    let said: Vec<&str> = predicate.split_whitespace().collect();
    let is_definition = ["a", "an", "the"].contains(said.first()?)
        && said.len() >= MIN_PREDICATE_WORDS
        && !said
            .iter()
            .take(3)
            .any(|word| is_relative(word) || words::points(word) && *word != "that");
    let subject = subject(&sentence[..at], around)?;
    let is_vague = subject.split(' ').any(is_relative);
    // `A mean is the mean of ...`
    let is_circular = subject.split(' ').any(|word| said.get(1) == Some(&word));
    let is_pointed = subject.starts_with("the ") && subject.split(' ').count() < 3;
    let names_nothing = verb == "are" && !subject.contains(' ');
    (is_definition && !is_vague && !is_circular && !is_pointed && !names_nothing)
        .then(|| (format!("What {verb} {subject}?"), sentence.to_owned()))
}

/// `--ablate compares ...`
fn doing(sentence: &str) -> Option<(String, String)> {
    let mut words = sentence.split_whitespace();
    let (name, verb) = (words.next()?, words.next()?);
    let is_doing =
        words::is_identifier(name) && words::of_third_person(verb).is_some() && words.count() >= 2;
    is_doing.then(|| (format!("What does {name} do?"), sentence.to_owned()))
}

/// `The error E12 means that ...`, `The viewer needs a display.`
fn having(sentence: &str, around: &str) -> Option<(String, String)> {
    let verb = |word: &str| OBJECTS.iter().find(|(third, _)| *third == word);
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let at = words.iter().position(|word| verb(word).is_some())?;
    let (_, base) = verb(words[at])?;
    let subject = subject(&words[..at].join(" "), around)?;
    let object = words[at + 1..].join(" ");
    let object = object.strip_prefix("that ").unwrap_or(&object);
    let is_bare = subject.starts_with("the ") && subject.split(' ').count() < 3;
    let object = object.trim_end_matches('.');
    let begins = object.split(' ').next()?;
    let is_object = !PREPOSITIONS.has(begins) && (begins == "the" || !words::points(begins));
    let is_activity = subject.split(' ').next()?.ends_with("ing");
    let is_vague = subject.split(' ').any(is_relative);
    (!is_bare && !is_activity && !is_vague && is_object && object.split(' ').count() >= 2)
        .then(|| (format!("What does {subject} {base}?"), object.to_owned()))
}

/// `Backups are kept for thirty days`, `Backups run every night`
fn measured(sentence: &str, around: &str) -> Option<(String, String)> {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let at = words
        .iter()
        .position(|word| matches!(*word, "is" | "are"))?;
    let (verb, participle) = (words[at], *words.get(at + 1)?);
    let subject = subject(&words[..at].join(" "), around)?;
    let subject = match verb {
        // A single capitalised thing is usually a name; several are not.
        "are" if !subject.contains(' ') => words::uncapitalised(&subject, around),
        _ => subject,
    };
    let is_participle = participle.ends_with("ed") || ["kept", "held"].contains(&participle);
    let how = match *words.get(at + 2)? {
        "for" => "How long",
        "every" => "How often",
        _ => return None,
    };
    let unit = |word: &&&str| UNITS.has(word.trim_end_matches([',', '.', ';', ':']));
    let measure = words[at + 2..].iter().take(5);
    let end = measure.clone().position(|word| unit(&word))?;
    let from = if how == "How long" { at + 3 } else { at + 2 };
    let answer = words.get(from..=at + 2 + end)?.join(" ");
    let answer = answer.trim_end_matches([',', '.', ';', ':']).to_owned();
    (is_participle && !answer.is_empty())
        .then(|| (format!("{how} {verb} {subject} {participle}?"), answer))
}

/// `The service listens on port 8620`
fn listening(sentence: &str, around: &str) -> Option<(String, String)> {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let at = words
        .windows(3)
        .position(|part| matches!(part, ["listens" | "runs", "on", "port"]))?;
    let verb = words[at].strip_suffix('s')?;
    let port = words.get(at + 3)?.trim_end_matches([',', '.', ';', ':']);
    let subject = subject(&words[..at].join(" "), around)?;
    port.bytes().all(|byte| byte.is_ascii_digit()).then(|| {
        (
            format!("Which port does {subject} {verb} on?"),
            port.to_owned(),
        )
    })
}

/// The name of a thing at the beginning of a sentence, as written inside a question; the text
/// `around` it distinguishes names from ordinary capitalised words.
fn subject(text: &str, around: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (first, rest) = words.split_first()?;
    let is_plain = |c: char| c.is_alphanumeric() || " -_./'’:+".contains(c);
    let is_name = words.len() <= MAX_SUBJECT_WORDS
        && text.chars().all(is_plain)
        && text.starts_with(|c: char| c.is_alphanumeric())
        && !text.contains(" -")
        && !text.ends_with(':')
        && !words.iter().any(|word| words::points(word))
        && !PREPOSITIONS.has(&first.to_lowercase());
    let is_article = matches!(*first, "A" | "An" | "The" | "a" | "an" | "the");
    // An adverb belongs to the verb, and `o` is a bullet in old manuals.
    let ends_in_adverb = words.last()?.ends_with("ly") || words.last()? == &"always";
    if !is_name
        || (is_article && rest.is_empty())
        || text.parse::<f64>().is_ok()
        || text.len() < 2
        || ends_in_adverb
        || *first == "o"
    {
        return None;
    }
    // A single capitalised word is usually a name, and so is one before other capitalised words.
    let has_name = rest.iter().any(|word| word.starts_with(char::is_uppercase));
    let first = match !is_article && (rest.is_empty() || has_name) {
        true => (*first).to_owned(),
        false => words::uncapitalised(first, around),
    };
    let subject = std::iter::once(first.as_str()).chain(rest.iter().copied());
    Some(subject.collect::<Vec<_>>().join(" "))
}

fn is_relative(word: &str) -> bool {
    let word = word.trim_end_matches([',', '.', ';', ':']).to_lowercase();
    RELATIVE.has(&word)
}

/// Sentences of a paragraph of prose: a full stop, then a capital.
fn sentences(paragraph: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, _) in paragraph.match_indices(['.', '!', '?']) {
        let after = &paragraph[at + 1..];
        let next = after.trim_start();
        let ends = after.len() > next.len() && next.starts_with(char::is_uppercase);
        let before = &paragraph[start..at];
        let is_short = before.ends_with("e.g") || before.ends_with("i.e") || before.ends_with("vs");
        if ends && !is_short {
            found.push(paragraph[start..=at].trim());
            start = at + 1;
        }
    }
    found.push(paragraph[start..].trim());
    found.retain(|sentence| sentence.ends_with('.'));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(paragraph: &str) -> Vec<(String, String)> {
        let found = of_paragraph(paragraph).into_iter();
        found
            .map(|draft| (draft.question, draft.answer.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn sentences_become_what_a_person_asks() {
        for (paragraph, question, answer) in [
            (
                "A tombstone is a record that marks a key as deleted. More follows.",
                "What is a tombstone?",
                "A tombstone is a record that marks a key as deleted.",
            ),
            (
                "A deploy key is a secret that lets a machine read.",
                "What is a deploy key?",
                "A deploy key is a secret that lets a machine read.",
            ),
            (
                "The writer lock is a file that one process holds at a time.",
                "What is the writer lock?",
                "The writer lock is a file that one process holds at a time.",
            ),
            (
                "ALPN is the TLS extension that HTTP/2 is expected to use.",
                "What is ALPN?",
                "ALPN is the TLS extension that HTTP/2 is expected to use.",
            ),
            (
                "--ablate compares BM25 and vectors, each with and without the re-ranker.",
                "What does --ablate do?",
                "--ablate compares BM25 and vectors, each with and without the re-ranker.",
            ),
            (
                "The error ERR_4012 means that the gateway refused. Restart it.",
                "What does the error ERR_4012 mean?",
                "the gateway refused",
            ),
            (
                "A restore needs twice the size of the backup.",
                "What does a restore need?",
                "twice the size of the backup",
            ),
            (
                "Read this first. Backups of every volume are kept for thirty days, then removed.",
                "How long are backups of every volume kept?",
                "thirty days",
            ),
            (
                "Keys are rotated every 90 days by the service.",
                "How often are keys rotated?",
                "every 90 days",
            ),
            (
                "The gateway service listens on port 8620 of this machine.",
                "Which port does the gateway service listen on?",
                "8620",
            ),
        ] {
            let expected = [(question.to_owned(), answer.to_owned())];
            assert_eq!(asked(paragraph), expected, "{paragraph}");
        }
    }

    #[test]
    fn sentences_that_need_their_context_are_left_out() {
        for paragraph in [
            "It is a record that marks a key as deleted.",
            "Nothing here defines anything at all, really.",
            "The is the very odd sentence that follows here.",
            "x is a y.",
            "RFC 3986 is the earlier one, and nobody follows it any more.",
            "The payload is the commit: a file that no payload names is garbage.",
            "Note that .a.b.c is the same as .a | .b | .c in every way.",
            "A VACUUM will fail if there is an open transaction on the connection.",
            "The important part is the name of the program in there.",
            "- If there is a separator at the beginning, the pattern is relative.",
            "--verbose is the single most useful option when it comes to debugging.",
            "This means that the file is read twice by the program.",
            "The second form needs a name and a value to work.",
            "Packaging library software requires you to work more.",
            "A mean over several datasets is the mean of their means.",
            "o File list time is the number of seconds that it took.",
            "A transaction normally requires two rotations of the disk.",
            "Even the comma operator is a generator of several outputs.",
        ] {
            assert_eq!(asked(paragraph), [], "{paragraph}");
        }
    }
}
