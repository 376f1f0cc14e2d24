//! Deterministic twins of the models, without weights: for tests of the rooms
//! above. They obey the same contracts and run in microseconds.

pub mod conformance;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use crate::generator::TextStream;
use crate::{
    Cancel, Effort, Embedder, FinishReason, GenerateRequest, Generation, Generator,
    LateInteraction, Reader, ReaderPassage, Reranker, Result, TokenSpans,
};

fn words(text: &str) -> TokenSpans {
    let mut spans = TokenSpans::new();
    let mut start = None;
    for (at, character) in text.char_indices() {
        if character.is_alphanumeric() {
            start.get_or_insert(at);
            continue;
        }
        if let Some(start) = start.take() {
            spans.push(start..at);
        }
        if !character.is_whitespace() {
            spans.push(at..at + character.len_utf8());
        }
    }
    spans.extend(start.map(|start| start..text.len()));
    spans
}

fn bucket(word: &str, buckets: usize) -> (usize, f32) {
    let mut hasher = DefaultHasher::new();
    word.to_lowercase().hash(&mut hasher);
    let hash = hasher.finish();
    let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
    ((hash % buckets as u64) as usize, sign)
}

/// Feature hashing of words into 64 signed buckets: texts that share words are
/// near each other.
#[derive(Clone, Debug, Default)]
pub struct HashEmbedder;

impl Embedder for HashEmbedder {
    fn id(&self) -> &str {
        "hash-64"
    }

    fn dimension(&self) -> usize {
        64
    }

    fn window(&self) -> usize {
        512
    }

    fn special_tokens(&self) -> usize {
        2
    }

    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        Ok(words(text))
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        cancel.check()?;
        let embed = |text: &&str| {
            // The constant keeps an empty text on the unit sphere.
            let mut vector = vec![1e-3_f32; self.dimension()];
            for span in words(text).into_iter().take(self.window() - 2) {
                let (at, sign) = bucket(&text[span], self.dimension());
                vector[at] += sign;
            }
            let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            vector.iter_mut().for_each(|x| *x /= norm);
            vector
        };
        Ok(texts.iter().map(embed).collect())
    }
}

/// [`HashEmbedder`] with a function that looks at the texts of each call before it: to count,
/// to wait, to cancel or to fail.
pub struct WatchedEmbedder<F>(pub F);

impl<F: Fn(&[&str]) -> Result<()> + Send + Sync> Embedder for WatchedEmbedder<F> {
    fn id(&self) -> &str {
        HashEmbedder.id()
    }

    fn dimension(&self) -> usize {
        HashEmbedder.dimension()
    }

    fn window(&self) -> usize {
        HashEmbedder.window()
    }

    fn special_tokens(&self) -> usize {
        HashEmbedder.special_tokens()
    }

    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        HashEmbedder.token_spans(text)
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        self.0(texts)?;
        HashEmbedder.embed(texts, cancel)
    }
}

/// [`HashEmbedder`] with another id, size or way to embed: for tests that count
/// calls, delay them, or make them fail.
#[derive(Clone, Debug)]
pub struct ScriptedEmbedder<F> {
    /// Its id.
    pub id: String,
    /// Length of the vectors that `embed` gives.
    pub dimension: usize,
    /// Most tokens of one input.
    pub window: usize,
    /// What it does with texts.
    pub embed: F,
}

impl<F> ScriptedEmbedder<F>
where
    F: Fn(&[&str], &Cancel) -> Result<Vec<Vec<f32>>> + Send + Sync,
{
    /// Everything but `embed` is that of [`HashEmbedder`].
    pub fn new(embed: F) -> Self {
        Self {
            id: HashEmbedder.id().to_owned(),
            dimension: HashEmbedder.dimension(),
            window: HashEmbedder.window(),
            embed,
        }
    }
}

impl<F> Embedder for ScriptedEmbedder<F>
where
    F: Fn(&[&str], &Cancel) -> Result<Vec<Vec<f32>>> + Send + Sync,
{
    fn id(&self) -> &str {
        &self.id
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn window(&self) -> usize {
        self.window
    }

    fn special_tokens(&self) -> usize {
        HashEmbedder.special_tokens()
    }

    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        HashEmbedder.token_spans(text)
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        (self.embed)(texts, cancel)
    }
}

/// Scores a passage by the share of the query's words that it holds.
#[derive(Clone, Debug, Default)]
pub struct OverlapReranker;

impl Reranker for OverlapReranker {
    fn id(&self) -> &str {
        "overlap"
    }

    fn calibrated(&self, score: f32) -> f32 {
        score
    }

