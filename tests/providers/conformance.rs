//! What every provider must do, whatever its wire format.

use std::time::Duration;

use cairn_gateway::{
    ChatMessage, ChatRequest, ChatRole, Finish, Limits, ProviderErrorKind as Kind, Tool, ToolCall,
    ToolChoice,
};
use cairn_models::Cancel;
use cairn_settings::config::ToolsMode;
use serde_json::{Value, json};

use super::formats::{FORMATS, frames};
use super::scripted::{Answer, PATIENT, Part, bytes, chat, config, outcome, question, read, serve};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_whole_answer_and_what_was_asked() {
    for format in FORMATS {
        let served = serve(&[Answer::stream(&frames(format.text))]).await;
        let config = config(format.kind, &served.base_url);
        let got = read(chat(&config, question(), PATIENT, Cancel::never())).await;
        assert_eq!(got.text, "größe 👍🏽", "{}", format.kind);
        let end = got.served();
        assert_eq!(
            (end.provider.as_str(), end.model.as_str()),
            ("endpoint", "m-1")
        );
        assert_eq!(end.finish, Finish::Stop);
        let usage = end.usage;
        assert_eq!(
            (
                usage.prompt_tokens,
                usage.cached_prompt_tokens,
                usage.completion_tokens
            ),
            (12, 8, 3),
            "{}",
            format.kind
        );
        assert!(!usage.estimated);

        let seen = &served.seen()[0];
        assert_eq!(seen.uri, format.uri);
        assert_eq!(seen.headers[format.key.0], format.key.1);
        assert_eq!(seen.body, parsed(format.request), "{}", format.kind);
    }
}

#[tokio::test]
async fn bytes_may_be_cut_anywhere() {
    for format in FORMATS {
        let parts = frames(format.text);
        let whole = parts.iter().flat_map(|part| match part {
            Part::Bytes(bytes) => bytes.clone(),
            _ => unreachable!("frames are bytes"),
        });
        let parts: Vec<Part> = whole.map(|byte| Part::Bytes(vec![byte])).collect();
        let got = outcome(format.kind, Answer::stream(&parts)).await;
        assert_eq!(got.text, "größe 👍🏽", "{}", format.kind);
        assert_eq!(got.served().usage.prompt_tokens, 12);
    }
}

#[tokio::test]
async fn tool_calls_are_joined() {
    for format in FORMATS {
        let got = outcome(format.kind, Answer::stream(&frames(format.tools))).await;
        assert_eq!(got.served().finish, Finish::ToolCalls, "{}", format.kind);
        let calls: Vec<(&str, Value)> = got
            .calls
            .iter()
            .map(|call| (call.name.as_str(), parsed(&call.arguments)))
            .collect();
        let expected = [
            ("search", json!({"q": "größe", "k": 2})),
            ("now", json!({})),
        ];
        assert_eq!(calls, expected, "{}", format.kind);
        assert_eq!(got.calls[0].id, "call_a");
        assert_ne!(got.calls[1].id, got.calls[0].id);
        assert!(!got.calls[1].id.is_empty());
    }
}

/// A conversation with a tool, its call and its result.
fn with_tools() -> ChatRequest {
    let call = ToolCall {
        id: "call_a".to_owned(),
        name: "search".to_owned(),
        arguments: r#"{"q":"x"}"#.to_owned(),
        signature: Some("c2ln".to_owned()),
    };
    ChatRequest {
        messages: vec![
            ChatMessage::text(ChatRole::System, "Be brief."),
            ChatMessage::text(ChatRole::User, "Size?"),
            ChatMessage {
                tool_calls: vec![call.clone()],
                ..ChatMessage::text(ChatRole::Assistant, "")
            },
            ChatMessage::tool_result(&call, "3 cm"),
        ],
        max_tokens: 64,
        tools: vec![Tool {
            name: "search".to_owned(),
            description: "Finds.".to_owned(),
            parameters: json!({"type": "object", "properties": {"q": {"type": "string"}}}),
        }],
        tool_choice: ToolChoice::Function("search".to_owned()),
        ..ChatRequest::default()
    }
}

#[tokio::test]
async fn tools_and_their_results_are_sent() {
    for format in FORMATS {
        let served = serve(&[Answer::stream(&frames(format.text))]).await;
        let config = config(format.kind, &served.base_url);
        let got = read(chat(&config, with_tools(), PATIENT, Cancel::never())).await;
        assert!(got.end.is_ok(), "{}", format.kind);
        let body = &served.seen()[0].body;
        assert_eq!(*body, parsed(format.tool_request), "{}", format.kind);
    }
}

