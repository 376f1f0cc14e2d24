//! Writing the next turn of a conversation with a GGUF model on the CPU.

mod constrain;
mod grammar;
mod sample;
mod stream;
mod template;
mod tokens;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use candle_core::quantized::gguf_file::Content;

use self::constrain::Constraint;
use self::sample::Sampler;
use self::template::ChatTemplate;
use self::tokens::Tokens;
use crate::decoder::Decoder;
use crate::hub::choose_gguf;
use crate::{
    Cancel, Error, ErrorKind, FinishReason, GenerateRequest, Generation, Generator, Result,
};

pub use self::grammar::Grammar;
pub(crate) use self::stream::TextStream;

/// A language model of the Llama or Qwen2 family.
///
/// Calls from several threads are safe and take turns. What a prompt shares
/// with the one before is not read again.
pub struct GgufGenerator {
    id: String,
    tokens: Tokens,
    template: ChatTemplate,
    context_tokens: usize,
    decoder: Mutex<Decoder>,
}

impl GgufGenerator {
    /// Opens the GGUF file of a folder: weights, tokenizer and chat template.
    /// `threads` work on one call, 0 takes all cores.
    ///
    /// # Errors
    /// `NotFound` when there is no such file, `Corrupt` when it is damaged,
    /// `InvalidInput` when its architecture or tokenizer is not supported.
    pub fn open(folder: &Path, id: impl Into<String>, threads: usize) -> Result<Self> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        let name = choose_gguf(&names, None).ok_or_else(|| {
            let message = format!("{} holds no *.gguf file", folder.display());
            Error::new(ErrorKind::NotFound, message)
        })?;
        let path = folder.join(name);
        let content = read_header(&path)?;
        let in_file =
            |error: Error| Error::new(error.kind(), format!("{}: {error}", path.display()));
        let tokens = Tokens::from_metadata(&content.metadata).map_err(in_file)?;
        let template = ChatTemplate::from_metadata(&content.metadata, &tokens).map_err(in_file)?;
        let decoder = Decoder::load(&path, &content, threads)?;
        Ok(Self {
            id: id.into(),
            tokens,
            template,
            context_tokens: decoder.context_tokens(),
            decoder: Mutex::new(decoder),
        })
    }

    /// Ids of the whole prompt, checked against the context.
    fn prompt(&self, request: &GenerateRequest) -> Result<Vec<u32>> {
        let prompt = self
            .tokens
            .prompt_ids(&self.template.render(&request.messages, &self.tokens)?)?;
        if prompt.len() < self.context_tokens {
            return Ok(prompt);
        }
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "the prompt has {} tokens; the model `{}` takes {} of prompt and answer together",
                prompt.len(),
                self.id,
                self.context_tokens
            ),
        ))
    }
}

fn read_header(path: &Path) -> Result<Content> {
    let file = File::open(path).map_err(|cause| {
        let message = format!("{} cannot be read", path.display());
        Error::new(ErrorKind::NotFound, message).because(cause)
    })?;
    Content::read(&mut BufReader::new(file)).map_err(|cause| {
        let message = format!("{} is not a whole GGUF file; pull it again", path.display());
        Error::new(ErrorKind::Corrupt, message).because(cause)
    })
}

impl Generator for GgufGenerator {
    fn id(&self) -> &str {
        &self.id
    }

    fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    fn count_tokens(&self, text: &str) -> Result<usize> {
        self.tokens.ids(text).map(|ids| ids.len())
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation> {
        let start = Instant::now();
        let prompt = self.prompt(request)?;
        let mut sampler = Sampler::new(request)?;
        let mut stream = TextStream::new(&request.stop);
        let most = request.max_tokens.min(self.context_tokens - prompt.len());
        let vocabulary = self.tokens.vocabulary();
        let mut constraint = match request.grammar.as_deref() {
            Some(grammar) => Some(Constraint::new(grammar, vocabulary, most)?),
            None => None,
        };
        let mut decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        let decoder = &mut *decoder;

        let mut first_token = None;
        let mut written: Vec<u32> = Vec::new();
        let mut step = decoder.read_prompt(&prompt, cancel);
        let finish_reason = loop {
            match step {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Cancelled => {
                    break FinishReason::Cancelled;
                }
                Err(error) => return Err(error),
            }
            if cancel.is_cancelled() {
                break FinishReason::Cancelled;
            }
            if written.len() == most {
                break FinishReason::Length;
            }
            let token = match &mut constraint {
                Some(constraint) => {
                    let left = most - written.len();
                    constraint.choose(&mut sampler, decoder.logits(), &written, left)?
                }
                None => sampler.next(decoder.logits(), &written),
            };
            first_token.get_or_insert_with(|| start.elapsed());
            if vocabulary.ends_turn(token) {
                break FinishReason::Stop;
            }
            written.push(token);
            if let Some(constraint) = &mut constraint {
                constraint.push(token);
                if written.len() == 1 && constraint.is_call() {
                    // A stop sequence inside an argument would cut the call.
                    stream = TextStream::new(&[]);
                }
            }
            let is_whole = constraint.as_ref().is_some_and(Constraint::is_over);
            if stream.push(vocabulary.bytes(token), on_text).is_stopped() || is_whole {
                break FinishReason::Stop;
            }
            // What would come after the last one is not needed.
            step = match written.len() == most {
                true => Ok(()),
                false => decoder.append(token, cancel),
            };
        };
        stream.finish(on_text);
        Ok(Generation {
            finish_reason,
            prompt_tokens: prompt.len(),
            completion_tokens: written.len(),
            first_token: first_token.unwrap_or_else(|| start.elapsed()),
        })
    }
}
