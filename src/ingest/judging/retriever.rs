//! The engine as the evaluation sees it: questions in, documents out.

use std::collections::HashSet;

use cairn_eval::{Hit, Passage, Question, Retrieved, Retriever};
use cairn_indexer::{Snapshot, StoredChunk};
use cairn_models::Cancel;

use cairn_engine::retrieve::{Engine, Expand, SearchError, SearchRequest, Source};
use cairn_settings::config::Mode;

/// Chunks that are asked for, for each document: several chunks of one document
/// are among the best, and only the best of them counts.
const CHUNKS_PER_DOCUMENT: usize = 2;

/// Deepest cut-off.
pub(crate) const MAX_DEPTH: usize = 1000;

/// A way to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EvalMode {
    pub(crate) search: Mode,
    pub(crate) rerank: bool,
    /// Whether documents that hits mention are searched, too.
    pub(crate) hop: bool,
}

const NAMES: &[(&str, EvalMode)] = &[
    ("bm25", EvalMode::new(Mode::Lexical, false)),
    ("dense", EvalMode::new(Mode::Dense, false)),
    ("hybrid", EvalMode::new(Mode::Hybrid, false)),
    ("hybrid+rerank", EvalMode::new(Mode::Hybrid, true)),
    (
        "hybrid+hop+rerank",
        EvalMode::new(Mode::Hybrid, true).hopping(),
    ),
    ("bm25+rerank", EvalMode::new(Mode::Lexical, true)),
    ("dense+rerank", EvalMode::new(Mode::Dense, true)),
    ("hybrid+hop", EvalMode::new(Mode::Hybrid, false).hopping()),
];

/// How many of [`NAMES`] are meant by `all`.
const ALL: usize = 5;

impl EvalMode {
    const fn new(search: Mode, rerank: bool) -> Self {
        Self {
            search,
            rerank,
            hop: false,
        }
    }

    const fn hopping(self) -> Self {
        Self { hop: true, ..self }
    }

    /// As it is written in requests.
    pub(crate) fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, mode)| *mode == self)
            .map_or("", |(name, _)| name)
    }
}

/// Reads names of modes: each once, in the order in which they were named.
pub(crate) fn modes(names: &[String]) -> Result<Vec<EvalMode>, String> {
    let mut modes = Vec::new();
    for name in names {
        let name = name.trim();
        if name == "all" {
            modes.extend(NAMES[..ALL].iter().map(|(_, mode)| *mode));
            continue;
        }
        let name = name.replace("lexical", "bm25");
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, mode)) => modes.push(*mode),
            None => {
                let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
                return Err(format!("`{name}` is none of all, {}", known.join(", ")));
            }
        }
    }
    let mut seen = Vec::new();
    modes.retain(|mode| {
        !seen.contains(mode) && {
            seen.push(*mode);
            true
        }
    });
    Ok(modes)
}

/// Ranks documents by their best chunk, or whatever else the judgements name. A
/// document's URI is its id.
pub(crate) struct Documents<'a> {
    engine: &'a Engine,
    collection: &'a str,
    mode: EvalMode,
    /// Candidates of a fused search, which its normalisation depends on.
    candidates: usize,
    cancel: &'a Cancel,
}

impl<'a> Documents<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        collection: &'a str,
        mode: EvalMode,
        candidates: usize,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            engine,
            collection,
            mode,
            candidates,
            cancel,
        }
    }
}

/// Chunks to ask for, so that `depth` documents are found. A fused search is
/// asked for as many candidates as the product asks for, even where a measure
/// looks deeper, since its scores are normalised over them; a single list is only
/// longer or shorter.
pub(crate) fn chunks(mode: Mode, candidates: usize, depth: usize) -> usize {
    match mode {
        Mode::Hybrid => candidates,
        Mode::Lexical | Mode::Dense => depth * CHUNKS_PER_DOCUMENT,
    }
}

