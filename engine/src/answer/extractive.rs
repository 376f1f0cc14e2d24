//! The answer without a language model: the fewest units of the sources that answer, the
//! one that answers best first, each with its citation and its place in the source.

use std::ops::Range;

use cairn_models::{Cancel, Reader, Reranker};

use super::continuation::Continuation;
use super::names::knows_no_name;
use super::reading::{Page, Reading, read};
use super::units::{Composer, Kind, Rendered, Segment, Shape, Unit, render};
use super::wanted::Wanted;
use super::words::{Content, Words};
use crate::retrieve::Source;

/// Units of an answer.
const MAX_UNITS: usize = 3;
/// Letters after which no further unit is added.
const ENOUGH_CHARS: usize = 320;
/// Letters up to which sentences are added to the units.
const MAX_CHARS: usize = 480;
/// A further unit must be as good as the first but for so much.
const NEAR_BEST: f32 = 0.8;
/// Units that are compared with the question.
const MAX_CANDIDATES: usize = 32;
// What follows is added to the reader's log-odds. The weights were fitted on questions over
// manuals that the reader was not trained on (docs/notes/retrieval.md).

/// What a re-ranker's log-odds count beside the reader's.
const LIKENESS: f32 = 0.4;
/// Units whose neighbourhood a model may read.
const MAX_EXCERPTS: usize = 8;
/// Bytes of a neighbourhood, about a hundred tokens.
const EXCERPT_NUM_BYTES: usize = 400;
/// Two units that share this much of their content say the same.
const SAME: f32 = 0.65;
/// What a rank costs, in log-odds; the first ranks differ most.
const RANK: f32 = 1.0;
/// What it costs to begin in the middle of a sentence.
const CUT_OFF: f32 = 4.0;
/// What it costs to be a name, a heading or a question, which say little by themselves.
const LABEL: f32 = 1.5;
/// What it is worth to stand right below a heading that asks the same as the question.
const HEADING: f32 = 3.5;
/// What it is worth to hold the kind of thing that the question wants.
const WANTED: f32 = 3.5;
/// What it is worth to be introduced, as a block after a colon is.
const LED: f32 = 0.6;
/// What it is worth to be code where the question asks how something is done.
const SHOWS_HOW: f32 = 0.5;
/// What it costs to be the usage line of a command, which names all and explains nothing.
const SYNOPSIS: f32 = 2.5;

/// One unit of an extractive answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extract {
    /// Markdown with its mark.
    pub(super) text: String,
    /// Bytes of the mark.
    pub(super) mark: Range<usize>,
    /// Whether it must stand on lines of its own.
    pub(super) is_block: bool,
    /// Position of its source.
    pub(super) source: usize,
    /// Bytes of the source's text.
    pub(super) span: Range<usize>,
}

impl Extract {
    fn of(rendered: Rendered, source: usize) -> Self {
        Self {
            text: rendered.text,
            mark: rendered.mark,
            is_block: rendered.is_block,
            source,
            span: rendered.span,
        }
    }
}

/// A run of whole segments around what may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// Position of its source.
    pub(super) source: usize,
    /// Bytes of the source's text.
    pub(super) span: Range<usize>,
}

/// What the sources say to a question.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// The units that answer best, whether or not they answer.
    pub(super) extracts: Vec<Extract>,
    /// The parts of the sources around the units that answer best, best first.
    pub(super) excerpts: Vec<Excerpt>,
    /// What tells answers from near misses.
    pub(super) signals: Signals,
    /// Whether words alone decided.
    pub(super) by_words: bool,
}

/// Evidence that the question is answered at all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Signals {
    /// Log-odds of the best segment, as the reader says.
    pub(super) best: f32,
    /// Share of the question, by rarity, that no source holds.
    pub(super) missing: f32,
    /// Whether the question has letters that English does not.
    pub(super) is_foreign: bool,
    /// Whether it has names and no source has one of them.
    pub(super) knows_no_name: bool,
}

/// What may be quoted.
struct Candidate {
    page: usize,
    /// Log-odds that it answers, as the reader says.
    read: f32,
    /// Those with what the re-ranker and the question's kind add.
    score: f32,
    unit: Unit,
    rendered: Rendered,
    /// What is shown, without its mark.
    plain: String,
}

