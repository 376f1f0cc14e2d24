//! The store as its callers see it, with the hash embedder.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use cairn_models::testing::HashEmbedder;
use cairn_models::{Cancel, Embedder};
use serde_json::json;

use crate::{
    Access, Bm25, ChunkRef, Document, DocumentId, ErrorKind, Filter, Index, IndexSettings,
    PutReport, Snapshot, Writer,
};

fn settings() -> IndexSettings {
    IndexSettings {
        chunk_tokens: 32,
        chunk_overlap: 6,
        ..IndexSettings::default()
    }
}

fn open(dir: &Path) -> Index {
    Index::open(dir, settings()).unwrap()
}

pub(super) fn writer(index: &Index) -> Writer {
    index.writer(Arc::new(HashEmbedder)).unwrap()
}

fn document(uri: &str, text: &str) -> Document {
    Document {
        uri: uri.into(),
        title: format!("Title of {uri}"),
        text: text.into(),
        ..Document::default()
    }
}

/// `sentences` sentences of seven tokens whose words start with `word`.
fn prose(word: &str, sentences: usize) -> String {
    (0..sentences)
        .map(|n| {
            format!(
                "{}{word}{n} runs over the hill. ",
                if n == 0 { "" } else { "The " }
            )
        })
        .collect()
}

fn put(writer: &mut Writer, documents: Vec<Document>) -> Vec<PutReport> {
    let documents = documents
        .into_iter()
        .map(|document| (document, None))
        .collect();
    writer.put(documents, &Cancel::never()).unwrap()
}

fn uris(snapshot: &Snapshot, query: &str, within: Option<&crate::Selection>) -> Vec<String> {
    let hits = snapshot
        .lexical(query, 10, Bm25::default(), within)
        .unwrap();
    hits.iter()
        .map(|hit| snapshot.chunk(hit.chunk).unwrap().uri)
        .collect()
}

fn nearest(snapshot: &Snapshot, query: &str) -> String {
    let query = HashEmbedder
        .embed(&[query], &Cancel::never())
        .unwrap()
        .remove(0);
    let hits = snapshot.dense(&query, 1, 16, false, None).unwrap();
    snapshot.chunk(hits[0].chunk).unwrap().uri
}

/// Every chunk has its text, its place and its vector.
fn check(snapshot: &Snapshot) {
    for chunk in (0..snapshot.chunk_count() as u32).map(ChunkRef) {
        let stored = snapshot.chunk(chunk).unwrap();
        let text = snapshot
            .document_text(stored.document_id, &Access::All)
            .unwrap()
            .unwrap();
        assert_eq!(text[stored.chunk.span.clone()], stored.chunk.text);
        assert_eq!(snapshot.vector(chunk).unwrap().len(), 64);
        let document = snapshot
            .document(stored.document_id, &Access::All)
            .unwrap()
            .unwrap();
        assert_eq!(document.text_bytes as usize, text.len());
        assert!(stored.chunk.ordinal < document.chunk_count);
    }
}

#[test]
fn what_is_committed_is_found_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(&dir.path().join("main"));
    assert_eq!(index.snapshot().generation(), 0);
    assert!(!index.dir().exists());
    let mut writer = writer(&index);
    put(
        &mut writer,
        vec![
            document("a", &prose("fox", 20)),
            document("b", &prose("owl", 3)),
        ],
    );
    assert_eq!(index.snapshot().chunk_count(), 0);
    assert_eq!(writer.commit().unwrap(), 1);

    let snapshot = index.snapshot();
    check(&snapshot);
    assert_eq!(snapshot.document_count(), 2);
    assert!(snapshot.chunk_count() > 5);
    assert_eq!(uris(&snapshot, "owl2", None)[0], "b");
    assert_eq!(nearest(&snapshot, "owl0 owl1 owl2"), "b");
    assert!(uris(&snapshot, "\" AND (OR: ~^*", None).is_empty());
    assert!(
        snapshot
            .lexical("", 10, Bm25::default(), None)
            .unwrap()
            .is_empty()
    );
    let text = snapshot
        .document_text(DocumentId::of_uri("a"), &Access::All)
        .unwrap();
    assert_eq!(text.unwrap(), prose("fox", 20));

    // Another handle, as in another process, sees the same.
    let other = open(&dir.path().join("main"));
    check(&other.snapshot());
    assert!(writer.delete(DocumentId::of_uri("b")).unwrap());
    assert!(!writer.delete(DocumentId::of_uri("b")).unwrap());
    assert!(!writer.delete(DocumentId::of_uri("c")).unwrap());
    assert_eq!(writer.commit().unwrap(), 2);
    assert_eq!(writer.commit().unwrap(), 2);
    assert_eq!(uris(&other.snapshot(), "owl2", None)[0], "b");
    assert!(other.refresh().unwrap());
    assert!(!other.refresh().unwrap());
    assert!(!uris(&other.snapshot(), "owl2", None).contains(&"b".to_owned()));
    // The old snapshot stays as it was.
    assert_eq!(uris(&snapshot, "owl2", None)[0], "b");
}

