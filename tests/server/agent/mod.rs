//! The agent over HTTP: a scripted model decides, the real tools do what it asks, or refuse.

mod jobs;
mod limits;
mod loops;
mod mcp;
mod rights;
mod tools;
mod waiting;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use cairn_gateway::{
    ChatRequest, ChatRole, Finish, Provider, ProviderEvent, ProviderStream, ToolCall, Usage,
};
use cairn_models::Cancel;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::{Bench, Reply, frames};

/// One turn of the scripted model.
#[derive(Clone)]
pub(super) enum Turn {
    /// It writes.
    Say(&'static str),
    /// It wants tools.
    Call(Vec<(&'static str, Value)>),
    /// The same with arguments as text, however broken.
    Raw(&'static str, String),
    /// It fails.
    Fail,
    /// It says nothing, for ever.
    Hang,
}
use Turn::{Call, Fail, Hang, Raw, Say};

/// A model that follows a script; the last turn stays.
pub(super) struct Model {
    turns: Mutex<VecDeque<Turn>>,
    asked: Mutex<Vec<ChatRequest>>,
    usage: Usage,
    cancels: Mutex<Vec<Cancel>>,
    /// Whether the first call of each turn has one id.
    reuses_ids: std::sync::atomic::AtomicBool,
}

impl Model {
    pub(super) fn new(turns: impl IntoIterator<Item = Turn>) -> Arc<Self> {
        let usage = Usage {
            prompt_tokens: 100,
            completion_tokens: 10,
            ..Usage::default()
        };
        Arc::new(Self {
            turns: Mutex::new(turns.into_iter().collect()),
            asked: Mutex::default(),
            usage,
            cancels: Mutex::default(),
            reuses_ids: Default::default(),
        })
    }

    fn asked(&self) -> Vec<ChatRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// What tools said to the model, in order, of the last request.
    fn results(&self) -> Vec<String> {
        let asked = self.asked();
        let Some(last) = asked.last() else {
            return Vec::new();
        };
        let results = last
            .messages
            .iter()
            .filter(|one| one.role == ChatRole::Tool);
        results.map(|one| one.content.clone()).collect()
    }
}

impl Provider for Model {
    fn name(&self) -> &str {
        "script"
    }

    fn context_tokens(&self) -> usize {
        100_000
    }

    fn chat(&self, request: ChatRequest, cancel: Cancel) -> ProviderStream {
        self.asked.lock().unwrap().push(request);
        self.cancels.lock().unwrap().push(cancel);
        let turn = {
            let mut turns = self.turns.lock().unwrap();
            match turns.len() {
                0 | 1 => turns.front().cloned(),
                _ => turns.pop_front(),
            }
        };
        let call = |at: usize, name: &str, arguments: String| {
            ProviderEvent::ToolCall(ToolCall {
                id: match self.reuses_ids.load(std::sync::atomic::Ordering::SeqCst) {
                    true => format!("call_{at}"),
                    false => format!("call_{}_{at}", self.asked.lock().unwrap().len()),
                },
                name: name.to_owned(),
                arguments,
                signature: None,
            })
        };
        let (mut events, finish) = match turn {
            Some(Say(text)) => (vec![ProviderEvent::Delta(text.into())], Finish::Stop),
            Some(Call(calls)) => {
                let calls = calls.into_iter().enumerate();
                let calls =
                    calls.map(|(at, (name, arguments))| call(at, name, arguments.to_string()));
                (calls.collect(), Finish::ToolCalls)
            }
            Some(Raw(name, arguments)) => (vec![call(0, name, arguments)], Finish::ToolCalls),
            Some(Hang) => return futures::stream::pending().boxed(),
            Some(Fail) | None => {
                let error = cairn_gateway::ProviderError::new(
                    cairn_gateway::ProviderErrorKind::Rejected,
                    "script",
                    "the script fails on purpose",
                );
                return futures::stream::iter([Err(error)]).boxed();
            }
        };
        events.push(ProviderEvent::Done {
            finish,
            usage: Some(self.usage),
            model: "script-1".into(),
        });
        futures::stream::iter(events.into_iter().map(Ok)).boxed()
    }
}

fn search(query: &str) -> (&'static str, Value) {
    ("search", json!({"query": query}))
}

/// Documents of which one names the other: a chain of two facts.
const SHIP: &str = "# The Albatross\n\nThe ship Albatross belongs to the Hansen company.\n";
const COMPANY: &str = "# Hansen company\n\nThe Hansen company was founded in Flensburg in 1873.\n";

async fn fill(bench: &Bench) {
    for (uri, text) in [("ship.md", SHIP), ("company.md", COMPANY)] {
        let reply = bench
            .post("/documents", &json!({"uri": uri, "text": text}))
            .await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    }
}

async fn ask(bench: &Bench, body: Value) -> Reply {
    let reply = bench.post("/query", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply
}

/// The answer of a run in one piece.
async fn run(bench: &Bench, mode: &str) -> Value {
    let body = json!({"query": "Where was the owner of the Albatross founded?",
        "agent": mode, "stream": false});
    ask(bench, body).await.json()
}

fn notes(answer: &Value) -> String {
    answer["degraded"].to_string()
}

fn tools_of(answer: &Value) -> Vec<String> {
    let steps = answer["steps"].as_array().cloned().unwrap_or_default();
    steps
        .iter()
        .map(|step| step["tool"].as_str().unwrap().to_owned())
        .collect()
}
