//! Routes over real HTTP: which target is asked, and what happens when it fails.

use std::time::Duration;

use cairn_gateway::{AnswerBackend, Call, ChatStream, Gateway, ProviderErrorKind as Kind, routes};
use cairn_models::Cancel;
use cairn_settings::config::{Config, Deadlines, ProviderConfig, RouteConfig, TargetConfig};

use super::formats::{FORMATS, frames};
use super::scripted::{Answer, Part, Running, bytes, question, read, serve};

pub(super) fn says(text: &str) -> Answer {
    let chunk = serde_json::json!({"model": "m", "choices": [{"delta": {"content": text}, "finish_reason": "stop"}]});
    Answer::stream(&[bytes(format!("data: {chunk}\n\ndata: [DONE]\n\n"))])
}

pub(super) fn fails() -> Answer {
    Answer::json(500, "{}")
}

fn target(provider: &str) -> TargetConfig {
    TargetConfig {
        provider: provider.to_owned(),
        model: None,
        weight: None,
        max_cost_usd: None,
        max_latency_ms: None,
    }
}

/// A configuration with these endpoints, named `a`, `b`, ..., as the chain of
/// the route `answer`.
pub(super) fn config(endpoints: &[&Running], change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    let mut targets = Vec::new();
    for (name, endpoint) in ["a", "b", "c"].into_iter().zip(endpoints) {
        config
            .providers
            .push(ProviderConfig::new(name, &endpoint.base_url, "m"));
        targets.push(target(name));
    }
    let route = RouteConfig {
        targets,
        ..config.routes["answer"].clone()
    };
    config.routes.insert("answer".to_owned(), route);
    change(&mut config);
    config
}

fn ask(gateway: &Gateway, request_id: &str) -> ChatStream {
    let Ok(AnswerBackend::Model(plan)) = gateway.select(routes::ANSWER, None) else {
        panic!("the route has targets");
    };
    let call = Call {
        request_id: request_id.to_owned(),
        ..Call::default()
    };
    gateway.chat(&plan, question(), call, Cancel::never())
}

fn gateway(config: &Config) -> Gateway {
    Gateway::from_config(config, None).unwrap()
}

#[tokio::test]
async fn a_transient_failure_is_retried_and_nobody_notices() {
    let a = serve(&[fails(), says("hello")]).await;
    let gateway = gateway(&config(&[&a], |_| {}));
    let got = read(ask(&gateway, "1")).await;
    assert_eq!(got.text, "hello");
    let served = got.served();
    assert_eq!((served.retries, served.fallbacks), (1, 0));
    assert_eq!(a.seen().len(), 2);
}

