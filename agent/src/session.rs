//! The state of a run. Everything that determines what happens next is here, so that a run can be
//! suspended while it waits for a person.

use std::collections::{BTreeMap, BTreeSet};

use cairn_engine::answer::prompt::boundary;
use cairn_engine::answer::{AnswerRequest, InputRequired, PendingCall, Step};
use cairn_engine::retrieve::SearchRequest;
use cairn_gateway::{ChatMessage, ChatRole, Plan as Targets, ToolCall};
use cairn_models::Cancel;
use cairn_settings::config::{Agent as Settings, AgentMode};

use crate::ledger::Ledger;
use crate::meter::Meter;
use crate::plan::Plan;
use crate::prompt;
use crate::registry::Registry;
use crate::tool::ToolContext;
use crate::turn::Turn;

/// A question that is being answered.
#[derive(Clone)]
pub(crate) struct Session {
    /// The `query_id` of the answer.
    pub(crate) id: String,
    pub(crate) request: AnswerRequest,
    /// `React` or `Plan`.
    pub(crate) mode: AgentMode,
    /// The models to use.
    pub(crate) targets: Targets,
    /// The conversation with the model.
    pub(crate) messages: Vec<ChatMessage>,
    pub(crate) ledger: Ledger,
    pub(crate) meter: Meter,
    pub(crate) phase: Phase,
    /// The tools that can be called, if permitted.
    pub(crate) tools: Registry,
    pub(crate) plan: Plan,
    /// The calls made so far, by tool and arguments.
    pub(crate) made: BTreeSet<(String, String)>,
    pub(crate) steps: Vec<Step>,
    /// Notes on how the answer was produced.
    pub(crate) notes: Vec<String>,
    /// The boundary around results.
    pub(crate) boundary: String,
    /// A turn whose calls wait for a person.
    pub(crate) pending: Option<Turn>,
    /// A person's decisions about calls, by the calls' ids.
    pub(crate) decisions: BTreeMap<String, bool>,
}

/// What the model does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It makes a plan.
    Planning,
    /// It calls tools, or answers the question or the step of its plan.
    Working,
    /// It says what is missing, or answers.
    Reviewing,
    /// It must answer: nothing else is left.
    Answering,
}

impl Session {
    pub(crate) fn new(
        mut request: AnswerRequest,
        mode: AgentMode,
        targets: Targets,
        settings: &Settings,
        tools: Registry,
    ) -> Self {
        let meter = Meter::start(settings, request.search().deadline);
        // The work after the tools is also subject to the limit. A run may be long, so each of its
        // searches sees the documents as they are at that time.
        request.search_mut().deadline = Some(meter.until);
        let boundary = boundary();
        let mut messages = vec![ChatMessage::text(
            ChatRole::System,
            prompt::rules(&boundary),
        )];
        messages.extend(prompt::history(&request.history));
        let question = request.search().query.clone();
        let mut session = Self {
            id: uuid::Uuid::new_v4().to_string(),
            request,
            mode,
            targets,
            messages,
            ledger: Ledger::default(),
            meter,
            phase: Phase::Working,
            tools,
            plan: Plan::default(),
            made: BTreeSet::new(),
            steps: Vec::new(),
            notes: Vec::new(),
            boundary,
            pending: None,
            decisions: BTreeMap::new(),
        };
        let question = match mode {
            AgentMode::Plan => {
                session.phase = Phase::Planning;
                let offered = session.tools.offered(&session.context(&Cancel::never()));
                let names: Vec<String> = offered.into_iter().map(|tool| tool.name).collect();
                format!("{question}\n\n{}", prompt::ask_for_plan(&names))
            }
            _ => question,
        };
        session.tell(question);
        session
    }

    /// What tools may know of the caller.
    pub(crate) fn context(&self, cancel: &Cancel) -> ToolContext {
        let deadline = self.meter.tools_until;
        ToolContext {
            caller: self.request.caller().clone(),
            search: SearchRequest {
                deadline: Some(deadline),
                ..SearchRequest::clone(self.request.search())
            },
            cancel: cancel.with_deadline(deadline),
        }
    }

    /// The next step's number.
    pub(crate) fn next_step(&self) -> u32 {
        u32::try_from(self.steps.len() + 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn tell(&mut self, text: impl Into<String>) {
        self.messages.push(ChatMessage::text(ChatRole::User, text));
    }

    /// Appends the model's message unchanged.
    pub(crate) fn heard(&mut self, turn: &Turn) {
        self.messages.push(ChatMessage {
            tool_calls: turn.calls.clone(),
            ..ChatMessage::text(ChatRole::Assistant, turn.text.clone())
        });
    }

    /// The request for a person's decision about `calls`.
    pub(crate) fn input_required(&self, calls: &[&ToolCall], patience: u64) -> InputRequired {
        let pending = calls.iter().map(|call| PendingCall {
            id: call.id.clone(),
            tool: call.name.clone(),
            arguments: serde_json::from_str(&call.arguments).unwrap_or_default(),
        });
        InputRequired {
            run_id: self.id.clone(),
            expires_in_seconds: patience,
            calls: pending.collect(),
        }
    }
}
