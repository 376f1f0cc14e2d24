//! Drafts the question that a heading answers.

use super::words::{self, FINITE, List, PREPOSITIONS};

const ASKING: List = List("how what when where which who why");
const AUXILIARY: List =
    List("am are can could did do does has have is may must should was were will would");
const METHODS: List = List("DELETE GET HEAD PATCH POST PUT");

/// A sentence with one of these is about a problem.
const TROUBLE: List = List(
    "another broken can't cannot crashes damaged failed fails hangs locked missing not out \
     refused slow unknown wrong",
);

/// Head nouns of phrases that name lists: `What are the ...?`
const LISTS: List = List(
    "advantages columns commands defaults dependencies differences disadvantages events \
     fields formats goals limitations limits modes options parameters prerequisites reasons \
     requirements restrictions rules settings stages statements states steps types values",
);

/// Head nouns that are used without `the`: these words, and words with these endings.
const UNCOUNTED: List = List(
    "access code control data hardware input logic memory output software storage support \
     text traffic",
);
const UNCOUNTED_ENDS: List = List("age ance ence ety ing ity ment ness ship sion tion");

/// Words that can follow a form in -ing without being its object: `debugging information`,
/// `building blocks`.
const NOT_OBJECTS: List = List(
    "blocks by conventions environment information mode of order rules steps style time \
     tools using",
);

/// What a verb takes along, which is not what is done to: `bring back`.
const PARTICLES: List = List("again ahead apart aside away back down forward off out together up");

/// Words of headings that say nothing about the section.
const EMPTY: List = List(
    "about abstract acknowledgements appendix authors background basics bugs caveat caveats \
     changelog changes chapter conclusion contents copyright credits description details \
     discussion example examples faq features guide hints history introduction issues \
     license links miscellaneous news note notes overview picture preface problems \
     questions references release releases remarks results start summary synopsis thanks \
     tips todo tutorial usage works",
);

/// Maximum number of words in the name of a thing to ask about.
const MAX_PHRASE_WORDS: usize = 5;
/// Longest word that may be an abbreviation in capitals.
const MAX_ACRONYM_CHARS: usize = 5;

/// A question answered by the section under `heading`, which begins with `body`.
pub(in crate::retrieve) fn question(heading: &str, body: &str) -> Option<String> {
    let heading = without_number(heading).trim_end_matches([':', '.', ' ']);
    let words: Vec<&str> = heading.split_whitespace().collect();
    if let [method, path] = words[..]
        && METHODS.has(method)
        && path.starts_with('/')
    {
        return Some(format!("What does {heading} do?"));
    }
    if let [word] = words[..] {
        return words::is_identifier(word).then(|| words::purpose_of(word));
    }
    let starts_well = heading.starts_with(|c: char| c.is_uppercase());
    let is_code = heading.contains(['=', '{', '}', '$', ';', '\\', '@', '%', '~', '*', '"', '('])
        || words.iter().any(|word| word.starts_with(['-', '/']));
    if !starts_well || is_code {
        return None;
    }
    let words = plain_case(&words, body);
    let (first, rest) = words.split_first()?;
    let lower = first.to_lowercase();
    let second = rest.first()?.to_lowercase();
    if ASKING.has(&lower) || heading.ends_with('?') {
        return asking(heading, &lower, &words);
    }
    if heading.contains([',', ':']) || words.len() > 9 {
        return None;
    }
    if let Some(verb) = words::imperative(&lower, &second).or_else(|| words::of_gerund(&lower)) {
        let is_whole = ![&EMPTY, &FINITE, &NOT_OBJECTS]
            .iter()
            .any(|list| list.has(&second));
        let tail = joined_verbs(rest).filter(|_| is_whole)?;
        return Some(format!("How do I {verb} {tail}?"));
    }
    let is = |list: &List| words.iter().any(|word| list.has(word));
    if is(&FINITE) {
        let is_trouble = is(&TROUBLE) && words.len() >= 3;
        let stands_alone = !FINITE.has(&lower)
            && !["it", "this", "that", "there", "they"].contains(&lower.as_str());
        return (is_trouble && stands_alone)
            .then(|| format!("What can I do when {}?", words.join(" ")));
    }
    phrase(&words)
}

/// What follows the verb of a heading, with the verbs that `and` and `or` join to it in their
/// base form: `Opening and closing a shop`. `None` if a verb has no object: `Bringing back`.
fn joined_verbs(rest: &[String]) -> Option<String> {
    if let [only] = rest
        && (PARTICLES.has(only) || PREPOSITIONS.has(only))
    {
        return None;
    }
    let mut words: Vec<&str> = rest.iter().map(String::as_str).collect();
    for at in 0..words.len().saturating_sub(1) {
        if !["and", "or"].contains(&words[at]) {
            continue;
        }
        match words::of_gerund(words[at + 1]) {
            Some(verb) => words[at + 1] = verb,
            None if at == 0 => return None,
            None => {}
        }
    }
    Some(words.join(" "))
}

