//! What a step of the agent costs besides model and tool: `cargo bench --workspace --bench steps`.
//!
//! A scripted model answers at once and a tool returns at once, so that what is left is
//! ours: the turn through the gateway, checks, rendering, the ledger, events and the trace.
//! Each run has [`STEPS`] steps; the table gives milliseconds a step over [`RUNS`] runs.

#![allow(missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cairn_agent::{Agent, CostClass, Registry, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use cairn_engine::answer::{AnswerEvent, AnswerRequest, Answerer};
use cairn_engine::retrieve::{Engine, SearchRequest};
use cairn_gateway::{
    ChatRequest, Finish, Gateway, Limits, Provider, ProviderEvent, ProviderStream, ToolCall, Usage,
};
use cairn_models::Cancel;
use cairn_settings::config::{AgentMode, Config};
use futures::StreamExt as _;
use serde_json::{Value, json};

const STEPS: usize = 8;
const RUNS: usize = 300;

/// Calls the tool in each turn but the last.
struct Model(AtomicUsize);

impl Provider for Model {
    fn name(&self) -> &str {
        "script"
    }

    fn context_tokens(&self) -> usize {
        100_000
    }

    fn chat(&self, request: ChatRequest, _: Cancel) -> ProviderStream {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        let (event, finish) = match request.tools.is_empty() {
            true => (ProviderEvent::Delta("It is so [1].".into()), Finish::Stop),
            false => {
                let call = ToolCall {
                    id: n.to_string(),
                    name: "echo".into(),
                    arguments: json!({"text": n}).to_string(),
                    signature: None,
                };
                (ProviderEvent::ToolCall(call), Finish::ToolCalls)
            }
        };
        let done = ProviderEvent::Done {
            finish,
            usage: Some(Usage::default()),
            model: "script-1".into(),
        };
        futures::stream::iter([Ok(event), Ok(done)]).boxed()
    }
}

/// Returns a passage of 2,000 bytes at once.
struct Echo(ToolSpec);

#[async_trait]
impl Tool for Echo {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn run(&self, given: Value, _: &ToolContext) -> Result<ToolOutput, ToolError> {
        let text = format!("{given} {}", "word ".repeat(400));
        Ok(ToolOutput::evidence(
            "echo",
            "echo:1".into(),
            "Echo".into(),
            text,
        ))
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::default();
    config.storage.data_dir = folder.path().to_owned();
    config.agent.max_iterations = STEPS as u32 + 1;
    let engine = Engine::new(&config, None, None).expect("an engine");
    engine.create_collection("main").expect("a collection");
    let long = Duration::from_secs(60);
    let limits = Limits {
        first_token: long,
        token: long,
        total: long,
    };
    let model = Arc::new(Model(AtomicUsize::new(0)));
    let gateway = Arc::new(Gateway::new("script", limits).with(model, "script-1", false));
    let answerer = Answerer::new(Arc::new(engine.clone()), gateway, None, None, &config);
    let echo: Arc<dyn Tool> = Arc::new(Echo(ToolSpec {
        name: "echo".into(),
        description: "Says what it is given.".into(),
        parameters: json!({"type": "object"}),
        cost: CostClass::Free,
        scopes: &[],
    }));
    let agent = Agent::new(answerer, engine, Registry::new([echo]), &config);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut took: Vec<f64> = Vec::new();
    for run in 0..RUNS + 20 {
        let request = AnswerRequest::new(SearchRequest::new("What is so?", "main"));
        let events = agent.answer(request, Some(AgentMode::React), Cancel::default());
        let steps = runtime.block_on(async {
            let mut events = Box::pin(events);
            let (mut last, mut steps) = (Instant::now(), Vec::new());
            while let Some(event) = events.next().await {
                if let AnswerEvent::Step(_) = event {
                    steps.push(last.elapsed().as_secs_f64() * 1e3);
                    last = Instant::now();
                }
            }
            steps
        });
        assert_eq!(steps.len(), STEPS, "each turn but the last calls the tool");
        // The first runs warm everything up.
        if run >= 20 {
            took.extend(steps);
        }
    }
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "{} steps: p50 {:.3} ms, p95 {:.3} ms, p99 {:.3} ms",
        took.len(),
        at(0.5),
        at(0.95),
        at(0.99)
    );
}
