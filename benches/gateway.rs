//! What the gateway adds to a streamed call: `cargo bench --bench gateway`.
//!
//! A scripted provider on loopback sends an answer of [`DELTAS`] texts at once.
//! Calls arrive at a fixed rate, whatever the answers do, and are timed from
//! their scheduled moment to the last byte. The ways are taken in turns, round
//! by round, so that the machine's other work hits all of them.
//!
//! - `direct`: the provider itself
//! - `gateway`: `Gateway::chat`, accounts and ledger included
//! - `service`: `POST /v1/chat/completions` of the whole service
//! - `proxy`: another proxy, where `CAIRN_BENCH_PROXY` is its base URL; it must
//!   forward to the provider's port, which `CAIRN_BENCH_PORT` fixes
//!
//! `CAIRN_BENCH_PROXY_PID` adds the processor time of that proxy.
//! `CAIRN_BENCH_RATE` is the calls a second (500), `CAIRN_BENCH_SECONDS` the
//! length of a round (5), `CAIRN_BENCH_ROUNDS` how many (5). With
//! `CAIRN_BENCH_CALLS` (200000 by default; 0 leaves it out), as many calls are
//! then made by the gateway with a cache, and the memory of the process is shown.

#![allow(missing_docs)]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use cairn::server::{Service, router};
use cairn_engine::answer::Answerer;
use cairn_engine::retrieve::Engine;
use cairn_gateway::accounts::Accounts;
use cairn_gateway::{
    AnswerBackend, Cache, Call, ChatMessage, ChatRequest, ChatRole, Gateway, Plan, Reuse, routes,
};
use cairn_indexer::ParseLimits;
use cairn_models::Cancel;
use cairn_settings::config::{Config, ProviderConfig};
use futures::StreamExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Texts of one answer.
const DELTAS: usize = 20;

fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The answer, in OpenAI's format.
fn script() -> Vec<Bytes> {
    let mut frames: Vec<String> = (0..DELTAS)
        .map(|n| {
            let chunk = serde_json::json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": {"content": format!("word{n} ")}, "finish_reason": null}]});
            format!("data: {chunk}\n\n")
        })
        .collect();
    frames.push("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_owned());
    frames.push("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":20,\"total_tokens\":30}}\n\n".to_owned());
    frames.push("data: [DONE]\n\n".to_owned());
    frames.into_iter().map(Bytes::from).collect()
}

async fn answer(frames: Arc<Vec<Bytes>>) -> axum::response::Response {
    let frames: Vec<_> = frames.iter().cloned().map(Ok::<_, Infallible>).collect();
    let body = Body::from_stream(futures::stream::iter(frames));
    axum::response::Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .expect("a fixed response")
}

/// Serves on a runtime of its own and returns the address.
fn serve(runtime: &Runtime, app: Router, port: u16) -> String {
    let listener = runtime
        .block_on(TcpListener::bind(("127.0.0.1", port)))
        .expect("the port is free");
    let address = listener.local_addr().expect("it is bound");
    // Small frames must not wait for the acknowledgement of those before them.
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    runtime.spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/v1")
}

fn runtime(threads: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn request(n: usize) -> ChatRequest {
    let question = format!("Question {n}: {}", "some words of a prompt ".repeat(40));
    ChatRequest {
        messages: vec![ChatMessage::text(ChatRole::User, question)],
        max_tokens: 64,
        ..ChatRequest::default()
    }
}

/// One way to the provider.
#[derive(Clone)]
enum Way {
    Http(reqwest::Client, String, &'static str),
    Gateway(Arc<Gateway>, Plan),
}

impl Way {
    /// Makes call `n` and reads it to the end; false when it failed.
    async fn call(&self, n: usize) -> bool {
        match self {
            Self::Http(client, url, model) => {
                let request = request(n);
                let body = serde_json::json!({"model": model, "messages": request.messages,
                    "max_tokens": 64, "temperature": 0, "stream": true,
                    "stream_options": {"include_usage": true}});
                let call = client.post(url).bearer_auth("sk-bench");
                let Ok(response) = call
                    .header("cache-control", "no-store")
                    .json(&body)
                    .send()
                    .await
                else {
                    return false;
                };
                let ok = response.status().is_success();
                let mut bytes = response.bytes_stream();
                let mut done = false;
                while let Some(piece) = bytes.next().await {
                    let Ok(piece) = piece else { return false };
                    done |= piece.windows(6).any(|window| window == b"[DONE]");
                }
                ok && done
            }
            Self::Gateway(gateway, plan) => {
                let call = Call {
                    reuse: Reuse {
                        never: true,
                        ..Reuse::default()
                    },
                    ..Call::default()
                };
                drain(gateway, plan, n, call).await
            }
        }
    }
}

async fn drain(gateway: &Gateway, plan: &Plan, n: usize, call: Call) -> bool {
    let mut events = gateway.chat(plan, request(n), call, Cancel::never());
    let mut last = false;
    while let Some(event) = events.next().await {
        last = event.is_ok();
    }
    last
}

/// Seconds of every call of one round, and how many failed.
async fn round(way: &Way, rate: u64, seconds: u64) -> (Vec<f64>, usize) {
    let start = tokio::time::Instant::now() + Duration::from_millis(50);
    let calls = (0..rate * seconds).map(|n| {
        let way = way.clone();
        let at = start + Duration::from_nanos(1_000_000_000 / rate * n);
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            // The timer's own lateness, up to a millisecond, does not count.
            let begun = Instant::now();
            let ok = way.call(n as usize).await;
            (begun.elapsed().as_secs_f64(), ok)
        })
    });
    let calls: Vec<_> = calls.collect();
    let (mut times, mut failed) = (Vec::new(), 0);
    for call in calls {
        match call.await {
            Ok((time, true)) => times.push(time),
            _ => failed += 1,
        }
    }
    (times, failed)
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = ((sorted.len() as f64 - 1.0) * q).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN) * 1e3
}

