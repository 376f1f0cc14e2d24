//! How much of a text a model can read, told by its vocabulary.
//!
//! A vocabulary is learned from what the model was trained on. Of a script that was
//! not part of it, it has no words: each letter is a token of its own, or unknown. A
//! model then knows the letters, if that, and what it says of the text is noise.

use tokenizers::{ModelWrapper, Tokenizer};

use crate::Result;

/// Single characters in the vocabulary of a model that reads a script whose characters
/// are words: whoever reads Chinese knows two thousand of them. BERT's English
/// vocabulary has 244.
const CHARACTERS_OF_A_READER: usize = 2_000;

/// Letters of a text beyond which the rest is taken to be like them.
const LETTERS_TO_LOOK_AT: usize = 2_000;

/// What a vocabulary says about letters.
pub(crate) struct Legibility {
    unknown: Option<u32>,
    /// Whether a letter that is a token of its own counts as not read.
    words_are_longer: bool,
}

impl Legibility {
    /// Of the vocabulary of `tokenizer`.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Self {
        let unknown = match tokenizer.get_model() {
            ModelWrapper::WordPiece(model) => tokenizer.token_to_id(&model.unk_token),
            ModelWrapper::Unigram(_) | ModelWrapper::BPE(_) | ModelWrapper::WordLevel(_) => {
                tokenizer
                    .token_to_id("<unk>")
                    .or_else(|| tokenizer.token_to_id("[UNK]"))
            }
        };
        let is_character = |token: &String| {
            let mut chars = token.chars();
            chars
                .next()
                .is_some_and(|c| !c.is_ascii() && c.is_alphabetic())
                && chars.next().is_none()
        };
        let words_are_longer = match tokenizer.get_model() {
            ModelWrapper::WordPiece(_) => {
                let vocabulary = tokenizer.get_vocab(false);
                vocabulary
                    .keys()
                    .filter(|token| is_character(token))
                    .count()
                    < CHARACTERS_OF_A_READER
            }
            // Pieces of bytes or of running text: one letter may be all there is.
            _ => false,
        };
        Self {
            unknown,
            words_are_longer,
        }
    }

    /// The share of the letters of `text` that are in known tokens of two letters or
    /// more; letters of ASCII count as read, and so does a text without letters.
    pub(crate) fn share(
        &self,
        text: &str,
        encode: impl FnOnce(&str) -> Result<tokenizers::Encoding>,
    ) -> Result<f32> {
        let end = text
            .char_indices()
            .filter(|(_, c)| c.is_alphabetic())
            .nth(LETTERS_TO_LOOK_AT)
            .map_or(text.len(), |(at, _)| at);
        let text = &text[..end];
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let plain = text.chars().filter(char::is_ascii_alphabetic).count();
        if plain == letters {
            return Ok(1.0);
        }
        let encoding = encode(text)?;
        let foreign = |span: &str| {
            let letters = span.chars().filter(|c| c.is_alphabetic());
            letters.fold((0, 0), |(all, foreign), c| {
                (all + 1, foreign + usize::from(!c.is_ascii()))
            })
        };
        let mut read = plain;
        for (&id, &(start, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
            let (all, foreign) = foreign(text.get(start..end).unwrap_or_default());
            let is_known = self.unknown != Some(id);
            if is_known && (all > 1 || !self.words_are_longer) {
                read += foreign;
            }
        }
        Ok(read.min(letters) as f32 / letters as f32)
    }
}

#[cfg(test)]
mod tests {
    use crate::Reranker as _;
    use crate::{CrossEncoder, LoadOptions};

    #[test]
    fn an_english_vocabulary_reads_its_own_alphabet() {
        let model = CrossEncoder::builtin("cairn-late-interaction-v2", &LoadOptions::default());
        let model = model.unwrap();
        let share = |text: &str| model.readable_share(text).unwrap();
        for text in [
            "",
            "2788964",
            "where are anchors kept",
            "Kapitän Müller prüft den Kran",
            "Kde jsou uloženy kotvy v přístavu?",
            "how do I fix ERR_404 修复错误",
        ] {
            assert!(share(text) > 0.7, "{text}: {}", share(text));
        }
        for text in [
            "缆绳仓库",
            "中国大学",
            "ﾎﾟﾝﾌﾟ",
            "ポンプはどこにありますか",
            "펌프는 어디에 있습니까",
            "ปั๊มน้ำอยู่ที่ไหน",
            "Где хранятся якоря в порту?",
            "أين المضخة",
            "היכן נשמרים העוגנים",
        ] {
            assert!(share(text) < 0.2, "{text}: {}", share(text));
        }
        assert!(share(&"ปั๊มน้ำ".repeat(100_000)) < 0.2);
    }
}
