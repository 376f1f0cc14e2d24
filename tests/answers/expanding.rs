//! Questions that are split, or embedded as a passage, by a model.

use super::*;
use cairn_engine::retrieve::{Engine, Expand, Mode};
use cairn_indexer::{Document, Index};
use cairn_models::Reader;
use cairn_models::testing::HashEmbedder;

const SAID: &str = "Cairn listens on port 8620 [1].";

fn expanded(expand: Expand) -> AnswerRequest {
    let mut request = request(QUESTION);
    request.search_mut().expand = expand;
    request
}

fn remote(steps: &[Step]) -> (Arc<Scripted>, Gateway) {
    let provider = Arc::new(Scripted {
        steps: steps.to_vec(),
        ..Scripted::default()
    });
    let gateway = Gateway::new("scripted", limits(PATIENT)).with(provider.clone(), "m-1", false);
    (provider, gateway)
}

#[tokio::test]
async fn a_remote_model_splits_the_question() {
    let search = Arc::new(finds(&[PORT, SCOPE]));
    let (provider, gateway) = remote(&[Say("Which port?\nWhich folder?\n"), End]);
    let answerer = answerer(Arc::clone(&search), gateway);
    let done = finish(answerer.answer(expanded(Expand::Queries), Cancel::never()))
        .await
        .unwrap();
    let asked = search.asked.lock().unwrap().clone();
    assert_eq!(asked, [QUESTION, "Which port?", "Which folder?"]);
    assert!(done.timings_ms.contains_key("expand"));
    // What is said about the searches is said once.
    assert_eq!(done.degraded, ["no re-ranker"]);
    let asked = provider.asked.lock().unwrap();
    assert!(asked[0].messages[1].content.contains(QUESTION));
    assert_eq!(asked.len(), 2, "one to split, one to answer");
    // Numbered once, though three searches found them.
    let prompt = &asked[1].messages.last().unwrap().content;
    assert_eq!(
        prompt.matches("Each value in Rust has one owner").count(),
        1
    );
}

#[tokio::test]
async fn a_passage_is_embedded_in_place_of_the_question() {
    let search = Arc::new(finds(&[PORT]));
    let (_, gateway) = remote(&[Say(SAID), End]);
    let answerer = answerer(Arc::clone(&search), gateway);
    let done = finish(answerer.answer(expanded(Expand::Hyde), Cancel::never()))
        .await
        .unwrap();
    assert_eq!(*search.asked.lock().unwrap(), [QUESTION]);
    assert_eq!(*search.embedded.lock().unwrap(), [Some(SAID.to_owned())]);
    assert!(done.timings_ms.contains_key("expand"));
    assert_eq!(done.answer, SAID);
    // Words have no meaning that could be embedded.
    let (provider, gateway) = remote(&[Say(SAID), End]);
    let answerer = super::answerer(Arc::clone(&search), gateway);
    let mut lexical = expanded(Expand::Hyde);
    lexical.search_mut().mode = Mode::Lexical;
    let done = finish(answerer.answer(lexical, Cancel::never()))
        .await
        .unwrap();
    assert!(mentions(&done, "only words are searched"));
    assert_eq!(provider.asked.lock().unwrap().len(), 1, "to answer");
}

#[tokio::test]
async fn without_a_model_that_helps_the_question_is_searched_as_it_is() {
    let failing = || remote(&[Fail(ProviderErrorKind::Failed)]).1;
    let local = || {
        let generator = Arc::new(ScriptedGenerator(SAID.to_owned()));
        let provider = LocalProvider::new(generator, 4).unwrap();
        Gateway::new("local", limits(PATIENT)).with(Arc::new(provider), "scripted", true)
    };
    for expand in [Expand::Queries, Expand::Hyde] {
        let none = (Gateway::new("extractive", limits(PATIENT)), true);
        let refused = (remote(&[Say(SAID), End]).1, false);
        let cases = [
            (none, "there is no language model"),
            ((local(), true), "there is no language model"),
            (refused, "there is no language model"),
            ((failing(), true), "failed or took too long"),
        ];
        for ((gateway, generate), told) in cases {
            let search = Arc::new(finds(&[PORT]));
            let mut request = expanded(expand);
            request.generate = generate;
            let answerer = answerer(Arc::clone(&search), gateway);
            let done = finish(answerer.answer(request, Cancel::never()))
                .await
                .unwrap();
            assert!(mentions(&done, told), "{expand:?}: {:?}", done.degraded);
            assert!(done.answer.contains("8620"), "{}", done.answer);
            assert_eq!(*search.asked.lock().unwrap(), [QUESTION]);
            assert_eq!(*search.embedded.lock().unwrap(), [None]);
        }
    }
}

