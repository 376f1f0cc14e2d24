//! One question from search to the last event.
//!
//! What a client can rely on: `Sources` comes first, unless the search itself
//! fails; then text and citations; then exactly one `Done` or `Error`.
//!
//! - A provider that fails before its first word is replaced by an extractive
//!   answer, and `degraded` says so.
//! - A provider that fails in the middle ends the stream with `Error`: half an
//!   answer must not look like a whole one.
//! - The request's deadline ends the writing with `Done`, named in `degraded`.

use std::sync::Arc;
use std::time::Instant;

use cairn_models::{Cancel, Embedder};
use futures::{Stream, StreamExt as _};

use super::condense;
use super::events::AnswerEvent;
use super::extractive::{Extract, extract};
use super::grounding::{is_grounded, with_marks};
use super::mend::Mender;
use super::opening::Opening;
use super::prompt::{PromptBudget, boundary, prompt};
use super::refusal::{Bounds, Evidence as Coverage, refusal};
use super::request::{AnswerRequest, Failure, Search};
use super::run::Run;
use super::support::Evidence;
use super::words::Words;
use crate::config::{self, Config};
use crate::gateway::{
    ChatRequest, Finish, Gateway, ProviderError, ProviderErrorKind, ProviderEvent, Selected, Writer,
};
use crate::retrieve::Source;

/// Tokens of rules, question and fences, kept free besides the sources.
const PROMPT_OVERHEAD: usize = 512;

/// Answers questions. Clones share everything and cost nothing.
#[derive(Clone)]
pub struct Answerer(Arc<Parts>);

/// What answers are made with.
struct Parts {
    search: Arc<dyn Search>,
    gateway: Arc<Gateway>,
    embedder: Option<Arc<dyn Embedder>>,
    words: Words,
    settings: config::Answer,
}

impl Answerer {
    /// Answers from what `search` finds. The embedder helps the extractive
    /// answer to choose by meaning.
    pub fn new(
        search: Arc<dyn Search>,
        gateway: Arc<Gateway>,
        embedder: Option<Arc<dyn Embedder>>,
        config: &Config,
    ) -> Self {
        Self(Arc::new(Parts {
            search,
            gateway,
            embedder,
            words: Words::new(&config.chunking.language),
            settings: config.answer.clone(),
        }))
    }

    /// The providers behind this answerer.
    pub fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    /// Answers one question. `cancel` belongs to this request alone: it ends
    /// the work when it fires, and dropping the stream fires it.
    pub fn answer(
        &self,
        request: AnswerRequest,
        cancel: Cancel,
    ) -> impl Stream<Item = AnswerEvent> + Send + use<> {
        answer(Arc::clone(&self.0), request, cancel)
    }
}

impl Parts {
    fn prompt_budget(&self, writer: &Selected) -> PromptBudget {
        let wanted = if writer.local {
            self.settings.local_source_tokens
        } else {
            self.settings.source_tokens
        };
        let reserved = self.settings.max_tokens + PROMPT_OVERHEAD;
        let room = writer.provider.context_tokens().saturating_sub(reserved);
        PromptBudget {
            source_tokens: wanted.min(room),
            local: writer.local,
        }
    }

    /// The question as it is searched for.
    async fn standalone(
        &self,
        request: &AnswerRequest,
        writer: &Writer,
        cancel: &Cancel,
    ) -> String {
        let question = &request.search.query;
        if request.history.is_empty() {
            return question.clone();
        }
        if let Writer::Model(model) = writer
            && !model.local
            && let Some(rewritten) =
                condense::rewrite(question, &request.history, &self.gateway, model, cancel).await
        {
            return rewritten;
        }
        condense::carry_over(question, &request.history, &self.words)
    }

    /// The best sentences of the sources, found on a thread that may compute.
    async fn extract(
        self: &Arc<Self>,
        question: String,
        sources: Vec<Source>,
        cancel: Cancel,
    ) -> Vec<Extract> {
        let app = Arc::clone(self);
        let work = move || {
            extract(
                &question,
                &sources,
                app.embedder.as_deref(),
                &app.words,
                &cancel,
            )
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(extracts) => extracts,
            Err(error) => {
                tracing::error!(%error, "the extractive answer failed");
                Vec::new()
            }
        }
    }
}

