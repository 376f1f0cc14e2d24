//! One question from search to the last event.
//!
//! What a client can rely on: `Sources` comes first, unless the search itself fails; then text and
//! citations; then exactly one `Done` or `Error`.
//!
//! - A provider that fails before its first word is replaced by an extractive
//!   answer, and `degraded` says so.
//! - A provider that fails in the middle ends the stream with `Error`: half an answer must not look
//!   like a complete one.
//! - If the deadline ends the writing, the stream ends with `Done`, and `degraded` says so.

use std::sync::Arc;
use std::time::Instant;

use cairn_models::{Cancel, CancelOnDrop, Message, Reader, Reranker};
use futures::Stream;
use tokio::sync::mpsc;

use super::condense;
use super::events::AnswerEvent;
use super::extractive::{Choice, Choosers, extract};
use super::gathered::Gathered;
use super::grounding::is_grounded;
use super::refusal::{answerability, refusal};
use super::request::{AnswerRequest, Failure, Search};
use super::run::{AnswerRun, milliseconds, send};
use super::support::Evidence;
use super::words::Words;
use super::writing::{Written, instead};
use crate::retrieve::{PreparedSearch, SearchResponse};
use cairn_gateway::{AnswerBackend, Gateway, ProviderError, ProviderErrorKind, routes};
use cairn_settings::config::{self, Config};

/// A model is asked even if the sources are less likely to answer than a quotation requires, by up
/// to this factor.
const MODEL_SHARE: f32 = 0.2;

/// Above this answerability, a small model is not believed if it finds no answer.
const SURE: f32 = 0.8;
const SHY: &str = "the local model found no answer; showing the passages that most likely hold it";

/// Answers questions. Clones share everything and cost nothing.
#[derive(Clone)]
pub struct Answerer(Arc<Parts>);

/// What an answerer works with.
pub(super) struct Parts {
    pub(super) search: Arc<dyn Search>,
    pub(super) gateway: Arc<Gateway>,
    reader: Option<Arc<dyn Reader>>,
    reranker: Option<Arc<dyn Reranker>>,
    pub(super) words: Words,
    pub(super) settings: config::Answer,
}

impl Answerer {
    /// Answers from what `search` finds. Reader and re-ranker choose what to quote; without them,
    /// shared words decide.
    pub fn new(
        search: Arc<dyn Search>,
        gateway: Arc<Gateway>,
        reader: Option<Arc<dyn Reader>>,
        reranker: Option<Arc<dyn Reranker>>,
        config: &Config,
    ) -> Self {
        Self(Arc::new(Parts {
            search,
            gateway,
            reader,
            reranker,
            words: Words::new(&config.chunking.language),
            settings: config.answer.clone(),
        }))
    }

    /// The providers of this answerer.
    pub fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    /// The same, as a shared pointer.
    pub fn shared_gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.0.gateway)
    }

    /// `question` with what it needs from `history`, using words alone: what a search without an
    /// answer uses.
    ///
    /// # Errors
    /// `internal` for a defect.
    pub async fn standalone(&self, question: &str, history: &[Message]) -> Result<String, Failure> {
        match history {
            [] => Ok(question.to_owned()),
            _ => self.0.carry_over(question, history).await,
        }
    }

    /// Answers one question. `cancel` belongs to this request only: firing it ends the work, and
    /// dropping the stream fires it.
    pub fn answer(
        &self,
        request: AnswerRequest,
        cancel: Cancel,
    ) -> impl Stream<Item = AnswerEvent> + Send + use<> {
        let parts = Arc::clone(&self.0);
        events(cancel.clone(), move |out| async move {
            parts.run(request, &cancel, &out).await
        })
    }

    /// The answer to `request` from what was `gathered` for it, with the same checks and events as
    /// [`Answerer::answer`].
    pub fn answer_from(
        &self,
        request: AnswerRequest,
        gathered: Gathered,
        cancel: Cancel,
    ) -> impl Stream<Item = AnswerEvent> + Send + use<> {
        let parts = Arc::clone(&self.0);
        events(cancel.clone(), move |out| async move {
            parts.run_gathered(&request, gathered, &cancel, &out).await
        })
    }
}