#[test]
fn only_new_chunks_are_embedded() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let mut writer = writer(&index);
    let first = put(&mut writer, vec![document("a", &prose("fox", 30))])[0];
    assert_eq!((first.embedded, first.reused), (first.chunks, 0));
    // Before the commit and after it.
    for _ in 0..2 {
        let again = put(&mut writer, vec![document("a", &prose("fox", 30))])[0];
        assert_eq!((again.embedded, again.reused), (0, first.chunks));
        writer.commit().unwrap();
    }
    let changed = prose("fox", 30).replace("fox29 runs", "fox29 walks");
    let report = put(&mut writer, vec![document("a", &changed)])[0];
    assert_eq!((report.embedded, report.reused), (1, first.chunks - 1));
    writer.commit().unwrap();
    check(&index.snapshot());
    assert_eq!(index.snapshot().chunk_count(), first.chunks);
    assert_eq!(nearest(&index.snapshot(), "the fox29 walks over"), "a");

    // The same text elsewhere: another title is another input, the same is not.
    let mut twin = document("copy", &prose("fox", 30));
    let report = put(&mut writer, vec![twin.clone()])[0];
    assert_eq!(report.embedded, report.chunks);
    twin.uri = "second copy".into();
    let mut third = twin.clone();
    third.uri = "third copy".into();
    let reports = put(&mut writer, vec![twin, third]);
    assert!(
        reports
            .iter()
            .all(|report| report.embedded == 0 && report.chunks > 1)
    );
    writer.commit().unwrap();
    check(&index.snapshot());
    assert_eq!(index.snapshot().document_count(), 4);
}

#[test]
fn the_last_of_equal_uris_in_a_batch_counts() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let mut writer = writer(&index);
    let reports = put(
        &mut writer,
        vec![
            document("a", "first text"),
            document("b", ""),
            document("a", "second text"),
        ],
    );
    assert_eq!(
        reports
            .iter()
            .map(|report| report.chunks)
            .collect::<Vec<_>>(),
        [0, 0, 1]
    );
    writer.commit().unwrap();
    let snapshot = index.snapshot();
    assert_eq!(uris(&snapshot, "second", None), ["a"]);
    assert!(uris(&snapshot, "first", None).is_empty());
    // A document without text is there, without chunks.
    let empty = snapshot
        .document(DocumentId::of_uri("b"), &Access::All)
        .unwrap()
        .unwrap();
    assert_eq!((empty.chunk_count, empty.text_bytes), (0, 0));
    let text = snapshot.document_text(empty.id, &Access::All).unwrap();
    assert_eq!(text.as_deref(), Some(""));
}

