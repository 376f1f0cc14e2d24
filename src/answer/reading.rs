//! Which parts of the sources are read for a question, and what the reader says of
//! their segments.

use std::collections::BTreeMap;
use std::ops::Range;

use cairn_models::{Cancel, Reader, ReaderPassage};

use super::units::{Segment, segments};
use super::words::{Content, Words};
use crate::retrieve::Source;

/// Sources that are looked at.
const MAX_SOURCES: usize = 8;
/// Tokens that are read of all sources: what fits into some milliseconds.
const READ_TOKENS: usize = 1200;
/// Tokens of one passage; a longer chunk is read in parts.
const PASSAGE_TOKENS: usize = 200;
/// How much a better rank counts beside the question's words that a part holds.
const RANK: f32 = 0.5;
/// A word in title or headings counts this much of one in the text.
const IN_PLACE: f32 = 0.5;

/// A source, cut.
pub(super) struct Page {
    pub(super) segments: Vec<Segment>,
    pub(super) contents: Vec<Content>,
    /// What title and headings hold.
    pub(super) place: Content,
    /// The log-odds that each segment answers; none where it was not read.
    pub(super) scores: Vec<Option<f32>>,
}

/// The question's content words, each with how rare it is in the sources.
pub(super) struct Asked {
    weights: BTreeMap<String, f32>,
}

impl Asked {
    fn new(question: &str, pages: &[Page], words: &Words) -> Self {
        let content = words.content(question);
        let all: Vec<&Content> = pages.iter().flat_map(|page| &page.contents).collect();
        let weights = content
            .stems
            .iter()
            .chain(&content.exact)
            .map(|term| {
                let holding = all.iter().filter(|held| holds(held, term)).count();
                let rarity = (1.0 + all.len() as f32 / (1 + holding) as f32).ln();
                (term.clone(), rarity)
            })
            .collect();
        Self { weights }
    }

    /// Share of the question, by weight, of which `held` is true.
    pub(super) fn share(&self, held: impl Fn(&str) -> f32) -> f32 {
        let total: f32 = self.weights.values().sum();
        let found: f32 = self
            .weights
            .iter()
            .map(|(term, weight)| weight * held(term))
            .sum();
        if total > 0.0 { found / total } else { 0.0 }
    }
}

pub(super) fn holds(content: &Content, term: &str) -> bool {
    content.stems.contains(term) || content.holds_exact(term)
}

/// What was read.
pub(super) struct Reading {
    pub(super) pages: Vec<Page>,
    pub(super) asked: Asked,
    /// Whether the reader scored them; else the words did.
    pub(super) by_reader: bool,
}

/// Reads the parts of `sources` that look most like `question`. Where there is no reader,
/// or it fails or is too late, the words decide.
pub(super) fn read(
    question: &str,
    sources: &[Source],
    reader: Option<&dyn Reader>,
    words: &Words,
    cancel: &Cancel,
) -> Reading {
    let mut pages: Vec<Page> = sources
        .iter()
        .take(MAX_SOURCES)
        .map(|source| page(source, words))
        .collect();
    let asked = Asked::new(question, &pages, words);
    let parts = parts(&pages, sources, &asked);
    let by_reader = reader.is_some_and(|reader| {
        let read = read_parts(question, sources, &mut pages, &parts, reader, cancel);
        read.inspect_err(|error| tracing::debug!(%error, "segments are compared by words alone"))
            .is_ok()
    });
    if !by_reader {
        for page in &mut pages {
            page.scores = page
                .contents
                .iter()
                .map(|content| Some(by_words(&asked, content, &page.place)))
                .collect();
        }
    }
    Reading {
        pages,
        asked,
        by_reader,
    }
}

fn page(source: &Source, words: &Words) -> Page {
    let segments = segments(&source.text);
    let contents: Vec<Content> = segments
        .iter()
        .map(|segment| words.content(&source.text[segment.range.clone()]))
        .collect();
    let place = words.content(&format!(
        "{} {}",
        source.title,
        source.heading_path.join(" ")
    ));
    Page {
        scores: vec![None; segments.len()],
        segments,
        contents,
        place,
    }
}

