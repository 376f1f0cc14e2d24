//! The cache over real HTTP: what is asked again and what is not, equal requests
//! at the same time, and old answers when no provider answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_gateway::accounts::{Caller, KeyId, Scope};
use cairn_gateway::{
    AnswerBackend, Basis, Cache, CacheUse, Call, ChatEvent, ChatRequest, Gateway, Reuse, routes,
};
use cairn_models::Cancel;
use cairn_models::testing::HashEmbedder;
use cairn_settings::config::{CacheMode, Config};
use futures::StreamExt as _;

use super::routing::{config, fails, says};
use super::scripted::{Answer, Outcome, Part, Running, bytes, question, read, serve};

fn gateway(endpoint: &Running, change: impl FnOnce(&mut Config)) -> Gateway {
    let config = config(&[endpoint], |config| {
        config.routes.get_mut("answer").unwrap().retries = 0;
        change(config);
    });
    let cache = Cache::open(&config.cache, None, Some(Arc::new(HashEmbedder)));
    Gateway::from_config(&config, None)
        .unwrap()
        .with_cache(cache)
}

async fn ask(gateway: &Gateway, request: ChatRequest, call: Call) -> Outcome {
    let Ok(AnswerBackend::Model(plan)) = gateway.select(routes::ANSWER, None) else {
        panic!("the route has targets");
    };
    read(gateway.chat(&plan, request, call, Cancel::never())).await
}

fn caller(tenant: &str, labels: &[&str]) -> Call {
    let labels: BTreeSet<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    let scopes = [Scope::Query].into_iter().collect();
    Call {
        caller: Caller::new(KeyId::new("k"), tenant.to_owned(), &labels, scopes),
        ..Call::default()
    }
}

fn from(collection: &str, generation: u64) -> Call {
    Call {
        reuse: Reuse {
            sources: Some((collection.to_owned(), generation)),
            ..Reuse::default()
        },
        ..Call::default()
    }
}