/// The events that `work` sends, and as the last one its failure, if any. `cancel` fires if the
/// stream is dropped, at any stage.
pub fn events<W>(
    cancel: Cancel,
    work: impl FnOnce(mpsc::Sender<AnswerEvent>) -> W + Send,
) -> impl Stream<Item = AnswerEvent> + Send
where
    W: Future<Output = Result<(), Failure>> + Send,
{
    let guard = CancelOnDrop::new(cancel);
    // Reading the events drives the work, and dropping them drops it.
    let (out, mut events) = mpsc::channel(1);
    let failing = out.clone();
    // Boxed: an answer is a large future, and is moved several times before it is polled.
    let work = Box::pin(work(out));
    async_stream::stream! {
        let _guard = guard;
        let work = async move {
            if let Err(failure) = work.await {
                send(&failing, failure.into()).await;
            }
        };
        tokio::pin!(work);
        let mut working = true;
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(event) => yield event,
                    None => break,
                },
                () = &mut work, if working => working = false,
            }
        }
    }
}

/// Runs `work`, which is CPU-bound, on a blocking thread.
async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.map_err(|error| {
        tracing::error!(%error, "an answer could not be assembled");
        Failure {
            code: "internal",
            message: "the answer could not be assembled; the log of the service says why"
                .to_owned(),
            retryable: false,
        }
    })
}

impl Parts {
    async fn run(
        self: &Arc<Self>,
        request: AnswerRequest,
        cancel: &Cancel,
        out: &mpsc::Sender<AnswerEvent>,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        let (writer, note) = self.writer(&request)?;
        let mut request = request.prepared_by(&*self.search).await?;
        if self.chats(&request, start, cancel, out).await? {
            return Ok(());
        }
        let (mut search, condensed) = self.standalone(&request, &writer, cancel).await?;
        let mut found = self.find(&search, &request, &writer, cancel).await?;
        // An answer may be written for minutes.
        search.release();
        request.search.release();
        let request = &request;
        if let Some(condensed) = condensed {
            found.timings_ms.insert("condense".to_owned(), condensed);
        }
        send(out, AnswerEvent::Sources(found.clone())).await;

        let mut run = AnswerRun::new(&found, start, out.clone());
        run.degraded.extend(note);
        let question = &search.query;
        let choice = self
            .choose(question, &found, request, cancel, &mut run)
            .await?;
        run.answerability = answerability(&choice.signals);
        let refuse_below = match &writer {
            // A model that reads the sources itself refuses what it cannot answer.
            AnswerBackend::Model(_) => self.settings.refuse_below * MODEL_SHARE,
            AnswerBackend::Extractive => self.settings.refuse_below,
        };
        if found.sources.is_empty() || run.answerability < refuse_below {
            refuse(run, request, &found).await;
            return Ok(());
        }
        self.write_or_quote(&writer, request, question, &found, &choice, cancel, run)
            .await
    }

    /// Lets `writer` answer, and quotes the sources if it does not.
    #[allow(clippy::too_many_arguments)]
    pub(super) async fn write_or_quote(
        self: &Arc<Self>,
        writer: &AnswerBackend,
        request: &AnswerRequest,
        question: &str,
        found: &SearchResponse,
        choice: &Choice,
        cancel: &Cancel,
        mut run: AnswerRun,
    ) -> Result<(), Failure> {
        if let AnswerBackend::Model(model) = writer {
            let evidence = self.evidence(found).await?;
            let written = self.write(
                model,
                request,
                question,
                found,
                &choice.excerpts,
                &evidence,
                cancel,
                &mut run,
            );
            match written.await? {
                Written::Text(finish_reason) => {
                    let grounded = self.is_grounded(&run, question, evidence).await?;
                    run.done(finish_reason, false, grounded).await;
                    return Ok(());
                }
                // A small model refuses too often: if the reader is confident, a passage is shown.
                Written::NoAnswer if model.is_local() && run.answerability > SURE => {
                    run.forget_model();
                    run.degraded.push(SHY.to_owned());
                }
                Written::NoAnswer => {
                    run.can_cite(&[]);
                    refuse(run, request, found).await;
                    return Ok(());
                }
                Written::Nothing(why) => run.degraded.push(why),
            }
        }
        let chunks = found.sources.iter().map(|source| source.chunk_id.clone());
        run.can_cite(&chunks.collect::<Vec<_>>());
        run.quote(&choice.extracts, &found.sources).await;
        run.close().await;
        // Word-for-word quotations are supported by their source.
        run.done("stop", false, !choice.extracts.is_empty()).await;
        Ok(())
    }

