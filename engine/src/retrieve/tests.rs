//! The engine on a real index in a temporary folder, with the models' twins.

mod ahead;
mod foreign;
mod prepared;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use cairn_indexer::{Access, Document, Filter};
use cairn_models::testing::{HashEmbedder, OverlapReranker};
use cairn_models::{Cancel, Embedder, Error, ErrorKind, Reranker, Result, TokenSpans};
use serde_json::json;

use super::{Engine, Mode, SearchErrorKind, SearchRequest, SearchResponse};
use cairn_settings::config::Config;

const TEXTS: &[(&str, &str, &str)] = &[
    (
        "cats.md",
        "en",
        "Cats sleep most of the day and hunt small birds at night.",
    ),
    ("dogs.md", "en", "Dogs guard the house and sleep at night."),
    (
        "birds.md",
        "en",
        "Birds build a nest in spring and sing at dawn.",
    ),
    (
        "hunde.md",
        "de",
        "Hunde bewachen das Haus und schlafen in der Nacht.",
    ),
    (
        "errors.md",
        "en",
        "ERR_CONN_4012 means that the server closed the connection.",
    ),
    (
        "secret.md",
        "en",
        "The secret birds of the house sleep at night, said the board.",
    ),
];

struct Setup {
    engine: Engine,
    // Dropped last, with the index in it.
    _dir: tempfile::TempDir,
}

fn setup_with(
    change: impl FnOnce(&mut Config),
    embedder: Option<Arc<dyn Embedder>>,
    reranker: Option<Arc<dyn Reranker>>,
) -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.storage.data_dir = dir.path().to_owned();
    config.retrieval.rerank.budget_ms = 0;
    change(&mut config);
    let engine = Engine::new(&config, embedder, reranker).unwrap();
    let index = engine.create_collection("main").unwrap();
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    let documents = TEXTS.iter().map(|&(uri, language, text)| {
        let mut document = Document {
            uri: uri.into(),
            title: uri.trim_end_matches(".md").into(),
            text: text.into(),
            ..Document::default()
        };
        document.metadata.insert("language".into(), json!(language));
        if uri == "secret.md" {
            document.labels.insert("board".into());
        }
        (document, None)
    });
    writer.put(documents.collect(), &Cancel::never()).unwrap();
    writer.commit().unwrap();
    Setup { engine, _dir: dir }
}

fn setup() -> Setup {
    setup_with(
        |_| {},
        Some(Arc::new(HashEmbedder)),
        Some(Arc::new(OverlapReranker)),
    )
}

fn request(query: &str) -> SearchRequest {
    SearchRequest::new(query, "main")
}

fn search(setup: &Setup, request: &SearchRequest) -> SearchResponse {
    setup
        .engine
        .search_blocking(request, &Cancel::never())
        .unwrap()
}

fn uris(response: &SearchResponse) -> Vec<&str> {
    response
        .sources
        .iter()
        .map(|source| source.uri.as_str())
        .collect()
}

#[test]
fn a_hybrid_search_tells_ranks_scores_and_times() {
    let setup = setup();
    let response = search(&setup, &request("where do birds build a nest?"));
    assert_eq!(response.degraded, Vec::<String>::new());
    assert_eq!(response.generation, 1);
    let first = &response.sources[0];
    assert_eq!((first.uri.as_str(), first.n), ("birds.md", 1));
    assert_eq!(TEXTS[2].2[first.start..first.end], *first.text);
    assert_eq!(first.ranks.lexical, Some(1));
    assert_eq!(first.ranks.dense, Some(1));
    assert_eq!(first.ranks.fused, Some(1));
    assert_eq!(first.ranks.rerank, Some(1));
    assert!(first.cosine.unwrap() > 0.3, "{first:?}");
    assert!(
        response
            .sources
            .windows(2)
            .all(|pair| pair[0].score >= pair[1].score)
    );
    let stages: Vec<_> = response.timings_ms.keys().map(String::as_str).collect();
    assert_eq!(
        stages,
        ["dense", "embed", "fuse", "lexical", "rerank", "total"]
    );
}

