//! The main loop: turn after turn, until the model answers or a limit is reached.

use cairn_engine::answer::prompt::NO_ANSWER;
use cairn_engine::answer::{AnswerEvent, Draft, Failure, InputRequired, Step};
use cairn_gateway::{ProviderErrorKind, ToolCall};
use cairn_models::Cancel;
use serde_json::json;
use tokio::sync::mpsc;

use crate::agent::Parts;
use crate::calls::shown;
use crate::plan::{Finding, parse_steps};
use crate::prompt;
use crate::session::{Phase, Session};
use crate::turn::{self, Turn};

/// How often a plan may be changed.
const MAX_REVISIONS: u32 = 2;

/// How the tool phase of a run ended.
pub(crate) enum Ending {
    /// The findings are ready to answer from; with the answer, if the model wrote one.
    Answer(Option<Draft>),
    /// A person must decide.
    Waits(InputRequired),
}

impl Parts {
    /// Runs `session` until it ends or waits.
    ///
    /// # Errors
    /// If it was cancelled. Any other failure becomes a note, and the answer is written from what
    /// was found.
    pub(crate) async fn run(
        &self,
        session: &mut Session,
        out: &mpsc::Sender<AnswerEvent>,
        cancel: &Cancel,
    ) -> Result<Ending, Failure> {
        loop {
            let turn = match session.pending.take() {
                Some(turn) => turn,
                None => match self.next_turn(session, cancel).await? {
                    Some(turn) => turn,
                    None => return Ok(Ending::Answer(None)),
                },
            };
            if turn.calls.is_empty() {
                match self.take_text(session, &turn, out).await {
                    Next::GoOn => continue,
                    Next::Answer(draft) => return Ok(Ending::Answer(draft)),
                }
            }
            let undecided: Vec<&ToolCall> = self.undecided(session, &turn);
            if !undecided.is_empty() {
                let patience = self.settings.approval_minutes * 60;
                let required = session.input_required(&undecided, patience);
                session.pending = Some(turn);
                return Ok(Ending::Waits(required));
            }
            session.heard(&turn);
            self.run_calls(session, &turn, out, cancel).await;
            // Ids may be reused in another turn, and a decision applies to one call.
            session.decisions.clear();
            if cancel.is_cancelled() {
                return Err(cairn_gateway::ProviderError::cancelled().into());
            }
        }
    }

    /// Asks the model for its next turn; `None` if a limit or a failure ends the run.
    async fn next_turn(
        &self,
        session: &mut Session,
        cancel: &Cancel,
    ) -> Result<Option<Turn>, Failure> {
        let is_last = session.meter.is_last_turn();
        let tools = match session.phase {
            Phase::Working if !is_last => session.tools.offered(&session.context(cancel)),
            _ => Vec::new(),
        };
        if is_last && session.phase != Phase::Answering {
            session.phase = Phase::Answering;
            session.tell(prompt::ANSWER_NOW);
        }
        let request = turn::request(session, tools);
        let most = self.gateway.most(&session.targets, &request);
        if let Some(limit) = session.meter.forbids(&most) {
            session.notes.push(format!(
                "the agent stopped at {limit}; the answer rests on what was found until then"
            ));
            return Ok(None);
        }
        if is_last {
            session.notes.push(
                "the agent had no further turns or calls; the answer rests on what was found until \
                 then"
                    .to_owned(),
            );
        }
        let until = cancel.with_deadline(session.meter.tools_until);
        match turn::ask(&self.gateway, session, request, until).await {
            Ok(turn) => {
                session.meter.book(&turn.usage);
                Ok(Some(turn))
            }
            Err(error) => {
                if cancel.is_cancelled() {
                    return Err(error.into());
                }
                session.notes.push(match error.kind {
                    ProviderErrorKind::Cancelled => {
                        "the agent's time ran out; the answer rests on what was found until then"
                            .to_owned()
                    }
                    _ => format!("the agent was cut short: {}", error.message),
                });
                Ok(None)
            }
        }
    }

