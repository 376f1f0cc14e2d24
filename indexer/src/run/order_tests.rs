//! Two orders that lose documents where they are wrong, whenever a run ends early: the hash of a
//! file is recorded by the commit that holds its chunks, and the old version goes in the commit
//! that brings the new one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cairn_models::testing::{HashEmbedder, WatchedEmbedder};
use cairn_models::{Cancel, Embedder};
use proptest::prelude::*;

use super::*;
use crate::{Access, DocumentId, Index, IndexSettings};

/// Cancels, or fails, at its call number `at`.
fn ending(at: usize, fails: bool, cancel: Cancel) -> Arc<dyn Embedder> {
    let calls = AtomicUsize::new(0);
    Arc::new(WatchedEmbedder(move |_: &[&str]| {
        if calls.fetch_add(1, Ordering::SeqCst) != at {
            return Ok(());
        }
        if fails {
            let own = Cancel::default();
            own.cancel();
            return own.check();
        }
        cancel.cancel();
        Ok(())
    }))
}

fn open(dir: &Path) -> Index {
    let settings = IndexSettings {
        chunk_tokens: 500,
        chunk_overlap: 0,
        ..IndexSettings::default()
    };
    Index::open(&dir.join("data"), settings).unwrap()
}

fn text(file: usize, version: usize) -> String {
    // Long enough that a batch holds a few of them.
    format!("File {file} has version {version}. ").repeat(6000)
}

fn write(docs: &Path, file: usize, version: usize) {
    fs::write(docs.join(format!("{file}.txt")), text(file, version)).unwrap();
}

fn run(docs: &Path, index: &Index, embedder: Arc<dyn Embedder>, cancel: &Cancel) -> RunReport {
    let options = RunOptions {
        // Every batch is a commit.
        commit_interval: Duration::ZERO,
        ..RunOptions::default()
    };
    index_paths(&[docs.to_owned()], index, embedder, &options, &(), cancel).unwrap()
}

/// The version of each file that the collection holds, whole, with the hash of it.
fn versions(dir: &Path, files: usize) -> Vec<usize> {
    let index = open(dir);
    let snapshot = index.snapshot();
    let version = |file: usize| {
        let id = DocumentId::of_uri(&format!("docs/{file}.txt"));
        let stored = snapshot.document_text(id, &Access::All).unwrap();
        let stored = stored.unwrap_or_else(|| panic!("file {file} is lost"));
        let found = (0..2).find(|version| stored.trim() == text(file, *version).trim());
        let version = found.unwrap_or_else(|| panic!("file {file} is a mixture"));
        let (fingerprint, _) = snapshot.file(id).unwrap();
        let hash = blake3::hash(text(file, version).as_bytes());
        assert_eq!(fingerprint.hash, hash.to_hex().as_str(), "file {file}");
        version
    };
    (0..files).map(version).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_run_that_ends_early_leaves_each_file_old_or_new(
        changed in proptest::collection::btree_set(0..9_usize, 1..9),
        at in 0..6_usize,
        fails in any::<bool>(),
    ) {
        let changed: BTreeSet<usize> = changed;
        let dir = tempfile::tempdir().unwrap();
        let docs = dir.path().join("docs");
        fs::create_dir(&docs).unwrap();
        (0..9).for_each(|file| write(&docs, file, 0));
        let index = open(dir.path());
        run(&docs, &index, Arc::new(HashEmbedder), &Cancel::never());
        prop_assert_eq!(versions(dir.path(), 9), vec![0; 9]);

        changed.iter().for_each(|file| write(&docs, *file, 1));
        let cancel = Cancel::default();
        let report = run(&docs, &index, ending(at, fails, cancel.clone()), &cancel);
        let after = versions(dir.path(), 9);
        let new = after.iter().filter(|version| **version == 1).count();
        prop_assert!(new >= report.updated && new <= changed.len(), "{:?}", after);

        // What was left is done by the next run, and only that.
        let report = run(&docs, &index, Arc::new(HashEmbedder), &Cancel::never());
        prop_assert_eq!(report.updated, changed.len() - new);
        let expected: Vec<usize> = (0..9).map(|file| usize::from(changed.contains(&file))).collect();
        prop_assert_eq!(versions(dir.path(), 9), expected);
    }
}
