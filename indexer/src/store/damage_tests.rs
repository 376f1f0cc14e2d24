//! Damaged, lost and foreign files: clear errors, never a panic or an answer
//! from half an index.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_models::Cancel;
use cairn_models::testing::HashEmbedder;

use crate::store::doctor::{Severity, check};
use crate::{Access, Document, ErrorKind, Index, IndexSettings, Result};

fn settings() -> IndexSettings {
    IndexSettings {
        chunk_tokens: 32,
        chunk_overlap: 6,
        ..IndexSettings::default()
    }
}

/// A collection of several documents and segments.
fn build(dir: &Path) {
    let index = Index::open(dir, settings()).unwrap();
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    for n in 0..3 {
        let text: String = (0..300)
            .map(|word| format!("word{} ", word * (n + 1)))
            .collect();
        let document = Document {
            uri: format!("d{n}"),
            title: "T".into(),
            text,
            ..Document::default()
        };
        writer
            .put(vec![(document, None)], &Cancel::never())
            .unwrap();
        writer.commit().unwrap();
    }
}

/// Opens the collection and reads everything that is in it.
fn read_all(dir: &Path) -> Result<usize> {
    let snapshot = Index::open(dir, settings())?.snapshot();
    let documents = snapshot.documents(0, 100, &Access::All)?;
    for document in &documents {
        snapshot.document_text(document.id, &Access::All)?;
    }
    Ok(documents.len())
}

fn files(dir: &Path, below: &str, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join(below))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

#[test]
fn a_sound_collection_has_no_findings() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        check(&dir.path().join("none")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let empty = check(dir.path()).unwrap();
    assert!(
        empty.is_healthy()
            && empty.findings[0]
                .what
                .contains("nothing has been committed")
    );
    build(dir.path());
    let diagnosis = check(dir.path()).unwrap();
    assert!(diagnosis.findings.is_empty(), "{:?}", diagnosis.findings);
    assert_eq!((diagnosis.generation, diagnosis.documents), (3, 3));
    assert!(diagnosis.chunks > 20);

    let index = Index::open(dir.path(), settings()).unwrap();
    let _writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    fs::write(dir.path().join("vectors/left-over.vec"), "x").unwrap();
    let diagnosis = check(dir.path()).unwrap();
    assert!(diagnosis.is_healthy());
    let notes: Vec<_> = diagnosis
        .findings
        .iter()
        .map(|finding| finding.what.as_str())
        .collect();
    assert!(
        notes[0].contains(&format!("process {}", std::process::id())),
        "{notes:?}"
    );
    assert!(notes[1].contains("belong to no commit"), "{notes:?}");
    // The next writer removes what a crash has left.
    drop(_writer);
    drop(index.writer(Arc::new(HashEmbedder)).unwrap());
    assert!(check(dir.path()).unwrap().findings.is_empty());
}

#[test]
fn cut_off_files_are_named() {
    for (below, extension) in [
        ("vectors", "vec"),
        ("words", "fast"),
        ("words", "store"),
        ("words", "idx"),
        ("words", "term"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        build(dir.path());
        let file = files(dir.path(), below, extension).remove(0);
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        let error = read_all(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("cairn doctor"), "{error}");
        assert_eq!(error.path(), Some(file.as_path()), "{error}");
        let diagnosis = check(dir.path()).unwrap();
        let bad = diagnosis
            .findings
            .iter()
            .find(|finding| finding.severity == Severity::Error);
        assert_eq!(bad.unwrap().file.as_deref(), Some(file.as_path()));
    }
}

#[test]
fn lost_files_are_named() {
    for (below, extension) in [("vectors", "vec"), ("words", "store"), ("words", "fast")] {
        let dir = tempfile::tempdir().unwrap();
        build(dir.path());
        let file = files(dir.path(), below, extension).remove(0);
        fs::remove_file(&file).unwrap();
        let error = read_all(dir.path()).unwrap_err();
        assert_eq!(
            (error.kind(), error.path()),
            (ErrorKind::Corrupt, Some(file.as_path())),
            "{error}"
        );
        assert!(!check(dir.path()).unwrap().is_healthy());
    }
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    fs::remove_file(dir.path().join("words/meta.json")).unwrap();
    let diagnosis = check(dir.path()).unwrap();
    assert!(
        diagnosis.findings[0]
            .what
            .contains("last commit is missing")
    );
}

#[test]
fn every_flipped_byte_is_noticed_by_the_doctor_and_none_panics() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    for (below, extension) in [
        ("vectors", "vec"),
        ("words", "fast"),
        ("words", "store"),
        ("words", "idx"),
    ] {
        let file = files(dir.path(), below, extension).remove(0);
        let sound = fs::read(&file).unwrap();
        for part in 0..8 {
            let mut bytes = sound.clone();
            let at = part * (bytes.len() - 1) / 7;
            bytes[at] ^= 0x55;
            fs::write(&file, &bytes).unwrap();
            let outcome = std::panic::catch_unwind(|| Index::open(dir.path(), settings()).is_ok());
            assert!(
                outcome.is_ok(),
                "opening panics: {}, byte {at}",
                file.display()
            );
            let diagnosis = check(dir.path()).unwrap();
            assert!(
                !diagnosis.is_healthy(),
                "{}, byte {at} of {}",
                file.display(),
                bytes.len()
            );
        }
        fs::write(&file, &sound).unwrap();
        assert!(check(dir.path()).unwrap().findings.is_empty());
    }
}

#[test]
fn a_broken_or_foreign_description_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let meta = dir.path().join("words/meta.json");
    let sound = fs::read_to_string(&meta).unwrap();
    for (from, to, kind) in [
        ("\\\"format\\\":1", "\\\"format\\\":99", ErrorKind::Mismatch),
        (
            "\\\"generation\\\"",
            "\\\"generazione\\\"",
            ErrorKind::Corrupt,
        ),
        ("\"segments\"", "\"pieces\"", ErrorKind::Corrupt),
        ("{", "", ErrorKind::Corrupt),
    ] {
        assert!(sound.contains(from));
        fs::write(&meta, sound.replacen(from, to, 1)).unwrap();
        let error = read_all(dir.path()).unwrap_err();
        assert_eq!(error.kind(), kind, "{to}: {error}");
        assert!(!check(dir.path()).unwrap().is_healthy(), "{to}");
    }
    fs::write(&meta, &sound).unwrap();
    assert_eq!(read_all(dir.path()).unwrap(), 3);
}

#[test]
fn a_collection_that_was_made_anew_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("main");
    build(&place);
    let index = Index::open(&place, settings()).unwrap();
    fs::remove_dir_all(&place).unwrap();
    build(&place);
    assert_eq!(index.snapshot().generation(), 3);
    assert!(index.refresh().unwrap());
    assert!(!index.refresh().unwrap());
}
