//! Equal texts count once, and words are read again after a change of the analysis.

use std::path::Path;

use cairn_models::testing::HashEmbedder;
use cairn_models::{Cancel, Embedder};

use crate::{Access, Bm25, ChunkRef, Document, Index, IndexSettings, Scored, Selection, Snapshot};

use super::tests::writer;

const NOTICE: &str = "The anchor winch is greased every Monday by two people of the crew.";

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

fn document(uri: &str, title: &str, text: &str, labels: &[&str]) -> Document {
    Document {
        uri: uri.into(),
        title: title.into(),
        text: text.into(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..Document::default()
    }
}

fn put(index: &Index, documents: Vec<Document>) {
    let mut writer = writer(index);
    let documents = documents.into_iter().map(|document| (document, None));
    writer.put(documents.collect(), &Cancel::never()).unwrap();
    writer.commit().unwrap();
}

fn lexical(snapshot: &Snapshot, query: &str, within: Option<&Selection>) -> Vec<Scored> {
    snapshot
        .lexical(query, 10, Bm25::default(), within)
        .unwrap()
}

fn dense(snapshot: &Snapshot, query: &str, within: Option<&Selection>) -> Vec<Scored> {
    let vectors = HashEmbedder.embed(&[query], &Cancel::never()).unwrap();
    snapshot.dense(&vectors[0], 10, 16, false, within).unwrap()
}

fn uris(snapshot: &Snapshot, found: &[Scored]) -> Vec<String> {
    let uri = |scored: &Scored| snapshot.chunk(scored.chunk).unwrap().uri;
    found.iter().map(uri).collect()
}

fn harbour() -> (tempfile::TempDir, Index) {
    let dir = tempfile::tempdir().unwrap();
    let index = open(&dir.path().join("main"));
    let repeated = format!("{NOTICE}\n\n").repeat(40);
    put(
        &index,
        vec![
            document("2023", "Manual of 2023", NOTICE, &["crew"]),
            document("2024", "Manual of 2024", &NOTICE.replace(' ', "  "), &[]),
            document(
                "other",
                "Winches",
                "A winch pulls ropes; greased or not.",
                &[],
            ),
        ],
    );
    put(
        &index,
        vec![document("again", "Posters", &repeated, &["crew"])],
    );
    (dir, index)
}

#[test]
fn a_text_is_in_a_list_once() {
    let (_dir, index) = harbour();
    let snapshot = index.snapshot();
    for found in [
        lexical(&snapshot, "anchor winch greased", None),
        dense(&snapshot, "anchor winch greased", None),
    ] {
        let mut texts: Vec<Vec<String>> = found
            .iter()
            .map(|scored| snapshot.chunk(scored.chunk).unwrap().chunk.text)
            .map(|text| text.split_whitespace().map(str::to_owned).collect())
            .collect();
        let all = texts.len();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), all);
        assert!(uris(&snapshot, &found).contains(&"other".to_owned()));
    }
}

#[test]
fn the_copy_that_fits_the_question_is_the_one() {
    let (_dir, index) = harbour();
    let snapshot = index.snapshot();
    for year in ["2023", "2024"] {
        let question = format!("winch greased in the manual of {year}");
        let words = lexical(&snapshot, &question, None);
        assert_eq!(uris(&snapshot, &words)[0], year);
        let twins: Vec<ChunkRef> = snapshot.twins(words[0].chunk).collect();
        assert!(!twins.is_empty() && !twins.contains(&words[0].chunk));
        let mut vectors = dense(&snapshot, &question, None);
        snapshot.unite(&words, &mut vectors);
        let shared = vectors.iter().any(|scored| scored.chunk == words[0].chunk);
        assert!(shared, "one text is one chunk in both lists");
    }
}

#[test]
fn a_copy_that_may_be_read_stands_for_one_that_may_not() {
    let (_dir, index) = harbour();
    let snapshot = index.snapshot();
    let public = Access::Labels(Default::default());
    let selection = snapshot.select(None, &public).unwrap().unwrap();
    for found in [
        lexical(&snapshot, "anchor winch", Some(&selection)),
        dense(&snapshot, "anchor winch greased", Some(&selection)),
    ] {
        let mut uris = uris(&snapshot, &found);
        uris.sort();
        assert_eq!(uris, ["2024", "other"]);
    }
}

#[test]
fn words_of_another_version_are_read_again_by_the_next_writer() {
    let (dir, index) = harbour();
    put(
        &index,
        vec![
            document("empty", "Nothing", "", &[]),
            document("long", "Kapitän", &"Kapitän Müller grüßt. ".repeat(30), &[]),
        ],
    );
    let before = index.snapshot();
    let meta = dir.path().join("main/words/meta.json");
    let json = std::fs::read_to_string(&meta).unwrap();
    let old = json.replace(r#"\"analysis\":2,"#, "");
    assert_ne!(json, old);
    std::fs::write(&meta, old).unwrap();
    let index = open(&dir.path().join("main"));
    assert!(index.snapshot().words_are_outdated());
    let found = lexical(&index.snapshot(), "Mueller", None);
    assert!(!found.is_empty(), "until then it can be searched");
    let mut writer = writer(&index);
    let after = index.snapshot();
    assert!(!after.words_are_outdated());
    assert_eq!(after.generation(), before.generation() + 1);
    assert_eq!(after.chunk_count(), before.chunk_count());
    assert_eq!(after.document_count(), before.document_count());
    for chunk in (0..after.chunk_count() as u32).map(ChunkRef) {
        let (old, new) = (before.chunk(chunk).unwrap(), after.chunk(chunk).unwrap());
        assert_eq!((old.chunk_id, old.chunk), (new.chunk_id, new.chunk));
        assert_eq!(before.vector(chunk).unwrap(), after.vector(chunk).unwrap());
    }
    for question in [
        "greased in the manual of 2024",
        "Mueller",
        "Kapitän",
        "winches",
    ] {
        assert_eq!(
            lexical(&before, question, None),
            lexical(&after, question, None),
            "{question}"
        );
    }
    // Rows are still known by their hash: nothing is embedded again.
    let same = document(
        "other",
        "Winches",
        "A winch pulls ropes; greased or not.",
        &[],
    );
    let report = writer.put(vec![(same, None)], &Cancel::never()).unwrap();
    assert_eq!((report[0].embedded, report[0].reused), (0, 1));
    drop(writer);
    let (old, _) = (index.snapshot().generation(), self::writer(&index));
    assert_eq!(index.snapshot().generation(), old, "once is enough");
}
