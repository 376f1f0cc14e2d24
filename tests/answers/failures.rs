//! What a client sees when a model fails, hangs, is too slow or is unknown.

use super::*;

#[tokio::test]
async fn a_failure_before_the_first_word_gives_the_passages() {
    for kind in [
        ProviderErrorKind::Unreachable,
        ProviderErrorKind::RateLimited,
        ProviderErrorKind::Unauthorized,
    ] {
        let done = with_remote(&[Fail(kind)], &[PORT]).await.unwrap();
        assert!(
            done.answer.contains("port 8620 by default [1]"),
            "{}",
            done.answer
        );
        assert!(
            mentions(&done, "scripted failed on purpose"),
            "{:?}",
            done.degraded
        );
        assert_eq!(
            (done.provider.as_str(), done.model.as_str()),
            ("extractive", "none")
        );
    }
    let done = with_remote(&[End], &[PORT]).await.unwrap();
    assert!(mentions(&done, "empty answer"), "{:?}", done.degraded);
}

#[tokio::test]
async fn a_failure_in_the_middle_is_an_error() {
    let (text, code) = with_remote(
        &[
            Say("Cairn listens on"),
            Fail(ProviderErrorKind::Unreachable),
        ],
        &[PORT],
    )
    .await
    .unwrap_err();
    assert_eq!(
        (text.as_str(), code),
        ("Cairn listens on", "provider_failed")
    );
}

#[tokio::test]
async fn a_silent_model_is_given_up() {
    let gateway = |steps: &[Step]| {
        let provider = Scripted {
            steps: steps.to_vec(),
            ..Scripted::default()
        };
        Gateway::new("scripted", limits(50)).with(Arc::new(provider), "m-1", false)
    };
    let silent = answerer(Arc::new(finds(&[PORT])), gateway(&[Hang]));
    let done = finish(silent.answer(request(QUESTION), Cancel::never()))
        .await
        .unwrap();
    assert!(mentions(&done, "within"), "{:?}", done.degraded);
    assert!(done.answer.contains("8620"));

    let stuck = answerer(Arc::new(finds(&[PORT])), gateway(&[Say("Cairn"), Hang]));
    let (_, code) = finish(stuck.answer(request(QUESTION), Cancel::never()))
        .await
        .unwrap_err();
    assert_eq!(code, "timeout");
}

#[tokio::test]
async fn the_deadline_of_the_request_cuts_the_answer_short() {
    let provider = Scripted {
        steps: vec![Say("Cairn listens on port 8620 [1]. And "), Hang],
        ..Scripted::default()
    };
    let gateway = Gateway::new("scripted", limits(PATIENT)).with(Arc::new(provider), "m-1", false);
    let mut request = request(QUESTION);
    request.search_mut().deadline = Some(Instant::now() + Duration::from_millis(50));
    let answerer = answerer(Arc::new(finds(&[PORT])), gateway);
    let done = finish(answerer.answer(request, Cancel::never()))
        .await
        .unwrap();
    assert!(done.answer.starts_with("Cairn listens on port 8620 [1]."));
    assert!(mentions(&done, "deadline"), "{:?}", done.degraded);
    assert_eq!(done.finish_reason, "length");
}

#[tokio::test]
async fn dropping_the_stream_cancels_everything() {
    let provider = Arc::new(Scripted {
        steps: vec![Say("Cairn "), Hang],
        ..Scripted::default()
    });
    let gateway = Gateway::new("scripted", limits(PATIENT)).with(provider.clone(), "m-1", false);
    let cancel = Cancel::never();
    let answerer = answerer(Arc::new(finds(&[PORT])), gateway);
    let mut events = Box::pin(answerer.answer(request(QUESTION), cancel.clone()));
    while let Some(event) = events.next().await {
        if matches!(event, AnswerEvent::Delta { .. }) {
            break;
        }
    }
    assert!(!cancel.is_cancelled());
    drop(events);
    assert!(cancel.is_cancelled());
    assert!(
        provider.dropped.load(Ordering::SeqCst),
        "the provider's stream is gone"
    );
}

#[tokio::test]
async fn a_cancelled_request_ends_with_an_error() {
    let provider = Scripted {
        steps: vec![Hang],
        ..Scripted::default()
    };
    let gateway = Gateway::new("scripted", limits(PATIENT)).with(Arc::new(provider), "m-1", false);
    let cancel = Cancel::never();
    let answerer = answerer(Arc::new(finds(&[PORT])), gateway);
    let mut events = Box::pin(answerer.answer(request(QUESTION), cancel.clone()));
    assert!(matches!(events.next().await, Some(AnswerEvent::Sources(_))));
    cancel.cancel();
    let last = events.next().await;
    assert!(
        matches!(
            last,
            Some(AnswerEvent::Error {
                code: "cancelled",
                ..
            })
        ),
        "{last:?}"
    );
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn an_unknown_model_is_the_callers_mistake() {
    let search = Arc::new(finds(&[PORT]));
    let answerer = answerer(Arc::clone(&search), Gateway::new("local", limits(PATIENT)));
    let mut request = request(QUESTION);
    request.model = Some("gpt-17".to_owned());
    let events: Vec<AnswerEvent> = answerer.answer(request, Cancel::never()).collect().await;
    let [
        AnswerEvent::Error {
            code: "invalid_request",
            message,
            retryable: false,
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert!(
        message.contains("gpt-17") && message.contains("extractive"),
        "{message}"
    );
    assert!(search.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_failed_search_is_the_only_event() {
    let failure = Failure {
        code: "not_found",
        message: "no collection".to_owned(),
        retryable: false,
    };
    let search = FixedSearch {
        failure: Some(failure),
        ..FixedSearch::default()
    };
    let answerer = answerer(Arc::new(search), Gateway::new("local", limits(PATIENT)));
    let events: Vec<AnswerEvent> = answerer
        .answer(request(QUESTION), Cancel::never())
        .collect()
        .await;
    assert!(
        matches!(
            &events[..],
            [AnswerEvent::Error {
                code: "not_found",
                ..
            }]
        ),
        "{events:?}"
    );
}
