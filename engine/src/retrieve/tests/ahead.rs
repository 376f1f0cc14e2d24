//! Passages that are read ahead of questions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cairn_indexer::{Document, DocumentId};
use cairn_models::testing::{HashEmbedder, LateOverlapReranker};
use cairn_models::{Cancel, Effort, LateInteraction, Reranker, TokenSpans};

use super::super::ahead::missing;
use super::super::{Engine, ReadAhead, SearchError};
use super::{Setup, TEXTS, request, search, setup_with, uris};

/// Counts the passages that are read at question time.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Reranker for Counting {
    fn id(&self) -> &str {
        "counting"
    }
    fn calibrated(&self, score: f32) -> f32 {
        score
    }
    fn window(&self) -> usize {
        LateOverlapReranker.window()
    }
    fn token_spans(&self, text: &str) -> cairn_models::Result<TokenSpans> {
        LateOverlapReranker.token_spans(text)
    }
    fn score(
        &self,
        query: &str,
        passages: &[&str],
        cancel: &Cancel,
    ) -> cairn_models::Result<Vec<f32>> {
        self.0.fetch_add(passages.len(), Ordering::Relaxed);
        LateOverlapReranker.score(query, passages, cancel)
    }
    fn late_interaction(&self) -> Option<&dyn LateInteraction> {
        LateOverlapReranker.late_interaction()
    }
}

fn counting(stored_depth: usize) -> (Setup, Arc<Counting>) {
    let model = Arc::new(Counting::default());
    let setup = setup_with(
        |config| {
            config.retrieval.rerank.depth = 2;
            config.retrieval.rerank.stored_depth = stored_depth;
        },
        Some(Arc::new(HashEmbedder)),
        Some(model.clone()),
    );
    (setup, model)
}

impl Engine {
    /// How many chunks of the collection `name` have been read, if they are to be.
    fn read_so_far(&self, name: &str) -> Result<Option<ReadAhead>, SearchError> {
        let Some(model) = self.passage_reader() else {
            return Ok(None);
        };
        let index = self.collection(name)?;
        let snapshot = index.snapshot();
        let states = index.states(&snapshot, model.states_id());
        Ok(states.map(|states| {
            let chunks = snapshot.by_vector_id();
            ReadAhead {
                read: chunks.len() - missing(&states, &chunks).len(),
                chunks: chunks.len(),
            }
        }))
    }
}

fn read_ahead(setup: &Setup) -> Option<ReadAhead> {
    let mut steps = Vec::new();
    let cancel = Cancel::never();
    let done = setup
        .engine
        .read_ahead("main", Effort::Full, &cancel, &mut |step, _| {
            steps.push(step.read)
        });
    assert!(steps.is_sorted());
    done.unwrap()
}

fn put(setup: &Setup, uri: &str, text: &str) {
    let index = setup.engine.collection("main").unwrap();
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    let document = Document {
        uri: uri.into(),
        text: text.into(),
        ..Document::default()
    };
    writer
        .put(vec![(document, None)], &Cancel::never())
        .unwrap();
    writer.commit().unwrap();
}

#[test]
fn a_question_compares_what_is_stored_and_ranks_as_if_it_had_read() {
    let question = request("which birds sleep at night");
    let (unread, counted) = counting(2);
    let expected = search(&unread, &question);
    assert_eq!(counted.0.load(Ordering::Relaxed), 2);

    let (setup, counted) = counting(2);
    let all = TEXTS.len();
    let whole = ReadAhead {
        read: all,
        chunks: all,
    };
    assert_eq!(read_ahead(&setup), Some(whole));
    assert_eq!(setup.engine.read_so_far("main").unwrap(), Some(whole));
    let response = search(&setup, &question);
    assert_eq!(counted.0.load(Ordering::Relaxed), 0);
    assert_eq!(uris(&response), uris(&expected));
    assert!(response.degraded.is_empty());
}

