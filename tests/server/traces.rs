//! Traces as a collector gets them: over real HTTP, decoded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::post;
use cairn_gateway::accounts::{Accounts, CallInfo, Caller, Estimate, Outcome};
use cairn_settings::config::{Config, Otel};
use cairn_settings::telemetry::Traces;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt as _;

use super::Bench;
use super::agent::{Model, Turn};

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

impl Collector {
    /// Listens on a port of its own, on a thread of its own.
    fn start() -> (Self, String) {
        let collector = Self::default();
        let kept = collector.clone();
        let (ready, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                let keep = |State(kept): State<Self>, headers: HeaderMap, body: Bytes| async move {
                    kept.0.lock().unwrap().push((headers, body));
                };
                let router = axum::Router::new().route("/v1/traces", post(keep));
                axum::serve(listener, router.with_state(kept))
                    .await
                    .unwrap();
            });
        });
        (collector, format!("http://{}", address.recv().unwrap()))
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap();
        let decode = |(_, body): &(HeaderMap, Bytes)| {
            let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
            let scopes = request
                .resource_spans
                .into_iter()
                .flat_map(|spans| spans.scope_spans);
            scopes.flat_map(|scope| scope.spans).collect::<Vec<_>>()
        };
        requests.iter().flat_map(decode).collect()
    }
}

/// A subscriber that is not used. Where there is one alone, a span that another
/// thread meets first is switched off for all threads: that thread has none.
pub(super) fn second() -> tracing::Dispatch {
    tracing::Dispatch::new(tracing_subscriber::registry())
}

fn otel(endpoint: &str, text: bool) -> Otel {
    let mut otel = Config::default().telemetry.otel;
    otel.endpoint = endpoint.to_owned();
    otel.headers.insert("x-team".into(), "search".into());
    otel.text = text;
    otel
}

fn attributes(attributes: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pair = |pair: &KeyValue| {
        let value = pair.value.as_ref()?.value.as_ref()?;
        Some((pair.key.clone(), text(value)))
    };
    attributes.iter().filter_map(pair).collect()
}

