//! Runs over real folders with the hash embedder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use cairn_models::testing::{HashEmbedder, WatchedEmbedder};
use cairn_models::{Cancel, Embedder};

use super::*;
use crate::{Access, Bm25, DocumentId, ErrorKind, IndexSettings, ParseLimits};

struct Place {
    dir: tempfile::TempDir,
    index: Index,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = IndexSettings {
            chunk_tokens: 64,
            chunk_overlap: 8,
            ..IndexSettings::default()
        };
        let index = Index::open(&dir.path().join("data"), settings).unwrap();
        Self { dir, index }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        // Old enough not to be compared by contents.
        age(&path, 3600);
    }

    fn run(&self, roots: &[&str]) -> RunReport {
        self.run_with(roots, &RunOptions::default())
    }

    fn run_with(&self, roots: &[&str], options: &RunOptions) -> RunReport {
        let roots: Vec<_> = roots.iter().map(|root| self.path(root)).collect();
        let cancel = Cancel::never();
        index_paths(
            &roots,
            &self.index,
            Arc::new(HashEmbedder),
            options,
            &(),
            &cancel,
        )
        .unwrap()
    }

    fn uris(&self) -> Vec<String> {
        let documents = self
            .index
            .snapshot()
            .documents(0, 100, &Access::All)
            .unwrap();
        documents.into_iter().map(|document| document.uri).collect()
    }

    fn text(&self, uri: &str) -> String {
        let id = DocumentId::of_uri(uri);
        self.index
            .snapshot()
            .document_text(id, &Access::All)
            .unwrap()
            .unwrap()
    }
}