#[tokio::test]
async fn the_next_target_answers_for_one_that_fails() {
    // Whatever the failure before the first text is.
    for broken in [
        fails(),
        Answer::json(401, "{}"),
        Answer::json(404, "{}"),
        Answer::json(200, "no json"),
        Answer::json(200, r#"{"error":{"message":"no"}}"#),
        Answer::stream(&[Part::Cut]),
        Answer::json(302, ""),
    ] {
        let (a, b) = (serve(&[broken]).await, serve(&[says("from b")]).await);
        let gateway = gateway(&config(&[&a, &b], |_| {}));
        let got = read(ask(&gateway, "1")).await;
        assert_eq!(got.text, "from b");
        let served = got.served();
        assert_eq!((served.provider.as_str(), served.fallbacks), ("b", 1));
        assert!(
            served.notes[0].contains("b/m answered instead: a "),
            "{:?}",
            served.notes
        );
    }
}

#[tokio::test]
async fn a_silent_target_leaves_time_for_the_next() {
    let (a, b) = (
        serve(&[Answer::stream(&[Part::Forever])]).await,
        serve(&[says("b")]).await,
    );
    let config = config(&[&a, &b], |config| {
        let realtime = Deadlines {
            first_token_ms: 2000,
            token_ms: 60_000,
            total_ms: 60_000,
        };
        config.deadlines.insert("realtime".to_owned(), realtime);
    });
    let got = read(ask(&gateway(&config), "1")).await;
    assert_eq!(got.text, "b");
    assert!(
        got.served().notes[0].contains("sent no word within 1.0 s"),
        "{:?}",
        got.served().notes
    );
}

#[tokio::test]
async fn a_wrong_request_is_not_passed_around() {
    let (a, b) = (
        serve(&[Answer::json(400, "{}")]).await,
        serve(&[says("b")]).await,
    );
    let got = read(ask(&gateway(&config(&[&a, &b], |_| {})), "1")).await;
    assert_eq!(got.error().kind, Kind::Rejected);
    assert!(b.seen().is_empty());
}

#[tokio::test]
async fn after_the_first_text_there_is_no_way_back() {
    let half = Answer::stream(&[
        frames(&FORMATS[0].no_usage[..1])[0].clone(),
        Part::Wait,
        Part::Cut,
    ]);
    let (a, b) = (serve(&[half]).await, serve(&[says("b")]).await);
    let got = read(ask(&gateway(&config(&[&a, &b], |_| {})), "1")).await;
    assert_eq!(got.error().kind, Kind::Cut);
    assert!(
        got.error()
            .message
            .contains("characters of the answer had been sent")
    );
    assert!(b.seen().is_empty());
}

#[tokio::test]
async fn one_that_asks_to_be_left_alone_is_not_retried_where_there_are_others() {
    let limited = || Answer::json(429, "{}").with("retry-after", "1");
    let (a, b) = (serve(&[limited()]).await, serve(&[says("b")]).await);
    let got = read(ask(&gateway(&config(&[&a, &b], |_| {})), "1")).await;
    assert_eq!((got.text.as_str(), a.seen().len()), ("b", 1));
    // Alone, it is waited for as long as it asks.
    let a = serve(&[limited(), says("later")]).await;
    let start = std::time::Instant::now();
    let got = read(ask(&gateway(&config(&[&a], |_| {})), "1")).await;
    assert_eq!(got.text, "later");
    assert!(start.elapsed() >= Duration::from_secs(1));
    // Longer than the deadline is not waited for at all.
    let a = serve(&[Answer::json(429, "{}").with("retry-after", "900")]).await;
    let got = read(ask(&gateway(&config(&[&a], |_| {})), "1")).await;
    assert_eq!(got.error().retry_after, Some(Duration::from_secs(900)));
    assert_eq!(a.seen().len(), 1);
}

#[tokio::test]
async fn a_target_that_keeps_failing_is_left_alone() {
    let (a, b) = (serve(&[fails()]).await, serve(&[says("b")]).await);
    let gateway = gateway(&config(&[&a, &b], |config| {
        config.routes.get_mut("answer").unwrap().retries = 0;
    }));
    for n in 0..20 {
        assert_eq!(read(ask(&gateway, &n.to_string())).await.text, "b");
    }
    assert_eq!(a.seen().len(), 5, "the circuit opens after five failures");
    let got = read(ask(&gateway, "x")).await;
    assert!(
        got.served().notes[0].contains("left alone"),
        "{:?}",
        got.served().notes
    );
}

#[tokio::test]
async fn when_all_fail_the_error_names_all() {
    let (a, b) = (
        serve(&[fails()]).await,
        serve(&[Answer::json(401, "{}")]).await,
    );
    let gateway = gateway(&config(&[&a, &b], |_| {}));
    let got = read(ask(&gateway, "1")).await;
    let message = &got.error().message;
    assert!(
        message.contains("a failed (HTTP 500)") && message.contains("b refused the key"),
        "{message}"
    );
}

#[tokio::test]
async fn weights_send_a_share_to_the_canary() {
    let (a, b) = (serve(&[says("a")]).await, serve(&[says("b")]).await);
    let gateway = gateway(&config(&[&a, &b], |config| {
        let targets = &mut config.routes.get_mut("answer").unwrap().targets;
        (targets[0].weight, targets[1].weight) = (Some(80.0), Some(20.0));
    }));
    for n in 0..60 {
        let id = format!("request-{n}");
        let first = read(ask(&gateway, &id)).await;
        assert_eq!(
            first.text,
            read(ask(&gateway, &id)).await.text,
            "the same id, the same target"
        );
    }
    let (a, b) = (a.seen().len(), b.seen().len());
    assert_eq!(a + b, 120);
    assert!((8..44).contains(&b), "{b} of 120");
}

#[tokio::test]
async fn targets_that_are_too_small_are_passed_over() {
    let (a, b) = (serve(&[says("a")]).await, serve(&[says("b")]).await);
    let got = read(ask(
        &gateway(&config(&[&a, &b], |config| {
            config.providers[0].context_tokens = 65
        })),
        "1",
    ))
    .await;
    assert_eq!((got.text.as_str(), a.seen().len()), ("b", 0));
    let gateway = gateway(&config(&[&a], |config| {
        config.providers[0].context_tokens = 65
    }));
    let got = read(ask(&gateway, "1")).await;
    assert_eq!(got.error().kind, Kind::NoTarget);
    assert!(
        got.error().message.contains("a/m takes 65 tokens"),
        "{}",
        got.error().message
    );
}

#[test]
fn selection_by_name_model_route_and_default() {
    let mut config = Config::default();
    let address = "http://127.0.0.1:1/v1";
    let mut open = ProviderConfig::new("a", address, "m1");
    open.models = vec!["shared".to_owned()];
    let mut closed = ProviderConfig::new("b", address, "org/m2");
    closed.models = vec!["shared".to_owned(), "m3".to_owned()];
    config.providers = vec![open, closed, ProviderConfig::new("c", address, "m4")];
    config.routes.get_mut("judge").unwrap().targets = vec![target("b")];
    let gateway = Gateway::from_config(&config, None).unwrap();
    let chosen = |route: &str, model: Option<&str>| match gateway.select(route, model) {
        Ok(AnswerBackend::Model(plan)) => Ok((plan.provider().to_owned(), plan.model().to_owned())),
        Ok(AnswerBackend::Extractive) => Ok(("extractive".to_owned(), String::new())),
        Err(error) => Err((error.kind, error.message)),
    };
    let pair = |provider: &str, model: &str| Ok((provider.to_owned(), model.to_owned()));
    assert_eq!(chosen("answer", None), pair("extractive", ""));
    assert_eq!(chosen("judge", None), pair("b", "org/m2"));
    assert_eq!(chosen("chat", Some("judge")), pair("b", "org/m2"));
    assert_eq!(chosen("answer", Some("a")), pair("a", "m1"));
    assert_eq!(chosen("answer", Some("org/m2")), pair("b", "org/m2"));
    assert_eq!(chosen("answer", Some("b/m3")), pair("b", "m3"));
    assert_eq!(
        chosen("answer", Some("c/any/model")),
        pair("c", "any/model")
    );
    assert_eq!(chosen("answer", Some("shared")), pair("a", "shared"));
    assert_eq!(
        chosen("answer", Some("local")).unwrap_err().0,
        Kind::Unreachable
    );
    let (kind, message) = chosen("answer", Some("b/m9")).unwrap_err();
    assert_eq!(kind, Kind::NoModel);
    assert!(
        message.contains("it may for: org/m2, shared, m3"),
        "{message}"
    );
    let (kind, message) = chosen("answer", Some("nobody")).unwrap_err();
    assert_eq!(kind, Kind::NoModel);
    assert!(
        message.contains("a (m1), b (org/m2), c (m4), extractive"),
        "{message}"
    );
}

#[test]
fn bad_configurations_are_named() {
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        let address = "http://127.0.0.1:1/v1";
        config.providers = vec![
            ProviderConfig::new("a", address, "m"),
            ProviderConfig::new("b", address, "m"),
        ];
        change(&mut config);
        Gateway::from_config(&config, None)
            .err()
            .unwrap()
            .to_string()
    };
    let message = refused(&|c| c.answer.provider = "x".into());
    assert!(message.contains("answer.provider is `x`"), "{message}");
    assert!(refused(&|c| c.providers[1].name = "a".into()).contains("`a` is taken"));
    assert!(refused(&|c| c.providers[1].name = "local".into()).contains("`local` is taken"));
    let route = |c: &mut Config, change: &dyn Fn(&mut RouteConfig)| {
        change(c.routes.get_mut("judge").unwrap());
    };
    let message = refused(&|c| route(c, &|r| r.targets = vec![target("x")]));
    assert!(
        message.contains("[routes.judge]") && message.contains("no provider `x`"),
        "{message}"
    );
    let message = refused(&|c| route(c, &|r| r.deadlines = "never".into()));
    assert!(message.contains("[deadlines.never]"), "{message}");
    let message = refused(&|c| {
        route(c, &|r| {
            r.targets = vec![TargetConfig {
                weight: Some(-1.0),
                ..target("a")
            }];
        });
    });
    assert!(message.contains("weight"), "{message}");
    let message = refused(&|c| {
        c.providers[0].models = vec!["n".into()];
        route(c, &|r| {
            r.targets = vec![TargetConfig {
                model: Some("x".into()),
                ..target("a")
            }];
        });
    });
    assert!(message.contains("does not list `x`"), "{message}");
}
