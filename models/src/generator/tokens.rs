//! The tokenizer that a GGUF file carries in its metadata: byte-level BPE.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, Tokenizer};

use super::vocabulary::Vocabulary;
use crate::{Error, ErrorKind, Result};

/// Metadata of a GGUF file.
pub(super) type Metadata = HashMap<String, Value>;

/// Types of tokens in GGUF files.
const TYPE_CONTROL: i64 = 3;
const TYPE_USER_DEFINED: i64 = 4;

/// How Qwen2 cuts text into words.
const QWEN2_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Llama 3 does: numbers in groups of three digits.
const LLAMA3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Names of tokens that end a turn in the usual chat formats; files name only
/// one of theirs as the end.
const END_NAMES: [&str; 6] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "</s>",
];

/// A vocabulary in both directions.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    control: Vec<String>,
    bos: Option<String>,
    eos: Option<String>,
    add_bos: Option<u32>,
}

impl Tokens {
    pub(super) fn from_metadata(metadata: &Metadata) -> Result<Self> {
        let model = text(metadata, "tokenizer.ggml.model")?;
        if model != "gpt2" {
            let message = format!(
                "tokenizers of the kind `{model}` are not supported; byte-level BPE (`gpt2`) is"
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let names = texts(metadata, "tokenizer.ggml.tokens")?;
        let types: Vec<i64> = list(metadata, "tokenizer.ggml.token_type")?
            .iter()
            .map(|value| integer(value).unwrap_or(0))
            .collect();
        if types.len() != names.len() {
            return Err(damaged(
                "the list of token types has another length than the tokens",
            ));
        }
        let tokenizer = build(metadata, &names, &types)?;
        let table = byte_of_char();
        let bytes = names
            .iter()
            .zip(&types)
            .map(|(name, &kind)| match kind {
                TYPE_CONTROL => Box::default(),
                TYPE_USER_DEFINED => name.as_bytes().into(),
                _ => name
                    .chars()
                    .filter_map(|c| table.get(&c).copied())
                    .collect(),
            })
            .collect();
        let name_of = |id: Option<u32>| names.get(id? as usize).map(|name| (*name).to_owned());
        let (bos, eos) = (id(metadata, "bos"), id(metadata, "eos"));
        let mut ends: Vec<u32> = [eos, id(metadata, "eot")].into_iter().flatten().collect();
        ends.extend(
            END_NAMES
                .iter()
                .filter_map(|name| tokenizer.token_to_id(name)),
        );
        let add_bos = matches!(
            metadata.get("tokenizer.ggml.add_bos_token"),
            Some(Value::Bool(true))
        );
        Ok(Self {
            tokenizer,
            vocabulary: Vocabulary::new(bytes, ends),
            control: of_type(&names, &types, TYPE_CONTROL)
                .map(str::to_owned)
                .collect(),
            bos: name_of(bos),
            eos: name_of(eos),
            add_bos: bos.filter(|_| add_bos),
        })
    }

    /// Ids of a text; names of control tokens in it become those tokens.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|cause| {
            Error::new(ErrorKind::InvalidInput, "the text cannot be tokenized").because(cause)
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids of a whole prompt: begins as the model was trained to see it.
    pub(super) fn prompt_ids(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.ids(text)?;
        if let Some(bos) = self.add_bos
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// What each token adds to the text.
    pub(super) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Names of the control tokens, such as `<|im_start|>`.
    pub(super) fn control_names(&self) -> &[String] {
        &self.control
    }

    /// Name of the token that begins a text, if there is one.
    pub(super) fn bos(&self) -> &str {
        self.bos.as_deref().unwrap_or_default()
    }

    /// Name of the token that ends a text, if there is one.
    pub(super) fn eos(&self) -> &str {
        self.eos.as_deref().unwrap_or_default()
    }
}

fn build(metadata: &Metadata, names: &[&str], types: &[i64]) -> Result<Tokenizer> {
    let vocabulary: Vocab = (0..)
        .zip(names)
        .map(|(id, name)| ((*name).to_owned(), id))
        .collect();
    let merges = texts(metadata, "tokenizer.ggml.merges")?
        .into_iter()
        .map(|merge| {
            let (left, right) = merge.split_once(' ')?;
            Some((left.to_owned(), right.to_owned()))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| damaged("a merge of the tokenizer is not two tokens"))?;
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .build()
        .map_err(|cause| damaged("the tokenizer's merges do not fit its tokens").because(cause))?;
    let mut tokenizer = Tokenizer::new(model);
    let words = text(metadata, "tokenizer.ggml.pre").unwrap_or("gpt-2");
    if words == "qwen2" {
        tokenizer.with_normalizer(Some(NFC));
    }
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer(words)?));
    let added = |kind, special| {
        of_type(names, types, kind)
            .map(|name| AddedToken::from(name, special).normalized(false))
            .collect::<Vec<_>>()
    };
    tokenizer.add_special_tokens(&added(TYPE_CONTROL, true));
    tokenizer.add_tokens(&added(TYPE_USER_DEFINED, false));
    Ok(tokenizer)
}

/// How a text is cut before merges apply, by the name that llama.cpp gave it.
fn pre_tokenizer(name: &str) -> Result<PreTokenizerWrapper> {
    let by_regex = |regex: &str| {
        let pattern = SplitPattern::Regex(regex.to_owned());
        let split =
            Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(unusable)?;
        let bytes = ByteLevel::new(false, false, false);
        Ok(Sequence::new(vec![split.into(), bytes.into()]).into())
    };
    let gpt2 = ByteLevel::new(false, true, true);
    match name {
        "qwen2" => by_regex(QWEN2_WORDS),
        "llama-bpe" | "llama3" | "llama-v3" | "smaug-bpe" => by_regex(LLAMA3_WORDS),
        "smollm" => Ok(Sequence::new(vec![Digits::new(true).into(), gpt2.into()]).into()),
        "gpt-2" | "gpt2" => Ok(gpt2.into()),
        other => {
            tracing::warn!(
                pre_tokenizer = other,
                "unknown; words are cut as GPT-2 does"
            );
            Ok(gpt2.into())
        }
    }
}

/// The characters by which byte-level BPE writes bytes: printable ones stand
/// for themselves, the others for code points from 256 on (GPT-2's table).
fn byte_of_char() -> HashMap<char, u8> {
    let mut next = 256;
    (0..=255)
        .map(|byte: u8| {
            if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
                return (char::from(byte), byte);
            }
            let stand_in = char::from_u32(next).unwrap_or(char::REPLACEMENT_CHARACTER);
            next += 1;
            (stand_in, byte)
        })
        .collect()
}

fn of_type<'a>(names: &'a [&'a str], types: &'a [i64], kind: i64) -> impl Iterator<Item = &'a str> {
    names
        .iter()
        .zip(types)
        .filter(move |&(_, &own)| own == kind)
        .map(|(name, _)| *name)
}

