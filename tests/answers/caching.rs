//! Answers that are given again: to the same question over the same documents,
//! with citations that are checked again.

use super::*;
use cairn_gateway::{Cache, CacheUse};

fn cached(provider: &Arc<Scripted>, search: FixedSearch) -> Answerer {
    let cache = Cache::open(&Config::default().cache, None, None);
    let provider: Arc<dyn Provider> = Arc::clone(provider) as Arc<dyn Provider>;
    let gateway = Gateway::from_config(&Config::default(), None)
        .unwrap()
        .with(provider, "m", false)
        .with_cache(cache);
    answerer(Arc::new(search), gateway)
}

fn asked(answerer: &Answerer, question: &str) -> impl Stream<Item = AnswerEvent> + use<> {
    let mut request = request(question);
    request.model = Some("scripted".to_owned());
    answerer.answer(request, Cancel::never())
}

fn writer() -> Arc<Scripted> {
    Arc::new(Scripted {
        steps: vec![Say("Cairn listens on port 8620 by default [1]."), End],
        ..Scripted::default()
    })
}

#[tokio::test]
async fn the_same_question_is_written_once() {
    let provider = writer();
    let answerer = cached(&provider, finds(&[PORT]));
    let first = finish(asked(&answerer, QUESTION)).await.unwrap();
    let again = finish(asked(&answerer, QUESTION)).await.unwrap();
    assert_eq!(provider.asked.lock().unwrap().len(), 1);
    assert_eq!(
        (first.cache, again.cache),
        (CacheUse::None, CacheUse::Exact)
    );
    assert_eq!(again.answer, first.answer);
    assert_eq!(again.citations, first.citations);
    assert_eq!(
        (again.provider.as_str(), again.model.as_str()),
        ("scripted", "m-1")
    );
    assert!(again.grounded);
    // It says so in the last event, and only then.
    assert_eq!(serde_json::to_value(&again).unwrap()["cache"], "exact");
    assert!(serde_json::to_value(&first).unwrap().get("cache").is_none());
}

#[tokio::test]
async fn other_documents_are_another_answer() {
    // Another generation, other texts, another number for the same text: each
    // would make an old answer wrong.
    let provider = writer();
    let mut newer = finds(&[PORT]);
    newer.generation += 1;
    let cache = Cache::open(&Config::default().cache, None, None);
    for search in [
        finds(&[PORT]),
        newer,
        finds(&[PORT, SCOPE]),
        finds(&[SCOPE, PORT]),
    ] {
        let scripted: Arc<dyn Provider> = Arc::clone(&provider) as Arc<dyn Provider>;
        let gateway = Gateway::from_config(&Config::default(), None)
            .unwrap()
            .with(scripted, "m", false)
            .with_cache(cache.clone());
        let answerer = answerer(Arc::new(search), gateway);
        let done = finish(asked(&answerer, QUESTION)).await.unwrap();
        assert_eq!(done.cache, CacheUse::None);
    }
    assert_eq!(provider.asked.lock().unwrap().len(), 4);
}
