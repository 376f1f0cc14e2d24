//! The door of this crate: a question and a mode in, the events of an answer out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_engine::answer::{AnswerEvent, AnswerRequest, Answerer, Failure, Gathered, events};
use cairn_engine::retrieve::{Engine, SearchResponse};
use cairn_gateway::accounts::{CallIds, Caller};
use cairn_gateway::{ChatRequest, Gateway, ProviderErrorKind, Writer, routes};
use cairn_models::Cancel;
use cairn_settings::config::{self, AgentMode, Config};
use cairn_settings::telemetry::TRACE_TARGET;
use cairn_settings::telemetry::metrics as names;
use cairn_settings::telemetry::redact::Redactor;
use futures::{Stream, StreamExt as _};
use metrics::counter;
use tokio::sync::mpsc;
use tracing::{Instrument as _, field};

use crate::mcp::Servers;
use crate::registry::Registry;
use crate::run::Ending;
use crate::session::Session;
use crate::shape;
use crate::trace::{Trace, Traces};
use crate::waiting::{ResumeError, Waiting};

/// Answers questions in as many steps as they need. Clones share everything.
#[derive(Clone)]
pub struct Agent(Arc<Parts>);

/// What runs work with.
pub(crate) struct Parts {
    answerer: Answerer,
    engine: Engine,
    pub(crate) gateway: Arc<Gateway>,
    registry: Registry,
    servers: Servers,
    pub(crate) settings: config::Agent,
    answer: config::Answer,
    waiting: Waiting,
    traces: Traces,
}

impl Agent {
    /// An agent that uses the tools of `registry` and writes through `answerer`.
    pub fn new(answerer: Answerer, engine: Engine, registry: Registry, config: &Config) -> Self {
        let settings = config.agent.clone();
        let keep = Duration::from_secs(settings.trace_minutes * 60);
        Self(Arc::new(Parts {
            gateway: answerer.shared_gateway(),
            answerer,
            engine,
            registry,
            servers: Servers::new(&settings.mcp),
            answer: config.answer.clone(),
            waiting: Waiting::default(),
            traces: Traces::new(keep, Redactor::new(&config.telemetry.samples.names)),
            settings,
        }))
    }

    /// Answers one question; `mode` leaves the choice or makes it, and the configuration
    /// does where it is `None`. `cancel` belongs to this request alone: it ends the work when it
    /// fires, and dropping the stream fires it.
    ///
    /// Steps come first; then the events of an ordinary answer, or `InputRequired` as the
    /// last event.
    pub fn answer(
        &self,
        request: AnswerRequest,
        mode: Option<AgentMode>,
        cancel: Cancel,
    ) -> impl Stream<Item = AnswerEvent> + Send + use<> {
        let parts = Arc::clone(&self.0);
        events(cancel.clone(), move |out| async move {
            parts.answer(request, mode, &cancel, &out).await
        })
    }

    /// Goes on with the run `id`, which waits for `caller`: the calls named in `approved` may
    /// be made, the others may not. `calls` is told which calls to models are made.
    ///
    /// # Errors
    /// [`ResumeError`].
    pub fn resume(
        &self,
        id: &str,
        approved: &[String],
        caller: &Caller,
        calls: &CallIds,
        cancel: Cancel,
    ) -> Result<impl Stream<Item = AnswerEvent> + Send + use<>, ResumeError> {
        let mut session = self.0.waiting.take(id, caller)?;
        session.request.calls = calls.clone();
        let pending = session.pending.iter().flat_map(|turn| &turn.calls);
        let asked = self.0.settings.approve.clone();
        let decided: Vec<(String, bool)> = pending
            .filter(|call| asked.contains(&call.name))
            .map(|call| (call.id.clone(), approved.contains(&call.id)))
            .collect();
        session.decisions.extend(decided);
        let parts = Arc::clone(&self.0);
        Ok(events(cancel.clone(), move |out| async move {
            parts.go_on(session, &cancel, &out).await
        }))
    }

    /// The run `id`, if `caller` may see all of it.
    pub fn trace(&self, id: &str, caller: &Caller) -> Option<Trace> {
        self.0.traces.get(id, caller)
    }
}

