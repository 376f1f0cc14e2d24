//! Splits a source into single statements: a sentence, a row with its column names, a line of
//! configuration with its comment, an item with the line that introduces it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::terms::{Kind, Term, terms};
use crate::answer::prompt::place;
use crate::answer::units::{Composer, Kind as Segmented, Segment, segments};
use crate::answer::words::{Words, is_part, tokens};
use crate::retrieve::Source;

/// Words that refer to what was said before.
const REFERS: &[&str] = &[
    "it", "its", "itself", "they", "them", "their", "this", "these", "those", "he", "she",
    "former", "latter", "ones", "both",
];
/// Minimum number of words of a subject.
const SUBJECT_WORDS: usize = 2;
/// A sentence with fewer words needs the previous one: "The default is 20."
const SHORT: usize = 2;
/// Values that mean "no" in a configuration.
const OFF: &[&str] = &["false", "off", "no", "none", "never", "disabled"];

/// One thing that a source says.
pub(super) struct Statement {
    /// Its tokens in lower case.
    pub(super) text: String,
    pub(super) terms: Vec<Term>,
    /// Keys of the option it describes, of its introduction, and of what its pronouns refer to.
    pub(super) near: HashSet<String>,
    /// Terms whose modifier distinguishes them from others: "refresh tokens" if there are other
    /// tokens too.
    pub(super) told_apart: HashSet<usize>,
    pub(super) is_row: bool,
    /// Whether it is a line of a configuration, which states a default.
    pub(super) is_setting: bool,
    source: Arc<Whole>,
}

/// What all statements of a source share.
#[derive(Default)]
struct Whole {
    /// Keys of the title and the headings.
    title: HashSet<String>,
    /// Keys of the words of all statements except names, with their counts.
    said: HashMap<String, usize>,
}

impl Statement {
    /// Whether its place supplies a key.
    pub(super) fn supplies(&self, key: &str) -> bool {
        self.near.contains(key) || self.source.title.contains(key)
    }

    /// Whether its place supplies an identifier of which `key` is a part.
    pub(super) fn supplies_part(&self, key: &str) -> bool {
        let mut all = self.near.iter().chain(&self.source.title);
        all.any(|whole| is_part(whole, key))
    }

    /// Whether only the title supplies a key, although the text uses it for other things: then it
    /// is not a name that applies to the whole text.
    pub(super) fn is_weak(&self, key: &str) -> bool {
        !self.near.contains(key)
            && self.source.title.contains(key)
            && self.source.said.contains_key(key)
    }

    /// Whether other statements of the source have a word that this one lacks. A noun that several
    /// of them have is the source's subject, and may be added to each.
    pub(super) fn is_said_elsewhere(&self, term: &Term) -> bool {
        let times = self.source.said.get(&term.key).copied().unwrap_or(0);
        let may_add = times > 1 && term.verb.is_none() && term.pole == 0 && !self.is_row;
        times > 0 && !may_add && !self.terms.iter().any(|own| own.key == term.key)
    }
}

/// The statements of `source`, in order.
pub(super) fn statements(source: &Source, words: &Words) -> Vec<Statement> {
    let columns = source.columns.as_deref().unwrap_or_default();
    let title = format!("{}. {columns}", place(source, ". "));
    let title = keys(&terms(&title, words)).collect();
    let found = segments(&source.text, &source.code_blocks);
    let mut reader = Reader {
        text: &source.text,
        composer: Composer::new(&source.text, &found, source.start > 0)
            .continuing(source.columns.is_some()),
        found: &found,
        words,
        all: Vec::new(),
        section: Vec::new(),
        subject: None,
    };
    (0..found.len()).for_each(|at| reader.read(at));
    let mut all = reader.all;
    let mut said: HashMap<String, usize> = HashMap::new();
    for statement in &all {
        let is_said = |term: &&Term| term.kind == Kind::Word && !term.is_name;
        let words: HashSet<&String> = statement
            .terms
            .iter()
            .filter(is_said)
            .map(|term| &term.key)
            .collect();
        words
            .into_iter()
            .for_each(|word| *said.entry(word.clone()).or_default() += 1);
    }
    let whole = Arc::new(Whole { title, said });
    tell_apart(&mut all);
    for statement in &mut all {
        statement.source = Arc::clone(&whole);
    }
    all
}