    /// Decides what follows a turn without calls.
    async fn take_text(
        &self,
        session: &mut Session,
        turn: &Turn,
        out: &mpsc::Sender<AnswerEvent>,
    ) -> Next {
        session.heard(turn);
        match session.phase {
            Phase::Planning => {
                session.plan.extend(parse_steps(&turn.text));
                self.announce_plan(session, turn, out).await;
                // Without a plan the question itself is the only step.
                session.phase = Phase::Working;
                match session.plan.current() {
                    Some(_) => begin_step(session),
                    None => session.tell("Answer the question now, with the help of the tools."),
                }
                Next::GoOn
            }
            Phase::Working if session.plan.current().is_some() => {
                let finding = finding(session, &turn.text);
                session.plan.findings.push(finding);
                match session.plan.current() {
                    Some(_) => begin_step(session),
                    None => {
                        session.phase = Phase::Reviewing;
                        let text = prompt::review(&session.plan.missing());
                        session.tell(text);
                    }
                }
                Next::GoOn
            }
            Phase::Working | Phase::Answering => Next::Answer(draft(session, turn)),
            Phase::Reviewing => {
                let wants_more = turn.text.trim_start().starts_with("PLAN");
                if wants_more && session.plan.revisions < MAX_REVISIONS {
                    session.plan.revisions += 1;
                    if session.plan.extend(parse_steps(&turn.text)) > 0 {
                        self.announce_plan(session, turn, out).await;
                        session.phase = Phase::Working;
                        begin_step(session);
                        return Next::GoOn;
                    }
                }
                if wants_more {
                    return Next::Answer(None);
                }
                Next::Answer(draft(session, turn))
            }
        }
    }

    /// Sends the plan as a step.
    async fn announce_plan(
        &self,
        session: &mut Session,
        turn: &Turn,
        out: &mpsc::Sender<AnswerEvent>,
    ) {
        let step = Step {
            n: session.next_step(),
            turn: session.meter.turns,
            thought: String::new(),
            tool: "plan".to_owned(),
            arguments: json!({ "steps": session.plan.steps }),
            result: match session.plan.steps.len() {
                0 => "no plan: the question is worked on as it is".to_owned(),
                1 => "a plan of 1 step".to_owned(),
                many => format!("a plan of {many} steps"),
            },
            ok: !session.plan.steps.is_empty(),
            milliseconds: 0.0,
            cost_usd: turn.usage.cost_usd,
        };
        session.steps.push(step.clone());
        out.send(AnswerEvent::Step(Box::new(step))).await.ok();
    }
}

/// What follows a turn.
enum Next {
    /// Another turn.
    GoOn,
    /// The answer, if the model wrote one.
    Answer(Option<Draft>),
}

fn begin_step(session: &mut Session) {
    let of = session.plan.steps.len();
    if let Some((number, step)) = session.plan.current() {
        let text = prompt::begin_step(number, of, step);
        session.tell(text);
    }
}

/// How to rate the model's report on a step.
fn finding(session: &Session, text: &str) -> Finding {
    if text.trim_start().starts_with(NO_ANSWER) || text.trim().is_empty() {
        return Finding::Missing;
    }
    match session.ledger.cited(text).is_empty() {
        true => Finding::Ungrounded,
        false => Finding::Grounded,
    }
}

/// The model's text as an answer: only if it is based on what was found, or says that nothing was.
fn draft(session: &Session, turn: &Turn) -> Option<Draft> {
    let refuses = turn.text.trim_start().starts_with(NO_ANSWER);
    if !refuses && session.ledger.cited(&turn.text).is_empty() {
        if !turn.text.trim().is_empty() && !session.ledger.is_empty() {
            tracing::debug!(
                text = shown(&turn.text),
                "an answer that cites nothing is not shown"
            );
        }
        return None;
    }
    Some(Draft {
        text: turn.text.clone(),
        provider: turn.provider.clone(),
        model: turn.model.clone(),
    })
}
