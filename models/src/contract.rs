//! The three things a model can do. Implementations are synchronous and
//! thread-safe; the caller decides on which thread they run.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::{Cancel, Grammar, Result};

/// Byte ranges of the tokens of one text, in order, without special tokens.
pub type TokenSpans = Vec<std::ops::Range<usize>>;

/// Texts to unit vectors.
pub trait Embedder: Send + Sync {
    /// Identity of weights and pooling, e.g. `all-MiniLM-L6-v2@53aa5117`.
    /// Vectors of different ids are never compared.
    fn id(&self) -> &str;

    /// Length of every vector.
    fn dimension(&self) -> usize;

    /// Most tokens of one input that the model sees, special tokens included.
    /// [`Embedder::embed`] cuts what is longer.
    fn window(&self) -> usize;

    /// Special tokens that the model adds to one input (2 for BERT).
    fn special_tokens(&self) -> usize;

    /// Byte spans of the tokens of `text`: untruncated, without special tokens.
    fn token_spans(&self, text: &str) -> Result<TokenSpans>;

    /// The share of the letters of `text`, 0 to 1, that the vocabulary has words for: near
    /// 1 in languages like those that the model was trained on, near 0 in a script that was
    /// not part of its training. What it makes of such a text is noise.
    fn readable_share(&self, text: &str) -> Result<f32> {
        let _ = text;
        Ok(1.0)
    }

    /// One vector of [`Embedder::dimension`] floats and length 1 for each text,
    /// in the order of `texts`. An empty text has a vector too. The result for
    /// a text does not depend on the texts around it (to 1e-5 in cosine).
    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>>;

    /// Floating-point operations of one text of `tokens` tokens, for reports of
    /// speed; 0 where the model does not say.
    fn operations(&self, tokens: usize) -> f64 {
        let _ = tokens;
        0.0
    }

    /// Where it computes, for reports: `cpu`, `cuda:0` or `metal`.
    fn device(&self) -> &str {
        "cpu"
    }
}

/// The weight in [`Reranker::calibrated`] of log-odds that are neither timid nor overconfident.
pub(crate) const LOG_ODDS_WEIGHT: f32 = 0.12;

/// Share of the letters of a text that a model must have words for, see
/// [`Reranker::readable_share`]: below, what it says is noise. Languages in the script of its
/// own have .7 and more, those of other scripts .1 and less, so that the bound itself
/// matters little.
pub const MIN_READABLE_SHARE: f32 = 0.5;

/// Log-odds below which differences say little: one passage in 400.
const NOISE_LOG_ODDS: f32 = -6.0;

/// Log-odds on the scale of fused scores: proportional to `weight` where they are
/// informative, and levelling out to 0 below one in 400, where their order is noise
/// (softplus, ln(1 + e^x), of their distance from there).
pub(crate) fn calibrated_log_odds(score: f32, weight: f32) -> f32 {
    let above = score - NOISE_LOG_ODDS;
    // Large ones are themselves, and would overflow.
    let softplus = above.max(0.0) + (-above.abs()).exp().ln_1p();
    weight * softplus
}

/// A query and passages to relevance scores, by reading both together.
pub trait Reranker: Send + Sync {
    /// Identity of the weights.
    fn id(&self) -> &str;

    /// Most tokens of query, passage and special tokens together; longer
    /// passages are cut.
    fn window(&self) -> usize;

    /// Byte spans of the tokens of `text`, so that a caller can cut windows.
    fn token_spans(&self, text: &str) -> Result<TokenSpans>;

    /// The share of the letters of `text`, 0 to 1, that the vocabulary has words for: near
    /// 1 in languages like those that the model was trained on, near 0 in a script that was
    /// not part of its training. What it makes of such a text is noise.
    fn readable_share(&self, text: &str) -> Result<f32> {
        let _ = text;
        Ok(1.0)
    }

    /// One score for each passage; larger is more relevant. Scores are
    /// comparable within one query only, unless the model card says more.
    fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>>;

    /// A score on the scale of fused scores, of which 1 is the best that searches can give;
    /// grows with the score. The default is for log-odds, as cross-encoders give them.
    fn calibrated(&self, score: f32) -> f32 {
        calibrated_log_odds(score, LOG_ODDS_WEIGHT)
    }

    /// Where it computes, for reports: `cpu`, `cuda:0` or `metal`.
    fn device(&self) -> &str {
        "cpu"
    }

    /// The same model as one that reads passages without a question; `None` if it reads
    /// both together.
    fn late_interaction(&self) -> Option<&dyn LateInteraction> {
        None
    }
}

/// A re-ranker whose reading of a passage does not depend on the question: it is done
/// once and kept, and questions are compared with what was kept.
pub trait LateInteraction: Send + Sync {
    /// Names the weights and how states are packed: those under another name are of no use.
    fn states_id(&self) -> &str;

