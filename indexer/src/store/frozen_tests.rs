//! A collection that an earlier Cairn wrote opens and finds, and one of another format
//! says what to do.
//!
//! `tests/fixtures/collection-1` was written by [`freeze`] when format 1 was released. A
//! change of the format gets a folder of its own alongside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_models::testing::HashEmbedder;
use cairn_models::{Cancel, Embedder as _};
use serde_json::json;

use super::index::{META_FILE, WORDS_DIR};
use super::{copy_commit, doctor};
use crate::{
    Access, Bm25, Document, DocumentId, ErrorKind, Filter, Index, IndexSettings, Section, Table,
};

const FIXTURE: &str = "tests/fixtures/collection-1";

fn settings() -> IndexSettings {
    IndexSettings {
        chunk_tokens: 32,
        chunk_overlap: 6,
        ..IndexSettings::default()
    }
}

fn documents() -> Vec<Document> {
    let tides = "Tides\n\nThe tide at ERR_CONN_4012 is high at noon, and low in the evening, when \
                 nobody looks. Ebbe und Flut wechseln sich über den Tag hinweg ab.\n\nport height\n\
                 North 12\nSouth 34\n";
    let table = tides.find("port").unwrap();
    let with_structure = Document {
        uri: "notes/tides.md".into(),
        title: "Tides".into(),
        text: tides.into(),
        sections: vec![Section {
            heading: "Tides".into(),
            level: 1,
            span: 0..tides.len(),
        }],
        tables: vec![Table {
            columns: "port height".into(),
            span: table..tides.len(),
        }],
        metadata: [
            ("year".to_owned(), json!(2024)),
            ("author".into(), json!("Ann")),
        ]
        .into(),
        ..Document::default()
    };
    let secret = Document {
        uri: "notes/secret.md".into(),
        title: "Secret".into(),
        text: "The lighthouse keeper keeps a second lamp.".into(),
        labels: ["team:a".to_owned()].into(),
        ..Document::default()
    };
    let gone = Document {
        uri: "notes/gone.md".into(),
        title: "Gone".into(),
        text: "A deleted document about walruses.".into(),
        ..Document::default()
    };
    vec![with_structure, gone, secret]
}

/// Writes the collection into the folder that `FROZEN` names.
#[test]
#[ignore = "makes the fixture of a new format, once"]
fn freeze() {
    let dir = PathBuf::from(std::env::var_os("FROZEN").expect("FROZEN names a folder"));
    let index = Index::open(&dir, settings()).unwrap();
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    for document in documents() {
        writer
            .put(vec![(document, None)], &Cancel::never())
            .unwrap();
        writer.commit().unwrap();
    }
    writer.delete(DocumentId::of_uri("notes/gone.md")).unwrap();
    writer.commit().unwrap();
}

/// A copy of the fixture.
fn thawed() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let copied = copy_commit(
        Path::new(FIXTURE),
        place.path(),
        &Cancel::never(),
        &mut |_| {},
    );
    assert!(copied.unwrap().is_some());
    place
}

fn found(index: &Index, words: &str, access: &Access) -> Vec<String> {
    let snapshot = index.snapshot();
    let allowed = snapshot.select(None, access).unwrap();
    let hits = snapshot.lexical(words, 10, Bm25::default(), allowed.as_ref());
    let hits = hits.unwrap().into_iter();
    hits.map(|hit| snapshot.chunk(hit.chunk).unwrap().uri)
        .collect()
}

#[test]
fn a_collection_of_the_first_format_opens_finds_and_grows() {
    let place = thawed();
    assert!(doctor::check(place.path()).unwrap().is_healthy());
    let index = Index::open(place.path(), settings()).unwrap();
    let snapshot = index.snapshot();
    let uris = |index: &Index| -> Vec<String> {
        let documents = index.snapshot().documents(0, 10, &Access::All).unwrap();
        documents.into_iter().map(|document| document.uri).collect()
    };
    assert_eq!(uris(&index), ["notes/secret.md", "notes/tides.md"]);
    for document in documents() {
        let stored = snapshot.document(document.id(), &Access::All).unwrap();
        let Some(stored) = stored else {
            assert_eq!(document.uri, "notes/gone.md");
            continue;
        };
        assert_eq!(stored.title, document.title);
        assert_eq!(stored.metadata, document.metadata);
        assert_eq!(stored.labels, document.labels);
        let text = snapshot.document_text(document.id(), &Access::All).unwrap();
        assert_eq!(text.unwrap(), document.text);
    }
    assert!(found(&index, "ERR_CONN_4012", &Access::All).contains(&"notes/tides.md".into()));
    assert!(found(&index, "walruses", &Access::All).is_empty());
    assert_eq!(
        found(&index, "lighthouse", &Access::All),
        ["notes/secret.md"]
    );
    assert!(found(&index, "lighthouse", &Access::Labels(Default::default())).is_empty());
    let filter = Filter::parse(&json!({"year": {"gte": 2024}})).unwrap();
    let selection = snapshot.select(Some(&filter), &Access::All).unwrap();
    let query = HashEmbedder
        .embed(&["second lamp lighthouse keeper"], &Cancel::never())
        .unwrap()
        .remove(0);
    let nearest = |within| {
        let hits = snapshot.dense(&query, 1, 16, false, within).unwrap();
        snapshot.chunk(hits[0].chunk).unwrap().uri
    };
    assert_eq!(nearest(None), "notes/secret.md");
    assert_eq!(nearest(selection.as_ref()), "notes/tides.md");
    // And it is written to, with the vectors that are there.
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    let again = documents().into_iter().map(|document| (document, None));
    let reports = writer.put(again.collect(), &Cancel::never()).unwrap();
    let embedded = |at: usize| reports[at].embedded;
    assert_eq!((embedded(0), embedded(2)), (0, 0), "{reports:?}");
    writer.close().unwrap();
    assert_eq!(uris(&index).len(), 3);
    assert!(doctor::check(place.path()).unwrap().is_healthy());
}

#[test]
fn another_format_says_what_to_do() {
    for (format, said) in [(2, "newer Cairn"), (0, "older Cairn")] {
        let place = thawed();
        let meta = place.path().join(WORDS_DIR).join(META_FILE);
        let text = fs::read_to_string(&meta).unwrap();
        let other = text.replacen(r#"\"format\":1"#, &format!(r#"\"format\":{format}"#), 1);
        assert_ne!(text, other);
        fs::write(&meta, other).unwrap();
        let error = Index::open(place.path(), settings()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        assert!(error.message().contains(said), "{error}");
        assert!(error.message().contains("--collection"), "{error}");
        let diagnosis = doctor::check(place.path()).unwrap();
        let finding = diagnosis.findings.last().unwrap();
        assert!(finding.what.contains(said), "{diagnosis:?}");
        assert_eq!(finding.advice, None, "the message says it");
    }
}
