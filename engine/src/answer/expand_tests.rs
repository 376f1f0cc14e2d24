use std::sync::{Arc, Mutex};

use cairn_indexer::Document;
use cairn_models::testing::{HashEmbedder, OverlapReranker};
use cairn_models::{Embedder, Reranker};
use futures::future::BoxFuture;

use super::*;
use crate::answer::testing::source;
use crate::retrieve::{Engine, SearchRequest, Timings};
use cairn_settings::config::Config;

/// Chunk `n` of the fixed lists below.
fn found(chunks: &[u32]) -> SearchResponse {
    let sources = (1..).zip(chunks).map(|(n, &chunk)| Source {
        n,
        ..source(chunk, &format!("text {chunk}"))
    });
    SearchResponse {
        query_id: "query-1".to_owned(),
        collection: "main".to_owned(),
        generation: 7,
        sources: sources.collect(),
        timings_ms: Timings::from([("lexical".to_owned(), 1.0)]),
        degraded: Vec::new(),
    }
}

fn chunks(found: &SearchResponse) -> Vec<u32> {
    let number = |source: &Source| source.text["text ".len()..].parse().unwrap();
    found.sources.iter().map(number).collect()
}

/// Returns a fixed list for each question; without a list, the search fails.
struct Lists {
    lists: Vec<(&'static str, &'static [u32])>,
    asked: Mutex<Vec<PreparedSearch>>,
}

impl Lists {
    fn new(lists: &[(&'static str, &'static [u32])]) -> Self {
        Self {
            lists: lists.to_vec(),
            asked: Mutex::default(),
        }
    }
}

impl Search for Lists {
    fn search(
        &self,
        search: PreparedSearch,
        _cancel: Cancel,
    ) -> BoxFuture<'_, Result<SearchResponse, Failure>> {
        let list = self.lists.iter().find(|(asked, _)| *asked == search.query);
        let result = list.map(|(_, list)| found(list)).ok_or_else(|| Failure {
            code: "overloaded",
            message: "it is busy".to_owned(),
            retryable: true,
        });
        self.asked.lock().unwrap().push(search);
        Box::pin(async move { result })
    }
}

fn request(top_k: usize) -> PreparedSearch {
    let request = SearchRequest {
        top_k,
        expand: Expand::Queries,
        ..SearchRequest::new("whole?", "main")
    };
    request.into()
}

async fn split(search: &Lists, questions: &[&str]) -> Result<SearchResponse, Failure> {
    let questions: Vec<String> = questions.iter().map(|q| (*q).to_owned()).collect();
    let oracle = async { Ok(questions) };
    search_all(search, &request(5), oracle, &Cancel::never()).await
}

#[tokio::test]
async fn every_question_has_its_best_among_the_first() {
    let search = Lists::new(&[
        ("whole?", &[1, 2, 3, 4, 5]),
        ("first?", &[6, 2, 7]),
        ("second?", &[8, 2, 1]),
    ]);
    let merged = split(&search, &["first?", "second?"]).await.unwrap();
    // The first hits, one of which the original question also found; then the second ones.
    assert_eq!(chunks(&merged), [1, 6, 8, 2, 3]);
    let numbers: Vec<u32> = merged.sources.iter().map(|source| source.n).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let scores: Vec<f32> = merged.sources.iter().map(|source| source.score).collect();
    assert_eq!(scores, [1.0, 1.0, 1.0, 0.5, 1.0 / 3.0]);
    assert!(merged.timings_ms.contains_key("expand") && merged.timings_ms.contains_key("total"));
    assert_eq!(merged.degraded, Vec::<String>::new());
    let asked = search.asked.lock().unwrap();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|asked| asked.expand == Expand::None));
    assert!(asked.iter().all(|asked| asked.top_k == 5));
}

#[tokio::test]
async fn without_questions_the_plain_search_stands() {
    let search = Lists::new(&[("whole?", &[1, 2, 3])]);
    let same = split(&search, &["Whole"]).await.unwrap();
    assert_eq!(chunks(&same), [1, 2, 3]);
    assert_eq!(same.degraded, Vec::<String>::new(), "it needs no splitting");
    let none = split(&search, &[]).await.unwrap();
    assert_eq!(chunks(&none), [1, 2, 3]);
    assert!(none.degraded[0].contains("gave no questions"));
    let oracle = async { Err("there is no model".to_owned()) };
    let failed = search_all(&search, &request(5), oracle, &Cancel::never()).await;
    let failed = failed.unwrap();
    assert_eq!(failed.degraded, ["there is no model"]);
    assert_eq!(chunks(&failed), [1, 2, 3]);
}

#[tokio::test]
async fn a_question_that_cannot_be_searched_is_told() {
    let search = Lists::new(&[("whole?", &[1, 2]), ("first?", &[3])]);
    let merged = split(&search, &["first?", "busy?"]).await.unwrap();
    assert_eq!(chunks(&merged), [1, 3, 2]);
    assert!(merged.degraded[0].contains("it is busy"), "{merged:?}");
    // If the search for the question itself fails, the whole search fails without waiting for a
    // model.
    let search = Lists::new(&[]);
    let never = std::future::pending();
    let failed = search_all(&search, &request(5), never, &Cancel::never()).await;
    assert_eq!(failed.unwrap_err().code, "overloaded");
}