/// One call to a model as the gateway makes it, with personal data in its text.
fn call(otel: &Otel, outcome: Outcome) {
    let mut config = Config::default();
    config.telemetry.otel = otel.clone();
    let accounts = Accounts::without_storage(&config);
    let info = CallInfo {
        request_id: "r1".into(),
        route: "answer".into(),
        provider: "acme".into(),
        model: "m-1".into(),
    };
    let mut reservation = accounts
        .admit(&Caller::anonymous(), Estimate::default(), info)
        .unwrap();
    reservation.prompt(|| "Who is jane@example.com?".into());
    reservation.answer("She is at +49 30 1234567.");
    let mut record = reservation.draft();
    record.usage.prompt_tokens = 11;
    record.usage.completion_tokens = 7;
    record.outcome = outcome;
    record.finish = if outcome == Outcome::Done {
        "stop"
    } else {
        "timeout"
    }
    .into();
    reservation.settle(record);
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_collector_gets_requests_and_the_calls_in_them() {
    let (collector, endpoint) = Collector::start();
    let otel = otel(&endpoint, true);
    let traces = Traces::start(&otel).unwrap();
    let _second = second();
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    {
        let _default = tracing::subscriber::set_default(subscriber);
        let request = Request::get("/health").header("traceparent", PARENT);
        let bench = Bench::starting(|_| {});
        let reply = bench.reply(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK);

        let request = tracing::info_span!("request");
        let _entered = request.enter();
        call(&otel, Outcome::Done);
        call(&otel, Outcome::Failed);
    }
    tokio::task::spawn_blocking(move || traces.finish())
        .await
        .unwrap();

    let spans = collector.spans();
    let named = |name: &str| {
        spans
            .iter()
            .filter(|span| span.name == name)
            .collect::<Vec<_>>()
    };
    let health = named("GET /health")[0];
    assert_eq!(hex(&health.trace_id), PARENT[3..35]);
    assert_eq!(hex(&health.parent_span_id), PARENT[36..52]);
    assert_eq!(health.kind, 2, "a server's");
    let facts = attributes(&health.attributes);
    assert_eq!(facts["http.response.status_code"], "200");

    let (request, calls) = (named("request")[0], named("chat m-1"));
    assert_eq!(calls.len(), 2);
    for call in &calls {
        assert_eq!(call.parent_span_id, request.span_id);
        assert_eq!(call.trace_id, request.trace_id);
        assert_eq!(call.kind, 3, "a client's");
    }
    let facts = attributes(&calls[0].attributes);
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "acme"),
        ("gen_ai.request.model", "m-1"),
        ("gen_ai.response.model", "m-1"),
        ("gen_ai.usage.input_tokens", "11"),
        ("gen_ai.usage.output_tokens", "7"),
        ("gen_ai.response.finish_reasons", "stop"),
        ("cairn.route", "answer"),
    ] {
        assert_eq!(facts.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(facts["gen_ai.input.messages"].contains("Who is [EMAIL]?"));
    assert!(facts["gen_ai.output.messages"].contains("She is at [PHONE]."));
    let failed = attributes(&calls[1].attributes);
    assert_eq!(failed["error.type"], "timeout");
    assert_eq!(calls[1].status.as_ref().unwrap().code, 2, "an error");

    let requests = collector.0.lock().unwrap();
    let (headers, body) = &requests[0];
    assert_eq!(headers["x-team"], "search");
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let text = String::from_utf8_lossy(body);
    assert!(text.contains("service.name") && text.contains("cairn"));
}

#[tokio::test]
async fn a_run_of_an_agent_is_a_tree_of_spans() {
    let (collector, endpoint) = Collector::start();
    let otel = otel(&endpoint, false);
    let traces = Traces::start(&otel).unwrap();
    let _second = second();
    {
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        let _default = tracing::subscriber::set_default(subscriber);
        let sum = ("calculate", json!({"expression": "1 + 1"}));
        let wrong = ("calculate", json!({"expression": "private question"}));
        let model = Model::new([Turn::Call(vec![sum, wrong]), Turn::Say("It is 2 [1].")]);
        let bench = Bench::with(model, |_| {});
        bench.upload_guide().await;
        let body = json!({"query": "What is the private question?", "agent": "react",
            "stream": false});
        let reply = bench.post("/query", &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    }
    tokio::task::spawn_blocking(move || traces.finish())
        .await
        .unwrap();
    let spans = collector.spans();
    let named = |name: &str| {
        let found = spans.iter().filter(|span| span.name == name);
        found.collect::<Vec<_>>()
    };
    let agent = named("invoke_agent cairn")[0];
    assert_eq!(agent.parent_span_id, named("POST /query")[0].span_id);
    let facts = attributes(&agent.attributes);
    assert_eq!(facts["gen_ai.operation.name"], "invoke_agent");
    assert_eq!(facts["gen_ai.usage.input_tokens"], "200");
    assert_eq!(facts["cairn.agent.steps"], "2");
    let tools = named("execute_tool calculate");
    assert_eq!(tools.len(), 2);
    let mut errors = 0;
    for tool in tools {
        assert_eq!(tool.parent_span_id, agent.span_id);
        let facts = attributes(&tool.attributes);
        assert_eq!(facts["gen_ai.tool.name"], "calculate");
        assert!(facts["gen_ai.tool.call.id"].starts_with("call_1_"));
        errors += usize::from(
            facts
                .get("error.type")
                .is_some_and(|kind| kind == "arguments"),
        );
    }
    assert_eq!(errors, 1);
    for (_, body) in collector.0.lock().unwrap().iter() {
        assert!(!String::from_utf8_lossy(body).contains("private question"));
    }
}

#[tokio::test]
async fn texts_stay_here_unless_asked_for() {
    let (collector, endpoint) = Collector::start();
    let otel = otel(&endpoint, false);
    let traces = Traces::start(&otel).unwrap();
    let _second = second();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), || {
        call(&otel, Outcome::Done);
        // Lines of the log are not part of a trace.
        tracing::info_span!("request").in_scope(|| tracing::info!("private question"));
    });
    tokio::task::spawn_blocking(move || traces.finish())
        .await
        .unwrap();
    assert_eq!(collector.spans().len(), 2);
    for (_, body) in collector.0.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(body);
        for private in ["jane", "EMAIL", "private question", "gen_ai.input.messages"] {
            assert!(!text.contains(private), "{private}");
        }
    }
}

#[tokio::test]
async fn a_collector_that_is_gone_or_hangs_breaks_nothing() {
    // One that is closed, and one that never answers.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone_address = gone.local_addr().unwrap();
    drop(gone);
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging_address = hanging.local_addr().unwrap();
    for address in [gone_address, hanging_address] {
        let otel = otel(&format!("http://{address}"), false);
        let traces = Traces::start(&otel).unwrap();
        {
            let subscriber = tracing_subscriber::registry().with(traces.layer());
            let _default = tracing::subscriber::set_default(subscriber);
            // More than the queue of spans holds.
            for _ in 0..5000 {
                call(&otel, Outcome::Done);
            }
            let bench = Bench::starting(|_| {});
            assert_eq!(bench.get("/health").await.status, StatusCode::OK);
        }
        // The end of the process waits for seconds at most.
        tokio::task::spawn_blocking(move || traces.finish())
            .await
            .unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
