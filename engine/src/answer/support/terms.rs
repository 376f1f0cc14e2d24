//! A statement as a row of terms: the parts that must agree if another statement says the same.

use super::lexicon::{base_form, is_frame, measure, sense};
use super::tokens::{Raw, identifier_parts, is_dotted, parts_clauses, raw_tokens};
use crate::answer::words::{Words, is_exact, is_stop_word, normal_exact};

/// What a term is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A content word, as its stem or as the stem that represents it.
    Word,
    /// An identifier, option, path or version, which cannot be paraphrased.
    Exact,
    /// A part of an identifier, which is optional: `timeout` of `read_timeout`.
    Part,
    /// A number in digits, without separators.
    Number,
    /// A limit or a time: `at least` has the pole 1, `at most` -1. Never required.
    Bound,
    /// A "not".
    Not,
    /// A word that refers to something named before.
    Pronoun,
    /// The "is" of a definition, the "has" of a property.
    Is,
}

/// One thing that a statement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) kind: Kind,
    pub(super) key: String,
    /// The side of a pair of opposites; for a number, its limit; otherwise 0.
    pub(super) pole: i8,
    /// For a number: its unit.
    pub(super) measure: Option<&'static str>,
    /// Whether the source must have this very word: names, units, what is quoted or counted. Other
    /// words are often paraphrased.
    pub(super) is_fact: bool,
    /// Whether it has a capital letter.
    pub(super) is_name: bool,
    /// Whether it directly follows the previous term, with no word in between.
    pub(super) is_joined: bool,
    /// Whether a number precedes it.
    pub(super) is_counted: bool,
    /// Whether it is in a noun's position: after a preposition or an article.
    pub(super) is_noun: bool,
    /// Whether it is the "default" of "by default".
    pub(super) by_default: bool,
    /// Whether the word frames a statement without being part of its content.
    pub(super) is_frame: bool,
    /// Its voice, if it looks like a verb.
    pub(super) verb: Option<Voice>,
    /// Whether it is a comparison without an object: "longer ones".
    pub(super) compares: bool,
    /// Whether it follows "from" (-1) or "to" (1); otherwise 0.
    pub(super) way: i8,
    /// Whether the question has it: an answer repeats it, and its source need not.
    pub(super) is_asked: bool,
    /// The position of its token in the text, from 0.
    raw: usize,
    /// Its clause, from 0.
    pub(super) clause: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    Active,
    Passive,
    /// A form in -ed without an auxiliary: "it replaced" or "and replaced by".
    Past,
    /// A word after "is" that is not a participle.
    State,
}

impl Term {
    pub(super) fn new(kind: Kind, key: impl Into<String>, clause: usize) -> Self {
        Self {
            kind,
            key: key.into(),
            pole: 0,
            measure: None,
            is_fact: false,
            is_name: false,
            is_joined: false,
            is_noun: false,
            by_default: false,
            is_counted: false,
            is_frame: false,
            verb: None,
            raw: 0,
            compares: false,
            way: 0,
            is_asked: false,
            clause,
        }
    }

    /// Whether a statement that says the same must have this term.
    pub(super) fn is_content(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Exact)
    }

    /// Whether a claim may add the term: a frame, or "by default", since an unconditional statement
    /// also holds by default.
    pub(super) fn is_free(&self) -> bool {
        self.is_frame || self.by_default
    }
}

/// Words after which a noun follows.
const BEFORE_NOUNS: &[&str] = &[
    "a", "an", "as", "at", "by", "each", "every", "for", "from", "in", "into", "its", "of", "on",
    "onto", "per", "than", "the", "their", "under", "with",
];
const ARTICLES: &[&str] = &["a", "an", "its", "the", "their"];
const AUXILIARIES: &[&str] = &[
    "are", "be", "been", "being", "can", "cannot", "could", "did", "do", "does", "had", "has",
    "have", "is", "may", "might", "must", "shall", "should", "was", "were", "will", "would",
];
const BE: &[&str] = &["are", "be", "been", "being", "is", "was", "were"];
/// Participles that look like their verb.
const UNCHANGED: &[&str] = &[
    "cut", "hit", "let", "put", "read", "run", "set", "shut", "split",
];
const PRONOUNS: &[&str] = &[
    "it", "its", "itself", "they", "them", "their", "this", "these", "those", "ones",
];
const NOT: &[&str] = &[
    "not", "no", "never", "cannot", "without", "neither", "nor", "none", "nothing", "unless",
];
/// Adverbs that occur between an auxiliary and its verb.
const ADVERBS: &[&str] = &["also", "always", "never", "not", "only", "often", "then"];
/// Words that open a sentence without being a part of it: "First, ".
const OPENERS: &[&str] = &["first", "finally", "next", "otherwise", "second", "third"];
const CONJUNCTIONS: &[&str] = &["and", "but", "while", "whereas", "than"];
/// Letters that are articles, pronouns, or the remainder after an apostrophe.
const EMPTY_LETTERS: &[&str] = &["a", "i", "s", "t"];