fn age(path: &Path, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

fn counts(report: &RunReport) -> [usize; 4] {
    [
        report.added,
        report.updated,
        report.unchanged,
        report.deleted,
    ]
}

fn long(word: &str) -> String {
    (0..200)
        .map(|n| format!("{word} number {n} is here. "))
        .collect()
}

#[test]
fn a_second_run_does_nothing_and_changes_are_followed() {
    let place = Place::new();
    place.write("docs/a.md", &format!("# Alpha\n\n{}", long("fox")));
    place.write("docs/sub/b.txt", &long("owl"));
    place.write("docs/c.txt", "short");
    place.write("docs/picture.png", "\u{89}PNG");
    let first = place.run(&["docs"]);
    assert_eq!(counts(&first), [3, 0, 0, 0]);
    assert_eq!((first.files, first.generation), (3, 1));
    assert!(first.embedded > 20 && first.embedded == first.chunks);
    assert!(first.failed.is_empty() && !first.cancelled);
    assert_eq!(place.uris(), ["docs/a.md", "docs/c.txt", "docs/sub/b.txt"]);

    let second = place.run(&["docs"]);
    assert_eq!(counts(&second), [0, 0, 3, 0]);
    assert_eq!((second.embedded, second.generation), (0, 1));

    // One paragraph changes: its chunks are embedded, not the others.
    let text = fs::read_to_string(place.path("docs/sub/b.txt")).unwrap();
    place.write(
        "docs/sub/b.txt",
        &text.replace("number 77 is", "number 77 was"),
    );
    age(&place.path("docs/sub/b.txt"), 1800);
    // A touched file with the same contents is unchanged.
    age(&place.path("docs/a.md"), 60);
    fs::remove_file(place.path("docs/c.txt")).unwrap();
    let third = place.run(&["docs"]);
    assert_eq!(counts(&third), [0, 1, 1, 1]);
    assert!((1..=2).contains(&third.embedded), "{third:?}");
    assert_eq!(place.uris(), ["docs/a.md", "docs/sub/b.txt"]);
    assert!(place.text("docs/sub/b.txt").contains("77 was"));

    // A moved file has another URI and the same chunks.
    fs::rename(place.path("docs/a.md"), place.path("docs/moved.md")).unwrap();
    let fourth = place.run(&["docs"]);
    assert_eq!(counts(&fourth), [1, 0, 1, 1]);
    assert_eq!(fourth.embedded, 0);
}

#[test]
fn a_file_that_changes_within_a_moment_is_not_missed() {
    let place = Place::new();
    place.write("docs/a.txt", "before");
    let time = SystemTime::now();
    let stamp = |path: &Path| {
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
    };
    stamp(&place.path("docs/a.txt")).unwrap();
    place.run(&["docs"]);
    // The same size and the same time.
    fs::write(place.path("docs/a.txt"), "behind").unwrap();
    stamp(&place.path("docs/a.txt")).unwrap();
    assert_eq!(counts(&place.run(&["docs"])), [0, 1, 0, 0]);
    assert_eq!(place.text("docs/a.txt"), "behind");
}

#[test]
fn roots_keep_to_their_own_documents() {
    let place = Place::new();
    place.write("one/docs/a.txt", "alpha");
    place.write("two/docs/b.txt", "beta");
    place.write("notes.txt", "gamma");
    place.run(&["one/docs"]);
    place.run(&["two/docs", "notes.txt"]);
    assert_eq!(place.uris(), ["docs-2/b.txt", "docs/a.txt", "notes.txt"]);
    // A document that was put by hand under such a name is not touched.
    let mut writer = place.index.writer(Arc::new(HashEmbedder)).unwrap();
    let by_hand = crate::Document {
        uri: "docs/by-hand".into(),
        text: "delta".into(),
        ..crate::Document::default()
    };
    writer.put(vec![(by_hand, None)], &Cancel::never()).unwrap();
    writer.commit().unwrap();
    drop(writer);
    assert_eq!(counts(&place.run(&["one/docs"])), [0, 0, 1, 0]);
    assert_eq!(place.uris().len(), 4);
    fs::remove_file(place.path("one/docs/a.txt")).unwrap();
    assert_eq!(counts(&place.run(&["one/docs"])), [0, 0, 0, 1]);
    assert_eq!(place.uris(), ["docs-2/b.txt", "docs/by-hand", "notes.txt"]);
    // A folder around known ones takes their place, without embedding.
    let report = place.run(&["two"]);
    assert_eq!((counts(&report), report.embedded), ([1, 0, 0, 1], 0));
    assert_eq!(
        place.uris(),
        ["docs/by-hand", "notes.txt", "two/docs/b.txt"]
    );
    // A part of a known folder is updated alone.
    place.write("two/docs/new.txt", "epsilon");
    place.write("two/other.txt", "zeta");
    assert_eq!(counts(&place.run(&["two/docs/new.txt"])), [1, 0, 0, 0]);
    assert_eq!(place.uris().len(), 4);
    let missing = index_paths(
        &[place.path("nowhere")],
        &place.index,
        Arc::new(HashEmbedder),
        &RunOptions::default(),
        &(),
        &Cancel::never(),
    );
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn bad_files_are_reported_and_do_not_stop_the_run() {
    let place = Place::new();
    place.write("docs/good.txt", "good");
    place.write("docs/broken.docx", "this is not a zip archive");
    place.write("docs/large.txt", &"x ".repeat(600));
    let limits = ParseLimits {
        max_bytes: 1000,
        ..ParseLimits::default()
    };
    let options = RunOptions {
        parser: limits.into(),
        ..RunOptions::default()
    };
    let first = place.run_with(&["docs"], &options);
    assert_eq!(counts(&first), [1, 0, 0, 0]);
    let mut failed: Vec<_> = first
        .failed
        .iter()
        .map(|f| (f.path.rsplit('/').next().unwrap(), f.kind))
        .collect();
    failed.sort_by_key(|(name, _)| *name);
    assert_eq!(failed[0].0, "broken.docx");
    assert_eq!(failed[1], ("large.txt", ErrorKind::TooLarge));
    // Not tried again, but still reported.
    let mut again = place.run_with(&["docs"], &options).failed;
    let mut before = first.failed.clone();
    again.sort_by(|a, b| a.path.cmp(&b.path));
    before.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(again, before);
    // A good file that turns bad takes its document with it; fixed, it is back.
    place.write("docs/good.docx", "also not a zip archive");
    fs::rename(place.path("docs/good.docx"), place.path("docs/good.txt")).unwrap();
    fs::write(place.path("docs/good.txt"), [0_u8, 1, 2, 255, 0, 0, 7]).unwrap();
    let bad = place.run_with(&["docs"], &options);
    assert_eq!(counts(&bad), [0, 0, 0, 1], "{bad:?}");
    place.write("docs/good.txt", "good again");
    place.write("docs/broken.docx", "");
    let fixed = place.run_with(&["docs"], &options);
    assert_eq!(counts(&fixed), [1, 0, 0, 0]);
    assert_eq!(fixed.failed.len(), 1);
}

#[test]
fn other_labels_make_the_documents_anew_without_embedding() {
    let place = Place::new();
    place.write("docs/a.txt", "alpha");
    place.run(&["docs"]);
    let options = RunOptions {
        labels: BTreeSet::from(["team".to_owned()]),
        metadata: Metadata::from([("year".to_owned(), 2024.into())]),
        ..RunOptions::default()
    };
    let report = place.run_with(&["docs"], &options);
    assert_eq!((counts(&report), report.embedded), ([0, 1, 0, 0], 0));
    let snapshot = place.index.snapshot();
    let nobody = Access::Labels(BTreeSet::new());
    let id = DocumentId::of_uri("docs/a.txt");
    assert!(snapshot.document(id, &nobody).unwrap().is_none());
    let document = snapshot.document(id, &Access::All).unwrap().unwrap();
    assert_eq!(document.metadata["year"], 2024);
    assert_eq!(counts(&place.run_with(&["docs"], &options)), [0, 0, 1, 0]);
}

/// Fails on some texts, and cancels at its call number `calls`.
fn moody(cancel: Cancel, calls: usize) -> Arc<dyn Embedder> {
    let left = AtomicUsize::new(calls);
    Arc::new(WatchedEmbedder(move |texts: &[&str]| {
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            cancel.cancel();
        }
        if texts.iter().any(|text| text.contains("poison")) {
            let kind = cairn_models::ErrorKind::InvalidInput;
            return Err(cairn_models::Error::new(kind, "the model does not like it"));
        }
        Ok(())
    }))
}

#[test]
fn a_text_that_the_model_refuses_is_one_failure() {
    let place = Place::new();
    place.write("docs/a.txt", "alpha");
    place.write("docs/b.txt", "poison");
    place.write("docs/c.txt", "gamma");
    let moody = moody(Cancel::never(), usize::MAX);
    let report = index_paths(
        &[place.path("docs")],
        &place.index,
        moody,
        &RunOptions::default(),
        &(),
        &Cancel::never(),
    )
    .unwrap();
    assert_eq!(counts(&report), [2, 0, 0, 0]);
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].kind, ErrorKind::Model);
    // It may have been the model's fault, so the file is tried again.
    assert_eq!(counts(&place.run(&["docs"])), [1, 0, 2, 0]);
}