#[test]
fn what_is_stored_is_judged_deeper_but_only_as_a_whole_head_of_the_list() {
    let mut question = request("which birds sleep at night");
    question.top_k = 20;
    let (setup, counted) = counting(50);
    read_ahead(&setup);
    let judged = |setup: &Setup| {
        let response = search(setup, &question);
        response
            .sources
            .iter()
            .filter(|source| source.ranks.rerank.is_some())
            .count()
    };
    let found = search(&setup, &question).sources.len();
    assert!(found > 3);
    assert_eq!(judged(&setup), found);
    // A better one that has not been read yet: it is read now, since it is among the first two.
    put(
        &setup,
        "new.md",
        "Which birds sleep at night? Which birds, at night, sleep?",
    );
    assert_eq!(judged(&setup), found + 1);
    assert_eq!(counted.0.load(Ordering::Relaxed), 1);
    // One of the three is beyond the depth to which texts are read.
    put(
        &setup,
        "newer.md",
        "Birds at night: which sleep? Which birds sleep?",
    );
    put(
        &setup,
        "newest.md",
        "Sleep at night: which birds? Which birds sleep?",
    );
    assert_eq!(judged(&setup), 2);
    read_ahead(&setup);
    assert_eq!(judged(&setup), found + 3);
}

#[test]
fn what_the_model_cannot_read_keeps_its_place() {
    let (setup, _) = counting(50);
    put(&setup, "sign.md", "# birds sleep at night");
    read_ahead(&setup);
    let response = search(&setup, &request("birds sleep at night"));
    let sign = response
        .sources
        .iter()
        .find(|source| source.uri == "sign.md")
        .unwrap();
    assert_eq!(sign.ranks.rerank, None);
    assert_eq!(sign.ranks.fused, Some(sign.n));
    assert!(
        response.degraded[0].contains("cannot read 1 of"),
        "{:?}",
        response.degraded
    );
}

#[test]
fn changed_and_deleted_documents_are_followed() {
    let (setup, counted) = counting(50);
    read_ahead(&setup);
    put(&setup, "cats.md", "Cats dislike the wet boat.");
    let index = setup.engine.collection("main").unwrap();
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    writer.delete(DocumentId::of_uri("dogs.md")).unwrap();
    writer.commit().unwrap();
    drop(writer);
    let chunks = TEXTS.len() - 1;
    let done = Some(ReadAhead {
        read: chunks,
        chunks,
    });
    assert_eq!(read_ahead(&setup), done);
    let response = search(&setup, &request("do cats dislike a wet boat?"));
    assert_eq!(response.sources[0].uri, "cats.md");
    assert_eq!(counted.0.load(Ordering::Relaxed), 0);
}

#[test]
fn a_reading_that_is_stopped_keeps_what_it_has() {
    let (setup, _) = counting(50);
    for at in 0..20 {
        put(
            &setup,
            &format!("{at}.md"),
            &format!("Note {at} of the keeper."),
        );
    }
    let cancel = Cancel::default();
    let mut stop = |_, _: Duration| cancel.cancel();
    let engine = &setup.engine;
    let error = engine
        .read_ahead("main", Effort::Full, &cancel, &mut stop)
        .unwrap_err();
    assert_eq!(error.kind(), crate::retrieve::SearchErrorKind::Cancelled);
    let read = engine.read_so_far("main").unwrap().unwrap();
    assert!(read.read > 0 && read.read < read.chunks, "{read:?}");
}

#[test]
fn nothing_is_read_where_it_is_off_or_the_model_reads_both_together() {
    let off = setup_with(
        |config| config.retrieval.rerank.store = false,
        Some(Arc::new(HashEmbedder)),
        Some(Arc::new(LateOverlapReranker)),
    );
    assert!(!off.engine.reads_ahead());
    assert_eq!(read_ahead(&off), None);
    let together = super::setup();
    assert_eq!(read_ahead(&together), None);
    assert_eq!(together.engine.read_so_far("main").unwrap(), None);
}
