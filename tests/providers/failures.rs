//! Statuses, addresses and keys: what is the same for every wire format.

use std::time::Duration;

use cairn_gateway::{Limits, ProviderError, ProviderErrorKind as K, open_provider};
use cairn_models::Cancel;
use cairn_settings::config::ProviderConfig;

use super::scripted::{Answer, PATIENT, bytes, chat, config, outcome, question, read, serve};

async fn failure(answer: Answer) -> ProviderError {
    outcome("openai", answer).await.error().clone()
}

#[tokio::test]
async fn statuses_become_kinds() {
    let body =
        r#"{"error":{"message":"key sk-secret of org-1 is wrong","type":"bad_thing","code":null}}"#;
    for (status, kind) in [
        (307, K::Redirected),
        (400, K::Rejected),
        (401, K::Unauthorized),
        (403, K::Unauthorized),
        (404, K::NoModel),
        (408, K::Timeout),
        (413, K::TooLong),
        (422, K::Rejected),
        (429, K::RateLimited),
        (500, K::Failed),
        (502, K::Failed),
        (503, K::Failed),
        (504, K::Timeout),
        (529, K::RateLimited),
    ] {
        let error = failure(Answer::json(status, body)).await;
        assert_eq!(error.kind, kind, "{status}");
        assert_eq!(error.provider, "endpoint");
        let message = &error.message;
        assert!(message.contains(&status.to_string()), "{message}");
        assert_eq!(error.retry_after, None);
    }
    let error = failure(Answer::json(400, body)).await;
    assert!(error.message.contains("bad_thing"), "{}", error.message);
    let long = r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}"#;
    assert_eq!(failure(Answer::json(400, long)).await.kind, K::TooLong);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = serve(&[Answer::json(200, "{}")]).await;
    let location: &'static str = Box::leak(target.base_url.clone().into_boxed_str());
    for status in [301, 302, 307, 308] {
        let error = failure(Answer::json(status, "").with("location", location)).await;
        assert_eq!(error.kind, K::Redirected);
        assert!(error.message.contains("not followed"), "{}", error.message);
    }
    assert!(target.seen().is_empty(), "the question went nowhere else");
}

#[tokio::test]
async fn waits_that_providers_ask_for() {
    for (name, value, expected) in [
        ("retry-after", "7", Some(Duration::from_secs(7))),
        ("retry-after", "0.5", Some(Duration::from_millis(500))),
        ("retry-after-ms", "250", Some(Duration::from_millis(250))),
        ("retry-after", "-1", None),
        ("retry-after", "NaN", None),
        ("retry-after", "soon", None),
        ("retry-after", "1e300", Some(Duration::from_secs(3600))),
    ] {
        let error = failure(Answer::json(429, "not json").with(name, value)).await;
        assert_eq!(
            (error.kind, error.retry_after),
            (K::RateLimited, expected),
            "{value}"
        );
    }
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = config("openai", &format!("http://{address}/v1"));
    let got = read(chat(&config, question(), PATIENT, Cancel::never())).await;
    assert_eq!(got.error().kind, K::Unreachable);
    let message = &got.error().message;
    assert!(message.contains("endpoint cannot be reached"), "{message}");
}

#[tokio::test]
async fn a_server_that_never_answers() {
    // The kernel takes the connection; nothing reads from it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        first_token: Duration::from_millis(100),
        ..PATIENT
    };
    let config = config("openai", &format!("http://{address}/v1"));
    let got = read(chat(&config, question(), limits, Cancel::never())).await;
    assert_eq!(got.error().kind, K::Timeout);
    assert!(got.error().message.contains("first_token_ms"));
}

#[tokio::test]
async fn a_missing_key_is_named_and_nobody_is_asked() {
    let served = serve(&[Answer::stream(&[bytes("data: [DONE]\n\n")])]).await;
    let provider = open_provider(&config("openai", &served.base_url), None).unwrap();
    let gateway = cairn_gateway::Gateway::new("endpoint", PATIENT).with(provider, "m", false);
    let Ok(cairn_gateway::AnswerBackend::Model(plan)) = gateway.select("chat", None) else {
        panic!("the provider is there")
    };
    let stream = gateway.chat(&plan, question(), Default::default(), Cancel::never());
    let got = read(stream).await;
    assert_eq!(got.error().kind, K::Unauthorized);
    let message = &got.error().message;
    assert!(message.contains("ENDPOINT_KEY"), "{message}");
    assert!(served.seen().is_empty());
}

#[test]
fn addresses_and_kinds_that_cannot_be_used() {
    let refused = |change: fn(&mut ProviderConfig)| {
        let mut config = config("openai", "https://example.com/v1");
        change(&mut config);
        open_provider(&config, None).err().unwrap().to_string()
    };
    let message = refused(|c| c.base_url = "ftp://example.com".into());
    assert!(
        message.contains("provider `endpoint`") && message.contains("`ftp`"),
        "{message}"
    );
    assert!(refused(|c| c.base_url = "example.com".into()).contains("base_url"));
    assert!(refused(|c| c.base_url = "https://me:pw@example.com".into()).contains("key_env"));
    assert!(refused(|c| c.base_url = "https://example.com/v1?x=1".into()).contains("query"));
    let message = refused(|c| c.kind = "open-ai".into());
    assert!(message.contains("`open-ai`") && message.contains("openai, azure, anthropic, gemini"));
}
