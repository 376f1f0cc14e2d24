//! Words that the rules look for: verbs, and words that mean nothing without context.

/// Words between spaces.
pub(super) struct List(pub(super) &'static str);

impl List {
    /// Whether `word` is one of them.
    pub(super) fn has(&self, word: &str) -> bool {
        self.iter().any(|one| one == word)
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.0.split_whitespace()
    }
}

/// Verbs for what people do with software, in their base form. The first ones are also nouns: as
/// the first word of a heading they are verbs only before a word such as `the`.
const NOUNS_TOO: List = List(
    "access attach build call change check compile copy debug display drop export filter \
     import index limit list load match merge monitor move open process pull push query \
     read reset run save search select send serve set show sort split start stop store test \
     trace transfer update upload use view watch work write",
);
const VERBS: List = List(
    "add allow apply ask avoid back bring bump choose clean close combine compare compute \
     configure connect contribute convert create customize cut decode define delete deploy \
     detect determine disable discard download edit embed enable encode encrypt evaluate \
     examine exclude explain extract fetch find fix format generate get give go handle \
     ignore include inspect install keep launch learn make manage measure migrate modify \
     mount parse pass pick prepare prevent print produce protect provide prune publish put \
     recover reduce register remove rename repair replace report resolve restore retrieve \
     return rewrite rotate scan see sign skip specify stash stream submit switch tell throw \
     train troubleshoot tune turn undo uninstall unlock upgrade validate verify",
);

/// Words after which a noun phrase begins, so that a word before them that may also be a noun is a
/// verb.
const DETERMINERS: List = List(
    "a all an another any each every from in into more multiple new on only one several the \
     to two with without your",
);

/// Words that refer to something outside a phrase, or that never occur in the name of a thing.
const POINTERS: List = List(
    "above also and/or another as because below both but can could do does each either else \
     even first former has have he her here his i if it its last latter like may might more \
     most must my next no nor not note notice often one ones or other others otherwise our \
     own same second shall she should since so some something such than that their them \
     then there these they third this those though thus too unless until us usually we what \
     when where whether which while who whose why will would you your",
);

/// Verbs that are finite in any sentence.
pub(super) const FINITE: List = List(
    "are became can can't cannot could crashes did do does fails gets had hangs has have is \
     isn't keeps looks may must runs says shall should shows stays takes times was were \
     will would",
);

pub(super) const PREPOSITIONS: List = List(
    "about after against at before behind between beyond by during for from in inside into \
     of on over to under via with within without",
);

/// The base form of a heading's first word, if it is a verb.
pub(super) fn imperative<'a>(word: &'a str, next: &str) -> Option<&'a str> {
    let is_verb = VERBS.has(word) || (NOUNS_TOO.has(word) && DETERMINERS.has(&next.to_lowercase()));
    is_verb.then_some(word)
}

/// The base form of `restoring`, `installing`, `running`, `using`.
pub(super) fn of_gerund(word: &str) -> Option<&'static str> {
    let stem = word.strip_suffix("ing")?;
    all_verbs().find(|verb| {
        let doubled = verb.chars().last().map(|last| format!("{verb}{last}"));
        *verb == stem
            || verb.strip_suffix('e') == Some(stem)
            || (stem.len() > verb.len() && doubled.as_deref() == Some(stem))
    })
}

/// The base form of `restores`, `pushes`, `copies`.
pub(super) fn of_third_person(word: &str) -> Option<&'static str> {
    all_verbs().find(|verb| {
        let ends_in_es = ["s", "x", "ch", "sh", "o"]
            .iter()
            .any(|end| verb.ends_with(end));
        match verb.strip_suffix('y') {
            Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => {
                word.strip_suffix("ies") == Some(stem)
            }
            _ if ends_in_es => word.strip_suffix("es") == Some(verb),
            _ => word.strip_suffix('s') == Some(verb),
        }
    })
}

fn all_verbs() -> impl Iterator<Item = &'static str> {
    // Only as verbs: as the first word of a heading, they are more often nouns.
    let also = [
        "answer", "begin", "honour", "join", "rank", "require", "need", "support", "mean",
    ];
    let known = VERBS.iter().chain(NOUNS_TOO.iter());
    known.chain(also)
}

/// The question for the thing called `name`: a file is for something; a setting, an option and a
/// function do something.
pub(super) fn purpose_of(name: &str) -> String {
    const ENDS: &[&str] = &[
        "cfg", "conf", "ini", "json", "mk", "py", "rc", "sh", "toml", "txt", "yaml", "yml",
    ];
    let is_file = name
        .rsplit_once('.')
        .is_some_and(|(_, end)| ENDS.contains(&end));
    let is_path = name.contains('/') && !name.contains(' ') && !name.starts_with('/');
    match is_file || is_path {
        true => format!("What is {name} for?"),
        false => format!("What does {name} do?"),
    }
}

