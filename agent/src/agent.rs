//! The entry point of this crate: a question and a mode in, the events of an answer out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_engine::answer::{
    AnswerEvent, AnswerRequest, Answerer, Draft, Failure, Gathered, events, milliseconds,
};
use cairn_engine::retrieve::{Engine, SearchResponse};
use cairn_gateway::accounts::{CallIds, Caller};
use cairn_gateway::{AnswerBackend, Gateway, Plan, ProviderErrorKind, Usage, routes};
use cairn_models::Cancel;
use cairn_settings::config::{self, AgentMode, Config};
use cairn_settings::telemetry::TRACE_TARGET;
use cairn_settings::telemetry::metrics as names;
use cairn_settings::telemetry::redact::Redactor;
use futures::stream::BoxStream;
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

/// Reported if an agent is requested but unavailable.
const NO_MODEL: &str = "an agent needs a language model that calls tools, and none is configured or \
    asked for: this is the answer of one retrieval";

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

    /// Answers one question; `mode` selects the kind of run or leaves the choice to the agent;
    /// `None` means the configured mode. `cancel` belongs to this request only: firing it ends the
    /// work, and dropping the stream fires it.
    ///
    /// Steps come first; then the events of an ordinary answer, or `InputRequired` as the
    /// last event.
    pub fn answer(
        &self,
        request: AnswerRequest,
        mode: Option<AgentMode>,
        cancel: Cancel,
    ) -> BoxStream<'static, AnswerEvent> {
        let parts = &self.0;
        let asked = mode.unwrap_or(parts.settings.default);
        let mode = shape::choose(asked, &request.search().query);
        let targets = match mode {
            AgentMode::Off => Ok(None),
            _ => parts.targets(&request),
        };
        match targets {
            Err(failure) => futures::stream::iter([failure.into()]).boxed(),
            // A small model plans badly: it is used only if chosen explicitly.
            Ok(Some(targets)) if asked != AgentMode::Auto || !targets.is_local() => {
                let parts = Arc::clone(parts);
                events(cancel.clone(), move |out| async move {
                    let tools = parts.registry.with(parts.servers.tools().await);
                    let session = Session::new(request, mode, targets, &parts.settings, tools);
                    parts.go_on(session, &cancel, &out).await
                })
                .boxed()
            }
            Ok(_) => {
                let answer = parts.answerer.answer(request, cancel);
                match asked {
                    AgentMode::React | AgentMode::Plan => {
                        let spent = Spent {
                            notes: vec![NO_MODEL.to_owned()],
                            ..Spent::default()
                        };
                        spent.added_to(answer).boxed()
                    }
                    // This is not reported if the caller left the choice to the agent.
                    AgentMode::Off | AgentMode::Auto => answer.boxed(),
                }
            }
        }
    }

    /// Continues the run `id`, which waits for `caller`: the calls named in `approved` may be made,
    /// the others may not. `calls` records which model calls are made.
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
    /// The models that an agent uses; `None` if there are none, or none may be used.
    ///
    /// # Errors
    /// If the request names a model that does not exist.
    fn targets(&self, request: &AnswerRequest) -> Result<Option<Plan>, Failure> {
        if !request.generate {
            return Ok(None);
        }
        match self.gateway.select(routes::AGENT, request.model.as_deref()) {
            Ok(AnswerBackend::Model(targets)) => Ok(Some(targets)),
            Err(error) if error.kind == ProviderErrorKind::NoModel => Err(error.into()),
            Ok(AnswerBackend::Extractive) | Err(_) => Ok(None),
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
        // Named after OpenTelemetry's conventions for generative AI.
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

    /// Passes the findings to the ordinary answer.
    async fn write(
        &self,
        mut session: Session,
        draft: Option<Draft>,
        start: Instant,
        cancel: &Cancel,
        out: &mpsc::Sender<AnswerEvent>,
    ) {
        let mut request = session.request.clone();
        if draft.is_none() && request.generate {
            let writing = Usage {
                prompt_tokens: self.answer.source_tokens,
                completion_tokens: self.answer.max_tokens,
                ..Usage::default()
            };
            let most = self.gateway.priced(&session.targets, writing);
            if let Some(limit) = session.meter.forbids_spending(&most) {
                request.generate = false;
                session.notes.push(format!(
                    "the agent has reached {limit}; the answer is made of quotations"
                ));
            }
        }
        if session.ledger.is_empty() {
            // No tool found anything, or none was called: the plain answer handles greetings and
            // questions without an answer.
            let spent = Spent {
                notes: session.notes,
                usage: session.meter.usage,
                id: Some(session.id),
            };
            let answer = self.answerer.answer(request, cancel.clone());
            return pass(spent.added_to(answer), out).await;
        }
        let found = SearchResponse {
            query_id: session.id,
            collection: request.search().collection.clone(),
            generation: self.generation(&request.search().collection),
            sources: session.ledger.sources().to_vec(),
            timings_ms: [("agent".to_owned(), milliseconds(start))].into(),
            degraded: session.notes,
        };
        let gathered = Gathered {
            found,
            draft,
            usage: session.meter.usage,
        };
        let answer = self.answerer.answer_from(request, gathered, cancel.clone());
        pass(answer, out).await;
    }

    /// Approximately the commit that tools read last; they may have seen several.
    fn generation(&self, collection: &str) -> u64 {
        let index = self.engine.opened(collection);
        index.map_or(0, |index| index.snapshot().generation())
    }

    fn remember(&self, session: &Session, start: Instant, outcome: &str) {
        let trace = Trace {
            id: session.id.clone(),
            question: session.request.search().query.clone(),
            agent: session.mode,
            started_at: (jiff::Timestamp::now() - start.elapsed()).as_second(),
            milliseconds: milliseconds(start),
            plan: session.plan.report(),
            steps: session.steps.clone(),
            sources: session.ledger.sources().len(),
            usage: session.meter.usage,
            outcome: outcome.to_owned(),
            notes: session.notes.clone(),
        };
        self.traces.put(trace, session.request.caller());
    }
}

/// The steps before a plain answer.
#[derive(Default)]
struct Spent {
    notes: Vec<String>,
    usage: Usage,
    id: Option<String>,
}

impl Spent {
    /// The events of `answer`, with the steps and notes added to the last one.
    fn added_to(
        self,
        answer: impl Stream<Item = AnswerEvent> + Send,
    ) -> impl Stream<Item = AnswerEvent> + Send {
        answer.map(move |mut event| {
            match &mut event {
                AnswerEvent::Sources(found) => found.query_id = self.id_or(&found.query_id),
                AnswerEvent::Done(done) => {
                    done.query_id = self.id_or(&done.query_id);
                    done.usage.add(&self.usage);
                    done.degraded.extend(self.notes.iter().cloned());
                }
                _ => {}
            }
            event
        })
    }

    fn id_or(&self, own: &str) -> String {
        self.id.as_deref().unwrap_or(own).to_owned()
    }
}

/// Passes events on.
async fn pass(answer: impl Stream<Item = AnswerEvent> + Send, out: &mpsc::Sender<AnswerEvent>) {
    let mut answer = Box::pin(answer);
    while let Some(event) = answer.next().await {
        out.send(event).await.ok();
    }
}
