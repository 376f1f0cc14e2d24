//! The models, applied to texts outside any collection: those of other programs.

use cairn_indexer::pool;
use cairn_models::{Cancel, Embedder};

use super::engine::Engine;
use super::error::{SearchError, SearchErrorKind};
use super::{question, rerank};

/// The embedder's result for some texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One for each text, in their order; each of length 1.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts, without special tokens.
    pub tokens: usize,
}

/// The re-ranker's result for some texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// One for each text, in their order: the model's raw score, which for the built-in models and
    /// for cross-encoders is log-odds. `None` if the model's vocabulary does not cover the text or
    /// the question.
    pub scores: Vec<Option<f32>>,
    /// Tokens of the question and of all texts, as far as they count.
    pub tokens: usize,
}

impl Engine {
    /// The vectors of `texts`. As with chunks, a text longer than `chunking.embed_window` is
    /// embedded in windows of similar size, and its vector is their mean. Blocks while the model
    /// runs, behind the queue of questions.
    ///
    /// # Errors
    ///
    /// [`SearchErrorKind::NotFound`] without an embedder, [`SearchErrorKind::Overloaded`],
    /// [`SearchErrorKind::Cancelled`], [`SearchErrorKind::Internal`].
    pub fn embed_texts(&self, texts: &[&str], cancel: &Cancel) -> Result<Embedded, SearchError> {
        let embedder = self.question_embedder().ok_or_else(|| {
            let message = "no embedding model is loaded; set models.embedder";
            SearchError::new(SearchErrorKind::NotFound, message)
        })?;
        Ok(embed(&*embedder, self.0.embed_window, texts, cancel)?)
    }

    /// How well each of `texts` answers `question`; only the first `most_tokens` tokens of a text
    /// count. A text longer than the model reads at once is judged by the best of its
    /// `retrieval.rerank.windows` windows. Blocks while the model runs, a few texts at a time
    /// behind its queue.
    ///
    /// # Errors
    ///
    /// [`SearchErrorKind::NotFound`] without a re-ranker, [`SearchErrorKind::BadRequest`]
    /// names `query`, [`SearchErrorKind::Overloaded`], [`SearchErrorKind::Cancelled`],
    /// [`SearchErrorKind::Internal`].
    pub fn judge_texts(
        &self,
        question: &str,
        texts: &[&str],
        most_tokens: usize,
        cancel: &Cancel,
    ) -> Result<Judged, SearchError> {
        let question = question::clean(question, self.0.max_query_bytes)?;
        let reranker = self.question_reranker().ok_or_else(|| {
            let message = "no re-ranking model is loaded; set models.reranker";
            SearchError::new(SearchErrorKind::NotFound, message)
        })?;
        let mut tokens = reranker.token_spans(&question)?.len();
        let mut heads = Vec::with_capacity(texts.len());
        for text in texts {
            cancel.check()?;
            let (head, used) = rerank::head(&*reranker, text, most_tokens)?;
            tokens += used;
            heads.push(head);
        }
        let windows = self.0.options.rerank.windows;
        let scores = rerank::read_all(&*reranker, &question, &heads, windows, cancel)?;
        Ok(Judged { scores, tokens })
    }
}

fn embed(
    embedder: &dyn Embedder,
    window: usize,
    texts: &[&str],
    cancel: &Cancel,
) -> cairn_models::Result<Embedded> {
    let window = window.min(embedder.window());
    let room = window.saturating_sub(embedder.special_tokens());
    let room = room.max(1);
    let (mut inputs, mut tokens) = (Vec::with_capacity(texts.len()), 0);
    let mut counts = Vec::with_capacity(texts.len());
    for &text in texts {
        cancel.check()?;
        let spans = embedder.token_spans(text)?;
        tokens += spans.len();
        let before = inputs.len();
        match spans.len().div_ceil(room) {
            0 | 1 => inputs.push(text),
            count => {
                // Of similar size, since each has the same weight.
                let windows = spans.chunks(spans.len().div_ceil(count));
                let ends = windows.filter_map(|window| Some((window.first()?, window.last()?)));
                inputs.extend(ends.map(|(first, last)| &text[first.start..last.end]));
            }
        }
        counts.push(inputs.len() - before);
    }
    let all = embedder.embed(&inputs, cancel)?;
    let mut left = &all[..];
    let vectors = counts.into_iter().map(|count| {
        let (own, later) = left.split_at(count);
        left = later;
        pool(own)
    });
    Ok(Embedded {
        vectors: vectors.collect(),
        tokens,
    })
}

#[cfg(test)]
mod tests {
    use cairn_models::testing::{HashEmbedder, ScriptedEmbedder};

    use super::*;

    #[test]
    fn a_long_text_is_the_mean_of_windows_of_like_sizes() {
        let embedder = ScriptedEmbedder::new(|texts: &[&str], cancel: &Cancel| {
            for text in texts {
                assert!(HashEmbedder.token_spans(text)?.len() + 2 <= 8, "{text}");
            }
            HashEmbedder.embed(texts, cancel)
        });
        let embed = |texts: &[&str], cancel: &Cancel| embed(&embedder, 8, texts, cancel);
        let never = Cancel::never();
        let texts = [
            "one two",
            "a b c d e f g h",
            "",
            "six words fit into one window",
        ];
        let embedded = embed(&texts, &never).unwrap();
        assert_eq!(embedded.tokens, 2 + 8 + 6);
        let own = |texts: &[&str]| HashEmbedder.embed(texts, &never).unwrap();
        let halves = own(&["a b c d", "e f g h"]);
        let expected = [own(&texts[..1]), vec![pool(&halves)], own(&texts[2..])].concat();
        assert_eq!(embedded.vectors, expected);
        let long = "word ".repeat(1001);
        let embedded = embed(&[&long, "word"], &never).unwrap();
        assert_eq!((embedded.tokens, embedded.vectors.len()), (1002, 2));
        never.cancel();
        assert!(embed(&texts, &never).is_err());
    }
}