    fn window(&self) -> usize {
        192
    }

    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        Ok(words(text))
    }

    fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>> {
        cancel.check()?;
        let lower = query.to_lowercase();
        let wanted: Vec<_> = words(&lower).into_iter().map(|span| &lower[span]).collect();
        let score = |passage: &&str| {
            let passage = passage.to_lowercase();
            let held: std::collections::HashSet<_> = words(&passage)
                .into_iter()
                .map(|span| &passage[span])
                .collect();
            let hits = wanted.iter().filter(|word| held.contains(*word)).count();
            hits as f32 / wanted.len().max(1) as f32
        };
        Ok(passages.iter().map(score).collect())
    }
}

/// [`OverlapReranker`] as a model that reads passages alone: its states are title and text.
/// It cannot read a passage that begins with `#`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LateOverlapReranker;

impl Reranker for LateOverlapReranker {
    fn id(&self) -> &str {
        "late-overlap"
    }

    fn calibrated(&self, score: f32) -> f32 {
        OverlapReranker.calibrated(score)
    }

    fn window(&self) -> usize {
        OverlapReranker.window()
    }

    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        OverlapReranker.token_spans(text)
    }

    fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>> {
        OverlapReranker.score(query, passages, cancel)
    }

    fn late_interaction(&self) -> Option<&dyn LateInteraction> {
        Some(self)
    }
}

impl LateInteraction for LateOverlapReranker {
    fn states_id(&self) -> &str {
        "late-overlap"
    }

    fn read_passages(
        &self,
        passages: &[(&str, &str)],
        _: Effort,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<u8>>> {
        cancel.check()?;
        let read = |(title, text): &(&str, &str)| match text.starts_with('#') {
            true => Vec::new(),
            false => format!("{title} {text}").into_bytes(),
        };
        Ok(passages.iter().map(read).collect())
    }

    fn compare(
        &self,
        question: &str,
        states: &[&[u8]],
        cancel: &Cancel,
    ) -> Result<Vec<Option<f32>>> {
        let one = |states: &&[u8]| match std::str::from_utf8(states) {
            Ok(text) if !text.is_empty() => {
                let scores = OverlapReranker.score(question, &[text], cancel)?;
                Ok(scores.first().copied())
            }
            _ => Ok(None),
        };
        states.iter().map(one).collect()
    }
}

/// Scores a segment by the share of the question's longer words that it holds: all of
/// them are worth 4, none -8.
#[derive(Clone, Debug, Default)]
pub struct OverlapReader;

impl Reader for OverlapReader {
    fn id(&self) -> &str {
        "overlap"
    }

    fn read(
        &self,
        question: &str,
        passages: &[ReaderPassage<'_>],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>> {
        cancel.check()?;
        let lower = question.to_lowercase();
        let wanted: Vec<&str> = words(&lower)
            .into_iter()
            .map(|span| &lower[span])
            .filter(|word| word.len() > 3)
            .collect();
        let score = |text: &str| {
            let text = text.to_lowercase();
            let hits = wanted.iter().filter(|word| text.contains(*word)).count();
            12.0 * hits as f32 / wanted.len().max(1) as f32 - 8.0
        };
        let scores = |passage: &ReaderPassage<'_>| {
            let segments = passage.segments.iter();
            segments
                .map(|range| score(&passage.text[range.clone()]))
                .collect()
        };
        Ok(passages.iter().map(scores).collect())
    }
}

/// Writes a fixed script, word by word.
#[derive(Clone, Debug)]
pub struct ScriptedGenerator(pub String);

impl Generator for ScriptedGenerator {
    fn id(&self) -> &str {
        "scripted"
    }

    fn context_tokens(&self) -> usize {
        2048
    }

    fn count_tokens(&self, text: &str) -> Result<usize> {
        Ok(words(text).len())
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation> {
        let start = Instant::now();
        let mut stream = TextStream::new(&request.stop);
        let mut finish_reason = FinishReason::Stop;
        let mut completion_tokens = 0;
        for piece in self.0.split_inclusive(' ') {
            if cancel.is_cancelled() {
                finish_reason = FinishReason::Cancelled;
                break;
            }
            if completion_tokens == request.max_tokens {
                finish_reason = FinishReason::Length;
                break;
            }
            completion_tokens += 1;
            if stream.push(piece.as_bytes(), on_text).is_stopped() {
                break;
            }
        }
        stream.finish(on_text);
        let read: usize = request
            .messages
            .iter()
            .map(|m| words(&m.content).len())
            .sum();
        Ok(Generation {
            finish_reason,
            prompt_tokens: read,
            completion_tokens,
            first_token: start.elapsed(),
        })
    }
}