/// Reads tokens into terms.
pub(super) struct Reader<'t> {
    words: &'t Words,
    pub(super) raw: Vec<Raw<'t>>,
    pub(super) terms: Vec<Term>,
    pub(super) clause: usize,
    /// The limit of the next number.
    pub(super) limit: i8,
}

/// The terms of `text`, which is one sentence, row, line or item.
pub(super) fn terms(text: &str, words: &Words) -> Vec<Term> {
    let mut reader = Reader {
        words,
        raw: raw_tokens(text),
        terms: Vec::new(),
        clause: 0,
        limit: 0,
    };
    (0..reader.raw.len()).for_each(|at| reader.read(at));
    reader.terms
}

impl Reader<'_> {
    pub(super) fn lower(&self, at: usize) -> &str {
        self.raw.get(at).map_or("", |raw| &raw.lower)
    }

    pub(super) fn before(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |at| self.lower(at))
    }

    fn read(&mut self, at: usize) {
        if at > 0 && parts_clauses(self.raw[at].gap) {
            self.clause += 1;
        }
        let lower = self.raw[at].lower.clone();
        let word = lower.as_str();
        if CONJUNCTIONS.contains(&word) {
            // "more than 5", but "faster than the other".
            if word != "than" || self.value(at + 1).is_none() {
                self.clause += 1;
            }
            return;
        }
        let instead = word == "instead" && self.lower(at + 1) == "of";
        if instead || NOT.contains(&word) || word.ends_with("n't") {
            let but = matches!(
                self.lower(at + 1),
                "but" | "only" | "more" | "less" | "later"
            );
            if !but {
                self.push(Term::new(Kind::Not, word, self.clause));
            }
            return;
        }
        if PRONOUNS.contains(&word) {
            self.push(Term::new(Kind::Pronoun, "it", self.clause));
            return;
        }
        let next = self.lower(at + 1);
        let is = BE.contains(&word) && ARTICLES.contains(&next);
        let has = matches!(word, "has" | "have" | "had")
            && (ARTICLES.contains(&next) || self.value(at + 1).is_some());
        if is || has {
            let mut term = Term::new(Kind::Is, if is { "is" } else { "has" }, self.clause);
            term.verb = Some(Voice::Active);
            self.push(term);
            return;
        }
        if let Some((value, unit)) = self.value(at) {
            let mut term = Term::new(Kind::Number, value, self.clause);
            term.measure = unit.or_else(|| self.measure_after(at));
            term.pole = std::mem::take(&mut self.limit);
            // "one" often just means "a".
            term.is_frame = word == "one" && term.measure.is_none();
            self.push(term);
            return;
        }
        if self.is_measure_of_number(at) || self.bound(at) || self.particle(at) {
            return;
        }
        if word.starts_with(['-', '/', '.', '_', '@'])
            || is_exact(self.raw[at].text)
            || is_dotted(word)
        {
            self.exact(at);
            return;
        }
        if at == 0 && OPENERS.contains(&word) {
            return;
        }
        for part in lower.split(['-', '/', '.', ':', '@', '+']) {
            self.word(part, at);
        }
    }

    pub(super) fn push(&mut self, term: Term) {
        self.terms.push(term);
    }

    /// Whether the word at `at` follows "from" or "to".
    fn way(&self, at: usize) -> i8 {
        let article = usize::from(ARTICLES.contains(&self.before(at)));
        match self.before(at.saturating_sub(article)) {
            "from" => -1,
            "to" => 1,
            _ => 0,
        }
    }

    fn exact(&mut self, at: usize) {
        let whole = normal_exact(self.raw[at].text);
        let mut term = Term::new(Kind::Exact, whole.trim_end_matches('.'), self.clause);
        term.is_fact = true;
        self.push(term);
        for part in identifier_parts(self.raw[at].text) {
            let (key, pole) = match measure(&part, true) {
                Some(unit) => (unit.to_owned(), 0),
                None if is_stop_word(&part) || part.len() < 2 => continue,
                None => self.key(&part),
            };
            let mut term = Term::new(Kind::Part, key, self.clause);
            term.pole = pole;
            self.push(term);
        }
    }

    /// What a word is compared as, and its side of a pair of opposites.
    fn key(&self, word: &str) -> (String, i8) {
        // "payment" comes from "to pay".
        let verb = word.strip_suffix("ment").filter(|verb| verb.len() > 2);
        let stem = self.words.stem(base_form(verb.unwrap_or(word)));
        match sense(&stem) {
            Some(sense) => (sense.key.clone(), sense.pole),
            None => (stem, 0),
        }
    }

    fn word(&mut self, part: &str, at: usize) {
        let part = part.trim_matches('\'');
        let part = part.strip_suffix("'s").unwrap_or(part);
        let (text, before) = (self.raw[at].text, self.before(at));
        let is_time = matches!(part, "before" | "after" | "once" | "twice");
        // The month is not an auxiliary verb, and GET is not a stop word.
        let is_shouted = text.len() > 1 && text.chars().all(char::is_uppercase);
        let has_content = is_time || is_shouted || (at > 0 && text == "May") || !is_stop_word(part);
        if part.is_empty() || !has_content || EMPTY_LETTERS.contains(&part) {
            return;
        }
        let (key, pole) = match self.raw[at].is_quoted {
            // The name of a command has no synonyms.
            true => (self.words.stem(part), 0),
            false => self.key(part),
        };
        let kind = if is_time { Kind::Bound } else { Kind::Word };
        let unit = measure(part, false);
        let key = unit.map_or(key, str::to_owned);
        let is_joined = self.raw[at].gap.trim().is_empty();
        let is_counted = at > 0 && self.value(at - 1).is_some();
        let gerund = part.ends_with("ing") && !ARTICLES.contains(&before);
        let is_noun = is_joined && (is_counted || (BEFORE_NOUNS.contains(&before) && !gerund));
        let opens = at == 0 || self.raw[at].gap.contains(['.', ':', '|']);
        let is_capital = text.starts_with(char::is_uppercase);
        let is_letter = part.chars().count() < 2;
        let by_default = part == "default" && before == "by";
        let is_frame = is_frame(&self.words.stem(base_form(part)));
        let is_name = is_capital && !opens;
        let is_fact = unit.is_some()
            || is_name
            || is_letter
            || (is_noun && is_counted)
            || self.raw[at].is_quoted
            || (part == "default" && !by_default);
        let follows = |last: &Term| last.raw + 1 == at;
        let term = Term {
            pole,
            is_fact: is_fact && !is_frame,
            is_name: is_capital,
            is_joined: is_joined && at > 0 && self.terms.last().is_some_and(follows),
            is_counted,
            is_noun: is_noun && !is_counted && !is_frame,
            by_default,
            is_frame,
            verb: (!is_noun).then(|| self.voice(part, at)).flatten(),
            compares: pole != 0 && part.ends_with("er"),
            way: self.way(at),
            raw: at,
            ..Term::new(kind, key, self.clause)
        };
        self.push(term);
    }

    /// Whether a word looks like a verb, judging by its ending and the word before it.
    fn voice(&self, word: &str, at: usize) -> Option<Voice> {
        let mut helper = at;
        while helper > 0 && ADVERBS.contains(&self.before(helper)) {
            helper -= 1;
        }
        let before = self.before(helper);
        let done = word.ends_with("ed") || base_form(word) != word || UNCHANGED.contains(&word);
        if AUXILIARIES.contains(&self.lower(at + 1)) && !AUXILIARIES.contains(&before) {
            // A subject.
            return None;
        }
        if BE.contains(&before) && !word.ends_with("ing") {
            return Some(if done { Voice::Passive } else { Voice::State });
        }
        // "skipped rows": a participle before its noun.
        let next = self.raw.get(at + 1);
        let noun =
            next.is_some_and(|next| next.gap.trim().is_empty() && !is_stop_word(&next.lower));
        let done = done && !UNCHANGED.contains(&word) && !(noun && word.ends_with("ed"));
        let name = self.raw[at].text.starts_with(char::is_uppercase);
        let helped = AUXILIARIES.contains(&before) || (before == "to" && !name);
        // A word in -s is a verb, unless it is counted or is the object of such a verb.
        let object = self.terms.last().is_some_and(|last| {
            last.verb.is_some() && last.clause == self.clause && self.before(at).ends_with('s')
        });
        let third = word.ends_with('s')
            && !word.ends_with("ss")
            && at > 0
            && !object
            && self.value(at - 1).is_none()
            && (at < 2 || self.value(at - 2).is_none());
        match (helped || third, done) {
            (true, _) => Some(Voice::Active),
            (false, true) => Some(Voice::Past),
            (false, false) => None,
        }
    }
}