#[test]
fn cancelling_commits_what_is_whole() {
    let place = Place::new();
    for n in 0..400 {
        place.write(&format!("docs/{n:03}.txt"), &long(&format!("word{n}")));
    }
    let cancel = Cancel::never();
    let moody = moody(cancel.clone(), 15);
    let report = index_paths(
        &[place.path("docs")],
        &place.index,
        moody,
        &RunOptions::default(),
        &(),
        &cancel,
    )
    .unwrap();
    assert!(report.cancelled);
    assert!(report.added > 0 && report.added < 400, "{}", report.added);
    let snapshot = place.index.snapshot();
    assert_eq!(snapshot.document_count(), report.added);
    for document in snapshot.documents(0, 400, &Access::All).unwrap() {
        let text = snapshot
            .document_text(document.id, &Access::All)
            .unwrap()
            .unwrap();
        assert!(text.contains("number 199 is here"));
    }
    let rest = place.run(&["docs"]);
    assert_eq!(counts(&rest), [400 - report.added, 0, report.added, 0]);
}

#[test]
fn progress_ends_with_everything_done() {
    struct Last(std::sync::Mutex<RunState>);
    impl RunProgress for Last {
        fn update(&self, state: &RunState) {
            let mut last = self.0.lock().unwrap();
            assert!(state.files_done >= last.files_done && state.embedded >= last.embedded);
            *last = state.clone();
        }
    }
    let place = Place::new();
    for n in 0..20 {
        place.write(&format!("docs/{n}.txt"), &long("word"));
    }
    place.write("docs/bad.docx", "no");
    let last = Last(std::sync::Mutex::default());
    let report = index_paths(
        &[place.path("docs")],
        &place.index,
        Arc::new(HashEmbedder),
        &RunOptions::default(),
        &last,
        &Cancel::never(),
    )
    .unwrap();
    let state = last.0.into_inner().unwrap();
    assert_eq!(state.phase, Phase::Commit);
    assert_eq!(
        (state.files_done, state.files_total, state.failed),
        (21, 21, 1)
    );
    assert_eq!(state.bytes_done, state.bytes_total);
    assert_eq!(state.embedded, report.embedded);
    assert_eq!(state.embedded + state.reused, report.chunks);
}

