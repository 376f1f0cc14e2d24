//! One answer on its way to one client: counted, streamed, and cancelled when
//! the client goes away.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use axum::response::Response;
use cairn_models::CancelOnDrop;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use metrics::{counter, histogram};
use tracing::Span;

use super::error::{ApiError, Code};
use super::event_stream;
use super::limits::{Permit, shutting_down};
use super::sse;
use super::state::Service;
use cairn_engine::answer::{AnswerEvent, AnswerRequest, Answered, Whole, whole};
use cairn_gateway::accounts::{Accounts, AnswerOutcome, AnswerRecord, CallIds, Caller};
use cairn_settings::config::{AgentMode, Config};
use cairn_settings::telemetry::{Question, metrics as names, milliseconds};

/// One line about a question: its shape, and its text only where that is
/// allowed.
fn log_question(config: &Config, request: &AnswerRequest) {
    let search = request.search();
    let question = Question::new(&search.query, config.telemetry.log_questions);
    tracing::info!(
        %question,
        collection = search.collection,
        top_k = search.top_k,
        mode = ?search.mode,
        turns = request.history.len(),
        "asked"
    );
}

/// Tells the ledger how a question ended, and what became of the answer that its calls
/// wrote.
pub(super) struct OutcomeRecorder {
    accounts: Accounts,
    calls: CallIds,
    record: AnswerRecord,
}

impl OutcomeRecorder {
    /// Of the question that `caller` asks now, whose answer these calls write.
    pub(super) fn new(service: &Service, caller: &Caller, calls: &CallIds) -> Self {
        Self {
            accounts: service.accounts().clone(),
            calls: calls.clone(),
            record: AnswerRecord {
                query_id: String::new(),
                at: SystemTime::now(),
                key: caller.key().cloned(),
                tenant: caller.tenant().to_owned(),
                collection: String::new(),
                provider: String::new(),
                model: String::new(),
                // Until it ends otherwise.
                outcome: AnswerOutcome::Abandoned,
                citations: 0,
                sources: None,
                latency: Duration::ZERO,
            },
        }
    }
}

/// The events of one answer, counted as they pass.
pub(super) struct Observed {
    /// The request's own span: a stream is polled outside of it.
    span: Span,
    recorder: OutcomeRecorder,
    events: BoxStream<'static, AnswerEvent>,
    start: Instant,
    written: bool,
    ended: bool,
}

impl Observed {
    /// Counts `events` from now on.
    pub(super) fn new(events: BoxStream<'static, AnswerEvent>, recorder: OutcomeRecorder) -> Self {
        Self {
            span: Span::current(),
            recorder,
            events,
            start: Instant::now(),
            written: false,
            ended: false,
        }
    }

    fn note(&mut self, event: &AnswerEvent) {
        let outcome = match event {
            AnswerEvent::Step(_) | AnswerEvent::Citation(_) => return,
            AnswerEvent::Sources(found) => {
                let record = &mut self.recorder.record;
                record.collection.clone_from(&found.collection);
                record.sources = Some(self.start.elapsed());
                return;
            }
            AnswerEvent::Delta { .. } => {
                if !std::mem::replace(&mut self.written, true) {
                    histogram!(names::FIRST_TOKEN_SECONDS).record(self.start.elapsed());
                }
                return;
            }
            AnswerEvent::Done(done) => {
                if !done.degraded.is_empty() {
                    counter!(names::DEGRADED).increment(1);
                }
                tracing::info!(
                    query_id = done.query_id,
                    provider = done.provider,
                    model = done.model,
                    refused = done.refused,
                    grounded = done.grounded,
                    finish_reason = done.finish_reason,
                    citations = done.citations.len(),
                    milliseconds = milliseconds(self.start.elapsed()),
                    "answer done"
                );
                let OutcomeRecorder {
                    accounts,
                    calls,
                    record,
                } = &mut self.recorder;
                accounts.judge(calls, done.refused, done.citations.len());
                record.query_id.clone_from(&done.query_id);
                record.provider.clone_from(&done.provider);
                record.model.clone_from(&done.model);
                record.citations = done.citations.len();
                match done.refused {
                    true => Some(AnswerOutcome::Refused),
                    false => Some(AnswerOutcome::Answered),
                }
            }
            AnswerEvent::InputRequired(required) => {
                tracing::info!(run_id = required.run_id, "an agent waits for a person");
                None
            }
            AnswerEvent::Error { code, message, .. } => {
                counter!(names::ERRORS, "code" => *code).increment(1);
                tracing::warn!(code, message, "answer failed");
                Some(AnswerOutcome::Failed)
            }
        };
        self.end(outcome);
    }