/// A heading that is already a question.
fn asking(heading: &str, first: &str, words: &[String]) -> Option<String> {
    let rest = &words[1..];
    let second = rest[0].to_lowercase();
    let tail = rest[1..].join(" ");
    let tail = tail.trim_end_matches('?');
    if second == "to" && !tail.is_empty() {
        return match (first, tail.strip_prefix("do when ")) {
            ("what", Some(when)) => Some(format!("What can I do when {when}?")),
            ("how" | "where", _) => Some(format!("{} do I {tail}?", capital(first))),
            ("when", _) => Some(format!("When should I {tail}?")),
            _ => None,
        };
    }
    // `It` in a heading refers to something outside it.
    let points = words
        .iter()
        .any(|word| ["it", "this", "that", "they", "these"].contains(&&*word.to_lowercase()));
    if points || words.len() < 3 || second == "about" {
        return None;
    }
    let is_present = AUXILIARY.has(&second) && !["was", "were"].contains(&&*second);
    if (is_present && ASKING.has(first))
        || (heading.ends_with('?') && (ASKING.has(first) || AUXILIARY.has(first)))
    {
        let asked = words.join(" ");
        return Some(format!("{}?", capital(asked.trim_end_matches('?'))));
    }
    if first == "when" && second != "something" {
        return Some(format!("What happens when {}?", rest.join(" ")));
    }
    // `How Cairn answers a question`
    let (subject, verb, object) = match rest {
        [article, noun, verb, object @ ..] if ["a", "an", "the"].contains(&article.as_str()) => {
            (format!("{article} {noun}"), verb, object)
        }
        [name, verb, object @ ..] => (name.clone(), verb, object),
        _ => return None,
    };
    let verb = words::of_third_person(verb)?;
    let object = object.join(" ");
    (first == "how" && !object.is_empty()).then(|| format!("How does {subject} {verb} {object}?"))
}

/// A heading that names a thing.
fn phrase(words: &[String]) -> Option<String> {
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let says = |list: &List| lower.iter().any(|word| list.has(word));
    let is_plain = words
        .iter()
        .all(|word| word.chars().all(|c| c.is_alphanumeric() || c == '-'));
    let is_vague = says(&EMPTY) || lower.iter().any(|word| words::points(word));
    let is_participle = lower[0].ends_with("ed") || lower[0].ends_with("ing");
    if !(2..=MAX_PHRASE_WORDS).contains(&words.len())
        || !is_plain
        || is_vague
        || is_participle
        || PREPOSITIONS.has(&lower[0])
        || lower.iter().any(|word| word.parse::<f64>().is_ok())
    {
        return None;
    }
    let cut = lower.iter().position(|word| PREPOSITIONS.has(word));
    let head = &lower[cut.unwrap_or(lower.len()) - 1];
    if head.ends_with("ed") {
        return None;
    }
    let has_article = ["a", "an", "the"].contains(&lower[0].as_str());
    let is_plural = head.ends_with('s') && !is_singular_in_s(head);
    if !is_plural && lower.contains(&"and".to_owned()) {
        return None;
    }
    let name = words.join(" ");
    let the = if has_article { "" } else { "the " };
    let is_of = cut.is_some_and(|cut| lower[cut] == "of");
    Some(match (is_plural, is_of || LISTS.has(head)) {
        (true, true) => format!("What are {the}{name}?"),
        (false, true) => format!("What is {the}{name}?"),
        (true, false) => format!("How do {name} work?"),
        (false, false) if is_uncounted(&words[cut.unwrap_or(words.len()) - 1]) => {
            format!("How does {name} work?")
        }
        (false, false) => format!("How does {the}{name} work?"),
    })
}

fn is_uncounted(head: &str) -> bool {
    let is_acronym = !["API", "CLI", "UI", "URL"].contains(&head)
        && head.chars().count() > 1
        && head.chars().all(char::is_uppercase);
    is_acronym || UNCOUNTED.has(head) || UNCOUNTED_ENDS.iter().any(|end| head.ends_with(end))
}

fn is_singular_in_s(word: &str) -> bool {
    ["ss", "us", "is", "os"]
        .iter()
        .any(|end| word.ends_with(end))
        || word.len() < 4
}