#[test]
fn watching_follows_changes_and_ends_when_cancelled() {
    let place = Place::new();
    place.write("docs/a.txt", "alpha");
    let cancel = Cancel::never();
    let root = place.path("docs");
    let embedder: Arc<dyn Embedder> = Arc::new(HashEmbedder);
    let mut runs = 0;
    watch(
        std::slice::from_ref(&root),
        &place.index,
        &embedder,
        // The data folder may be  inside the folder that is watched.
        &RunOptions {
            exclude: vec![root.join(".cairn")],
            ..RunOptions::default()
        },
        &(),
        &cancel,
        &mut |report| {
            report.unwrap();
            runs += 1;
            let found = |word: &str| {
                let snapshot = place.index.snapshot();
                !snapshot
                    .lexical(word, 1, Bm25::default(), None)
                    .unwrap()
                    .is_empty()
            };
            match runs {
                1 => {
                    assert!(found("alpha"));
                    fs::create_dir_all(root.join("new/deep")).unwrap();
                    // As an editor saves: alongside it, then over it.
                    fs::write(root.join("a.tmp"), "beta").unwrap();
                    fs::rename(root.join("a.tmp"), root.join("a.txt")).unwrap();
                    fs::write(root.join("new/deep/b.txt"), "gamma").unwrap();
                }
                _ if found("beta") && found("gamma") => {
                    assert!(!found("alpha"));
                    cancel.cancel();
                }
                _ => assert!(runs < 20, "the changes were not found"),
            }
        },
    )
    .unwrap();
    assert!(runs >= 2);
}

#[cfg(unix)]
#[test]
fn a_file_that_its_parser_does_not_survive_keeps_its_earlier_version() {
    let parser = |seconds| RunOptions {
        parser: crate::isolate::tests::parser(Duration::from_secs(seconds)),
        ..RunOptions::default()
    };
    let options = parser(20);
    let place = Place::new();
    place.write("docs/good.txt", "good");
    place.write("docs/other.txt", "first version");
    assert_eq!(counts(&place.run_with(&["docs"], &options)), [2, 0, 0, 0]);
    place.write("docs/other.txt", "second version, a CRASH");
    place.write("docs/new.txt", "FLOOD");
    let report = place.run_with(&["docs"], &options);
    assert_eq!(counts(&report), [0, 0, 1, 0], "{report:?}");
    assert_eq!(place.text("docs/other.txt"), "first version");
    let failed = |report: &RunReport, name: &str| {
        let found = report.failed.iter().find(|one| one.path.ends_with(name));
        let failure = found
            .unwrap_or_else(|| panic!("{name}: {report:?}"))
            .clone();
        assert_eq!(failure.kind, ErrorKind::ParserStopped);
        failure.message
    };
    let other = failed(&report, "other.txt");
    assert!(other.contains("crashed") && other.contains("earlier version stays"));
    assert!(!failed(&report, "new.txt").contains("earlier version"));
    // The same files are not tried again, which costs time each run, and are named.
    let again = place.run_with(&["docs"], &options);
    assert_eq!(again.failed.len(), 2);
    assert_eq!(failed(&again, "other.txt"), other);
    // Other bounds are another chance: in this process no parser crashes over the word.
    let report = place.run(&["docs"]);
    assert_eq!(counts(&report), [1, 1, 1, 0], "{report:?}");
    assert!(place.text("docs/other.txt").starts_with("second"));
}