#[test]
fn a_re_ranker_without_weight_is_not_asked() {
    let setup = setup_with(
        |config| {
            config.retrieval.rerank.weight = 0.0;
            config.retrieval.rerank.lexical_boost = 10.0;
        },
        Some(Arc::new(HashEmbedder)),
        Some(Arc::new(OverlapReranker)),
    );
    let asked = request("where do birds build a nest?");
    let response = search(&setup, &asked);
    let fused: Vec<_> = response.sources.iter().map(|s| s.ranks.fused).collect();
    assert!(fused.is_sorted(), "{fused:?}");
    assert!(response.sources.iter().all(|s| s.ranks.rerank.is_none()));
    assert!(!response.timings_ms.contains_key("rerank"));
}

#[test]
fn each_mode_runs_its_own_search() {
    let setup = setup();
    let mut request = request("ERR_CONN_4012");
    request.rerank = false;
    request.mode = Mode::Lexical;
    let lexical = search(&setup, &request);
    assert_eq!(uris(&lexical), ["errors.md"]);
    assert_eq!(lexical.sources[0].ranks.dense, None);
    assert_eq!(lexical.sources[0].cosine, None);
    assert!(!lexical.timings_ms.contains_key("embed"));
    request.mode = Mode::Dense;
    let dense = search(&setup, &request);
    assert_eq!(dense.sources.len(), TEXTS.len());
    assert_eq!(dense.sources[0].ranks.lexical, None);
    // A single list keeps its own scores.
    assert!((dense.sources[0].score - dense.sources[0].cosine.unwrap()).abs() < 1e-5);
    assert!(!dense.timings_ms.contains_key("lexical"));
}

#[test]
fn the_ranking_is_the_same_every_time() {
    let setup = setup();
    let mut first = search(&setup, &request("who sleeps at night in the house"));
    for _ in 0..20 {
        let mut again = search(&setup, &request("who sleeps at night in the house"));
        again.timings_ms.clear();
        first.timings_ms.clear();
        assert_eq!(again.sources, first.sources);
        assert_ne!(again.query_id, first.query_id);
    }
}

#[test]
fn no_path_shows_what_a_caller_may_not_read() {
    let setup = setup();
    let strangers = [
        Access::Labels(BTreeSet::new()),
        Access::Labels(["staff".into()].into()),
    ];
    for mode in [Mode::Hybrid, Mode::Lexical, Mode::Dense] {
        for rerank in [true, false] {
            let mut request = request("the secret birds said the board");
            (request.mode, request.rerank, request.top_k) = (mode, rerank, 100);
            assert_eq!(uris(&search(&setup, &request))[0], "secret.md");
            for stranger in &strangers {
                request.access = stranger.clone();
                let response = search(&setup, &request);
                assert!(
                    !uris(&response).contains(&"secret.md"),
                    "{mode:?} {response:?}"
                );
                assert!(!response.sources.is_empty());
            }
            request.access = Access::Labels(["board".into(), "staff".into()].into());
            assert_eq!(uris(&search(&setup, &request))[0], "secret.md");
        }
    }
}

#[test]
fn a_filter_holds_on_every_path() {
    let setup = setup();
    for mode in [Mode::Hybrid, Mode::Lexical, Mode::Dense] {
        let mut request = request("Hunde sleep at night in the house");
        request.mode = mode;
        request.filter = Some(Filter::parse(&json!({"language": "de"})).unwrap());
        assert_eq!(uris(&search(&setup, &request)), ["hunde.md"]);
        request.filter = Some(Filter::parse(&json!({"language": "fr"})).unwrap());
        assert_eq!(uris(&search(&setup, &request)), Vec::<&str>::new());
    }
    let mut request = request("night");
    request.filter = Some(Filter::parse(&json!({"colour": "red"})).unwrap());
    let error = setup
        .engine
        .search_blocking(&request, &Cancel::never())
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.param()),
        (SearchErrorKind::BadRequest, Some("filter"))
    );
    assert!(
        error.to_string().contains("language"),
        "it lists the fields: {error}"
    );
}