/// Log-odds from words alone: all of the question's words in one segment are worth 2.
fn by_words(asked: &Asked, content: &Content, place: &Content) -> f32 {
    let share = asked.share(|term| match () {
        () if holds(content, term) => 1.0,
        () if holds(place, term) => IN_PLACE,
        () => 0.0,
    });
    8.0 * share - 6.0
}

/// A run of segments of a source that is read as one passage.
struct Part {
    source: usize,
    segments: Range<usize>,
    tokens: usize,
}

/// The best parts within the budget.
fn parts(pages: &[Page], sources: &[Source], asked: &Asked) -> Vec<Part> {
    let mut ranked: Vec<(f32, Part)> = Vec::new();
    for (source, page) in pages.iter().enumerate() {
        let text = &sources[source].text;
        for part in cut(source, page, text) {
            let share = asked.share(|term| {
                let inside = page.contents[part.segments.clone()]
                    .iter()
                    .any(|content| holds(content, term));
                match inside {
                    true => 1.0,
                    false if holds(&page.place, term) => IN_PLACE,
                    false => 0.0,
                }
            });
            ranked.push((share + RANK / (source + 1) as f32, part));
        }
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut left = READ_TOKENS;
    let mut chosen = Vec::new();
    for (_, part) in ranked {
        if part.tokens <= left {
            left -= part.tokens;
            chosen.push(part);
        }
    }
    chosen
}

/// Runs of whole segments, as long as the reader's passage.
fn cut(source: usize, page: &Page, text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (at, segment) in page.segments.iter().enumerate() {
        let tokens = estimate(&text[segment.range.clone()]);
        match parts.last_mut() {
            Some(part) if part.tokens + tokens <= PASSAGE_TOKENS => {
                part.segments.end = at + 1;
                part.tokens += tokens;
            }
            _ => parts.push(Part {
                source,
                segments: at..at + 1,
                tokens: tokens.min(PASSAGE_TOKENS),
            }),
        }
    }
    parts
}

/// About how many word pieces a text has: one for seven letters of a word, one for each
/// sign.
fn estimate(text: &str) -> usize {
    let (mut tokens, mut run) = (0, 0);
    for c in text.chars() {
        if c.is_alphanumeric() && !super::words::is_unspaced(c) {
            tokens += usize::from(run % 6 == 0);
            run += 1;
        } else {
            run = 0;
            tokens += usize::from(!c.is_whitespace());
        }
    }
    tokens
}

fn read_parts(
    question: &str,
    sources: &[Source],
    pages: &mut [Page],
    parts: &[Part],
    reader: &dyn Reader,
    cancel: &Cancel,
) -> cairn_models::Result<()> {
    let places: Vec<String> = parts
        .iter()
        .map(|part| place(&sources[part.source]))
        .collect();
    let cuts: Vec<(Range<usize>, Vec<Range<usize>>)> = parts
        .iter()
        .map(|part| {
            let segments = &pages[part.source].segments[part.segments.clone()];
            let start = segments.first().map_or(0, |segment| segment.range.start);
            let end = segments.last().map_or(0, |segment| segment.range.end);
            let ranges = segments
                .iter()
                .map(|segment| segment.range.start - start..segment.range.end - start)
                .collect();
            (start..end, ranges)
        })
        .collect();
    let passages: Vec<ReaderPassage<'_>> = parts
        .iter()
        .zip(&places)
        .zip(&cuts)
        .map(|((part, place), (range, segments))| ReaderPassage {
            place,
            text: &sources[part.source].text[range.clone()],
            segments,
        })
        .collect();
    let scores = reader.read(question, &passages, cancel)?;
    for (part, scores) in parts.iter().zip(scores) {
        for (at, score) in part.segments.clone().zip(scores) {
            pages[part.source].scores[at] = score.is_finite().then_some(score);
        }
    }
    Ok(())
}

/// Title and headings, as the reader was trained to see them.
fn place(source: &Source) -> String {
    let mut place = source.title.clone();
    for heading in &source.heading_path {
        if *heading != source.title {
            place.push(' ');
            place.push_str(heading);
        }
    }
    place
}