/// Whether a word refers to something outside its phrase.
pub(super) fn points(word: &str) -> bool {
    POINTERS.has(&word.to_lowercase())
}

/// Whether `word` looks like the name of a setting, an option, a file or a function.
pub(super) fn is_identifier(word: &str) -> bool {
    let inner = word.trim_start_matches('-');
    let dashes = word.len() - inner.len();
    let is_option = (1..=2).contains(&dashes)
        && inner.chars().next().is_some_and(char::is_alphanumeric)
        && inner
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    // `and/or` and `Client/Server` are words.
    let is_path = inner.contains('/')
        && !inner.contains(char::is_uppercase)
        && !inner.split('/').any(|part| matches!(part, "and" | "or"));
    let has_sign =
        inner.contains(['_', '.']) || is_path || inner.contains("::") || inner.contains("()");
    let is_plain = inner
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | ':' | '-' | '(' | ')'));
    let is_word = inner.chars().any(char::is_alphabetic)
        && !inner.ends_with(['.', ':', '-', '/'])
        && !inner.contains("..")
        && !inner.contains("//");
    // `-k` means something different in every command.
    let is_long = is_option && word.chars().count() > 2;
    (is_long || (dashes == 0 && has_sign && is_plain)) && is_word
}

/// `word` in lower case, if it is capitalised only because it begins a sentence or title: `body`
/// does not capitalise it in the middle of a sentence.
pub(super) fn uncapitalised(word: &str, body: &str) -> String {
    let mut rest = word.chars();
    let first = rest.next();
    let is_plain = first.is_some_and(char::is_uppercase)
        && rest.clone().count() > 0
        && rest.all(|c| c.is_lowercase() || matches!(c, '-' | '\''));
    let is_article = word == "A";
    if is_article || (is_plain && !is_name(word, body)) {
        return word.to_lowercase();
    }
    word.to_owned()
}

/// Whether `body` also capitalises `word` in the middle of a sentence.
fn is_name(word: &str, body: &str) -> bool {
    body.match_indices(word).any(|(at, _)| {
        let before = body[..at].strip_suffix(' ');
        before.is_some_and(|before| before.ends_with(|c: char| c.is_lowercase() || c == ','))
    })
}

/// Words in lower case, without punctuation.
pub(super) fn lower_words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_verbs_have_one_base() {
        for (word, base) in [
            ("restoring", Some("restore")),
            ("installing", Some("install")),
            ("running", Some("run")),
            ("using", Some("use")),
            ("something", None),
            ("indexing", Some("index")),
            ("string", None),
        ] {
            assert_eq!(of_gerund(word), base, "{word}");
        }
        for (word, base) in [
            ("restores", Some("restore")),
            ("pushes", Some("push")),
            ("copies", Some("copy")),
            ("displays", Some("display")),
            ("passes", Some("pass")),
            ("is", None),
        ] {
            assert_eq!(of_third_person(word), base, "{word}");
        }
    }

    #[test]
    fn files_are_for_something() {
        assert_eq!(purpose_of("debian/control"), "What is debian/control for?");
        assert_eq!(purpose_of("gbp.conf"), "What is gbp.conf for?");
        assert_eq!(purpose_of("server.bind"), "What does server.bind do?");
        assert_eq!(purpose_of("GET /health"), "What does GET /health do?");
    }

    #[test]
    fn identifiers_are_told_from_words() {
        for word in [
            "--ablate",
            "-help",
            "top_k",
            "server.bind",
            "/health",
            "std::fs",
            "open()",
        ] {
            assert!(is_identifier(word), "{word}");
        }
        for word in [
            "word",
            "e.g.",
            "end.",
            "-",
            "--",
            "...",
            "https://x.y/z",
            "10.5",
            "a b",
            "-k",
            "and/or",
            "TCP/IP",
        ] {
            assert!(!is_identifier(word), "{word}");
        }
    }

    #[test]
    fn names_keep_their_capitals() {
        let body = "Since then Borg and curl, Docker too, work. Archives are kept.";
        for (word, expected) in [
            ("Borg", "Borg"),
            ("Docker", "Docker"),
            ("Archives", "archives"),
            ("A", "a"),
            ("HTTP", "HTTP"),
            ("SQLite", "SQLite"),
        ] {
            assert_eq!(uncapitalised(word, body), expected);
        }
    }
}