#[test]
fn without_models_words_are_searched_and_the_response_says_so() {
    let setup = setup_with(|_| {}, None, None);
    let response = search(&setup, &request("birds nest"));
    assert_eq!(uris(&response)[0], "birds.md");
    assert!(
        response.degraded[0].contains("no embedding model"),
        "{response:?}"
    );
    assert!(
        response.degraded[1].contains("no re-ranking model"),
        "{response:?}"
    );
    let quiet = setup_with(|config| config.models.reranker = "none".into(), None, None);
    assert_eq!(search(&quiet, &request("birds nest")).degraded.len(), 1);
}

/// The hash embedder under another name, one that fails, or one that waits.
struct Other {
    id: &'static str,
    fails: Option<ErrorKind>,
    waits: Option<Mutex<mpsc::Receiver<()>>>,
    calls: AtomicUsize,
}

impl Other {
    fn new(id: &'static str, fails: Option<ErrorKind>) -> Arc<Self> {
        Arc::new(Self {
            id,
            fails,
            waits: None,
            calls: AtomicUsize::new(0),
        })
    }

    /// Waits in every call until the other end is dropped.
    fn waiting() -> (Arc<Self>, mpsc::Sender<()>) {
        let (release, released) = mpsc::channel();
        let waiting = Arc::new(Self {
            id: "hash-64",
            fails: None,
            waits: Some(Mutex::new(released)),
            calls: AtomicUsize::new(0),
        });
        (waiting, release)
    }
}

impl Embedder for Other {
    fn id(&self) -> &str {
        self.id
    }
    fn dimension(&self) -> usize {
        HashEmbedder.dimension()
    }
    fn window(&self) -> usize {
        HashEmbedder.window()
    }
    fn special_tokens(&self) -> usize {
        HashEmbedder.special_tokens()
    }
    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        HashEmbedder.token_spans(text)
    }
    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(waits) = &self.waits {
            let _ = waits.lock().unwrap().recv();
        }
        match self.fails {
            Some(kind) => Err(Error::new(kind, "scripted")),
            None => HashEmbedder.embed(texts, cancel),
        }
    }
}

#[test]
fn vectors_of_another_model_are_never_compared() {
    let other = Other::new("another-model", None);
    let setup = setup_with(|_| {}, Some(other.clone()), None);
    for mode in [Mode::Hybrid, Mode::Dense] {
        let mut request = request("birds nest");
        request.mode = mode;
        let response = search(&setup, &request);
        assert_eq!(uris(&response)[0], "birds.md");
        assert_eq!(response.sources[0].ranks.dense, None);
        let told = &response.degraded[0];
        assert!(
            told.contains("another-model") && told.contains("hash-64"),
            "{told}"
        );
    }
    assert_eq!(other.calls.load(Ordering::Relaxed), 0);
}

#[test]
fn a_failing_embedder_leaves_the_words_and_a_full_one_says_so() {
    let broken = Other::new("hash-64", Some(ErrorKind::Machine));
    let setup = setup_with(|_| {}, Some(broken), None);
    let response = search(&setup, &request("birds nest"));
    assert_eq!(uris(&response)[0], "birds.md");
    assert!(response.degraded[0].contains("the embedding model failed"));
    let full = Other::new("hash-64", Some(ErrorKind::Overloaded));
    let setup = setup_with(|_| {}, Some(full), None);
    let error = setup
        .engine
        .search_blocking(request("birds"), &Cancel::never())
        .unwrap_err();
    assert_eq!(error.kind(), SearchErrorKind::Overloaded);
}

