//! `ask`: a question that may take its time, by the agent. A job survives a restart: what
//! was not answered then is asked again from the start.

use cairn_engine::answer::{AnswerEvent, AnswerRequest, Answered, Step, Whole, whole};
use cairn_engine::retrieve::SearchRequest;
use cairn_gateway::accounts::CallIds;
use cairn_jobs::Failure;
use cairn_models::Cancel;
use cairn_settings::config::AgentMode;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Checks, Kind, Plan, input, read};
use crate::ingest::task::{Stop, Task};
use crate::ingest::{Payload, Refusal};

/// Longest question, in bytes.
const MAX_QUESTION_BYTES: usize = 8192;
/// Characters of each source that the result keeps.
const MAX_EXCERPT_CHARS: usize = 500;

/// Asks the agent.
#[derive(Debug)]
pub(super) struct Ask;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    query: String,
    #[serde(default)]
    agent: Option<AgentMode>,
    #[serde(default)]
    model: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Input {
    query: String,
    agent: AgentMode,
    model: Option<String>,
}

impl Kind for Ask {
    fn name(&self) -> &'static str {
        "ask"
    }

    fn check(&self, fields: Value, checks: &Checks<'_>) -> Result<Plan, Refusal> {
        let fields: Fields = read(fields)?;
        if !checks.asker.may_ask {
            let message = "this API key may not ask questions: it lacks the scope `query`";
            return Err(Refusal::invalid("kind", message));
        }
        let query = fields.query.trim().to_owned();
        if query.is_empty() || query.len() > MAX_QUESTION_BYTES {
            let message = format!("`query` has 1 to {MAX_QUESTION_BYTES} bytes");
            return Err(Refusal::invalid("query", message));
        }
        if fields.model.as_ref().is_some_and(|model| model.len() > 256) {
            return Err(Refusal::invalid("model", "`model` has at most 256 bytes"));
        }
        let input = Input {
            query,
            agent: fields.agent.unwrap_or(AgentMode::Auto),
            model: fields.model,
        };
        Ok(Plan {
            input: json!(input),
            ordering_key: None,
            unique_key: None,
            source: None,
        })
    }

    fn run(&self, payload: &Payload, task: &Task) -> Result<Value, Stop> {
        let input: Input = input(payload)?;
        let Some(asking) = &task.tools().asking else {
            return Err(Stop::permanent(
                "this worker answers no questions; run `cairn serve` on the data folder",
            ));
        };
        let caller = payload.asker(&task.tools().accounts)?;
        let retrieval = &asking.retrieval;
        let search = SearchRequest::default_of(retrieval, &input.query, &payload.collection);
        let mut request = AnswerRequest::asked_by(caller.clone(), search);
        request.model.clone_from(&input.model);
        task.stage("ask");
        let agent = &asking.agent;
        let mut events = agent.answer(request, Some(input.agent), Cancel::default());
        let mut steps = Vec::new();
        loop {
            match task.wait(whole(events, |event| show(event, task)))?? {
                Whole::Answered(mut answered) => {
                    steps.append(&mut answered.steps);
                    return Ok(result(*answered, steps));
                }
                // No person is there to allow calls: the agent goes on without them.
                Whole::Waits(required, done) => {
                    steps.extend(done);
                    let (id, calls) = (&required.run_id, CallIds::default());
                    let resumed = agent.resume(id, &[], &caller, &calls, Cancel::default());
                    let resumed = resumed.map_err(|error| Stop::permanent(error.to_string()))?;
                    events = resumed.boxed();
                }
            }
        }
    }
}

impl From<cairn_engine::answer::Failure> for Stop {
    fn from(failure: cairn_engine::answer::Failure) -> Self {
        Self::Failed(Failure {
            permanent: !failure.retryable,
            ..Failure::transient(failure.message)
        })
    }
}

/// Shows what the agent does as the stage of the job.
fn show(event: &AnswerEvent, task: &Task) {
    match event {
        AnswerEvent::Step(step) => task.stage(&format!("step {}: {}", step.n, step.tool)),
        AnswerEvent::Sources(_) => task.stage("write"),
        _ => {}
    }
}

/// The answer as a job keeps it: its sources by name and beginning.
fn result(answered: Answered, steps: Vec<Step>) -> Value {
    let sources = answered.sources.iter().map(|source| {
        let text: String = source.text.chars().take(MAX_EXCERPT_CHARS).collect();
        json!({"n": source.n, "chunk_id": source.chunk_id, "document_id": source.document_id,
            "uri": source.uri, "title": source.title, "text": text})
    });
    let sources: Vec<Value> = sources.collect();
    let mut value = json!(answered.done);
    if let Value::Object(fields) = &mut value {
        fields.insert("generation".into(), answered.generation.into());
        fields.insert("sources".into(), sources.into());
        fields.insert("steps".into(), json!(steps));
    }
    value
}
