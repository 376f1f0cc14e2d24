//! What follows from the rest of a collection, damaged and made again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cairn_models::Cancel;

use super::repair_derived;
use crate::doctor::{self, Finding, Severity};
use crate::store::directory::MANAGED_FILE;
use crate::store::index::{STATES_DIR, WORDS_DIR};
use crate::store::tests::writer;
use crate::{Document, Index, IndexSettings};

/// A collection of three documents whose states are stored in one file.
fn build(dir: &Path) -> Index {
    let index = Index::open(dir, IndexSettings::default()).unwrap();
    for n in 0..3 {
        let mut writer = writer(&index);
        let document = Document {
            uri: format!("d{n}"),
            text: format!("the stone number {n}"),
            ..Document::default()
        };
        writer
            .put(vec![(document, None)], &Cancel::never())
            .unwrap();
        writer.commit().unwrap();
    }
    read_ahead(&index, 3);
    index
}

/// Stores states of the first `most` chunks.
fn read_ahead(index: &Index, most: usize) {
    let snapshot = index.snapshot();
    let states = index.states(&snapshot, "model").unwrap();
    let ids = snapshot.by_vector_id().into_iter().take(most);
    let rows: BTreeMap<u64, Vec<u8>> = ids.map(|(id, _)| (id, vec![7; 40])).collect();
    states
        .writer()
        .unwrap()
        .unwrap()
        .add(rows, &|_| true)
        .unwrap();
}

fn states_files(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join(STATES_DIR)).unwrap();
    let files = files.map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "states"))
        .collect()
}

/// Doctor's findings about the collection that need no action.
fn notes(dir: &Path) -> Vec<String> {
    let findings = doctor::check(dir).unwrap().findings.into_iter();
    findings
        .filter(|finding| finding.severity == Severity::Note)
        .map(|finding| finding.what)
        .collect()
}

/// What doctor says of the collection, in which nothing is lost.
fn found(dir: &Path) -> Vec<Finding> {
    let diagnosis = doctor::check(dir).unwrap();
    assert!(diagnosis.is_healthy(), "{diagnosis:?}");
    let findings = diagnosis.findings.into_iter();
    findings
        .filter(|finding| finding.severity > Severity::Note)
        .collect()
}

#[test]
fn damaged_states_are_told_and_removed() {
    let place = tempfile::tempdir().unwrap();
    let index = build(place.path());
    assert!(found(place.path()).is_empty());
    let file = states_files(place.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    // Words, whose it is, a table, a row, and the end.
    for at in [0, 20, 140, whole.len() - 1, whole.len()] {
        let mut bytes = whole.clone();
        match bytes.get_mut(at) {
            Some(byte) => *byte ^= 1,
            None => bytes.truncate(at / 2),
        }
        fs::write(&file, bytes).unwrap();
        let said = found(place.path());
        assert_eq!(said.len(), 1, "{at}: {said:?}");
        assert_eq!(said[0].severity, Severity::Warning);
        assert!(said[0].what.contains("re-ranker"), "{said:?}");
        let derived = repair_derived(place.path(), &Cancel::never()).unwrap();
        assert_eq!(derived.states, std::slice::from_ref(&file), "{at}");
        assert!(!file.exists() && derived.list.is_none());
        fs::write(&file, &whole).unwrap();
    }
    // One that is lost is told too, and a list that cannot be read.
    index.states(&index.snapshot(), "model").unwrap().refresh();
    read_ahead(&index, 3);
    fs::remove_file(&file).unwrap();
    let said = found(place.path());
    assert!(
        said.len() == 1 && said[0].what.contains("missing"),
        "{said:?}"
    );
    assert_eq!(said[0].file.as_ref(), Some(&file));
    let list = file.with_file_name("files.json");
    for damage in ["", "{\"files\":[", "[]"] {
        fs::write(&list, damage).unwrap();
        let said = found(place.path());
        assert_eq!(said.len(), 1, "{damage:?}: {said:?}");
        assert_eq!(said[0].file.as_ref(), Some(&list), "{damage:?}");
    }
    let derived = repair_derived(place.path(), &Cancel::never()).unwrap();
    assert_eq!(derived.states, [list]);
    assert!(found(place.path()).is_empty());
    // A reader that has the collection open reads them again.
    index.states(&index.snapshot(), "model").unwrap().refresh();
    read_ahead(&index, 3);
    assert_eq!(states_files(place.path()), [file]);
    assert!(found(place.path()).is_empty() && notes(place.path()).is_empty());
}

#[test]
fn passages_that_were_not_read_yet_are_no_fault() {
    let place = tempfile::tempdir().unwrap();
    let index = build(place.path());
    fs::remove_dir_all(place.path().join(STATES_DIR)).unwrap();
    index.states(&index.snapshot(), "model").unwrap().refresh();
    read_ahead(&index, 2);
    assert!(found(place.path()).is_empty());
    let said = notes(place.path());
    assert!(
        said.len() == 1 && said[0].contains("1 of 3 chunks"),
        "{said:?}"
    );
    // Whoever reads them now is not told.
    let states = index.states(&index.snapshot(), "model").unwrap();
    let writer = states.writer().unwrap();
    assert!(notes(place.path()).is_empty());
    drop(writer);
    assert_eq!(notes(place.path()).len(), 1);
}

#[test]
fn a_list_of_files_that_is_damaged_or_missing_is_told_and_written_again() {
    let place = tempfile::tempdir().unwrap();
    build(place.path());
    let list = place.path().join(WORDS_DIR).join(MANAGED_FILE);
    let whole = fs::read_to_string(&list).unwrap();
    let store = whole.find(".store").unwrap();
    let renamed = format!("{}x{}", &whole[..store - 1], &whole[store..]);
    for damage in [Some("[\"a"), Some(""), Some("{}"), Some(&renamed[..]), None] {
        match damage {
            Some(damage) => fs::write(&list, damage).unwrap(),
            None => fs::remove_file(&list).unwrap(),
        }
        let said = found(place.path());
        assert_eq!(said.len(), 1, "{damage:?}: {said:?}");
        assert_eq!(said[0].file.as_ref(), Some(&list), "{damage:?}");
        let derived = repair_derived(place.path(), &Cancel::never()).unwrap();
        assert_eq!(derived.list.as_ref(), Some(&list), "{damage:?}");
        assert!(found(place.path()).is_empty(), "{damage:?}");
    }
    // Whoever writes next goes on with it.
    build(place.path());
    assert!(found(place.path()).is_empty());
}