/// The tokens of a text in lower case, as it would be quoted.
pub(super) fn plain(text: &str) -> String {
    let tokens: Vec<&str> = tokens(text).collect();
    tokens.join(" ").to_lowercase()
}

/// Reads segments into statements.
struct Reader<'t> {
    text: &'t str,
    found: &'t [Segment],
    composer: Composer<'t>,
    words: &'t Words,
    all: Vec<Statement>,
    /// Keys of the current section of a configuration.
    section: Vec<String>,
    /// What the last sentence is about, and its block.
    subject: Option<(usize, Vec<String>)>,
}

impl<'t> Reader<'t> {
    fn str(&self, at: usize) -> &'t str {
        &self.text[self.found[at].range.clone()]
    }

    fn push(&mut self, text: &str, terms: Vec<Term>, near: HashSet<String>, kind: Segmented) {
        self.all.push(Statement {
            text: plain(text),
            terms,
            near,
            told_apart: HashSet::new(),
            is_row: kind == Segmented::Row,
            is_setting: kind == Segmented::Code,
            source: Arc::default(),
        });
    }

    fn read(&mut self, at: usize) {
        let (segment, text) = (&self.found[at], self.str(at));
        if segment.kind != Segmented::Code && are_settings(text) {
            text.lines()
                .for_each(|line| self.settings_line(line.trim()));
            return;
        }
        let unit = self.composer.unit(at, false);
        // Text that ends in a colon introduces what follows, whatever its form.
        let led = at
            .checked_sub(1)
            .filter(|&before| self.str(before).ends_with(':'));
        let around = unit.terms.iter().chain(&unit.lead).chain(&led);
        let around = around.filter(|&&near| near != at && !unit.body.contains(&near));
        let mut near: HashSet<String> = around
            .flat_map(|&near| keys(&terms(self.str(near), self.words)).collect::<Vec<_>>())
            .collect();
        let own = match segment.kind {
            Segmented::Row => {
                let header = unit.body.first().filter(|&&first| first != at);
                self.row(header.map(|&first| self.str(first)), text)
            }
            Segmented::Code => {
                if text.starts_with('[') {
                    self.section = keys(&terms(text, self.words)).collect();
                }
                near.extend(self.section.iter().cloned());
                self.code_line(at)
            }
            _ => terms(text, self.words),
        };
        self.refer(at, &own, &mut near);
        self.push(text, own, near, segment.kind);
    }

    /// Adds to `near` what the sentence refers to, and records what it is itself about.
    fn refer(&mut self, at: usize, own: &[Term], near: &mut HashSet<String>) {
        let (block, text) = (self.found[at].block, self.str(at));
        let is_item = |at: usize| self.found[at].kind == Segmented::Item;
        let in_list = at > 0 && is_item(at) && is_item(at - 1);
        let before = self
            .subject
            .take()
            .filter(|(other, _)| in_list || *other == block);
        let before = before.map(|(_, subject)| subject).unwrap_or_default();
        let is_short = own.iter().filter(|term| term.is_content()).count() < SHORT;
        if refers(text) {
            near.extend(before.iter().cloned());
        } else if is_short && !before.is_empty() {
            near.extend(self.all.last().iter().flat_map(|last| keys(&last.terms)));
        }
        let subject = subject(own).into_iter();
        let mut subject: Vec<String> = subject.map(|at| own[at].key.clone()).collect();
        if text.split(' ').next().is_some_and(refers) {
            // A chain of pronouns refers to the same thing.
            subject.extend(before);
        }
        self.subject = Some((block, subject));
    }

    /// A row's cells, each a clause with the name of its column.
    fn row(&self, header: Option<&str>, row: &str) -> Vec<Term> {
        let cells = |row: &str| -> Vec<String> {
            let sign = if row.contains('|') { '|' } else { '\t' };
            let row = row.trim().trim_start_matches('|').trim_end_matches('|');
            row.split(sign).map(|cell| cell.trim().to_owned()).collect()
        };
        let names = header.map(cells).unwrap_or_default();
        let mut all = Vec::new();
        for (at, cell) in cells(row).iter().enumerate() {
            let name = names.get(at).map(String::as_str).unwrap_or_default();
            let mut own = terms(name, self.words);
            own.extend(terms(cell, self.words));
            own.iter_mut().for_each(|term| term.clause = at);
            all.extend(own);
        }
        all
    }

    /// A line of code with the comment above it.
    fn code_line(&self, at: usize) -> Vec<Term> {
        let is_comment = |at: usize| {
            let line = self.str(at);
            line.starts_with(['#', ';']) || line.starts_with("//")
        };
        let block = self.found[at].block;
        let above = (0..at).rev().take_while(|&line| {
            self.found[line].block == block && is_comment(line) && !is_comment(at)
        });
        let first = above.last().unwrap_or(at);
        let mut own = terms(&said(self.str(at)), self.words);
        for comment in first..at {
            own.extend(terms(self.str(comment), self.words));
        }
        own.iter_mut().for_each(|term| term.clause = 0);
        own
    }

    /// A line of a configuration outside a block of code.
    fn settings_line(&mut self, line: &str) {
        if line.ends_with(':') {
            self.section = keys(&terms(line, self.words)).collect();
            return;
        }
        let mut own = terms(&said(line), self.words);
        own.iter_mut().for_each(|term| term.clause = 0);
        let near = self.section.iter().cloned().collect();
        self.push(line, own, near, Segmented::Code);
    }
}

