//! What a run would do, and doing it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use cairn_models::Cancel;
use cairn_models::testing::HashEmbedder;

use super::*;
use crate::{Access, Index, IndexSettings, SkipReason};

fn options(remove_most: bool) -> RunOptions {
    RunOptions {
        remove_most,
        ..RunOptions::default()
    }
}

fn index(dir: &Path, docs: &Path, options: &RunOptions) -> (Index, RunReport) {
    let index = Index::open(&dir.join("data"), IndexSettings::default()).unwrap();
    let roots = [docs.to_owned()];
    let (embedder, cancel) = (Arc::new(HashEmbedder), Cancel::never());
    let report = index_paths(&roots, &index, embedder, options, &(), &cancel).unwrap();
    (index, report)
}

fn plan(index: &Index, docs: &Path, options: &RunOptions) -> Manifest {
    plan_paths(&[docs.to_owned()], index, options, &Cancel::never()).unwrap()
}

/// What becomes of which file, by its name.
fn said(manifest: &Manifest) -> Vec<(Action, &str)> {
    let sums = manifest.sums.values().map(|sum| sum.files);
    assert_eq!(manifest.entries.len(), sums.sum::<usize>());
    let entries = manifest.entries.iter();
    let mut said: Vec<_> = entries
        .map(|entry| {
            let whole = entry
                .uri
                .as_deref()
                .or(entry.path.as_deref())
                .unwrap_or_default();
            (entry.action, whole.rsplit('/').next().unwrap_or(whole))
        })
        .collect();
    said.sort();
    said
}

fn uris(index: &Index) -> Vec<String> {
    index.refresh().unwrap();
    let documents = index.snapshot().documents(0, 100, &Access::All).unwrap();
    documents.into_iter().map(|document| document.uri).collect()
}

#[test]
fn a_plan_says_what_the_run_then_does_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let docs = dir.path().join("docs");
    fs::create_dir(&docs).unwrap();
    let write = |name: &str, text: &str| fs::write(docs.join(name), text).unwrap();
    for name in ["same.md", "changed.md", "gone.md", "other.md"] {
        write(name, &format!("# {name}\n\nThe text of {name}."));
    }
    let (collection, _) = index(dir.path(), &docs, &options(false));
    let before = collection.snapshot().generation();
    write("changed.md", "# Changed\n\nAnother text.");
    write("new.md", "# New\n\nA new text.");
    write("empty.md", "");
    fs::remove_file(docs.join("gone.md")).unwrap();
    let manifest = plan(&collection, &docs, &options(false));
    assert_eq!(
        said(&manifest),
        [
            (Action::Add, "new.md"),
            (Action::Change, "changed.md"),
            (Action::Remove, "gone.md"),
            (Action::Skip, "empty.md"),
        ]
    );
    assert_eq!((manifest.unchanged.files, manifest.generation), (2, before));
    assert_eq!(
        manifest.sums[&Action::Add].bytes,
        "# New\n\nA new text.".len() as u64
    );
    let skipped = manifest
        .entries
        .iter()
        .find(|entry| entry.action == Action::Skip);
    assert_eq!(
        skipped.unwrap().reason.as_deref(),
        Some("the file is empty")
    );
    collection.refresh().unwrap();
    assert_eq!(collection.snapshot().generation(), before);

    let (_, report) = index(dir.path(), &docs, &options(false));
    assert_eq!(
        (
            report.added,
            report.updated,
            report.deleted,
            report.unchanged
        ),
        (1, 1, 1, 2)
    );
    assert_eq!(report.skipped[&SkipReason::Empty], 1);
    // Nothing is left to do.
    let manifest = plan(&collection, &docs, &options(false));
    assert_eq!(said(&manifest), [(Action::Skip, "empty.md")]);
    assert_eq!(manifest.unchanged.files, 4);
}

#[test]
fn a_manifest_is_done_as_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let docs = dir.path().join("docs");
    fs::create_dir(&docs).unwrap();
    let write = |name: &str, text: &str| fs::write(docs.join(name), text).unwrap();
    write("a.md", "# A\n\nText a.");
    write("b.md", "# B\n\nText b.");
    write("c.md", "# C\n\nText c.");
    let (collection, _) = index(dir.path(), &docs, &options(false));
    for name in ["a.md", "b.md"] {
        fs::remove_file(docs.join(name)).unwrap();
    }
    // Most of it is gone: kept, unless somebody says otherwise.
    let kept = plan(&collection, &docs, &options(false));
    assert_eq!(
        said(&kept),
        [(Action::Keep, "a.md"), (Action::Keep, "b.md")]
    );
    write("new.md", "# New\n\nText.");
    write("late.md", "# Late\n\nText.");
    write("lost.md", "# Lost\n\nText.");
    let manifest = plan(&collection, &docs, &options(true));
    let file = dir.path().join("plan.json");
    fs::write(&file, serde_json::to_vec(&manifest).unwrap()).unwrap();
    let manifest = Manifest::read(&file).unwrap();

    // What happens after the look is not a part of it.
    write("late.md", "# Late\n\nAnother text.");
    write("c.md", "# C\n\nAnother text.");
    write("after.md", "# After\n\nText.");
    write("b.md", "# B\n\nText b is back.");
    fs::remove_file(docs.join("lost.md")).unwrap();
    let replay = RunOptions {
        manifest: Some(Arc::new(manifest)),
        ..options(false)
    };
    let (collection, report) = index(dir.path(), &docs, &replay);
    assert_eq!(
        (report.added, report.updated, report.deleted),
        (1, 0, 1),
        "{report:?}"
    );
    let failed: Vec<_> = report
        .failed
        .iter()
        .map(|failure| &failure.message)
        .collect();
    assert!(
        failed
            .iter()
            .any(|message| message.contains("changed since")),
        "{failed:?}"
    );
    assert!(
        failed
            .iter()
            .any(|message| message.contains("not there any more")),
        "{failed:?}"
    );
    assert_eq!(uris(&collection), ["docs/b.md", "docs/c.md", "docs/new.md"]);

    for bad in ["{}", "nonsense", r#"{"format": 2}"#] {
        fs::write(&file, bad).unwrap();
        assert_eq!(
            Manifest::read(&file).unwrap_err().kind(),
            crate::ErrorKind::InvalidInput
        );
    }
}