/// Fires its token when the stream is dropped, at whatever stage.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn answer(
    app: Arc<Parts>,
    request: AnswerRequest,
    cancel: Cancel,
) -> impl Stream<Item = AnswerEvent> + Send {
    let guard = CancelOnDrop(cancel.clone());
    async_stream::stream! {
        let _guard = guard;
        let start = Instant::now();
        let mut note = None;
        let mut writer = Writer::Extractive;
        if request.generate {
            match app.gateway.select(request.model.as_deref()) {
                Ok(selected) => writer = selected,
                Err(error) if error.kind == ProviderErrorKind::Rejected => {
                    yield Failure::from(error).into();
                    return;
                }
                Err(error) => note = Some(instead(&error)),
            }
        }

        let question = app.standalone(&request, &writer, &cancel).await;
        let condensed = (!request.history.is_empty()).then(|| super::run::milliseconds(start));
        let mut search = request.search.clone();
        search.query.clone_from(&question);
        let mut found = match app.search.search(search, cancel.clone()).await {
            Ok(found) => found,
            Err(failure) => {
                yield failure.into();
                return;
            }
        };
        if let Some(condensed) = condensed {
            found.timings_ms.insert("condense".to_owned(), condensed);
        }
        yield AnswerEvent::Sources(found.clone());

        let mut run = Run::new(&found, start);
        run.degraded.extend(note);
        let bounds = Bounds {
            cosine: app.settings.refuse_below_cosine,
            overlap: app.settings.refuse_below_overlap,
        };
        if Coverage::of(&question, &found.sources, &app.words).is_too_weak(bounds) {
            for event in run.write(&refusal(&request.search, &found)).into_iter().chain(run.close()) {
                yield event;
            }
            yield run.done("refused", true, false);
            return;
        }

        let evidence: Vec<Evidence> =
            found.sources.iter().map(|source| Evidence::of(source, &app.words)).collect();
        if let Writer::Model(selected) = &writer {
            let fence = boundary();
            let budget = app.prompt_budget(selected);
            let asked = if selected.local { &question } else { &request.search.query };
            let built = prompt(asked, &request.history, &found.sources, budget, &fence, &app.words);
            run.restrict(&found, built.shown);
            let chat = ChatRequest {
                model: None,
                messages: built.messages,
                max_tokens: app.settings.max_tokens,
                temperature: app.settings.temperature,
                stop: Vec::new(),
            };
            let until = request.search.deadline.map_or_else(|| cancel.clone(), |at| cancel.with_deadline(at));
            let mut stream = app.gateway.chat(selected, chat, until);
            let mut text = Text::new(selected.local, &evidence[..built.shown], &app.words);
            let mut end = None;
            while end.is_none() {
                match stream.next().await {
                    Some(Ok(ProviderEvent::Delta(delta))) => {
                        for event in text.push(&delta).iter().flat_map(|part| run.write(part)) {
                            yield event;
                        }
                        if text.is_over() {
                            end = Some(Ok(Finish::Stop));
                        }
                    }
                    Some(Ok(ProviderEvent::Done { finish, usage, model })) => {
                        run.usage = usage;
                        run.model = model;
                        end = Some(Ok(finish));
                    }
                    Some(Err(error)) => end = Some(Err(error)),
                    None => end = Some(Ok(Finish::Stop)),
                }
            }
            // Ends the provider's work, if it was stopped early.
            drop(stream);
            let ended = match end.unwrap_or(Ok(Finish::Stop)) {
                Err(error) if error.kind == ProviderErrorKind::Cancelled => {
                    if cancel.is_cancelled() {
                        yield Failure::from(error).into();
                        return;
                    }
                    Err(ProviderError {
                        kind: ProviderErrorKind::Cancelled,
                        message: "the deadline of the request passed".to_owned(),
                        retry_after: None,
                    })
                }
                ended => ended,
            };
            let late = matches!(&ended, Err(error) if error.kind == ProviderErrorKind::Cancelled);
            if ended.is_ok() || late {
                let cut_off = !matches!(ended, Ok(Finish::Stop)) || text.is_over();
                for event in text.finish(cut_off).iter().flat_map(|part| run.write(part)) {
                    yield event;
                }
                for event in run.close() {
                    yield event;
                }
            }
            if text.refused() {
                run.provider = selected.provider.name().to_owned();
                run.restrict(&found, 0);
                for event in run.write(&refusal(&request.search, &found)).into_iter().chain(run.close()) {
                    yield event;
                }
                yield run.done("refused", true, false);
                return;
            }
            if run.has_begun() {
                let finish = match ended {
                    Ok(Finish::Length) => "length",
                    Ok(_) => "stop",
                    Err(error) if late => {
                        run.degraded.push(format!("{}; the answer is cut short", error.message));
                        "length"
                    }
                    Err(error) => {
                        yield Failure::from(error).into();
                        return;
                    }
                };
                run.provider = selected.provider.name().to_owned();
                if run.model == "none" {
                    run.model.clone_from(&selected.model);
                }
                if let Some(left_out) = text.left_out() {
                    run.degraded.push(left_out);
                }
                let grounded = is_grounded(run.answer(), &evidence, &app.words);
                yield run.done(finish, false, grounded);
                return;
            }
            run.restrict(&found, found.sources.len());
            run.model = "none".to_owned();
            run.degraded.push(match ended {
                Err(error) => instead(&error),
                Ok(_) if selected.local => "the local model's answer was not supported by the sources; showing the passages instead".to_owned(),
                Ok(_) => format!("{} sent an empty answer; showing the passages instead", selected.provider.name()),
            });
        }

        let written = Instant::now();
        let extracts = app.extract(question, found.sources.clone(), cancel.clone()).await;
        if cancel.is_cancelled() {
            yield Failure::from(ProviderError::cancelled()).into();
            return;
        }
        for (at, extract) in extracts.iter().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            for event in run.write(&format!("{gap}{}", with_marks(&extract.text, &[extract.n]))) {
                yield event;
            }
        }
        for event in run.close() {
            yield event;
        }
        run.time("extract", written);
        let grounded = is_grounded(run.answer(), &evidence, &app.words);
        yield run.done("stop", false, grounded);
    }
}

