//! Requests and answers of a provider whose models know no tools.

use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::chat::{ChatMessage, ProviderErrorKind, Tool, Usage};

/// Answers with fixed texts and keeps what it was asked.
struct Scripted {
    pieces: Vec<String>,
    finish: Finish,
    asked: Mutex<Vec<ChatRequest>>,
}

impl Provider for Scripted {
    fn name(&self) -> &str {
        "script"
    }

    fn context_tokens(&self) -> usize {
        4096
    }

    fn refuses<'a>(&self, request: &'a ChatRequest) -> Option<&'a str> {
        let seed = request.seed.map(|_| "seed");
        seed.or_else(|| request.parameter_besides(&["top_k"]))
    }

    fn chat(&self, request: ChatRequest, _: Cancel) -> ProviderStream {
        self.asked.lock().unwrap().push(request);
        let pieces = self.pieces.clone().into_iter().map(ProviderEvent::Delta);
        let done = ProviderEvent::Done {
            finish: self.finish,
            usage: Some(Usage {
                completion_tokens: 7,
                ..Usage::default()
            }),
            model: "script-1".into(),
        };
        futures::stream::iter(pieces.chain([done]).map(Ok)).boxed()
    }
}

fn script(pieces: &[&str]) -> Arc<Scripted> {
    Arc::new(Scripted {
        pieces: pieces.iter().map(|piece| (*piece).to_owned()).collect(),
        finish: Finish::Stop,
        asked: Mutex::default(),
    })
}

fn tool(name: &str, description: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {
                "port": {"type": "string", "description": "a harbour"},
                "days": {"type": "array", "items": {"enum": ["today", 1]}}
            },
            "required": ["port"]
        }),
    }
}

fn question() -> ChatRequest {
    ChatRequest {
        messages: vec![
            ChatMessage::text(ChatRole::System, "Be brief."),
            ChatMessage::text(ChatRole::User, "How high is the tide?"),
        ],
        max_tokens: 64,
        tools: vec![tool("tide", "Heights of tides."), tool("wind", "")],
        ..ChatRequest::default()
    }
}

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    text: String,
    calls: Vec<(String, String, String)>,
    finish: Option<Finish>,
    error: Option<ProviderErrorKind>,
}

async fn ask(inner: Arc<Scripted>, request: ChatRequest) -> Outcome {
    let mut stream = TextTools::new(inner).chat(request, Cancel::never());
    let mut outcome = Outcome::default();
    while let Some(event) = stream.next().await {
        assert!(outcome.finish.is_none() && outcome.error.is_none());
        match event {
            Ok(ProviderEvent::Delta(text)) => outcome.text.push_str(&text),
            Ok(ProviderEvent::ToolCall(call)) => {
                outcome.calls.push((call.id, call.name, call.arguments));
            }
            Ok(ProviderEvent::Done { finish, usage, .. }) => {
                assert_eq!(usage.unwrap().completion_tokens, 7);
                outcome.finish = Some(finish);
            }
            Err(error) => outcome.error = Some(error.kind),
        }
    }
    outcome
}

fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
    (id.to_owned(), name.to_owned(), arguments.to_owned())
}

const KIEL: &str = "```tool_call\n{\"tool\": \"tide\", \"arguments\": {\"port\": \"Kiel\"}}\n```";

