//! The local model's thread and queue, and calls of tools.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use super::super::super::chat::Tool;
use super::*;

/// Writes words until it is cancelled; counts what it started and ended.
#[derive(Default)]
struct Endless {
    started: (Mutex<usize>, Condvar),
    cancelled: AtomicUsize,
    panics: bool,
    fails: Option<ErrorKind>,
}

impl Endless {
    fn wait_for_start(&self, count: usize) {
        let (started, changed) = &self.started;
        let enough = changed.wait_while(started.lock().unwrap(), |n| *n < count);
        drop(enough.unwrap());
    }
}

impl Generator for Endless {
    fn id(&self) -> &str {
        "endless"
    }

    fn context_tokens(&self) -> usize {
        100
    }

    fn count_tokens(&self, text: &str) -> cairn_models::Result<usize> {
        Ok(text.len())
    }

    fn generate(
        &self,
        _request: &GenerateRequest,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> cairn_models::Result<Generation> {
        *self.started.0.lock().unwrap() += 1;
        self.started.1.notify_all();
        assert!(!self.panics, "a defect of the model");
        if let Some(kind) = self.fails {
            return Err(Error::new(kind, "on purpose"));
        }
        while !cancel.is_cancelled() {
            on_text("word ");
        }
        self.cancelled.fetch_add(1, Ordering::SeqCst);
        Ok(Generation {
            finish_reason: FinishReason::Cancelled,
            prompt_tokens: 0,
            completion_tokens: 0,
            first_token: Duration::ZERO,
        })
    }
}

fn request() -> ChatRequest {
    ChatRequest {
        max_tokens: 1,
        ..ChatRequest::default()
    }
}

async fn last(mut stream: ProviderStream) -> ProviderError {
    loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error,
            None => panic!("ended without an end"),
        }
    }
}

