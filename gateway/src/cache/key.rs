//! What must be equal for an answer to be given again.

use serde_json::{Value, json};

use crate::call::Call;
use crate::chat::{ChatRequest, ChatRole};
use crate::routes::Plan;

/// Changes when the meaning of a key does, so that old entries are not found.
const VERSION: u32 = 1;

/// Hash of everything that an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(super) [u8; 32]);

/// What to look for, and where to put the answer.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// Of the whole request.
    pub(crate) key: Key,
    /// Of all but the question: semantic hits share it.
    pub(crate) scope: Key,
    /// The question, where one of the same meaning may stand for it.
    pub(crate) question: Option<String>,
    /// For statistics and purges.
    pub(crate) route: String,
}

/// The key of one call.
///
/// It holds the tenant, the labels that the caller may read, collection and
/// generation of the sources, route, targets, parameters, tools and messages.
/// Where the call gives a basis, that stands for the messages, which hold
/// something random then. White space at the ends of a message does not count.
pub(crate) fn lookup(plan: &Plan, request: &ChatRequest, call: &Call, semantic: bool) -> Lookup {
    let targets: Vec<String> = plan.targets.iter().map(|target| target.label()).collect();
    let mut shared = json!({
        "version": VERSION,
        "tenant": call.caller.tenant(),
        "labels": call.caller.labels(),
        "sources": call.reuse.sources,
        "route": plan.route.name,
        "targets": targets,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature.to_bits(),
        "top_p": request.top_p.map(f32::to_bits),
        "seed": request.seed,
        "stop": request.stop,
        "tools": request.tools,
        "tool_choice": request.tool_choice,
    });
    if !request.parameters.is_empty() {
        shared["parameters"] = json!(request.parameters);
    }
    let mut turns: Vec<Value> = Vec::new();
    let mut question = None;
    match &call.reuse.basis {
        Some(basis) => {
            turns.push(json!(basis.rest));
            question = Some(basis.question.trim().to_owned());
        }
        None => {
            let (last, earlier) = match request.messages.split_last() {
                Some((last, earlier)) if last.role == ChatRole::User => (Some(last), earlier),
                _ => (None, request.messages.as_slice()),
            };
            for message in earlier {
                let mut message = message.clone();
                message.content = message.content.trim().to_owned();
                turns.push(json!(message));
            }
            question = last.map(|last| last.content.trim().to_owned()).or(question);
        }
    }
    let scope = json!([shared, turns]).to_string();
    let mut whole = blake3::Hasher::new();
    whole.update(scope.as_bytes());
    // The scope ends with a bracket, so nothing that follows can be part of it.
    whole.update(question.as_deref().unwrap_or_default().as_bytes());
    Lookup {
        key: Key(whole.finalize().into()),
        scope: Key(blake3::hash(scope.as_bytes()).into()),
        question: question.filter(|question| semantic && !question.is_empty()),
        route: plan.route.name.clone(),
    }
}
