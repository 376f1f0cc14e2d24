//! What must be equal for an answer to be given again.

use serde_json::{Value, json};

use crate::call::Call;
use crate::chat::{ChatRequest, ChatRole};
use crate::routes::Plan;

/// Changes when the meaning of a key does, so that old entries are not found.
const VERSION: u32 = 2;

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
/// something random then. Every part is one value of one JSON text, so no two requests
/// that differ in anything, white space included, have one key.
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
    let (turns, asked, question): (Value, Value, Option<&str>) = match &call.reuse.basis {
        Some(basis) => (
            json!(basis.rest),
            json!(basis.question),
            Some(&basis.question),
        ),
        None => match request.messages.split_last() {
            Some((last, earlier)) if last.role == ChatRole::User => {
                (json!(earlier), json!(last), Some(&last.content))
            }
            _ => (json!(request.messages), Value::Null, None),
        },
    };
    let hash = |value: Value| Key(blake3::hash(value.to_string().as_bytes()).into());
    Lookup {
        key: hash(json!([shared, turns, asked])),
        scope: hash(json!([shared, turns])),
        question: question
            .filter(|question| semantic && !question.trim().is_empty())
            .map(str::to_owned),
        route: plan.route.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::call::{Basis, Reuse};
    use crate::chat::ChatMessage;
    use crate::routes::{AnswerBackend, Limits, Routes};
    use crate::{Provider, ProviderStream};

    struct Nobody;

    impl Provider for Nobody {
        fn name(&self) -> &str {
            "p"
        }

        fn context_tokens(&self) -> usize {
            8192
        }

        fn chat(&self, _: ChatRequest, _: cairn_models::Cancel) -> ProviderStream {
            let nothing: ProviderStream = Box::pin(futures::stream::empty());
            nothing
        }
    }

    fn plan() -> Plan {
        let second = std::time::Duration::from_secs(1);
        let limits = Limits {
            first_token: second,
            token: second,
            total: second,
        };
        let mut routes = Routes::new("p".into(), limits);
        routes.with(std::sync::Arc::new(Nobody), "m".into(), false);
        match routes.select("answer", None) {
            Ok(AnswerBackend::Model(plan)) => plan,
            _ => panic!("no plan"),
        }
    }

    #[test]
    fn requests_that_differ_have_two_keys() {
        let plan = plan();
        let said = |messages: &[(ChatRole, &str)]| {
            let messages = messages
                .iter()
                .map(|(role, text)| ChatMessage::text(*role, *text))
                .collect();
            let request = ChatRequest {
                messages,
                ..ChatRequest::default()
            };
            lookup(&plan, &request, &Call::default(), true).key
        };
        use ChatRole::{Assistant, System, User};
        let conversations: &[&[(ChatRole, &str)]] = &[
            &[],
            &[(User, "")],
            &[(User, " ")],
            &[(User, "a")],
            &[(User, "a ")],
            &[(User, "\na")],
            &[(User, "a\u{a0}")],
            &[(System, "a")],
            &[(System, "a"), (User, "")],
            &[(System, "a "), (User, "")],
            &[(Assistant, "a"), (User, "")],
            &[(User, "a"), (User, "b")],
            &[(User, "a\nb")],
            &[(User, "ab")],
            &[(User, "a"), (Assistant, "b")],
            &[(User, "a"), (Assistant, "b"), (User, "")],
            &[(User, "\",\""), (User, "")],
            &[(User, "\"]"), (User, "")],
        ];
        let keys: HashSet<Key> = conversations.iter().map(|one| said(one)).collect();
        assert_eq!(keys.len(), conversations.len());
    }

    #[test]
    fn what_stands_for_the_messages_is_taken_as_it_is() {
        let plan = plan();
        let asked = |rest: &str, question: &str| {
            let call = Call {
                reuse: Reuse {
                    basis: Some(Basis {
                        question: question.into(),
                        rest: rest.into(),
                    }),
                    ..Reuse::default()
                },
                ..Call::default()
            };
            lookup(&plan, &ChatRequest::default(), &call, true)
        };
        let pairs = [("a", "b"), ("ab", ""), ("", "ab"), ("a", "b "), ("a ", "b")];
        let keys: HashSet<Key> = pairs.iter().map(|(r, q)| asked(r, q).key).collect();
        assert_eq!(keys.len(), pairs.len());
        // Another question of the same scope may still mean the same.
        assert_eq!(asked("a", "b").scope, asked("a", "b ").scope);
        assert_eq!(asked("a", " ").question, None);
    }
}