/// Whether every line of a segment is `name: value` or opens a group of such lines.
fn are_settings(text: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_setting = |line: &str| {
        line.split_once([':', '=']).is_some_and(|(name, value)| {
            let name = name.trim();
            let starts = value.is_empty() || value.starts_with(' ');
            !name.is_empty() && name.chars().all(is_name) && starts
        })
    };
    let plain = text.starts_with(char::is_lowercase) && !text.ends_with('.');
    plain && text.lines().all(|line| is_setting(line.trim()))
}

/// A setting with the "not" that its value expresses.
fn said(line: &str) -> String {
    let value = line.split_once(['=', ':']).map(|(_, value)| value.trim());
    let value = value.and_then(|value| value.split([' ', '#', ';', ',']).next());
    let value = value.unwrap_or_default().trim_matches(['"', '\'']);
    match OFF.contains(&value.to_lowercase().as_str()) {
        true => format!("not {line}"),
        false => line.to_owned(),
    }
}

/// Marks in each statement the nouns that other statements have with a different modifier.
fn tell_apart(all: &mut [Statement]) {
    let mut modifiers: HashMap<String, HashSet<Option<String>>> = HashMap::new();
    for statement in &*all {
        for (at, term) in statement.terms.iter().enumerate() {
            if term.kind == Kind::Word {
                let by = modifier(&statement.terms, at).map(|by| by.key.clone());
                modifiers.entry(term.key.clone()).or_default().insert(by);
            }
        }
    }
    for statement in all {
        let is_apart = |at: &usize| {
            let by = modifiers.get(&statement.terms[*at].key);
            modifier(&statement.terms, *at).is_some() && by.is_some_and(|by| by.len() > 1)
        };
        statement.told_apart = (0..statement.terms.len()).filter(is_apart).collect();
    }
}

/// The word directly before the noun at `at`.
fn modifier(terms: &[Term], at: usize) -> Option<&Term> {
    let before = &terms[at.checked_sub(1)?];
    let is_plain = |term: &Term| term.kind == Kind::Word && term.verb.is_none();
    let is = terms[at].is_joined && is_plain(&terms[at]) && is_plain(before) && !before.is_frame;
    is.then_some(before)
}

/// What a statement contributes to another: its words and names, not its numbers.
fn keys(terms: &[Term]) -> impl Iterator<Item = String> + '_ {
    terms
        .iter()
        .filter(|term| matches!(term.kind, Kind::Word | Kind::Exact | Kind::Part))
        .map(|term| term.key.clone())
}

/// What a sentence is about: its words before the verb, at least two, since the first may be a
/// plural that looks like a verb.
pub(super) fn subject(terms: &[Term]) -> Vec<usize> {
    let is_word = |at: &usize| terms[*at].kind == Kind::Word;
    let words: Vec<usize> = (0..terms.len()).filter(is_word).collect();
    let verb = words.iter().position(|&at| terms[at].verb.is_some());
    let end = verb.unwrap_or(words.len()).max(SUBJECT_WORDS);
    words.into_iter().take(end).collect()
}

fn refers(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric())
        .any(|word| REFERS.contains(&word.to_lowercase().as_str()))
}