impl Parts {
    async fn answer(
        &self,
        request: AnswerRequest,
        mode: Option<AgentMode>,
        cancel: &Cancel,
        out: &mpsc::Sender<AnswerEvent>,
    ) -> Result<(), Failure> {
        let asked = mode.unwrap_or(self.settings.default);
        let mode = shape::choose(asked, &request.search.query);
        if mode == AgentMode::Off {
            pass(self.answerer.answer(request, cancel.clone()), out, None).await;
            return Ok(());
        }
        let targets = match self.targets(&request) {
            // A small model plans badly: it is asked by those who choose it only.
            Ok(targets) if asked == AgentMode::Auto && targets.is_local() => {
                pass(self.answerer.answer(request, cancel.clone()), out, None).await;
                return Ok(());
            }
            Ok(targets) => targets,
            // Who leaves the choice has no need to hear of it.
            Err(None) if asked == AgentMode::Auto => {
                pass(self.answerer.answer(request, cancel.clone()), out, None).await;
                return Ok(());
            }
            Err(failure) => {
                let note = match failure {
                    Some(failure) => return Err(failure),
                    None => {
                        "an agent needs a language model that calls tools, and none is configured \
                         or asked for: this is the answer of one retrieval"
                    }
                };
                let spent = Spent {
                    notes: vec![note.to_owned()],
                    ..Spent::default()
                };
                pass(
                    self.answerer.answer(request, cancel.clone()),
                    out,
                    Some(spent),
                )
                .await;
                return Ok(());
            }
        };
        let tools = self.registry.with(self.servers.tools().await);
        let session = Session::new(request, mode, targets, &self.settings, tools);
        self.go_on(session, cancel, out).await
    }

    /// The models that an agent asks, `None` for none.
    fn targets(&self, request: &AnswerRequest) -> Result<cairn_gateway::Plan, Option<Failure>> {
        if !request.generate {
            return Err(None);
        }
        match self.gateway.select(routes::AGENT, request.model.as_deref()) {
            Ok(Writer::Model(targets)) => Ok(targets),
            Ok(Writer::Extractive) => Err(None),
            Err(error) if error.kind == ProviderErrorKind::NoModel => Err(Some(error.into())),
            Err(_) => Err(None),
        }
    }

    /// Runs `session` to its answer, or until it waits.
    async fn go_on(
        &self,
        mut session: Session,
        cancel: &Cancel,
        out: &mpsc::Sender<AnswerEvent>,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        // After OpenTelemetry's conventions for generative AI.
        let span = tracing::info_span!(
            target: TRACE_TARGET,
            "invoke_agent",
            otel.name = "invoke_agent cairn",
            gen_ai.operation.name = "invoke_agent",
            gen_ai.agent.name = "cairn",
            gen_ai.agent.id = session.id,
            gen_ai.request.model = session.targets.model(),
            gen_ai.usage.input_tokens = field::Empty,
            gen_ai.usage.output_tokens = field::Empty,
            cairn.agent.mode = ?session.mode,
            cairn.agent.steps = field::Empty,
            cairn.cost_usd = field::Empty,
            error.r#type = field::Empty,
        );
        let ending = self
            .run(&mut session, out, cancel)
            .instrument(span.clone())
            .await;
        let usage = session.meter.usage;
        span.record("gen_ai.usage.input_tokens", usage.prompt_tokens as u64);
        span.record("gen_ai.usage.output_tokens", usage.completion_tokens as u64);
        span.record("cairn.agent.steps", session.steps.len() as u64);
        span.record("cairn.cost_usd", usage.cost_usd);
        let outcome = match &ending {
            Ok(Ending::Answer(_)) => "answered",
            Ok(Ending::Waits(_)) => "input_required",
            Err(failure) => {
                span.record("error.type", failure.code);
                "failed"
            }
        };
        counter!(names::AGENT_RUNS, "outcome" => outcome).increment(1);
        for step in session.plan.missing() {
            session
                .notes
                .push(format!("nothing was found for a step of the plan: {step}"));
        }
        self.remember(&session, start, outcome);
        match ending? {
            Ending::Waits(required) => {
                let patience = Duration::from_secs(required.expires_in_seconds);
                self.waiting.keep(session, patience);
                let event = AnswerEvent::InputRequired(Box::new(required));
                out.send(event).await.ok();
            }
            Ending::Answer(draft) => self.write(session, draft, start, cancel, out).await,
        }
        Ok(())
    }

