use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use cairn_indexer::{Access, Document, Filter};
use cairn_models::testing::{HashEmbedder, OverlapReranker};
use cairn_models::{Cancel, Embedder, Reranker};
use serde_json::json;

use super::super::{Engine, Mode, SearchErrorKind, SearchRequest, SearchResponse};
use super::*;
use cairn_settings::config::Config;

const QUESTION: &str = "In which year was the keeper of the lighthouse on Gull Rock born?";

/// The document that answers does not name a lighthouse, but many others do.
fn library() -> Vec<Document> {
    let document = |uri: &str, title: &str, text: &str| Document {
        uri: uri.into(),
        title: title.into(),
        text: text.into(),
        ..Document::default()
    };
    let mut documents = vec![
        document(
            "rock",
            "Gull Rock",
            "The lighthouse on Gull Rock was kept by Edda Thorne, who wrote a diary there.",
        ),
        document(
            "keeper",
            "Edda Thorne (writer)",
            "A diarist who came into the world in 1871 and played the viola.",
        ),
        document(
            "board",
            "Edda",
            "A poem of which the board keeps the only copy.",
        ),
    ];
    documents[1].metadata.insert("kind".into(), json!("person"));
    documents[2].labels.insert("board".into());
    for n in 0..30 {
        documents.push(document(
            &format!("other{n}"),
            &format!("Light {n}"),
            &format!(
                "In which year the lighthouse of rock number {n} was built is not known. Its \
                 keeper was born {n} miles away."
            ),
        ));
    }
    documents
}

struct Setup {
    engine: Engine,
    // Dropped last, with the index in it.
    _dir: tempfile::TempDir,
}

fn setup_with(documents: Vec<Document>, change: impl FnOnce(&mut Config)) -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.storage.data_dir = dir.path().to_owned();
    config.retrieval.rerank.budget_ms = 0;
    change(&mut config);
    let embedder: Arc<dyn Embedder> = Arc::new(HashEmbedder);
    let reranker: Arc<dyn Reranker> = Arc::new(OverlapReranker);
    let engine = Engine::new(&config, Some(embedder), Some(reranker)).unwrap();
    let index = engine.create_collection("main").unwrap();
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    let documents = documents.into_iter().map(|document| (document, None));
    writer.put(documents.collect(), &Cancel::never()).unwrap();
    writer.commit().unwrap();
    Setup { engine, _dir: dir }
}

fn setup() -> Setup {
    setup_with(library(), |_| {})
}

fn request(expand: Expand) -> SearchRequest {
    SearchRequest {
        expand,
        rerank: false,
        // The one that answers is not in any list.
        candidates: 10,
        top_k: 10,
        ..SearchRequest::new(QUESTION, "main")
    }
}

fn search(setup: &Setup, request: &SearchRequest) -> SearchResponse {
    let found = setup.engine.search_blocking(request, &Cancel::never());
    found.unwrap()
}

fn uris(found: &SearchResponse) -> Vec<&str> {
    let uris = found.sources.iter().map(|source| source.uri.as_str());
    uris.collect()
}

#[test]
fn what_the_first_hit_names_is_among_the_first() {
    let setup = setup();
    for (mode, rerank) in [
        (Mode::Hybrid, false),
        (Mode::Hybrid, true),
        (Mode::Lexical, false),
    ] {
        let asked = |expand| SearchRequest {
            mode,
            rerank,
            ..request(expand)
        };
        let once = search(&setup, &asked(Expand::None));
        assert!(!uris(&once).contains(&"keeper"), "{mode:?}: {once:?}");
        assert!(!once.timings_ms.contains_key("hop"));
        let twice = search(&setup, &asked(Expand::Hop));
        assert!(uris(&twice).contains(&"keeper"), "{mode:?}: {twice:?}");
        assert_eq!(twice.sources.len(), 10, "as many as without");
        assert!(twice.timings_ms.contains_key("hop"));
        assert_eq!(twice.degraded, Vec::<String>::new());
        let mut ids: Vec<&str> = twice.sources.iter().map(|s| s.chunk_id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 10, "each once");
        let keeper = twice.sources.iter().find(|s| s.uri == "keeper").unwrap();
        assert_eq!((keeper.ranks.lexical, keeper.ranks.dense), (None, None));
        assert!(keeper.ranks.fused.is_some());
        assert_eq!(keeper.ranks.rerank.is_some(), rerank);
        assert!(twice.sources.is_sorted_by(|a, b| a.score >= b.score));
    }
}