#[test]
fn filters_and_labels_leave_what_they_should() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let mut writer = writer(&index);
    let mut documents = Vec::new();
    for year in 2000..2020 {
        let mut document = document(&format!("y{year}"), &prose("fox", 12));
        document.metadata.insert("year".into(), json!(year));
        document
            .metadata
            .insert("date".into(), json!(format!("{year}-06-01")));
        document
            .metadata
            .insert("tags".into(), json!(["all", format!("t{}", year % 3)]));
        document
            .metadata
            .insert("deep".into(), json!({"even": year % 2 == 0}));
        if year >= 2010 {
            document.labels = BTreeSet::from([format!("team{}", year % 2)]);
            document.metadata.insert("secret".into(), json!("x"));
        }
        documents.push(document);
    }
    put(&mut writer, documents);
    writer.commit().unwrap();
    let snapshot = index.snapshot();
    let select = |filter: serde_json::Value, access: &Access| {
        let filter = Filter::parse(&filter).unwrap();
        let selection = snapshot.select(Some(&filter), access).unwrap().unwrap();
        let chunks = (0..snapshot.chunk_count() as u32).map(ChunkRef);
        let kept = chunks.filter(|&chunk| selection.contains(chunk));
        let uris: BTreeSet<_> = kept
            .map(|chunk| snapshot.chunk(chunk).unwrap().uri)
            .collect();
        assert_eq!(selection.is_empty(), uris.is_empty());
        uris.into_iter().collect::<Vec<_>>().join(" ")
    };
    let all = Access::All;
    assert_eq!(select(json!({"year": 2003}), &all), "y2003");
    assert_eq!(select(json!({"year": 2003.0}), &all), "y2003");
    assert_eq!(select(json!({"year": "2003"}), &all), "");
    assert_eq!(
        select(json!({"year": {"gte": 2017.5}}), &all),
        "y2018 y2019"
    );
    assert_eq!(
        select(
            json!({"date": {"gte": "2004-06-01", "lte": "2005-12"}}),
            &all
        ),
        "y2004 y2005"
    );
    assert_eq!(
        select(json!({"tags": {"in": ["t0"]}, "year": {"lte": 2004}}), &all),
        "y2001 y2004"
    );
    assert_eq!(
        select(
            json!({"deep.even": true, "not": {"year": {"gte": 2004}}}),
            &all
        ),
        "y2000 y2002"
    );
    assert_eq!(
        select(
            json!({"or": [{"uri": "y2000"}, {"title": "Title of y2001"}]}),
            &all
        ),
        "y2000 y2001"
    );
    let id = DocumentId::of_uri("y2007").to_string();
    assert_eq!(select(json!({"document_id": id}), &all), "y2007");
    assert_eq!(
        select(json!({"labels": "team1", "year": {"lte": 2013}}), &all),
        "y2011 y2013"
    );

    let team0 = Access::Labels(BTreeSet::from(["team0".to_owned()]));
    let nobody = Access::Labels(BTreeSet::new());
    assert_eq!(
        select(json!({"year": {"gte": 2009, "lte": 2013}}), &team0),
        "y2009 y2010 y2012"
    );
    assert_eq!(
        select(
            json!({"not": {"year": 2000}, "year": {"gte": 2009}}),
            &nobody
        ),
        "y2009"
    );
    let selection = snapshot.select(None, &nobody).unwrap().unwrap();
    assert!(
        uris(&snapshot, "fox3", Some(&selection))
            .iter()
            .all(|uri| uri.as_str() < "y2010")
    );
    assert!(snapshot.select(None, &all).unwrap().is_none());
    let secret = DocumentId::of_uri("y2011");
    assert!(snapshot.document(secret, &team0).unwrap().is_none());
    assert!(snapshot.document_text(secret, &team0).unwrap().is_none());
    assert_eq!(snapshot.documents(8, 10, &nobody).unwrap().len(), 2);

    let unknown = Filter::parse(&json!({"colour": "red"})).unwrap();
    let error = snapshot.select(Some(&unknown), &all).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error
            .to_string()
            .contains("date, deep.even, document_id, labels, secret"),
        "{error}"
    );
    // A field of documents that the caller may not read is not given away.
    let secret = Filter::parse(&json!({"secret": "x"})).unwrap();
    let error = snapshot.select(Some(&secret), &nobody).unwrap_err();
    assert!(!error.to_string().contains("labels, secret"), "{error}");
}

#[test]
fn a_second_writer_is_told_who_has_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let writer_one = writer(&index);
    let error = index.writer(Arc::new(HashEmbedder)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("this process"), "{error}");
    drop(writer_one);
    writer(&index);
}

/// Another model with another id and the same dimension.
struct Other;

impl Embedder for Other {
    fn id(&self) -> &str {
        "other-64"
    }
    fn dimension(&self) -> usize {
        64
    }
    fn window(&self) -> usize {
        512
    }
    fn special_tokens(&self) -> usize {
        2
    }
    fn token_spans(&self, text: &str) -> cairn_models::Result<cairn_models::TokenSpans> {
        HashEmbedder.token_spans(text)
    }
    fn embed(&self, texts: &[&str], cancel: &Cancel) -> cairn_models::Result<Vec<Vec<f32>>> {
        // Stops in the middle of a batch, as a real model may.
        cancel.cancel();
        HashEmbedder.embed(texts, cancel)
    }
}