/// Ranked passages as what `question` counts them as, at most `depth`.
pub(crate) fn hits<'a>(
    question: &Question,
    passages: impl Iterator<Item = (Passage<'a>, f32)>,
    depth: usize,
) -> Vec<Hit> {
    let mut seen = HashSet::new();
    let mut hits = Vec::with_capacity(depth);
    for (passage, score) in passages {
        for id in question.units(&passage, &mut seen) {
            hits.push(Hit { id, score });
        }
        if hits.len() >= depth {
            break;
        }
    }
    hits.truncate(depth);
    hits
}

/// The copies that a source stands for: whoever reads it has read them, and the
/// judgements may name any of them.
fn others(snapshot: &Snapshot, source: &Source) -> Result<Vec<StoredChunk>, SearchError> {
    let chunk = snapshot.chunk_named(&source.chunk_id);
    let twins = chunk.into_iter().flat_map(|chunk| snapshot.twins(chunk));
    Ok(twins
        .map(|twin| snapshot.chunk(twin))
        .collect::<Result<_, _>>()?)
}

/// A stored chunk as the evaluation sees it.
pub(crate) fn stored(stored: &StoredChunk) -> Passage<'_> {
    Passage {
        id: &stored.chunk_id,
        uri: &stored.uri,
        start: stored.chunk.span.start,
        end: stored.chunk.span.end,
    }
}

fn passage(source: &Source) -> Passage<'_> {
    Passage {
        id: &source.chunk_id,
        uri: &source.uri,
        start: source.start,
        end: source.end,
    }
}

impl Retriever for Documents<'_> {
    type Error = SearchError;

    fn retrieve(&self, question: &Question, depth: usize) -> Result<Retrieved, Self::Error> {
        let chunks = chunks(self.mode.search, self.candidates, depth);
        let request = SearchRequest {
            top_k: chunks,
            candidates: chunks,
            mode: self.mode.search,
            rerank: self.mode.rerank,
            expand: match self.mode.hop {
                true => Expand::Hop,
                false => Expand::None,
            },
            ..SearchRequest::new(&question.text, self.collection)
        };
        let response = self.engine.search_blocking(&request, self.cancel)?;
        let index = self.engine.collection(self.collection)?;
        let snapshot = index.snapshot();
        let mut copies = Vec::new();
        for (at, source) in response.sources.iter().enumerate() {
            if source.copies > 0 {
                copies.extend(
                    others(&snapshot, source)?
                        .into_iter()
                        .map(|copy| (at, copy)),
                );
            }
        }
        let mut copies = copies.iter().peekable();
        let mut ranked = Vec::with_capacity(response.sources.len());
        for (at, source) in response.sources.iter().enumerate() {
            ranked.push((passage(source), source.score));
            while let Some((_, copy)) = copies.next_if(|(of, _)| *of == at) {
                ranked.push((stored(copy), source.score));
            }
        }
        Ok(Retrieved {
            hits: hits(question, ranked.into_iter(), depth),
            spans: response.sources.iter().map(|s| passage(s).span()).collect(),
            timings_ms: response.timings_ms,
            degraded: response.degraded,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<&'static str>, String> {
        let words: Vec<String> = text.split(',').map(str::to_owned).collect();
        Ok(modes(&words)?.into_iter().map(EvalMode::name).collect())
    }

    #[test]
    fn modes_read_in_their_order_and_once() {
        assert_eq!(
            names("all").unwrap(),
            [
                "bm25",
                "dense",
                "hybrid",
                "hybrid+rerank",
                "hybrid+hop+rerank"
            ]
        );
        assert_eq!(names("hybrid, lexical,bm25").unwrap(), ["hybrid", "bm25"]);
        assert_eq!(names("dense+rerank").unwrap(), ["dense+rerank"]);
        let hops = modes(&["hybrid+hop".into(), "hybrid+hop+rerank".into()]).unwrap();
        let hops: Vec<_> = hops.iter().map(|mode| (mode.hop, mode.rerank)).collect();
        assert_eq!(hops, [(true, false), (true, true)]);
        assert!(
            names("hybrid,fuzzy")
                .unwrap_err()
                .contains("`fuzzy` is none of all, bm25")
        );
    }
}