#[cfg(unix)]
#[test]
fn a_folder_with_a_killer_of_each_format_finishes_and_names_them() {
    let formats = [
        "md", "html", "pdf", "docx", "pptx", "xlsx", "odt", "rtf", "epub", "rst", "mbox", "eml",
        "csv", "ipynb", "json", "jsonl", "txt", "rs",
    ];
    let kills = ["CRASH", "FLOOD", "GARBAGE", "OVERFLOW", "HANG"];
    let place = Place::new();
    for (at, format) in formats.iter().enumerate() {
        place.write(&format!("docs/a.{format}"), kills[at % kills.len()]);
        place.write(&format!("docs/fine-{format}.txt"), "fine");
    }
    let options = RunOptions {
        parser: crate::isolate::tests::parser(Duration::from_secs(3)),
        ..RunOptions::default()
    };
    let report = place.run_with(&["docs"], &options);
    assert_eq!(counts(&report), [formats.len(), 0, 0, 0], "{report:?}");
    let mut named: Vec<_> = report
        .failed
        .iter()
        .map(|one| one.path.rsplit('.').next().unwrap().to_owned())
        .collect();
    named.sort();
    let mut formats = formats;
    formats.sort();
    assert_eq!(named, formats, "{report:?}");
}

#[test]
fn what_a_folder_skips_is_named() {
    let place = Place::new();
    place.write("docs/a.md", "text");
    place.write("docs/photo.jpg", "x");
    place.write("docs/none.md", "");
    fs::write(place.path("docs/zip.md"), b"PK\x03\x04 and so on").unwrap();
    let report = place.run(&["docs"]);
    assert!(report.failed.is_empty());
    let skipped = |report: &RunReport| {
        let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        let mut skipped: Vec<_> = report
            .skipped_files
            .iter()
            .map(|file| (name(&file.path), file.reason, file.message.is_empty()))
            .collect();
        skipped.sort();
        skipped
    };
    let expected = [
        ("none.md".to_owned(), crate::SkipReason::Empty, false),
        ("photo.jpg".to_owned(), crate::SkipReason::Binary, false),
        ("zip.md".to_owned(), crate::SkipReason::Unsupported, false),
    ];
    assert_eq!(skipped(&report), expected);
    // What is known from the last run is named again.
    assert_eq!(skipped(&place.run(&["docs"])), expected);
}

#[test]
fn a_named_file_that_holds_no_text_is_a_failure() {
    let place = Place::new();
    place.write("docs/a.md", "text");
    place.write("docs/photo.jpg", "x");
    place.write("docs/none.md", "");
    place.write("docs/.hidden.md", "text");
    fs::write(place.path("docs/zip.md"), b"PK\x03\x04 and so on").unwrap();
    for (roots, kind, says) in [
        (vec!["docs/photo.jpg"], ErrorKind::Unsupported, "convert it"),
        (vec!["docs/none.md"], ErrorKind::InvalidInput, "empty"),
        (vec!["docs/zip.md"], ErrorKind::Unsupported, "ZIP"),
        (vec!["docs/zip.md"], ErrorKind::Unsupported, "ZIP"),
        (
            vec!["docs", "docs/photo.jpg"],
            ErrorKind::Unsupported,
            "convert it",
        ),
        (
            vec!["docs", "docs/.hidden.md"],
            ErrorKind::InvalidInput,
            "hidden",
        ),
    ] {
        let report = place.run(&roots);
        let [failure] = &report.failed[..] else {
            panic!("{roots:?}: {:?}", report.failed);
        };
        assert_eq!(failure.kind, kind, "{roots:?}");
        assert!(failure.message.contains(says), "{}", failure.message);
        let named = roots.last().unwrap().rsplit('/').next().unwrap();
        assert!(failure.path.ends_with(named), "{}", failure.path);
    }
}