#[test]
fn another_model_or_other_settings_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let mut first = writer(&index);
    put(&mut first, vec![document("a", "some text")]);
    first.commit().unwrap();
    drop(first);

    let error = index.writer(Arc::new(Other)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.to_string().contains("hash-64"), "{error}");
    let other = Index::open(
        dir.path(),
        IndexSettings {
            chunk_overlap: 7,
            ..settings()
        },
    )
    .unwrap();
    assert_eq!(other.snapshot().chunk_count(), 1);
    let error = other.writer(Arc::new(HashEmbedder)).err().unwrap();
    assert!(
        error.to_string().contains("chunking.overlap = 6"),
        "{error}"
    );
    let error = index
        .snapshot()
        .dense(&[1.0; 3], 1, 1, false, None)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    // Graphs may start at another size.
    let graphs = IndexSettings {
        graph_min_rows: 7,
        ..settings()
    };
    Index::open(dir.path(), graphs)
        .unwrap()
        .writer(Arc::new(HashEmbedder))
        .unwrap();
}

#[test]
fn a_cancelled_put_leaves_nothing_and_the_writer_works_on() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let mut writer = index.writer(Arc::new(Other)).unwrap();
    let documents = vec![(document("a", &prose("fox", 9)), None)];
    let error = writer.put(documents, &Cancel::never()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(writer.commit().unwrap(), 0);
    drop(writer);
    let mut writer = self::writer(&index);
    let cancelled = Cancel::never();
    cancelled.cancel();
    let documents = vec![(document("a", &prose("fox", 9)), None)];
    writer.put(documents, &cancelled).unwrap_err();
    put(&mut writer, vec![document("b", &prose("owl", 9))]);
    writer.commit().unwrap();
    check(&index.snapshot());
    assert_eq!(index.snapshot().document_count(), 1);
}

#[test]
fn writers_that_make_one_change_each_leave_few_segments() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    for n in 0..30 {
        let mut writer = writer(&index);
        put(
            &mut writer,
            vec![document(&format!("d{n}"), &prose("fox", 3))],
        );
        writer.commit().unwrap();
    }
    let files = |below: &str, extension: &str| {
        std::fs::read_dir(dir.path().join(below))
            .unwrap()
            .filter(|file| {
                let path = file.as_ref().unwrap().path();
                path.extension().is_some_and(|found| found == extension)
            })
            .count()
    };
    assert!(files("vectors", "vec") <= 9, "{}", files("vectors", "vec"));
    // Files of merged segments go with the next commit.
    assert!(files("words", "store") <= 20, "{}", files("words", "store"));
    check(&index.snapshot());
    assert_eq!(index.snapshot().document_count(), 30);
}

#[test]
fn graphs_are_built_beside_the_work_and_found_like_scans() {
    let dir = tempfile::tempdir().unwrap();
    let settings = IndexSettings {
        graph_min_rows: 200,
        ..settings()
    };
    let index = Index::open(dir.path(), settings).unwrap();
    let mut writer = writer(&index);
    for n in 0..40 {
        let words = format!("fox{n}x");
        put(
            &mut writer,
            vec![document(&format!("d{n}"), &prose(&words, 60))],
        );
        if n % 5 == 0 {
            writer.commit().unwrap();
        }
    }
    for n in 0..10 {
        writer.delete(DocumentId::of_uri(&format!("d{n}"))).unwrap();
    }
    writer.close().unwrap();
    let snapshot = index.snapshot();
    check(&snapshot);
    assert_eq!(snapshot.document_count(), 30);
    assert!(
        std::fs::read_dir(dir.path().join("vectors"))
            .unwrap()
            .count()
            <= 6
    );
    let query = "The fox21x7 runs over the hill.";
    let query = HashEmbedder
        .embed(&[query], &Cancel::never())
        .unwrap()
        .remove(0);
    let exact = snapshot.dense(&query, 10, 10, true, None).unwrap();
    let graph = snapshot.dense(&query, 10, 200, false, None).unwrap();
    assert_eq!(exact[0].score, graph[0].score);
    let only = Filter::parse(&json!({"uri": "d33"})).unwrap();
    let only = snapshot.select(Some(&only), &Access::All).unwrap().unwrap();
    let hits = snapshot.dense(&query, 10, 64, false, Some(&only)).unwrap();
    assert_eq!(hits.len(), 10.min(only.len()));
    assert!(hits.iter().all(|hit| only.contains(hit.chunk)));
}