#[tokio::test]
async fn a_slow_model_leaves_time_to_search() {
    for expand in [Expand::Queries, Expand::Hyde] {
        let search = Arc::new(finds(&[PORT]));
        let (_, gateway) = remote(&[Hang]);
        let mut request = expanded(expand);
        request.search_mut().deadline = Some(Instant::now() + Duration::from_millis(400));
        let answerer = answerer(Arc::clone(&search), gateway);
        let done = finish(answerer.answer(request, Cancel::never()))
            .await
            .unwrap();
        assert!(mentions(&done, "took too long"), "{:?}", done.degraded);
        assert_eq!(*search.asked.lock().unwrap(), [QUESTION]);
    }
}

/// Counts how often a search is checked, and runs none that is not.
struct Counting {
    engine: Engine,
    prepared: AtomicUsize,
    searched: AtomicUsize,
}

impl Search for Counting {
    fn prepare(&self, search: PreparedSearch) -> BoxFuture<'_, Result<PreparedSearch, Failure>> {
        self.prepared.fetch_add(1, Ordering::SeqCst);
        Search::prepare(&self.engine, search)
    }

    fn search(
        &self,
        search: PreparedSearch,
        cancel: Cancel,
    ) -> BoxFuture<'_, Result<SearchResponse, Failure>> {
        assert!(search.is_prepared(), "{search:?}");
        self.searched.fetch_add(1, Ordering::SeqCst);
        Search::search(&self.engine, search, cancel)
    }

    fn overview(
        &self,
        collection: &str,
        access: &Access,
    ) -> BoxFuture<'_, Result<Option<Arc<Overview>>, Failure>> {
        Search::overview(&self.engine, collection, access)
    }
}

/// An engine without models.
fn engine() -> (Engine, Config, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.storage.data_dir = dir.path().to_owned();
    let engine = Engine::new(&config, None, None).unwrap();
    (engine, config, dir)
}

/// Commits a document that says `text`.
fn commit(index: &Index, text: &str) {
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    let document = Document {
        uri: format!("{}.md", text.len()),
        text: text.to_owned(),
        ..Document::default()
    };
    writer
        .put(vec![(document, None)], &Cancel::never())
        .unwrap();
    writer.commit().unwrap();
}

#[tokio::test]
async fn an_answer_that_is_written_holds_no_commit() {
    let (engine, config, _dir) = engine();
    let index = engine.create_collection("main").unwrap();
    commit(&index, PORT);
    let (_, gateway) = remote(&[Say("Cairn listens"), Hang]);
    let reader: Arc<dyn Reader> = Arc::new(OverlapReader);
    let search: Arc<dyn Search> = Arc::new(engine);
    let answerer = Answerer::new(search, Arc::new(gateway), Some(reader), None, &config);
    let mut events = Box::pin(answerer.answer(request(QUESTION), Cancel::never()));
    while let Some(event) = events.next().await {
        if matches!(event, AnswerEvent::Delta { .. }) {
            break;
        }
    }
    let searched = Arc::downgrade(&index.snapshot());
    commit(&index, SCOPE);
    assert!(searched.upgrade().is_none());
    drop(events);
}

#[tokio::test]
async fn all_searches_for_a_question_are_checked_once() {
    let (engine, config, _dir) = engine();
    commit(&engine.create_collection("main").unwrap(), PORT);
    // A follow-up that is split, and a greeting, which could be the title of a document.
    let mut split = expanded(Expand::Queries);
    split.history = vec![Message {
        role: Role::User,
        content: "What is Cairn?".to_owned(),
    }];
    for (request, searches) in [(split, 3), (request("hello"), 1)] {
        let (_, gateway) = remote(&[Say("Which port?\nWhich folder?\n"), End]);
        let search = Arc::new(Counting {
            engine: engine.clone(),
            prepared: AtomicUsize::new(0),
            searched: AtomicUsize::new(0),
        });
        let answerer = Answerer::new(
            Arc::clone(&search) as Arc<dyn Search>,
            Arc::new(gateway),
            Some(Arc::new(OverlapReader)),
            None,
            &config,
        );
        let events: Vec<AnswerEvent> = answerer.answer(request, Cancel::never()).collect().await;
        assert!(matches!(events.last(), Some(AnswerEvent::Done(_))));
        assert_eq!(search.prepared.load(Ordering::SeqCst), 1);
        assert_eq!(search.searched.load(Ordering::SeqCst), searches);
    }
}
