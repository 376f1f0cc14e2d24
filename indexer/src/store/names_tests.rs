use std::path::Path;

use cairn_models::Cancel;

use super::super::tests::writer;
use crate::{Access, Document, Index, IndexSettings, Snapshot};

fn put(dir: &Path, documents: &[(&str, &str, &str)]) -> Index {
    let index = Index::open(dir, IndexSettings::default()).unwrap();
    let mut writer = writer(&index);
    let documents = documents.iter().map(|&(uri, title, label)| {
        let labels = label.split_whitespace().map(str::to_owned).collect();
        let document = Document {
            uri: uri.into(),
            title: title.into(),
            text: format!("The text of {uri}."),
            labels,
            ..Document::default()
        };
        (document, None)
    });
    writer.put(documents.collect(), &Cancel::never()).unwrap();
    writer.commit().unwrap();
    index
}

/// What of `text` mentions which documents.
fn mentions(snapshot: &Snapshot, text: &str, access: &Access) -> Vec<(String, String)> {
    let within = snapshot.select(None, access).unwrap();
    let mentions = snapshot.mentions(text, within.as_ref()).into_iter();
    let named = mentions.map(|mention| {
        let chunk = mention.chunks().next().unwrap();
        assert!(mention.holds(chunk));
        let uri = snapshot.chunk(chunk).unwrap().uri;
        (text[mention.span].to_owned(), uri)
    });
    named.collect()
}

fn uris(snapshot: &Snapshot, text: &str, access: &Access) -> Vec<String> {
    let mentions = mentions(snapshot, text, access).into_iter();
    mentions.map(|(_, uri)| uri).collect()
}

#[test]
fn titles_are_found_as_whole_words_and_the_longest_counts() {
    let dir = tempfile::tempdir().unwrap();
    let titles = [
        ("1", "New York", ""),
        ("2", "New York Times (newspaper)", ""),
        ("3", "Toto", ""),
        ("4", "Rio", ""),
        ("5", "the writer lock", ""),
        ("6", "Ada of Normandy, the Countess", ""),
        ("7", "東京タワー", ""),
    ];
    let index = put(&dir.path().join("main"), &titles);
    let snapshot = index.snapshot();
    let uris = |text: &str| uris(&snapshot, text, &Access::All);
    for (text, expected) in [
        ("He wrote for the New York Times.", vec!["2"]),
        ("He left New York, for the Times.", vec!["1"]),
        ("New\nYork and Toto", vec!["1", "3"]),
        // Part of a word, a word that is not a name, a name that is too short.
        ("New Yorkers", vec![]),
        ("toto", vec![]),
        ("Rio", vec![]),
        ("a new york minute", vec![]),
        ("The writer lock is held.", vec!["5"]),
        ("Ada of Normandy (the Countess)", vec!["6"]),
        ("東京タワー", vec!["7"]),
        ("", vec![]),
    ] {
        assert_eq!(uris(text), expected, "{text}");
    }
    let found = mentions(&snapshot, "In the New York Times", &Access::All);
    assert_eq!(found[0].0, "New York Times");
    let empty = Index::open(&dir.path().join("empty"), IndexSettings::default()).unwrap();
    assert_eq!(empty.snapshot().mentions("New York", None), []);
}

#[test]
fn files_without_a_title_have_the_name_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let titles = [
        ("docs/setup.md", "", ""),
        ("docs/first-steps.md", "first-steps", ""),
        ("docs/README.md", "The handbook", ""),
    ];
    let index = put(&dir.path().join("main"), &titles);
    let snapshot = index.snapshot();
    let uris = |text: &str| uris(&snapshot, text, &Access::All);
    assert_eq!(uris("see ../docs/setup.md"), ["docs/setup.md"]);
    assert_eq!(uris("the setup of it"), Vec::<String>::new());
    assert_eq!(uris("Take the first steps."), ["docs/first-steps.md"]);
    assert_eq!(uris("README.md"), Vec::<String>::new());
    assert_eq!(uris("in The Handbook"), ["docs/README.md"]);
}

#[test]
fn what_many_documents_are_called_is_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let titles = [
        ("1", "Release Notes", ""),
        ("2", "Release Notes", ""),
        ("3", "Release Notes", ""),
        ("4", "Release Notes", "board"),
        ("5", "Release", ""),
    ];
    let index = put(&dir.path().join("main"), &titles);
    let snapshot = index.snapshot();
    let text = "As the Release Notes say";
    assert_eq!(uris(&snapshot, text, &Access::All), ["5"]);
    // Whoever does not see the fourth is told what there would be without it.
    let reader = Access::Labels(Default::default());
    let mut seen = uris(&snapshot, text, &reader);
    seen.sort();
    assert_eq!(seen, ["1", "2", "3"]);
}

#[test]
fn hidden_documents_are_as_if_they_were_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let all = [
        ("1", "Grand Harbour", ""),
        ("2", "Grand Harbour Ferry Company", "board"),
        ("3", "Ferry Company", ""),
    ];
    let seen = [all[0], all[2]];
    let (with, without) = (
        put(&dir.path().join("with"), &all),
        put(&dir.path().join("without"), &seen),
    );
    let reader = Access::Labels(Default::default());
    let text = "The Grand Harbour Ferry Company sails. The Ferry Company does not.";
    let expected = mentions(&without.snapshot(), text, &reader);
    assert_eq!(expected.len(), 3);
    assert_eq!(mentions(&with.snapshot(), text, &reader), expected);
    assert_eq!(uris(&with.snapshot(), text, &Access::All), ["2", "3"]);
}
