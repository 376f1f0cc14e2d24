//! The embedder and the re-ranker of this service as other programs use them: what they are
//! called, and which texts they take.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::error::{ApiError, Code, Result};
use super::limits::check_model_name;
use cairn_engine::retrieve::Engine;

/// Bytes of a body: 2,048 passages of 4,000 letters.
pub(super) const BODY_BYTES: usize = 8 << 20;
/// Values of a body, so that lists of token ids are told what they are.
pub(super) const MAX_VALUES: usize = 1_000_000;
/// Most texts to embed in one request, as many as OpenAI takes.
pub(super) const MAX_INPUTS: usize = 2048;
/// Most texts to re-rank in one request.
pub(super) const MAX_DOCUMENTS: usize = 1000;
/// Longest text, in bytes.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// A model of this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Texts to vectors.
    Embedding,
    /// A question and texts to scores.
    Reranking,
}

impl Kind {
    /// The id of the model, `name@digits` where the digits are of the checksum of its
    /// weights; `None` if none is loaded.
    pub(super) fn id(self, engine: &Engine) -> Option<String> {
        match self {
            Self::Embedding => engine.embedder().map(|model| model.id().to_owned()),
            Self::Reranking => engine.reranker().map(|model| model.id().to_owned()),
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Embedding => ("embedding", "models.embedder"),
            Self::Reranking => ("re-ranking", "models.reranker"),
        }
    }

    /// The id of the loaded model, if a request may name it `wanted`: by its id, or by its
    /// name alone.
    ///
    /// # Errors
    /// `invalid_request` for what no model is called, `not_found` says which one there is.
    pub(super) fn named(self, engine: &Engine, wanted: Option<&str>) -> Result<String> {
        if let Some(wanted) = wanted {
            check_model_name(wanted)?;
        }
        let (kind, setting) = self.words();
        let Some(id) = self.id(engine) else {
            let message = format!("no {kind} model is loaded; set {setting}");
            return Err(ApiError::new(Code::NotFound, message));
        };
        let name = id.split('@').next().unwrap_or_default();
        match wanted {
            Some(wanted) if wanted != id && wanted != name => {
                let message = format!(
                    "there is no {kind} model `{wanted}` here; `model` may be `{name}` or `{id}`"
                );
                Err(ApiError {
                    param: Some("model".to_owned()),
                    ..ApiError::new(Code::NotFound, message)
                })
            }
            _ => Ok(id),
        }
    }
}

/// Texts to embed, as a request holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// One text.
    One(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// Numbers of tokens, or lists of them.
    Tokens,
}

impl Input {
    /// The texts, of the field `field`.
    ///
    /// # Errors
    /// `invalid_request` for token ids and for what [`check_texts`] refuses.
    pub(super) fn into_texts(self, field: &str) -> Result<Vec<String>> {
        let texts = match self {
            Self::One(text) => {
                check_length(field, &text)?;
                return Ok(vec![text]);
            }
            Self::Texts(texts) => texts,
            Self::Tokens => {
                let message = format!(
                    "`{field}` holds token ids, which only their own tokenizer can read; send \
                     texts (in LangChain's OpenAIEmbeddings: check_embedding_ctx_length=False)"
                );
                return Err(ApiError::invalid(field, message));
            }
        };
        check_texts(field, texts.iter().map(String::as_str), MAX_INPUTS)?;
        Ok(texts)
    }
}

/// Refuses no texts, more than `most` of them, and a text that is too long.
///
/// # Errors
/// `invalid_request` names `field`, or the text in it.
pub(super) fn check_texts<'a>(
    field: &str,
    texts: impl ExactSizeIterator<Item = &'a str>,
    most: usize,
) -> Result<()> {
    if !(1..=most).contains(&texts.len()) {
        let message = format!("`{field}` takes 1 to {most} texts, not {}", texts.len());
        return Err(ApiError::invalid(field, message));
    }
    texts
        .enumerate()
        .try_for_each(|(at, text)| check_length(&format!("{field}[{at}]"), text))
}

fn check_length(field: &str, text: &str) -> Result<()> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!(
            "`{field}` has {} bytes; a text has at most {MAX_TEXT_BYTES}, so cut it",
            text.len()
        );
        return Err(ApiError::invalid(field, message));
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Texts)
    }
}

/// Reads [`Input`]; builds nothing of token ids.
struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Input, E> {
        Ok(Input::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Input, A::Error> {
        let mut texts = Vec::new();
        while let Some(item) = items.next_element()? {
            match item {
                Item::Text(text) => texts.push(text),
                Item::Token => {
                    while items.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Input::Tokens);
                }
            }
        }
        Ok(Input::Texts(texts))
    }
}

/// One of a list.
enum Item {
    Text(String),
    /// A number, or a list of what should be numbers.
    Token,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Item, E> {
                Ok(Item::Text(text.to_owned()))
            }

            fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Item, E> {
                Ok(Item::Token)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Item, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Item::Token)
            }
        }
        deserializer.deserialize_any(One)
    }
}

/// A score for people and for thresholds: the probability that log-odds stand for, 0 to 1,
/// which grows with them. 0 for a text that the model has no words for.
pub(super) fn probability(log_odds: Option<f32>) -> f64 {
    log_odds.map_or(0.0, |score| 1.0 / (1.0 + (-f64::from(score)).exp()))
}

/// Places of the texts, the best first; equal ones, and those without a score, in the order
/// in which they came.
pub(super) fn ranking(scores: &[Option<f32>]) -> Vec<usize> {
    let key = |at: &usize| scores[*at].unwrap_or(f32::NEG_INFINITY);
    let mut places: Vec<usize> = (0..scores.len()).collect();
    places.sort_by(|a, b| key(b).total_cmp(&key(a)));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Input, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn texts_are_told_from_token_ids() {
        let texts = |texts: &[&str]| Input::Texts(texts.iter().map(|&t| t.to_owned()).collect());
        assert_eq!(read(r#""a""#).unwrap(), Input::One("a".to_owned()));
        assert_eq!(read(r#"["a","b"]"#).unwrap(), texts(&["a", "b"]));
        assert_eq!(read("[]").unwrap(), texts(&[]));
        for tokens in ["[1,2]", "[[1,2],[3]]", r#"["a",1,"b"]"#, "[[]]"] {
            assert_eq!(read(tokens).unwrap(), Input::Tokens, "{tokens}");
        }
        for wrong in ["7", "null", "{}", "[null]", "[{}]", "[true]"] {
            let message = read(wrong).unwrap_err().to_string();
            assert!(message.contains("expected a text"), "{wrong}: {message}");
        }
    }

    #[test]
    fn log_odds_become_probabilities_in_the_same_order() {
        let scores = [Some(0.5), None, Some(-2.0), Some(9.0), None, Some(0.5)];
        assert_eq!(ranking(&scores), [3, 0, 5, 2, 1, 4]);
        let of = |score| probability(Some(score));
        assert_eq!((of(0.0), probability(None)), (0.5, 0.0));
        assert!((of(2.0) - 0.880_797).abs() < 1e-6 && (of(2.0) + of(-2.0) - 1.0).abs() < 1e-12);
        for extreme in [-1e30, -100.0, 100.0, 1e30] {
            assert!((0.0..=1.0).contains(&of(extreme)), "{extreme}");
        }
    }
}
