//! The names of documents, so that a text tells which documents it mentions.
//!
//! A document is called by its title, without what a pair of brackets adds at its end
//! (`Mercury (planet)`); by the name of its file, with its ending and without, if it has no
//! title or that is its title.
//! Names are compared word by word, whatever stands between the words.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

use super::chunks::Documents;
use super::{ChunkRef, Selection};

/// Words of a name; a longer one is a sentence, which no other text repeats.
const MAX_WORDS: usize = 10;

/// Letters of a name that is one word.
const MIN_LETTERS: usize = 4;

/// Documents whose names are known, in the order of their ids: about 20 MB. Those of a
/// larger collection beyond it are not mentioned by any text.
const MAX_DOCUMENTS: usize = 200_000;

/// Documents with one name; more of them are not a name, but a kind, such as `Introduction`.
const MAX_NAMESAKES: usize = 3;

/// A document that a text mentions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The bytes of the text that mention it.
    pub span: Range<usize>,
    /// Words of its name.
    pub words: usize,
    chunks: Range<u32>,
}

impl Mention {
    /// The chunks of the document, in their order.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkRef> + use<> {
        self.chunks.clone().map(ChunkRef)
    }

    /// Whether `chunk` is of the document.
    pub fn holds(&self, chunk: ChunkRef) -> bool {
        self.chunks.contains(&chunk.0)
    }
}

/// A document that a name ends at.
#[derive(Clone, Copy)]
struct Named {
    document: u32,
    /// The name begins with a capital, and so must a text that mentions it.
    is_capital: bool,
}

/// The names of one snapshot. A name is looked up by a hash of its words, of which each
/// beginning is there too.
pub(super) struct Names {
    hasher: RandomState,
    /// By the hash of a beginning: the documents whose whole name it is.
    beginnings: HashMap<u64, Vec<Named>>,
}

impl Names {
    pub(super) fn new(documents: &Documents) -> Self {
        let mut names = Self {
            hasher: RandomState::new(),
            beginnings: HashMap::new(),
        };
        let records = documents.records().iter().take(MAX_DOCUMENTS);
        for (document, record) in (0..).zip(records) {
            for name in names_of(&record.title, &record.uri) {
                names.add(document, name);
            }
        }
        names
    }

    fn add(&mut self, document: u32, name: &str) {
        let words: Vec<&str> = words(name).map(|range| &name[range]).collect();
        let fits = match words[..] {
            [] => false,
            [word] => word.chars().count() >= MIN_LETTERS && !begins_small(word),
            _ => words.len() <= MAX_WORDS,
        };
        if !fits {
            return;
        }
        let mut hash = 0;
        for word in &words {
            hash = self.step(hash, word);
            self.beginnings.entry(hash).or_default();
        }
        let is_capital = !begins_small(words[0]);
        let ending = self.beginnings.entry(hash).or_default();
        ending.push(Named {
            document,
            is_capital,
        });
    }

    /// The hash of a beginning with one word more.
    fn step(&self, beginning: u64, word: &str) -> u64 {
        self.hasher.hash_one((beginning, word.to_lowercase()))
    }

    /// The documents of `within` that `text` mentions, in the order of the text. The
    /// longest name counts where several overlap. What `within` leaves out has no say in
    /// any of this.
    pub(super) fn in_text(
        &self,
        text: &str,
        documents: &Documents,
        within: Option<&Selection>,
    ) -> Vec<Mention> {
        let is_found = |named: &Named| {
            let chunks = documents.chunks(named.document as usize);
            let first = ChunkRef(chunks.start);
            !chunks.is_empty() && within.is_none_or(|within| within.contains(first))
        };
        let words: Vec<Range<usize>> = words(text).collect();
        let mut mentions = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let is_small = begins_small(&text[words[at].clone()]);
            let mut longest: Option<(usize, Vec<u32>)> = None;
            let mut hash = 0;
            for (length, word) in (1..).zip(&words[at..]) {
                hash = self.step(hash, &text[word.clone()]);
                let Some(ending) = self.beginnings.get(&hash) else {
                    break;
                };
                let named = ending.iter().filter(|named| !named.is_capital || !is_small);
                let named: Vec<u32> = named
                    .filter(|named| is_found(named))
                    .map(|named| named.document)
                    .collect();
                if (1..=MAX_NAMESAKES).contains(&named.len()) {
                    longest = Some((length, named));
                }
            }
            let Some((length, named)) = longest else {
                at += 1;
                continue;
            };
            let span = words[at].start..words[at + length - 1].end;
            mentions.extend(named.into_iter().map(|document| Mention {
                span: span.clone(),
                words: length,
                chunks: documents.chunks(document as usize),
            }));
            at += length;
        }
        mentions
    }
}

/// What texts call a document by.
fn names_of<'a>(title: &'a str, uri: &'a str) -> impl Iterator<Item = &'a str> {
    let file = uri.rsplit('/').next().unwrap_or(uri);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let title = title.trim();
    // A parser that finds no title takes the name of the file.
    let names = match title.is_empty() || title == file || title == stem {
        true => [Some(stem), Some(file).filter(|file| *file != stem)],
        false => [Some(without_brackets(title)), None],
    };
    names.into_iter().flatten()
}

fn without_brackets(title: &str) -> &str {
    match title
        .strip_suffix(')')
        .and_then(|open| open.rsplit_once('('))
    {
        Some((name, _)) if !name.trim().is_empty() => name,
        _ => title,
    }
}

/// The words of a text: letters and digits in a row.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut characters = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, _) = characters.find(|(_, c)| c.is_alphanumeric())?;
        while characters.next_if(|(_, c)| c.is_alphanumeric()).is_some() {}
        let end = characters.peek().map_or(text.len(), |(at, _)| *at);
        Some(start..end)
    })
}

/// Whether a word begins with a small letter; scripts without capitals have none.
fn begins_small(word: &str) -> bool {
    word.starts_with(char::is_lowercase)
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