    /// Counts the end; no outcome means that a person must allow something first, and the
    /// question ends later.
    fn end(&mut self, outcome: Option<AnswerOutcome>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let name = outcome.map_or("input_required", AnswerOutcome::as_str);
        counter!(names::ANSWERS, "outcome" => name).increment(1);
        histogram!(names::ANSWER_SECONDS).record(self.start.elapsed());
        if let Some(outcome) = outcome {
            let record = AnswerRecord {
                outcome,
                latency: self.start.elapsed(),
                ..self.recorder.record.clone()
            };
            self.recorder.accounts.answered(record);
        }
    }
}

impl Stream for Observed {
    type Item = AnswerEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<AnswerEvent>> {
        let span = self.span.clone();
        let _entered = span.enter();
        let polled = self.events.poll_next_unpin(context);
        if let Poll::Ready(Some(event)) = &polled {
            self.note(event);
        }
        polled
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let span = self.span.clone();
        let _entered = span.enter();
        self.end(Some(AnswerOutcome::Abandoned));
        // What is dropped with the events belongs to the request too.
        self.events = futures::stream::empty().boxed();
    }
}

/// Begins to answer `request`, by the agent if `mode` or the configuration says so. What can
/// be known to be wrong is refused before the search, so that it has a status.
///
/// # Errors
/// Those of [`cairn_engine::retrieve::Engine::prepare`]; `not_ready`.
pub(super) async fn begin(
    service: &Service,
    request: AnswerRequest,
    mode: Option<AgentMode>,
    cancel: &CancelOnDrop,
) -> Result<Observed, ApiError> {
    let core = service.core()?;
    let request = request.prepared(&core.engine).await?;
    log_question(service.config(), &request);
    let recorder = OutcomeRecorder::new(service, request.caller(), &request.calls);
    let events = core.agent.answer(request, mode, cancel.token());
    Ok(Observed::new(events, recorder))
}

/// Why there is no answer where no person can be asked to allow a call.
pub(super) fn waits_for_a_person() -> ApiError {
    let message = "a person must allow what the agent wants to do; ask with POST /query";
    ApiError::new(Code::Forbidden, message)
}

/// The answer in one piece, for clients that cannot allow an agent's calls.
///
/// # Errors
/// That of the answer; `forbidden` where a person would have to allow a call.
pub(super) async fn answered(events: Observed) -> Result<Answered, ApiError> {
    match whole(events, |_| {}).await? {
        Whole::Answered(answered) => Ok(*answered),
        Whole::Waits(..) => Err(waits_for_a_person()),
    }
}

/// The events as a response that streams. Dropping it, which is what happens
/// when the client goes away, cancels the work and gives the permit back.
pub(super) fn respond(
    mut events: Observed,
    cancel: CancelOnDrop,
    permit: Permit,
    service: &Arc<Service>,
) -> Response {
    let frames = async_stream::stream! {
        yield sse::COMMENT.to_owned();
        while let Some(event) = events.next().await {
            let last = matches!(
                event,
                AnswerEvent::Done(_) | AnswerEvent::InputRequired(_) | AnswerEvent::Error { .. }
            );
            yield sse::encode(&event);
            if last {
                return;
            }
        }
        yield error_frame(&ApiError::internal("an answer ended without its last event"));
    };
    let stopped = error_frame(&shutting_down());
    event_stream::kept_alive(frames, service, stopped, (cancel, permit))
}

fn error_frame(error: &ApiError) -> String {
    let code: Code = error.code;
    sse::error(code.as_str(), &error.message, code.retryable())
}
