//! Messages that ask nothing of the documents.

use super::*;

fn known() -> FixedSearch {
    let overview = Overview {
        generation: 7,
        documents: 2,
        chunks: 2,
        formats: vec![("md".to_owned(), 2)],
        titles: vec!["Document 1".to_owned(), "Document 2".to_owned()],
        suggestions: vec!["How do I [1] start it?".to_owned()],
    };
    FixedSearch {
        overview: Some(Arc::new(overview)),
        ..finds(&[PORT, SCOPE])
    }
}

/// A gateway whose model must not be asked.
fn remote() -> (Gateway, Arc<Scripted>) {
    let provider = Arc::new(Scripted {
        steps: vec![Say("Cairn listens on port 8620 [1]."), End],
        ..Scripted::default()
    });
    let limits = limits(PATIENT);
    let gateway = Gateway::new("scripted", limits).with(provider.clone(), "m-1", false);
    (gateway, provider)
}

async fn said(search: FixedSearch, request: AnswerRequest) -> (Done, usize, usize) {
    let (gateway, provider) = remote();
    let answerer = answerer(Arc::new(search), gateway);
    let events: Vec<AnswerEvent> = answerer.answer(request, Cancel::never()).collect().await;
    let Some(AnswerEvent::Sources(found)) = events.first() else {
        panic!("sources come first: {events:?}");
    };
    let sources = found.sources.len();
    let done = finish(futures::stream::iter(events)).await.unwrap();
    let asked = provider.asked.lock().unwrap().len();
    (done, sources, asked)
}

#[tokio::test]
async fn it_gets_a_plain_reply_and_asks_no_model() {
    for (message, begins, holds) in [
        ("Hello!", "Hello.", "- How do I  1  start it?"),
        (
            "thanks a lot",
            "You are welcome.",
            "- How do I  1  start it?",
        ),
        (
            "How many documents are there?",
            "The collection \"main\" has 2 documents (2 md) in 2 passages:",
            "\"Document 1\" and \"Document 2\"",
        ),
    ] {
        let (done, sources, asked) = said(known(), request(message)).await;
        assert!(done.answer.starts_with(begins), "{}", done.answer);
        assert!(done.answer.contains(holds), "{}", done.answer);
        assert!(done.grounded && !done.refused && done.citations.is_empty());
        assert_eq!(
            (done.provider.as_str(), done.model.as_str()),
            ("extractive", "none")
        );
        assert_eq!(
            (done.finish_reason.as_str(), done.answerability),
            ("stop", 1.0)
        );
        assert_eq!((sources, asked), (0, 0), "{message}");
        assert!(!mentions(&done, "citation"), "{:?}", done.degraded);
    }
}

#[tokio::test]
async fn a_question_with_such_words_in_it_is_answered_from_the_documents() {
    let question = "Hello, which port does Cairn listen on?";
    let (done, sources, asked) = said(known(), request(question)).await;
    assert_eq!((sources, asked), (2, 1));
    assert_eq!(done.provider, "scripted");
}

#[tokio::test]
async fn what_the_documents_are_about_stays_a_question() {
    // A title, and a heading.
    let mut titled = known();
    titled.sources[0].title = "Hello".to_owned();
    let (_, sources, _) = said(titled, request("hello")).await;
    assert_eq!(sources, 2);
    let mut headed = known();
    headed.sources[1].heading_path = vec!["What can I ask?".to_owned()];
    let (_, sources, _) = said(headed, request("what can i ask")).await;
    assert_eq!(sources, 2);
    // A filter chooses documents.
    let mut filtered = request("hello");
    filtered.search_mut().filter =
        Some(cairn_indexer::Filter::parse(&serde_json::json!({"a": 1})).unwrap());
    assert_eq!(said(known(), filtered).await.1, 2);
    // What is in the collection is unknown.
    let unknown = FixedSearch {
        overview: None,
        ..known()
    };
    assert_eq!(said(unknown, request("hello")).await.1, 2);
}