#[tokio::test]
async fn a_full_queue_is_an_answer_and_dropping_frees_it() {
    let model = Arc::new(Endless::default());
    let provider = LocalProvider::new(model.clone(), 1).unwrap();
    let mut first = provider.chat(request(), Cancel::never());
    assert!(matches!(
        first.next().await,
        Some(Ok(ProviderEvent::Delta(_)))
    ));
    let mut second = provider.chat(request(), Cancel::never());
    let full = last(provider.chat(request(), Cancel::never())).await;
    assert_eq!(full.kind, ProviderErrorKind::RateLimited);
    assert!(full.retry_after.is_some());
    drop(first);
    assert!(matches!(
        second.next().await,
        Some(Ok(ProviderEvent::Delta(_)))
    ));
    assert_eq!(model.cancelled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn cancelling_ends_the_call() {
    let model = Arc::new(Endless::default());
    let provider = LocalProvider::new(model.clone(), 1).unwrap();
    let cancel = Cancel::never();
    let stream = provider.chat(request(), cancel.clone());
    model.wait_for_start(1);
    cancel.cancel();
    assert_eq!(last(stream).await.kind, ProviderErrorKind::Cancelled);
}

#[tokio::test]
async fn a_panic_ends_one_answer_and_not_the_thread() {
    let model = Arc::new(Endless {
        panics: true,
        ..Endless::default()
    });
    let provider = LocalProvider::new(model.clone(), 4).unwrap();
    for count in 1..=2 {
        let error = last(provider.chat(request(), Cancel::never())).await;
        assert_eq!(error.kind, ProviderErrorKind::Failed);
        model.wait_for_start(count);
    }
}

#[tokio::test]
async fn errors_keep_their_kind() {
    for (kind, expected) in [
        (ErrorKind::InvalidInput, ProviderErrorKind::TooLong),
        (ErrorKind::Overloaded, ProviderErrorKind::RateLimited),
        (ErrorKind::Machine, ProviderErrorKind::Failed),
    ] {
        let model = Endless {
            fails: Some(kind),
            ..Endless::default()
        };
        let provider = LocalProvider::new(Arc::new(model), 1).unwrap();
        assert_eq!(
            last(provider.chat(request(), Cancel::never())).await.kind,
            expected
        );
    }
}

/// Writes fixed pieces and keeps what it was asked.
struct Writes {
    pieces: &'static [&'static str],
    asked: Mutex<Option<GenerateRequest>>,
}

impl Generator for Writes {
    fn id(&self) -> &str {
        "writes"
    }

    fn context_tokens(&self) -> usize {
        1000
    }

    fn count_tokens(&self, text: &str) -> cairn_models::Result<usize> {
        Ok(text.len())
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        _: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> cairn_models::Result<Generation> {
        *self.asked.lock().unwrap() = Some(request.clone());
        self.pieces.iter().for_each(|piece| on_text(piece));
        Ok(Generation {
            finish_reason: FinishReason::Stop,
            prompt_tokens: 9,
            completion_tokens: 5,
            first_token: Duration::ZERO,
        })
    }
}

/// Events of an answer to a question with one tool, and what the model was asked.
async fn with_tool(
    pieces: &'static [&'static str],
    tool_choice: ToolChoice,
) -> (Vec<ProviderEvent>, GenerateRequest) {
    let model = Arc::new(Writes {
        pieces,
        asked: Mutex::default(),
    });
    let provider = LocalProvider::new(model.clone(), 1).unwrap();
    let request = ChatRequest {
        messages: vec![ChatMessage::text(ChatRole::User, "How high is the tide?")],
        tools: vec![Tool {
            name: "tide".to_owned(),
            description: "Heights of tides.".to_owned(),
            parameters: serde_json::json!({
                "type": "object",
                "properties": {"port": {"type": "string"}},
                "required": ["port"]
            }),
        }],
        tool_choice,
        ..request()
    };
    let events: Vec<_> = provider.chat(request, Cancel::never()).collect().await;
    let asked = model.asked.lock().unwrap().take().unwrap();
    (events.into_iter().map(Result::unwrap).collect(), asked)
}

#[tokio::test]
async fn a_call_that_the_model_writes_is_a_call() {
    let pieces = &["{\"tool\":\"tide\",\"argu", "ments\":{\"port\":\"Kiel\"}}"];
    for choice in [
        ToolChoice::Auto,
        ToolChoice::Required,
        ToolChoice::Function("tide".into()),
    ] {
        let (events, asked) = with_tool(pieces, choice.clone()).await;
        let calls: Vec<_> = events
            .iter()
            .filter(|event| !matches!(event, ProviderEvent::Delta(text) if text.is_empty()))
            .collect();
        let [
            ProviderEvent::ToolCall(call),
            ProviderEvent::Done { finish, .. },
        ] = calls[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!((call.id.as_str(), call.name.as_str()), ("call_0", "tide"));
        assert_eq!(call.arguments, r#"{"port":"Kiel"}"#);
        assert_eq!(*finish, Finish::ToolCalls);
        let grammar = asked.grammar.unwrap();
        assert_eq!(grammar.may_answer(), choice == ToolChoice::Auto);
        let system = &asked.messages[0];
        assert_eq!(system.role, Role::System);
        assert!(
            system
                .content
                .contains("tide(port: string): Heights of tides.")
        );
    }
}

#[tokio::test]
async fn words_stay_words_and_no_tool_no_grammar() {
    let (events, _) = with_tool(&["The tide ", "is high."], ToolChoice::Auto).await;
    let texts: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            ProviderEvent::Delta(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(texts.concat(), "The tide is high.");
    assert!(texts.len() > 1, "it comes as it is written");
    assert!(matches!(
        events.last(),
        Some(ProviderEvent::Done {
            finish: Finish::Stop,
            ..
        })
    ));
    let (_, asked) = with_tool(&["High."], ToolChoice::None).await;
    assert!(asked.grammar.is_none());
    assert_eq!(asked.messages.len(), 1, "nothing is added");
}

#[tokio::test]
async fn a_real_model_calls_what_it_must() {
    let hub = cairn_models::Hub::new(None).unwrap();
    let folder = hub
        .ensure("smollm2-135m-instruct", &cairn_models::Quiet)
        .unwrap();
    let model = cairn_models::GgufGenerator::open(&folder, "smollm2", 0).unwrap();
    let provider = LocalProvider::new(Arc::new(model), 1).unwrap();
    let mut request = ChatRequest {
        messages: vec![ChatMessage::text(
            ChatRole::User,
            "How high is the tide in Kiel?",
        )],
        max_tokens: 64,
        tools: vec![Tool {
            name: "tide".to_owned(),
            description: "Heights of tides.".to_owned(),
            parameters: serde_json::json!({
                "type": "object",
                "properties": {"port": {"enum": ["Kiel", "Rostock"]}},
                "required": ["port"]
            }),
        }],
        tool_choice: ToolChoice::Required,
        ..ChatRequest::default()
    };
    let answer = provider.chat(request.clone(), Cancel::never());
    let events: Vec<_> = answer.map(Result::unwrap).collect().await;
    let call = events.iter().find_map(|event| match event {
        ProviderEvent::ToolCall(call) => Some(call.clone()),
        _ => None,
    });
    let call = call.unwrap_or_else(|| panic!("{events:?}"));
    assert_eq!(call.name, "tide");
    assert_eq!(call.arguments, r#"{"port":"Kiel"}"#);
    // The result goes back, and the next turn is in words.
    let turn = ChatMessage {
        tool_calls: vec![call.clone()],
        ..ChatMessage::text(ChatRole::Assistant, "")
    };
    let result = ChatMessage::tool_result(&call, "3 m");
    request.messages.extend([turn, result]);
    request.tool_choice = ToolChoice::None;
    let answer = provider.chat(request, Cancel::never());
    let events: Vec<_> = answer.map(Result::unwrap).collect().await;
    let is_text =
        |event: &ProviderEvent| matches!(event, ProviderEvent::Delta(text) if !text.is_empty());
    assert!(events.iter().any(is_text), "{events:?}");
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, ProviderEvent::ToolCall(_)))
    );
}
