//! Questions and passages that the models cannot read, and duplicate texts.

use super::*;

/// A model whose vocabulary covers only ASCII.
struct Provincial;

fn ascii_share(text: &str) -> f32 {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let read = text.chars().filter(char::is_ascii_alphabetic).count();
    if letters == 0 {
        1.0
    } else {
        read as f32 / letters as f32
    }
}

impl Embedder for Provincial {
    fn id(&self) -> &str {
        HashEmbedder.id()
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
    fn readable_share(&self, text: &str) -> Result<f32> {
        Ok(ascii_share(text))
    }
    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        HashEmbedder.embed(texts, cancel)
    }
}

/// The same, but prefers long passages.
impl Reranker for Provincial {
    fn id(&self) -> &str {
        "provincial"
    }
    fn window(&self) -> usize {
        192
    }
    fn token_spans(&self, text: &str) -> Result<TokenSpans> {
        OverlapReranker.token_spans(text)
    }
    fn readable_share(&self, text: &str) -> Result<f32> {
        Ok(ascii_share(text))
    }
    fn score(&self, _: &str, passages: &[&str], _: &Cancel) -> Result<Vec<f32>> {
        Ok(passages.iter().map(|text| text.len() as f32).collect())
    }
}

fn harbour() -> Setup {
    let setup = setup_with(
        |_| {},
        Some(Arc::new(Provincial)),
        Some(Arc::new(Provincial)),
    );
    let document = |uri: &str, text: &str| Document {
        uri: uri.into(),
        title: uri.into(),
        text: text.into(),
        ..Document::default()
    };
    let documents = vec![
        document("rope", "缆绳存放在北码头仓库。"),
        document("crane", "起重机限载五吨。"),
        document(
            "mixed",
            "ERR_CONN_4012 表示服务器关闭了连接，请检查仓库的网络。",
        ),
    ];
    add(&setup, documents);
    setup
}

fn add(setup: &Setup, documents: Vec<Document>) {
    let index = setup.engine.create_collection("main").unwrap();
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    let documents = documents.into_iter().map(|document| (document, None));
    writer.put(documents.collect(), &Cancel::never()).unwrap();
    writer.commit().unwrap();
}

#[test]
fn words_alone_answer_what_the_models_cannot_read() {
    let setup = harbour();
    let response = search(&setup, &request("缆绳仓库"));
    assert_eq!(uris(&response), ["rope", "mixed"]);
    assert_eq!(response.sources[0].ranks.dense, None);
    assert_eq!(response.sources[0].ranks.rerank, None);
    assert_eq!(response.degraded.len(), 2, "{:?}", response.degraded);
    assert!(response.degraded[0].contains("only words were searched"));
    assert!(response.degraded[1].contains("the fused order stands"));
}

#[test]
fn where_words_find_nothing_the_vectors_stand() {
    let setup = harbour();
    let response = search(&setup, &request("где хранится канат"));
    assert!(!response.sources.is_empty());
    assert!(response.sources[0].ranks.dense.is_some());
}

#[test]
fn a_passage_that_is_not_read_keeps_its_place() {
    let setup = harbour();
    let mut asked = request("ERR_CONN_4012");
    asked.rerank = false;
    let fused = search(&setup, &asked);
    let place = |response: &SearchResponse| uris(response).iter().position(|uri| *uri == "mixed");
    let response = search(&setup, &request("ERR_CONN_4012"));
    assert_eq!(place(&response), place(&fused));
    let mixed = &response.sources[place(&response).unwrap()];
    assert_eq!(mixed.ranks.rerank, None);
    assert!(
        response
            .sources
            .iter()
            .any(|source| source.ranks.rerank.is_some())
    );
    assert!(
        response.degraded[0].contains("keep their places"),
        "{:?}",
        response.degraded
    );
    let ordered = |pair: &[super::super::Source]| pair[0].score >= pair[1].score;
    assert!(response.sources.windows(2).all(ordered));
}

#[test]
fn a_text_is_a_source_once_and_says_how_many_others_there_are() {
    let setup = setup();
    let copy = |uri: &str, labels: &[&str]| Document {
        uri: uri.into(),
        title: format!("Copy {uri}"),
        text: TEXTS[2].2.into(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..Document::default()
    };
    add(&setup, vec![copy("one", &["board"]), copy("two", &[])]);
    for mode in [Mode::Hybrid, Mode::Lexical, Mode::Dense] {
        let mut asked = request("where do birds build a nest?");
        asked.mode = mode;
        let response = search(&setup, &asked);
        let held: Vec<_> = response
            .sources
            .iter()
            .filter(|source| *source.text == *TEXTS[2].2)
            .collect();
        assert_eq!(held.len(), 1, "{mode:?}");
        assert_eq!(held[0].copies, 2, "{mode:?}");
        asked.access = Access::Labels(BTreeSet::new());
        let response = search(&setup, &asked);
        assert_eq!(response.sources[0].copies, 1, "only those that may be read");
    }
    let response = search(&setup, &request("birds in copy two"));
    let held = response
        .sources
        .iter()
        .find(|source| *source.text == *TEXTS[2].2);
    assert_eq!(held.unwrap().uri, "two", "its title is asked for");
}