    /// Reads whole passages, each a title, which may be empty, and a text; returns their
    /// packed states. Those of a passage that the model cannot read are empty.
    ///
    /// # Errors
    /// `Cancelled`, `InvalidInput` if a text cannot be tokenized.
    fn read_passages(
        &self,
        passages: &[(&str, &str)],
        effort: Effort,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<u8>>>;

    /// The score of each passage by its packed states, comparable with those of
    /// [`Reranker::score`]; `None` if they are empty or not states.
    ///
    /// # Errors
    /// `Cancelled`, `InvalidInput` if the question cannot be tokenized.
    fn compare(
        &self,
        question: &str,
        states: &[&[u8]],
        cancel: &Cancel,
    ) -> Result<Vec<Option<f32>>>;
}

/// How much of the machine a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// One core, so that others are served meanwhile.
    OneCore,
    /// All cores that the model was given.
    Full,
}

/// A passage as a [`Reader`] takes it.
#[derive(Clone, Copy, Debug)]
pub struct ReaderPassage<'a> {
    /// Title and headings above it; may be empty.
    pub place: &'a str,
    /// Its text; of what exceeds the model's window nothing is read.
    pub text: &'a str,
    /// Byte ranges of the text, in order and disjoint, that are scored: sentences, lines.
    pub segments: &'a [Range<usize>],
}

/// A question and passages to how well each segment of a passage answers, by reading
/// both together.
pub trait Reader: Send + Sync {
    /// Identity of the weights.
    fn id(&self) -> &str;

    /// For each passage, the log-odds that each of its segments answers; comparable
    /// across passages. Minus infinity for a segment of which nothing was read.
    fn read(
        &self,
        question: &str,
        passages: &[ReaderPassage<'_>],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>>;
}

/// Who said a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions of the operator.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
}

/// What to write, and how.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    /// The conversation so far; the model writes the next assistant turn.
    pub messages: Vec<Message>,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// 0 is greedy; otherwise logits are divided by it before sampling.
    pub temperature: f32,
    /// Nucleus sampling: the smallest set of tokens with this mass.
    pub top_p: f32,
    /// More than 1 makes tokens of the last 64 less likely; 1 changes nothing.
    pub repeat_penalty: f32,
    /// The same seed and request give the same text.
    pub seed: u64,
    /// Writing ends before the first of these; they are not part of the text. A call that
    /// `grammar` asks for is not ended by them.
    pub stop: Vec<String>,
    /// What the text may be. A call is whole whatever `max_tokens` is: if not even the
    /// shortest fits, nothing is written and the error is `InvalidInput`.
    pub grammar: Option<Arc<Grammar>>,
}

impl Default for GenerateRequest {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            max_tokens: 256,
            temperature: 0.0,
            top_p: 0.95,
            repeat_penalty: 1.1,
            seed: 42,
            stop: Vec::new(),
            grammar: None,
        }
    }
}

/// Why the writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model was done, a stop sequence came, or the call of a grammar was whole.
    Stop,
    /// `max_tokens` or the context was full.
    Length,
    /// The caller cancelled.
    Cancelled,
}

/// Figures of one finished generation; its text went to the callback.
#[derive(Clone, Copy, Debug)]
pub struct Generation {
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Tokens read.
    pub prompt_tokens: usize,
    /// Tokens written.
    pub completion_tokens: usize,
    /// From the call to the first written token.
    pub first_token: Duration,
}

/// A conversation to its next turn, token by token.
pub trait Generator: Send + Sync {
    /// Identity of the weights.
    fn id(&self) -> &str;

    /// Most tokens of prompt and answer together.
    fn context_tokens(&self) -> usize;

    /// Tokens in `text`, for budgets.
    fn count_tokens(&self, text: &str) -> Result<usize>;

    /// Writes the next turn. `on_text` gets each piece of text as soon as it is
    /// whole characters and cannot be part of a stop sequence. Cancellation
    /// ends the call with `Ok` and [`FinishReason::Cancelled`].
    fn generate(
        &self,
        request: &GenerateRequest,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_odds_are_worth_nothing_in_the_noise_and_themselves_above() {
        let calibrated = |score| calibrated_log_odds(score, 0.5);
        assert!((calibrated(NOISE_LOG_ODDS) - 0.5 * std::f32::consts::LN_2).abs() < 1e-6);
        assert!(calibrated(-20.0) < 1e-5 && calibrated(f32::NEG_INFINITY) == 0.0);
        assert!((calibrated(4.0) - 5.0).abs() < 1e-4);
        assert_eq!(calibrated(2000.0), 1003.0);
        assert!(calibrated(f32::NAN).is_nan());
        let scores: Vec<f32> = (-80..80).map(|at| calibrated(at as f32 / 8.0)).collect();
        assert!(scores.is_sorted_by(|a, b| a < b), "{scores:?}");
    }
}
