//! Which parts of the sources are read for a question, and what the reader says of
//! their segments.

use std::collections::BTreeMap;
use std::ops::Range;

use cairn_models::{Cancel, Reader, ReaderPassage};

use super::prompt::place;
use super::units::{Kind, Segment, segments};
use super::words::{Content, Words};
use crate::retrieve::Source;

/// Sources that are looked at.
const MAX_SOURCES: usize = 8;
/// Tokens that are read first: the parts that share most with the question.
const FIRST_TOKENS: usize = 1000;
/// Log-odds of a segment from which nothing more is read.
const SURE: f32 = 0.0;
/// Tokens that are read of all sources. Of eight full passages, 1,200 hold what answers for
/// 81 of 100 questions whose passage was found, 2,000 for 91, 2,400 for 96.
const READ_TOKENS: usize = 2600;
/// Tokens of one passage; a longer chunk is read in parts.
const PASSAGE_TOKENS: usize = 200;
/// How much a better rank counts beside the question's words that a part holds.
const RANK: f32 = 0.5;
/// A word in title or headings counts this much of one in the text.
const IN_PLACE: f32 = 0.5;

/// A heading that shares this much with the question asks the same.
const SAME_HEADING: f32 = 0.75;

/// Segments below a heading that are near it.
const HEADED: usize = 6;

/// A source, cut.
pub(super) struct Page {
    pub(super) segments: Vec<Segment>,
    contents: Vec<Content>,
    /// Title and headings, as the reader was trained to see them.
    place: String,
    /// What those hold.
    place_content: Content,

    /// The log-odds that each segment answers. A segment that was not read has none.
    pub(super) scores: Vec<Option<f32>>,
}

/// The question's content words, each with how rare it is in the sources.
struct Asked {
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
    fn share(&self, held: impl Fn(&str) -> f32) -> f32 {
        let total: f32 = self.weights.values().sum();
        let found: f32 = self
            .weights
            .iter()
            .map(|(term, weight)| weight * held(term))
            .sum();
        if total > 0.0 { found / total } else { 0.0 }
    }
}

fn holds(content: &Content, term: &str) -> bool {
    content.stems.contains(term) || content.holds_exact(term)
}

/// What was read.
pub(super) struct Reading {
    pub(super) pages: Vec<Page>,
    asked: Asked,
    /// Whether the reader scored them; else the words did.
    pub(super) by_reader: bool,
}

impl Reading {
    /// For each segment of a page, how near it stands below a heading that says what the
    /// question asks and nothing else: 1 is next to it, 0 not below one.
    pub(super) fn headed(&self, page: &Page) -> Vec<f32> {
        let mut left = 0;
        let near = |(segment, content): (&Segment, &Content)| {
            left = match segment.kind {
                Kind::Label if self.is_asked_by(content) => HEADED,
                Kind::Label => 0,
                _ => left,
            };
            let near = left as f32 / HEADED as f32;
            left = left.saturating_sub(1);
            near
        };
        page.segments.iter().zip(&page.contents).map(near).collect()
    }

    fn is_asked_by(&self, heading: &Content) -> bool {
        let asks = |term: &&String| self.asked.weights.contains_key(*term);
        let shared = heading.stems.iter().chain(&heading.exact).filter(asks);
        shared.count() as f32 >= SAME_HEADING * heading.len().max(2) as f32
            && self.asked.share(|term| f32::from(holds(heading, term))) >= SAME_HEADING
    }

    /// Share of the question, by rarity, that no source holds.
    pub(super) fn missing(&self) -> f32 {
        let held = |term: &str| self.pages.iter().any(|page| page.holds(term));
        1.0 - self.asked.share(|term| f32::from(held(term)))
    }
}