#[test]
fn more_questions_than_may_wait_are_overloaded() {
    let (model, release) = Other::waiting();
    let calls = Arc::clone(&model);
    let setup = setup_with(|config| config.models.queue = 1, Some(model), None);
    let ask = |question: &'static str| {
        setup
            .engine
            .search_blocking(request(question), &Cancel::never())
    };
    let until = |condition: &dyn Fn() -> bool| {
        while !condition() {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| ask("birds"));
        until(&|| calls.calls.load(Ordering::Relaxed) == 1);
        // One waits; all that arrive meanwhile are refused.
        let others: Vec<_> = ["cats", "dogs", "nests"]
            .map(|question| scope.spawn(move || ask(question)))
            .into_iter()
            .collect();
        until(&|| others.iter().filter(|other| other.is_finished()).count() == 2);
        drop(release);
        let refused = |result: std::result::Result<SearchResponse, super::SearchError>| {
            result.is_err_and(|error| error.kind() == SearchErrorKind::Overloaded)
        };
        let results = others.into_iter().map(|other| other.join().unwrap());
        assert_eq!(results.filter_map(|r| refused(r).then_some(())).count(), 2);
        assert!(first.join().unwrap().is_ok());
    });
}

#[test]
fn a_question_is_embedded_once() {
    let counted = Other::new("hash-64", None);
    let setup = setup_with(|_| {}, Some(counted.clone()), None);
    for query in ["birds", " birds ", "birds\n", "cats"] {
        search(&setup, &request(query));
    }
    setup
        .engine
        .embed_query("birds", &Cancel::never())
        .unwrap()
        .unwrap();
    assert_eq!(counted.calls.load(Ordering::Relaxed), 2);
}

/// Reads its first batch, and then waits until it is cancelled.
struct Slow(AtomicUsize);

impl Reranker for Slow {
    fn id(&self) -> &str {
        "slow"
    }
    fn window(&self) -> usize {
        OverlapReranker.window()
    }
    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        OverlapReranker.token_spans(text)
    }
    fn score(&self, query: &str, passages: &[&str], cancel: &Cancel) -> Result<Vec<f32>> {
        if self.0.fetch_add(1, Ordering::Relaxed) > 0 {
            while !cancel.is_cancelled() {
                std::thread::yield_now();
            }
            cancel.check()?;
        }
        OverlapReranker.score(query, passages, cancel)
    }
}

#[test]
fn a_deadline_cuts_reranking_and_the_response_says_so() {
    let slow = || Some(Arc::new(Slow(AtomicUsize::new(0))) as Arc<dyn Reranker>);
    let soon = Duration::from_millis(300);
    let budget = setup_with(
        |config| config.retrieval.rerank.budget_ms = 300,
        Some(Arc::new(HashEmbedder)),
        slow(),
    );
    let deadline = setup_with(|_| {}, Some(Arc::new(HashEmbedder)), slow());
    for (setup, until) in [(budget, None), (deadline, Some(soon))] {
        let mut request = request("sleep at night in the house");
        request.deadline = until.map(|after| Instant::now() + after);
        let response = search(&setup, &request);
        assert_eq!(response.sources.len(), TEXTS.len(), "nothing is lost");
        assert!(
            response.degraded[0].contains("ran out of time"),
            "{:?}",
            response.degraded
        );
        let read = response
            .sources
            .iter()
            .filter(|s| s.ranks.rerank.is_some())
            .count();
        assert!(read < TEXTS.len());
        // Unread candidates are below, in fused order.
        let rest: Vec<_> = response.sources[read..]
            .iter()
            .map(|s| s.ranks.fused)
            .collect();
        assert!(rest.is_sorted(), "{rest:?}");
        assert!(
            response.sources[read..]
                .iter()
                .all(|s| s.ranks.rerank.is_none())
        );
    }
}