/// The models that choose; words do what is missing.
#[derive(Clone, Copy)]
pub(super) struct Choosers<'a> {
    /// Says which segments answer.
    pub(super) reader: Option<&'a dyn Reader>,
    /// Says how near a unit is to the question.
    pub(super) reranker: Option<&'a dyn Reranker>,
}

/// Chooses what to quote of `sources` for `question`.
pub(super) fn extract(
    question: &str,
    sources: &[Source],
    choosers: Choosers<'_>,
    words: &Words,
    cancel: &Cancel,
) -> Choice {
    let reading = read(question, sources, choosers.reader, words, cancel);
    let wanted = Wanted::of(question);
    let mut candidates = candidates(&reading, sources, wanted);
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    if let Some(reranker) = choosers.reranker {
        add_likeness(
            &mut candidates,
            question,
            &reading,
            sources,
            reranker,
            cancel,
        );
    }
    Choice {
        extracts: go_on(pick(&candidates, words), wanted, &reading, sources),
        excerpts: excerpts(&candidates, &reading),
        signals: signals(question, sources, &candidates, &reading),
        by_words: !reading.by_reader,
    }
}

/// The units of the segments that answer best, best first.
fn candidates(reading: &Reading, sources: &[Source], wanted: Wanted) -> Vec<Candidate> {
    let mut all = Vec::new();
    let pages = reading.pages.iter().zip(sources);
    let composers: Vec<Composer<'_>> = pages.map(|(page, source)| composer(source, page)).collect();
    for (page, read) in reading.pages.iter().enumerate() {
        let text = &sources[page].text;
        let headed = reading.headed(read);
        for (segment, score) in read.scores.iter().enumerate() {
            let Some(score) = *score else { continue };
            let ranked = score - RANK * (1.0 + page as f32).ln();
            let found = &read.segments[segment];
            let text = &text[found.range.clone()];
            let mut shown = ranked;
            let opens_cut = segment == 0 && sources[page].start > 0;
            if opens_cut && starts_inside(text) {
                shown -= CUT_OFF;
            }
            if found.kind == Kind::Label || text.ends_with('?') || refers(text) {
                shown -= LABEL;
            }
            if composers[page].names_columns(segment) {
                shown -= CUT_OFF;
            }
            shown += HEADING * headed[segment];
            if is_synopsis(text) {
                shown -= SYNOPSIS;
            }
            all.push((shown, ranked, page, segment));
        }
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut candidates: Vec<Candidate> = Vec::new();
    for &(score, ranked, page, segment) in &all {
        if candidates.len() == MAX_CANDIDATES {
            break;
        }
        let (read, source) = (&reading.pages[page], &sources[page]);
        let found = &read.segments[segment];
        // An item by itself, and its whole list: the question decides.
        let wholes: &[bool] = match found.kind {
            Kind::Item => &[false, true],
            _ => &[false],
        };
        for &whole in wholes {
            let unit = composers[page].unit(segment, whole);
            let is_known = candidates
                .iter()
                .any(|other| other.page == page && other.unit.body == unit.body);
            if is_known {
                continue;
            }
            let says_nothing =
                found.kind == Kind::Label || source.text[found.range.clone()].ends_with('?');
            let alone = unit.body == [segment] && says_nothing;
            let score = if alone { score - CUT_OFF } else { score };
            let rendered = show(&unit, source, &read.segments);
            let plain = rendered.text.replace(&format!(" [{}]", source.n), "");
            let held = wanted.held_by(&plain);
            let mut score = score + WANTED * held as f32;
            if unit.lead.is_some() {
                score += LED;
            }
            if unit.shape == Shape::Code && wanted.is_typed() {
                score += SHOWS_HOW;
            }
            candidates.push(Candidate {
                page,
                read: ranked,
                score,
                unit,
                rendered,
                plain,
            });
        }
    }
    candidates
}

/// Adds how near each unit is to the question, read apart from it. The reader was trained
/// on passages that hold one answer; this was trained on many more questions.
fn add_likeness(
    candidates: &mut [Candidate],
    question: &str,
    reading: &Reading,
    sources: &[Source],
    reranker: &dyn Reranker,
    cancel: &Cancel,
) {
    let texts: Vec<String> = candidates
        .iter()
        .map(|candidate| {
            let source = &sources[candidate.page];
            let segments = &reading.pages[candidate.page].segments;
            let heading = heading(source, segments, &candidate.unit);
            format!("{heading}\n{}", candidate.plain)
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    match reranker.score(question, &texts, cancel) {
        Ok(scores) => {
            for (candidate, score) in candidates.iter_mut().zip(scores) {
                candidate.score += LIKENESS * score;
            }
            candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        Err(error) => tracing::debug!(%error, "units are not compared"),
    }
}

/// Whether a text is the usage line of a command, with its options in brackets.
fn is_synopsis(text: &str) -> bool {
    text.matches(['[', '<']).count() >= 3 && text.matches(" [-").count() >= 2
}

/// Whether a sentence only says where to look.
fn refers(text: &str) -> bool {
    text.starts_with("See ") || text.starts_with("see ")
}

/// Whether a text seems to open in the middle of a sentence or line: what is whole
/// begins with a capital.
fn starts_inside(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_uppercase() || super::words::is_unspaced(c))
}

fn signals(
    question: &str,
    sources: &[Source],
    candidates: &[Candidate],
    reading: &Reading,
) -> Signals {
    if candidates.is_empty() {
        return Signals {
            best: f32::NEG_INFINITY,
            missing: 1.0,
            is_foreign: false,
            knows_no_name: false,
        };
    }
    let best = candidates.iter().map(|candidate| candidate.read);
    Signals {
        best: best.fold(f32::NEG_INFINITY, f32::max),
        missing: reading.missing(),
        is_foreign: question.chars().any(|c| c.is_alphabetic() && !c.is_ascii()),
        knows_no_name: knows_no_name(question, sources),
    }
}

/// The fewest units that answer: the best, then others that are nearly as good and say
/// something else.
fn pick<'c>(candidates: &'c [Candidate], words: &Words) -> Vec<&'c Candidate> {
    let Some(best) = candidates.first() else {
        return Vec::new();
    };
    let mut chosen: Vec<(&Candidate, Content)> = Vec::new();
    let mut letters = 0;
    for candidate in candidates {
        let first = chosen.is_empty();
        let weak = candidate.score < best.score - NEAR_BEST;
        if !first && (weak || chosen.len() == MAX_UNITS || letters >= ENOUGH_CHARS) {
            break;
        }
        let overlaps = |other: &Candidate| {
            other.page == candidate.page
                && candidate
                    .unit
                    .body
                    .iter()
                    .any(|at| other.unit.body.contains(at))
        };
        let content = words.content(&candidate.rendered.text);
        if chosen
            .iter()
            .any(|(other, held)| overlaps(other) || same(held, &content))
        {
            continue;
        }
        letters += candidate.rendered.text.chars().count();
        chosen.push((candidate, content));
    }
    chosen.into_iter().map(|(candidate, _)| candidate).collect()
}

/// The chosen units, each with the sentences after it that finish the answer.
fn go_on(
    chosen: Vec<&Candidate>,
    wanted: Wanted,
    reading: &Reading,
    sources: &[Source],
) -> Vec<Extract> {
    let letters = |candidate: &&Candidate| candidate.rendered.text.chars().count();
    let mut room = MAX_CHARS.saturating_sub(chosen.iter().map(letters).sum());
    let mut quoted: Vec<(usize, usize)> = Vec::new();
    for candidate in &chosen {
        quoted.extend(candidate.unit.body.iter().map(|&at| (candidate.page, at)));
    }
    let mut extracts = Vec::with_capacity(chosen.len());
    for candidate in chosen {
        let (page, source) = (&reading.pages[candidate.page], &sources[candidate.page]);
        let continuation = Continuation {
            wanted,
            text: &source.text,
            segments: &page.segments,
            scores: &page.scores,
        };
        let added = continuation.of(&candidate.unit);
        let rendered = match fresh_bytes(&added, candidate.page, page, &quoted) {
            Some(bytes) if !added.is_empty() && bytes <= room => {
                room -= bytes;
                let mut unit = candidate.unit.clone();
                unit.body.extend(&added);
                quoted.extend(added.iter().map(|&at| (candidate.page, at)));
                show(&unit, source, &page.segments)
            }
            _ => candidate.rendered.clone(),
        };
        extracts.push(Extract::of(rendered, candidate.page));
        if extracts.len() > 1 {
            continue;
        }
        let code = continuation.code_after(&candidate.unit);
        let Some(unit) = code.map(|at| composer(source, page).unit(at, false)) else {
            continue;
        };
        if let Some(bytes) = fresh_bytes(&unit.body, candidate.page, page, &quoted)
            && bytes <= room
        {
            room -= bytes;
            quoted.extend(unit.body.iter().map(|&at| (candidate.page, at)));
            let shown = show(&unit, source, &page.segments);
            extracts.push(Extract::of(shown, candidate.page));
        }
    }
    extracts
}

/// Puts the segments of a source together.
fn composer<'t>(source: &'t Source, page: &'t Page) -> Composer<'t> {
    Composer::new(&source.text, &page.segments, source.start > 0)
        .continuing(source.columns.is_some())
}

/// Bytes of the segments `body` of a page. `None` if one of them is quoted already.
fn fresh_bytes(
    body: &[usize],
    number: usize,
    page: &Page,
    quoted: &[(usize, usize)],
) -> Option<usize> {
    let is_quoted = |&at: &usize| quoted.contains(&(number, at));
    let bytes = body.iter().map(|&at| page.segments[at].range.len());
    (!body.iter().any(is_quoted)).then(|| bytes.sum())
}

/// A unit of `source` as it stands in the answer.
fn show(unit: &Unit, source: &Source, segments: &[Segment]) -> Rendered {
    let columns = columns(source, segments, unit);
    render(
        unit,
        &source.text,
        segments,
        source.n,
        &place(source),
        columns,
    )
}

/// The neighbourhood of each of the best units; neighbourhoods that touch are one.
fn excerpts(candidates: &[Candidate], reading: &Reading) -> Vec<Excerpt> {
    let mut found: Vec<(usize, Range<usize>)> = Vec::new();
    for candidate in candidates.iter().take(MAX_EXCERPTS) {
        let segments = &reading.pages[candidate.page].segments;
        let body = &candidate.unit.body;
        let (Some(&first), Some(&last)) = (body.first(), body.last()) else {
            continue;
        };
        let (mut low, mut high) = (first, last);
        let bytes = |low: usize, high: usize| segments[high].range.end - segments[low].range.start;
        // What stands before a unit says more often what it is about.
        loop {
            let grows_down = low > 0 && bytes(low - 1, high) <= EXCERPT_NUM_BYTES;
            low -= usize::from(grows_down);
            let grows_up = high + 1 < segments.len() && bytes(low, high + 1) <= EXCERPT_NUM_BYTES;
            high += usize::from(grows_up);
            if !grows_down && !grows_up {
                break;
            }
        }
        let touches = |other: &&mut (usize, Range<usize>)| {
            other.0 == candidate.page && low <= other.1.end && other.1.start <= high + 1
        };
        match found.iter_mut().find(touches) {
            Some((_, range)) => {
                *range = range.start.min(low)..range.end.max(high + 1);
            }
            None => found.push((candidate.page, low..high + 1)),
        }
    }
    found
        .into_iter()
        .map(|(source, range)| {
            let segments = &reading.pages[source].segments;
            let start = segments[range.start].range.start;
            Excerpt {
                source,
                span: start..segments[range.end - 1].range.end,
            }
        })
        .collect()
}

/// The heading above a unit: the last line before it that is a name, or the last heading
/// before the source.
fn heading(source: &Source, segments: &[Segment], unit: &Unit) -> String {
    let first = unit.body.first().copied().unwrap_or(0);
    let own = segments[..first.min(segments.len())]
        .iter()
        .rfind(|segment| segment.kind == Kind::Label);
    match own {
        Some(label) => source.text[label.range.clone()].to_owned(),
        None => place(source),
    }
}

/// Columns of a unit that belongs to the table that the source continues.
fn columns<'s>(source: &'s Source, segments: &[Segment], unit: &Unit) -> Option<&'s str> {
    let first = unit.body.first().and_then(|&at| segments.get(at))?;
    let opening = segments.first()?;
    let columns = source.columns.as_deref();
    columns.filter(|_| first.block == opening.block)
}

/// What introduces a block that nothing in the text does: its last heading, or the title.
fn place(source: &Source) -> String {
    let heading = source.heading_path.last().unwrap_or(&source.title);
    heading.replace(['[', ']', '\n'], " ").trim().to_owned()
}

fn same(a: &Content, b: &Content) -> bool {
    let shorter = a.len().min(b.len());
    let shared = a.stems.intersection(&b.stems).count() + a.exact.intersection(&b.exact).count();
    shorter > 0
        && shared as f32 / shorter as f32 >= SAME
        && shared as f32 / a.len().max(b.len()) as f32 >= SAME * 0.7
}