fn list<'a>(metadata: &'a Metadata, key: &str) -> Result<&'a [Value]> {
    match metadata.get(key) {
        Some(Value::Array(values)) => Ok(values),
        _ => Err(damaged(&format!("there is no list `{key}`"))),
    }
}

fn texts<'a>(metadata: &'a Metadata, key: &str) -> Result<Vec<&'a str>> {
    list(metadata, key)?
        .iter()
        .map(|value| match value {
            Value::String(text) => Ok(text.as_str()),
            _ => Err(damaged(&format!("an entry of `{key}` is not a text"))),
        })
        .collect()
}

pub(super) fn text<'a>(metadata: &'a Metadata, key: &str) -> Result<&'a str> {
    match metadata.get(key) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(damaged(&format!("there is no text `{key}`"))),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match *value {
        Value::U8(v) => Some(v.into()),
        Value::I8(v) => Some(v.into()),
        Value::U16(v) => Some(v.into()),
        Value::I16(v) => Some(v.into()),
        Value::U32(v) => Some(v.into()),
        Value::I32(v) => Some(v.into()),
        Value::U64(v) => v.try_into().ok(),
        Value::I64(v) => Some(v),
        _ => None,
    }
}

fn id(metadata: &Metadata, name: &str) -> Option<u32> {
    let value = metadata.get(&format!("tokenizer.ggml.{name}_token_id"))?;
    integer(value)?.try_into().ok()
}

fn damaged(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

fn unusable(cause: tokenizers::Error) -> Error {
    Error::new(ErrorKind::Corrupt, "the tokenizer cannot be built").because(cause)
}