#[tokio::test]
async fn tools_in_words_are_not_on_the_wire() {
    for format in FORMATS {
        let served = serve(&[Answer::stream(&frames(format.text))]).await;
        let mut config = config(format.kind, &served.base_url);
        config.tools = ToolsMode::Text;
        let got = read(chat(&config, with_tools(), PATIENT, Cancel::never())).await;
        assert_eq!(got.text, "größe 👍🏽", "{}", format.kind);
        assert_eq!(got.served().finish, Finish::Stop);
        let body = &served.seen()[0].body;
        for field in ["tools", "tool_choice", "toolConfig"] {
            assert!(body.get(field).is_none(), "{field} of {}", format.kind);
        }
        let body = body.to_string();
        for part in [
            "- `search`: Finds.",
            "Result of `search`:\\n3 cm",
            "```tool_call",
        ] {
            assert!(body.contains(part), "{part} in {body}");
        }
    }
    let call = "```tool_call\\n{\\\"tool\\\": \\\"search\\\", \\\"arguments\\\": {\\\"q\\\": \\\"y\\\"}}\\n```";
    let answer = format!(
        r#"{{"choices": [{{"message": {{"content": "{call}"}}, "finish_reason": "stop"}}]}}"#
    );
    let served = serve(&[Answer::json(200, &answer)]).await;
    let mut config = config("openai", &served.base_url);
    config.tools = ToolsMode::Text;
    let got = read(chat(&config, with_tools(), PATIENT, Cancel::never())).await;
    assert_eq!(
        (got.text.as_str(), got.served().finish),
        ("", Finish::ToolCalls)
    );
    let [call] = &got.calls[..] else {
        panic!("{got:?}");
    };
    assert_eq!((call.id.as_str(), call.name.as_str()), ("call_1", "search"));
    assert_eq!(call.arguments, r#"{"q":"y"}"#);
}

#[tokio::test]
async fn a_limit_of_tokens_is_told() {
    for format in FORMATS {
        let got = outcome(format.kind, Answer::stream(&frames(format.length))).await;
        assert_eq!(
            (got.text.as_str(), got.served().finish),
            ("Hi", Finish::Length)
        );
    }
}

#[tokio::test]
async fn answers_in_one_piece() {
    for format in FORMATS {
        let served = serve(&[Answer::json(200, format.whole)]).await;
        let mut config = config(format.kind, &served.base_url);
        config.stream = false;
        let got = read(chat(&config, question(), PATIENT, Cancel::never())).await;
        assert_eq!(got.text, "Hi.", "{}", format.kind);
        let usage = got.served().usage;
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (2, 1));
        let seen = &served.seen()[0];
        assert_ne!(seen.body["stream"], true, "{}", format.kind);
        assert!(!seen.uri.contains("stream"), "{}", seen.uri);
    }
}

#[tokio::test]
async fn a_missing_usage_is_estimated_and_says_so() {
    for format in FORMATS {
        let got = outcome(format.kind, Answer::stream(&frames(format.no_usage))).await;
        let usage = got.served().usage;
        assert!(usage.estimated, "{}", format.kind);
        assert!((2..12).contains(&usage.prompt_tokens), "{usage:?}");
        assert!((2..8).contains(&usage.completion_tokens), "{usage:?}");
    }
}