#[tokio::test]
async fn a_call_in_text_is_a_call() {
    let inner = script(&["I look. \n\n", KIEL, "\n"]);
    let outcome = ask(inner.clone(), question()).await;
    let expected = Outcome {
        text: "I look.".into(),
        calls: vec![call("call_0", "tide", r#"{"port":"Kiel"}"#)],
        finish: Some(Finish::ToolCalls),
        error: None,
    };
    assert_eq!(outcome, expected);
    // However the answer is cut.
    let whole = inner.pieces.concat();
    let letters: Vec<String> = whole.chars().map(String::from).collect();
    let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
    assert_eq!(ask(script(&letters), question()).await, expected);

    let asked = inner.asked.lock().unwrap();
    let asked = asked.first().unwrap();
    assert!(asked.tools.is_empty() && asked.tool_choice == ToolChoice::Auto);
    assert_eq!(asked.messages.len(), 2);
    let system = &asked.messages[0].content;
    for part in [
        "Be brief.\n\nYou can call these functions:",
        "- `tide`: Heights of tides.\n",
        r#""required":["port"]"#,
        "- `wind`\n",
        "```tool_call\n{\"tool\": \"NAME\", \"arguments\": {}}\n```",
        "answer in plain text",
    ] {
        assert!(system.contains(part), "{part} in {system}");
    }
}

#[tokio::test]
async fn several_calls_have_ids_of_their_own_unless_one_is_asked_for() {
    let wind = "```tool_call\n{\"name\": \"wind\", \"parameters\": {}}\n```";
    let pieces = [KIEL, "\n", wind, "\nResults: 3 m"];
    let outcome = ask(script(&pieces), question()).await;
    let both = [
        call("call_0", "tide", r#"{"port":"Kiel"}"#),
        call("call_1", "wind", "{}"),
    ];
    assert_eq!(outcome.calls, both);
    assert_eq!(outcome.text, "");

    let mut one = question();
    one.parameters.insert(PARALLEL.to_owned(), json!(false));
    let inner = script(&pieces);
    let outcome = ask(inner.clone(), one.clone()).await;
    assert_eq!(outcome.calls, both[..1]);
    assert!(inner.asked.lock().unwrap()[0].parameters.is_empty());
    // The parameter is ours, others are refused as they were, by what they are called.
    let provider = TextTools::new(inner);
    assert_eq!(provider.refuses(&one), None);
    one.parameters.insert("top_k".to_owned(), json!(3));
    assert_eq!(provider.refuses(&one), None);
    one.parameters.insert("user".to_owned(), json!("x"));
    assert_eq!(provider.refuses(&one), Some("user"));
    one.seed = Some(1);
    assert_eq!(provider.refuses(&one), Some("seed"));
}

#[tokio::test]
async fn text_alone_stays_text() {
    let pieces = ["The tide", " is high.\n", "```json\n{\"metres\": 3}\n```\n"];
    let outcome = ask(script(&pieces), question()).await;
    let expected = Outcome {
        text: pieces.concat(),
        finish: Some(Finish::Stop),
        ..Outcome::default()
    };
    assert_eq!(outcome, expected);
    let inner = script(&[KIEL]);
    let plain = ChatRequest {
        tools: Vec::new(),
        ..question()
    };
    assert_eq!(ask(inner.clone(), plain.clone()).await.text, KIEL);
    assert_eq!(inner.asked.lock().unwrap()[0], plain, "nothing is added");
}

#[tokio::test]
async fn reasoning_calls_nothing() {
    let inner = script(&["<think>\n", KIEL, "\n</think>\nThe tide is high."]);
    let outcome = ask(inner, question()).await;
    assert_eq!(
        (outcome.text.as_str(), outcome.calls),
        ("The tide is high.", Vec::new())
    );
}

#[tokio::test]
async fn unknown_names_and_broken_arguments_are_for_the_caller_to_judge() {
    let unknown = "```tool_call\n{\"tool\": \"moon\", \"arguments\": {}}\n```";
    let outcome = ask(script(&[unknown]), question()).await;
    assert_eq!(outcome.calls, [call("call_0", "moon", "{}")]);
    let broken = "```tool_call\n{\"tool\": \"tide\", \"arguments\": {port: Kiel}}\n```";
    let outcome = ask(script(&[broken]), question()).await;
    assert_eq!(outcome.calls, [call("call_0", "tide", "{port: Kiel}}")]);
    assert_eq!(outcome.finish, Some(Finish::ToolCalls));
}

#[tokio::test]
async fn what_is_no_call_at_all_is_garbled_and_half_a_call_is_cut() {
    let outcome = ask(script(&["```tool_call\ntide(Kiel)\n```"]), question()).await;
    assert_eq!(outcome.error, Some(ProviderErrorKind::Garbled));
    let inner = Arc::new(Scripted {
        finish: Finish::Length,
        ..Arc::into_inner(script(&["Well.\n", "```tool_call\n{\"tool\": \"ti"])).unwrap()
    });
    let outcome = ask(inner, question()).await;
    assert_eq!(outcome.finish, Some(Finish::Length));
    assert_eq!((outcome.text.trim(), outcome.calls), ("Well.", Vec::new()));
}

#[tokio::test]
async fn a_choice_of_tools_is_told() {
    for (choice, offered, told) in [
        (ToolChoice::Required, true, "Now you must call a function."),
        (
            ToolChoice::Function("tide".into()),
            true,
            "Now you must call `tide`.",
        ),
        (ToolChoice::None, false, "Be brief."),
    ] {
        let inner = script(&[KIEL]);
        let request = ChatRequest {
            tool_choice: choice.clone(),
            ..question()
        };
        let outcome = ask(inner.clone(), request).await;
        assert_eq!(!outcome.calls.is_empty(), offered, "{choice:?}");
        let asked = inner.asked.lock().unwrap();
        let system = &asked[0].messages[0].content;
        assert!(system.ends_with(told), "{system}");
        let others = system.contains("`wind`");
        assert_eq!(others, choice == ToolChoice::Required);
        assert!(asked[0].tools.is_empty());
    }
    let request = ChatRequest {
        tool_choice: ToolChoice::Function("moon".into()),
        ..question()
    };
    let inner = script(&[KIEL]);
    let outcome = ask(inner.clone(), request).await;
    assert_eq!(outcome.error, Some(ProviderErrorKind::Rejected));
    assert!(inner.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn calls_and_results_go_back_as_text() {
    let calls: Vec<ToolCall> = [("call_0", r#"{"port": "Kiel"}"#), ("call_1", "port: Kiel")]
        .into_iter()
        .map(|(id, arguments)| ToolCall {
            id: id.to_owned(),
            name: "tide".to_owned(),
            arguments: arguments.to_owned(),
            signature: None,
        })
        .collect();
    let mut request = question();
    request.messages.remove(0);
    request.messages.extend([
        ChatMessage {
            tool_calls: calls.clone(),
            ..ChatMessage::text(ChatRole::Assistant, "I look.")
        },
        ChatMessage::tool_result(&calls[0], "3 m"),
        ChatMessage::tool_result(&calls[1], "`arguments` is not an object"),
    ]);
    let inner = script(&[KIEL]);
    let outcome = ask(inner.clone(), request.clone()).await;
    assert_eq!(outcome.calls[0].0, "call_2", "no id comes twice");
    let asked = inner.asked.lock().unwrap()[0].messages.clone();
    let roles: Vec<ChatRole> = asked.iter().map(|message| message.role).collect();
    use ChatRole::{Assistant, System, User};
    assert_eq!(roles, [System, User, Assistant, User]);
    assert!(asked[0].content.starts_with("You can call"));
    assert_eq!(
        asked[2].content,
        "I look.\n\n```tool_call\n{\"tool\":\"tide\",\"arguments\":{\"port\":\"Kiel\"}}\n```\n\n\
         ```tool_call\n{\"tool\":\"tide\",\"arguments\":\"port: Kiel\"}\n```"
    );
    assert_eq!(
        asked[3].content,
        "Result of `tide`:\n3 m\n\nResult of `tide`:\n`arguments` is not an object"
    );
    assert!(
        asked
            .iter()
            .all(|turn| turn.tool_calls.is_empty() && turn.tool_call_id.is_none())
    );

    let bare = as_text(request, Style::Bare).messages;
    assert!(
        bare[0]
            .content
            .contains("\ntide(port: string (a harbour), days?: \"today\"|1[]): Heights of tides.")
    );
    assert!(
        bare[2]
            .content
            .contains("\n\n{\"tool\":\"tide\",\"arguments\":{\"port\":\"Kiel\"}}")
    );
}