#[tokio::test]
async fn the_same_request_is_asked_once_and_replayed_as_a_stream() {
    let a = serve(&[says(
        "a text of some words that is long enough to come in several pieces again",
    )])
    .await;
    let gateway = gateway(&a, |_| {});
    let first = ask(&gateway, question(), Call::default()).await;
    let Ok(AnswerBackend::Model(plan)) = gateway.select(routes::ANSWER, None) else {
        panic!("the route has targets");
    };
    let stream = gateway.chat(&plan, question(), Call::default(), Cancel::never());
    let events: Vec<_> = stream.map(Result::unwrap).collect().await;
    let texts: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            ChatEvent::Delta(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert!(texts.len() > 1);
    assert_eq!(texts.concat(), first.text);
    let Some(ChatEvent::Done(served)) = events.last() else {
        panic!("{events:?}");
    };
    assert_eq!(served.cache, CacheUse::Exact);
    assert_eq!(served.usage.cost_usd, 0.0);
    assert_eq!(
        served.usage.completion_tokens,
        first.served().usage.completion_tokens
    );
    assert_eq!(a.seen().len(), 1);
}

#[tokio::test]
async fn nothing_crosses_a_tenant_a_label_or_a_generation() {
    let a = serve(&[says("x")]).await;
    let gateway = gateway(&a, |_| {});
    let calls = [
        Call::default(),
        caller("one", &["a"]),
        caller("two", &["a"]),
        caller("one", &["a", "b"]),
        caller("one", &[]),
        from("main", 1),
        from("main", 2),
        from("other", 1),
    ];
    for (at, call) in calls.iter().enumerate() {
        let got = ask(&gateway, question(), call.clone()).await;
        assert_eq!(got.served().cache, CacheUse::None, "{at}");
    }
    assert_eq!(a.seen().len(), calls.len());
    for call in calls {
        let got = ask(&gateway, question(), call).await;
        assert_eq!(got.served().cache, CacheUse::Exact);
    }
    assert_eq!(a.seen().len(), 8);
}

#[tokio::test]
async fn every_parameter_counts() {
    let a = serve(&[says("x")]).await;
    let gateway = gateway(&a, |_| {});
    let changes: [fn(&mut ChatRequest); 6] = [
        |_| {},
        |request| request.max_tokens += 1,
        |request| request.top_p = Some(0.5),
        |request| request.stop.clear(),
        |request| request.seed = Some(1),
        |request| request.messages[0].content.push_str(" Or?"),
    ];
    for change in changes {
        let mut request = question();
        change(&mut request);
        assert_eq!(
            ask(&gateway, request, Call::default()).await.served().cache,
            CacheUse::None
        );
    }
    // Two messages that differ in anything have two keys, white space included.
    let mut request = question();
    request.messages[0].content = format!("  {}\n", request.messages[0].content);
    assert_eq!(
        ask(&gateway, request, Call::default()).await.served().cache,
        CacheUse::None
    );
}

#[tokio::test]
async fn what_must_be_new_is_new() {
    let a = serve(&[says("x")]).await;
    let gateway = gateway(&a, |_| {});
    let mut sampled = question();
    sampled.temperature = 0.7;
    let never = Call {
        reuse: Reuse {
            never: true,
            ..Reuse::default()
        },
        ..Call::default()
    };
    for _ in 0..2 {
        for (request, call) in [
            (sampled.clone(), Call::default()),
            (question(), never.clone()),
        ] {
            assert_eq!(
                ask(&gateway, request, call).await.served().cache,
                CacheUse::None
            );
        }
    }
    assert_eq!(a.seen().len(), 4);
}

#[tokio::test]
async fn failures_and_cut_answers_are_not_kept() {
    let cut = Answer::stream(&[
        bytes("data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n"),
        Part::Wait,
        Part::Cut,
    ]);
    let long = Answer::stream(&[bytes(
        "data: {\"choices\":[{\"delta\":{\"content\":\"half\"},\"finish_reason\":\"length\"}]}\n\n",
    )]);
    let a = serve(&[fails(), cut, long, says("whole")]).await;
    let gateway = gateway(&a, |_| {});
    assert!(
        ask(&gateway, question(), Call::default())
            .await
            .end
            .is_err()
    );
    assert!(
        ask(&gateway, question(), Call::default())
            .await
            .end
            .is_err()
    );
    assert_eq!(
        ask(&gateway, question(), Call::default()).await.text,
        "half"
    );
    assert_eq!(
        ask(&gateway, question(), Call::default()).await.text,
        "whole"
    );
    let got = ask(&gateway, question(), Call::default()).await;
    assert_eq!(
        (got.text.as_str(), got.served().cache),
        ("whole", CacheUse::Exact)
    );
}

#[tokio::test]
async fn an_old_answer_when_nobody_answers() {
    let a = serve(&[says("yesterday"), fails()]).await;
    let gateway = gateway(&a, |config| config.cache.ttl_seconds = 0);
    assert_eq!(
        ask(&gateway, question(), Call::default()).await.text,
        "yesterday"
    );
    let got = ask(&gateway, question(), Call::default()).await;
    assert_eq!(got.text, "yesterday");
    let served = got.served();
    assert_eq!(served.cache, CacheUse::Stale);
    assert!(
        served.notes[0].contains("earlier answer"),
        "{:?}",
        served.notes
    );
    // Not over other documents.
    assert!(
        ask(&gateway, question(), from("main", 2))
            .await
            .end
            .is_err()
    );
}

#[tokio::test]
async fn a_question_of_the_same_meaning_where_that_is_allowed() {
    let a = serve(&[says("x")]).await;
    for (mode, expected) in [
        (CacheMode::Semantic, CacheUse::Semantic),
        (CacheMode::Exact, CacheUse::None),
    ] {
        let gateway = gateway(&a, |config| {
            config.routes.get_mut("answer").unwrap().cache = mode;
        });
        let asking = |text: &str, rest: &str| Call {
            reuse: Reuse {
                basis: Some(Basis {
                    question: text.to_owned(),
                    rest: rest.to_owned(),
                }),
                ..Reuse::default()
            },
            ..Call::default()
        };
        let first = asking("How do I install the server?", "sources 1, 2");
        ask(&gateway, question(), first).await;
        let same = asking("how do I install the server", "sources 1, 2");
        assert_eq!(
            ask(&gateway, question(), same).await.served().cache,
            expected
        );
        for other in [
            asking("How do I install the client?", "sources 1, 2"),
            asking("how do I install the server", "sources 1, 3"),
        ] {
            assert_eq!(
                ask(&gateway, question(), other).await.served().cache,
                CacheUse::None
            );
        }
    }
}

#[tokio::test]
async fn equal_requests_at_the_same_time_are_one_call() {
    let slow = Answer::stream(&[
        bytes("data: {\"choices\":[{\"delta\":{\"content\":\"one \"}}]}\n\n"),
        Part::Wait,
        Part::Wait,
        Part::Wait,
        bytes(
            "data: {\"choices\":[{\"delta\":{\"content\":\"call\"},\"finish_reason\":\"stop\"}]}\n\n",
        ),
    ]);
    let mut a = serve(&[slow]).await;
    let gateway = Arc::new(gateway(&a, |_| {}));
    let calls = (0..20).map(|_| ask(&gateway, question(), Call::default()));
    let outcomes = futures::future::join_all(calls).await;
    assert_eq!(a.seen().len(), 1);
    let led = outcomes
        .iter()
        .filter(|got| got.served().cache == CacheUse::None)
        .count();
    assert_eq!(led, 1, "one of them made the call");
    assert!(outcomes.iter().all(|got| got.text == "one call"));
    a.closed.recv().await.unwrap();
}

#[tokio::test]
async fn a_shared_call_lives_as_long_as_somebody_reads() {
    let hanging = Answer::stream(&[
        bytes("data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n"),
        Part::Forever,
    ]);
    let mut a = serve(&[hanging]).await;
    let gateway = gateway(&a, |_| {});
    let Ok(AnswerBackend::Model(plan)) = gateway.select(routes::ANSWER, None) else {
        panic!("the route has targets");
    };
    let open = || gateway.chat(&plan, question(), Call::default(), Cancel::never());
    let (mut leader, mut follower) = (open(), open());
    assert_eq!(
        leader.next().await.unwrap().unwrap(),
        ChatEvent::Delta("one".to_owned())
    );
    assert_eq!(
        follower.next().await.unwrap().unwrap(),
        ChatEvent::Delta("one".to_owned())
    );
    assert_eq!(a.seen().len(), 1);
    drop(leader);
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    assert!(a.closed.try_recv().is_err(), "the follower still reads");
    drop(follower);
    a.closed.recv().await.expect("the connection is closed");
}