/// Reads the parts of `sources` that share most with `question`: a first few, and the others
/// if none of those surely answers. Without a reader, or when it fails or has no time left,
/// words decide.
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
        let read = read_until_sure(&parts, |parts| {
            read_parts(question, sources, &mut pages, parts, reader, cancel)
        });
        read.inspect_err(|error| tracing::debug!(%error, "segments are compared by words alone"))
            .is_ok()
    });
    if !by_reader {
        for page in &mut pages {
            let alone = |content| page.share(&asked, std::slice::from_ref(content));
            let contents = page.contents.iter();
            page.scores = contents
                .map(|content| Some(by_words(alone(content))))
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
    let segments = segments(&source.text, &source.code_blocks);
    let contents: Vec<Content> = segments
        .iter()
        .map(|segment| words.content(&source.text[segment.range.clone()]))
        .collect();
    let place = place(source, " ");
    Page {
        scores: vec![None; segments.len()],
        segments,
        contents,
        place_content: words.content(&place),
        place,
    }
}

impl Page {
    /// Share of the question that some segments hold; title and headings count less.
    fn share(&self, asked: &Asked, contents: &[Content]) -> f32 {
        asked.share(|term| match () {
            () if contents.iter().any(|content| holds(content, term)) => 1.0,
            () if holds(&self.place_content, term) => IN_PLACE,
            () => 0.0,
        })
    }

    /// Whether the source holds a word of the question anywhere.
    fn holds(&self, term: &str) -> bool {
        holds(&self.place_content, term) || self.contents.iter().any(|content| holds(content, term))
    }
}

/// Log-odds from words alone: all of the question's words in one segment are worth 2.
fn by_words(share: f32) -> f32 {
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
            let share = page.share(asked, &page.contents[part.segments.clone()]);
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

/// Calls `read` with the first of `parts`, and with the rest unless a log-odds that it returned
/// is [`SURE`].
///
/// # Errors
/// Those of the first call. Without time for the second, what was read still decides.
fn read_until_sure(
    parts: &[Part],
    mut read: impl FnMut(&[Part]) -> cairn_models::Result<f32>,
) -> cairn_models::Result<()> {
    let mut tokens = 0;
    let is_first = |part: &&Part| {
        tokens += part.tokens;
        tokens <= FIRST_TOKENS
    };
    let (first, rest) = parts.split_at(parts.iter().take_while(is_first).count());
    if read(first)? < SURE
        && !rest.is_empty()
        && let Err(error) = read(rest)
    {
        tracing::debug!(%error, parts = rest.len(), "the rest is not read");
    }
    Ok(())
}

/// Reads `parts` into `pages`, and returns the highest log-odds.
fn read_parts(
    question: &str,
    sources: &[Source],
    pages: &mut [Page],
    parts: &[Part],
    reader: &dyn Reader,
    cancel: &Cancel,
) -> cairn_models::Result<f32> {
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
        .zip(&cuts)
        .map(|(part, (range, segments))| ReaderPassage {
            place: &pages[part.source].place,
            text: &sources[part.source].text[range.clone()],
            segments,
        })
        .collect();
    let scores = reader.read(question, &passages, cancel)?;
    let mut highest = f32::NEG_INFINITY;
    for (part, scores) in parts.iter().zip(scores) {
        for (at, score) in part.segments.clone().zip(scores) {
            let score = score.is_finite().then_some(score);
            highest = score.map_or(highest, |score| highest.max(score));
            pages[part.source].scores[at] = score;
        }
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use cairn_models::ErrorKind;

    use super::super::testing::source;
    use super::*;

    #[test]
    fn the_rest_is_read_unless_something_surely_answers() {
        let part = |tokens| Part {
            source: 0,
            segments: 0..1,
            tokens,
        };
        let parts: Vec<Part> = [FIRST_TOKENS - 100, 100, 1, 50].map(part).into();
        let counts = |scores: &[Option<f32>]| {
            let (mut counts, mut scores) = (Vec::new(), scores.iter());
            let read = |parts: &[Part]| {
                counts.push(parts.len());
                let score = scores.next().copied().flatten();
                score.ok_or_else(|| cairn_models::Error::new(ErrorKind::Cancelled, "no time left"))
            };
            let outcome = read_until_sure(&parts, read);
            (counts, outcome.is_ok())
        };
        assert_eq!(counts(&[Some(SURE)]), (vec![2], true));
        assert_eq!(counts(&[Some(SURE - 0.1), Some(-9.0)]), (vec![2, 2], true));
        // If time runs out, what was read is kept; if nothing was read, words decide.
        assert_eq!(counts(&[Some(SURE - 0.1), None]), (vec![2, 2], true));
        assert_eq!(counts(&[None]), (vec![2], false));
    }

    #[test]
    fn what_stands_below_the_heading_that_is_asked_is_known() {
        let text = "The details are elsewhere.\n\nUse a larger language model\n\n\
                    With no configuration, an answer quotes. Put the address of yours into the file.\n\n\
                    Run it for others\n\nClose it with keys.";
        let headed = |question: &str| {
            let words = Words::new("english");
            let sources = [source(1, text)];
            let reading = read(question, &sources, None, &words, &Cancel::never());
            reading.headed(&reading.pages[0])
        };
        let near = |away: usize| (HEADED - away) as f32 / HEADED as f32;
        assert_eq!(
            headed("How do I use a larger language model?"),
            [0.0, near(0), near(1), near(2), 0.0, 0.0]
        );
        assert_eq!(
            headed("How do I run it for others?"),
            [0.0, 0.0, 0.0, 0.0, near(0), near(1)]
        );
        // A heading about something near is not the question.
        assert_eq!(
            headed("Which language models are supported on Windows?"),
            [0.0; 6]
        );
    }
}