    /// Hands what was found to the ordinary answer.
    async fn write(
        &self,
        mut session: Session,
        draft: Option<cairn_engine::answer::Draft>,
        start: Instant,
        cancel: &Cancel,
        out: &mpsc::Sender<AnswerEvent>,
    ) {
        let mut request = session.request.clone();
        if draft.is_none() && request.generate {
            let most = self.gateway.most(&session.targets, &self.writing());
            if let Some(limit) = session.meter.forbids_spending(&most) {
                request.generate = false;
                session.notes.push(format!(
                    "the agent has reached {limit}; the answer is made of quotations"
                ));
            }
        }
        let milliseconds = (start.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        if session.ledger.is_empty() {
            // No tool found anything, or none was called: the plain answer knows what to do
            // with greetings and with questions that nothing answers.
            let spent = Spent {
                notes: session.notes,
                usage: session.meter.usage,
                id: Some(session.id),
            };
            let answer = self.answerer.answer(request, cancel.clone());
            pass(answer, out, Some(spent)).await;
            return;
        }
        let found = SearchResponse {
            query_id: session.id,
            collection: request.search.collection.clone(),
            generation: self.generation(&request.search.collection),
            sources: session.ledger.sources().to_vec(),
            timings_ms: [("agent".to_owned(), milliseconds)].into(),
            degraded: session.notes,
        };
        let gathered = Gathered {
            found,
            draft,
            usage: session.meter.usage,
        };
        let answer = self.answerer.answer_from(request, gathered, cancel.clone());
        pass(answer, out, None).await;
    }

    /// What writing an answer asks of a model at most.
    fn writing(&self) -> ChatRequest {
        let prompt = "x".repeat(4 * self.answer.source_tokens);
        ChatRequest {
            messages: vec![cairn_gateway::ChatMessage::text(
                cairn_gateway::ChatRole::User,
                prompt,
            )],
            max_tokens: self.answer.max_tokens,
            ..ChatRequest::default()
        }
    }

    /// The commit that tools read last, about: they may have seen several.
    fn generation(&self, collection: &str) -> u64 {
        let index = self.engine.opened(collection);
        index.map_or(0, |index| index.snapshot().generation())
    }

    fn remember(&self, session: &Session, start: Instant, outcome: &str) {
        let trace = Trace {
            id: session.id.clone(),
            question: session.request.search.query.clone(),
            agent: session.mode,
            started_at: (jiff::Timestamp::now() - start.elapsed()).as_second(),
            milliseconds: (start.elapsed().as_secs_f64() * 1e6).round() / 1e3,
            plan: session.plan.report(),
            steps: session.steps.clone(),
            sources: session.ledger.sources().len(),
            usage: session.meter.usage,
            outcome: outcome.to_owned(),
            notes: session.notes.clone(),
        };
        self.traces.put(trace, &session.request.caller);
    }
}

/// What a run took that ended in a plain answer.
#[derive(Default)]
struct Spent {
    notes: Vec<String>,
    usage: cairn_gateway::Usage,
    id: Option<String>,
}

/// Passes events on, and adds what was `spent` before to the last one.
async fn pass(
    answer: impl Stream<Item = AnswerEvent> + Send,
    out: &mpsc::Sender<AnswerEvent>,
    spent: Option<Spent>,
) {
    let mut answer = Box::pin(answer);
    while let Some(mut event) = answer.next().await {
        match (&mut event, &spent) {
            (AnswerEvent::Sources(found), Some(spent)) => {
                if let Some(id) = &spent.id {
                    found.query_id.clone_from(id);
                }
            }
            (AnswerEvent::Done(done), Some(spent)) => {
                done.usage.add(&spent.usage);
                done.degraded.extend(spent.notes.iter().cloned());
                if let Some(id) = &spent.id {
                    done.query_id.clone_from(id);
                }
            }
            _ => {}
        }
        out.send(event).await.ok();
    }
}