#[test]
fn a_deadline_that_has_passed_still_finds_words() {
    let setup = setup();
    let mut request = request("birds nest");
    request.deadline = Some(Instant::now());
    let response = search(&setup, &request);
    assert_eq!(uris(&response)[0], "birds.md");
    assert!(
        response.degraded[0].contains("before the question was embedded"),
        "{response:?}"
    );
}

#[test]
fn bad_requests_name_the_field() {
    let setup = setup();
    let kind = |request: SearchRequest| {
        let error = setup
            .engine
            .search_blocking(&request, &Cancel::never())
            .unwrap_err();
        (error.kind(), error.param())
    };
    let bad = |param| (SearchErrorKind::BadRequest, Some(param));
    assert_eq!(kind(request("")), bad("query"));
    assert_eq!(kind(request("\u{0}\u{7}")), bad("query"));
    assert_eq!(kind(request(&"x".repeat(1 << 20))), bad("query"));
    assert_eq!(
        kind(SearchRequest {
            top_k: 0,
            ..request("a")
        }),
        bad("top_k")
    );
    assert_eq!(kind(SearchRequest::new("a", "../main")), bad("collection"));
    assert_eq!(
        kind(SearchRequest::new("a", "none")),
        (SearchErrorKind::NotFound, None)
    );
}

#[test]
fn no_character_is_syntax() {
    let setup = setup();
    for query in [
        "\"",
        "a AND (b",
        "title:*",
        "[x TO y]",
        "\\",
        "-- ^2 ~",
        "🦀 ŝ",
        "+birds -nest",
    ] {
        search(&setup, &request(query));
    }
}

#[test]
fn an_empty_collection_has_no_sources() {
    let setup = setup();
    setup.engine.create_collection("empty").unwrap();
    let response = search(&setup, &SearchRequest::new("anything", "empty"));
    assert!(response.sources.is_empty());
    assert_eq!(response.generation, 0);
    assert_eq!(setup.engine.collections().unwrap(), ["empty", "main"]);
}

#[test]
fn a_cancelled_search_stops() {
    let setup = setup();
    let cancel = Cancel::never();
    cancel.cancel();
    let error = setup
        .engine
        .search_blocking(request("birds"), &cancel)
        .unwrap_err();
    assert_eq!(error.kind(), SearchErrorKind::Cancelled);
}

#[tokio::test]
async fn searches_run_beside_each_other_and_dropping_one_cancels_it() {
    let setup = setup_with(
        |_| {},
        Some(Arc::new(HashEmbedder)),
        Some(Arc::new(Slow(AtomicUsize::new(1)))),
    );
    let cancel = Cancel::never();
    let never_ends = setup
        .engine
        .search(request("sleep at night"), cancel.clone());
    let mut quick = request("birds nest");
    quick.rerank = false;
    tokio::select! {
        biased;
        _ = never_ends => panic!("the re-ranker waits for a cancellation"),
        found = setup.engine.search(quick, Cancel::never()) => {
            assert_eq!(uris(&found.unwrap())[0], "birds.md");
        }
    }
    assert!(
        cancel.is_cancelled(),
        "dropping the future tells the work to stop"
    );
}

#[test]
fn an_overview_shows_what_the_caller_may_read() {
    let setup = setup();
    let all = setup.engine.overview("main", &Access::All).unwrap();
    assert_eq!((all.documents, all.chunks), (6, 6));
    assert_eq!(all.formats, [("md".to_owned(), 6)]);
    assert_eq!(all.titles[0], "secret", "the longest first");
    let none = Access::Labels(BTreeSet::new());
    let open = setup.engine.overview("main", &none).unwrap();
    assert_eq!((open.documents, open.titles.len()), (5, 3));
    assert!(!open.titles.contains(&"secret".to_owned()));
    // It is read once for each commit.
    let again = setup.engine.overview("main", &none).unwrap();
    assert!(Arc::ptr_eq(&open, &again));
    let error = setup.engine.overview("nowhere", &none).unwrap_err();
    assert_eq!(error.kind(), SearchErrorKind::NotFound);
}