    /// The sources, prepared for comparison with a model's output.
    pub(super) async fn evidence(
        self: &Arc<Self>,
        found: &SearchResponse,
    ) -> Result<Vec<Evidence>, Failure> {
        let (parts, sources) = (Arc::clone(self), found.sources.clone());
        let read = move || {
            let sources = sources.iter();
            sources
                .map(|source| Evidence::of(source, &parts.words))
                .collect()
        };
        compute(read).await
    }

    /// Whether each sentence that `run` has sent is supported by a source.
    pub(super) async fn is_grounded(
        self: &Arc<Self>,
        run: &AnswerRun,
        question: &str,
        evidence: Vec<Evidence>,
    ) -> Result<bool, Failure> {
        let (parts, answer, question) = (Arc::clone(self), run.cited_answer(), question.to_owned());
        compute(move || is_grounded(&answer, &question, &evidence, &parts.words)).await
    }

    /// What writes the answer, and what to report if it is not the intended writer.
    pub(super) fn writer(
        &self,
        request: &AnswerRequest,
    ) -> Result<(AnswerBackend, Option<String>), Failure> {
        if !request.generate {
            return Ok((AnswerBackend::Extractive, None));
        }
        match self
            .gateway
            .select(routes::ANSWER, request.model.as_deref())
        {
            Ok(writer) => Ok((writer, None)),
            Err(error) if error.kind == ProviderErrorKind::NoModel => Err(error.into()),
            Err(error) => Ok((AnswerBackend::Extractive, Some(instead(&error)))),
        }
    }

    /// The search for the self-contained question, and how many milliseconds it took to determine
    /// that question.
    async fn standalone(
        self: &Arc<Self>,
        request: &AnswerRequest,
        writer: &AnswerBackend,
        cancel: &Cancel,
    ) -> Result<(PreparedSearch, Option<f64>), Failure> {
        let search = &request.search;
        if request.history.is_empty() {
            return Ok((search.clone(), None));
        }
        let start = Instant::now();
        let rewritten = match writer {
            AnswerBackend::Model(model) if !model.is_local() => {
                condense::rewrite(
                    &search.query,
                    &request.history,
                    &self.gateway,
                    model,
                    request.call(),
                    cancel,
                )
                .await
            }
            _ => None,
        };
        let question = match rewritten {
            Some(question) => question,
            None => self.carry_over(&search.query, &request.history).await?,
        };
        Ok((search.asking(question), Some(milliseconds(start))))
    }

    /// `question` with the words of `history` that it needs.
    async fn carry_over(
        self: &Arc<Self>,
        question: &str,
        history: &[Message],
    ) -> Result<String, Failure> {
        let (parts, question, history) = (Arc::clone(self), question.to_owned(), history.to_vec());
        compute(move || condense::carry_over(&question, &history, &parts.words)).await
    }

    /// Reads the sources: what to quote from them, and whether they answer.
    pub(super) async fn choose(
        self: &Arc<Self>,
        question: &str,
        found: &SearchResponse,
        request: &AnswerRequest,
        cancel: &Cancel,
        run: &mut AnswerRun,
    ) -> Result<Choice, Failure> {
        let start = Instant::now();
        let (parts, sources) = (Arc::clone(self), found.sources.clone());
        let (question, until) = (question.to_owned(), request.until(cancel));
        let work = move || {
            let choosers = Choosers {
                reader: parts.reader.as_deref(),
                reranker: parts.reranker.as_deref(),
            };
            extract(&question, &sources, choosers, &parts.words, &until)
        };
        let choice = compute(work).await?;
        if cancel.is_cancelled() {
            return Err(ProviderError::cancelled().into());
        }
        tracing::debug!(signals = ?choice.signals, "read");
        if choice.by_words && self.reader.is_some() && !found.sources.is_empty() {
            run.degraded.push(
                "there was no time to read the passages; the quotations were chosen by words alone"
                    .to_owned(),
            );
        }
        run.time("extract", start);
        Ok(choice)
    }
}

pub(super) async fn refuse(mut run: AnswerRun, request: &AnswerRequest, found: &SearchResponse) {
    run.say(&refusal(&request.search, found)).await;
    run.close().await;
    run.done("refused", true, false).await;
}