#[test]
fn a_filter_and_labels_hold_for_the_second_hop() {
    let setup = setup();
    let filtered = SearchRequest {
        filter: Some(Filter::parse(&json!({"not": {"kind": "person"}})).unwrap()),
        ..request(Expand::Hop)
    };
    assert!(!uris(&search(&setup, &filtered)).contains(&"keeper"));

    // What the caller may not read changes neither the list nor its scores.
    let reader = Access::Labels(BTreeSet::new());
    let asked = SearchRequest {
        access: reader,
        ..request(Expand::Hop)
    };
    let mut open = library();
    open[1].labels.insert("board".into());
    let hidden = setup_with(open, |_| {});
    let found = search(&hidden, &asked);
    assert!(!uris(&found).contains(&"keeper"));
    let once = search(
        &hidden,
        &SearchRequest {
            expand: Expand::None,
            ..asked.clone()
        },
    );
    // The question contains the name of the first hit.
    assert_eq!(uris(&found)[0], "rock");
    assert_eq!(uris(&found)[1..], *others(&once));
    // A hidden document's title that begins like a visible document's.
    let visible = search(&setup, &asked);
    assert!(uris(&visible).contains(&"keeper"));
    assert!(!uris(&visible).contains(&"board"));
}

/// The sources of `found`, except the one that the question names.
fn others(found: &SearchResponse) -> Vec<&str> {
    let uris = uris(found).into_iter();
    uris.filter(|uri| *uri != "rock").collect()
}

#[test]
fn a_deadline_leaves_the_hop_out_and_a_cancellation_ends_it() {
    let setup = setup();
    let mut late = request(Expand::Hop);
    late.deadline = Some(Instant::now());
    let found = search(&setup, &late);
    assert!(!found.sources.is_empty());
    let told = |reason: &String| reason.contains("before the second hop");
    assert!(found.degraded.iter().any(told), "{:?}", found.degraded);

    let cancel = Cancel::never();
    cancel.cancel();
    let ended = setup
        .engine
        .search_blocking(request(Expand::Hop), &cancel)
        .unwrap_err();
    assert_eq!(ended.kind(), SearchErrorKind::Cancelled);
}

#[test]
fn a_common_word_is_no_name() {
    let mut documents = library();
    documents[2].title = "Lighthouse".into();
    documents[2].labels.clear();
    documents[0].text = "Lighthouse and rock: Edda Thorne kept both, on Gull Rock.".into();
    let setup = setup_with(documents, |_| {});
    let found = search(&setup, &request(Expand::Hop));
    assert!(uris(&found).contains(&"keeper"));
    assert!(
        !uris(&found).contains(&"board"),
        "thirty chunks hold the word"
    );
}

#[test]
fn copies_of_a_text_are_followed_once() {
    let mut documents = library();
    let mut copy = documents[1].clone();
    copy.uri = "keeper-copy".into();
    documents.push(copy);
    let setup = setup_with(documents, |_| {});
    let found = search(&setup, &request(Expand::Hop));
    let kept = uris(&found);
    let kept = kept.iter().filter(|uri| uri.starts_with("keeper"));
    assert_eq!(kept.count(), 1, "{:?}", uris(&found));
}

#[test]
fn names_of_files_are_followed() {
    let mut documents = library();
    documents[1].title = String::new();
    documents[1].uri = "people/edda-thorne.md".into();
    let setup = setup_with(documents, |_| {});
    let found = search(&setup, &request(Expand::Hop));
    assert!(uris(&found).contains(&"people/edda-thorne.md"));
}

#[test]
fn ranks_alone_can_be_fused_too() {
    let setup = setup_with(library(), |config| {
        config.retrieval.fusion.method = FusionMethod::Rrf;
    });
    let found = search(&setup, &request(Expand::Hop));
    assert!(found.sources.is_sorted_by(|a, b| a.score >= b.score));
    assert_eq!(uris(&found)[0], "rock");
}

#[test]
fn what_lists_end_above_is_below_nothing() {
    let list: Vec<Scored> = [(1, 8.0), (2, 4.0)]
        .map(|(chunk, score)| Scored {
            chunk: ChunkRef(chunk),
            score,
        })
        .to_vec();
    let close = |a: f32, b: f32| (a - b).abs() < 1e-6;
    assert!(close(beyond(&list, 3.0, false), -0.25));
    assert!(close(beyond(&list, 3.0, true), 0.375));
    assert!(close(beyond(&list, 9.0, false), 1.0));
    assert!(close(beyond(&list, -90.0, false), BELOW));
    assert!(close(beyond(&list[..1], 8.0, false), 0.0));
    assert!(close(beyond(&[], 8.0, true), 0.0));
}
