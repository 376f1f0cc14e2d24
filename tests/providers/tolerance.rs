//! What servers and proxies really send, over HTTP: bodies under wrong names, waits as
//! dates, errors inside streams, counts that cannot be, parameters that not all know.

use std::time::Duration;

use cairn_gateway::{Finish, ProviderErrorKind as Kind};
use cairn_models::Cancel;
use serde_json::json;

use super::formats::{FORMATS, frames};
use super::scripted::{Answer, PATIENT, bytes, chat, config, outcome, question, read, serve};

#[tokio::test]
async fn a_body_is_what_it_begins_with() {
    for format in FORMATS {
        for kind in [
            "text/plain",
            "application/octet-stream",
            "text/event-stream",
            "text/html",
        ] {
            let answer = Answer::new(200, kind, &[bytes(" "), bytes("\n"), bytes(format.whole)]);
            let got = outcome(format.kind, answer).await;
            assert_eq!(got.text, "Hi.", "{} as {kind}", format.kind);
        }
        for kind in ["application/json", "text/plain", "text/html", ""] {
            let got = outcome(format.kind, Answer::new(200, kind, &frames(format.text))).await;
            assert_eq!(got.text, "größe 👍🏽", "{} as {kind}", format.kind);
        }
        // The chunks of a stream as lines, and as one list.
        let chunks: Vec<&str> = format
            .text
            .iter()
            .copied()
            .filter(|it| *it != "[DONE]")
            .collect();
        for body in [chunks.join("\n"), format!("[{}]", chunks.join(","))] {
            let got = outcome(
                format.kind,
                Answer::new(200, "application/json", &[bytes(body)]),
            )
            .await;
            assert_eq!(got.text, "größe 👍🏽", "{}", format.kind);
        }
        let got = outcome(
            format.kind,
            Answer::new(200, "text/plain", &[bytes("<p>no</p>")]),
        )
        .await;
        assert_eq!(got.error().kind, Kind::Garbled);
    }
}

#[tokio::test]
async fn a_wait_as_a_date() {
    let answer = Answer::json(429, "{}")
        .with("date", "Sat, 28 Nov 2026 16:00:00 GMT")
        .with("retry-after", "Sat, 28 Nov 2026 16:00:02 GMT");
    let error = outcome("openai", answer).await.error().clone();
    assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_not_sent_again() {
    for format in FORMATS {
        let error = json!({"type": "error", "error": {"message": "prompt is too long: 9 tokens > 8 maximum", "type": "BadRequestError", "code": 400}});
        let served = serve(&[Answer::stream(&frames(&[&error.to_string()]))]).await;
        let config = config(format.kind, &served.base_url);
        let got = read(chat(&config, question(), PATIENT, Cancel::never())).await;
        assert_eq!(got.error().kind, Kind::TooLong, "{}", format.kind);
        assert_eq!(served.seen().len(), 1, "{}", format.kind);
    }
}

#[tokio::test]
async fn reasoning_and_absurd_counts() {
    let events = [
        r#"{"choices":[{"delta":{"reasoning_content":"Let me"},"finish_reason":""}]}"#,
        r#"{"choices":[{"delta":{"content":"<thi"},"finish_reason":""}]}"#,
        r#"{"choices":[{"delta":{"content":"nk>see [1].</th"},"finish_reason":""}]}"#,
        r#"{"choices":[{"delta":{"content":"ink>\n\nHi."},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1e19,"completion_tokens":-3}}"#,
        "[DONE]",
    ];
    let got = outcome("openai", Answer::stream(&frames(&events))).await;
    assert_eq!(got.text, "Hi.");
    let served = got.served();
    assert_eq!(served.finish, Finish::Stop);
    assert!(served.usage.estimated);
    assert!(served.usage.prompt_tokens < 10_000, "{:?}", served.usage);
    assert!(served.usage.completion_tokens < 100, "{:?}", served.usage);
}

#[tokio::test]
async fn parameters_are_passed_on_or_refused() {
    let mut request = question();
    let parameters = json!({"top_k": 5, "logit_bias": {"1": 2}});
    request.parameters = parameters.as_object().unwrap().clone();
    for format in FORMATS {
        let served = serve(&[Answer::stream(&frames(format.text))]).await;
        let config = config(format.kind, &served.base_url);
        let got = read(chat(&config, request.clone(), PATIENT, Cancel::never())).await;
        if matches!(format.kind, "openai" | "azure") {
            assert_eq!(served.seen()[0].body["logit_bias"], json!({"1": 2}));
            assert_eq!(served.seen()[0].body["top_k"], 5);
        } else {
            assert_eq!(got.error().kind, Kind::Rejected, "{}", format.kind);
            assert!(got.error().message.contains("logit_bias"));
            assert!(served.seen().is_empty());
        }
    }
}