#[tokio::test]
async fn an_error_inside_an_answer() {
    for format in FORMATS {
        let got = outcome(format.kind, Answer::stream(&frames(format.error))).await;
        let error = got.error();
        assert_eq!(
            (got.text.as_str(), error.kind),
            ("a", Kind::Failed),
            "{}",
            format.kind
        );
        assert_eq!(error.provider, "endpoint");
        assert!(error.message.contains("server_error"), "{}", error.message);
        assert!(error.message.contains("1 characters"), "{}", error.message);
        // The same in one piece, with a status that says that all is well.
        let body = format.error.last().unwrap();
        let got = outcome(format.kind, Answer::json(200, body)).await;
        assert_eq!(got.error().kind, Kind::Failed, "{}", format.kind);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off() {
    for format in FORMATS {
        // Without its last events, and with the connection cut.
        let head = frames(&format.text[..2]);
        let mut cut = head.clone();
        cut.extend([Part::Wait, Part::Cut]);
        for parts in [head, cut] {
            let got = outcome(format.kind, Answer::stream(&parts)).await;
            assert_eq!(got.error().kind, Kind::Cut, "{}", format.kind);
        }
    }
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let garbage: [Part; 4] = [
        bytes("data: {nonsense\n\n"),
        bytes("data: 7\n\n"),
        bytes("data: {\"type\":\"content_block_delta\",\"choices\":3,\"candidates\":\"x\"}\n\n"),
        Part::Bytes(b"data: \xff\xfe\n\n".to_vec()),
    ];
    for format in FORMATS {
        for part in &garbage {
            let mut parts = frames(&format.no_usage[..1]);
            parts.push(part.clone());
            let got = outcome(format.kind, Answer::stream(&parts)).await;
            assert_eq!(got.error().kind, Kind::Garbled, "{}", format.kind);
            assert_eq!(got.error().provider, "endpoint");
        }
        let page = Answer::new(
            200,
            "text/html; charset=utf-8",
            &[bytes("<html>Log in</html>")],
        );
        let got = outcome(format.kind, page).await;
        assert_eq!(got.error().kind, Kind::Garbled, "{}", format.kind);
        let got = outcome(format.kind, Answer::json(200, "no json")).await;
        assert_eq!(got.error().kind, Kind::Garbled, "{}", format.kind);
    }
}

#[tokio::test]
async fn answers_without_end_are_stopped() {
    // Some hundred megabytes would come without a limit: a line without an
    // end, a body without an end, and events without meaning.
    const BLOCK: &[u8] = &[b' '; 64 << 10];
    const EVENTS: &[u8] = b"data: {\"choices\":[],\"candidates\":[],\"type\":\"ping\"}\n\n: and a comment of some length to be quicker -------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------\n\n";
    for format in FORMATS {
        for answer in [
            Answer::new(200, "text/event-stream", &[Part::Endless(BLOCK)]),
            Answer::new(200, "application/json", &[Part::Endless(BLOCK)]),
        ] {
            let got = outcome(format.kind, answer).await;
            assert_eq!(got.error().kind, Kind::TooLarge, "{}", format.kind);
        }
    }
    let got = outcome("openai", Answer::stream(&[Part::Endless(EVENTS)])).await;
    assert_eq!(got.error().kind, Kind::TooLarge);
}

#[tokio::test]
async fn silence_before_within_and_in_total() {
    let short = Duration::from_millis(100);
    for format in FORMATS {
        let mut talk = frames(&format.no_usage[..1]);
        if format.kind == "anthropic" {
            talk = frames(&format.no_usage[..2]);
        }
        talk.push(Part::Forever);
        for (limits, parts) in [
            (
                Limits {
                    first_token: short,
                    ..PATIENT
                },
                vec![Part::Forever],
            ),
            (
                Limits {
                    token: short,
                    ..PATIENT
                },
                talk.clone(),
            ),
            (
                Limits {
                    total: short,
                    ..PATIENT
                },
                vec![Part::Forever],
            ),
        ] {
            let mut served = serve(&[Answer::stream(&parts)]).await;
            let config = config(format.kind, &served.base_url);
            let got = read(chat(&config, question(), limits, Cancel::never())).await;
            assert_eq!(got.error().kind, Kind::Timeout, "{}", format.kind);
            if !served.seen().is_empty() {
                served
                    .closed
                    .recv()
                    .await
                    .expect("the connection is closed");
            }
        }
    }
}

#[tokio::test]
async fn dropping_and_cancelling_close_the_connection() {
    use futures::StreamExt as _;
    for format in FORMATS {
        let mut parts = frames(&format.text[..format.text.len() - 1]);
        parts.push(Part::Forever);
        for by_drop in [true, false] {
            let mut served = serve(&[Answer::stream(&parts)]).await;
            let config = config(format.kind, &served.base_url);
            let cancel = Cancel::never();
            let mut stream = chat(&config, question(), PATIENT, cancel.clone());
            assert!(stream.next().await.unwrap().is_ok());
            assert!(served.closed.try_recv().is_err(), "still open");
            if by_drop {
                drop(stream);
            } else {
                cancel.cancel();
                assert_eq!(read(stream).await.error().kind, Kind::Cancelled);
            }
            served
                .closed
                .recv()
                .await
                .expect("the connection is closed");
        }
    }
}