/// Seconds of processor time that a process has taken, where the system says.
fn processor(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|n| n.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    // User and system time, in hundredths of a second.
    (ticks(12) + ticks(13)) / 100.0
}

/// Resident memory of this process in megabytes, where the system says.
fn resident_mb() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = statm
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0.0);
    pages * 4096.0 / 1e6
}

fn configured(base_url: &str, folder: &std::path::Path) -> Config {
    let mut config = Config::default();
    config.storage.data_dir = folder.to_owned();
    config.providers = vec![ProviderConfig::new("scripted", base_url, "m")];
    config.cache.max_mb = 8;
    config.server.max_concurrency = 4096;
    config
}

fn gateway(config: &Config) -> (Arc<Gateway>, Plan) {
    let accounts = Accounts::open(config).expect("a ledger");
    let gateway = Gateway::from_config(config, None)
        .expect("a gateway")
        .with_accounts(accounts)
        .with_cache(Cache::open(
            &config.cache,
            Some(&config.storage.data_dir),
            None,
        ));
    let Ok(AnswerBackend::Model(plan)) = gateway.select(routes::CHAT, Some("scripted")) else {
        panic!("the provider is there");
    };
    (Arc::new(gateway), plan)
}

fn main() {
    // `cargo bench` passes flags of its own.
    let (rate, seconds) = (
        number("CAIRN_BENCH_RATE", 500),
        number("CAIRN_BENCH_SECONDS", 5),
    );
    let rounds = number("CAIRN_BENCH_ROUNDS", 5);
    let port = u16::try_from(number("CAIRN_BENCH_PORT", 0)).expect("a port");
    let provider = runtime(1);
    let frames = Arc::new(script());
    let app = Router::new().route(
        "/v1/chat/completions",
        post(move || answer(Arc::clone(&frames))),
    );
    let base_url = serve(&provider, app, port);

    let folder = tempfile::tempdir().expect("a folder");
    let service_folder = tempfile::tempdir().expect("a folder");
    let config = configured(&base_url, folder.path());
    let (own, plan) = gateway(&config);
    let behind = runtime(1);
    let service_url = {
        let config = configured(&base_url, service_folder.path());
        let accounts = Accounts::open(&config).expect("a ledger");
        let engine = Engine::new(&config, None, None).expect("an engine");
        let gateway = Gateway::from_config(&config, None)
            .expect("a gateway")
            .with_accounts(accounts.clone());
        let search = Arc::new(engine.clone());
        let answerer = Answerer::new(search, Arc::new(gateway), None, None, &config);
        let service = Service::starting(config, accounts);
        service
            .start(engine, answerer, ParseLimits::default())
            .expect("a writer");
        serve(&behind, router(service), 0)
    };

    let client = reqwest::Client::new();
    let http = |base: &str, model| {
        let url = format!("{}/chat/completions", base.trim_end_matches('/'));
        Way::Http(client.clone(), url, model)
    };
    let mut ways = vec![
        ("direct", http(&base_url, "m")),
        ("gateway", Way::Gateway(Arc::clone(&own), plan.clone())),
        ("service", http(&service_url, "scripted")),
    ];
    if let Ok(proxy) = std::env::var("CAIRN_BENCH_PROXY") {
        ways.push(("proxy", http(&proxy, "m")));
    }
    let driver = runtime(2);
    let proxy = std::env::var("CAIRN_BENCH_PROXY_PID").unwrap_or_default();
    let taken = || processor("self") + processor(&proxy);
    let mut all: Vec<(Vec<f64>, usize, f64)> = vec![Default::default(); ways.len()];
    for at in 0..=rounds {
        for ((_, way), sums) in ways.iter().zip(&mut all) {
            let before = taken();
            let (times, failed) = driver.block_on(round(way, rate, seconds));
            // The first round opens connections.
            if at > 0 {
                sums.0.extend(times);
                sums.1 += failed;
                sums.2 += taken() - before;
            }
        }
    }
    println!(
        "{rate} calls a second, {rounds} rounds of {seconds} s; milliseconds to the last byte"
    );
    println!("processor: of this process, provider and client included, and of the proxy");
    println!(
        "{:10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "way", "p50", "p90", "p99", "calls", "failed", "us a call"
    );
    for ((name, _), (times, failed, processor)) in ways.iter().zip(&mut all) {
        times.sort_by(f64::total_cmp);
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|q| quantile(times, q));
        let each = *processor * 1e6 / (rate * seconds * rounds) as f64;
        let calls = times.len();
        println!("{name:10} {p50:8.3} {p90:8.3} {p99:8.3} {calls:8} {failed:8} {each:10.0}");
    }

    let calls = usize::try_from(number("CAIRN_BENCH_CALLS", 200_000)).expect("a count");
    let mut made = 0;
    while made < calls {
        const STEP: usize = 20_000;
        let start = Instant::now();
        let failed = driver.block_on(async {
            let calls = futures::stream::iter(made..(made + STEP).min(calls)).map(|n| {
                let (gateway, plan) = (Arc::clone(&own), plan.clone());
                tokio::spawn(async move { drain(&gateway, &plan, n, Call::default()).await })
            });
            let failures = calls.buffer_unordered(32).filter(|ok| {
                let failed = !matches!(ok, Ok(true));
                async move { failed }
            });
            failures.count().await
        });
        made += STEP.min(calls - made);
        let second = STEP as f64 / start.elapsed().as_secs_f64();
        println!(
            "{made:8} calls, {failed} failed, {second:6.0} a second, {:6.0} MB",
            resident_mb()
        );
    }
}