fn instead(error: &ProviderError) -> String {
    format!(
        "no language model answered ({}); showing the passages instead",
        error.message
    )
}

/// What stands between a provider's deltas and the answer.
enum Text<'a> {
    /// Small local models are mended sentence by sentence.
    Local(Mender<'a>),
    /// Others are shown as they write.
    Remote(Opening),
}

impl<'a> Text<'a> {
    fn new(local: bool, evidence: &'a [Evidence], words: &'a Words) -> Self {
        if local {
            Self::Local(Mender::new(evidence, words))
        } else {
            Self::Remote(Opening::default())
        }
    }

    fn push(&mut self, delta: &str) -> Vec<String> {
        match self {
            Self::Local(mender) => mender.push(delta),
            Self::Remote(opening) => opening.push(delta).into_iter().collect(),
        }
    }

    fn finish(&mut self, cut_off: bool) -> Vec<String> {
        match self {
            Self::Local(mender) => mender.finish(cut_off),
            Self::Remote(opening) => opening.finish().into_iter().collect(),
        }
    }

    /// Whether nothing useful can follow.
    fn is_over(&self) -> bool {
        match self {
            Self::Local(mender) => mender.loops(),
            Self::Remote(opening) => opening.refused(),
        }
    }

    fn refused(&self) -> bool {
        matches!(self, Self::Remote(opening) if opening.refused())
    }

    fn left_out(&self) -> Option<String> {
        match self {
            Self::Local(mender) if mender.dropped() > 0 => Some(format!(
                "{} sentence(s) of the local model were left out: repeated, or in no source",
                mender.dropped()
            )),
            _ => None,
        }
    }
}
