//! Tokens that keep a text within a [`Grammar`], and within the tokens that are left.

use super::grammar::{Acceptor, Grammar};
use super::sample::Sampler;
use super::vocabulary::Vocabulary;
use crate::{Error, ErrorKind, Result};

/// A text that is being written under a grammar.
pub(super) struct Constraint<'a> {
    vocabulary: &'a Vocabulary,
    written: Acceptor<'a>,
    /// Where a token is tried.
    trial: Acceptor<'a>,
    rest: Vec<u8>,
}

impl<'a> Constraint<'a> {
    /// For a text of at most `most` tokens.
    ///
    /// # Errors
    /// `InvalidInput` if a call must be made and the shortest takes more, or if the model
    /// has no tokens to write it with.
    pub(super) fn new(
        grammar: &'a Grammar,
        vocabulary: &'a Vocabulary,
        most: usize,
    ) -> Result<Self> {
        let written = Acceptor::new(grammar);
        let mut rest = Vec::new();
        written.rest(&mut rest);
        let needed = vocabulary.count(&rest);
        // An answer in words may be cut anywhere.
        if !grammar.may_answer() && needed.is_none_or(|needed| needed > most) {
            let message = match needed {
                Some(needed) => format!(
                    "the shortest call of a function takes {needed} tokens, and there is room for {most}; allow more"
                ),
                None => "the model's tokenizer cannot write calls of functions".to_owned(),
            };
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(Self {
            vocabulary,
            trial: written.clone(),
            written,
            rest,
        })
    }

    /// The next token, of `left` that may be written. The logits are changed on the way.
    ///
    /// # Errors
    /// `InvalidInput` if the model has no token to go on with.
    pub(super) fn choose(
        &mut self,
        sampler: &mut Sampler,
        logits: &mut [f32],
        written: &[u32],
        left: usize,
    ) -> Result<u32> {
        sampler
            .next_among(logits, written, &mut |token| self.admits(token, left))
            .ok_or_else(|| {
                let message = "the model's tokenizer cannot write what its grammar asks for";
                Error::new(ErrorKind::InvalidInput, message)
            })
    }

    /// Takes the token that was chosen.
    pub(super) fn push(&mut self, token: u32) {
        self.written.push(self.vocabulary.bytes(token));
    }

    /// Whether the text is whole and nothing can follow.
    pub(super) fn is_over(&self) -> bool {
        self.written.is_over()
    }

    /// Whether the text began as a call.
    pub(super) fn is_call(&self) -> bool {
        self.written.is_call()
    }

    /// Whether `token` may come next and leaves enough of `left` tokens, itself included, to
    /// end a call.
    fn admits(&mut self, token: u32, left: usize) -> bool {
        if self.vocabulary.ends_turn(token) {
            return self.written.may_end();
        }
        let bytes = self.vocabulary.bytes(token);
        if bytes.is_empty() {
            return false;
        }
        self.trial.copy(&self.written);
        if !self.trial.push(bytes) {
            return false;
        }
        // No text takes more tokens than bytes; only near the end they are counted.
        if self.vocabulary.writes_every_byte() && self.trial.rest_len() < left {
            return true;
        }
        self.trial.rest(&mut self.rest);
        let needed = self.vocabulary.count(&self.rest);
        needed.is_some_and(|needed| needed < left)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use serde_json::{Value, json};

    use super::super::grammar::check::check;
    use super::*;
    use crate::GenerateRequest;

    /// Every byte, pieces of JSON and words, a control token and the end of a turn.
    fn vocabulary() -> Vocabulary {
        let mut tokens: Vec<Box<[u8]>> = (0..=255).map(|byte: u8| [byte].into()).collect();
        for piece in [
            "{\"",
            "\":",
            "\",\"",
            "\"}",
            "}}",
            "\"}}",
            " \"",
            "tool",
            "arguments",
            "query",
            "lim",
            "it",
            "true",
            "false",
            "null",
            "12",
            "3.5",
            "[]",
            "{}",
            " the",
            "tide",
            "é",
            "世界",
            "\\n",
            ", ",
            "search",
            "\n",
        ] {
            tokens.push(piece.as_bytes().into());
        }
        tokens.push(Box::default());
        tokens.push(Box::default());
        let end = u32::try_from(tokens.len()).unwrap() - 1;
        Vocabulary::new(tokens, vec![end])
    }

    fn search() -> Value {
        json!({
            "type": "object",
            "properties": {
                "query": {"type": "string", "minLength": 2, "maxLength": 30},
                "limit": {"type": "integer", "minimum": 1, "maximum": 20},
                "order": {"enum": ["newest", "best", 7, null]},
                "exact": {"type": "boolean"},
                "weights": {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 3},
                "filter": {
                    "type": "object",
                    "properties": {"path": {"type": ["string", "null"]}, "größe": {"type": "integer"}},
                    "required": ["path"],
                    "additionalProperties": false
                },
                "more": {}
            },
            "required": ["query", "order", "filter"],
            "additionalProperties": false
        })
    }

    /// Writes with random logits, of which that of the first token may be raised; the text,
    /// its tokens, and whether it ended by itself.
    fn write(
        grammar: &Grammar,
        most: usize,
        temperature: f32,
        seed: u64,
        first: Option<u8>,
    ) -> (Vec<u8>, usize, bool) {
        let vocabulary = vocabulary();
        let mut random = StdRng::seed_from_u64(seed);
        let mut sampler = Sampler::new(&GenerateRequest {
            temperature,
            seed,
            ..GenerateRequest::default()
        })
        .unwrap();
        let mut constraint = Constraint::new(grammar, &vocabulary, most).unwrap();
        let (mut written, mut text) = (Vec::new(), Vec::new());
        while written.len() < most && !constraint.is_over() {
            // More than there are tokens, as in models whose rows are padded.
            let mut logits: Vec<f32> = (0..300).map(|_| random.random::<f32>() * 8.0).collect();
            if let Some(first) = first.filter(|_| written.is_empty()) {
                logits[usize::from(first)] = 100.0;
            }
            let left = most - written.len();
            let token = constraint
                .choose(&mut sampler, &mut logits, &written, left)
                .unwrap();
            if vocabulary.ends_turn(token) {
                return (text, written.len(), true);
            }
            written.push(token);
            constraint.push(token);
            text.extend_from_slice(vocabulary.bytes(token));
        }
        (text, written.len(), constraint.is_over())
    }

    #[test]
    fn every_text_of_random_logits_is_a_call_that_keeps_to_the_schema() {
        let schemas = [("search", search()), ("now", json!({})), ("see", search())];
        let functions = || schemas.iter().map(|(name, schema)| (*name, schema));
        let grammar = Grammar::calls(functions(), false).unwrap();
        for seed in 0..500 {
            // From hardly enough for the longest call to more than any takes.
            let most = [80, 100, 150, 300, 2000][seed as usize % 5];
            let temperature = [0.0, 1.0][seed as usize % 2];
            let (text, tokens, ended) = write(&grammar, most, temperature, seed, None);
            let text = String::from_utf8(text).unwrap();
            assert!(ended && tokens <= most, "{tokens} of {most}: {text}");
            let call: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
            let name = call["tool"].as_str().unwrap();
            let (_, schema) = schemas.iter().find(|(known, _)| *known == name).unwrap();
            assert_eq!(check(schema, &call["arguments"]), Ok(()), "{text}");
            assert!(call["arguments"].is_object());
            assert_eq!(call.as_object().unwrap().len(), 2);
        }
    }

    #[test]
    fn a_call_is_made_with_as_few_tokens_as_it_needs_and_refused_with_fewer() {
        let schema = search();
        let grammar = Grammar::calls([("search", &schema)], false).unwrap();
        let vocabulary = vocabulary();
        let mut rest = Vec::new();
        Acceptor::new(&grammar).rest(&mut rest);
        let least = vocabulary.count(&rest).unwrap();
        let (text, tokens, ended) = write(&grammar, least, 0.0, 1, None);
        assert_eq!((tokens, ended), (least, true));
        let call: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(check(&schema, &call["arguments"]), Ok(()));
        let error = Constraint::new(&grammar, &vocabulary, least - 1)
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&least.to_string()), "{error}");
    }

    #[test]
    fn words_or_a_call_but_never_half_a_call() {
        let schema = search();
        let grammar = Grammar::calls([("search", &schema)], true).unwrap();
        for seed in 0..300 {
            let most = [1, 3, 60, 120][seed as usize % 4];
            let first = [b'{', b'T'][seed as usize % 8 / 4];
            let (text, tokens, _) = write(&grammar, most, 0.0, seed, Some(first));
            assert!((1..=most).contains(&tokens), "{tokens} of {most}");
            // Where no call fits, its bracket is not a choice.
            let is_call = first == b'{' && most == 120;
            assert!(text[0] == b'{' || !is_call, "{}", text.escape_ascii());
            if text[0] == b'{' {
                let call: Value = serde_json::from_slice(&text).unwrap();
                assert_eq!(check(&schema, &call["arguments"]), Ok(()));
            }
        }
    }
}