#[tokio::test]
async fn no_more_than_four_questions_are_searched() {
    let search = Lists::new(&[("whole?", &[1])]);
    let many: Vec<String> = (0..50).map(|n| format!("question {n}?")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    split(&search, &many).await.unwrap();
    assert_eq!(search.asked.lock().unwrap().len(), 1 + MAX_QUESTIONS);
}

#[test]
fn replies_are_read_whatever_stands_around_the_questions() {
    let questions = |reply| parse_questions(reply);
    for reply in [
        "Who built it?\nWhen was he born?",
        "1. Who built it?\n2) When was he born?\n",
        "Here are the questions:\n\n- \"Who built it?\"\n* When was he born?",
        "<think>\nAre there two?\n</think>\nWho built it?\r\nwho built it\n• When was he born?",
        "```\nWho built it?\nWhen was he born?\n```",
    ] {
        assert_eq!(
            questions(reply),
            ["Who built it?", "When was he born?"],
            "{reply}"
        );
    }
    assert_eq!(questions("1984 was when?"), ["1984 was when?"]);
    assert_eq!(questions("3.5 mm or 6.3 mm?").len(), 1);
    let long = "word ".repeat(200);
    for nothing in ["", "\n\n", "---", "1.\n2.", &long] {
        assert_eq!(questions(nothing), Vec::<String>::new(), "{nothing}");
    }
    let many: String = (0..1000).map(|n| format!("{n}. What is {n}?\n")).collect();
    assert_eq!(questions(&many).len(), MAX_QUESTIONS);
}

#[test]
fn passages_have_a_bound() {
    let passage = parse_passage(&"one two\n".repeat(500)).unwrap();
    assert_eq!(passage.split(' ').count(), MAX_WORDS);
    assert!(parse_passage("<think>What?</think>\n ").is_err());
}

#[test]
fn a_model_is_given_half_of_the_time_at_most() {
    assert_eq!(patience(None), LONGEST);
    let soon = Instant::now() + Duration::from_secs(4);
    assert!(patience(Some(soon)) <= Duration::from_secs(2));
    assert_eq!(patience(Some(Instant::now())), Duration::ZERO);
}

const CHAINS: usize = 24;

fn bridge(n: usize) -> String {
    format!("bridge{n}x")
}

fn person(n: usize) -> String {
    format!("person{n}x")
}

/// For each chain: who designed a bridge, and where that person grew up. No single document names
/// both the bridge and the town.
fn chains() -> (Engine, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.storage.data_dir = dir.path().to_owned();
    config.retrieval.rerank.budget_ms = 0;
    let embedder: Arc<dyn Embedder> = Arc::new(HashEmbedder);
    let reranker: Arc<dyn Reranker> = Arc::new(OverlapReranker);
    let engine = Engine::new(&config, Some(embedder), Some(reranker)).unwrap();
    let index = engine.create_collection("main").unwrap();
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    let document = |uri: String, text: String| {
        let document = Document {
            uri,
            text,
            ..Document::default()
        };
        (document, None)
    };
    let documents = (0..CHAINS).flat_map(|n| {
        let (bridge, person) = (bridge(n), person(n));
        [
            document(
                bridge.clone(),
                format!("The designer of the {bridge} over the river was {person}."),
            ),
            document(
                person.clone(),
                format!("The town in which {person} grew up is called town{n}x."),
            ),
        ]
    });
    writer.put(documents.collect(), &Cancel::never()).unwrap();
    writer.commit().unwrap();
    (engine, dir)
}

#[tokio::test]
async fn good_questions_find_both_documents_more_often_than_one_shot() {
    let (engine, _dir) = chains();
    let (mut once, mut split) = (0, 0);
    for n in 0..CHAINS {
        let (bridge, person) = (bridge(n), person(n));
        let question = format!("In which town did the designer of the {bridge} grow up?");
        let request = SearchRequest {
            top_k: 6,
            ..SearchRequest::new(question, "main")
        };
        let request = PreparedSearch::from(request);
        let oracle = async {
            Ok(vec![
                format!("Who was the designer of the {bridge}?"),
                format!("In which town did {person} grow up?"),
            ])
        };
        let plain = Search::search(&engine, request.clone(), Cancel::never());
        let plain = plain.await.unwrap();
        let merged = search_all(&engine, &request, oracle, &Cancel::never()).await;
        let merged = merged.unwrap();
        assert_eq!((plain.sources.len(), merged.sources.len()), (6, 6));
        let has_both = |found: &SearchResponse| {
            let holds = |uri: &str| found.sources.iter().any(|source| source.uri == uri);
            usize::from(holds(&bridge) && holds(&person))
        };
        once += has_both(&plain);
        split += has_both(&merged);
    }
    let gain = (split as f64 - once as f64) / CHAINS as f64;
    assert!(gain >= 0.10, "{once} and {split} of {CHAINS}");
    assert_eq!(split, CHAINS);
}

#[tokio::test]
async fn every_question_is_searched_on_the_commit_that_was_checked() {
    let (engine, _dir) = chains();
    let asked = SearchRequest::new(format!("Who designed the {}?", bridge(0)), "main");
    let prepared = engine.prepare(asked).await.unwrap();
    let index = engine.collection("main").unwrap();
    let late = Document {
        uri: "late".to_owned(),
        text: "The tallest lighthouse was designed by Ida.".to_owned(),
        ..Document::default()
    };
    let oracle = async {
        let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
        writer.put(vec![(late, None)], &Cancel::never()).unwrap();
        writer.commit().unwrap();
        Ok(vec!["Who designed the tallest lighthouse?".to_owned()])
    };
    let found = search_all(&engine, &prepared, oracle, &Cancel::never()).await;
    let found = found.unwrap();
    assert_eq!(found.generation, 1);
    assert!(found.sources.iter().all(|source| source.uri != "late"));
    let plain = engine.search(
        prepared.asking("tallest lighthouse").change().clone(),
        Cancel::never(),
    );
    let plain = plain.await.unwrap();
    assert_eq!(
        (plain.generation, plain.sources[0].uri.as_str()),
        (2, "late")
    );
}
