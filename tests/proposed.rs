//! The first question that `cairn up` proposes is answered right, in the first sentence: over
//! documents of four organisations, whose words nothing was tuned on, by the default models.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use cairn_engine::answer::{AnswerEvent, AnswerRequest, Answerer, Done};
use cairn_engine::retrieve::{Engine, SearchRequest};
use cairn_gateway::{Gateway, Limits};
use cairn_indexer::{Access, ParseInput, ParseLimits, parse};
use cairn_models::{Cancel, Hub, LoadOptions, Quiet, SegmentReader, load_embedder, load_reranker};
use cairn_settings::config::Config;
use futures::StreamExt as _;

const DOCUMENTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/models/train/manuals/written.jsonl.gz"
);

/// A folder, the first question proposed for it, and what the first quotation holds.
const PROPOSED: &[(&str, &str, &str)] = &[
    (
        "written-observatory",
        "How do I submit a block?",
        "curl -s -X POST",
    ),
    (
        "written-bakery-chain",
        "How do gluten-free goods work?",
        "come sealed from a supplier",
    ),
    (
        "written-library-network",
        "What is not in the API?",
        "names or loans of readers",
    ),
    (
        "written-brewery",
        "How does the sensory panel work?",
        "Tuesdays and Fridays",
    ),
];

/// The documents of `folder`: names and Markdown.
fn documents(folder: &str) -> Vec<(String, String)> {
    let mut rows = String::new();
    let file = std::fs::File::open(DOCUMENTS).unwrap();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut rows)
        .unwrap();
    let rows = rows.lines().map(|row| {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let field = |name: &str| row[name].as_str().unwrap().to_owned();
        (field("manual"), (field("file"), field("text")))
    });
    rows.filter(|(manual, _)| manual == folder)
        .map(|(_, document)| document)
        .collect()
}

/// The engine with the default models over `folder`.
fn engine(folder: &str, config: &Config) -> Engine {
    let hub = Hub::new(None).unwrap();
    let options = LoadOptions::default();
    let embedder = load_embedder(&hub, &config.models.embedder, &options, &Quiet).unwrap();
    let reranker = load_reranker(&hub, &config.models.reranker, &options, &Quiet).unwrap();
    let engine = Engine::new(config, Some(embedder.clone()), Some(reranker)).unwrap();
    let index = engine.create_collection("main").unwrap();
    let mut writer = index.writer(embedder).unwrap();
    let parsed = |(name, text): &(String, String)| {
        let input = ParseInput::new(name, text.as_bytes());
        (parse(&input, &ParseLimits::default()).unwrap(), None)
    };
    let documents: Vec<_> = documents(folder).iter().map(parsed).collect();
    assert!(!documents.is_empty(), "{folder}");
    writer.put(documents, &Cancel::never()).unwrap();
    writer.commit().unwrap();
    engine
}

async fn answer(engine: Engine, config: &Config, question: &str) -> Done {
    let limit = Duration::from_secs(60);
    let limits = Limits {
        first_token: limit,
        token: limit,
        total: limit,
    };
    let gateway = Gateway::new("extractive", limits);
    let reader = SegmentReader::builtin(0).unwrap();
    let reranker = engine.reranker().cloned();
    let answerer = Answerer::new(
        Arc::new(engine),
        Arc::new(gateway),
        Some(Arc::new(reader)),
        reranker,
        config,
    );
    let search = SearchRequest::new(question, "main");
    let events: Vec<AnswerEvent> = answerer
        .answer(AnswerRequest::new(search), Cancel::never())
        .collect()
        .await;
    match events.into_iter().last() {
        Some(AnswerEvent::Done(done)) => *done,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_question_that_is_proposed_is_answered_right() {
    for &(folder, question, expected) in PROPOSED {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.data_dir = data.path().to_owned();
        // Tests that run at the same time slow this one down.
        config.retrieval.rerank.budget_ms = 60_000;
        let engine = engine(folder, &config);
        let overview = engine.overview("main", &Access::All).unwrap();
        assert_eq!(
            overview.suggestions.first().map(String::as_str),
            Some(question),
            "{folder}"
        );
        let done = answer(engine, &config, question).await;
        assert!(!done.refused, "{folder}: {}", done.answer);
        // A block of code follows the mark of the line that introduces it.
        let end = done.citations.get(1).map_or(usize::MAX, |next| next.start);
        let first: String = done.answer.chars().take(end).collect();
        assert!(
            first.contains(expected),
            "{folder}: {question}\n{}",
            done.answer
        );
    }
}
