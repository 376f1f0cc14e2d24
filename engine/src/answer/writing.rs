//! A language model writes the answer: prompt, stream, checks.

use cairn_models::{Cancel, Role};
use futures::StreamExt as _;

use super::extractive::Excerpt;
use super::opening::Opening;
use super::orphan::Orphan;
use super::prompt::{Prompt, PromptBudget, boundary, prompt};
use super::request::{AnswerRequest, Failure};
use super::revise::Reviser;
use super::run::AnswerRun;
use super::stream::Parts;
use super::support::Evidence;
use super::words::Words;
use crate::retrieve::{SearchResponse, Source};
use cairn_gateway::{
    Basis, Call, ChatEvent, ChatRequest, Finish, Plan, ProviderError, ProviderErrorKind, Reuse,
};

/// Tokens kept free for rules, question and fences, in addition to the sources.
const PROMPT_OVERHEAD: usize = 512;

/// How a model's turn ended.
pub(super) enum Written {
    /// An answer was sent; the value says why it ended.
    Text(&'static str),
    /// The model said that the sources do not contain an answer; nothing was sent.
    NoAnswer,
    /// Nothing was sent, for this reason.
    Nothing(String),
}

/// What to report if passages are shown because of `error`.
pub(super) fn instead(error: &ProviderError) -> String {
    format!(
        "no language model answered ({}); showing the passages instead",
        error.message
    )
}

impl Parts {
    /// Lets `model` answer `question`, the self-contained form of the request's question.
    ///
    /// # Errors
    ///
    /// If the request was cancelled, or the provider failed after text was sent.
    #[allow(clippy::too_many_arguments)]
    pub(super) async fn write(
        &self,
        model: &Plan,
        request: &AnswerRequest,
        question: &str,
        found: &SearchResponse,
        excerpts: &[Excerpt],
        evidence: &[Evidence],
        cancel: &Cancel,
        run: &mut AnswerRun,
    ) -> Result<Written, Failure> {
        let Prompt { messages, shown } = self.prompt(model, request, question, found, excerpts);
        let chunks: Vec<String> = found.sources[..shown]
            .iter()
            .map(|source| source.chunk_id.clone())
            .collect();
        run.can_cite(&chunks);
        let chat = ChatRequest {
            messages: messages.into_iter().map(Into::into).collect(),
            max_tokens: self.settings.max_tokens,
            temperature: self.settings.temperature,
            ..ChatRequest::default()
        };
        let call = Call {
            reuse: Reuse {
                sources: Some((found.collection.clone(), found.generation)),
                basis: Some(basis(request, question, &found.sources[..shown])),
                ..Reuse::default()
            },
            ..request.call()
        };
        let until = request.until(cancel);
        let mut stream = self.gateway.chat(model, chat, call, until);
        let mut text = Text::new(model.is_local(), question, &evidence[..shown], &self.words);
        let ended = loop {
            match stream.next().await {
                Some(Ok(ChatEvent::Delta(delta))) => {
                    for part in text.push(&delta) {
                        run.write(&part).await;
                    }
                    if text.is_over() {
                        break Ok(Finish::Stop);
                    }
                }
                Some(Ok(ChatEvent::Done(served))) => {
                    let finish = served.finish;
                    run.served(*served);
                    break Ok(finish);
                }
                // No tools were offered.
                Some(Ok(ChatEvent::ToolCall(_))) => {}
                Some(Err(error)) => break Err(error),
                None => break Ok(Finish::Stop),
            }
        };
        // Ends the provider's work if it was stopped early.
        drop(stream);

        if cancel.is_cancelled() {
            return Err(ProviderError::cancelled().into());
        }
        // The request is still alive, so its deadline ended the chat.
        let late = matches!(&ended, Err(error) if error.kind == ProviderErrorKind::Cancelled);
        if ended.is_ok() || late {
            let cut_off = text.is_over() || !matches!(ended, Ok(Finish::Stop));
            for part in text.finish(cut_off) {
                run.write(&part).await;
            }
            run.close().await;
        }
        if text.opening.refused() {
            run.written_by(model.provider(), model.model());
            return Ok(Written::NoAnswer);
        }
        if !run.has_begun() {
            run.forget_model();
            return Ok(Written::Nothing(match ended {
                Err(_) if late => "the deadline passed before the model wrote; showing the passages instead".to_owned(),
                Err(error) => instead(&error),
                Ok(_) if model.is_local() => "the local model's answer was not supported by the sources; showing the passages instead".to_owned(),
                Ok(_) => format!("{} sent an empty answer; showing the passages instead", model.provider()),
            }));
        }
        let finish_reason = match ended {
            Ok(Finish::Length) => "length",
            Ok(_) => "stop",
            Err(_) if late => {
                run.degraded
                    .push("the deadline passed; the answer is cut short".to_owned());
                "length"
            }
            Err(error) => return Err(error.into()),
        };
        run.written_by(model.provider(), model.model());
        run.degraded.extend(text.left_out());
        Ok(Written::Text(finish_reason))
    }