/// The words without capitals of titles and of the first word; names and abbreviations keep theirs.
fn plain_case(words: &[&str], body: &str) -> Vec<String> {
    let letters = |word: &&str| word.chars().filter(|c| c.is_alphabetic()).count();
    let is_loud = words.iter().all(|word| word.to_uppercase() == **word)
        && words.iter().any(|word| letters(word) > MAX_ACRONYM_CHARS);
    if is_loud {
        return words.iter().map(|word| word.to_lowercase()).collect();
    }
    let long = || words.iter().skip(1).filter(|word| letters(word) > 3);
    let is_title = long().count() > 0 && long().all(|word| word.starts_with(char::is_uppercase));
    let each = words.iter().enumerate();
    each.map(|(at, word)| match at == 0 || is_title {
        true => words::uncapitalised(word, body),
        false => (*word).to_owned(),
    })
    .collect()
}

/// `2.1 Installing` and `Chapter 2. Installing` without their numbers.
fn without_number(heading: &str) -> &str {
    let heading = heading.trim();
    let heading = heading.strip_prefix("Chapter ").unwrap_or(heading);
    match heading.split_once(' ') {
        Some((number, rest))
            if number.starts_with(|c: char| c.is_ascii_digit())
                && number
                    .chars()
                    .all(|c| c.is_ascii_digit() || c == '.' || c == ')') =>
        {
            rest.trim()
        }
        _ => heading,
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_become_what_a_person_asks() {
        let body = "Since 2018 Cairn does so.";
        for (heading, expected) in [
            ("How to restore a backup", "How do I restore a backup?"),
            ("Where to report?", "Where do I report?"),
            ("When to use SQLite", "When should I use SQLite?"),
            ("Why is it slow on my machine?", ""),
            ("Is the index safe?", "Is the index safe?"),
            ("Restoring a backup", "How do I restore a backup?"),
            (
                "Opening and closing a shop",
                "How do I open and close a shop?",
            ),
            ("Running Cairn for others", "How do I run Cairn for others?"),
            ("2.1 Install the server:", "How do I install the server?"),
            ("Chapter 4. Create Archives", "How do I create archives?"),
            ("Access control", "How does access control work?"),
            ("Test the backups", "How do I test the backups?"),
            ("API keys:", "How do API keys work?"),
            (
                "Client Certificate",
                "How does the client certificate work?",
            ),
            ("Crash safety", "How does crash safety work?"),
            ("Native SSL", "How does native SSL work?"),
            ("HTTP API", "How does the HTTP API work?"),
            (
                "CONFIGURATION FILE",
                "How does the configuration file work?",
            ),
            ("Isolation In SQLite", "How does isolation in SQLite work?"),
            ("Temporary Databases", "How do temporary databases work?"),
            ("Limits and budgets", "How do limits and budgets work?"),
            ("Build prerequisites", "What are the build prerequisites?"),
            ("Order of operations", "What is the order of operations?"),
            ("POST /query", "What does POST /query do?"),
            ("server.bind", "What does server.bind do?"),
            ("What is logged", "What is logged?"),
            (
                "How Cairn answers a question",
                "How does Cairn answer a question?",
            ),
            (
                "When a provider fails",
                "What happens when a provider fails?",
            ),
            (
                "A model cannot be downloaded",
                "What can I do when a model cannot be downloaded?",
            ),
            (
                "Something looks damaged",
                "What can I do when something looks damaged?",
            ),
        ] {
            let asked = question(heading, body).unwrap_or_default();
            assert_eq!(asked, expected, "{heading}");
        }
    }

    #[test]
    fn headings_that_say_nothing_alone_are_left_out() {
        for heading in [
            "Introduction",
            "Overview",
            "Bringing back",
            "Opening and the till",
            "How it works",
            "What it costs",
            "What was measured",
            "When something fails",
            "Not proven",
            "For other programs",
            "Questions of your own",
            "There are still bugs",
            "Answers are quotations",
            "v1.2.3 (2024-01-01)",
            "Frequently Asked Questions",
            "file at the same time?",
            "git rev-parse X",
            "this.json --fail-if worse",
            "Default: disabled",
            "SELECT rowid FROM track WHERE trackartist = ?",
            "Bisecting: 337 revisions left to test after this (roughly 9 steps)",
            "How curl Became Like This",
            "I have a problem who, can I chat with?",
            "What about keep-alive?",
            "Cookies saved to disk",
            "Debugging information",
            "Building blocks",
            "Does not fold cases by default",
            "Upload orig.tar.gz",
        ] {
            assert_eq!(question(heading, "Some text."), None, "{heading}");
        }
    }
}