    fn prompt(
        &self,
        model: &Plan,
        request: &AnswerRequest,
        question: &str,
        found: &SearchResponse,
        excerpts: &[Excerpt],
    ) -> Prompt {
        let wanted = if model.is_local() {
            self.settings.local_source_tokens
        } else {
            self.settings.source_tokens
        };
        let reserved = self.settings.max_tokens + PROMPT_OVERHEAD;
        let room = model.context_tokens().saturating_sub(reserved);
        let budget = PromptBudget {
            source_tokens: wanted.min(room),
            local: model.is_local().then_some(excerpts),
        };
        // A model that sees the conversation gets the question as asked.
        let asked = if model.is_local() {
            question
        } else {
            &request.search.query
        };
        prompt(
            asked,
            &request.history,
            &found.sources,
            budget,
            &boundary(),
            &self.words,
        )
    }
}

/// Everything that an answer depends on, as the cache key. The prompt itself cannot serve, since
/// its fence is never the same twice. Sources are included with their texts and numbers, which an
/// answer cites.
fn basis(request: &AnswerRequest, question: &str, shown: &[Source]) -> Basis {
    let mut rest = blake3::Hasher::new();
    let mut add = |text: &str| {
        rest.update(&(text.len() as u64).to_le_bytes());
        rest.update(text.as_bytes());
    };
    // Separates the turns from the sources.
    add(&request.history.len().to_string());
    // The self-contained form of a follow-up determined the sources; the question itself is not
    // part of this.
    if !request.history.is_empty() {
        add(question);
    }
    for turn in &request.history {
        add(match turn.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        });
        add(&turn.content);
    }
    for source in shown {
        add(&source.chunk_id);
        add(&source.title);
        add(&source.text);
    }
    Basis {
        question: request.search.query.clone(),
        rest: rest.finalize().to_hex().to_string(),
    }
}

/// Filters a provider's deltas into the answer: reasoning whose beginning is missing is removed,
/// the agreed word for "the sources do not say" is not shown, and the output of a small local model
/// is revised sentence by sentence.
struct Text<'a> {
    orphan: Orphan,
    opening: Opening,
    reviser: Option<Reviser<'a>>,
}

impl<'a> Text<'a> {
    fn new(local: bool, question: &str, evidence: &'a [Evidence], words: &'a Words) -> Self {
        Self {
            orphan: Orphan::default(),
            opening: Opening::default(),
            reviser: local.then(|| Reviser::new(question, evidence, words)),
        }
    }

    fn push(&mut self, delta: &str) -> Vec<String> {
        let answer = self.orphan.push(delta);
        match (self.opening.push(&answer), &mut self.reviser) {
            (Some(text), Some(reviser)) => reviser.push(&text),
            (text, _) => text.into_iter().collect(),
        }
    }

    fn finish(&mut self, cut_off: bool) -> Vec<String> {
        let answer = self.orphan.finish();
        let mut rest = self.opening.push(&answer).unwrap_or_default();
        rest.push_str(&self.opening.finish().unwrap_or_default());
        let rest = (!rest.is_empty()).then_some(rest);
        match &mut self.reviser {
            Some(reviser) => {
                let mut shown = rest.map(|text| reviser.push(&text)).unwrap_or_default();
                shown.extend(reviser.finish(cut_off));
                shown
            }
            None => rest.into_iter().collect(),
        }
    }

    /// Whether nothing useful can follow any more.
    fn is_over(&self) -> bool {
        self.opening.refused() || self.reviser.as_ref().is_some_and(Reviser::loops)
    }

    fn left_out(&self) -> Option<String> {
        let dropped = self.reviser.as_ref().map_or(0, Reviser::dropped);
        (dropped > 0).then(|| {
            format!(
                "{dropped} sentence(s) of the local model were left out: repeated, or in no source"
            )
        })
    }
}
